package emergency

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/chatmed/chatmed/internal/clinical/emergency/text"
)

// lexicon is the compiled vocabulary: which words belong to which classes, and
// the phrases in an order in which every part is known before it is needed.
type lexicon struct {
	names    []string
	exact    map[string][]classID
	verbs    map[string][]classID
	prefixes map[string][]classID
	aliases  map[string][]string // other spellings, Arabizi
	common   map[string]bool     // words that are never taken for a slip
	speller  *text.Speller
	order    []owned
	excepts  map[classID]classID
	cues     int // order[:cues] are the cues and what they are made of
	shortest int // of prefixes, in bytes
	longest  int
}

type owned struct {
	class    classID
	patterns []pattern
}

// finish sorts the classes so that parts come first. The classes in first come
// before all that they don't need.
func (c *compiler) finish(first []classID, aliases map[string][]string, common []string) (*lexicon, error) {
	lex := &lexicon{
		names: c.names, exact: c.exact, verbs: c.verbs, prefixes: c.prefixes, aliases: aliases,
		common: map[string]bool{}, shortest: 99, excepts: c.excepts,
	}
	state := make([]uint8, len(c.names))
	var visit func(id classID, path []string) error
	visit = func(id classID, path []string) error {
		switch state[id] {
		case 1:
			return fmt.Errorf("a class is a part of itself: %s", strings.Join(append(path, c.names[id]), " → "))
		case 2:
			return nil
		}
		state[id] = 1
		if except, ok := c.excepts[id]; ok {
			if err := visit(except, append(slices.Clone(path), c.names[id])); err != nil {
				return err
			}
		}
		for i := range c.patterns[id] {
			p := &c.patterns[id][i]
			for k, part := range p.parts {
				if err := visit(part, append(slices.Clone(path), c.names[id])); err != nil {
					return err
				}
				if c.uses[part] < c.uses[p.parts[p.key]] {
					p.key = int8(k) //nolint:gosec // eight at most
				}
			}
		}
		state[id] = 2
		if _, excepted := c.excepts[id]; excepted || len(c.patterns[id]) > 0 {
			lex.order = append(lex.order, owned{id, c.patterns[id]})
		}
		return nil
	}
	for _, id := range first {
		if err := visit(id, nil); err != nil {
			return nil, err
		}
	}
	lex.cues = len(lex.order)
	for id := range c.names {
		if err := visit(classID(id), nil); err != nil { //nolint:gosec // thousands
			return nil, err
		}
	}
	for _, w := range common {
		for _, t := range text.Tokens(w, nil) {
			lex.common[t.Form] = true
		}
	}
	lex.spell()
	return lex, nil
}

// suffixes are the endings with which a word that takes any ending is offered
// to the speller.
var suffixes = []string{"", "s", "e", "es", "ed", "ing", "er", "ment", "ion"}

func (l *lexicon) spell() {
	var known []string
	for w := range l.exact {
		known = append(known, w)
	}
	for w := range l.verbs {
		known = append(known, w)
	}
	for w := range l.prefixes {
		l.shortest, l.longest = min(l.shortest, len(w)), max(l.longest, len(w))
		for _, s := range suffixes {
			known = append(known, w+s)
			if s == "" && w[0] >= 0xd8 {
				break
			}
		}
	}
	slices.Sort(known)
	l.speller = text.NewSpeller(known)
}

// classes appends the classes that a token belongs to.
func (l *lexicon) classes(t *text.Token, into []classID) []classID {
	n := len(into)
	into = l.look(t.Form, t.Arabic, into)
	if other, ok := l.aliases[t.Form]; ok {
		for _, o := range other {
			into = l.look(o, o[0] >= 0xd8, into)
		}
	}
	if len(into) > n || t.Numeric || l.common[t.Form] || len(t.Form) < 3 {
		return into
	}
	if t.Long {
		if into = l.look(single(t.Form), t.Arabic, into); len(into) > n {
			return into
		}
	}
	if c, ok := l.speller.Correct(t.Form); ok {
		into = l.look(c, t.Arabic, into)
	}
	return into
}

func (l *lexicon) look(form string, arabic bool, into []classID) []classID {
	if arabic {
		text.Stems(form, func(stem string, verb bool) bool {
			if !verb {
				into = append(into, l.exact[stem]...)
			}
			into = append(into, l.verbs[stem]...)
			return false
		})
	} else {
		into = append(into, l.exact[form]...)
	}
	for n := l.shortest; n <= len(form) && n <= l.longest; n++ {
		if n < len(form) && !utf8.RuneStart(form[n]) {
			continue
		}
		into = append(into, l.prefixes[form[:n]]...)
	}
	return into
}

// single takes every doubled letter once: stretched letters are no spelling.
func single(w string) string {
	var b strings.Builder
	last := rune(0)
	for _, r := range w {
		if r != last {
			b.WriteRune(r)
		}
		last = r
	}
	return b.String()
}
