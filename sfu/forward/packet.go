package forward

import "encoding/binary"

// SourceID tells incoming streams (SSRCs) apart: any number the caller never
// uses for two streams that one Rewriter may meet.
type SourceID uint32

// Source is what a Rewriter needs to know of the stream a packet came from. The
// caller owns it and may change it between calls.
type Source struct {
	ID SourceID
	// Report is the stream's latest sender report from its participant's ClockMap.
	Report SenderReport
}

// Packet is one incoming packet, filled once and shared by all subscribers.
type Packet struct {
	ExtSeq    uint64 // from buffer.Result
	Timestamp uint32
	Marker    bool
	Size      int // payload bytes without padding
	Info      Info
}

// Header is what to send for a packet. Everything the Rewriter does not know
// (payload type, SSRC, extensions) is the caller's.
//
// Sending copies the payload exactly once:
//
//	n := h.Put(buf, payloadType, ssrc)       // 12 bytes, then extensions if any
//	m := copy(buf[n:], payload)              // the one copy
//	h.Patch.Apply(buf[n : n+m])              // at most 4 bytes
//	encrypt buf[:n+m] in place
type Header struct {
	Sequence  uint16
	Timestamp uint32
	Marker    bool
	// Empty: send no payload. It fills the place of a packet that was left out
	// after its number had been promised; receivers take it for padding.
	Empty bool
	Patch Patch
}

// Put writes the fixed RTP header (RFC 3550 section 5.1) without CSRCs and
// extensions into dst and returns its size, 12. A caller that adds an extension
// sets bit 0x10 of dst[0].
func (h *Header) Put(dst []byte, payloadType uint8, ssrc uint32) int {
	_ = dst[11]
	dst[0] = 0x80
	dst[1] = payloadType & 0x7f
	if h.Marker {
		dst[1] |= 0x80
	}
	binary.BigEndian.PutUint16(dst[2:], h.Sequence)
	binary.BigEndian.PutUint32(dst[4:], h.Timestamp)
	binary.BigEndian.PutUint32(dst[8:], ssrc)
	return 12
}

// Patch is the change a payload needs: size bytes at offset. The zero value
// changes nothing.
type Patch struct {
	offset, size uint8
	bytes        [4]byte
}

// Span returns where the patch goes and what it writes.
func (p *Patch) Span() (offset int, bytes []byte) { return int(p.offset), p.bytes[:p.size] }

// Apply writes the patch into payload, the subscriber's own copy.
func (p *Patch) Apply(payload []byte) {
	if int(p.offset)+int(p.size) <= len(payload) {
		copy(payload[p.offset:], p.bytes[:p.size])
	}
}

// makePatch renders a descriptor's numbers, in the width they came in.
func makePatch(d *descriptor, pic uint16, tl0 uint8) (p Patch) {
	add := func(b uint8) {
		p.bytes[p.size] = b
		p.size++
	}
	switch d.picBits {
	case 7:
		p.offset = d.picOff
		add(uint8(pic) & 0x7f)
	case 15:
		p.offset = d.picOff
		add(0x80 | uint8(pic>>8))
		add(uint8(pic))
	}
	if d.tl0Off == 0 {
		return p
	}
	switch {
	case p.size == 0:
		p.offset = d.tl0Off
	case p.offset+p.size < d.tl0Off:
		add(d.layer)
	}
	add(tl0)
	return p
}
