package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/chatmed/chatmed/internal/clinical/emergency/learned"
)

const (
	epochs  = 15
	rate    = 0.3
	decay   = 1e-4 // L2
	folds   = 5
	buckets = 1 << learned.Bits
)

// model is a logistic regression.
type model struct {
	weights []float64
	bias    float64
}

func (m *model) score(e *example) float64 {
	var sum float64
	for _, f := range e.features {
		sum += m.weights[f]
	}
	return sum/length(e) + m.bias
}

// length keeps long texts from counting more than short ones.
func length(e *example) float64 { return math.Sqrt(float64(len(e.features) + 1)) }

// fit is AdaGrad over shuffled phrases.
func fit(examples []example, right func(*example) bool) *model {
	m := &model{weights: make([]float64, buckets)}
	squares := make([]float64, buckets)
	for i := range squares {
		squares[i] = 1e-3
	}
	biasSquares := 1.0
	order := rand.New(rand.NewPCG(1, 1))
	for range epochs {
		for _, i := range order.Perm(len(examples)) {
			e := &examples[i]
			want := 0.0
			if right(e) {
				want = 1
			}
			d := (1/(1+math.Exp(-m.score(e))) - want) * e.weight
			n := length(e)
			for _, f := range e.features {
				g := d/n + decay*m.weights[f]
				squares[f] += g * g
				m.weights[f] -= rate * g / math.Sqrt(squares[f])
			}
			biasSquares += d * d
			m.bias -= rate * d / math.Sqrt(biasSquares)
		}
	}
	return m
}

// validate scores every phrase by a model that has not seen it, and returns the
// threshold that finds the wanted part of the positive ones.
func validate(out io.Writer, examples []example, right func(*example) bool, kept float64) float64 {
	scores := make([]float64, len(examples))
	fold := rand.New(rand.NewPCG(2, 2)).Perm(len(examples))
	for k := range folds {
		var train []example
		for i := range examples {
			if fold[i]%folds != k {
				train = append(train, examples[i])
			}
		}
		m := fit(train, right)
		for i := range examples {
			if fold[i]%folds == k {
				scores[i] = m.score(&examples[i])
			}
		}
	}
	var positive, negative []float64
	for i := range examples {
		if right(&examples[i]) {
			positive = append(positive, scores[i])
		} else {
			negative = append(negative, scores[i])
		}
	}
	slices.Sort(positive)
	threshold := positive[int((1-kept)*float64(len(positive)))]
	over := 0
	for _, s := range negative {
		if s > threshold {
			over++
		}
	}
	fmt.Fprintf(out, "cross-validation: %.1f%% of %d found at %.2f, %.1f%% of %d others too\n",
		100*kept, len(positive), threshold, 100*float64(over)/float64(len(negative)), len(negative))
	return threshold
}
