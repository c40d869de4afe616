package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/chatmed/chatmed/internal/clinical/emergency"
	"github.com/chatmed/chatmed/internal/clinical/emergency/learned"
)

// example is a text and what is right for it.
type example struct {
	sentences [][]uint32
	groups    []uint32
	level     emergency.Urgency
	group     int // of learned.Groups
	account   bool
	found     [2]bool // something urgent, and something critical, by rules
	rules     int     // their score
	signs     int     // learned.Text.Signs
	weight    float64
	fold      int
}

func (e *example) urgent() bool   { return e.level.AtLeast(emergency.High) }
func (e *example) critical() bool { return e.level == emergency.Critical }

// text is one of the corpus: plain, or with what is known beside it.
type text struct {
	Text            string            `yaml:"text"`
	Level           emergency.Urgency `yaml:"level"`
	AtMost          emergency.Urgency `yaml:"at_most"`
	Group           string            `yaml:"group"`
	Age             *float64          `yaml:"age"`
	Sex             string            `yaml:"sex"`
	PregnantWeeks   *int              `yaml:"pregnant_weeks"`
	PostpartumWeeks *int              `yaml:"postpartum_weeks"`
}

// UnmarshalYAML takes a plain text too.
func (t *text) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&t.Text)
	}
	type plain text
	return n.Decode((*plain)(t))
}

type entry struct {
	Level  emergency.Urgency `yaml:"level"`
	Urgent []text            `yaml:"urgent"`
	Near   []text            `yaml:"near"`
}

// accountWeight is what a long account counts: there are fewer of them, and they
// are what people write.
const accountWeight = 4

// corpus gathers examples.
type corpus struct {
	engine   *emergency.Engine
	examples []example
}

func read(engine *emergency.Engine, root string) ([]example, error) {
	c := &corpus{engine: engine}
	err := errors.Join(
		eachFile(filepath.Join(root, "phrases", "dev"), c.phrases),
		eachFile(filepath.Join(root, "ordinary", "dev"), func(_ string, b []byte) error { return c.texts("other", b, false) }),
		eachFile(filepath.Join(root, "accounts", "dev"), func(_ string, b []byte) error { return c.texts("other", b, true) }),
	)
	return c.examples, err
}

func (c *corpus) phrases(group string, b []byte) error {
	var entries []entry
	if err := yaml.Unmarshal(b, &entries); err != nil {
		return err
	}
	for _, e := range entries {
		for _, t := range e.Urgent {
			if t.Level == "" {
				t.Level = e.Level
			}
			c.add(t, group, false)
		}
		for _, t := range e.Near {
			if t.Level = t.AtMost; t.Level == "" {
				t.Level = emergency.Moderate
			}
			c.add(t, group, false)
		}
	}
	return nil
}

func (c *corpus) texts(group string, b []byte, account bool) error {
	var list []text
	if err := yaml.Unmarshal(b, &list); err != nil {
		return err
	}
	for _, t := range list {
		if t.Level == "" {
			t.Level = t.AtMost
		}
		if t.Group == "" {
			t.Group = group
		}
		c.add(t, t.Group, account)
	}
	return nil
}

// pairs is how many neighbours stay in one fold of the cross-validation: the
// halves of a minimal pair stand side by side.
const pairs = 6

func (c *corpus) add(t text, group string, account bool) {
	e := example{
		level: t.Level, account: account, weight: 1, fold: len(c.examples) / pairs % folds,
		group: max(slices.Index(learned.Groups[:], group), 0),
	}
	if account {
		e.weight = accountWeight
	}
	in := emergency.Input{Text: t.Text, Profile: emergency.Profile{
		AgeYears: t.Age, Sex: t.Sex, PregnantWeeks: t.PregnantWeeks, PostpartumWeeks: t.PostpartumWeeks,
	}}
	byRules := c.engine.Found(in)
	if e.found[0] = byRules.Urgency.AtLeast(emergency.High); e.found[0] {
		e.found[1] = byRules.Urgency == emergency.Critical
		e.rules = byRules.Score
	}
	r := c.engine.Reading(in)
	e.signs = r.Signs
	r.Sentences(func(_, _ int, f []uint32) { e.sentences = append(e.sentences, slices.Clone(f)) })
	r.GroupFeatures(0, len(r.Tokens), func(f uint32) { e.groups = append(e.groups, f) })
	if len(e.sentences) > 0 {
		c.examples = append(c.examples, e)
	}
}

// eachFile calls fn with the name and content of every YAML file below root, in
// order.
func eachFile(root string, fn func(name string, b []byte) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		if err := fn(name, bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
}
