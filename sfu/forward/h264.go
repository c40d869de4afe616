package forward

import "encoding/binary"

// NAL unit types (H.264 table 7-1 and RFC 6184 section 5.2).
const (
	nalIDR   = 5
	nalSPS   = 7
	nalSTAPA = 24
	nalFUA   = 28
)

// InspectH264 reports whether an H.264 payload (RFC 6184, packetization modes 0
// and 1: single NAL unit, STAP-A, FU-A) starts a key frame: it carries a sequence
// parameter set, or the first slice of an IDR picture. ok is false when it is
// truncated or of another packet type.
func InspectH264(b []byte) (key, ok bool) {
	if len(b) < 2 {
		return false, false
	}
	switch t := b[0] & 0x1f; {
	case t >= 1 && t < nalSTAPA:
		return keyNAL(t, b[1]), true
	case t == nalSTAPA:
		return inspectSTAPA(b[1:])
	case t == nalFUA:
		if len(b) < 3 {
			return false, false
		}
		start := b[1]&0x80 != 0
		return start && keyNAL(b[1]&0x1f, b[2]), true
	}
	return false, false
}

func inspectSTAPA(b []byte) (key, ok bool) {
	for len(b) > 0 {
		if len(b) < 2 {
			return false, false
		}
		size := int(binary.BigEndian.Uint16(b))
		b = b[2:]
		if size == 0 || size > len(b) {
			return false, false
		}
		if size > 1 && keyNAL(b[0]&0x1f, b[1]) {
			key = true
		}
		b, ok = b[size:], true
	}
	return key, ok
}

// keyNAL judges a NAL unit by its type and the first byte of its content. A
// slice header begins with first_mb_in_slice in Exp-Golomb code, whose zero is a
// single 1 bit: later slices of the picture are no place to start.
func keyNAL(t, first byte) bool {
	return t == nalSPS || t == nalIDR && first&0x80 != 0
}
