package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/chatmed/chatmed/internal/clinical/emergency"
)

// phrase is one text of the corpus: plain, or with what is known beside it.
type phrase struct {
	Text            string            `yaml:"text"`
	Level           emergency.Urgency `yaml:"level"`
	AtMost          emergency.Urgency `yaml:"at_most"`
	Age             *float64          `yaml:"age"`
	Sex             string            `yaml:"sex"`
	PregnantWeeks   *int              `yaml:"pregnant_weeks"`
	PostpartumWeeks *int              `yaml:"postpartum_weeks"`
	Conditions      []string          `yaml:"conditions"`
	Medications     []string          `yaml:"medications"`
}

// UnmarshalYAML takes a plain text too.
func (p *phrase) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&p.Text)
	}
	type plain phrase
	return n.Decode((*plain)(p))
}

func (p phrase) input() emergency.Input {
	return emergency.Input{Text: p.Text, Profile: emergency.Profile{
		AgeYears: p.Age, Sex: p.Sex, PregnantWeeks: p.PregnantWeeks, PostpartumWeeks: p.PostpartumWeeks,
		Conditions: p.Conditions, Medications: p.Medications,
	}}
}

type entry struct {
	Condition string            `yaml:"condition"`
	Level     emergency.Urgency `yaml:"level"`
	Urgent    []phrase          `yaml:"urgent"`
	Near      []phrase          `yaml:"near"`
}

// sample is a phrase with what is right for it.
type sample struct {
	phrase
	condition, language, group string
	urgent                     bool
	result                     emergency.Result // of the rules alone
	both                       emergency.Result // with the second reading
}

// reached: an urgent phrase got its level, or a near miss stayed below urgent;
// by the rules alone, and with the second reading.
func (s *sample) reached() bool       { return s.good(s.result) }
func (s *sample) reachedByBoth() bool { return s.good(s.both) }

// answered says by which of the two readings.
type answered func(*sample) emergency.Result

func byRules(s *sample) emergency.Result { return s.result }
func byBoth(s *sample) emergency.Result  { return s.both }

func (s *sample) good(r emergency.Result) bool {
	if s.urgent {
		return r.Urgency.AtLeast(s.Level)
	}
	return !r.Urgency.AtLeast(emergency.High) || s.AtMost.AtLeast(r.Urgency)
}

// exact: a near miss stayed at most at its level.
func (s *sample) exact() bool { return s.AtMost.AtLeast(s.result.Urgency) }

// read screens every phrase below a folder such as dev.
func read(engine *emergency.Engine, root string) ([]*sample, error) {
	var out []*sample
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var entries []entry
		dec := yaml.NewDecoder(bytes.NewReader(b))
		dec.KnownFields(true)
		if err := dec.Decode(&entries); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, e := range entries {
			for _, p := range e.Urgent {
				if p.Level == "" {
					p.Level = e.Level
				}
				out = append(out, screened(engine, p, e.Condition, path, true))
			}
			for _, p := range e.Near {
				if p.AtMost == "" {
					p.AtMost = emergency.Moderate
				}
				out = append(out, screened(engine, p, e.Condition, path, false))
			}
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return out, err
}

func screened(engine *emergency.Engine, p phrase, condition, path string, urgent bool) *sample {
	return &sample{
		phrase: p, condition: condition, urgent: urgent,
		language: filepath.Base(filepath.Dir(path)), group: strings.TrimSuffix(filepath.Base(path), ".yaml"),
		result: engine.ScreenByRules(p.input()), both: engine.Screen(p.input()),
	}
}

// readTexts screens lists of texts with a level of their own, accounts and
// ordinary complaints: what is high or critical must be reached, what is not is
// a near miss.
func readTexts(engine *emergency.Engine, root string) ([]*sample, error) {
	var out []*sample
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var list []phrase
		if err := yaml.Unmarshal(b, &list); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, p := range list {
			urgent := p.Level.AtLeast(emergency.High)
			if !urgent && p.AtMost == "" {
				p.AtMost = p.Level
			}
			s := screened(engine, p, "", path, urgent)
			if filepath.Dir(path) == root { // ordinary/dev/fr.yaml
				s.language = s.group
			}
			out = append(out, s)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return out, err
}
