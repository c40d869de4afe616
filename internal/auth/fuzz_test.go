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

// FuzzParseSecret holds that what is taken for a key has exactly one shape, and
// that nothing else reaches the database.
func FuzzParseSecret(f *testing.F) {
	f.Add(newSecret(consult.Live))
	f.Add(newSecret(consult.Test))
	f.Add("sk_live_")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		store := newStore()
		_, err := newKeys(t, store, secrets(t, 1), newClock().now).Authenticate(t.Context(), s, anywhere)
		mode, ok := parseSecret(s)
		shaped := len(s) == 51 && strings.Trim(s[8:], alphabet) == "" && (s[:8] == livePrefix || s[:8] == testPrefix)
		if ok != shaped || ok && string(mode) != s[3:7] || !ok && store.reads > 0 {
			t.Fatalf("parsed: %v as %q, shaped: %v, %d reads", ok, mode, shaped, store.reads)
		}
		if e := consult.AsError(err); e.Code != consult.Unauthorized || s != "" && len(s) > 3 && strings.Contains(err.Error(), s) {
			t.Fatalf("refused with %v", e.Code)
		}
	})
}

// FuzzParseAddresses holds that whatever is accepted is stored in one form.
func FuzzParseAddresses(f *testing.F) {
	for _, s := range []string{"192.0.2.0/24", "::1", "::ffff:192.0.2.1/120", "fe80::1%x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := ParseAddresses([]string{s})
		if err != nil {
			return
		}
		var c complaints
		for _, p := range c.addresses(list) {
			if p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
				t.Fatalf("%q is stored as %v", s, p)
			}
		}
	})
}
