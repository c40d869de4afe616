package main

import (
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/chatmed/chatmed/internal/clinical/emergency/learned"
)

const folds = 5

// validate scores every text by a model that has not seen it.
func validate(texts []example, right func(*example) bool) []float64 {
	scores := make([]float64, len(texts))
	for k := range folds {
		var seen []example
		for i := range texts {
			if texts[i].fold != k {
				seen = append(seen, texts[i])
			}
		}
		m := fit(seen, right)
		for i := range texts {
			if texts[i].fold == k {
				scores[i], _, _ = m.best(&texts[i])
			}
		}
	}
	return scores
}

func of(texts []example, scores []float64, which func(*example) bool) []float64 {
	var out []float64
	for i := range texts {
		if which(&texts[i]) {
			out = append(out, scores[i])
		}
	}
	slices.Sort(out)
	return out
}

// above is the value that a part of some texts lies above.
func above(texts []example, values []float64, part float64, which func(*example) bool) float64 {
	all := of(texts, values, which)
	return all[min(int((1-part)*float64(len(all))), len(all)-1)]
}

// curve is the logistic curve through both readings (Platt), fitted to the
// accounts, which are what people write: of phrases the rules know too much.
func curve(texts []example, scores []float64, right func(*example) bool) (c learned.Curve) {
	c = learned.Curve{1, 0, 0, 0}
	accounts := 0.0
	for i := range texts {
		if texts[i].account {
			accounts++
		}
	}
	const passes, pace = 20000, 0.05
	for range passes {
		var d learned.Curve
		for i := range texts {
			e := &texts[i]
			if !e.account {
				continue
			}
			g := probability(c, scores[i], e) / accounts
			if right(e) {
				g -= 1 / accounts
			}
			d[0] += g * scores[i]
			if e.found {
				d[1] += g * float64(e.rules)
				d[2] += g
			}
			d[3] += g
		}
		for k := range c {
			if c[k] -= pace * d[k]; k < 3 {
				c[k] = max(c[k], 0)
			}
		}
	}
	return c
}

func probability(c learned.Curve, score float64, e *example) float64 {
	x := c[0]*score + c[3]
	if e.found {
		x += c[1]*float64(e.rules) + c[2]
	}
	return logistic(x)
}

// report says what cross-validation found.
func report(out io.Writer, name string, texts []example, right, found func(i int) bool) {
	for _, account := range []bool{false, true} {
		var n [2][2]int
		for i := range texts {
			if texts[i].account != account {
				continue
			}
			is, was := 0, 0
			if right(i) {
				is = 1
			}
			if found(i) {
				was = 1
			}
			n[is][was]++
		}
		share := func(k int) float64 { return 100 * float64(n[k][1]) / math.Max(1, float64(n[k][0]+n[k][1])) }
		fmt.Fprintf(out, "%-8s accounts %-5v: %.1f%% of %d right, %.1f%% of %d wrong\n",
			name, account, share(1), n[1][0]+n[1][1], share(0), n[0][0]+n[0][1])
	}
}
