package main

import (
	"fmt"
	"io"
	"math"
	"slices"
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

// highest is the threshold that a part of some texts lies above, lowest the one
// that a part lies below.
func highest(texts []example, scores []float64, part float64, which func(*example) bool) float64 {
	all := of(texts, scores, which)
	return all[min(int((1-part)*float64(len(all))), len(all)-1)]
}

func lowest(texts []example, scores []float64, part float64, which func(*example) bool) float64 {
	all := of(texts, scores, which)
	return all[int(part*float64(len(all)))]
}

// curve is the logistic curve through the scores (Platt): slope and intercept.
// Both kinds of text weigh the same, for the corpus has more urgent ones than any
// waiting room.
func curve(texts []example, scores []float64, right func(*example) bool) [2]float64 {
	positive := 0.0
	for i := range texts {
		if right(&texts[i]) {
			positive++
		}
	}
	weight := [2]float64{0.5 / (float64(len(texts)) - positive), 0.5 / positive}
	a, b := 1.0, 0.0
	for range 4000 {
		da, db := 0.0, 0.0
		for i := range texts {
			want := 0
			if right(&texts[i]) {
				want = 1
			}
			d := (logistic(a*scores[i]+b) - float64(want)) * weight[want]
			da += d * scores[i]
			db += d
		}
		a, b = a-da, b-db
	}
	return [2]float64{a, b}
}

// report says what cross-validation found.
func report(out io.Writer, head int, texts []example, scores []float64, right func(*example) bool, threshold float64) {
	fmt.Fprintf(out, "head %d, threshold %.2f:\n", head, threshold)
	for _, account := range []bool{false, true} {
		var n [2][2]int
		for i := range texts {
			if texts[i].account != account {
				continue
			}
			is, found := 0, 0
			if right(&texts[i]) {
				is = 1
			}
			if scores[i] > threshold {
				found = 1
			}
			n[is][found]++
		}
		share := func(k int) float64 { return 100 * float64(n[k][1]) / math.Max(1, float64(n[k][0]+n[k][1])) }
		fmt.Fprintf(out, "  accounts %v: found %.1f%% of %d, raised %.1f%% of %d others\n",
			account, share(1), n[1][0]+n[1][1], share(0), n[0][0]+n[0][1])
	}
}
