package sfu

import (
	"time"

	"github.com/pion/rtcp"

	"github.com/chatmed/chatmed/sfu/buffer"
	"github.com/chatmed/chatmed/sfu/forward"
	"github.com/chatmed/chatmed/sfu/udpmux"
)

// publication is what a participant sends of one source. It is the only owner
// of its layers' packets. Guarded by room.mu.
type publication struct {
	owner  *Participant
	source string
	kind   string // audio or video
	muted  bool
	line   *inbound

	layers   []*layer // by simulcast rank, lowest first; one without simulcast
	activity forward.Activity
	subs     []*sender
}

// layer is one incoming encoding of a publication.
type layer struct {
	pub      *publication
	index    int
	ssrc     uint32
	src      forward.Source
	ring     *buffer.Ring
	throttle forward.KeyFrameThrottle
	keyStart uint64 // extended number where the last key frame began
	keyAt    time.Time
	keyTS    uint32
	haveKey  bool
	codec    codecID
	pairs    []rtcp.NackPair // scratch
	firSeq   uint8
}

// syncPublicationsLocked makes the participant's publications those of its
// transport's lines.
func (p *Participant) syncPublicationsLocked() {
	keep := map[string]bool{}
	for _, l := range p.transport.media.lines {
		keep[l.source] = true
		pub := p.publications[l.source]
		if pub == nil {
			pub = &publication{owner: p, source: l.source, kind: l.kind}
			p.publications[l.source] = pub
		}
		if pub.line != l {
			pub.line, pub.muted = l, l.muted
		}
		l.pub = pub
	}
	for source, pub := range p.publications {
		if !keep[source] {
			for _, s := range append([]*sender(nil), pub.subs...) {
				s.subscribeLocked(nil)
			}
			delete(p.publications, source)
		}
	}
}

// moved forgets the streams of a transport that was replaced. Subscribers stay
// and go on with the next key frame.
func (pub *publication) moved() {
	pub.layers = nil
	pub.activity = forward.Activity{}
	for _, s := range pub.subs {
		s.selector.Restart()
	}
}

// layerFor returns the layer of a new stream, of rank index.
func (pub *publication) layerFor(ssrc uint32, index int) *layer {
	for len(pub.layers) <= index {
		pub.layers = append(pub.layers, nil)
	}
	if l := pub.layers[index]; l != nil && l.ssrc == ssrc {
		return l
	}
	cfg := buffer.Config{Packets: videoRingPackets}
	if pub.kind == "audio" {
		cfg = buffer.Config{Packets: audioRingPackets, ClockRate: 48000}
	}
	l := &layer{pub: pub, index: index, ssrc: ssrc, ring: buffer.New(cfg)}
	l.src.ID = pub.owner.sfu.nextSource()
	pub.layers[index] = l
	return l
}

// noteKeyFrame remembers where the newest key frame begins. Further packets of
// the same frame (equal timestamp, as after an H.264 SPS) change nothing.
func (l *layer) noteKeyFrame(pkt *packet, now time.Time) {
	if l.haveKey && (pkt.ExtSeq <= l.keyStart || pkt.Timestamp == l.keyTS) {
		return
	}
	l.keyStart, l.keyTS, l.keyAt, l.haveKey = pkt.ExtSeq, pkt.Timestamp, now, true
}

// requestKeyFrames makes every subscriber ask again, at the next tick.
func (pub *publication) requestKeyFrames() {
	for _, s := range pub.subs {
		s.selector.Restart()
	}
}

// requestKeyFramesForLocked asks everyone whose video p shows for a key frame
// now, so that it is there when p's answer is applied.
func (r *Room) requestKeyFramesForLocked(p *Participant) {
	for _, s := range p.transport.media.slots {
		if s.video != nil && s.video.pub != nil {
			s.video.wantKey = true
		}
	}
	r.wake()
}

// askKeyFrameLocked sends a request to the publisher when one is due.
func (l *layer) askKeyFrameLocked(now time.Time, out *udpmux.Batch) {
	t := l.pub.owner.transport
	switch l.throttle.Want(now) {
	case forward.RequestPLI:
		t.writeRTCPLocked(out, &rtcp.PictureLossIndication{SenderSSRC: t.media.rtcpSSRC, MediaSSRC: l.ssrc})
	case forward.RequestFIR:
		l.firSeq++
		t.writeRTCPLocked(out, &rtcp.FullIntraRequest{
			SenderSSRC: t.media.rtcpSSRC,
			FIR:        []rtcp.FIREntry{{SSRC: l.ssrc, SequenceNumber: l.firSeq}},
		})
	case forward.RequestNothing:
		return
	}
	t.sfu.metrics.keyFrameRequests.Inc()
}
