package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The kinds of entry on disk. The two that come by the thousand are binary, all
// others are JSON, so that a segment says what it holds without this code.
const (
	kindHeader byte = iota + 1
	kindTrack
	kindStream
	kindPacket
	kindReport
	kindGate
	kindMuted
	kindDropped
	kindEnd
)

var errMalformed = errors.New("malformed entry")

// codecs are numbered from 1; 0 is none, for a packet of padding alone.
var codecs = [...]string{"", Opus, RED, VP8, H264, VP9, AV1}

const (
	flagMarker = 1 << iota
	flagKeyFrame
)

// appendEntry appends an entry: its kind, its length, its body.
func appendEntry(dst []byte, e Entry) ([]byte, error) {
	switch e := e.(type) {
	case *Packet:
		return appendPacket(dst, e)
	case Report:
		return appendReport(dst, e), nil
	case Header:
		return appendJSON(dst, kindHeader, e)
	case Track:
		return appendJSON(dst, kindTrack, e)
	case Stream:
		return appendJSON(dst, kindStream, e)
	case Gate:
		return appendJSON(dst, kindGate, e)
	case Muted:
		return appendJSON(dst, kindMuted, e)
	case Dropped:
		return appendJSON(dst, kindDropped, e)
	case End:
		return appendJSON(dst, kindEnd, e)
	}
	return dst, fmt.Errorf("journal: entry %T", e)
}

func appendJSON(dst []byte, kind byte, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return dst, fmt.Errorf("journal: %w", err)
	}
	dst = binary.AppendUvarint(append(dst, kind), uint64(len(body)))
	return append(dst, body...), nil
}

func appendPacket(dst []byte, p *Packet) ([]byte, error) {
	codec := slices.Index(codecs[:], p.Codec)
	if codec < 0 {
		return dst, fmt.Errorf("journal: codec %q", p.Codec)
	}
	var flags byte
	if p.Marker {
		flags |= flagMarker
	}
	if p.KeyFrame {
		flags |= flagKeyFrame
	}
	var head [48]byte
	b := binary.AppendUvarint(head[:0], uint64(p.Stream))
	b = binary.AppendVarint(b, int64(p.At))
	b = binary.AppendUvarint(b, p.ExtSeq)
	b = binary.BigEndian.AppendUint32(b, p.Timestamp)
	b = append(b, flags, byte(codec), byte(p.Orientation))
	dst = binary.AppendUvarint(append(dst, kindPacket), uint64(len(b)+len(p.Payload)))
	return append(append(dst, b...), p.Payload...), nil
}

func appendReport(dst []byte, r Report) []byte {
	var head [48]byte
	b := binary.AppendUvarint(head[:0], uint64(r.Stream))
	b = binary.AppendVarint(b, int64(r.At))
	b = binary.BigEndian.AppendUint64(b, r.NTP)
	b = binary.BigEndian.AppendUint32(b, r.RTP)
	dst = binary.AppendUvarint(append(dst, kindReport), uint64(len(b)))
	return append(dst, b...)
}

// takeEntry reads the entry at the start of b and returns what follows. The
// payload of a packet is a view into b.
func takeEntry(b []byte) (e Entry, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errMalformed
	}
	size, n := binary.Uvarint(b[1:])
	if n <= 0 || size > uint64(len(b)-1-n) {
		return nil, nil, errMalformed
	}
	body := b[1+n : 1+n+int(size)]
	rest = b[1+n+int(size):]
	switch b[0] {
	case kindPacket:
		e, err = readPacket(body)
	case kindReport:
		e, err = readReport(body)
	case kindHeader:
		e, err = readJSON[Header](body)
	case kindTrack:
		e, err = readJSON[Track](body)
	case kindStream:
		e, err = readJSON[Stream](body)
	case kindGate:
		e, err = readJSON[Gate](body)
	case kindMuted:
		e, err = readJSON[Muted](body)
	case kindDropped:
		e, err = readJSON[Dropped](body)
	case kindEnd:
		e, err = readJSON[End](body)
	default:
		err = errMalformed
	}
	return e, rest, err
}

func readJSON[T Entry](body []byte) (Entry, error) {
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		return nil, errMalformed // without the text: it may quote a name
	}
	return v, nil
}

// cursor reads what the two binary entries are made of.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	return v * uint64(c.skip(n))
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b)
	return v * int64(c.skip(n))
}

// skip goes on by n bytes and returns 1, or 0 when they are not there.
func (c *cursor) skip(n int) int {
	if n <= 0 || n > len(c.b) {
		c.b, c.bad = nil, true
		return 0
	}
	c.b = c.b[n:]
	return 1
}

func (c *cursor) bytes(n int) []byte {
	b := c.b
	if c.skip(n) == 0 {
		return make([]byte, n)
	}
	return b[:n]
}

func readPacket(body []byte) (Entry, error) {
	c := cursor{b: body}
	stream, at, ext := c.uvarint(), c.varint(), c.uvarint()
	fixed := c.bytes(7)
	if c.bad || stream > 1<<32-1 || int(fixed[5]) >= len(codecs) {
		return nil, errMalformed
	}
	return &Packet{
		Stream: uint32(stream), At: time.Duration(at), ExtSeq: ext, Timestamp: binary.BigEndian.Uint32(fixed),
		Marker: fixed[4]&flagMarker != 0, KeyFrame: fixed[4]&flagKeyFrame != 0, Codec: codecs[fixed[5]],
		Orientation: int8(fixed[6]), Payload: c.b,
	}, nil
}

func readReport(body []byte) (Entry, error) {
	c := cursor{b: body}
	stream, at := c.uvarint(), c.varint()
	fixed := c.bytes(12)
	if c.bad || len(c.b) != 0 || stream > 1<<32-1 {
		return nil, errMalformed
	}
	return Report{
		Stream: uint32(stream), At: time.Duration(at),
		NTP: binary.BigEndian.Uint64(fixed), RTP: binary.BigEndian.Uint32(fixed[8:]),
	}, nil
}
