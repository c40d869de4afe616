package search

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// Field is a text of a document and what a word in it counts.
type Field struct {
	Text   string
	Weight float64
}

// Document is what is found. Names are what people call it: a question that has
// all the words of one is about it.
type Document struct {
	ID     string
	Names  []string
	Fields []Field
}

// Hit is a document that was found.
type Hit struct {
	ID    string
	Score float64
	// Named: the question has every word of one of its names.
	Named bool
	// Covered is how much of what the question says stands in it, from 0 to 1.
	Covered float64
}

// Sure tells whether a hit is good enough to answer with. Below it, the honest
// answer is that one doesn't know.
func (h Hit) Sure() bool {
	return h.Named && h.Covered >= leastNamed || h.Covered >= leastCovered && h.Score >= leastScore
}

const (
	k1, b        = 1.2, 0.4
	nameWeight   = 2.5
	leastNamed   = 0.2
	leastCovered = 0.6
	leastScore   = 5.0
	inOrder      = 1.15 // a name whose words stand side by side
)

type name struct {
	doc   int32
	terms []int32
	idf   float64 // of all its terms
}

type posting struct {
	doc int32
	tf  float64 // over the fields, by weight and length
}

// Index is immutable, and safe for concurrent use.
type Index struct {
	language string
	ids      []string
	terms    map[string]int32
	postings [][]posting
	idf      []float64
	called   []float64 // the idf among names
	names    []name
	ofTerm   [][]int32 // names that have it
	spell    *Speller
	alike    map[string][]string // words by how they sound
	// nameWords are the words of names.
	nameWords []string
	unknown   float64 // the idf of a word of no document
}

// New builds the index of documents in one language.
func New(language string, docs []Document) *Index {
	ix := &Index{language: language, terms: map[string]int32{}}
	surface := map[string]int{}
	read := func(text string) []int32 {
		var out []int32
		for _, w := range Words(language, text) {
			if stop[language][w] {
				continue
			}
			surface[w]++
			s := Stem(language, w)
			id, ok := ix.terms[s]
			if !ok {
				id = int32(len(ix.postings)) //nolint:gosec // a vocabulary has thousands of words
				ix.terms[s] = id
				ix.postings = append(ix.postings, nil)
			}
			out = append(out, id)
		}
		return out
	}
	type field struct {
		terms  []int32
		weight float64
	}
	fields := make([][]field, len(docs))
	lengths, most := map[int]float64{}, 0
	for d, doc := range docs {
		ix.ids = append(ix.ids, doc.ID)
		var called []int32
		for _, n := range doc.Names {
			if t := read(n); len(t) > 0 {
				ix.names = append(ix.names, name{doc: int32(d), terms: t}) //nolint:gosec // see above
				called = append(called, t...)
			}
		}
		fields[d] = append(fields[d], field{called, 3})
		for _, f := range doc.Fields {
			fields[d] = append(fields[d], field{read(f.Text), f.Weight})
		}
		most = max(most, len(fields[d]))
		for i, f := range fields[d] {
			lengths[i] += float64(len(f.terms)) / float64(len(docs))
		}
	}
	for d := range docs {
		tf := map[int32]float64{}
		for i, f := range fields[d] {
			norm := 1 - b + b*float64(len(f.terms))/max(lengths[i], 1)
			for _, t := range f.terms {
				tf[t] += f.weight / norm
			}
		}
		for t, v := range tf {
			ix.postings[t] = append(ix.postings[t], posting{int32(d), v}) //nolint:gosec // see above
		}
	}
	ix.finish(len(docs))
	ix.spell, ix.alike = NewSpeller(surface), map[string][]string{}
	for _, w := range slices.Sorted(maps.Keys(surface)) {
		if len(ix.ofTerm[ix.terms[Stem(language, w)]]) == 0 {
			continue // of no name
		}
		ix.nameWords = append(ix.nameWords, w)
		if key := skeleton(language, w); key != "" {
			ix.alike[key] = append(ix.alike[key], w)
		}
	}
	return ix
}

func (ix *Index) finish(docs int) {
	n := float64(docs)
	weigh := func(df int) float64 { return math.Log(1 + (n-float64(df)+0.5)/(float64(df)+0.5)) }
	ix.unknown = weigh(0)
	ix.idf, ix.ofTerm = make([]float64, len(ix.postings)), make([][]int32, len(ix.postings))
	ix.called = make([]float64, len(ix.postings))
	bearers := make([]map[int32]bool, len(ix.postings))
	for i := range ix.names {
		for _, t := range ix.names[i].terms {
			if bearers[t] == nil {
				bearers[t] = map[int32]bool{}
			}
			bearers[t][ix.names[i].doc] = true
		}
	}
	for t, p := range ix.postings {
		ix.idf[t] = weigh(len(p))
		ix.called[t] = (ix.idf[t] + weigh(len(bearers[t]))) / 2
	}
	for i := range ix.names {
		nm := &ix.names[i]
		for _, t := range nm.terms {
			nm.idf += ix.called[t]
			if !slices.Contains(ix.ofTerm[t], int32(i)) { //nolint:gosec // see above
				ix.ofTerm[t] = append(ix.ofTerm[t], int32(i)) //nolint:gosec // see above
			}
		}
	}
}

// asked is one word of a question: the term it is, and how surely.
type asked struct {
	term int32 // -1: of no document
	sure float64
	at   int
}

// slip is how much a corrected word counts, aspect one that is about a side of an
// illness.
const slip, aspect, sound = 0.8, 0.5, 0.6

// split finds two words that were written as one.
func (ix *Index) split(w string) (a, b int32, ok bool) {
	for i := range w {
		if i < 3 || len(w)-i < 3 {
			continue
		}
		if ix.spell.words[w[:i]] == 0 || ix.spell.words[w[i:]] == 0 {
			continue
		}
		a, one := ix.terms[Stem(ix.language, w[:i])]
		b, two := ix.terms[Stem(ix.language, w[i:])]
		if one && two {
			return a, b, true
		}
	}
	return 0, 0, false
}

func (ix *Index) query(question string) []asked {
	var out []asked
	words := Words(ix.language, question)
	strange := 0
	if len(words) > maxWords {
		words = words[:maxWords]
	}
	for at, w := range words {
		if stop[ix.language][w] {
			continue
		}
		sure := 1.0
		if aspects[ix.language][w] {
			sure = aspect
		}
		if t, ok := ix.terms[Stem(ix.language, w)]; ok {
			out = append(out, asked{t, sure, at})
			continue
		}
		if a, b, ok := ix.split(w); ok {
			out = append(out, asked{a, 1, at}, asked{b, 1, at})
			continue
		}
		if c, ok := ix.spell.Correct(w); ok {
			if t, ok := ix.terms[Stem(ix.language, c)]; ok {
				out = append(out, asked{t, slip, at})
				continue
			}
		}
		if t, ok := ix.form(w); ok && ix.language == "ar" {
			out = append(out, asked{t, slip, at})
			continue
		}
		if strange++; strange <= scanned {
			if c, ok := ix.almost(w); ok {
				if t, ok := ix.terms[Stem(ix.language, c)]; ok {
					out = append(out, asked{t, slip, at})
					continue
				}
			}
		}
		if c, ok := ix.sounding(w); ok {
			if t, ok := ix.terms[Stem(ix.language, c)]; ok {
				out = append(out, asked{t, sound, at})
				continue
			}
		}
		out = append(out, asked{-1, 1, at})
	}
	return out
}

// maxWords bounds what a question can cost.
const maxWords = 60

// Find returns the best documents of a question, best first.
func (ix *Index) Find(question string, limit int) []Hit {
	q := ix.query(question)
	if len(q) == 0 {
		return nil
	}
	scores, covered := make([]float64, len(ix.ids)), make([]float64, len(ix.ids))
	best, named := make([]float64, len(ix.ids)), make([]bool, len(ix.ids))
	total := 0.0
	has, where := map[int32]float64{}, map[int32]int{}
	for _, a := range q {
		if a.term < 0 {
			total += 0.7 * ix.unknown
			continue
		}
		idf := ix.idf[a.term]
		total += min(a.sure/slip, 1) * idf
		if _, twice := has[a.term]; twice {
			total -= min(a.sure/slip, 1) * idf
			continue
		}
		has[a.term], where[a.term] = a.sure, a.at
		for _, p := range ix.postings[a.term] {
			scores[p.doc] += a.sure * idf * p.tf * (k1 + 1) / (k1 + p.tf)
			covered[p.doc] += a.sure * idf
		}
	}
	for t := range has {
		for _, i := range ix.ofTerm[t] {
			nm := &ix.names[i]
			if bonus, all := nm.bonus(ix, has, where); bonus > best[nm.doc] {
				best[nm.doc], named[nm.doc] = bonus, named[nm.doc] || all
			} else if all {
				named[nm.doc] = true
			}
		}
	}
	var out []Hit
	for d, s := range scores {
		if s > 0 {
			out = append(out, Hit{ID: ix.ids[d], Score: s + nameWeight*best[d], Named: named[d], Covered: covered[d] / max(total, 1e-9)})
		}
	}
	slices.SortFunc(out, func(x, y Hit) int {
		if c := cmp.Compare(y.Score, x.Score); c != 0 {
			return c
		}
		return cmp.Compare(x.ID, y.ID)
	})
	return out[:min(limit, len(out))]
}

// bonus is what a name adds whose words the question has; all when it has every
// one.
func (nm *name) bonus(ix *Index, has map[int32]float64, where map[int32]int) (v float64, all bool) {
	met, n := 0.0, 0
	first, last := math.MaxInt, -1
	for _, t := range nm.terms {
		if s, ok := has[t]; ok {
			met += s * ix.called[t]
			n++
			first, last = min(first, where[t]), max(last, where[t])
		}
	}
	if nm.idf == 0 {
		return 0, false
	}
	part := met / nm.idf
	if n < len(nm.terms) {
		return 0.5 * part * part * met, false
	}
	v = part * met
	if n > 1 && last-first <= n {
		v *= inOrder
	}
	return v, true
}
