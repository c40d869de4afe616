// Package auth knows who is asking: API keys of integrators, kept as keyed
// hashes, and the signed tokens of rooms and dashboards. No error or log line
// of this package contains a key or a token.
package auth

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// MinSecret is the least length of a secret, in bytes.
const MinSecret = 32

// The purposes keys are derived for. A purpose names its version, so that a
// changed use gets a new key.
const (
	PurposeToken   = "chatmed room token v1"
	PurposeKeyHash = "chatmed api key hash v1"
	PurposeVault   = "chatmed recording vault v1"
	PurposeAudit   = "chatmed audit head v1"
	PurposeConsent = "chatmed consent v1"
	// PurposeLink is of the signed links to files of recordings.
	PurposeLink = "chatmed recording link v1"
)

const keySize = sha256.Size

// Secrets derives a key for each purpose from the operator's secret, and from
// the previous one while a rotation lasts.
type Secrets struct {
	prk [][]byte // pseudorandom keys of RFC 5869, the current secret's first
}

// NewSecrets takes the current secret and the previous one, which may be empty.
func NewSecrets(current, previous []byte) (*Secrets, error) {
	given := [][]byte{current}
	if len(previous) > 0 {
		given = append(given, previous)
	}
	s := &Secrets{}
	for _, secret := range given {
		if len(secret) < MinSecret {
			return nil, fmt.Errorf("a secret has %d bytes; give at least %d random ones", len(secret), MinSecret)
		}
		prk, err := hkdf.Extract(sha256.New, secret, nil)
		if err != nil {
			return nil, fmt.Errorf("extract secret: %w", err)
		}
		s.prk = append(s.prk, prk)
	}
	return s, nil
}

// Derive returns the 32-byte keys of a purpose: the current one, which makes
// new things, and after it the previous one, which only checks old ones.
func (s *Secrets) Derive(purpose string) ([][]byte, error) {
	if purpose == "" {
		return nil, errors.New("a derived key needs a purpose")
	}
	keys := make([][]byte, 0, len(s.prk))
	for _, prk := range s.prk {
		key, err := hkdf.Expand(sha256.New, prk, purpose, keySize)
		if err != nil {
			return nil, fmt.Errorf("derive key: %w", err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// keyID names a token key in the header of its tokens (RFC 7515 section 4.1.4)
// without telling anything about it.
func keyID(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:4])
}
