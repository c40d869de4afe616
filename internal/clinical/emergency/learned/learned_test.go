package learned

import (
	"bytes"
	"strings"
	"testing"

	"github.com/chatmed/chatmed/internal/clinical/emergency/text"
)

func load(t testing.TB) *Model {
	t.Helper()
	m, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func reading(s string) *Text {
	tokens := text.Tokens(s, nil)
	return &Text{Tokens: tokens, Denied: make([]bool, len(tokens))}
}

// urgent is a model that knows one word.
func urgent(t testing.TB, word string) *Model {
	t.Helper()
	var p Parameters
	for h := range p.Weights {
		p.Weights[h] = make([]float64, buckets)
		p.Weights[h][hash('u', word, "")] = 100
		p.Bias[h] = -1
	}
	for g := range p.Groups {
		p.Groups[g] = make([]float64, 1<<GroupBits)
	}
	p.Groups[2][hash('u', word, "")&(1<<GroupBits-1)] = 1
	p.Curves = [heads]Curve{{1, 0, 0, 0, 0}, {1, 0, 0, 0, 0}}
	b, err := Encode(&p)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestReads(t *testing.T) {
	m := urgent(t, "blue")
	for s, want := range map[string]bool{
		"": false, "his lips are blue": true, "BLUE!": true, "a nice day": false, "nice. nice. nice. blue. nice.": true,
	} {
		o := m.Read(reading(s), nil)
		if p := m.Probability(o, 0, false); p > 0.5 != want || m.CriticalProbability(o, 0, false) > 0.5 != want {
			t.Errorf("%q: %+v %v", s, o, p)
		}
		if want && o.Group != "cardiac" {
			t.Errorf("%q: %+v", s, o)
		}
	}
	r := reading("not blue")
	r.Denied[1] = true
	if o := m.Read(r, nil); m.Probability(o, 0, false) > 0.5 {
		t.Errorf("a denied word counts: %+v", o)
	}
}

// More text around it never hides what was urgent, however much it is.
func TestNothingIsHidden(t *testing.T) {
	m := load(t)
	const said = "my husband cant breathe and his lips are going blue."
	before := m.Read(reading(said), nil)
	for _, calm := range []string{"The weather is nice today.", "I renewed my prescription.", "Thank you for the appointment last week."} {
		for n := 1; n < 40; n *= 3 {
			around := strings.Repeat(calm+" ", n)
			for _, s := range []string{around + said, said + " " + around, around + said + " " + around} {
				if o := m.Read(reading(s), nil); o.Score < before.Score || o.Critical < before.Critical {
					t.Errorf("hidden by %d times %q: %v instead of %v", n, calm, o.Score, before.Score)
				}
			}
		}
	}
}

func TestWordsAreInTheRun(t *testing.T) {
	r := reading("I renewed my prescription. My husband is blue. Thank you.")
	o := urgent(t, "blue").Read(r, nil)
	if len(o.Words) != 1 || r.Tokens[o.Words[0]].Form != "blue" || o.Start > o.Words[0] || o.End <= o.Words[0] {
		t.Fatalf("%+v", o)
	}
}

func TestFileRoundTrip(t *testing.T) {
	var p Parameters
	for h := range p.Weights {
		p.Weights[h] = make([]float64, buckets)
		p.Weights[h][5] = 2
		p.Weights[h][7] = -1
		p.Bias[h] = 0.5
	}
	for g := range p.Groups {
		p.Groups[g] = make([]float64, 1<<GroupBits)
	}
	p.Groups[3][9] = -4
	p.Source, p.Limits, p.Curves[Critical] = 77, Limits{0.5, 0.25, 0.75}, Curve{2, 0.5, 1, -1, -3}
	b, err := Encode(&p)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if m.weights[Critical][5] != 127 || m.weights[Urgent][7] != -64 || m.bias[Urgent] != 0.5 ||
		m.Source() != 77 || m.limits != p.Limits || m.curves != p.Curves || m.groups[3][9] != -127 {
		t.Errorf("%d %d %v %v %v", m.weights[Critical][5], m.weights[Urgent][7], m.bias, m.limits, m.groups[3][9])
	}
	for name, bad := range map[string][]byte{"empty": nil, "no gzip": []byte("weights"), "cut": b[:len(b)/2]} {
		if _, err := Decode(bad); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("can't breathe, je ne peux pas respirer, ما اقدر اتنفس")
	f.Add("....")
	m := load(f)
	f.Fuzz(func(t *testing.T, s string) {
		r := reading(s)
		o := m.Read(r, nil)
		if o.End > len(r.Tokens) || o.Start > o.End {
			t.Fatalf("%+v of %d tokens", o, len(r.Tokens))
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(embedded)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := Decode(b); err == nil && (m == nil || len(m.weights[Urgent]) != buckets) {
			t.Fatal("a model without weights")
		}
	})
}

func BenchmarkRead(b *testing.B) {
	m := load(b)
	s := reading(strings.Repeat("my chest feels tight since this morning and I sweat. ", 19)) // about 1,000 characters
	var scratch Scratch
	b.ReportAllocs()
	for b.Loop() {
		m.Read(s, &scratch)
	}
}

// The committed weights are those of this format.
func TestEmbedded(t *testing.T) {
	if !bytes.HasPrefix(embedded, []byte{0x1f, 0x8b}) || len(embedded) > 600<<10 {
		t.Errorf("%d bytes of weights", len(embedded))
	}
}
