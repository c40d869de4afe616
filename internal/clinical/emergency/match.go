package emergency

import (
	"slices"

	"github.com/chatmed/chatmed/internal/clinical/emergency/text"
)

// span is where a class was found: tokens from up to, but without, to.
type span struct {
	from, to int32
	negated  bool // a negation stands inside, between the parts
}

// most bounds how many places of one class are kept: far more than any person
// writes, and a bound on what a hostile text can cost.
const most = 512

// matcher is the working memory of one screening.
type matcher struct {
	lex     *lexicon
	tokens  []text.Token
	at      [][]span // by class
	touched []classID
	flags   []cue
	ids     []classID
	work    int // joins left
}

func (m *matcher) reset(lex *lexicon) {
	m.lex = lex
	if len(m.at) != len(lex.names) {
		m.at = make([][]span, len(lex.names))
	}
	for _, id := range m.touched {
		m.at[id] = m.at[id][:0]
	}
	m.touched = m.touched[:0]
}

func (m *matcher) put(id classID, s span) {
	if len(m.at[id]) == 0 {
		m.touched = append(m.touched, id)
	}
	if len(m.at[id]) < most {
		m.at[id] = append(m.at[id], s)
	}
}

// run finds every class. Cues come first, so that phrases can tell when a
// negation stands inside them.
func (m *matcher) run(measured, cues func()) {
	m.flags = append(m.flags[:0], make([]cue, len(m.tokens))...)
	m.work = 40 * (len(m.tokens) + 2000)
	for i := range m.tokens {
		m.ids = m.lex.classes(&m.tokens[i], m.ids[:0])
		for _, id := range m.ids {
			m.put(id, span{int32(i), int32(i + 1), false}) //nolint:gosec // bounded text
		}
	}
	measured()
	for i := range m.lex.order {
		if i == m.lex.cues {
			cues()
		}
		o := &m.lex.order[i]
		before := len(m.at[o.class])
		for k := range o.patterns {
			m.find(o.class, &o.patterns[k])
		}
		if n := len(m.at[o.class]); n > before && n > 1 {
			slices.SortFunc(m.at[o.class], compareSpans)
			m.at[o.class] = slices.Compact(m.at[o.class])
		}
		if except, ok := m.lex.excepts[o.class]; ok && len(m.at[except]) > 0 {
			m.drop(o.class, m.at[except])
		}
	}
	if m.lex.cues == len(m.lex.order) {
		cues()
	}
}

// drop removes the places of a class that lie within others.
func (m *matcher) drop(id classID, within []span) {
	m.at[id] = slices.DeleteFunc(m.at[id], func(s span) bool {
		return slices.ContainsFunc(within, func(w span) bool { return w.from <= s.from && s.to <= w.to })
	})
}

func compareSpans(a, b span) int {
	if a.from != b.from {
		return int(a.from - b.from)
	}
	if a.to != b.to {
		return int(a.to - b.to)
	}
	switch {
	case a.negated == b.negated:
		return 0
	case a.negated:
		return 1
	}
	return -1
}

func (m *matcher) find(owner classID, p *pattern) {
	if len(m.at[p.parts[p.key]]) == 0 {
		return
	}
	for _, part := range p.parts {
		if len(m.at[part]) == 0 {
			return
		}
	}
	if len(p.parts) == 1 {
		for _, s := range m.at[p.parts[0]] {
			m.put(owner, s)
		}
		return
	}
	if p.window > 0 {
		m.near(owner, p)
		return
	}
	for _, s := range m.at[p.parts[0]] {
		m.next(owner, p, 1, s)
	}
}

// next places part i behind what has been placed.
func (m *matcher) next(owner classID, p *pattern, i int, sofar span) {
	if i == len(p.parts) {
		m.put(owner, sofar)
		return
	}
	places := m.at[p.parts[i]]
	last := m.unbroken(sofar.to, sofar.to+int32(p.gaps[i]), p.gaps[i] > usualGap+1)
	for k := search(places, sofar.to); k < len(places) && places[k].from <= last; k++ {
		if m.work--; m.work < 0 {
			return
		}
		s := places[k]
		m.next(owner, p, i+1, span{sofar.from, s.to, sofar.negated || s.negated || m.negates(sofar.to, s.from)})
	}
}

// unbroken cuts a reach from a token up to, and with, another at the end of a
// sentence, and at a comma unless the reach is wide: a phrase is said in one
// breath.
func (m *matcher) unbroken(from, last int32, wide bool) int32 {
	for t := from; t <= last && int(t) < len(m.tokens); t++ {
		if m.tokens[t].Break || m.tokens[t].Soft && !wide {
			return t - 1
		}
	}
	return last
}

// apart tells whether a sentence ends between two places.
func (m *matcher) apart(a, b span) bool {
	if b.from < a.from {
		a, b = b, a
	}
	for t := a.to; t <= b.from && int(t) < len(m.tokens); t++ {
		if m.tokens[t].Break {
			return true
		}
	}
	return false
}

// search finds the first place that begins at from or later.
func search(places []span, from int32) int {
	if len(places) < 8 {
		for i := range places {
			if places[i].from >= from {
				return i
			}
		}
		return len(places)
	}
	lo, hi := 0, len(places)
	for lo < hi {
		mid := (lo + hi) / 2
		if places[mid].from < from {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// negates tells whether a negation stands among tokens from up to to.
func (m *matcher) negates(from, to int32) bool {
	for ; from < to; from++ {
		if m.flags[from]&cueNegation != 0 {
			return true
		}
	}
	return false
}

// near places two or three parts in any order.
func (m *matcher) near(owner classID, p *pattern) {
	for _, a := range m.at[p.parts[0]] {
		m.beside(p, 1, a, func(b span) {
			if len(p.parts) == 2 {
				m.put(owner, b)
				return
			}
			m.beside(p, 2, b, func(c span) { m.put(owner, c) })
		})
	}
}

func (m *matcher) beside(p *pattern, i int, a span, f func(span)) {
	places := m.at[p.parts[i]]
	w := int32(p.window)
	for k := search(places, a.from-w-8); k < len(places) && places[k].from <= a.to+w; k++ {
		if m.work--; m.work < 0 {
			return
		}
		b := places[k]
		switch {
		case m.apart(a, b):
		case b.from >= a.to:
			f(span{a.from, b.to, a.negated || b.negated || m.negates(a.to, b.from)})
		case b.to <= a.from && a.from-b.to <= w:
			f(span{b.from, a.to, a.negated || b.negated || m.negates(b.to, a.from)})
		case b.from < a.to && b.to > a.from && (b.from != a.from || b.to != a.to) && b.to-b.from+a.to-a.from > 2:
			f(span{min(a.from, b.from), max(a.to, b.to), a.negated || b.negated}) // phrases that share a word
		}
	}
}
