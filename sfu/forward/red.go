package forward

// REDBlock is one block of redundant audio data (RFC 2198).
type REDBlock struct {
	PayloadType uint8
	// TimestampOffset is how far before the packet's timestamp the block belongs,
	// in timestamp units; 0 for the primary block.
	TimestampOffset uint16
	// Data is a view into the payload.
	Data []byte
}

// maxREDBlocks bounds a packet's blocks, the primary included. Browsers send two
// or three.
const maxREDBlocks = 16

// ParseRED appends the blocks of a payload to dst, oldest first as on the wire,
// so that the primary is the last. ok is false when it is malformed; dst is then
// returned as it was.
func ParseRED(dst []REDBlock, payload []byte) (blocks []REDBlock, ok bool) {
	headers, _, ok := measureRED(payload)
	if !ok {
		return dst, false
	}
	data := payload[4*headers+1:]
	for i := range headers {
		h := payload[4*i:]
		size := redLength(h)
		dst = append(dst, REDBlock{
			PayloadType:     h[0] & 0x7f,
			TimestampOffset: uint16(h[1])<<6 | uint16(h[2])>>2,
			Data:            data[:size:size],
		})
		data = data[size:]
	}
	return append(dst, REDBlock{PayloadType: payload[4*headers] & 0x7f, Data: data}), true
}

// PrimaryRED returns the primary block as a view, for receivers that have not
// negotiated RED, and its payload type. Timestamp and marker of the packet hold
// for it as they are.
func PrimaryRED(payload []byte) (primary []byte, payloadType uint8, ok bool) {
	headers, sum, ok := measureRED(payload)
	if !ok {
		return nil, 0, false
	}
	return payload[4*headers+1+sum:], payload[4*headers] & 0x7f, true
}

// measureRED counts the redundant blocks' headers (4 bytes each, before the
// primary's one byte) and the bytes of their data.
func measureRED(b []byte) (headers, sum int, ok bool) {
	at := 0
	for at < len(b) && b[at]&0x80 != 0 {
		if len(b)-at < 4 || headers == maxREDBlocks-1 {
			return 0, 0, false
		}
		sum += redLength(b[at:])
		headers++
		at += 4
	}
	// A primary block may be empty only in theory: an Opus packet never is.
	return headers, sum, at+1+sum < len(b)
}

func redLength(h []byte) int { return int(h[2]&0x03)<<8 | int(h[3]) }
