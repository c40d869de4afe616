// Package srtp protects RTP with AES-GCM (RFC 7714) under keys that DTLS agreed
// on (RFC 5764). It does what the forwarding path needs and nothing else: no
// SRTCP, no MKI, no other cipher. Packets are sealed and opened in place,
// without a lookup, a copy or an allocation; whoever forwards keeps the state
// of each stream beside its own.
//
// Both directions keep a window of the packet indexes they have seen. Incoming,
// it is the replay protection of RFC 3711 section 3.3.2. Outgoing, it makes
// sure that no index, and so no nonce, is ever used twice: GCM loses its secret
// with the first nonce that is (RFC 7714 section 10).
//
// Nothing here takes a lock: a Sealer or an Opener belongs to whoever holds the
// room.
package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// Overhead is how much longer a sealed packet is: the tag of RFC 7714.
	Overhead = 16
	// SaltSize is the length of a master salt (RFC 7714 section 12).
	SaltSize = 12

	minHeader = 12
	nonceSize = 12

	// The labels of RFC 3711 section 4.3.2.
	labelEncryption = 0
	labelSalt       = 2
)

// Why a packet was refused.
var (
	ErrMalformed = errors.New("srtp: not a protected RTP packet")
	ErrReplayed  = errors.New("srtp: packet index seen before")
	ErrTooOld    = errors.New("srtp: packet index older than the window")
	ErrForged    = errors.New("srtp: authentication failed")
)

// direction is the cipher of one side of an association.
type direction struct {
	aead  cipher.AEAD
	salt  [nonceSize]byte
	nonce [nonceSize]byte // scratch; a field so that it does not escape
}

// newDirection derives the session key and salt (RFC 3711 section 4.3, with a
// key derivation rate of 0, as RFC 5764 has it).
func newDirection(masterKey, masterSalt []byte) (d direction, err error) {
	if len(masterSalt) != SaltSize {
		return d, fmt.Errorf("srtp: master salt of %d bytes, not %d", len(masterSalt), SaltSize)
	}
	prf, err := aes.NewCipher(masterKey) // refuses other lengths than 16, 24 and 32
	if err != nil {
		return d, err
	}
	copy(d.salt[:], derive(prf, labelSalt, masterSalt, SaltSize))
	d.aead, err = newGCM(derive(prf, labelEncryption, masterSalt, len(masterKey)))
	return d, err
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// derive is the key derivation of RFC 3711 section 4.3.3: AES in counter mode
// from the salt, xored with the label.
func derive(prf cipher.Block, label byte, salt []byte, size int) []byte {
	var x [aes.BlockSize]byte
	copy(x[:], salt)
	x[7] ^= label
	var out []byte
	for i := uint16(0); len(out) < size; i++ {
		binary.BigEndian.PutUint16(x[14:], i)
		var b [aes.BlockSize]byte
		prf.Encrypt(b[:], x[:])
		out = append(out, b[:]...)
	}
	return out[:size]
}

// iv sets the nonce of a packet (RFC 7714 section 8.1): two zero bytes, SSRC,
// rollover counter and sequence number, xored with the salt.
func (d *direction) iv(ssrc uint32, index uint64) {
	copy(d.nonce[:2], d.salt[:2])
	binary.BigEndian.PutUint32(d.nonce[2:], ssrc^binary.BigEndian.Uint32(d.salt[2:]))
	binary.BigEndian.PutUint32(d.nonce[6:], uint32(index>>16)^binary.BigEndian.Uint32(d.salt[6:]))
	binary.BigEndian.PutUint16(d.nonce[10:], uint16(index)^binary.BigEndian.Uint16(d.salt[10:]))
}

// Sealer protects what goes to one peer.
type Sealer struct{ direction }

// NewSealer returns the Sealer of a master key (16 or 32 bytes) and salt.
func NewSealer(masterKey, masterSalt []byte) (*Sealer, error) {
	d, err := newDirection(masterKey, masterSalt)
	if err != nil {
		return nil, err
	}
	return &Sealer{d}, nil
}

// Outgoing is the state of one SSRC that is sent. The zero value is a new one.
// It belongs to one Sealer: under another's keys it must start anew.
type Outgoing struct{ window }

// Seal protects an RTP packet whose header, extensions included, is the first
// header bytes. The result shares packet's memory, which needs Overhead bytes
// of capacity beyond it. A sequence number sent before is refused with
// ErrReplayed, one too old to be sure of with ErrTooOld.
func (s *Sealer) Seal(o *Outgoing, packet []byte, header int) ([]byte, error) {
	if header < minHeader || len(packet) < header || cap(packet)-len(packet) < Overhead {
		return nil, ErrMalformed
	}
	index, err := o.index(binary.BigEndian.Uint16(packet[2:]))
	if err != nil {
		return nil, err
	}
	o.mark(index)
	s.iv(binary.BigEndian.Uint32(packet[8:]), index)
	sealed := s.aead.Seal(packet[header:header], s.nonce[:], packet[header:], packet[:header])
	return packet[:header+len(sealed)], nil
}

// Opener opens what comes from one peer.
type Opener struct{ direction }

// NewOpener returns the Opener of a master key (16 or 32 bytes) and salt.
func NewOpener(masterKey, masterSalt []byte) (*Opener, error) {
	d, err := newDirection(masterKey, masterSalt)
	if err != nil {
		return nil, err
	}
	return &Opener{d}, nil
}

// Incoming is the state of one SSRC that is received. The zero value is a new
// one. It belongs to one Opener.
type Incoming struct{ window }

// Open checks and decrypts a packet in place; header is the length of its RTP
// header, extensions included. The state moves on only when the packet is
// authentic. After an error the packet's bytes are undefined.
func (o *Opener) Open(in *Incoming, packet []byte, header int) ([]byte, error) {
	if header < minHeader || len(packet) < header+Overhead {
		return nil, ErrMalformed
	}
	index, err := in.index(binary.BigEndian.Uint16(packet[2:]))
	if err != nil {
		return nil, err
	}
	o.iv(binary.BigEndian.Uint32(packet[8:]), index)
	plain, err := o.aead.Open(packet[header:header], o.nonce[:], packet[header:], packet[:header])
	if err != nil {
		return nil, ErrForged
	}
	in.mark(index)
	return packet[:header+len(plain)], nil
}

// window remembers which indexes of a stream have passed: a ring of bits, a
// block of which is cleared whenever the highest index enters it anew (the
// scheme of RFC 6479).
type window struct {
	bits    [windowBlocks]uint64
	highest uint64 // index: rollover counter and sequence number
	started bool
}

const (
	windowBlocks = 16
	// Window is how far behind the highest index a packet may come.
	Window = (windowBlocks - 1) * 64
)

// index is the packet index of a sequence number, the one nearest to the
// highest so far (RFC 3711 section 3.3.1). A stream starts in rollover 0.
func (w *window) index(seq uint16) (uint64, error) {
	if !w.started {
		return uint64(seq), nil
	}
	delta := int64(int16(seq - uint16(w.highest)))
	i := int64(w.highest) + delta
	switch {
	case delta > 0:
		return uint64(i), nil
	case i < 0 || -delta >= Window:
		return 0, ErrTooOld
	case w.bits[i/64%windowBlocks]&(1<<(i%64)) != 0:
		return 0, ErrReplayed
	}
	return uint64(i), nil
}

// mark notes that an index, which index returned, has passed.
func (w *window) mark(i uint64) {
	switch {
	case !w.started:
		w.started, w.highest = true, i
	case i > w.highest:
		for b := w.highest/64 + 1; b <= i/64 && b <= w.highest/64+windowBlocks; b++ {
			w.bits[b%windowBlocks] = 0
		}
		w.highest = i
	}
	w.bits[i/64%windowBlocks] |= 1 << (i % 64)
}
