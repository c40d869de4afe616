package emergency

import (
	"os"
	"slices"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// BenchmarkScreenP99 screens accounts put together to 1,000 characters, each one
// another, and reports the 99th percentile beside the mean.
func BenchmarkScreenP99(b *testing.B) {
	e := newTestEngine(b)
	for _, language := range []string{"en", "fr", "ar"} {
		b.Run(language, func(b *testing.B) {
			texts := thousands(b, "testdata/accounts/dev/"+language+"/adult1.yaml")
			took := make([]time.Duration, 0, 1<<16)
			for i := 0; b.Loop(); i++ {
				at := time.Now()
				e.Screen(Input{Text: texts[i%len(texts)]})
				took = append(took, time.Since(at))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// thousands are texts of a file, joined to 1,000 characters each.
func thousands(b *testing.B, file string) []string {
	b.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	var list []struct {
		Text string `yaml:"text"`
	}
	if err := yaml.Unmarshal(raw, &list); err != nil {
		b.Fatal(err)
	}
	var out []string
	var joined []rune
	for _, t := range list {
		if joined = append(joined, []rune(t.Text+" ")...); len(joined) >= 1000 {
			out = append(out, string(joined[:1000]))
			joined = joined[:0]
		}
	}
	if len(out) == 0 {
		b.Fatalf("%s is too short", file)
	}
	return out
}
