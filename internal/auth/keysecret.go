package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"strings"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	livePrefix = "sk_live_"
	testPrefix = "sk_test_"
	alphabet   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	// randomLength characters of the alphabet hold 256 bits.
	randomLength = 43
	secretLength = len(livePrefix) + randomLength
	// shownLength is how much of a key is kept in clear, for people to tell
	// keys apart; 232 bits stay unknown.
	shownLength = len(livePrefix) + 4
)

// newSecret is sk_live_ or sk_test_ and 256 random bits.
func newSecret(m consult.Mode) string {
	b := make([]byte, 0, secretLength)
	if m == consult.Test {
		b = append(b, testPrefix...)
	} else {
		b = append(b, livePrefix...)
	}
	// Bytes above the last whole multiple of the alphabet would favour its
	// first letters, so they are thrown away.
	const fair = 256 - 256%len(alphabet)
	var random [64]byte
	for len(b) < secretLength {
		_, _ = rand.Read(random[:]) // ends the process rather than fail
		for _, r := range random {
			if int(r) < fair && len(b) < secretLength {
				b = append(b, alphabet[int(r)%len(alphabet)])
			}
		}
	}
	return string(b)
}

// parseSecret reports the mode a well-formed secret names.
func parseSecret(s string) (consult.Mode, bool) {
	if len(s) != secretLength || strings.Trim(s[len(livePrefix):], alphabet) != "" {
		return "", false
	}
	switch s[:len(livePrefix)] {
	case livePrefix:
		return consult.Live, true
	case testPrefix:
		return consult.Test, true
	}
	return "", false
}

func digest(mac []byte, secret string) []byte {
	h := hmac.New(sha256.New, mac)
	h.Write([]byte(secret))
	return h.Sum(nil)
}
