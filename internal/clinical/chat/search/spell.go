package search

import (
	"unicode/utf8"
)

// Speller finds the vocabulary's nearest word to a misspelt one: one slip (a
// letter too much, missing, wrong, or two swapped), two in long words.
type Speller struct {
	words map[string]int      // how often, the commoner wins
	near  map[string][]string // a word less one letter → words
}

const (
	shortest = 4
	twice    = 7 // from this length two slips are one word still
	longest  = 24
)

// NewSpeller takes words and how often each is used.
func NewSpeller(words map[string]int) *Speller {
	s := &Speller{words: words, near: map[string][]string{}}
	for w := range words {
		if n := utf8.RuneCountInString(w); n < shortest-1 || n > longest {
			continue
		}
		s.near[w] = append(s.near[w], w)
		without(w, func(d string) { s.near[d] = append(s.near[d], w) })
	}
	return s
}

func without(w string, f func(string)) {
	for i, r := range w {
		f(w[:i] + w[i+utf8.RuneLen(r):])
	}
}

// Correct returns the nearest word.
func (s *Speller) Correct(w string) (string, bool) {
	n := utf8.RuneCountInString(w)
	if n < shortest || n > longest {
		return "", false
	}
	most := 1
	if n >= twice {
		most = 2
	}
	best, found := most+1, ""
	consider := func(key string) {
		for _, c := range s.near[key] {
			d := distance(w, c, most)
			if d == 0 || d > most || n < 5 && c[0] != w[0] {
				continue
			}
			if d < best || d == best && (s.words[c] > s.words[found] || s.words[c] == s.words[found] && c < found) {
				best, found = d, c
			}
		}
	}
	consider(w)
	without(w, func(d string) {
		consider(d)
		if most == 2 {
			without(d, consider)
		}
	})
	return found, found != ""
}

// distance counts insertions, deletions, substitutions and swaps of neighbours,
// up to limit+1.
func distance(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if d := len(x) - len(y); d > limit || -d > limit || len(x) > longest+1 || len(y) > longest+1 {
		return limit + 1
	}
	var rows [3][longest + 3]int
	before, prev, cur := rows[0][:], rows[1][:], rows[2][:]
	for j := range y {
		prev[j+1] = j + 1
	}
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
