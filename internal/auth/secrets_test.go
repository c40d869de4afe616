package auth

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// wantTokenKey is the token key that secretOf(1) derives, computed by another
// implementation of RFC 5869.
const wantTokenKey = "45a5f62625a24d7e046ca2cf559cd6e639c506a012f95e08288fbf333902c16e"

func TestDerive(t *testing.T) {
	s := secrets(t, 1, 2)
	tokens, err := s.Derive(PurposeToken)
	if err != nil {
		t.Fatal(err)
	}
	vault, err := s.Derive(PurposeVault)
	if err != nil {
		t.Fatal(err)
	}
	before, err := secrets(t, 2).Derive(PurposeToken)
	if err != nil {
		t.Fatal(err)
	}
	if len(tokens) != 2 || len(tokens[0]) != 32 || bytes.Equal(tokens[0], tokens[1]) ||
		bytes.Equal(tokens[0], vault[0]) || !bytes.Equal(tokens[1], before[0]) || bytes.Contains(tokens[0], secretOf(1)) {
		t.Error("keys of purposes and secrets are not told apart")
	}
	// The derivation is stored data's lock: it must never change.
	if got := hex.EncodeToString(tokens[0]); got != wantTokenKey {
		t.Errorf("the token key of a known secret is %s", got)
	}
	if _, err := s.Derive(""); err == nil {
		t.Error("a key without a purpose")
	}
}

func TestWeakSecretsAreRefused(t *testing.T) {
	for _, pair := range [][2][]byte{{nil, nil}, {secretOf(1)[1:], nil}, {secretOf(1), []byte("x")}} {
		if _, err := NewSecrets(pair[0], pair[1]); err == nil {
			t.Errorf("accepted %d and %d bytes", len(pair[0]), len(pair[1]))
		}
	}
}
