package emergency

import (
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"
)

// BenchmarkScreenP99 screens accounts put together to 1,000 characters, each one
// another, and reports the 99th percentile beside the mean: of the time on the
// clock, and of the processor's own, which a busy machine does not stretch.
func BenchmarkScreenP99(b *testing.B) {
	e := newTestEngine(b)
	for _, language := range []string{"en", "fr", "ar"} {
		b.Run(language, func(b *testing.B) {
			texts := thousands(b, "testdata/accounts/dev/"+language+"/adult1.yaml")
			took, used := make([]time.Duration, 0, 1<<16), make([]time.Duration, 0, 1<<16)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for i := 0; b.Loop(); i++ {
				at, cpu := time.Now(), threadTime(b)
				e.Screen(Input{Text: texts[i%len(texts)]})
				took, used = append(took, time.Since(at)), append(used, threadTime(b)-cpu)
			}
			slices.Sort(took)
			slices.Sort(used)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(used[len(used)*99/100].Microseconds()), "p99-cpu-µs")
		})
	}
}

func threadTime(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
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
