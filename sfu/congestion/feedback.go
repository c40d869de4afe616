package congestion

import (
	"encoding/binary"
	"errors"

	"github.com/pion/rtcp"
)

// maxStatuses bounds the packets one feedback may speak of. Honest ones speak of
// what came within 250 ms or so.
const maxStatuses = 8192

// ErrFeedback says that a feedback contradicts itself.
var ErrFeedback = errors.New("malformed transport-wide feedback")

// Feedback is one transport-wide feedback message
// (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1): which packets
// came, and when by the receiver's clock. It is filled anew by Parse and FromRTCP
// and keeps its memory. The zero value is ready.
type Feedback struct {
	reference int64 // of 64 ms, 24 bits
	arrivals  []arrival
}

// arrival is the fate of a packet. offset is µs after the reference time.
type arrival struct {
	offset   int64
	sequence uint16
	received bool
}

// Packets is the number of packets the feedback speaks of.
func (f *Feedback) Packets() int { return len(f.arrivals) }

// Symbols of a packet status chunk, section 3.1.1.
const (
	notReceived = iota
	smallDelta
	largeDelta
	noDelta // received, time unknown: counts as not spoken of
)

// Parse reads one RTCP packet, its header included: FMT 15, PT 205. It reads no
// more than the packet's length field says.
func (f *Feedback) Parse(b []byte) error {
	f.arrivals = f.arrivals[:0]
	if len(b) < 20 || b[0]>>6 != 2 || b[0]&0x1f != rtcp.FormatTCC || rtcp.PacketType(b[1]) != rtcp.TypeTransportSpecificFeedback {
		return ErrFeedback
	}
	end := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
	if end < 20 || end > len(b) {
		return ErrFeedback
	}
	b = b[:end]
	if b[0]&0x20 != 0 { // padding, RFC 3550 section 6.4.1
		pad := int(b[end-1])
		if pad == 0 || end-pad < 20 {
			return ErrFeedback
		}
		b = b[:end-pad]
	}
	count := int(binary.BigEndian.Uint16(b[14:]))
	if count > maxStatuses {
		return ErrFeedback
	}
	f.start(binary.BigEndian.Uint32(b[16:]) >> 8)
	seq := binary.BigEndian.Uint16(b[12:])
	rest := b[20:]
	for len(f.arrivals) < count {
		if len(rest) < 2 {
			return f.fail()
		}
		f.chunk(&seq, count, binary.BigEndian.Uint16(rest))
		rest = rest[2:]
	}
	return f.deltas(rest)
}

// chunk appends the symbols of a packet status chunk, in offset for now.
func (f *Feedback) chunk(seq *uint16, count int, c uint16) {
	switch {
	case c&0x8000 == 0: // run length, section 3.1.3
		for range min(int(c&0x1fff), count-len(f.arrivals)) {
			f.symbol(seq, int(c>>13&3))
		}
	case c&0x4000 == 0: // 14 of one bit, section 3.1.4
		for i := 13; i >= 0 && len(f.arrivals) < count; i-- {
			f.symbol(seq, int(c>>i&1))
		}
	default: // 7 of two bits
		for i := 12; i >= 0 && len(f.arrivals) < count; i -= 2 {
			f.symbol(seq, int(c>>i&3))
		}
	}
}

func (f *Feedback) start(reference uint32) { f.reference = int64(reference & 0xffffff) }

func (f *Feedback) symbol(seq *uint16, s int) {
	f.arrivals = append(f.arrivals, arrival{sequence: *seq, offset: int64(s)})
	*seq++
}

func (f *Feedback) fail() error {
	f.arrivals = f.arrivals[:0]
	return ErrFeedback
}

// deltas turns the symbols into times, section 3.1.5.
func (f *Feedback) deltas(rest []byte) error {
	var at int64
	kept := f.arrivals[:0]
	for _, a := range f.arrivals {
		switch a.offset {
		case notReceived:
		case smallDelta:
			if len(rest) < 1 {
				return f.fail()
			}
			at += int64(rest[0]) * 250
			rest = rest[1:]
			a.received = true
		case largeDelta:
			if len(rest) < 2 {
				return f.fail()
			}
			at += int64(int16(binary.BigEndian.Uint16(rest))) * 250
			rest = rest[2:]
			a.received = true
		default:
			continue
		}
		a.offset = at
		kept = append(kept, a)
	}
	f.arrivals = kept
	return nil
}

// FromRTCP reads a feedback as pion/rtcp has parsed it.
func (f *Feedback) FromRTCP(p *rtcp.TransportLayerCC) error {
	f.arrivals = f.arrivals[:0]
	count := int(p.PacketStatusCount)
	if count > maxStatuses {
		return ErrFeedback
	}
	f.start(p.ReferenceTime)
	seq := p.BaseSequenceNumber
	for _, c := range p.PacketChunks {
		switch c := c.(type) {
		case *rtcp.RunLengthChunk:
			for range min(int(c.RunLength), count-len(f.arrivals)) {
				f.symbol(&seq, int(c.PacketStatusSymbol))
			}
		case *rtcp.StatusVectorChunk:
			for _, s := range c.SymbolList[:min(len(c.SymbolList), count-len(f.arrivals))] {
				f.symbol(&seq, int(s))
			}
		default:
			return f.fail()
		}
	}
	if len(f.arrivals) < count {
		return f.fail()
	}
	var at int64
	used := 0
	kept := f.arrivals[:0]
	for _, a := range f.arrivals {
		switch a.offset {
		case notReceived:
		case smallDelta, largeDelta:
			if used == len(p.RecvDeltas) {
				return f.fail()
			}
			at += p.RecvDeltas[used].Delta
			used++
			a.received = true
		default:
			continue
		}
		a.offset = at
		kept = append(kept, a)
	}
	f.arrivals = kept
	return nil
}

// unwrapper follows the 24-bit reference time of 64 ms.
type unwrapper struct {
	last  int64
	known bool
}

// unwrap returns the reference in µs: the reading nearest to the last one.
func (u *unwrapper) unwrap(reference int64) int64 {
	if !u.known {
		u.known, u.last = true, reference
		return reference * 64_000
	}
	d := (reference - u.last) & 0xffffff
	if d >= 1<<23 {
		d -= 1 << 24
	}
	u.last += d
	return u.last * 64_000
}
