package sfu

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"

	"github.com/chatmed/chatmed/sfu/congestion"
	"github.com/chatmed/chatmed/sfu/forward"
	"github.com/chatmed/chatmed/sfu/udpmux"
)

// resendSpacing is how soon a packet may be repeated while the round trip is
// unknown.
const resendSpacing = 20 * time.Millisecond

// resendLocked answers a NACK from the source's one ring. A packet that went
// out goes again over RTX (RFC 4588), never twice under one nonce; one that
// never came this way is forwarded now.
func (s *sender) resendLocked(pairs []rtcp.NackPair, now time.Time, out *udpmux.Batch) {
	if s.pub == nil || s.rtxSSRC == 0 {
		return
	}
	spacing := max(s.t.media.rtt.value(), resendSpacing)
	for i := range pairs {
		pairs[i].Range(func(seq uint16) bool {
			s.t.sfu.metrics.nacksIn.Inc()
			s.resendOneLocked(seq, now, spacing, out)
			return true
		})
	}
}

func (s *sender) resendOneLocked(seq uint16, now time.Time, spacing time.Duration, out *udpmux.Batch) {
	o, h, ok := s.rewriter.Lookup(seq, now, spacing)
	if !ok {
		return
	}
	l := s.layerOf(o.Source)
	if l == nil {
		return
	}
	raw, ok := l.ring.At(o.ExtSeq)
	var pkt packet
	if !ok || !l.recallLocked(raw, o.ExtSeq, &pkt) {
		return
	}
	if !o.Sent {
		place := s.rewriter.Forward
		if pkt.Size == 0 || s.kind == "video" && s.selector.Omits(&pkt.Packet) {
			place = s.rewriter.Skip
		}
		if v := place(&l.src, &pkt.Packet, now, &h); v == forward.Send || v == forward.SendEmpty {
			s.sendLocked(&h, &pkt, now, out)
		}
		return
	}
	if h.Empty {
		return
	}
	if s.repeatLocked(&h, &pkt, mark{kind: congestion.Repair, at: now}, out) > 0 {
		s.t.sfu.metrics.resent.Inc()
	}
}

// repeatLocked sends a packet that went out under h again over RTX, and returns
// how many bytes were queued.
func (s *sender) repeatLocked(h *forward.Header, pkt *packet, as mark, out *udpmux.Batch) int {
	pt, payload, ok := s.payloadLocked(pkt)
	if !ok || pt.rtx == 0 {
		return 0
	}
	buf := out.Reserve(overhead + 2 + len(payload))
	if buf == nil {
		return 0
	}
	osn := h.Sequence
	h.Sequence = s.rtxSeq
	s.rtxSeq++
	n := h.Put(buf, pt.rtx, s.rtxSSRC)
	n += s.t.putExtensions(buf, n, pkt)
	header := n
	binary.BigEndian.PutUint16(buf[n:], osn)
	n += 2
	m := copy(buf[n:], payload)
	h.Patch.Apply(buf[n : n+m])
	s.t.sealLocked(&s.rtxSRTP, buf, header, n+m, as, out)
	return n + m
}

func (s *sender) layerOf(id forward.SourceID) *layer {
	for _, l := range s.pub.layers {
		if l != nil && l.src.ID == id {
			return l
		}
	}
	return nil
}

// recallLocked describes a stored packet again.
func (l *layer) recallLocked(raw []byte, ext uint64, pkt *packet) bool {
	t := l.pub.owner.transport
	if _, err := t.media.header.Unmarshal(raw); err != nil {
		return false
	}
	if !t.describeLocked(pkt, raw) {
		return false
	}
	pkt.ExtSeq = ext
	return true
}
