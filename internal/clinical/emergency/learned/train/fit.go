package main

import (
	"math"
	"math/rand/v2"

	"github.com/chatmed/chatmed/internal/clinical/emergency/learned"
)

const (
	epochs  = 12
	whole   = 4 // of them, with whole texts
	rate    = 0.1
	decay   = 5e-3 // L2
	partial = 0.3  // what the whole text still counts after that
	buckets = 1 << learned.Bits
)

// model is a logistic regression over runs of sentences.
type model struct {
	weights, squares  []float64
	bias, biasSquares float64
}

// best is the most urgent run of a text and its score.
func (m *model) best(e *example) (score float64, from, to int) {
	score = math.Inf(-1)
	for i := range e.sentences {
		sum, n := 0.0, 0
		for j := i; j < len(e.sentences) && j < i+learned.MaxRun; j++ {
			for _, f := range e.sentences[j] {
				sum += m.weights[f]
			}
			n += len(e.sentences[j])
			if v := sum/math.Sqrt(float64(n)+learned.Damping) + m.bias; v > score {
				score, from, to = v, i, j+1
			}
		}
	}
	return score, from, to
}

// step is AdaGrad over one run.
func (m *model) step(run [][]uint32, want, weight float64) {
	sum, n := 0.0, 0
	for _, s := range run {
		n += len(s)
		for _, f := range s {
			sum += m.weights[f]
		}
	}
	length := math.Sqrt(float64(n) + learned.Damping)
	d := (logistic(sum/length+m.bias) - want) * weight
	for _, s := range run {
		for _, f := range s {
			g := d/length + decay*m.weights[f]
			m.squares[f] += g * g
			m.weights[f] -= rate * g / math.Sqrt(m.squares[f])
		}
	}
	m.biasSquares += d * d
	m.bias -= rate * d / math.Sqrt(m.biasSquares)
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// fit learns from whole texts first, then from the most urgent run of each: of
// an urgent text one run must be urgent, of any other none may be.
func fit(texts []example, right func(*example) bool) *model {
	m := &model{weights: make([]float64, buckets), squares: make([]float64, buckets), biasSquares: 1}
	for i := range m.squares {
		m.squares[i] = 1e-3
	}
	order := rand.New(rand.NewPCG(1, 1))
	for epoch := range epochs {
		for _, i := range order.Perm(len(texts)) {
			e := &texts[i]
			want := 0.0
			if right(e) {
				want = 1
			}
			n := len(e.sentences)
			if epoch < whole || n == 1 {
				m.step(e.sentences, want, e.weight)
				continue
			}
			_, from, to := m.best(e)
			m.step(e.sentences[from:to], want, e.weight)
			if to-from < n && n <= learned.MaxRun {
				m.step(e.sentences, want, e.weight*partial)
			}
		}
	}
	return m
}

// fitGroups learns the fields from the urgent texts, one against the others.
func fitGroups(texts []example, p *learned.Parameters) {
	const passes, pace = 10, 0.2
	for g := range p.Groups {
		w := make([]float64, 1<<learned.GroupBits)
		order := rand.New(rand.NewPCG(3, 3))
		for range passes {
			for _, i := range order.Perm(len(texts)) {
				e := &texts[i]
				if !e.urgent() || len(e.groups) == 0 {
					continue
				}
				sum := 0.0
				for _, f := range e.groups {
					sum += w[f]
				}
				length := math.Sqrt(float64(len(e.groups)))
				want := 0.0
				if e.group == g {
					want = 1
				}
				d := logistic(sum/length-1) - want
				for _, f := range e.groups {
					w[f] -= pace * (d/length + decay*w[f])
				}
			}
		}
		p.Groups[g] = w
	}
}
