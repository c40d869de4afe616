package vault

import (
	"bytes"
	"crypto/ecdh"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
)

func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func seal(t *testing.T, to age.Recipient) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, "secret")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func opens(raw []byte, ids []age.Identity) bool {
	r, err := age.Decrypt(bytes.NewReader(raw), ids...)
	if err != nil {
		return false
	}
	b, err := io.ReadAll(r)
	return err == nil && string(b) == "secret"
}

// What was encrypted before a rotation can be opened after it, and no longer
// once the old secret is gone.
func TestRotation(t *testing.T) {
	before, _ := New([][]byte{key(1)})
	during, _ := New([][]byte{key(2), key(1)})
	after, _ := New([][]byte{key(2)})
	old, fresh := seal(t, before.Recipient()), seal(t, during.Recipient())
	for what, ok := range map[string]bool{
		"old before": opens(old, before.Identities()), "old during": opens(old, during.Identities()), "old after": !opens(old, after.Identities()),
		"new before": !opens(fresh, before.Identities()), "new during": opens(fresh, during.Identities()), "new after": opens(fresh, after.Identities()),
	} {
		if !ok {
			t.Error(what)
		}
	}
	if before.Recipient().String() == during.Recipient().String() || during.Recipient().String() != after.Recipient().String() {
		t.Error("the current key is not the first")
	}
	print := Fingerprint(before.Recipient().String())
	if !during.Holds(print) || after.Holds(print) || len(print) != 16 {
		t.Error(print)
	}
}

// The same secret makes the same key, in this version and all later ones.
func TestKeysStay(t *testing.T) {
	v, err := New([][]byte{key(7)})
	if err != nil {
		t.Fatal(err)
	}
	const want = "age1zwlyl6h27gzv0lfntr7fcqrjrzqazap8sy5zylkxwneh7llf0dksu37mwt"
	if got := v.Recipient().String(); got != want {
		t.Errorf("got %s", got)
	}
	private, err := ecdh.X25519().NewPrivateKey(key(7)) // another implementation's
	if err != nil {
		t.Fatal(err)
	}
	if got := bech32("age", private.PublicKey().Bytes()); got != want {
		t.Errorf("the key's other half is %s", got)
	}
}

func TestParseRecipient(t *testing.T) {
	v, _ := New([][]byte{key(7)})
	s := v.Recipient().String()
	if r, err := ParseRecipient(" " + s + "\n"); err != nil || r.String() != s || Fingerprint(" "+s) != Fingerprint(s) {
		t.Error(err)
	}
	secret := v.identities[0].String()
	for _, bad := range []string{"", "age1", s[:len(s)-1], s + "q", strings.ToUpper(s[:5]) + s[5:], secret} {
		if _, err := ParseRecipient(bad); err == nil || len(bad) > 8 && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, keys := range [][][]byte{nil, {{}}, {key(1), key(1)[:31]}} {
		if _, err := New(keys); err == nil {
			t.Errorf("took %v", keys)
		}
	}
}

// FuzzParseRecipient reads what accounts give.
func FuzzParseRecipient(f *testing.F) {
	v, _ := New([][]byte{key(7)})
	f.Add(v.Recipient().String())
	f.Add("age1pq1")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ParseRecipient(s); err == nil && r.String() != strings.TrimSpace(s) && r.String() != strings.ToLower(strings.TrimSpace(s)) {
			t.Errorf("%q was read as %q", s, r)
		}
	})
}
