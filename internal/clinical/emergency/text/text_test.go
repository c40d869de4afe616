package text

import (
	"strings"
	"testing"
)

func forms(s string) string {
	var out []string
	for _, t := range Tokens(s, nil) {
		f := t.Form
		if t.Break {
			f = "|" + f
		}
		out = append(out, f)
	}
	return strings.Join(out, " ")
}

func TestTokens(t *testing.T) {
	for in, want := range map[string]string{
		"I can't breathe!":     "i cant breathe",
		"I can’t":              "i cant",
		"J'ai mal à l'œil":     "je ai mal a le oeil",
		"n’arrive":             "ne arrive",
		"aujourd'hui":          "aujourdhui",
		"Mum's chest":          "mum chest",
		"he's ill":             "hes ill",
		"A. B? C":              "a |b |c",
		"light-headed":         "light headed",
		"38,5°C":               "38.5 deg c",
		"38.5C":                "38.5 c",
		"1,000 pills":          "1000 pills",
		"120/80":               "120 / 80",
		"2yo":                  "2 yo",
		"wja3 3andi 7amla":     "wja3 3andi 7amla",
		"20mg":                 "20 mg",
		"٣٨٫٥":                 "38.5",
		"أَلَم في الصَّدر":     "الم في الصدر",
		"فجأة":                 "فجاه",
		"مووووت":               "مووت",
		"heeeeelp":             "heelp",
		"ｃｈｅｓｔ":                "chest",
		"صدري chest":           "صدري chest",
		"SpO2 84%":             "spo2 84 percent",
		"\u200fعندي\u200b ألم": "عندي الم",
		"a\xffb":               "a b",
		"pain...now":           "pain |now",
		"qu'est-ce que c'est":  "que est ce que ce est",
		"فمه\u200cاعوج":        "فمهاعوج",
		"🚑 help":               "help",
		"6-week-old":           "6 week old",
		"الحَرَارَةُ ٣٩":       "الحراره 39",
	} {
		if got := forms(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestOffsets(t *testing.T) {
	s := "L'œil é٣٨ ألم"
	for _, tok := range Tokens(s, nil) {
		if tok.Start < 0 || tok.End > len(s) || tok.Start >= tok.End {
			t.Errorf("%+v", tok)
		}
	}
}

func TestNumberAt(t *testing.T) {
	for in, want := range map[string]float64{
		"twenty five": 25, "quatre vingt dix": 90, "soixante douze": 72, "خمسة وعشرين": 25, "thirty": 30, "two hundred and five": 205,
		"vingt et un": 21, "38.4": 38.4, "dix sept": 17, "ثلاثين": 30, "one": 1,
	} {
		tokens := Tokens(in, nil)
		if got, n := NumberAt(tokens, 0); got != want || n != len(tokens) {
			t.Errorf("%q: %v of %d tokens", in, got, n)
		}
	}
}

func TestSpeller(t *testing.T) {
	s := NewSpeller([]string{"breathing", "chest", "seizure", "unconscious", "poitrine"})
	for in, want := range map[string]string{"breething": "breathing", "chset": "chest", "siezure": "seizure", "unconcious": "unconscious", "poitrne": "poitrine", "breast": "", "zebra": ""} { //nolint:misspell // slips
		if got, _ := s.Correct(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzTokens(f *testing.F) {
	for _, s := range []string{"I can't", "l'œil", "٣٨٫٥°", "3andi", "\xff\xfe", "a''b", "1.2.3/4", "mum's", "x's'", "ﷺ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		last := 0
		tokens := Tokens(s, nil)
		for i, tok := range tokens {
			if tok.Start < last || tok.End > len(s) || tok.Start > tok.End || tok.Form == "" {
				t.Fatalf("%q: %+v after %d", s, tok, last)
			}
			last = tok.Start
			NumberAt(tokens, i)
			Stems(tok.Form, func(string, bool) bool { return false })
		}
	})
}
