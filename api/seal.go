package api

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// sealKeySize is the length of each of Config.SealKeys, in bytes.
const sealKeySize = 32

// sealer keeps what the API writes down or hands out for itself: stored answers
// are unreadable in the database (they may carry tokens, or a key that is shown
// once), and cursors cannot be made up. Immutable.
type sealer struct {
	aeads []cipher.AEAD // AES-256-GCM; the current key first
	macs  [][]byte
}

// newSealer takes 32-byte keys, the current one first. Without any it makes one
// that lasts as long as the process.
func newSealer(keys [][]byte) (*sealer, error) {
	if len(keys) == 0 {
		random := make([]byte, sealKeySize)
		_, _ = rand.Read(random) // ends the process rather than fail
		keys = [][]byte{random}
	}
	s := &sealer{}
	for _, key := range keys {
		if len(key) != sealKeySize {
			return nil, fmt.Errorf("a seal key has %d bytes, not %d", len(key), sealKeySize)
		}
		block, err := aes.NewCipher(derive(key, "answers"))
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		s.aeads = append(s.aeads, aead)
		s.macs = append(s.macs, derive(key, "cursors"))
	}
	return s, nil
}

func derive(key []byte, use string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(use))
	return h.Sum(nil)
}

// seal encrypts plain; it opens again only with the same context.
func (s *sealer) seal(plain []byte, context string) []byte {
	return s.aeads[0].Seal(nil, nil, plain, []byte(context))
}

func (s *sealer) open(sealed []byte, context string) ([]byte, error) {
	for _, a := range s.aeads {
		if plain, err := a.Open(nil, nil, sealed, []byte(context)); err == nil {
			return plain, nil
		}
	}
	return nil, errors.New("a stored answer does not open: another secret sealed it")
}

// macSize is how much of the MAC a cursor carries, in bytes: 2^-96 to guess.
const macSize = 12

// sign authenticates what within context.
func (s *sealer) sign(what, context string) []byte { return mac(s.macs[0], what, context) }

func (s *sealer) signed(what, context string, tag []byte) bool {
	ok := false
	for _, key := range s.macs {
		ok = hmac.Equal(mac(key, what, context), tag) || ok
	}
	return ok
}

func mac(key []byte, what, context string) []byte {
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%d %s%s", len(context), context, what)
	return h.Sum(nil)[:macSize]
}
