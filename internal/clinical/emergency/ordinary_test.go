package emergency_test

import (
	"os"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/chatmed/chatmed/internal/clinical/emergency"
)

// What people write of ordinary complaints is mostly not answered as urgent. The
// bound is a regression bound, just under what was measured; every text that is
// over-triaged costs somebody a fright, and none of them a life.
func TestOrdinaryComplaints(t *testing.T) {
	e, err := emergency.New()
	if err != nil {
		t.Fatal(err)
	}
	for language, least := range map[string]float64{"en": 0.83, "fr": 0.84, "ar": 0.82} { // of the texts stay below urgent
		b, err := os.ReadFile(filepath.Join("testdata/ordinary/heldout", language+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var texts []struct {
			Text   string            `yaml:"text"`
			AtMost emergency.Urgency `yaml:"at_most"`
		}
		if err := yaml.Unmarshal(b, &texts); err != nil {
			t.Fatal(err)
		}
		calm := 0
		for _, x := range texts {
			if !e.Screen(emergency.Input{Text: x.Text}).Urgency.AtLeast(emergency.High) {
				calm++
			}
		}
		t.Logf("%s: %d of %d ordinary texts stay below urgent", language, calm, len(texts))
		if len(texts) < 50 || float64(calm) < least*float64(len(texts)) {
			t.Errorf("%s: only %d of %d ordinary texts stay below urgent", language, calm, len(texts))
		}
	}
}
