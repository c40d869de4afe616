package loadtest

import (
	"encoding/binary"
	"time"
)

// A stamp ends the payload of every packet: what forwards it may rewrite the
// codec's own header at its beginning, but never its end.
//
//	magic 4 | stream 1 | 0 3 | publisher 4 | counter 4 | sent 8
const (
	stampSize  = 24
	stampMagic = 0x63686d4c

	streamAudio = 0 // streamVideo + n is layer n
	streamVideo = 1
	maxStreams  = 4
)

// stamp says who sent a packet, as which of its stream, and when: nanoseconds
// since the run began.
type stamp struct {
	stream    uint8
	publisher uint32
	counter   uint32
	sent      time.Duration
}

// put writes the stamp to the end of b, which has room for it.
func (s stamp) put(b []byte) {
	b = b[len(b)-stampSize:]
	binary.BigEndian.PutUint32(b, stampMagic)
	b[4], b[5], b[6], b[7] = s.stream, 0, 0, 0
	binary.BigEndian.PutUint32(b[8:], s.publisher)
	binary.BigEndian.PutUint32(b[12:], s.counter)
	binary.BigEndian.PutUint64(b[16:], uint64(s.sent))
}

// readStamp reads the stamp at the end of an RTP packet without padding.
func readStamp(p []byte) (stamp, bool) {
	if len(p) < 12+stampSize || p[0]&0x20 != 0 {
		return stamp{}, false
	}
	b := p[len(p)-stampSize:]
	s := stamp{
		stream: b[4], publisher: binary.BigEndian.Uint32(b[8:]),
		counter: binary.BigEndian.Uint32(b[12:]), sent: time.Duration(binary.BigEndian.Uint64(b[16:])),
	}
	return s, binary.BigEndian.Uint32(b) == stampMagic && s.stream < maxStreams
}

// opusTOC is 20 ms of fullband CELT, mono (RFC 6716 section 3.1).
const opusTOC = 0xf8

const (
	redHeader   = 4 + 1 // one redundant block and the primary (RFC 2198 section 3)
	payloadOpus = 111
	payloadRED  = 63
	payloadVP8  = 96
)

// putRED writes the block headers of a payload with one redundant block of that
// many bytes, an Opus frame earlier.
func putRED(b []byte, redundant int) {
	const offset = 960 // samples of 20 ms
	b[0] = 0x80 | payloadOpus
	b[1] = offset >> 6
	b[2] = offset&0x3f<<2 | byte(redundant>>8)
	b[3] = byte(redundant)
	b[4] = payloadOpus
}

const vp8Descriptor = 6

// putVP8 writes a payload descriptor with picture id, TL0PICIDX and temporal
// layer (RFC 7741 section 4.2), and at the start of a frame the frame tag
// (RFC 6386 section 9.1), as browsers send them.
func putVP8(b []byte, start, key bool, picture uint16, tl0 uint8, l layer) {
	b[0] = 0x80
	b[1] = 0x80 | 0x40 | 0x20
	b[2], b[3] = 0x80|byte(picture>>8), byte(picture)
	b[4] = tl0
	b[5] = 0
	if !start {
		return
	}
	b[0] |= 0x10
	b = b[vp8Descriptor:]
	b[0], b[1], b[2] = 0x10|1, 0x02, 0 // shown, an inter frame
	if key {
		b[0] &^= 1
		b[3], b[4], b[5] = 0x9d, 0x01, 0x2a
		b[6], b[7] = byte(l.width), byte(l.width>>8)
		b[8], b[9] = byte(l.height), byte(l.height>>8)
	}
}
