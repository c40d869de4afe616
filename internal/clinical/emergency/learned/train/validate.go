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

// curve is the logistic curve through both readings (Platt). What rules found
// counts in accounts alone, for of phrases they know too much. Urgent and other
// texts weigh the same, in accounts and in short texts.
func curve(texts []example, scores []float64, head int, right func(*example) bool) (c learned.Curve) {
	var n [2][2]float64
	kind := func(e *example) (account, urgent int) {
		if e.account {
			account = 1
		}
		if right(e) {
			urgent = 1
		}
		return account, urgent
	}
	for i := range texts {
		a, u := kind(&texts[i])
		n[a][u]++
	}
	c = learned.Curve{1}
	const passes, pace = 6000, 0.2
	for range passes {
		var d learned.Curve
		for i := range texts {
			e := &texts[i]
			a, u := kind(e)
			g := (probability(c, scores[i], head, e) - float64(u)) * 0.25 / n[a][u]
			d[0] += g * scores[i]
			if e.found[head] && e.account {
				d[1] += g * float64(e.rules) / 10
				d[2] += g
			}
			d[3] += g * min(float64(e.signs)/60, 1)
			d[4] += g
		}
		for k := range c {
			c[k] -= pace * d[k]
		}
		c[1], c[2], c[3] = max(c[1], 0), max(c[2], 0), min(c[3], 0)
	}
	return c
}

// probability leaves out what rules found in phrases.
func probability(c learned.Curve, score float64, head int, e *example) float64 {
	return c.At(score, e.rules, e.found[head] && e.account, e.signs)
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
