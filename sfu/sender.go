package sfu

import (
	"encoding/binary"
	"time"

	"github.com/chatmed/chatmed/sfu/congestion"
	"github.com/chatmed/chatmed/sfu/forward"
	"github.com/chatmed/chatmed/sfu/negotiate"
	"github.com/chatmed/chatmed/sfu/srtp"
	"github.com/chatmed/chatmed/sfu/udpmux"
)

const (
	// overhead is room for the RTP header, our extensions and the SRTP tag.
	overhead = 12 + 12 + 32
)

// payloadType is what a receiver calls a codec, and its RTX (0: none).
type payloadType struct {
	codec   codecID
	pt, rtx uint8
}

// sender is one track of a slot: what flows to the client under one SSRC.
// Guarded by room.mu.
type sender struct {
	t       *transport
	slot    *slot
	mid     string
	kind    string
	ssrc    uint32
	rtxSSRC uint32
	rtxSeq  uint16
	// of the transport's one pair of keys
	srtp, rtxSRTP srtp.Outgoing
	types         []payloadType
	opusPT        uint8

	pub      *publication
	selector forward.Selector
	rewriter *forward.Rewriter
	last     payloadType // of the last packet sent
	open     bool        // the client has applied the answer and SRTP is up
	wantKey  bool        // a key frame is wished for, though pictures flow
	replay   bool        // video: to start from a stored key frame at the next tick
	asked    bool        // a key frame was asked for before the start
	renew    bool        // the source has changed since the last sender report

	// As the link is divided: sound without redundancy, or with what we add
	// ourselves; key frames alone, so far apart.
	plain, wrap bool
	slides      time.Duration
	down        reception // as the client reports it
}

func newSender(t *transport, s *slot, md *negotiate.Media) *sender {
	snd := &sender{t: t, slot: s, mid: md.Mid, kind: md.Kind, ssrc: newSSRC()}
	cfg := forward.RewriterConfig{Codec: forward.CodecOpus, FirstSequence: uint16(newSSRC()) >> 1, FirstTimestamp: newSSRC()}
	if md.Kind == "video" {
		cfg.Codec = forward.CodecVP8
	}
	snd.rewriter = forward.NewRewriter(cfg)
	t.media.senders[snd.ssrc] = snd
	snd.learn(md)
	return snd
}

// learn notes the receiver's payload types, which a later offer may add to.
func (s *sender) learn(md *negotiate.Media) {
	s.types = s.types[:0]
	codecs := md.Usable()
	for _, c := range codecs {
		if c.Name == "rtx" {
			continue
		}
		pt := payloadType{codec: codecOf(c), pt: c.PT}
		for _, r := range codecs {
			if r.Name == "rtx" && r.APT == c.PT {
				pt.rtx = r.PT
			}
		}
		if pt.rtx != 0 && s.rtxSSRC == 0 {
			s.rtxSSRC, s.rtxSeq = newSSRC(), uint16(newSSRC())>>1
			s.t.media.senders[s.rtxSSRC] = s
		}
		if c.Name == "opus" {
			s.opusPT = c.PT
		}
		s.types = append(s.types, pt)
	}
}

// subscribeLocked points the sender at a publication, or at nothing.
func (s *sender) subscribeLocked(pub *publication) {
	if s == nil || s.pub == pub {
		return
	}
	if s.pub != nil {
		for i, o := range s.pub.subs {
			if o == s {
				s.pub.subs = append(s.pub.subs[:i], s.pub.subs[i+1:]...)
				break
			}
		}
	}
	s.pub = pub
	s.selector.Restart()
	s.rewriter.Pause() // if the same source comes back, what lies between is no loss
	s.asked, s.wantKey, s.replay = false, false, pub != nil && s.kind == "video"
	s.slides = 0
	s.selector.WantSpatial(s.t.media.path.firstLayer())
	s.selector.WantSlides(0)
	s.t.media.path.urgent = true
	if pub == nil {
		return
	}
	pub.subs = append(pub.subs, s)
	pub.quietAsks = 0
	s.selector.Want(s.t.media.path.firstLayer(), forward.AllTemporal)
}

// takeLocked forwards a packet if it is one of this subscriber's.
func (s *sender) takeLocked(l *layer, live forward.Layers, pkt *packet, now time.Time, out *udpmux.Batch) {
	if !s.open || s.replay || s.t.media.out == nil {
		return
	}
	action := forward.Forward
	switch {
	case s.kind == "video":
		action = s.selector.Decide(live, l.index, &pkt.Packet)
	case pkt.Size == 0:
		action = forward.Skip
	}
	var h forward.Header
	var v forward.Verdict
	switch action {
	case forward.Ignore:
		return
	case forward.Skip:
		v = s.rewriter.Skip(&l.src, &pkt.Packet, now, &h)
	case forward.Switch:
		s.rewriter.SwitchTo(l.src.ID)
		s.renewReport()
		v = s.forwardLocked(l, pkt, now, &h)
	case forward.Forward:
		if cur, ok := s.rewriter.Current(); !ok || cur != l.src.ID {
			s.rewriter.SwitchTo(l.src.ID)
			s.renewReport()
		}
		v = s.forwardLocked(l, pkt, now, &h)
	}
	if v == forward.Send || v == forward.SendEmpty {
		s.sendLocked(&h, pkt, now, out)
	}
}

// forwardLocked numbers a packet. One after which the picture's upper layers are
// left out is its last.
func (s *sender) forwardLocked(l *layer, pkt *packet, now time.Time, h *forward.Header) forward.Verdict {
	if !s.selector.Ends(&pkt.Packet) {
		return s.rewriter.Forward(&l.src, &pkt.Packet, now, h)
	}
	last := pkt.Packet
	last.Marker = true
	return s.rewriter.Forward(&l.src, &last, now, h)
}

// renewReport has a sender report follow a change of source soon.
func (s *sender) renewReport() {
	s.renew = true
	s.t.room.wake()
}

// redundant reports whether the client takes RED around the Opus we send.
func (s *sender) redundant() bool {
	_, known := s.lookup(codecID{codec: forward.CodecRED})
	return known && s.opusPT != 0
}

// payloadLocked is how the client gets a packet: its payload type and payload.
// RED goes out only where the receiver knows it, means the same Opus by the block
// headers (RFC 2198 section 3) and loss asks for it; else the primary block alone.
func (s *sender) payloadLocked(pkt *packet) (pt payloadType, payload []byte, ok bool) {
	if pkt.codec.codec == forward.CodecRED {
		primary, inner, valid := forward.PrimaryRED(pkt.payload)
		if !valid {
			return payloadType{}, nil, false
		}
		if red, known := s.lookup(pkt.codec); known && inner == s.opusPT && !s.plain {
			return red, pkt.payload, true
		}
		opus, known := s.lookup(codecID{codec: forward.CodecOpus})
		return opus, primary, known
	}
	pt, ok = s.lookup(pkt.codec)
	return pt, pkt.payload, ok
}

func (s *sender) lookup(c codecID) (payloadType, bool) {
	for i := range s.types {
		if s.types[i].codec == c {
			return s.types[i], true
		}
	}
	return payloadType{}, false
}

// sendLocked writes a packet once into the batch and encrypts it there.
func (s *sender) sendLocked(h *forward.Header, pkt *packet, now time.Time, out *udpmux.Batch) {
	if s.wrap && s.wrapLocked(h, pkt, s.mark(now), out) {
		return
	}
	pt, payload, ok := s.last, []byte(nil), s.last.pt != 0
	if !h.Empty {
		pt, payload, ok = s.payloadLocked(pkt)
	}
	if !ok {
		s.t.sfu.metrics.drop(dropNoCodec)
		return
	}
	s.last = pt
	buf := out.Reserve(overhead + len(payload))
	if buf == nil {
		return
	}
	n := h.Put(buf, pt.pt, s.ssrc)
	n += s.t.putExtensions(buf, n, pkt)
	m := copy(buf[n:], payload)
	h.Patch.Apply(buf[n : n+m])
	s.t.sealLocked(&s.srtp, buf, n, n+m, s.mark(now), out)
}

// mark is what a packet of the sender's own stream is to the estimate.
func (s *sender) mark(now time.Time) mark {
	if s.kind == "video" {
		return mark{kind: congestion.Video, at: now}
	}
	return mark{kind: congestion.Audio, at: now}
}

// sealLocked seals the packet in buf[:n], whose header is buf[:header], in place
// and queues it.
func (t *transport) sealLocked(state *srtp.Outgoing, buf []byte, header, n int, as mark, out *udpmux.Batch) {
	m := &t.media
	if m.out == nil || !m.dst.IsValid() {
		return
	}
	enc, err := m.out.sealRTP(state, buf, header, n, &m.outHead)
	if err != nil {
		t.sfu.metrics.drop(dropEncrypt)
		return
	}
	if out.Commit(len(enc), m.dst) == nil {
		t.sfu.metrics.packetsOut.Inc()
		m.path.sent(len(enc), as)
	}
}

// putExtensions writes the header extensions passed on (pkt may be nil) and the
// transport-wide number, in the one-byte form (RFC 8285 section 4.2), and returns
// their size. The number counts as taken once the packet is queued.
func (t *transport) putExtensions(buf []byte, n int, pkt *packet) int {
	e := &t.media.ext
	start := n
	n += 4
	put := func(id uint8, data []byte) {
		if id > 0 && id < 15 && len(data) == 1 {
			buf[n], buf[n+1] = id<<4, data[0]
			n += 2
		}
	}
	if pkt != nil {
		put(e.orientation, pkt.orientation)
		put(e.audioLevel, pkt.audioLevel)
	}
	if e.twcc > 0 && e.twcc < 15 {
		buf[n] = e.twcc<<4 | 1
		binary.BigEndian.PutUint16(buf[n+1:], t.media.path.next)
		n += 3
	}
	if n == start+4 {
		return 0
	}
	for (n-start)%4 != 0 {
		buf[n] = 0
		n++
	}
	buf[0] |= 0x10
	binary.BigEndian.PutUint16(buf[start:], 0xBEDE)
	binary.BigEndian.PutUint16(buf[start+2:], uint16((n-start-4)/4))
	return n - start
}

// reportLocked sends a sender report on the publisher's clock, translated to
// ours, so that audio and video of a slot stay in sync.
func (s *sender) reportLocked(now time.Time, out *udpmux.Batch) {
	if s == nil || s.pub == nil || !s.open {
		return
	}
	id, ok := s.rewriter.Current()
	if !ok {
		return
	}
	l := s.layerOf(id)
	if l == nil {
		return
	}
	if sr, ok := s.rewriter.SenderReport(&l.src, now); ok {
		sr.SSRC = s.ssrc
		s.renew = false
		s.t.writeRTCPLocked(out, &sr)
	}
}

// renewReportLocked sends a sender report soon after a change of source: until
// then the receiver has no lip sync.
func (s *sender) renewReportLocked(now time.Time, out *udpmux.Batch) {
	if s != nil && s.renew {
		s.reportLocked(now, out)
	}
}
