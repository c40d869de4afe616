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

func read(m *Model, s string) Opinion { return m.Read(text.Tokens(s, nil), nil) }

func TestReads(t *testing.T) {
	m := load(t)
	for s, urgent := range map[string]bool{
		"": false,
		"my husband cant breathe and his lips are going blue":                     true,
		"mon père ne bouge plus un côté et il parle de travers depuis ce matin":   true,
		"ابني ازرق وما عم يتنفس منيح":                                             true,
		"I would like to renew my prescription for blood pressure tablets please": false,
		"bonjour je voudrais un certificat pour le sport merci":                   false,
		"اريد موعد لتجديد الوصفة شكرا":                                            false,
	} {
		o := read(m, s)
		if o.Urgent != urgent {
			t.Errorf("%q: %+v", s, o)
		}
		if o.Critical && !o.Urgent {
			t.Errorf("%q: critical and not urgent", s)
		}
	}
}

// More text around it never hides what was urgent.
func TestNothingIsHidden(t *testing.T) {
	m := load(t)
	const urgent = "my husband cant breathe and his lips are going blue."
	for _, calm := range []string{"The weather is nice today.", "I renewed my prescription.", "Thank you for the appointment last week."} {
		for n := 1; n < 40; n *= 3 {
			around := strings.Repeat(calm+" ", n)
			if !read(m, around+urgent).Urgent || !read(m, urgent+" "+around).Urgent || !read(m, around+urgent+" "+around).Urgent {
				t.Errorf("hidden by %d times %q", n, calm)
			}
		}
	}
}

func TestWordsAreInTheRun(t *testing.T) {
	m := load(t)
	const s = "I renewed my prescription. My husband cant breathe and his lips are going blue. Thank you."
	tokens := text.Tokens(s, nil)
	o := m.Read(tokens, nil)
	if !o.Urgent || len(o.Words) == 0 || len(o.Words) > maxWords {
		t.Fatalf("%+v", o)
	}
	for i, w := range o.Words {
		if w < o.Start || w >= o.End || i > 0 && w <= o.Words[i-1] {
			t.Errorf("words %v of tokens %d to %d", o.Words, o.Start, o.End)
		}
	}
}

func TestFileRoundTrip(t *testing.T) {
	var p Parameters
	for h := range p.Weights {
		p.Weights[h] = make([]float64, buckets)
		p.Weights[h][5] = 2
		p.Weights[h][7] = -1
		p.Bias[h], p.Threshold[h] = 0.5, -0.25
	}
	b, err := Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if m.weights[Critical][5] != 127 || m.weights[Urgent][7] != -64 || m.bias[Urgent] != 0.5 || m.threshold[Critical] != -0.25 {
		t.Errorf("%d %d %v %v", m.weights[Critical][5], m.weights[Urgent][7], m.bias, m.threshold)
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
		tokens := text.Tokens(s, nil)
		o := m.Read(tokens, nil)
		if o.End > len(tokens) || o.Start > o.End {
			t.Fatalf("%+v of %d tokens", o, len(tokens))
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
	s := strings.Repeat("my chest feels tight since this morning and I sweat. ", 19) // about 1,000 characters
	var tokens []text.Token
	var scratch Scratch
	b.ReportAllocs()
	for b.Loop() {
		tokens = text.Tokens(s, tokens[:0])
		m.Read(tokens, &scratch)
	}
}

// The committed weights are those of this format.
func TestEmbedded(t *testing.T) {
	if !bytes.HasPrefix(embedded, []byte{0x1f, 0x8b}) || len(embedded) > 400<<10 {
		t.Errorf("%d bytes of weights", len(embedded))
	}
}
