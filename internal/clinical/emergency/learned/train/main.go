// Command train learns the second reading of the emergency screen from the
// development phrases, and writes its weights. It is deterministic: the same
// phrases give the same file. What is held out is never read.
//
//	go run ./internal/clinical/emergency/learned/train
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/chatmed/chatmed/internal/clinical/emergency/learned"
	"github.com/chatmed/chatmed/internal/clinical/emergency/text"
)

const folder = "internal/clinical/emergency/testdata"

// example is a phrase and what is right for it.
type example struct {
	features         []uint32
	urgent, critical bool
	weight           float64
}

// phrase is one text, plain or with its own level.
type phrase struct {
	Text  string `yaml:"text"`
	Level string `yaml:"level"`
}

// UnmarshalYAML takes a plain text too.
func (p *phrase) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&p.Text)
	}
	type plain phrase
	return n.Decode((*plain)(p))
}

type entry struct {
	Level  string   `yaml:"level"`
	Urgent []phrase `yaml:"urgent"`
	Near   []phrase `yaml:"near"`
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "train:", err)
		os.Exit(1) //nolint:forbidigo // a program of its own
	}
}

func run(args []string, out io.Writer) error {
	f := flag.NewFlagSet("train", flag.ContinueOnError)
	file := f.String("out", "internal/clinical/emergency/learned/weights.bin", "file to write")
	kept := f.Float64("kept", 0.9, "part of the urgent phrases that must be found in cross-validation")
	if err := f.Parse(args); err != nil {
		return err
	}
	examples, err := read()
	if err != nil {
		return err
	}
	var p learned.Parameters
	for h, right := range []func(*example) bool{
		func(e *example) bool { return e.urgent }, func(e *example) bool { return e.critical },
	} {
		p.Threshold[h] = validate(out, examples, right, *kept)
		m := fit(examples, right)
		p.Weights[h], p.Bias[h] = m.weights, m.bias
	}
	b, err := learned.Encode(p)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d phrases, %d bytes of weights\n", len(examples), len(b))
	return os.WriteFile(*file, b, 0o644)
}

func read() ([]example, error) {
	var out []example
	err := eachFile(filepath.Join(folder, "phrases/dev"), func(b []byte) error {
		var entries []entry
		if err := yaml.Unmarshal(b, &entries); err != nil {
			return err
		}
		for _, e := range entries {
			for _, p := range e.Urgent {
				critical := p.Level == "critical" || p.Level == "" && e.Level == "critical"
				out = append(out, example{features: features(p.Text), urgent: true, critical: critical, weight: 1})
			}
			for _, p := range e.Near {
				out = append(out, example{features: features(p.Text), weight: 1})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = eachFile(filepath.Join(folder, "ordinary/dev"), func(b []byte) error {
		var phrases []phrase
		if err := yaml.Unmarshal(b, &phrases); err != nil {
			return err
		}
		for _, p := range phrases {
			out = append(out, example{features: features(p.Text), weight: 1})
		}
		return nil
	})
	return out, err
}

// eachFile calls fn with every YAML file below root, in order.
func eachFile(root string, fn func([]byte) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := fn(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
}

func features(s string) []uint32 {
	tokens := text.Tokens(s, nil)
	var out []uint32
	for i := range tokens {
		learned.Features(tokens, i, func(f uint32, _ bool) { out = append(out, f) })
	}
	slices.Sort(out)
	return out
}
