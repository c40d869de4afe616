package sfu

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"

	"github.com/chatmed/chatmed/sfu/forward"
	"github.com/chatmed/chatmed/sfu/negotiate"
	"github.com/chatmed/chatmed/sfu/udpmux"
)

const (
	// keyFresh is how old a stored key frame may be to start a picture from it.
	keyFresh = time.Second
	// overhead is room for the RTP header, our extensions and the SRTP tag.
	overhead = 12 + 12 + 32
	// resendSpacing is how soon a packet may be repeated while the round trip
	// is unknown.
	resendSpacing = 20 * time.Millisecond
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
	types   []payloadType
	opusPT  uint8

	pub      *publication
	selector forward.Selector
	rewriter *forward.Rewriter
	open     bool // the client has applied the answer and SRTP is up
	wantKey  bool
	asked    bool // a key frame was asked for before open
}

func newSender(t *transport, s *slot, md *negotiate.Media) *sender {
	snd := &sender{t: t, slot: s, mid: md.Mid, kind: md.Kind, ssrc: newSSRC()}
	codecs := md.Usable()
	for _, c := range codecs {
		if c.Name == "rtx" {
			continue
		}
		pt := payloadType{codec: codecOf(c), pt: c.PT}
		for _, r := range codecs {
			if r.Name == "rtx" && r.APT == c.PT {
				pt.rtx = r.PT
				snd.rtxSSRC = max(snd.rtxSSRC, 1)
			}
		}
		if c.Name == "opus" {
			snd.opusPT = c.PT
		}
		snd.types = append(snd.types, pt)
	}
	cfg := forward.RewriterConfig{Codec: forward.CodecOpus, FirstSequence: uint16(newSSRC()) >> 1, FirstTimestamp: newSSRC()}
	if md.Kind == "video" {
		cfg.Codec = forward.CodecVP8
	}
	snd.rewriter = forward.NewRewriter(cfg)
	t.media.senders[snd.ssrc] = snd
	if snd.rtxSSRC != 0 {
		snd.rtxSSRC, snd.rtxSeq = newSSRC(), uint16(newSSRC())>>1
		t.media.senders[snd.rtxSSRC] = snd
	}
	return snd
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
	s.asked = false
	if pub == nil {
		return
	}
	pub.subs = append(pub.subs, s)
	s.selector.Want(forward.MaxLayers-1, forward.AllTemporal)
}

// takeLocked forwards a packet if it is one of this subscriber's.
func (s *sender) takeLocked(l *layer, live forward.Layers, pkt *packet, now time.Time, out *udpmux.Batch) {
	if !s.open {
		return
	}
	var h forward.Header
	var v forward.Verdict
	if s.kind == "audio" {
		if cur, ok := s.rewriter.Current(); !ok || cur != l.src.ID {
			s.rewriter.SwitchTo(l.src.ID)
		}
		v = s.rewriter.Forward(&l.src, &pkt.Packet, now, &h)
	} else {
		switch s.selector.Decide(live, l.index, &pkt.Packet) {
		case forward.Ignore:
			return
		case forward.Skip:
			v = s.rewriter.Skip(&l.src, &pkt.Packet, now, &h)
		case forward.Switch:
			s.rewriter.SwitchTo(l.src.ID)
			v = s.rewriter.Forward(&l.src, &pkt.Packet, now, &h)
		case forward.Forward:
			if cur, ok := s.rewriter.Current(); !ok || cur != l.src.ID {
				s.rewriter.SwitchTo(l.src.ID)
			}
			v = s.rewriter.Forward(&l.src, &pkt.Packet, now, &h)
		}
	}
	if v == forward.Send || v == forward.SendEmpty {
		s.sendLocked(&h, pkt, out)
	}
}

// payloadLocked is how the client gets a packet: its payload type and payload.
// RED goes out only where the receiver knows it and means the same Opus by the
// block headers (RFC 2198 section 3); others get the primary block.
func (s *sender) payloadLocked(pkt *packet) (pt payloadType, payload []byte, ok bool) {
	if pkt.codec.codec == forward.CodecRED {
		primary, inner, valid := forward.PrimaryRED(pkt.payload)
		if !valid {
			return payloadType{}, nil, false
		}
		if red, known := s.lookup(pkt.codec); known && inner == s.opusPT {
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
func (s *sender) sendLocked(h *forward.Header, pkt *packet, out *udpmux.Batch) {
	pt, payload, ok := s.payloadLocked(pkt)
	if !ok {
		s.t.sfu.metrics.drop(dropNoCodec)
		return
	}
	buf := out.Reserve(overhead + len(payload))
	if buf == nil {
		return
	}
	n := h.Put(buf, pt.pt, s.ssrc)
	n += s.t.putExtensions(buf, n, pkt)
	if !h.Empty {
		m := copy(buf[n:], payload)
		h.Patch.Apply(buf[n : n+m])
		n += m
	}
	s.t.encryptLocked(buf, n, out)
}

// encryptLocked seals buf[:n] in place and queues it.
func (t *transport) encryptLocked(buf []byte, n int, out *udpmux.Batch) {
	m := &t.media
	if m.out == nil || !m.dst.IsValid() {
		return
	}
	enc, err := m.out.EncryptRTP(buf[:0], buf[:n], &m.outHead)
	if err != nil {
		t.sfu.metrics.drop(dropEncrypt)
		return
	}
	if out.Commit(len(enc), m.dst) == nil {
		t.sfu.metrics.packetsOut.Inc()
	}
}

// putExtensions writes the header extensions passed on, in the one-byte form
// (RFC 8285 section 4.2), and returns their size.
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
	put(e.orientation, pkt.orientation)
	put(e.audioLevel, pkt.audioLevel)
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

// releaseHeldLocked opens the slot once the client is ready; a picture starts
// at once from a key frame that came meanwhile.
func (s *slot) releaseHeldLocked(now time.Time, out *udpmux.Batch) {
	for _, snd := range []*sender{s.audio, s.video} {
		if snd == nil || snd.open || snd.t.media.out == nil {
			continue
		}
		snd.open = true
		if snd.kind == "video" && snd.pub != nil {
			snd.replayLocked(now, out)
		}
	}
}

// replayLocked sends what the best layer has from its last key frame on.
func (s *sender) replayLocked(now time.Time, out *udpmux.Batch) {
	for i := len(s.pub.layers) - 1; i >= 0; i-- {
		l := s.pub.layers[i]
		if l == nil || !l.haveKey || now.Sub(l.keyAt) > keyFresh {
			continue
		}
		if _, ok := l.ring.At(l.keyStart); !ok {
			continue
		}
		live := forward.Layers(1) << i
		for ext := l.keyStart; ext <= l.ring.Highest(); ext++ {
			var pkt packet
			if raw, ok := l.ring.At(ext); ok && l.recallLocked(raw, ext, &pkt) {
				s.takeLocked(l, live, &pkt, now, out)
			}
		}
		return
	}
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

// wantLocked asks for the key frame this subscriber waits for.
func (s *sender) wantLocked(live forward.Layers, now time.Time, out *udpmux.Batch) {
	if live == 0 || (!s.open && s.asked) {
		return
	}
	i, needed := s.selector.KeyFrameNeeded(live)
	if !needed {
		if !s.wantKey {
			return
		}
		i = s.selector.Current()
	}
	if i < 0 || i >= len(s.pub.layers) || s.pub.layers[i] == nil {
		return
	}
	s.wantKey, s.asked = false, true
	s.pub.layers[i].askKeyFrameLocked(now, out)
}

// keyFrameAskedLocked passes a receiver's PLI or FIR on.
func (s *sender) keyFrameAskedLocked(now time.Time, out *udpmux.Batch) {
	if s.kind != "video" || s.pub == nil {
		return
	}
	i := max(s.selector.Current(), 0)
	if i < len(s.pub.layers) && s.pub.layers[i] != nil {
		s.pub.layers[i].askKeyFrameLocked(now, out)
	}
}

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
		if s.rewriter.Forward(&l.src, &pkt.Packet, now, &h) == forward.Send {
			s.sendLocked(&h, &pkt, out)
		}
		return
	}
	pt, payload, ok := s.payloadLocked(&pkt)
	if !ok || pt.rtx == 0 || h.Empty {
		return
	}
	buf := out.Reserve(overhead + 2 + len(payload))
	if buf == nil {
		return
	}
	osn := h.Sequence
	h.Sequence = s.rtxSeq
	s.rtxSeq++
	n := h.Put(buf, pt.rtx, s.rtxSSRC)
	n += s.t.putExtensions(buf, n, &pkt)
	binary.BigEndian.PutUint16(buf[n:], osn)
	n += 2
	m := copy(buf[n:], payload)
	h.Patch.Apply(buf[n : n+m])
	s.t.encryptLocked(buf, n+m, out)
	s.t.sfu.metrics.resent.Inc()
}

func (s *sender) layerOf(id forward.SourceID) *layer {
	for _, l := range s.pub.layers {
		if l != nil && l.src.ID == id {
			return l
		}
	}
	return nil
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
		s.t.writeRTCPLocked(out, &sr)
	}
}
