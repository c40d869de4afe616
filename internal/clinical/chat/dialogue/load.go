package dialogue

import (
	"bytes"
	"embed"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/chatmed/chatmed/internal/clinical/chat/search"
)

//go:embed rules
var embedded embed.FS

// Languages are those that answers are written in.
func Languages() []string { return []string{"en", "fr", "ar"} }

// Words are a text in every language.
type Words struct {
	En string `yaml:"en"`
	Fr string `yaml:"fr"`
	Ar string `yaml:"ar"`
}

// In is the text in a language, English for one that is not ours.
func (w Words) In(language string) string {
	switch language {
	case "fr":
		return w.Fr
	case "ar":
		return w.Ar
	}
	return w.En
}

func (w Words) complete() bool { return w.En != "" && w.Fr != "" && w.Ar != "" }

type phrases struct {
	En []string `yaml:"en"`
	Fr []string `yaml:"fr"`
	Ar []string `yaml:"ar"`
}

func (p phrases) in(language string) []string {
	switch language {
	case "fr":
		return p.Fr
	case "ar":
		return p.Ar
	}
	return p.En
}

// Complaint is what people come with.
type Complaint struct {
	ID       string   `yaml:"id"`
	Level    Urgency  `yaml:"level"`
	Long     float64  `yaml:"long"` // days
	Source   string   `yaml:"source"`
	Topics   []string `yaml:"topics"`
	Concepts []string `yaml:"concepts"`
	Ask      []string `yaml:"ask"`
	Name     Words    `yaml:"name"`
	Words    phrases  `yaml:"words"`
}

// Question is something that can be asked and recognised.
type Question struct {
	ID       string   `yaml:"id"`
	Level    Urgency  `yaml:"level"`
	Source   string   `yaml:"source"`
	Concepts []string `yaml:"concepts"`
	Name     Words    `yaml:"name"`
	Ask      Words    `yaml:"ask"`
	Words    phrases  `yaml:"words"`
}

// Rules are the embedded tables. Immutable.
type Rules struct {
	complaints map[string]*Complaint
	questions  map[string]*Question
	texts      map[string]Words
	order      []*Complaint
	facts      []*Question
	ofConcept  map[string][]string // to facts
	about      map[string][]string // to complaints
	lexicons   map[string]*lexicon
}

// Load reads the embedded tables.
func Load() (*Rules, error) {
	r := &Rules{
		complaints: map[string]*Complaint{}, questions: map[string]*Question{}, ofConcept: map[string][]string{},
		about: map[string][]string{}, lexicons: map[string]*lexicon{},
	}
	intents := map[string]phrases{}
	for file, into := range map[string]any{"complaints": &r.order, "facts": &r.facts, "texts": &r.texts, "intents": &intents} {
		raw, err := embedded.ReadFile("rules/" + file + ".yaml")
		if err != nil {
			return nil, err
		}
		dec := yaml.NewDecoder(bytes.NewReader(raw))
		dec.KnownFields(true)
		if err := dec.Decode(into); err != nil {
			return nil, fmt.Errorf("rules/%s.yaml: %w", file, err)
		}
	}
	for name, w := range r.texts {
		if !w.complete() {
			return nil, fmt.Errorf("texts.yaml: %s lacks a language", name)
		}
	}
	for _, q := range r.facts {
		if !q.Name.complete() || !q.Ask.complete() || q.Source == "" || r.questions[q.ID] != nil || !valid(q.Level) {
			return nil, fmt.Errorf("facts.yaml: %s is not whole, or twice", q.ID)
		}
		r.questions[q.ID] = q
		for _, c := range q.Concepts {
			r.ofConcept[c] = append(r.ofConcept[c], q.ID)
		}
	}
	for _, c := range r.order {
		if !c.Name.complete() || c.Source == "" || r.complaints[c.ID] != nil || !valid(c.Level) {
			return nil, fmt.Errorf("complaints.yaml: %s is not whole, or twice", c.ID)
		}
		for _, a := range c.Ask {
			if r.questions[a] == nil {
				return nil, fmt.Errorf("complaints.yaml: %s asks %s, which is not in facts.yaml", c.ID, a)
			}
		}
		r.complaints[c.ID] = c
		for _, k := range c.Concepts {
			r.about[k] = append(r.about[k], c.ID)
		}
	}
	for _, l := range Languages() {
		r.lexicons[l] = newLexicon(l, r, intents)
	}
	return r, nil
}

func valid(u Urgency) bool { return u == Low || u == Moderate || u == High || u == Critical }

// Text is one of the assistant's own texts, with pairs of names and values
// filled in.
func (r *Rules) Text(name, language string, pairs ...string) string {
	s := r.texts[name].In(language)
	for i := 0; i+1 < len(pairs); i += 2 {
		s = strings.ReplaceAll(s, "{"+pairs[i]+"}", pairs[i+1])
	}
	return s
}

// ComplaintOf is a complaint by id, nil for one that is not ours.
func (r *Rules) ComplaintOf(id string) *Complaint { return r.complaints[id] }

// QuestionOf is a question by id, nil for one that is not ours.
func (r *Rules) QuestionOf(id string) *Question { return r.questions[id] }

// Questions are all, in their order.
func (r *Rules) Questions() []*Question { return r.facts }

// Complaints are all, in their order.
func (r *Rules) Complaints() []*Complaint { return r.order }

// token is a word of a text.
type token struct {
	word, stem string
	brk        bool // a sentence ended before it
}

func tokens(language, s string) []token {
	var out []token
	for _, sentence := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(".!?;\n؟؛…", r) }) {
		for i, w := range search.Words(language, sentence) {
			out = append(out, token{w, search.Stem(language, w), i == 0})
			if len(out) == maxTokens {
				return out
			}
		}
	}
	return out
}

// maxTokens bounds what a message can cost.
const maxTokens = 1200
