package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// On disk:
//
//	file  = magic *frame
//	frame = length (4 bytes, big endian) age-file (of that length)
//
// and within the age file:
//
//	plain = number (4 bytes, big endian, from 0) hash (32 bytes) *entry
//	entry = kind (1 byte) length (unsigned varint) body
//
// where hash is SHA-256 of the age file before, of the magic for the first.
const (
	magic     = "CMJRNL1\n"
	linkSize  = 4 + sha256.Size
	maxFrame  = 256 << 20 // of the age file; a frame has a second of media
	maxEntry  = 1 << 20
	plainSize = 1 << 20 // taken at the start, to be grown by need
)

// Writer appends entries to a segment. Not safe for concurrent use.
type Writer struct {
	out        io.Writer
	recipients []age.Recipient

	plain  []byte // link and entries of the frame to come
	sealed bytes.Buffer
	number uint32
	prev   [sha256.Size]byte
	err    error // sticky: after a failed write nothing is whole any more
}

// NewWriter begins a segment on out, which is empty, and seals a first frame
// with its header. Each frame leaves in one Write.
func NewWriter(out io.Writer, header Header, recipients ...age.Recipient) (*Writer, error) {
	if len(recipients) == 0 {
		return nil, errors.New("journal: nobody to encrypt to")
	}
	w := &Writer{out: out, recipients: recipients, prev: sha256.Sum256([]byte(magic)), plain: make([]byte, 0, plainSize)}
	w.begin()
	if _, err := io.WriteString(out, magic); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := w.Append(header); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	return w, nil
}

// Append takes an entry into the frame to come. The entry may be reused at once.
func (w *Writer) Append(e Entry) error {
	if w.err != nil {
		return w.err
	}
	before := len(w.plain)
	plain, err := appendEntry(w.plain, e)
	if err == nil && len(plain)-before > maxEntry {
		err = errors.New("journal: entry too long")
	}
	if err != nil {
		return err
	}
	w.plain = plain
	return nil
}

// Pending is how many bytes of entries wait for Flush.
func (w *Writer) Pending() int { return len(w.plain) - linkSize }

// Flush seals the frame and writes it. Without entries it does nothing. After an
// error the writer is of no more use.
func (w *Writer) Flush() error {
	if w.err != nil || w.Pending() == 0 {
		return w.err
	}
	if err := w.seal(); err != nil {
		w.err = fmt.Errorf("journal: %w", err)
		return w.err
	}
	return nil
}

func (w *Writer) seal() error {
	w.sealed.Reset()
	w.sealed.Write(make([]byte, 4))
	enc, err := age.Encrypt(&w.sealed, w.recipients...)
	if err != nil {
		return err
	}
	if _, err := enc.Write(w.plain); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	frame := w.sealed.Bytes()
	if len(frame)-4 > maxFrame {
		return errors.New("frame too long")
	}
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	if _, err := w.out.Write(frame); err != nil {
		return err
	}
	w.number++
	w.prev = sha256.Sum256(frame[4:])
	w.begin()
	return nil
}

// begin starts the next frame with its link to the one before.
func (w *Writer) begin() {
	clear(w.plain) // what people said does not stay in memory
	w.plain = binary.BigEndian.AppendUint32(w.plain[:0], w.number)
	w.plain = append(w.plain, w.prev[:]...)
}
