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

// What a reader says at the end, beside io.EOF.
var (
	// ErrTruncated: the segment was not closed. All whole frames have been read.
	ErrTruncated = errors.New("journal: the segment ends without having been closed")
	// ErrCorrupt: a frame was changed, left out, moved or exchanged, or this is
	// no journal. What was read before stands.
	ErrCorrupt = errors.New("journal: the segment is corrupt")
	// ErrKey: none of the identities opens the segment.
	ErrKey = errors.New("journal: encrypted to another key")
)

// tornZeros at the end of a frame are what a power cut leaves where blocks were
// allocated and never written. No age file ends in so many.
const tornZeros = 64

// Reader reads a segment back. Not safe for concurrent use.
type Reader struct {
	in         io.Reader
	identities []age.Identity

	plain   []byte // entries of the frame at hand still to be read
	number  uint32
	prev    [sha256.Size]byte
	started bool
	ended   bool // an End has been read
	err     error

	tracks  map[uint16]bool
	streams map[uint32]bool
}

// NewReader reads a segment that was encrypted to one of the identities. It
// holds one frame at a time.
func NewReader(in io.Reader, identities ...age.Identity) *Reader {
	return &Reader{
		in: in, identities: identities, prev: sha256.Sum256([]byte(magic)),
		tracks: map[uint16]bool{}, streams: map[uint32]bool{},
	}
}

// Next returns the next entry. The first is the Header; a Stream follows its
// Track and a Packet its Stream. At the end it returns io.EOF after an End,
// ErrTruncated without one, and again so ever after. Entries own their memory.
func (r *Reader) Next() (Entry, error) {
	for r.err == nil && len(r.plain) == 0 {
		r.err = r.nextFrame()
	}
	if r.err != nil {
		return nil, r.err
	}
	e, rest, err := takeEntry(r.plain)
	if err == nil {
		err = r.check(e)
	}
	if err != nil {
		r.err = fmt.Errorf("%w: frame %d: %w", ErrCorrupt, r.number-1, err)
		return nil, r.err
	}
	r.plain = rest
	return e, nil
}

// check has entries stand where they may.
func (r *Reader) check(e Entry) error {
	_, header := e.(Header)
	ok := header != r.started && !r.ended
	r.started = true
	switch e := e.(type) {
	case End:
		r.ended = true
	case Track:
		r.tracks[e.ID] = true
	case Stream:
		ok = ok && r.tracks[e.Track]
		r.streams[e.ID] = true
	case *Packet:
		ok = ok && r.streams[e.Stream]
	case Report:
		ok = ok && r.streams[e.Stream]
	case Muted:
		ok = ok && r.tracks[e.Track]
	case Dropped:
		ok = ok && r.tracks[e.Track]
	}
	if !ok {
		return fmt.Errorf("%T out of place", e)
	}
	return nil
}

// nextFrame opens the next frame.
func (r *Reader) nextFrame() error {
	if r.number == 0 {
		if err := r.readMagic(); err != nil {
			return err
		}
	}
	frame, err := r.readFrame()
	if err != nil {
		return err
	}
	plain, err := r.open(frame)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint32(plain) != r.number || !bytes.Equal(plain[4:linkSize], r.prev[:]) {
		return fmt.Errorf("%w: frame %d does not follow the one before", ErrCorrupt, r.number)
	}
	r.plain = plain[linkSize:]
	r.number++
	r.prev = sha256.Sum256(frame)
	return nil
}

func (r *Reader) readMagic() error {
	var got [len(magic)]byte
	switch _, err := io.ReadFull(r.in, got[:]); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrTruncated
	case err != nil:
		return fmt.Errorf("journal: %w", err)
	case string(got[:]) != magic:
		return fmt.Errorf("%w: no journal", ErrCorrupt)
	}
	return nil
}

// readFrame reads a whole age file.
func (r *Reader) readFrame() ([]byte, error) {
	var length [4]byte
	switch _, err := io.ReadFull(r.in, length[:]); {
	case errors.Is(err, io.EOF) && r.ended:
		return nil, io.EOF
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, ErrTruncated
	case err != nil:
		return nil, fmt.Errorf("journal: %w", err)
	}
	size := binary.BigEndian.Uint32(length[:])
	if size == 0 {
		return nil, r.torn("empty frame")
	}
	if size > maxFrame {
		return nil, fmt.Errorf("%w: frame %d claims %d bytes", ErrCorrupt, r.number, size)
	}
	var frame bytes.Buffer // grows with what is there, not with what is claimed
	switch n, err := io.Copy(&frame, io.LimitReader(r.in, int64(size))); {
	case err != nil:
		return nil, fmt.Errorf("journal: %w", err)
	case n < int64(size):
		return nil, ErrTruncated
	}
	return frame.Bytes(), nil
}

// open decrypts a frame.
func (r *Reader) open(frame []byte) ([]byte, error) {
	plain, err := r.decrypt(frame)
	var other *age.NoIdentityMatchError
	switch {
	case err == nil && len(plain) > linkSize:
		return plain, nil
	case len(frame) >= tornZeros && allZero(frame[len(frame)-tornZeros:]):
		return nil, r.torn("frame does not open")
	case errors.As(err, &other) && r.number == 0:
		return nil, ErrKey
	}
	return nil, fmt.Errorf("%w: frame %d does not open", ErrCorrupt, r.number)
}

func (r *Reader) decrypt(frame []byte) ([]byte, error) {
	dec, err := age.Decrypt(bytes.NewReader(frame), r.identities...)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(dec)
}

// torn is ErrTruncated when nothing but zeros follows.
func (r *Reader) torn(what string) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.in.Read(buf)
		if !allZero(buf[:n]) {
			return fmt.Errorf("%w: frame %d: %s", ErrCorrupt, r.number, what)
		}
		if errors.Is(err, io.EOF) {
			return ErrTruncated
		}
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
