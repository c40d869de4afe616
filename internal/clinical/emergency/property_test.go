package emergency

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/unicode/norm"

	"github.com/chatmed/chatmed/internal/clinical/emergency/learned"
)

// unrelated are sentences that say nothing of an illness.
var unrelated = []string{
	"The weather is nice here today.", "We moved house last spring and my sister lives next door.", "Thank you for your time.",
	"Il fait beau aujourd'hui.", "Ma voisine m'a donné votre adresse.", "الجو جميل اليوم.", "شكرا على وقتكم.",
}

// corpus is a sample of the development texts: every nth of each file.
func corpus(t *testing.T, nth int) (out []string) {
	t.Helper()
	for _, root := range []string{"testdata/accounts/dev", "testdata/phrases/dev"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var n yaml.Node
			if err := yaml.Unmarshal(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), &n); err != nil {
				return err
			}
			i := 0
			texts(&n, func(s string) {
				if i++; i%nth == 0 {
					out = append(out, s)
				}
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(out) < 100 {
		t.Fatalf("only %d texts", len(out))
	}
	return out
}

// texts calls f with every text of a file: plain in a list, or under its name.
func texts(n *yaml.Node, f func(string)) {
	switch n.Kind {
	case yaml.SequenceNode:
		for _, c := range n.Content {
			if c.Kind == yaml.ScalarNode {
				f(c.Value)
				continue
			}
			texts(c, f)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			switch n.Content[i].Value {
			case "text":
				f(n.Content[i+1].Value)
			case "urgent", "near":
				texts(n.Content[i+1], f)
			}
		}
	default:
		for _, c := range n.Content {
			texts(c, f)
		}
	}
}

// Nothing unrelated that is said before or after lowers the answer, and neither
// does a red flag.
func TestAddingNeverLowersTheCorpus(t *testing.T) {
	e := newTestEngine(t)
	for i, s := range corpus(t, 31) {
		before := e.Screen(Input{Text: s}).Urgency
		for k := range 2 {
			for _, add := range []string{unrelated[(i+3*k)%len(unrelated)], redFlags[(i+k)%len(redFlags)]} {
				for _, text := range []string{strings.TrimRight(s, ". ") + ". " + add, strings.TrimRight(add, ". ") + ". " + s} {
					if after := e.Screen(Input{Text: text}).Urgency; !after.AtLeast(before) {
						t.Errorf("%s is %s with %q added\n%s", before, after, add, s)
					}
				}
			}
		}
	}
}

// Case, spaces and the way accents are encoded change nothing.
func TestFormNeverMattersInTheCorpus(t *testing.T) {
	e := newTestEngine(t)
	for _, s := range corpus(t, 41) {
		want := e.Screen(Input{Text: s})
		for name, form := range map[string]string{
			"upper": strings.ToUpper(s), "spaces": "  " + strings.ReplaceAll(s, " ", "  ") + " ", "nfd": norm.NFD.String(s),
		} {
			if got := e.Screen(Input{Text: form}); got.Urgency != want.Urgency {
				t.Errorf("%s: %s instead of %s\n%s", name, got.Urgency, want.Urgency, s)
			}
		}
	}
}

// The model was learned with the vocabulary as it is: make learn.
func TestModelIsOfThisVocabulary(t *testing.T) {
	m, err := learned.Load()
	if err != nil {
		t.Fatal(err)
	}
	if e := newTestEngine(t); m.Source() != e.Source() {
		t.Error("the vocabulary has changed since the model was learned: run make learn")
	}
}
