package main

import (
	"fmt"
	"sort"
	"strings"

	"github.com/chatmed/chatmed/internal/clinical/emergency"
)

// bins counts, for answers of the rules that are high or critical, how many
// texts of each score were right: as urgent as answered, by their own level.
func bins(samples []*sample) map[int]*count {
	out := map[int]*count{}
	for _, s := range samples {
		if !s.result.Urgency.AtLeast(emergency.High) {
			continue
		}
		if out[s.result.Score] == nil {
			out[s.result.Score] = &count{}
		}
		out[s.result.Score].add(s.urgent && s.Level.AtLeast(s.result.Urgency))
	}
	return out
}

// isotonic pools neighbouring scores until the share never falls.
func isotonic(counts map[int]*count) (scores []int, shares []float64) {
	for s := range counts {
		scores = append(scores, s)
	}
	sort.Ints(scores)
	type pool struct {
		hit, of float64
		n       int
	}
	var pools []pool
	for _, s := range scores {
		pools = append(pools, pool{float64(counts[s].hit), float64(counts[s].of), 1})
		for n := len(pools); n > 1 && pools[n-2].hit/pools[n-2].of >= pools[n-1].hit/pools[n-1].of; n = len(pools) {
			a, b := pools[n-2], pools[n-1]
			pools = append(pools[:n-2], pool{a.hit + b.hit, a.of + b.of, a.n + b.n})
		}
	}
	for _, p := range pools {
		for range p.n {
			shares = append(shares, p.hit/p.of)
		}
	}
	return scores, shares
}

// calibration is the file that fits the development phrases.
func (r report) calibration() string {
	scores, shares := isotonic(bins(r.dev))
	var b strings.Builder
	b.WriteString("# Fitted by `go run ./internal/clinical/emergency/eval -fit` on the development\n# phrases, the rules alone. See docs/clinical/emergency.md.\nurgent:\n")
	for i, s := range scores {
		fmt.Fprintf(&b, "  - {score: %d, probability: %.2f}\n", s, min(shares[i], 0.97))
	}
	return b.String()
}

// reliability sets the confidence stated against the share that was right.
func (r report) reliability() string {
	type row struct {
		stated float64
		right  count
	}
	var b strings.Builder
	b.WriteString("| Answer, held out | Confidence stated | Texts | Right |\n|---|---|---|---|\n")
	for _, urgent := range []bool{true, false} {
		rows := map[int]*row{}
		for _, s := range r.held {
			if s.result.Urgency.AtLeast(emergency.High) != urgent {
				continue
			}
			k := int(s.result.Confidence*10 + 0.5)
			if rows[k] == nil {
				rows[k] = &row{}
			}
			rows[k].stated += s.result.Confidence
			right := s.urgent && s.Level.AtLeast(s.result.Urgency)
			if !urgent {
				right = !s.urgent
			}
			rows[k].right.add(right)
		}
		for k := range 11 {
			if w := rows[k]; w != nil {
				name := map[bool]string{true: "high or critical", false: "moderate or low"}[urgent]
				fmt.Fprintf(&b, "| %s | %.2f | %d | %.2f |\n", name, w.stated/float64(w.right.of), w.right.of, float64(w.right.hit)/float64(w.right.of))
			}
		}
	}
	return b.String()
}
