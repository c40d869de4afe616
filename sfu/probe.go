package sfu

import (
	"time"

	"github.com/chatmed/chatmed/sfu/congestion"
	"github.com/chatmed/chatmed/sfu/forward"
	"github.com/chatmed/chatmed/sfu/udpmux"
)

const (
	// probeStep is how often a probe under way sends its share.
	probeStep = 10 * time.Millisecond
	// paddingSent is the most that padding alone can carry (RFC 3550 section 5.1).
	paddingSent = 255
	// probeBack is how far back packets are looked at to be repeated.
	probeBack = 64
)

// probe is a cluster of padding on its way. Guarded by room.mu.
type probe struct {
	cluster    congestion.Cluster
	since      time.Time
	sent, left int // bytes
	back       int // of the packet repeated next
}

// probeLocked sends what is due of a probe.
func (t *transport) probeLocked(now time.Time, out *udpmux.Batch) {
	p := &t.media.path
	if p.est == nil || t.media.out == nil {
		return
	}
	b := &p.probe
	if b.left <= 0 {
		c, due := p.est.Probe(now)
		if !due {
			return
		}
		*b = probe{cluster: c, since: now, left: c.Bytes}
		t.sfu.metrics.probes.Inc()
	}
	until := int(float64(b.cluster.Rate) / 8 * (now.Sub(b.since) + probeStep).Seconds())
	for b.left > 0 && b.sent < until {
		n := t.padLocked(b, mark{kind: congestion.Padding, cluster: b.cluster.ID, at: now}, out)
		if n == 0 {
			b.left = 0 // nothing can carry it: the probe is given up
			return
		}
		b.sent += n
		b.left -= n
	}
}

// padLocked sends one packet that nobody asked for and returns its size on the
// wire: a repeat of a recent one over RTX (RFC 4588), else padding alone there,
// else, without RTX, in the stream itself.
func (t *transport) padLocked(b *probe, as mark, out *udpmux.Batch) int {
	var bare *sender
	for _, s := range t.media.slots {
		v := s.video
		if v == nil || !v.open || v.last.pt == 0 {
			continue
		}
		if v.rtxSSRC == 0 || v.last.rtx == 0 {
			bare = v
			continue
		}
		if n := v.repeatRecentLocked(b, as, out); n > 0 {
			return n
		}
		h := forward.Header{Sequence: v.rtxSeq}
		v.rtxSeq++
		return v.paddingLocked(&h, true, as, out)
	}
	var h forward.Header
	if bare == nil || !bare.rewriter.Pad(&h) {
		return 0
	}
	return bare.paddingLocked(&h, false, as, out)
}

// repeatRecentLocked repeats the next older packet that is large enough.
func (s *sender) repeatRecentLocked(b *probe, as mark, out *udpmux.Batch) int {
	for s.pub != nil && b.back < probeBack {
		o, h, ok := s.rewriter.Recent(b.back)
		b.back++
		if !ok {
			continue
		}
		l := s.layerOf(o.Source)
		if l == nil {
			continue
		}
		raw, ok := l.ring.At(o.ExtSeq)
		var pkt packet
		if !ok || len(raw) < b.cluster.Packet/2 || !l.recallLocked(raw, o.ExtSeq, &pkt) {
			continue
		}
		if n := s.repeatLocked(&h, &pkt, as, out); n > 0 {
			return n + wire
		}
	}
	return 0
}

// paddingLocked sends a packet of padding alone.
func (s *sender) paddingLocked(h *forward.Header, rtx bool, as mark, out *udpmux.Batch) int {
	buf := out.Reserve(overhead + paddingSent)
	if buf == nil {
		return 0
	}
	pt, ssrc, state := s.last.pt, s.ssrc, &s.srtp
	if rtx {
		pt, ssrc, state = s.last.rtx, s.rtxSSRC, &s.rtxSRTP
	}
	n := h.Put(buf, pt, ssrc)
	n += s.t.putExtensions(buf, n, nil)
	buf[0] |= 0x20
	clear(buf[n : n+paddingSent])
	buf[n+paddingSent-1] = paddingSent
	s.t.sealLocked(state, buf, n, n+paddingSent, as, out)
	return n + paddingSent + wire
}

// probing reports whether a probe is under way to anybody.
func (r *Room) probingLocked() bool {
	for _, p := range r.participants {
		if p.transport.media.path.probe.left > 0 {
			return true
		}
	}
	return false
}
