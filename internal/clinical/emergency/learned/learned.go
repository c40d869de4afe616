// Package learned is the second reading of the emergency screen: a linear model
// over words and pieces of words, learned from the committed phrases, in three
// languages at once. Rules know what they were written for; this reads what
// people write beside it, with misspellings and dialect. It can only take
// reassurance away, never give it, and it names no condition.
//
// A text is read sentence by sentence and in runs of neighbouring sentences, and
// the most urgent run counts. So nothing that is added takes away from what was
// there.
package learned

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/chatmed/chatmed/internal/clinical/emergency/text"
)

const (
	buckets = 1 << Bits
	// Bits is the size of a feature's hash. Several features may share a weight.
	Bits = 17
	// maxRun is how many neighbouring sentences are read together.
	maxRun = 6
	// maxWords bounds the words named.
	maxWords = 4

	magic = "cmlr0001"
)

// Head is one question that the model answers.
type Head int

// The heads.
const (
	Urgent   Head = iota // high or critical, against everything else
	Critical             // critical, against everything else
	heads
)

//go:embed weights.bin
var embedded []byte

// Model is immutable and safe for concurrent use.
type Model struct {
	weights   [heads][]int8
	scale     [heads]float32
	bias      [heads]float32
	threshold [heads]float32
}

// Load reads the built-in weights.
func Load() (*Model, error) { return Decode(embedded) }

// Opinion is what the model makes of a text.
type Opinion struct {
	Urgent, Critical bool
	// Start and End are the tokens of the run that decided, and Words those in
	// it that weighed most. Empty when nothing is urgent.
	Start, End int
	Words      []int
}

// sums are the weights of the first tokens and how many features they have.
type sums struct {
	total [heads]float32
	// joined are the features that reach back to the token before, which do not
	// count where a run begins.
	joined  [heads]float32
	n, back int32
}

// Read gives an opinion. scratch is memory to use again, and may be nil.
func (m *Model) Read(tokens []text.Token, scratch *Scratch) Opinion {
	if len(tokens) == 0 {
		return Opinion{}
	}
	if scratch == nil {
		scratch = &Scratch{}
	}
	scratch.read(m, tokens)
	var best Opinion
	bestScore := float32(math.Inf(-1))
	starts := scratch.starts
	for i := range len(starts) - 1 {
		for j := i + 1; j < len(starts) && j <= i+maxRun; j++ {
			from, to := starts[i], starts[j]
			urgent, critical := m.score(scratch.sums, from, to, Urgent), m.score(scratch.sums, from, to, Critical)
			if urgent <= m.threshold[Urgent] {
				continue
			}
			is := critical > m.threshold[Critical]
			if best.Urgent && (best.Critical && !is || best.Critical == is && urgent <= bestScore) {
				continue
			}
			best, bestScore = Opinion{Urgent: true, Critical: is, Start: from, End: to}, urgent
		}
	}
	if best.Urgent {
		best.Words = m.heaviest(scratch.sums, best.Start, best.End)
	}
	return best
}

// score is the logit of a head for the tokens from start to end.
func (m *Model) score(s []sums, start, end int, h Head) float32 {
	total := s[end].total[h] - s[start].total[h] - (s[start+1].joined[h] - s[start].joined[h])
	n := s[end].n - s[start].n - (s[start+1].back - s[start].back)
	return total*m.scale[h]/float32(math.Sqrt(float64(n+1))) + m.bias[h]
}

// heaviest are the tokens of a run that speak most for urgency, in their order.
func (m *Model) heaviest(s []sums, start, end int) []int {
	var out []int
	for range maxWords {
		top, at := float32(0), -1
		for i := start; i < end; i++ {
			if w := s[i+1].total[Urgent] - s[i].total[Urgent]; w > top && !contains(out, i) {
				top, at = w, i
			}
		}
		if at < 0 {
			break
		}
		out = append(out, at)
	}
	for i := 1; i < len(out); i++ {
		for k := i; k > 0 && out[k] < out[k-1]; k-- {
			out[k], out[k-1] = out[k-1], out[k]
		}
	}
	return out
}

func contains(list []int, v int) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}

// Scratch is the memory of one Read, for the next.
type Scratch struct {
	sums   []sums
	starts []int // of the sentences, and the end of the last
}

func (s *Scratch) read(m *Model, tokens []text.Token) {
	s.sums = append(s.sums[:0], sums{})
	s.starts = append(s.starts[:0], 0)
	for i := range tokens {
		if tokens[i].Break && i > 0 {
			s.starts = append(s.starts, i)
		}
		sum := s.sums[i]
		Features(tokens, i, func(f uint32, joined bool) {
			sum.n++
			if joined {
				sum.back++
			}
			for h := range heads {
				w := float32(m.weights[h][f])
				sum.total[h] += w
				if joined {
					sum.joined[h] += w
				}
			}
		})
		s.sums = append(s.sums, sum)
	}
	s.starts = append(s.starts, len(tokens))
}

// Features calls f with each feature of token i: the word, its pieces of three
// to five letters, and the word with the one and the two before it, which are
// joined.
func Features(tokens []text.Token, i int, f func(feature uint32, joined bool)) {
	word := tokens[i].Form
	f(hash('u', word, ""), false)
	pieces(word, func(piece uint32) { f(piece, false) })
	if i > 0 && !tokens[i].Break {
		f(hash('b', tokens[i-1].Form, word), true)
		if i > 1 && !tokens[i-1].Break {
			f(hash('s', tokens[i-2].Form, word), true)
		}
	}
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

func fold(h uint32) uint32 { return (h>>Bits ^ h) & (buckets - 1) }

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

// Parameters are what the trainer found.
type Parameters struct {
	Weights         [2][]float64 // by head, buckets each
	Bias, Threshold [2]float64   // by head
}

// Encode makes the file that Decode reads.
func Encode(p Parameters) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	raw.WriteString(magic)
	for h := range heads {
		top := 0.0
		for _, w := range p.Weights[h] {
			top = max(top, math.Abs(w))
		}
		scale := top / 127
		if scale == 0 {
			scale = 1
		}
		for _, v := range []float64{scale, p.Bias[h], p.Threshold[h]} {
			if err := binary.Write(&raw, binary.LittleEndian, float32(v)); err != nil {
				return nil, err
			}
		}
		for _, w := range p.Weights[h] {
			raw.WriteByte(byte(int8(math.Round(w / scale))))
		}
	}
	if _, err := z.Write(raw.Bytes()); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Decode reads a file of weights.
func Decode(file []byte) (*Model, error) {
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("learned: %w", err)
	}
	const size = len(magic) + int(heads)*(3*4+buckets)
	raw, err := io.ReadAll(io.LimitReader(z, int64(size)+1))
	if err != nil {
		return nil, fmt.Errorf("learned: %w", err)
	}
	if len(raw) != size || string(raw[:len(magic)]) != magic {
		return nil, errors.New("learned: not a file of weights of this version")
	}
	raw = raw[len(magic):]
	m := &Model{}
	for h := range heads {
		number := func() float32 {
			v := math.Float32frombits(binary.LittleEndian.Uint32(raw))
			raw = raw[4:]
			return v
		}
		m.scale[h], m.bias[h], m.threshold[h] = number(), number(), number()
		if !finite(m.scale[h]) || !finite(m.bias[h]) || !finite(m.threshold[h]) {
			return nil, errors.New("learned: a number in the file of weights is not finite")
		}
		m.weights[h] = make([]int8, buckets)
		for i := range m.weights[h] {
			m.weights[h][i] = int8(raw[i])
		}
		raw = raw[buckets:]
	}
	return m, nil
}

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
