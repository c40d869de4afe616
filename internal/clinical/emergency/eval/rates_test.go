package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatmed/chatmed/internal/clinical/emergency"
)

// TestRates keeps the screen from getting worse. The bounds lie just below what
// was measured; they are no goals. The second reading was learned from the
// development texts and is bounded on what is held out only.
func TestRates(t *testing.T) {
	engine, err := emergency.New()
	if err != nil {
		t.Fatal(err)
	}
	dev, err := read(engine, filepath.Join("..", "testdata", "phrases", "dev"))
	if err != nil {
		t.Fatal(err)
	}
	held, err := read(engine, filepath.Join("..", "testdata", "phrases", "heldout"))
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := readTexts(engine, filepath.Join("..", "testdata", "accounts", "heldout"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		samples  []*sample
		language string
		urgent   bool
		good     func(*sample) bool
		least    float64
	}{
		{"sensitivity, development", dev, "en", true, (*sample).reached, 0.94},
		{"sensitivity, development", dev, "fr", true, (*sample).reached, 0.83},
		{"sensitivity, development", dev, "ar", true, (*sample).reached, 0.78},
		{"sensitivity, held out", held, "en", true, (*sample).reached, 0.62},
		{"sensitivity, held out", held, "fr", true, (*sample).reached, 0.56},
		{"sensitivity, held out", held, "ar", true, (*sample).reached, 0.63},
		{"near misses, held out", held, "en", false, (*sample).reached, 0.73},
		{"near misses, held out", held, "fr", false, (*sample).reached, 0.73},
		{"near misses, held out", held, "ar", false, (*sample).reached, 0.68},
		{"both, sensitivity, held out", held, "en", true, (*sample).reachedByBoth, 0.78},
		{"both, sensitivity, held out", held, "fr", true, (*sample).reachedByBoth, 0.77},
		{"both, sensitivity, held out", held, "ar", true, (*sample).reachedByBoth, 0.81},
		{"both, near misses, held out", held, "", false, (*sample).reachedByBoth, 0.70},
		{"both, accounts, held out", accounts, "", true, (*sample).reachedByBoth, 0.93},
		{"both, ordinary accounts, held out", accounts, "", false, (*sample).reachedByBoth, 0.64},
	} {
		n := tally(c.samples, c.urgent, c.good, in(c.language))
		if n.of < 100 || float64(n.hit) < c.least*float64(n.of) {
			t.Errorf("%s, %s: %s, want at least %.0f%%", c.name, c.language, n, 100*c.least)
		}
	}
	r := report{engine: engine, dev: dev, held: held, note: "skipped"}
	if d := r.document(); !strings.Contains(d, "cardiac_arrest") || !strings.Contains(d, "Reliability") {
		t.Error("the document lacks a part")
	}
}

func TestIsotonic(t *testing.T) {
	scores, shares := isotonic(map[int]*count{1: {5, 10}, 2: {3, 10}, 3: {9, 10}})
	if len(scores) != 3 || shares[0] != 0.4 || shares[1] != 0.4 || shares[2] != 0.9 {
		t.Errorf("%v %v", scores, shares)
	}
}
