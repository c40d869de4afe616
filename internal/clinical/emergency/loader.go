package emergency

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/chatmed/chatmed/internal/clinical/emergency/text"
)

//go:embed rules
var embedded embed.FS

// languages are those that answers are written in.
var languages = []string{"en", "fr", "ar"}

// localized is a text in every language of the answers.
type localized struct {
	En string `yaml:"en"`
	Fr string `yaml:"fr"`
	Ar string `yaml:"ar"`
}

func (l localized) in(language string) string {
	switch language {
	case "fr":
		return l.Fr
	case "ar":
		return l.Ar
	}
	return l.En
}

func (l localized) complete() bool { return l.En != "" && l.Fr != "" && l.Ar != "" }

// kind says what a class of phrases is for.
type kind uint8

const (
	kindWord     kind = iota // a part of phrases, nothing by itself
	kindSign                 // a symptom or an event
	kindModifier             // who the patient is; also true when it began long ago
	kindMild                 // a complaint that is mild by itself
	kindBenign               // no complaint at all: thanks, a prescription renewal
)

var kinds = map[string]kind{"": kindSign, "sign": kindSign, "modifier": kindModifier, "mild": kindMild, "benign": kindBenign}

// entry is a class as it stands in words/ and concepts/.
type entry struct {
	About string  `yaml:"about"`
	Kind  string  `yaml:"kind"`
	Any   phrases `yaml:"any"` // of classes, in whatever language
	En    phrases `yaml:"en"`
	Fr    phrases `yaml:"fr"`
	Ar    phrases `yaml:"ar"`
	// Except are longer phrases in which the words mean something else: blood
	// in "blood pressure".
	Except phrases `yaml:"except"`
}

// phrases stand in one text, parted by semicolons or lines.
type phrases string

func (p phrases) list() []string {
	var out []string
	for _, s := range strings.FieldsFunc(string(p), func(r rune) bool { return r == ';' || r == '\n' }) {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// threshold is an entry of measures.yaml.
type threshold struct {
	Concept string   `yaml:"concept"`
	Measure string   `yaml:"measure"`
	AtLeast *float64 `yaml:"at_least"`
	Below   *float64 `yaml:"below"`

	class classID
	what  measure
}

func (t *threshold) meets(v float64) bool {
	return (t.AtLeast == nil || v >= *t.AtLeast) && (t.Below == nil || v < *t.Below)
}

type condition struct {
	ID        string    `yaml:"condition"`
	Names     localized `yaml:"names"`
	Level     Urgency   `yaml:"level"`
	Guideline string    `yaml:"guideline"`
	Actions   []string  `yaml:"actions"`
	Crisis    bool      `yaml:"crisis_line"`
	Poison    bool      `yaml:"poison_centre"`
	Rules     []rule    `yaml:"rules"`
}

type rule struct {
	ID        string  `yaml:"id"`
	When      string  `yaml:"when"`
	Level     Urgency `yaml:"level"`
	Strength  int     `yaml:"strength"` // 1 to 3: how sure the rule alone is
	Guideline string  `yaml:"guideline"`
	Always    bool    `yaml:"always"` // leaves no doubt; see Engine.weigh

	expr      *expr
	condition *condition
}

// bin is a row of calibration.yaml: what share of the texts that reached a
// score were as urgent as answered.
type bin struct {
	Score       int     `yaml:"score"`
	Probability float64 `yaml:"probability"`
}

type calibration struct {
	Urgent []bin              `yaml:"urgent"`
	Other  map[string]float64 `yaml:"other"`
}

type spelling struct {
	Aliases map[string]string `yaml:"aliases"`
	Common  []string          `yaml:"common"`
}

// set is everything that was read.
type set struct {
	version     string
	messages    map[string]localized
	actions     map[string]localized
	thresholds  []threshold
	calibration calibration
	conditions  []*condition
	rules       []*rule
	kinds       []kind
	lex         *lexicon
	cues        []classID
	ids         map[string]classID
}

// readWords appends the words of a file, one a line; # begins a comment.
func readWords(files fs.FS, name string, into *[]string) error {
	b, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		word, _, _ := strings.Cut(line, "#")
		if word = strings.TrimSpace(word); word != "" {
			*into = append(*into, word)
		}
	}
	return nil
}

// load reads and checks a folder of rule files. It refuses a field or a concept
// that it doesn't know.
func load(files fs.FS) (*set, error) {
	s := &set{}
	c := newCompiler()
	byName := map[string]kind{}
	var spell spelling
	var version struct {
		Version string `yaml:"version"`
		Review  string `yaml:"review"`
	}
	err := errors.Join(
		decodeFile(files, "version.yaml", &version),
		decodeFile(files, "messages.yaml", &s.messages),
		decodeFile(files, "actions.yaml", &s.actions),
		decodeFile(files, "measures.yaml", &s.thresholds),
		decodeFile(files, "calibration.yaml", &s.calibration),
		decodeFile(files, "spelling.yaml", &spell),
		readWords(files, "common.txt", &spell.Common),
		loadClasses(files, "words", c, byName),
		loadClasses(files, "concepts", c, byName),
		loadClasses(files, "dialects", c, byName),
	)
	if err != nil {
		return nil, err
	}
	if s.version = version.Version; s.version == "" {
		return nil, fmt.Errorf("version.yaml: a version is missing")
	}
	for i := range s.thresholds {
		t := &s.thresholds[i]
		var ok bool
		if t.what, ok = measures[t.Measure]; !ok {
			return nil, fmt.Errorf("measures.yaml: unknown measure %q", t.Measure)
		}
		if t.AtLeast == nil && t.Below == nil {
			return nil, fmt.Errorf("measures.yaml: %s has no bound", t.Concept)
		}
		t.class = c.class(t.Concept)
		if _, ok := byName[t.Concept]; !ok {
			byName[t.Concept] = kindModifier
		}
	}
	if err := defined(c, byName); err != nil {
		return nil, err
	}
	for _, q := range cueClasses {
		id, ok := c.ids[q.name]
		if !ok {
			return nil, fmt.Errorf("words: the cue %s is missing", q.name)
		}
		s.cues = append(s.cues, id)
	}
	aliases, err := spell.aliases()
	if err != nil {
		return nil, err
	}
	if err := s.loadConditions(files, c.ids, byName); err != nil {
		return nil, err
	}
	if s.lex, err = c.finish(s.cues, aliases, spell.Common); err != nil {
		return nil, err
	}
	s.ids = c.ids
	s.kinds = make([]kind, len(c.names))
	for name, k := range byName {
		s.kinds[c.ids[name]] = k
	}
	return s, s.check()
}

func (s spelling) aliases() (map[string][]string, error) {
	out := map[string][]string{}
	for from, to := range s.Aliases {
		f := text.Tokens(from, nil)
		if len(f) != 1 {
			return nil, fmt.Errorf("spelling.yaml: %q is not one word", from)
		}
		for _, t := range text.Tokens(to, nil) {
			out[f[0].Form] = append(out[f[0].Form], t.Form)
		}
	}
	return out, nil
}

// defined refuses a class that phrases name and no file defines.
func defined(c *compiler, byName map[string]kind) error {
	for _, name := range c.names {
		if name[0] == '=' || name[0] == '(' || name[0] == '!' {
			continue
		}
		if _, ok := byName[name]; !ok {
			return fmt.Errorf("the class @%s is used and not defined", name)
		}
	}
	return nil
}

func decodeFile(files fs.FS, name string, into any) error {
	b, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	return decode(name, b, into)
}

func decode(name string, b []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func loadClasses(files fs.FS, folder string, c *compiler, byName map[string]kind) error {
	names, err := fs.Glob(files, folder+"/*.yaml")
	if err != nil {
		return err
	}
	slices.Sort(names)
	var wrong []error
	for _, name := range names {
		entries := map[string]entry{}
		if err := decodeFile(files, name, &entries); err != nil {
			return err
		}
		for _, class := range slices.Sorted(maps.Keys(entries)) {
			e := entries[class]
			if class == "" || strings.Trim(class, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
				return fmt.Errorf("%s: %q is no name of a class", name, class)
			}
			if err := declare(folder, class, e, byName); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			id := c.class(class)
			if err := c.except(id, e.Except.list()); err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %s: %w", name, class, err))
			}
			for _, phrase := range slices.Concat(e.Any.list(), e.En.list(), e.Fr.list(), e.Ar.list()) {
				if err := c.phrase(id, phrase); err != nil {
					wrong = append(wrong, fmt.Errorf("%s: %s: %w", name, class, err))
				}
			}
		}
	}
	return errors.Join(wrong...)
}

// declare notes a class's kind. Files in dialects/ add phrases to classes that
// are there, and to no others.
func declare(folder, class string, e entry, byName map[string]kind) error {
	_, known := byName[class]
	k, ok := kinds[e.Kind]
	switch {
	case folder == "dialects":
		if !known {
			return fmt.Errorf("there is no class %s to add phrases to", class)
		}
		return nil
	case known:
		return fmt.Errorf("%s is defined twice", class)
	case !ok:
		return fmt.Errorf("%s: unknown kind %q", class, e.Kind)
	case folder == "words":
		k = kindWord
	}
	byName[class] = k
	return nil
}

func (s *set) loadConditions(files fs.FS, ids map[string]classID, byName map[string]kind) error {
	names, err := fs.Glob(files, "conditions/*.yaml")
	if err != nil {
		return err
	}
	slices.Sort(names)
	concept := func(name string) (classID, error) {
		if k, ok := byName[name]; !ok || k == kindWord {
			return 0, fmt.Errorf("unknown concept %q", name)
		}
		return ids[name], nil
	}
	for _, name := range names {
		var list []*condition
		if err := decodeFile(files, name, &list); err != nil {
			return err
		}
		for _, cond := range list {
			s.conditions = append(s.conditions, cond)
			for i := range cond.Rules {
				r := &cond.Rules[i]
				r.condition = cond
				if r.Level == "" {
					r.Level = cond.Level
				}
				if r.Guideline == "" {
					r.Guideline = cond.Guideline
				}
				if r.expr, err = parseExpr(r.When, concept); err != nil {
					return fmt.Errorf("%s: rule %s: %w", path.Base(name), r.ID, err)
				}
				s.rules = append(s.rules, r)
			}
		}
	}
	return nil
}

// check refuses what is incomplete.
func (s *set) check() error {
	seen := map[string]bool{}
	once := func(what, id string) error {
		if id == "" || seen[what+id] {
			return fmt.Errorf("the %s %q is empty or there twice", what, id)
		}
		seen[what+id] = true
		return nil
	}
	for _, group := range []map[string]localized{s.messages, s.actions} {
		for name, m := range group {
			if !m.complete() {
				return fmt.Errorf("%s is not in all of %v", name, languages)
			}
		}
	}
	for _, name := range neededMessages {
		if _, ok := s.messages[name]; !ok {
			return fmt.Errorf("messages.yaml: %s is missing", name)
		}
	}
	for _, c := range s.conditions {
		if err := once("condition", c.ID); err != nil {
			return err
		}
		if !c.Names.complete() || len(c.Rules) == 0 || len(c.Actions) == 0 || (c.Level != Critical && c.Level != High && c.Level != Moderate) {
			return fmt.Errorf("the condition %s lacks a name, a level, a rule or an action", c.ID)
		}
		for _, a := range c.Actions {
			if _, ok := s.actions[a]; !ok {
				return fmt.Errorf("the condition %s: unknown action %q", c.ID, a)
			}
		}
	}
	for _, r := range s.rules {
		if err := once("rule", r.ID); err != nil {
			return err
		}
		if r.Guideline == "" || r.Strength < 1 || r.Strength > 3 || r.Level != Critical && r.Level != High && r.Level != Moderate {
			return fmt.Errorf("the rule %s needs a guideline, a strength from 1 to 3 and a level", r.ID)
		}
	}
	return nil
}
