package text

import "unicode/utf8"

// Speller finds the word of a vocabulary that a misspelt word was meant to be:
// one slip (a letter too much, missing, wrong, or two swapped), two in long
// words. What can be reached is computed when it is built, so asking costs a
// handful of look-ups.
type Speller struct {
	near    map[string][]int32 // a word less one letter → candidates
	entries []string
	words   map[string]bool
}

const (
	shortest = 5  // shorter words are too near to others
	longest  = 24 // longer ones are no words
	twice    = 9  // from this length two slips are one word still
)

// NewSpeller takes the vocabulary.
func NewSpeller(vocabulary []string) *Speller {
	s := &Speller{near: map[string][]int32{}, words: map[string]bool{}}
	for _, w := range vocabulary {
		n := utf8.RuneCountInString(w)
		if n < shortest-1 || n > longest || s.words[w] {
			continue
		}
		s.words[w] = true
		id := int32(len(s.entries)) //nolint:gosec // a vocabulary has thousands of words
		s.entries = append(s.entries, w)
		s.near[w] = append(s.near[w], id)
		without(w, func(d string) { s.near[d] = append(s.near[d], id) })
	}
	return s
}

// without calls f for every string that is w less one letter.
func without(w string, f func(string)) {
	var b [64]byte
	for i, r := range w {
		n := copy(b[:], w[:i])
		n += copy(b[n:], w[i+utf8.RuneLen(r):])
		f(string(b[:n]))
	}
}

// Correct finds the one nearest word. The first letter must be right, unless
// the first two are swapped.
func (s *Speller) Correct(w string) (string, bool) {
	n := utf8.RuneCountInString(w)
	if n < shortest || n > longest || len(w) > 60 {
		return "", false
	}
	best, found := 3, ""
	consider := func(key []byte) {
		for _, id := range s.near[string(key)] {
			c := s.entries[id]
			allowed := 1
			if n >= twice && utf8.RuneCountInString(c) >= twice {
				allowed = 2
			}
			if c[0] != w[0] && (len(c) < 2 || len(w) < 2 || c[1] != w[0] || c[0] != w[1]) {
				continue
			}
			if d := Distance(w, c, allowed); d <= allowed && (d < best || d == best && c < found) {
				best, found = d, c
			}
		}
	}
	var b [64]byte
	consider(append(b[:0], w...))
	for i, r := range w {
		k := append(b[:0], w[:i]...)
		consider(append(k, w[i+utf8.RuneLen(r):]...))
	}
	return found, found != ""
}

// Distance counts insertions, deletions, substitutions and swaps of neighbours
// between two words, up to limit+1.
func Distance(a, b string, limit int) int {
	var ra, rb [longest + 2]rune
	x, y := runes(a, ra[:0]), runes(b, rb[:0])
	if d := len(x) - len(y); d > limit || -d > limit || len(x) > longest || len(y) > longest {
		return limit + 1
	}
	var rows [3][longest + 2]int
	before, prev, cur := rows[0][:], rows[1][:], rows[2][:]
	for j := range y {
		prev[j+1] = j + 1
	}
	prev[0] = 0
	for i := range x {
		cur[0] = i + 1
		least := cur[0]
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			v := min(prev[j]+cost, prev[j+1]+1, cur[j]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				v = min(v, before[j-1]+1)
			}
			cur[j+1] = v
			least = min(least, v)
		}
		if least > limit {
			return limit + 1
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(y)]
}

func runes(s string, into []rune) []rune {
	for _, r := range s {
		if len(into) == cap(into) {
			break
		}
		into = append(into, r)
	}
	return into
}
