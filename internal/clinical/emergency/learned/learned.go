// Package learned is the second reading of the emergency screen: a linear model
// over words, pieces of words and the concepts of the rules, learned from the
// committed development texts, in three languages at once. Rules know what they
// were written for; this reads what people write beside it, with misspellings,
// dialect and understatement.
//
// A text is read sentence by sentence and in runs of neighbouring sentences, and
// the most urgent run counts. So nothing that is added takes away from what was
// there.
package learned

import "math"

const (
	// Bits is the size of a feature's hash. Several features may share a weight.
	Bits    = 18
	buckets = 1 << Bits
	// GroupBits is that of the features that tell groups apart.
	GroupBits = 14
	// MaxRun is how many neighbouring sentences are read together.
	MaxRun = 6
	// Damping keeps short runs from weighing as much as long ones: the sum of
	// the weights is divided by the root of their number and this.
	Damping = 200
	// maxWords bounds the words named.
	maxWords = 4
)

// Head is one question that the model answers.
type Head int

// The heads.
const (
	Urgent   Head = iota // high or critical, against everything else
	Critical             // critical, against everything else
	heads
)

// Groups are the fields that an urgent text is sorted into.
var Groups = [...]string{
	"abdomen_vascular", "breathing", "cardiac", "child", "eye", "infection_metabolic",
	"mental", "neuro", "obstetric", "other", "poisoning", "trauma",
}

// Model is immutable and safe for concurrent use.
type Model struct {
	weights [heads][]int8
	scale   [heads]float32
	bias    [heads]float32
	limits  Limits
	curves  [heads]Curve
	groups  [len(Groups)][]int8
	source  uint64
}

// Limits are where decisions are taken.
type Limits struct {
	// Raise is the probability from which a text is urgent in which no rule found
	// that, Keep the one from which what unsure rules found stands.
	Raise, Keep float64
	// Critical is the probability from which what is urgent is critical.
	Critical float64
}

// Curve is the logistic curve that turns both readings into a probability: the
// weight of the score, of the rules' score, of their having found something
// urgent, of how much was said of signs, and the intercept. The first three are
// not negative. The fourth is not positive: among the many sentences of a long
// account one is sooner alarming by itself.
type Curve [5]float64

// muchSaid is the number of tokens from which more makes no difference.
const muchSaid = 60

// At is the probability of a text whose most urgent run has the score.
func (c Curve) At(score float64, rules int, urgent bool, signs int) float64 {
	x := c[0]*score + c[3]*min(float64(signs)/muchSaid, 1) + c[4]
	if urgent {
		x += c[1]*float64(rules) + c[2]
	}
	return 1 / (1 + math.Exp(-x))
}

// Source is the fingerprint of the rules whose concepts the model was learned
// with.
func (m *Model) Source() uint64 { return m.source }

// Opinion is what the model makes of a text.
type Opinion struct {
	// Score of the most urgent run, any number; Critical: it may be more than
	// urgent.
	Score    float64
	Critical float64 // the same of the head of that name
	Signs    int     // of the text
	// Start and End are the tokens of the run that decided, and Words those in
	// it that weighed most.
	Start, End int
	Words      []int
	// Group is the field of the run, one of Groups.
	Group string
}

// Limits are where decisions are taken.
func (m *Model) Limits() Limits { return m.limits }

// Probability is that of a text being high or critical, in a sample of which
// half is. rules is the score of what rules found, urgent whether that was high
// or critical.
func (m *Model) Probability(o Opinion, rules int, urgent bool) float64 {
	return m.curves[Urgent].At(o.Score, rules, urgent, o.Signs)
}

// CriticalProbability is that of its being critical; critical says whether rules
// found that.
func (m *Model) CriticalProbability(o Opinion, rules int, critical bool) float64 {
	return m.curves[Critical].At(o.Critical, rules, critical, o.Signs)
}

// sums are the weights of all sentences before one, and how many features those
// have.
type sums struct {
	total [heads]float32
	n     int32
	from  int32 // the sentence's first token
}

// Scratch is the memory of one Read, for the next.
type Scratch struct{ sums []sums }

// Read gives an opinion. scratch may be nil.
func (m *Model) Read(t *Text, scratch *Scratch) Opinion {
	if len(t.Tokens) == 0 {
		return Opinion{Score: math.Inf(-1), Critical: math.Inf(-1)}
	}
	if scratch == nil {
		scratch = &Scratch{}
	}
	s := append(scratch.sums[:0], sums{})
	t.Sentences(func(_, to int, features []uint32) {
		next := s[len(s)-1]
		for _, f := range features {
			for h := range heads {
				next.total[h] += float32(m.weights[h][f])
			}
		}
		next.n += int32(len(features)) //nolint:gosec // bounded text
		next.from = int32(to)          //nolint:gosec // bounded text
		s = append(s, next)
	})
	scratch.sums = s
	best, critical := float32(math.Inf(-1)), float32(math.Inf(-1))
	o := Opinion{Signs: t.Signs}
	for i := range len(s) - 1 {
		for j := i + 1; j < len(s) && j <= i+MaxRun; j++ {
			if v := m.score(s[i], s[j], Urgent); v > best {
				best, o.Start, o.End = v, int(s[i].from), int(s[j].from)
			}
			critical = max(critical, m.score(s[i], s[j], Critical))
		}
	}
	o.Score, o.Critical = float64(best), float64(critical)
	o.Words, o.Group = m.heaviest(t, o.Start, o.End), m.group(t, o.Start, o.End)
	return o
}

// score is the logit of a head for the sentences between two sums.
func (m *Model) score(a, b sums, h Head) float32 {
	return (b.total[h]-a.total[h])*m.scale[h]/float32(math.Sqrt(float64(b.n-a.n)+Damping)) + m.bias[h]
}

// heaviest are the tokens of a run that speak most for urgency, in their order.
func (m *Model) heaviest(t *Text, start, end int) []int {
	weight := make([]float32, end-start)
	for i := start; i < end; i++ {
		t.features(i, func(f uint32) { weight[i-start] += float32(m.weights[Urgent][f]) })
	}
	for _, c := range t.Concepts {
		if c.Token >= start && c.Token < end {
			weight[c.Token-start] += float32(m.weights[Urgent][c.Feature])
		}
	}
	var named [maxWords]int
	n := 0
	for range maxWords {
		top, at := float32(0), -1
		for i, w := range weight {
			if w > top {
				top, at = w, i
			}
		}
		if at < 0 {
			break
		}
		weight[at] = 0
		k := n
		for ; k > 0 && named[k-1] > start+at; k-- {
			named[k] = named[k-1]
		}
		named[k] = start + at
		n++
	}
	return append([]int(nil), named[:n]...)
}

// GroupFeatures calls f with the features of tokens from start to end that tell
// groups apart: words and concepts.
func (t *Text) GroupFeatures(start, end int, f func(feature uint32)) {
	for i := start; i < end; i++ {
		if !t.Denied[i] {
			f(hash('u', t.Tokens[i].Form, "") & (1<<GroupBits - 1))
			f(hash('m', stem(t.Tokens[i].Form), "") & (1<<GroupBits - 1))
		}
	}
	for _, c := range t.Concepts {
		if c.Token >= start && c.Token < end {
			f(c.Feature & (1<<GroupBits - 1))
		}
	}
}

func (m *Model) group(t *Text, start, end int) string {
	var total [len(Groups)]int
	t.GroupFeatures(start, end, func(f uint32) {
		for g := range m.groups {
			total[g] += int(m.groups[g][f])
		}
	})
	best := 0
	for g := range total {
		if total[g] > total[best] {
			best = g
		}
	}
	return Groups[best]
}
