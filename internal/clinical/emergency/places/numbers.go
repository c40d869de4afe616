package places

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// Line is a service that answers a telephone.
type Line struct {
	Name      string   `yaml:"name"`
	Number    string   `yaml:"number"`
	Hours     string   `yaml:"hours"` // 24h, or as its operator says; empty where it isn't certain
	Languages []string `yaml:"languages"`
	URL       string   `yaml:"url"`
}

// CountryNumbers are what to dial in a country, as dialled inside it. A field
// that isn't known for certain is empty.
type CountryNumbers struct {
	Country   string   `yaml:"-"`
	Name      string   `yaml:"name"`
	Emergency string   `yaml:"emergency"` // one number for everything
	Ambulance string   `yaml:"ambulance"` // the medical one, where there is one of its own
	Police    string   `yaml:"police"`
	Also      []string `yaml:"also"` // others that reach an ambulance
	Text      string   `yaml:"text"` // for those who can't speak or hear
	Note      string   `yaml:"note"`
	Advice    *Line    `yaml:"advice"` // not for emergencies
	Poison    []Line   `yaml:"poison"`
	Crisis    []Line   `yaml:"crisis"`
	Source    string   `yaml:"source"`
	Checked   string   `yaml:"checked"`
}

// Medical is the number to dial first for somebody who may be dying, and the
// others that reach an ambulance too.
func (n CountryNumbers) Medical() (first string, others []string) {
	all := []string{n.Ambulance, n.Emergency}
	if n.Ambulance == "" {
		all = all[1:]
	}
	for _, s := range append(all[1:], n.Also...) {
		if s != "" && s != all[0] && !slices.Contains(others, s) {
			others = append(others, s)
		}
	}
	return all[0], others
}

// Speaking picks the line to name first: one that speaks the language, or else
// the first of the list. ok is false for an empty list.
func Speaking(lines []Line, language string) (l Line, ok bool) {
	for _, l := range lines {
		if slices.Contains(l.Languages, language) {
			return l, true
		}
	}
	if len(lines) == 0 {
		return Line{}, false
	}
	return lines[0], true
}

// Fallback is what is said where no country's numbers are known.
type Fallback struct {
	Numbers []string          `yaml:"numbers"`
	Text    map[string]string `yaml:"text"` // by language: en, fr, ar
}

// In is the text in a language, or in English.
func (f Fallback) In(language string) string {
	if s, ok := f.Text[language]; ok {
		return s
	}
	return f.Text["en"]
}

type directory struct {
	Version   string                    `yaml:"version"`
	Fallback  Fallback                  `yaml:"fallback"`
	Countries map[string]CountryNumbers `yaml:"countries"`
}

//go:embed data/numbers.yaml
var numbersFile []byte

var numbers = sync.OnceValues(func() (*directory, error) { return readNumbers(bytes.NewReader(numbersFile)) })

// Numbers are the numbers of a country, by the code that At answers. ok is false
// where none are known for certain: then the fallback is what to say. Territories
// have entries of their own and never their sovereign's.
func Numbers(country string) (n CountryNumbers, ok bool) {
	d, err := numbers()
	if err != nil {
		return CountryNumbers{}, false
	}
	n, ok = d.Countries[country]
	return n, ok
}

// Unknown is what to say where no country's numbers are known.
func Unknown() Fallback {
	d, err := numbers()
	if err != nil {
		return Fallback{Numbers: []string{"112", "911"}}
	}
	return d.Fallback
}

// NumbersVersion dates the directory of numbers.
func NumbersVersion() string {
	d, err := numbers()
	if err != nil {
		return ""
	}
	return d.Version
}

// NumbersCountries are the codes that have an entry, in order.
func NumbersCountries() []string {
	d, err := numbers()
	if err != nil {
		return nil
	}
	var codes []string
	for code := range d.Countries {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return codes
}

const maxNumbersBytes = 1 << 20

var (
	numberPattern   = regexp.MustCompile(`^(\*|\+)?[0-9][0-9 -]{0,19}$`)
	hoursPattern    = regexp.MustCompile(`^(24h|([0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]))$`)
	languagePattern = regexp.MustCompile(`^[a-z]{2,3}$`)
)

// readNumbers reads a directory of numbers, strictly.
func readNumbers(r io.Reader) (*directory, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxNumbersBytes+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxNumbersBytes {
		return nil, errors.New("places: the directory of numbers is too large")
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	var d directory
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("places: numbers: %w", err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("places: numbers: more than one document")
	}
	if !checkedPattern.MatchString(d.Version) {
		return nil, errors.New("places: numbers: version must be a month: 2026-11")
	}
	for _, s := range d.Fallback.Numbers {
		if !numberPattern.MatchString(s) {
			return nil, errors.New("places: numbers: the fallback has a number that is none")
		}
	}
	for _, language := range []string{"en", "fr", "ar"} {
		if d.Fallback.Text[language] == "" {
			return nil, fmt.Errorf("places: numbers: the fallback has no text in %s", language)
		}
	}
	if len(d.Fallback.Numbers) == 0 || len(d.Countries) == 0 {
		return nil, errors.New("places: numbers: empty")
	}
	for code, n := range d.Countries {
		if !isCode(code) {
			return nil, fmt.Errorf("places: numbers: %s is no code of a country", clip(code))
		}
		if err := n.validate(); err != nil {
			return nil, fmt.Errorf("places: numbers: %s: %w", code, err)
		}
		n.Country = code
		d.Countries[code] = n
	}
	return &d, nil
}

func (n CountryNumbers) validate() error {
	if err := checkText("name", n.Name, maxTextRunes); err != nil {
		return err
	}
	if err := checkText("source", n.Source, maxTextRunes); err != nil {
		return err
	}
	if !checkedPattern.MatchString(n.Checked) {
		return errors.New("checked must be a month: 2026-11")
	}
	if n.Emergency == "" && n.Ambulance == "" {
		return errors.New("neither an emergency nor an ambulance number: leave the country out")
	}
	for _, s := range append([]string{n.Emergency, n.Ambulance, n.Police, n.Text}, n.Also...) {
		if s != "" && !numberPattern.MatchString(s) {
			return fmt.Errorf("%s is no number", clip(s))
		}
	}
	lines := slices.Concat(n.Poison, n.Crisis)
	if n.Advice != nil {
		lines = append(lines, *n.Advice)
	}
	for _, l := range lines {
		if err := l.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (l Line) validate() error {
	if err := checkText("the name of a line", l.Name, maxTextRunes); err != nil {
		return err
	}
	switch {
	case !numberPattern.MatchString(l.Number):
		return fmt.Errorf("%s: %s is no number", l.Name, clip(l.Number))
	case l.Hours != "" && !hoursPattern.MatchString(l.Hours):
		return fmt.Errorf("%s: hours must be 24h or like 08:00-22:00", l.Name)
	case l.URL != "" && !strings.HasPrefix(l.URL, "https://"):
		return fmt.Errorf("%s: the address must begin with https://", l.Name)
	}
	for _, language := range l.Languages {
		if !languagePattern.MatchString(language) {
			return fmt.Errorf("%s: %s is no language", l.Name, clip(language))
		}
	}
	return nil
}
