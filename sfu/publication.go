package sfu

import (
	"slices"
	"time"

	"github.com/pion/rtcp"

	"github.com/chatmed/chatmed/sfu/buffer"
	"github.com/chatmed/chatmed/sfu/forward"
)

// publication is what a participant sends of one source. It is the only owner
// of its layers' packets. Guarded by room.mu.
type publication struct {
	id     uint64 // never used twice
	owner  *Participant
	source string
	kind   string // audio or video
	muted  bool
	line   *inbound

	layers   []*layer // by simulcast rank, lowest first; one without simulcast
	activity forward.Activity
	subs     []*sender
	taps     []*taken
	loudness loudness
	since    time.Time // of being published, or unmuted
	lastIn   time.Time // when the last packet came
	send     sendState // what the publisher was told to send

	held      []heldPacket // until the end of the burst
	heldBytes int

	// While a source that is not muted sends nothing, key frames are asked for
	// rarely and only a few times.
	quietAsks int
	quietNext time.Time
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
	gone     bool            // replaced, or the publication has ended
	pairs    []rtcp.NackPair // scratch
	firSeq   uint8
	asks     int // key-frame requests since the last key frame

	meter      meter // of a picture
	voice      voice // of a sound
	slideAsked time.Time
	up         reception // as we report it to the publisher

	stream     *Stream    // for taps, once one has taken a packet
	lastReport lastReport // of the publisher
}

// syncPublicationsLocked makes the participant's publications those of its
// transport's lines.
func (p *Participant) syncPublicationsLocked() {
	keep := map[string]bool{}
	for _, l := range p.transport.media.lines {
		keep[l.source] = true
		pub := p.publications[l.source]
		if pub == nil {
			pub = &publication{id: uint64(p.sfu.nextSource()), owner: p, source: l.source, kind: l.kind, since: p.sfu.now()}
			p.publications[l.source] = pub
		}
		if pub.line != l {
			pub.moved()
			pub.line = l
		}
		if pub.muted && !l.muted {
			pub.wantKeyFrames()
		}
		pub.setMutedLocked(l.muted)
		l.pub = pub
	}
	for source, pub := range p.publications {
		if !keep[source] {
			pub.moved()
			for _, s := range slices.Clone(pub.subs) {
				s.subscribeLocked(nil)
			}
			pub.taps = nil
			delete(p.publications, source)
		}
	}
	if p.room.participants[p.id] == p {
		p.room.tapLocked()
	}
}

// moved forgets the streams of a line or a transport that was replaced.
// Subscribers stay and go on with the next key frame.
func (pub *publication) moved() {
	for _, l := range pub.layers {
		if l != nil {
			l.gone = true
		}
	}
	pub.layers = nil
	pub.activity = forward.Activity{}
	for _, s := range pub.subs {
		s.selector.Restart()
	}
	for _, k := range pub.taps {
		k.selector.Restart()
	}
}

// layerFor returns the layer of a new stream, of rank index. One of another
// SSRC gives way: the source has started anew, and subscribers need a key frame.
func (pub *publication) layerFor(ssrc uint32, index int) *layer {
	for len(pub.layers) <= index {
		pub.layers = append(pub.layers, nil)
	}
	if old := pub.layers[index]; old != nil {
		if old.ssrc == ssrc {
			return old
		}
		old.gone = true
		pub.line.retire(old.ssrc)
		for _, s := range pub.subs {
			if s.selector.Current() == index {
				s.selector.Restart()
			}
		}
		for _, k := range pub.taps {
			if k.selector.Current() == index {
				k.selector.Restart()
			}
		}
	}
	cfg := buffer.Config{Packets: videoRingPackets, Window: pub.historyLocked()}
	if pub.kind == "audio" {
		cfg = buffer.Config{Packets: audioRingPackets, Window: minHistory, ClockRate: 48000}
	}
	l := &layer{pub: pub, index: index, ssrc: ssrc, ring: buffer.New(cfg)}
	l.src.ID = pub.owner.sfu.nextSource()
	pub.layers[index] = l
	for _, s := range pub.subs {
		s.t.media.path.urgent = true
	}
	pub.owner.room.wake()
	return l
}

// The history kept for repair: a receiver notices a loss within a frame or two,
// its request takes half a round trip, and a repeat that is lost too takes one
// more each. That lies between these bounds; beyond the upper one the picture
// would have stood still for too long to be worth it.
const (
	minHistory = 200 * time.Millisecond
	maxHistory = time.Second
)

// historyLocked is how much history the present subscribers may ask for.
func (pub *publication) historyLocked() time.Duration {
	var rtt time.Duration
	for _, s := range pub.subs {
		rtt = max(rtt, s.t.media.rtt.value())
	}
	return min(max(150*time.Millisecond+3*rtt, minHistory), maxHistory)
}

// keepHistoryLocked follows the subscribers' round trips.
func (pub *publication) keepHistoryLocked() {
	for _, l := range pub.layers {
		if l != nil {
			l.ring.SetWindow(pub.historyLocked())
		}
	}
}

// retire remembers an SSRC that was replaced, so that its stragglers do not
// take the layer back.
func (l *inbound) retire(ssrc uint32) {
	const most = 16
	if len(l.retired) == most {
		l.retired = l.retired[1:]
	}
	l.retired = append(l.retired, ssrc)
}

// known is the set of layers there has been a packet of.
func (pub *publication) known() (all forward.Layers) {
	for i, l := range pub.layers {
		if l != nil {
			all |= 1 << i
		}
	}
	return all
}

// noteKeyFrame remembers where the newest key frame begins. Further packets of
// the same frame (equal timestamp, as after an H.264 SPS) change nothing.
func (l *layer) noteKeyFrame(pkt *packet, now time.Time) {
	if l.haveKey && (pkt.ExtSeq <= l.keyStart || pkt.Timestamp == l.keyTS) {
		return
	}
	l.keyStart, l.keyTS, l.keyAt, l.haveKey = pkt.ExtSeq, pkt.Timestamp, now, true
}
