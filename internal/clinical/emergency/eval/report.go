package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/chatmed/chatmed/internal/clinical/emergency"
)

type report struct {
	engine    *emergency.Engine
	dev, held []*sample // phrases
	// accounts and ordinary complaints that are held out
	accounts, ordinary []*sample
	vignettes          []*vignette
	note               string
}

// count is hits of a total.
type count struct{ hit, of int }

func (c *count) add(hit bool) {
	c.of++
	if hit {
		c.hit++
	}
}

func (c count) String() string {
	if c.of == 0 {
		return "–"
	}
	return fmt.Sprintf("%d/%d (%.0f%%)", c.hit, c.of, 100*float64(c.hit)/float64(c.of))
}

func (c count) short() string {
	if c.of == 0 {
		return "–"
	}
	return fmt.Sprintf("%d/%d", c.hit, c.of)
}

var languages = []string{"en", "fr", "ar"}

// tally counts the samples that keep says belong.
func tally(samples []*sample, urgent bool, good func(*sample) bool, keep func(*sample) bool) (c count) {
	for _, s := range samples {
		if s.urgent == urgent && keep(s) {
			c.add(good(s))
		}
	}
	return c
}

func in(language string) func(*sample) bool {
	return func(s *sample) bool { return language == "" || s.language == language }
}

func (r report) summary() string {
	var b strings.Builder
	b.WriteString("What is held out, and the vignettes:\n\n")
	b.WriteString("| Texts | Reading | Urgent, answered high or critical | Urgent, at least at their level | Not urgent, answered high or critical | Not urgent, answered critical | Urgent, answered low |\n|---|---|---|---|---|---|---|\n")
	for _, set := range []struct {
		name    string
		samples []*sample
	}{{"phrases", r.held}, {"accounts", r.accounts}, {"ordinary complaints", r.ordinary}} {
		for _, l := range append(slices.Clone(languages), "") {
			name := set.name + ", " + l
			if l == "" {
				name = set.name + ", all"
			}
			b.WriteString(rates(name, keep(set.samples, in(l))))
		}
	}
	if r.note == "" {
		b.WriteString(rates("vignettes, en", asSamples(r.vignettes)))
	}
	b.WriteString("\nThe rules alone on what their authors could read, urgent at their level and near misses below high:\n\n| Language | Phrases | Near misses |\n|---|---|---|\n")
	for _, l := range languages {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", l, tally(r.dev, true, (*sample).reached, in(l)), tally(r.dev, false, (*sample).reached, in(l)))
	}
	b.WriteString("\nUrgent phrases at their level by field: the rules in development, the rules on what is held out, both readings on what is held out:\n\n" + r.groups())
	b.WriteString(r.vignetteTable())
	return b.String()
}

// rates is a row for each reading.
func rates(name string, samples []*sample) string {
	var b strings.Builder
	for _, by := range []struct {
		name string
		of   answered
	}{{"rules", byRules}, {"both", byBoth}} {
		var urgent, level, over, critical, low count
		for _, s := range samples {
			u := by.of(s).Urgency
			if s.urgent {
				urgent.add(u.AtLeast(emergency.High))
				level.add(u.AtLeast(s.Level))
				low.add(u == emergency.Low)
				continue
			}
			over.add(u.AtLeast(emergency.High) && !s.AtMost.AtLeast(u))
			critical.add(u == emergency.Critical && !s.AtMost.AtLeast(u))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", name, by.name, urgent, level, over, critical, low)
	}
	return b.String()
}

func keep(samples []*sample, which func(*sample) bool) (out []*sample) {
	for _, s := range samples {
		if which(s) {
			out = append(out, s)
		}
	}
	return out
}

func (r report) groups() string {
	var b strings.Builder
	b.WriteString("| Group |")
	for _, l := range languages {
		fmt.Fprintf(&b, " %[1]s dev | %[1]s rules | %[1]s both |", l)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", 9) + "\n")
	for _, g := range names(r.dev, func(s *sample) string { return s.group }) {
		fmt.Fprintf(&b, "| %s", g)
		for _, l := range languages {
			of := func(s *sample) bool { return s.language == l && s.group == g }
			fmt.Fprintf(&b, " | %s | %s | %s", tally(r.dev, true, (*sample).reached, of).short(),
				tally(r.held, true, (*sample).reached, of).short(), tally(r.held, true, (*sample).reachedByBoth, of).short())
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

func names(samples []*sample, of func(*sample) string) []string {
	var out []string
	for _, s := range samples {
		if n := of(s); !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
