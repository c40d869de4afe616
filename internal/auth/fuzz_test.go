package auth

import (
	"strings"
	"testing"

	"github.com/chatmed/chatmed/internal/consult"
)

// FuzzVerify holds that nothing but a token issued here is ever accepted, that
// every refusal has a reason, and that none repeats its input.
func FuzzVerify(f *testing.F) {
	tok := newTokens(f, stocked(), secrets(f, 1), newClock().now)
	c, d := room(), dashboard()
	c.ID, d.ID = "tok_1", "tok_2" // the same tokens in every run and worker
	issued := map[string]bool{issue(f, tok, c): true, issue(f, tok, d): true}
	for raw := range issued {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		_, err := tok.Verify(t.Context(), raw)
		if (err == nil) != issued[raw] {
			t.Fatalf("accepted: %v, issued: %v", err == nil, issued[raw])
		}
		if err == nil {
			return
		}
		e := consult.AsError(err)
		if e.Code != consult.Unauthorized || !strings.HasPrefix(e.Reason, "token_") {
			t.Fatalf("refused by %v (reason %q)", e.Code, e.Reason)
		}
		if len(raw) > 40 && strings.Contains(err.Error(), raw) {
			t.Fatal("the error repeats the token")
		}
	})
}
