package chat

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/chatmed/chatmed/internal/clinical/chat/dialogue"
	"github.com/chatmed/chatmed/internal/clinical/chat/search"
)

//go:embed topics names.yaml
var embedded embed.FS

// Entry is a topic in one language.
type Entry struct {
	Name     string   `yaml:"name"`
	Also     []string `yaml:"also"`
	What     string   `yaml:"what"`
	Causes   string   `yaml:"causes"`
	Symptoms string   `yaml:"symptoms"`
	SelfCare string   `yaml:"self_care"`
	SeekCare string   `yaml:"seek_care"`
	RedFlags string   `yaml:"red_flags"`
}

// Topic is what the knowledge base has of one illness or question.
type Topic struct {
	ID     string   `yaml:"id"`
	Source string   `yaml:"source"`
	See    []string `yaml:"see"`
	En     Entry    `yaml:"en"`
	Fr     Entry    `yaml:"fr"`
	Ar     Entry    `yaml:"ar"`
}

// In is the topic in a language, English for one that is not ours.
func (t *Topic) In(language string) *Entry {
	switch language {
	case "fr":
		return &t.Fr
	case "ar":
		return &t.Ar
	}
	return &t.En
}

// Part is what a facet of a question asks for.
func (e *Entry) Part(f search.Facet) string {
	switch f {
	case search.Causes:
		return e.Causes
	case search.Symptoms:
		return e.Symptoms
	case search.SelfCare:
		return e.SelfCare
	case search.SeekCare:
		return e.SeekCare
	case search.RedFlags:
		return e.RedFlags
	}
	return e.What
}

// Base is the embedded knowledge base. Immutable.
type Base struct {
	topics  map[string]*Topic
	order   []string
	indexes map[string]*search.Index
}

// LoadBase reads the embedded topics and builds their indexes.
func LoadBase() (*Base, error) {
	b := &Base{topics: map[string]*Topic{}, indexes: map[string]*search.Index{}}
	err := fs.WalkDir(embedded, "topics", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		raw, err := embedded.ReadFile(path)
		if err != nil {
			return err
		}
		return b.add(path, raw)
	})
	if err != nil {
		return nil, fmt.Errorf("chat topics: %w", err)
	}
	if len(b.order) == 0 {
		return nil, errors.New("chat topics: there are none")
	}
	slices.Sort(b.order)
	more, err := moreNames()
	if err != nil {
		return nil, err
	}
	for _, l := range dialogue.Languages() {
		docs := make([]search.Document, 0, len(b.order))
		for _, id := range b.order {
			e := b.topics[id].In(l)
			docs = append(docs, search.Document{ID: id, Names: slices.Concat([]string{e.Name}, e.Also, more[id].in(l)), Fields: []search.Field{
				{Text: e.What, Weight: 1}, {Text: e.Symptoms, Weight: 0.9}, {Text: e.Causes, Weight: 0.7},
				{Text: e.SelfCare, Weight: 0.6}, {Text: e.SeekCare, Weight: 0.4}, {Text: e.RedFlags, Weight: 0.3},
			}})
		}
		b.indexes[l] = search.New(l, docs)
	}
	return b, nil
}

type names struct {
	En []string `yaml:"en"`
	Fr []string `yaml:"fr"`
	Ar []string `yaml:"ar"`
}

func (n names) in(language string) []string {
	switch language {
	case "fr":
		return n.Fr
	case "ar":
		return n.Ar
	}
	return n.En
}

// moreNames are names of topics beside their own.
func moreNames() (map[string]names, error) {
	raw, err := embedded.ReadFile("names.yaml")
	if err != nil {
		return nil, err
	}
	out := map[string]names{}
	if err := yaml.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("names.yaml: %w", err)
	}
	return out, nil
}

func (b *Base) add(path string, raw []byte) error {
	var list []*Topic
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&list); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, t := range list {
		if t.ID == "" || t.Source == "" || b.topics[t.ID] != nil {
			return fmt.Errorf("%s: topic %q is twice, or lacks id or source", path, t.ID)
		}
		for _, l := range dialogue.Languages() {
			e := t.In(l)
			for _, s := range []string{e.Name, e.What, e.Causes, e.Symptoms, e.SelfCare, e.SeekCare, e.RedFlags} {
				if strings.TrimSpace(s) == "" {
					return fmt.Errorf("%s: topic %s lacks a text in %s", path, t.ID, l)
				}
			}
		}
		b.topics[t.ID] = t
		b.order = append(b.order, t.ID)
	}
	return nil
}

// Topic is a topic by id, nil for one that is not there.
func (b *Base) Topic(id string) *Topic { return b.topics[id] }

// IDs are the ids of all topics, sorted.
func (b *Base) IDs() []string { return b.order }

// Find returns the best topics of a question, whatever language it is in.
func (b *Base) Find(question string, limit int) []search.Hit {
	language := search.Language(question)
	hits := b.indexes[language].Find(question, limit)
	if language == "ar" || len(hits) > 0 && hits[0].Named {
		return hits
	}
	other := map[string]string{"en": "fr", "fr": "en"}[language]
	second := b.indexes[other].Find(question, limit)
	switch {
	case len(second) == 0:
		return hits
	case len(hits) == 0, second[0].Named && second[0].Covered > hits[0].Covered:
		return second
	}
	return hits
}
