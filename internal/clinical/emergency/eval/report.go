package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/chatmed/chatmed/internal/clinical/emergency"
)

type report struct {
	engine    *emergency.Engine
	dev, held []*sample
	vignettes []*vignette
	note      string
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
	b.WriteString("Rules alone:\n\n")
	r.table(&b, (*sample).reached, true)
	b.WriteString("\nThe second reading is there against false reassurance, an urgent text that is answered `low`:\n\n")
	b.WriteString("| Language | Answered low by the rules, held out | With the second reading |\n|---|---|---|\n")
	for _, l := range languages {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", l, tally(r.held, true, (*sample).reassured, in(l)), tally(r.held, true, (*sample).reassuredByBoth, in(l)))
	}
	b.WriteString("\n" + r.groups())
	b.WriteString(r.vignetteTable())
	return b.String()
}

// table has one row per language. Development columns are left out of what has
// learned from development phrases.
func (r report) table(b *strings.Builder, good func(*sample) bool, development bool) {
	b.WriteString("| Language | Sensitivity, held out | Near misses below urgent, held out |")
	if development {
		b.WriteString(" Sensitivity, development | Near misses below urgent, development | Near misses at most at their level, held out |")
	}
	b.WriteString("\n|---|---|---|" + strings.Repeat("---|", map[bool]int{true: 3}[development]) + "\n")
	for _, l := range append(slices.Clone(languages), "") {
		name := l
		if l == "" {
			name = "all"
		}
		fmt.Fprintf(b, "| %s | %s | %s |", name, tally(r.held, true, good, in(l)), tally(r.held, false, good, in(l)))
		if development {
			fmt.Fprintf(b, " %s | %s | %s |", tally(r.dev, true, good, in(l)), tally(r.dev, false, good, in(l)), tally(r.held, false, (*sample).exact, in(l)))
		}
		b.WriteByte('\n')
	}
}

func (r report) groups() string {
	var b strings.Builder
	b.WriteString("| Group | en dev | en held | fr dev | fr held | ar dev | ar held |\n|---|---|---|---|---|---|---|\n")
	for _, g := range names(r.dev, func(s *sample) string { return s.group }) {
		fmt.Fprintf(&b, "| %s", g)
		for _, l := range languages {
			keep := func(s *sample) bool { return s.language == l && s.group == g }
			fmt.Fprintf(&b, " | %s | %s", tally(r.dev, true, (*sample).reached, keep).short(), tally(r.held, true, (*sample).reached, keep).short())
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
