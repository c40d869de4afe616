package main

import (
	"fmt"
	"slices"
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

// reliability sets the confidence stated against the share that was right: what
// was answered high or critical and is so, or was not and is not.
func (r report) reliability() string {
	var b strings.Builder
	b.WriteString("| Texts | Answer | Confidence stated | Texts | Right |\n|---|---|---|---|---|\n")
	for _, set := range []struct {
		name    string
		samples []*sample
	}{{"accounts", r.accounts}, {"all", slices.Concat(r.held, r.accounts, r.ordinary)}} {
		for _, urgent := range []bool{true, false} {
			var stated [6]float64
			var right [6]count
			for _, s := range set.samples {
				if s.both.Urgency.AtLeast(emergency.High) != urgent {
					continue
				}
				k := min(int(s.both.Confidence*5), 4)
				stated[k] += s.both.Confidence
				right[k].add(s.urgent == urgent)
			}
			for k, c := range right {
				if c.of > 0 {
					name := map[bool]string{true: "high or critical", false: "moderate or low"}[urgent]
					fmt.Fprintf(&b, "| %s | %s | %.2f | %d | %.2f |\n", set.name, name, stated[k]/float64(c.of), c.of, float64(c.hit)/float64(c.of))
				}
			}
		}
	}
	return b.String()
}
