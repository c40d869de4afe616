package negotiate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/chatmed/chatmed/sfu/negotiate"
)

// FuzzParse: no input makes Parse panic or return another error than ErrOffer,
// and what it takes can be answered.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"chromium-simulcast", "chromium-plain", "firefox", "pion"} {
		f.Add(sample(f, name))
	}
	f.Add(strings.ReplaceAll(base, "\n", "\r\n"))
	f.Fuzz(func(t *testing.T, raw string) {
		o, err := negotiate.Parse(raw)
		if err != nil {
			if !errors.Is(err, negotiate.ErrOffer) {
				t.Fatal(err)
			}
			return
		}
		check(t, o, o.Answer(params(o)))
	})
}
