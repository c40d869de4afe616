package sfu

import (
	"time"

	"github.com/pion/rtcp"

	"github.com/chatmed/chatmed/sfu/forward"
	"github.com/chatmed/chatmed/sfu/udpmux"
)

const (
	// keyFresh is how old a stored key frame may be to start a picture from it.
	// Who is about to start is spared a request when there is one half as old,
	// which the ring still has (minHistory).
	keyFresh = 400 * time.Millisecond
	// quietTries bounds the requests to a source that sends nothing: a shared
	// screen on which nothing moves, or a camera that is gone.
	quietTries = 6
	// eagerAsks unanswered requests go out at the throttle's own pace; further
	// ones twice as far apart each, up to maxAskInterval.
	eagerAsks      = 4
	askInterval    = 500 * time.Millisecond
	maxAskInterval = 8 * time.Second
)

// startLocked opens the slot once the client is ready. A picture starts at once
// from a key frame that is there already, then and whenever the slot comes to
// show another source.
func (s *slot) startLocked(ready bool, now time.Time, out *udpmux.Batch) {
	for _, snd := range []*sender{s.audio, s.video} {
		if snd == nil || snd.t.media.out == nil {
			continue
		}
		snd.open = snd.open || ready
		if snd.open && snd.replay {
			snd.replay = false
			snd.replayLocked(now, out)
		}
	}
}

// replayLocked sends what the best layer that is wanted has from its last key
// frame on.
func (s *sender) replayLocked(now time.Time, out *udpmux.Batch) {
	for i := min(len(s.pub.layers)-1, s.selector.Wanted()); i >= 0; i-- {
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

// freshKeyLocked reports whether a picture of pub could start from a stored key
// frame, now and in a moment.
func (pub *publication) freshKeyLocked(now time.Time) bool {
	for _, l := range pub.layers {
		if l != nil && l.haveKey && now.Sub(l.keyAt) <= keyFresh/2 {
			return true
		}
	}
	return false
}

// wantKeyFrames asks for a key frame for every subscriber at the next tick,
// while pictures go on flowing.
func (pub *publication) wantKeyFrames() {
	pub.quietAsks = 0
	for _, s := range pub.subs {
		s.wantKey = true
	}
	for _, k := range pub.taps {
		k.wantKey = true
	}
}

// renewKeyFramesLocked is called when SRTP is up: what was asked for at the
// join may be too old by the time the client is ready.
func (p *Participant) renewKeyFramesLocked() {
	now := p.sfu.now()
	for _, s := range p.transport.media.slots {
		if v := s.video; v != nil && v.pub != nil && !v.pub.freshKeyLocked(now) {
			v.asked = false
		}
	}
	p.room.wake()
}

// askKeyFramesLocked asks for the key frames that subscribers wait for. A muted
// source is not asked: its subscribers wait until it is shown again.
func (pub *publication) askKeyFramesLocked(now time.Time, out *udpmux.Batch) {
	if pub.muted || len(pub.subs) == 0 && len(pub.taps) == 0 {
		return
	}
	live := pub.activity.Live(now)
	quiet := live == 0
	if quiet {
		if pub.quietAsks >= quietTries || now.Before(pub.quietNext) {
			return
		}
		live = pub.known()
	}
	asked := false
	for _, s := range pub.subs {
		asked = s.wantLocked(live, now, out) || asked
	}
	for _, k := range pub.taps {
		asked = k.wantLocked(live, now, out) || asked
	}
	if quiet && asked {
		pub.quietAsks++
		pub.quietNext = now.Add(time.Second << pub.quietAsks)
	}
	for i, l := range pub.layers {
		if l != nil && !quiet && live.Has(i) {
			l.sendKeyFrameRequestLocked(l.throttle.Due(now), out)
		}
	}
}

// wantLocked asks for the key frame this subscriber waits for, and reports
// whether there is one to wait for.
func (s *sender) wantLocked(live forward.Layers, now time.Time, out *udpmux.Batch) bool {
	if held := !s.open || s.replay; s.t.media.ended || held && (s.asked || s.pub.freshKeyLocked(now)) {
		return false
	}
	i, needed := s.selector.KeyFrameNeeded(live)
	if !needed {
		i = s.selector.Current()
	}
	if i < 0 || i >= len(s.pub.layers) || s.pub.layers[i] == nil {
		return false
	}
	if !needed && !s.wantKey {
		if s.slideDueLocked(s.pub.layers[i], now) {
			s.pub.layers[i].sendKeyFrameRequestLocked(forward.RequestPLI, out)
		}
		return false
	}
	s.wantKey, s.asked = false, true
	s.pub.layers[i].askKeyFrameLocked(now, out)
	return true
}

// keyFrameAskedLocked passes a receiver's PLI or FIR on.
func (s *sender) keyFrameAskedLocked(now time.Time, out *udpmux.Batch) {
	if s.kind != "video" || s.pub == nil || !s.pub.activity.Live(now).Has(s.selector.Current()) {
		return
	}
	if i := s.selector.Current(); i < len(s.pub.layers) && s.pub.layers[i] != nil {
		s.pub.layers[i].askKeyFrameLocked(now, out)
	}
}

// askKeyFrameLocked sends a request to the publisher when one is due.
func (l *layer) askKeyFrameLocked(now time.Time, out *udpmux.Batch) {
	l.sendKeyFrameRequestLocked(l.throttle.Want(now), out)
}

func (l *layer) sendKeyFrameRequestLocked(r forward.KeyFrameRequest, out *udpmux.Batch) {
	t := l.pub.owner.transport
	switch r {
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
	l.asks++
	l.throttle.Interval = min(askInterval<<min(max(l.asks-eagerAsks, 0), 8), maxAskInterval)
	t.sfu.metrics.keyFrameRequests.Inc()
}
