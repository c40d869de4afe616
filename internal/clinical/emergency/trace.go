package emergency

import (
	"fmt"
	"strings"
)

// Trace screens a text and tells what was found in it and why it counts or
// not: for who writes rules.
func (e *Engine) Trace(in Input) string {
	r, whole := e.ScreenByRules(in), e.Screen(in)
	s := &screening{engine: e}
	s.profile(in.Profile)
	f := s.screen(in.Text, 0)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %.2f (%s) signs %d mild %d asked %d unclear %v\n", r.Urgency, r.Condition, r.Confidence, r.Language, f.signs, f.mild, f.asked, f.unclear)
	for _, t := range s.m.tokens {
		fmt.Fprintf(&b, "%s ", t.Form)
	}
	b.WriteByte('\n')
	names := map[status]string{present: "counts", negated: "negated", past: "past", others: "of another", asked: "asked", idiom: "idiom"}
	for _, id := range s.m.touched {
		if e.set.kinds[id] == kindWord {
			continue
		}
		for _, at := range s.m.at[id] {
			var words []string
			for _, t := range s.m.tokens[at.from:at.to] {
				words = append(words, t.Form)
			}
			fmt.Fprintf(&b, "  %-26s %-9s %s\n", e.set.lex.names[id], names[s.m.judge(at)], strings.Join(words, " "))
		}
	}
	fmt.Fprintf(&b, "  with the second reading: %s\n", whole.Urgency)
	for _, flag := range r.RedFlags {
		fmt.Fprintf(&b, "  rule %s %s %q\n", flag.Rule, flag.Level, flag.Words)
	}
	return b.String()
}
