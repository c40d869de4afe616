// Package vault makes the server's own key pair for recordings from its secret,
// so that nothing that opens a recording lies beside it. An account that gives
// a key of its own is encrypted to that one alone, and the server cannot read
// what it has recorded.
package vault

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
)

// keySize is the length of an X25519 scalar in bytes.
const keySize = 32

// Vault has the server's identities.
type Vault struct {
	identities []*age.X25519Identity // the current one first
}

// New takes the keys derived for auth.PurposeVault, the current one first. Older
// ones only open what was encrypted before a rotation.
func New(keys [][]byte) (*Vault, error) {
	if len(keys) == 0 {
		return nil, errors.New("vault: no key")
	}
	v := &Vault{}
	for _, key := range keys {
		if len(key) != keySize {
			return nil, fmt.Errorf("vault: a key has %d bytes", len(key))
		}
		// The text form is age's only way in.
		id, err := age.ParseX25519Identity(strings.ToUpper(bech32("age-secret-key-", key)))
		if err != nil {
			return nil, errors.New("vault: unusable key") // without the text: it is the key
		}
		v.identities = append(v.identities, id)
	}
	return v, nil
}

// Recipient is who new recordings are encrypted to.
func (v *Vault) Recipient() *age.X25519Recipient { return v.identities[0].Recipient() }

// Identities open what the server has encrypted to itself.
func (v *Vault) Identities() []age.Identity {
	out := make([]age.Identity, len(v.identities))
	for i, id := range v.identities {
		out[i] = id
	}
	return out
}

// Holds reports whether a recipient's fingerprint is one of the vault's.
func (v *Vault) Holds(fingerprint string) bool {
	for _, id := range v.identities {
		if Fingerprint(id.Recipient().String()) == fingerprint {
			return true
		}
	}
	return false
}

// ParseRecipient reads an age X25519 public key, "age1…".
func ParseRecipient(s string) (*age.X25519Recipient, error) {
	r, err := age.ParseX25519Recipient(strings.TrimSpace(s))
	if err != nil {
		return nil, errors.New("vault: not an age public key (age1…)")
	}
	return r, nil
}

// Fingerprint names a recipient: the SHA-256 of its text form, the first 16
// hexadecimal digits.
func Fingerprint(recipient string) string {
	sum := sha256.Sum256([]byte(strings.TrimSpace(recipient)))
	return hex.EncodeToString(sum[:])[:16]
}

const bech32Digits = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// bech32 is BIP 173's text form of data, in lower case.
func bech32(prefix string, data []byte) string {
	var values []byte
	acc, bits := 0, 0
	for _, b := range data {
		acc, bits = acc<<8|int(b), bits+8
		for bits >= 5 {
			bits -= 5
			values = append(values, byte(acc>>bits&31))
		}
		acc &= 1<<bits - 1
	}
	if bits > 0 {
		values = append(values, byte(acc<<(5-bits)&31))
	}
	var expanded []byte
	for _, c := range []byte(prefix) {
		expanded = append(expanded, c>>5)
	}
	expanded = append(expanded, 0)
	for _, c := range []byte(prefix) {
		expanded = append(expanded, c&31)
	}
	sum := polymod(append(append(expanded, values...), make([]byte, 6)...)) ^ 1
	var out strings.Builder
	out.WriteString(prefix + "1")
	for _, v := range values {
		out.WriteByte(bech32Digits[v])
	}
	for i := range 6 {
		out.WriteByte(bech32Digits[sum>>(5*(5-i))&31])
	}
	return out.String()
}

// polymod is the checksum of BIP 173.
func polymod(values []byte) uint32 {
	sum := uint32(1)
	for _, v := range values {
		top := sum >> 25
		sum = (sum&0x1ffffff)<<5 ^ uint32(v)
		for i, g := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 != 0 {
				sum ^= g
			}
		}
	}
	return sum
}
