package forward

// AV1 is what an AV1 payload tells without its dependency descriptor ("RTP
// Payload Format for AV1", section 4).
type AV1 struct {
	Continued bool // Z: the first OBU element continues one of the packet before
	Continues bool // Y: the last OBU element goes on in the next packet
	NewSeq    bool // N: first packet of a coded video sequence
	SeqHeader bool // carries the start of a sequence header OBU
	KeyFrame  bool // a receiver can start here
	TID, SID  uint8
}

// OBU types (AV1 specification, section 6.2.2).
const (
	obuSequenceHeader = 1
	obuFrameHeader    = 3
	obuFrame          = 6
)

// ParseAV1 reads the aggregation header and the headers of the OBU elements. ok
// is false when the payload is truncated or contradicts itself.
//
// A key frame starts where N says so or, for senders that do not set it, where a
// sequence header comes without a frame that needs others.
func ParseAV1(b []byte) (d AV1, ok bool) {
	if len(b) < 2 {
		return AV1{}, false
	}
	d.Continued = b[0]&0x80 != 0
	d.Continues = b[0]&0x40 != 0
	count := int(b[0] >> 4 & 0x03) // W; 0: every element carries its size
	d.NewSeq = b[0]&0x08 != 0
	if d.NewSeq && d.Continued {
		return AV1{}, false
	}
	inter, named := false, false
	rest := b[1:]
	for i := 0; len(rest) > 0; i++ {
		size := len(rest)
		if count == 0 || i < count-1 {
			n, value, ok := leb128(rest)
			if !ok || value > len(rest)-n {
				return AV1{}, false
			}
			rest, size = rest[n:], value
		} else if i >= count {
			return AV1{}, false
		}
		element := rest[:size]
		rest = rest[size:]
		if len(element) == 0 || i == 0 && d.Continued {
			continue
		}
		head, ok := parseOBU(element)
		if !ok {
			return AV1{}, false
		}
		if head.extended && !named {
			d.TID, d.SID, named = head.tid, head.sid, true
		}
		d.SeqHeader = d.SeqHeader || head.kind == obuSequenceHeader
		inter = inter || head.inter
	}
	d.KeyFrame = d.NewSeq || d.SeqHeader && !d.Continued && !inter
	return d, true
}

type obuHead struct {
	kind     uint8
	extended bool
	tid, sid uint8
	inter    bool // a frame that is certainly no key frame
}

func parseOBU(b []byte) (h obuHead, ok bool) {
	if b[0]&0x80 != 0 { // the forbidden bit
		return obuHead{}, false
	}
	h.kind = b[0] >> 3 & 0x0f
	n := 1
	if h.extended = b[0]&0x04 != 0; h.extended {
		if len(b) < 2 {
			return obuHead{}, false
		}
		h.tid, h.sid = b[1]>>5, b[1]>>3&0x03
		n++
	}
	if b[0]&0x02 != 0 { // has_size_field, which senders should leave out
		skip, _, ok := leb128(b[n:])
		if !ok {
			return obuHead{}, false
		}
		n += skip
	}
	if (h.kind == obuFrame || h.kind == obuFrameHeader) && n < len(b) {
		// show_existing_frame, then frame_type, whose 0 is a key frame. (Reduced
		// still pictures lack both, but have no place in a call.)
		h.inter = b[n]&0xe0 != 0
	}
	return h, true
}

// leb128 reads an AV1 leb128 number and the bytes it took. Values over 32 bits
// are refused, as the specification does.
func leb128(b []byte) (n, value int, ok bool) {
	for i := 0; i < len(b) && i < 8; i++ {
		value |= int(b[i]&0x7f) << (7 * i)
		if value > 1<<32-1 {
			return 0, 0, false
		}
		if b[i]&0x80 == 0 {
			return i + 1, value, true
		}
	}
	return 0, 0, false
}
