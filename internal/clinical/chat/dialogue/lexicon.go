package dialogue

import (
	"strings"

	"github.com/chatmed/chatmed/internal/clinical/chat/search"
)

// kind says which table a phrase is of.
type kind uint8

const (
	ofComplaint kind = iota
	ofFact
	ofIntent
)

type phrase struct {
	kind  kind
	id    string
	stems []string
	gap   int // words that may stand between
}

// match is a phrase that was found.
type match struct {
	kind     kind
	id       string
	from, to int
	negated  bool
}

// lexicon is what is recognised in one language.
type lexicon struct {
	language string
	first    map[string][]phrase // by the first stem
	spell    *search.Speller
	known    map[string]bool // words
	negation map[string]bool
	but      map[string]bool
	subject  map[string]bool
}

// small are words that phrases of complaints and facts may do without.
var small = map[string]string{
	"en": " my the a an in of to is are am it i im have has with on and for ",
	"fr": " le la les l un une des du de d mon ma mes au aux a en dans est il elle j je me m ca se s ",
	"ar": " في من على هو هي ",
}

func newLexicon(language string, r *Rules, intents map[string]phrases) *lexicon {
	l := &lexicon{language: language, first: map[string][]phrase{}, known: map[string]bool{}}
	counts := map[string]int{}
	add := func(k kind, id, text string) {
		p := phrase{kind: k, id: id}
		loose := k != ofIntent
		words := search.Words(language, text)
		for _, w := range words {
			l.known[w] = true
			if loose {
				counts[w]++
			}
			if loose && len(words) > 1 && strings.Contains(small[language], " "+w+" ") {
				continue
			}
			p.stems = append(p.stems, search.Stem(language, w))
		}
		if loose {
			p.gap = 2
		}
		if len(p.stems) > 0 {
			l.first[p.stems[0]] = append(l.first[p.stems[0]], p)
		}
	}
	for _, c := range r.order {
		for _, w := range append(c.Words.in(language), c.Name.In(language)) {
			add(ofComplaint, c.ID, w)
		}
	}
	for _, q := range r.facts {
		for _, w := range append(q.Words.in(language), q.Name.In(language)) {
			add(ofFact, q.ID, w)
		}
	}
	for id, p := range intents {
		for _, w := range p.in(language) {
			add(ofIntent, id, w)
		}
	}
	l.negation, l.but = wordsOf(language, intents["negation"]), wordsOf(language, intents["but"])
	l.subject = map[string]bool{}
	for _, w := range strings.Fields("i he she we they im ive je j il elle on عندي انا") {
		l.subject[w] = true
	}
	delete(counts, "")
	l.spell = search.NewSpeller(counts)
	return l
}

func wordsOf(language string, p phrases) map[string]bool {
	m := map[string]bool{}
	for _, s := range p.in(language) {
		for _, w := range search.Words(language, s) {
			m[w] = true
		}
	}
	return m
}

// leastCorrected: shorter words are too near to others to be corrected here.
const leastCorrected = 6

// find returns the phrases of a text, longest first at each place.
func (l *lexicon) find(ts []token) []match {
	for i := range ts {
		t := &ts[i]
		if len([]rune(t.word)) < leastCorrected || l.known[t.word] {
			continue
		}
		if _, ok := l.first[t.stem]; ok {
			continue
		}
		if c, ok := l.spell.Correct(t.word); ok {
			t.stem = search.Stem(l.language, c)
		}
	}
	var out []match
	for i := range ts {
		for _, p := range l.first[ts[i].stem] {
			if to := p.at(ts, i); to > 0 {
				m := match{p.kind, p.id, i, to, false}
				if p.kind != ofIntent {
					m.negated = l.denied(ts, i)
				}
				out = append(out, m)
			}
		}
	}
	return out
}

// at matches a phrase that begins at a token, and returns where it ends, or 0.
func (p *phrase) at(ts []token, i int) int {
	at := i
	for _, stem := range p.stems[1:] {
		next := -1
		for j := at + 1; j <= at+1+p.gap && j < len(ts) && !ts[j].brk; j++ {
			if ts[j].stem == stem {
				next = j
				break
			}
		}
		if next < 0 {
			return 0
		}
		at = next
	}
	return at + 1
}

// reach is how far back a negation counts.
const reach = 8

// denied walks back from a sign to a negation in the same clause.
func (l *lexicon) denied(ts []token, i int) bool {
	if ts[i].brk {
		return false
	}
	for j := i - 1; j >= 0 && i-j <= reach; j-- {
		w := ts[j].word
		switch {
		case l.negation[w]:
			return true
		case l.but[w], l.subject[w]:
			return false
		}
		if ts[j].brk {
			return false
		}
	}
	return false
}
