package consult

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// consentFormat names the canonical bytes below. A new form gets a new name, so
// that no record of one form can pass as another.
const consentFormat = "chatmed-consent-1"

// Canonical is the record as bytes that no other record has: every field in a
// fixed order, each text preceded by its length as 64 bits, big endian; numbers
// the same; the time as microseconds since 1970-01-01 UTC. The person stands in
// it under the alias, so that the record holds after their erasure.
func (c *Consent) Canonical() []byte {
	var b []byte
	number := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) }
	text := func(s string) {
		number(int64(len(s)))
		b = append(b, s...)
	}
	text(consentFormat)
	text(c.Scope.AccountID)
	text(string(c.Scope.Mode))
	text(c.SessionID)
	number(c.Seq)
	text(c.ID)
	text(c.ParticipantID)
	text(string(c.Role))
	text(c.Alias)
	text(string(c.Decision))
	text(c.WordingID)
	text(c.WordingHash)
	text(c.Language)
	number(c.At.UnixMicro())
	text(c.PrevHash)
	return b
}

// ComputeHash is what Hash must be: SHA-256 over Canonical, in lower-case
// hexadecimal.
func (c *Consent) ComputeHash() string {
	sum := sha256.Sum256(c.Canonical())
	return hex.EncodeToString(sum[:])
}

// SignedBy is what Signature must be under key: HMAC-SHA-256 over the text of
// Hash, in lower-case hexadecimal.
func (c *Consent) SignedBy(key []byte) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(c.Hash))
	return hex.EncodeToString(h.Sum(nil))
}

// VerifySignature reports whether the record is signed under one of keys.
func (c *Consent) VerifySignature(keys [][]byte) bool {
	for _, key := range keys {
		if hmac.Equal([]byte(c.SignedBy(key)), []byte(c.Signature)) {
			return true
		}
	}
	return false
}

// ConsentBreak is where a consultation's chain of consents does not hold.
type ConsentBreak struct {
	Scope     Scope
	SessionID string
	Seq       int64 // the first record that is missing, added or altered
	Why       string
}

func (b *ConsentBreak) Error() string {
	return fmt.Sprintf("consents of %s break at record %d: %s", b.SessionID, b.Seq, b.Why)
}

// VerifyConsents follows a consultation's whole chain, and with keys demands
// every signature. It is nil when each record is there, in order and unaltered;
// records removed from the end it cannot miss.
func VerifyConsents(chain []Consent, keys [][]byte) *ConsentBreak {
	prev := ""
	for i := range chain {
		c := &chain[i]
		why := ""
		switch {
		case c.Scope != chain[0].Scope || c.SessionID != chain[0].SessionID:
			why = "the record is of another consultation"
		case c.Seq != int64(i)+1:
			why = "the record is missing"
		case c.PrevHash != prev:
			why = "the record does not follow the one before"
		case c.Hash != c.ComputeHash():
			why = "the record was altered"
		case len(keys) > 0 && !c.VerifySignature(keys):
			why = "the record does not carry this server's signature"
		}
		if why != "" {
			return &ConsentBreak{chain[0].Scope, chain[0].SessionID, int64(i) + 1, why}
		}
		prev = c.Hash
	}
	return nil
}

// HashWording is a Wording's Hash of its text.
func HashWording(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Standing is what each person's newest decision is, by role and subject: the
// decision that counts.
func Standing(chain []Consent) map[ConsentPerson]*Consent {
	out := make(map[ConsentPerson]*Consent)
	for i := range chain {
		out[chain[i].Person()] = &chain[i]
	}
	return out
}

// ConsentPerson is whose consent it is: the person, on whatever device.
type ConsentPerson struct {
	Role    Role
	Subject string
}

// Person is whose decision it is.
func (c *Consent) Person() ConsentPerson { return ConsentPerson{c.Role, c.Subject} }
