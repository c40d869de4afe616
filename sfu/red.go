package sfu

import (
	"encoding/binary"

	"github.com/chatmed/chatmed/sfu/forward"
	"github.com/chatmed/chatmed/sfu/udpmux"
)

// Bounds of a redundant block, RFC 2198 section 3.
const (
	maxREDOffset = 1<<14 - 1
	maxREDBlock  = 1<<10 - 1
)

// wrapLocked sends an Opus packet as RED with a copy of the one before, for a
// client whose link loses packets and a publisher that sends none itself. It
// reports false where that can't be: then the packet goes out as it is.
func (s *sender) wrapLocked(h *forward.Header, pkt *packet, as mark, out *udpmux.Batch) bool {
	red, known := s.lookup(codecID{codec: forward.CodecRED})
	l := s.pub.first()
	if !known || l == nil || pkt.codec.codec != forward.CodecOpus || h.Empty {
		return false
	}
	raw, ok := l.ring.At(pkt.ExtSeq - 1)
	if !ok {
		return false
	}
	head, end := headerSize(raw), len(raw)-paddingSize(raw)
	info := s.pub.owner.transport.media.codecs[raw[1]&0x7f]
	offset := pkt.Timestamp - binary.BigEndian.Uint32(raw[4:])
	if head == 0 || end <= head || end-head > maxREDBlock || !info.known || info.codec != pkt.codec || offset == 0 || offset > maxREDOffset {
		return false
	}
	before := raw[head:end]
	buf := out.Reserve(overhead + redHeader + len(before) + len(pkt.payload))
	if buf == nil {
		return false
	}
	s.last = red
	n := h.Put(buf, red.pt, s.ssrc)
	n += s.t.putExtensions(buf, n, pkt)
	header := n
	binary.BigEndian.PutUint32(buf[n:], uint32(0x80|s.opusPT)<<24|offset<<10|uint32(len(before)))
	buf[n+4] = s.opusPT
	n += redHeader
	n += copy(buf[n:], before)
	n += copy(buf[n:], pkt.payload)
	s.t.sealLocked(&s.srtp, buf, header, n, as, out)
	return true
}
