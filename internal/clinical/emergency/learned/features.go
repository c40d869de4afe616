package learned

import (
	"math/bits"

	"github.com/chatmed/chatmed/internal/clinical/emergency/text"
)

// Text is what the model reads: the words, and what the rules' vocabulary
// recognised in them.
type Text struct {
	Tokens []text.Token
	// Denied, parallel to Tokens, are words that a negation reaches.
	Denied []bool
	// Concepts are in any order.
	Concepts []Concept
	// Signs is how many tokens the sentences have in which a sign of illness is
	// spoken of, be it denied. Who writes of nothing else adds none.
	Signs int
}

// Concept is a concept of the rules at the token where it begins.
type Concept struct {
	Token   int
	Feature uint32 // of ConceptFeature
}

// ConceptFeature is the feature of a concept by its name and what is said of it:
// present, denied, past and so on.
func ConceptFeature(name, status string) uint32 { return hash('k', name, status) }

// features calls f with each feature of token i: the word, its pieces of three
// to five letters, and the word with the one and the two before it. A word that
// is denied has features of its own.
func (t *Text) features(i int, f func(feature uint32)) {
	word := t.Tokens[i].Form
	if t.Denied[i] {
		f(hash('n', word, ""))
		f(hash('m', stem(word), ""))
		return
	}
	f(hash('u', word, ""))
	pieces(word, f)
	if i > 0 && !t.Tokens[i].Break {
		f(hash('b', t.Tokens[i-1].Form, word))
		if i > 1 && !t.Tokens[i-1].Break {
			f(hash('s', t.Tokens[i-2].Form, word))
		}
	}
}

// Sentences calls f with the features of each sentence in turn: of its words
// and of the concepts that begin in it. The slice is used again.
func (t *Text) Sentences(f func(from, to int, features []uint32)) {
	var features []uint32
	for from := 0; from < len(t.Tokens); {
		to := from + 1
		for to < len(t.Tokens) && !t.Tokens[to].Break {
			to++
		}
		features = features[:0]
		for i := from; i < to; i++ {
			t.features(i, func(x uint32) { features = append(features, x) })
		}
		for _, c := range t.Concepts {
			if c.Token >= from && c.Token < to {
				features = append(features, c.Feature)
			}
		}
		f(from, to, features)
		from = to
	}
}

// stemLetters is how much of a word is left of its endings.
const stemLetters = 5

func stem(word string) string {
	n := 0
	for i := range word {
		if n == stemLetters {
			return word[:i]
		}
		n++
	}
	return word
}

// The hash is FNV-1a.
const (
	offset32 = 2166136261
	prime32  = 16777619
)

func mix(h uint32, s string) uint32 {
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * prime32
	}
	return h
}

func fold(h uint32) uint32 { return (bits.RotateLeft32(h, 32-Bits) ^ h) & (buckets - 1) }

func hash(kind byte, a, b string) uint32 {
	h := mix((offset32^uint32(kind))*prime32, a)
	h = (h ^ '_') * prime32
	return fold(mix(h, b))
}

const (
	shortest, longest = 3, 5
	// longestWord is the part of a word whose pieces count: nobody writes a longer one.
	longestWord = 40
)

// pieces are the runs of letters of ^word$.
func pieces(word string, f func(uint32)) {
	var at [longestWord + 3]int // where each letter begins; ^ and $ are one each
	n := 1
	for i := range word {
		if n > longestWord {
			break
		}
		at[n] = i
		n++
	}
	end := len(word)
	letters := n // the index of $
	at[letters] = end
	for size := shortest; size <= longest; size++ {
		for from := 0; from+size <= letters+1; from++ {
			h := uint32(offset32)
			if from == 0 {
				h = (h ^ '^') * prime32
			}
			first, last := max(from, 1), min(from+size, letters)
			if first < last {
				h = mix(h, word[at[first]:at[last]])
			}
			if from+size == letters+1 {
				h = (h ^ '$') * prime32
			}
			f(fold((h ^ 'c') * prime32))
		}
	}
}
