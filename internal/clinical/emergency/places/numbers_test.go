package places

import (
	"slices"
	"strings"
	"testing"
)

func TestNumbersEmbedded(t *testing.T) {
	t.Parallel()
	d, err := numbers()
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Countries) < 200 {
		t.Errorf("%d countries", len(d.Countries))
	}
	for code, n := range d.Countries {
		if Sovereign(code) == "" {
			t.Errorf("%s has numbers and no borders", code)
		}
		if n.Country != code {
			t.Errorf("%s says it is %s", code, n.Country)
		}
		first, others := n.Medical()
		if first == "" || slices.Contains(others, first) {
			t.Errorf("%s: medical %q, %v", code, first, others)
		}
	}
}

func TestNumbersKnown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ code, first, crisis, poison string }{
		{"FR", "15", "3114", "01 40 05 48 48"}, {"RE", "15", "3114", ""}, {"GB", "999", "116 123", "111"},
		{"US", "911", "988", "1-800-222-1222"}, {"CA", "911", "988", "1-844-764-7669"}, {"PR", "911", "1-800-981-0023", "1-800-222-1222"},
		{"DE", "112", "0800 111 0 111", "030 19240"}, {"MA", "15", "", "0801 000 180"}, {"DZ", "14", "", ""}, {"TN", "190", "", ""},
		{"EG", "123", "16328", ""}, {"SA", "997", "920033360", ""}, {"AE", "998", "", "800 424"}, {"JO", "911", "", ""},
		{"LB", "140", "1564", ""}, {"QA", "999", "", ""}, {"KW", "112", "", ""}, {"OM", "9999", "", ""}, {"BH", "999", "", ""},
		{"PS", "101", "", ""}, {"HK", "999", "18111", ""}, {"JP", "119", "0120-279-338", "072-727-2499"}, {"AU", "000", "13 11 14", "13 11 26"},
		{"NZ", "111", "1737", "0800 764 766"}, {"ZA", "10177", "0800 567 567", "0861 555 777"}, {"BR", "192", "188", "0800 722 6001"},
		{"NO", "113", "116 123", "22 59 13 00"}, {"CH", "144", "143", "145"}, {"NC", "15", "", ""},
	} {
		n, ok := Numbers(c.code)
		if !ok {
			t.Errorf("%s: none", c.code)
			continue
		}
		if first, _ := n.Medical(); first != c.first {
			t.Errorf("%s: %s first, want %s", c.code, first, c.first)
		}
		if got := number(n.Crisis); got != c.crisis {
			t.Errorf("%s: crisis line %q, want %q", c.code, got, c.crisis)
		}
		if got := number(n.Poison); got != c.poison {
			t.Errorf("%s: poison centre %q, want %q", c.code, got, c.poison)
		}
	}
}

func number(lines []Line) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0].Number
}

// 112 works in every country of the European Union, by its law, and in those of
// the Economic Area but for Norway's, where it is the police.
func TestNumbersOfTheUnion(t *testing.T) {
	t.Parallel()
	for _, code := range strings.Fields("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK IS LI") {
		n, ok := Numbers(code)
		if first, others := n.Medical(); !ok || first != "112" && !slices.Contains(others, "112") {
			t.Errorf("%s: %q, %v", code, first, others)
		}
	}
}

func TestNumbersUnknown(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"", "ZZ", "XB", "KP", "fr", "France"} {
		if n, ok := Numbers(code); ok {
			t.Errorf("%q: %v", code, n)
		}
	}
	f := Unknown()
	if !slices.Equal(f.Numbers, []string{"112", "911"}) {
		t.Errorf("fallback %v", f.Numbers)
	}
	for _, language := range []string{"en", "fr", "ar", "de"} {
		if s := f.In(language); !strings.Contains(s, "112") || !strings.Contains(s, "911") {
			t.Errorf("%s: %s", language, s)
		}
	}
	if f.In("fr") == f.In("en") || f.In("de") != f.In("en") {
		t.Error("fallback in the wrong language")
	}
	if NumbersVersion() != "2026-11" || len(NumbersCountries()) < 200 {
		t.Errorf("version %s, %d countries", NumbersVersion(), len(NumbersCountries()))
	}
}

func TestSpeaking(t *testing.T) {
	t.Parallel()
	belgium, _ := Numbers("BE")
	for language, want := range map[string]string{"nl": "1813", "fr": "0800 32 123", "ar": "1813"} {
		if l, ok := Speaking(belgium.Crisis, language); !ok || l.Number != want {
			t.Errorf("%s: %+v, %v", language, l, ok)
		}
	}
	if _, ok := Speaking(nil, "fr"); ok {
		t.Error("a line of none")
	}
}

const goodNumbers = `version: "2026-11"
fallback: {numbers: ["112"], text: {en: a, fr: b, ar: c}}
countries:
  FR: {name: France, ambulance: "15", source: SAMU, checked: "2026-11"}
`

func TestReadNumbersRefuses(t *testing.T) {
	t.Parallel()
	if _, err := readNumbers(strings.NewReader(goodNumbers)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"an unknown field":      {"ambulance:", "ambulances:"},
		"no number":             {`ambulance: "15", `, ""},
		"words for a number":    {`"15"`, `"fifteen"`},
		"no source":             {"source: SAMU, ", ""},
		"no month":              {`checked: "2026-11"`, `checked: "soon"`},
		"no version":            {`version: "2026-11"`, `version: ""`},
		"a long code":           {"  FR:", "  FRA:"},
		"a language less":       {", ar: c", ""},
		"a fallback of nothing": {`["112"]`, "[]"},
		"odd hours":             {`ambulance: "15"`, `ambulance: "15", crisis: [{name: a, number: "1", hours: always}]`},
		"a plain address":       {`ambulance: "15"`, `ambulance: "15", crisis: [{name: a, number: "1", url: "http://a.example"}]`},
		"a nameless line":       {`ambulance: "15"`, `ambulance: "15", crisis: [{number: "1"}]`},
		"a code twice":          {"  FR:", "  FR: {name: F, ambulance: \"1\", source: S, checked: \"2026-11\"}\n  FR:"},
		"a second document":     {"countries:", "---\ncountries:"},
	} {
		doc := strings.Replace(goodNumbers, change[0], change[1], 1)
		if doc == goodNumbers {
			t.Errorf("%s: nothing changed", name)
		}
		if _, err := readNumbers(strings.NewReader(doc)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := readNumbers(strings.NewReader(goodNumbers + strings.Repeat("#", maxNumbersBytes))); err == nil {
		t.Error("a file too large is taken")
	}
}

func FuzzReadNumbers(f *testing.F) {
	f.Add(goodNumbers)
	f.Add("countries: {FR: {crisis: [{}]}}")
	f.Fuzz(func(t *testing.T, doc string) {
		d, err := readNumbers(strings.NewReader(doc))
		if err != nil {
			return
		}
		for code, n := range d.Countries {
			if first, _ := n.Medical(); first == "" || n.Country != code {
				t.Fatalf("%s: %+v", code, n)
			}
		}
	})
}

func BenchmarkNumbers(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		n, _ := Numbers("FR")
		sink = n.Ambulance
	}
}
