package forward

import (
	"math/bits"
	"time"
)

const (
	// MaxLayers is how many simulcast layers a publication may have.
	MaxLayers = 4
	// NoLayer stands for nothing: nothing wanted (paused) or nothing flowing.
	NoLayer = -1
	// AllTemporal wants every temporal layer.
	AllTemporal = 7
	// stallAfter is the silence after which a layer counts as stopped.
	stallAfter = time.Second
)

// Layers is a set of simulcast layers, bit 0 the lowest.
type Layers uint8

// Has reports whether the layer is in the set.
func (l Layers) Has(layer int) bool { return layer >= 0 && layer < MaxLayers && l>>layer&1 != 0 }

// Activity knows which layers of a publication are alive. One per publication,
// owned by its reader; subscribers get the resulting Layers by value.
type Activity struct {
	last  [MaxLayers]time.Time
	known Layers
}

// Seen notes a packet of a layer and returns the layers alive now.
func (a *Activity) Seen(layer int, now time.Time) Layers {
	if layer >= 0 && layer < MaxLayers {
		a.last[layer] = now
		a.known |= 1 << layer
	}
	return a.Live(now)
}

// Live returns the layers that had a packet within the last second.
func (a *Activity) Live(now time.Time) Layers {
	var live Layers
	for i := range a.last {
		if a.known>>i&1 != 0 && now.Sub(a.last[i]) <= stallAfter {
			live |= 1 << i
		}
	}
	return live
}

// Action is what to do with a packet for one subscriber.
type Action uint8

// What Decide may answer.
const (
	// Ignore: the packet is none of this subscriber's current layer.
	Ignore Action = iota
	// Forward: pass it to Rewriter.Forward.
	Forward
	// Skip: of the current layer, but not to be sent: pass it to Rewriter.Skip,
	// so that no gap shows.
	Skip
	// Switch: call Rewriter.SwitchTo, then Rewriter.Forward.
	Switch
)

// Selector picks the simulcast layer, the temporal and spatial layers for one
// subscriber, or key frames alone. It changes the simulcast layer only at a key
// frame of the new one; the old one flows until then. A source without simulcast
// is layer 0. Spatial layers within one stream (VP9) go at the end of a picture
// and come where theirs refers to none before.
//
// The zero value wants nothing. Owned by the goroutine that forwards.
type Selector struct {
	wanted  int // layer + 1, so that zero is NoLayer
	current int // layer + 1
	target  int // layer + 1, from wanted and what is alive

	wantedTID uint8
	tid       uint8 // highest temporal layer forwarded
	frameTS   uint32
	haveTS    bool

	lowerSID uint8 // MaxLayers-1 less the highest spatial layer wanted
	sid      uint8 // highest spatial layer forwarded, of a source that has them in one stream
	above    bool  // a layer above sid is wanted and there

	slide   uint32 // wanted timestamp units between two key frames; 0: moving
	sliding bool   // only key frames are forwarded
	slideTS uint32 // of the last one
}

// Want sets what the subscriber is to get: a layer, or NoLayer to pause, and the
// highest temporal layer. Pausing acts at once; then call Rewriter.Pause.
func (s *Selector) Want(layer int, temporal uint8) {
	s.wanted = min(max(layer, NoLayer), MaxLayers-1) + 1
	s.wantedTID = min(temporal, AllTemporal)
	if s.wanted == 0 {
		s.current, s.target = 0, 0
	}
}

// WantSpatial sets the highest spatial layer of a source that carries several in
// one stream. The zero value wants all.
func (s *Selector) WantSpatial(sid int) {
	s.lowerSID = uint8(MaxLayers - 1 - min(max(sid, 0), MaxLayers-1))
	if s.sid >= s.topSID() {
		s.above = false
	}
}

func (s *Selector) topSID() uint8 { return MaxLayers - 1 - s.lowerSID }

// WantSlides has only key frames pass, at most one in so many units of the RTP
// clock; 0 wants moving pictures again, which begin at the next key frame.
func (s *Selector) WantSlides(units uint32) { s.slide = units }

// Sliding reports whether only key frames pass now.
func (s *Selector) Sliding() bool { return s.sliding }

// Restart forgets what flows, as when the publication behind it changes. What is
// wanted stays.
func (s *Selector) Restart() { s.current, s.target, s.haveTS, s.above = 0, 0, false, false }

// Wanted returns the layer last wanted, or NoLayer.
func (s *Selector) Wanted() int { return s.wanted - 1 }

// Current returns the layer that flows, or NoLayer.
func (s *Selector) Current() int { return s.current - 1 }

// KeyFrameNeeded returns the layer whose key frame the subscriber waits for. Ask
// after Want and after each burst; a KeyFrameThrottle keeps the requests few.
// live is what Activity.Live says.
func (s *Selector) KeyFrameNeeded(live Layers) (layer int, ok bool) {
	s.aim(live)
	switch {
	case s.target == 0:
		return NoLayer, false
	case s.target == s.current && (s.slide > 0 || !s.above && !s.sliding):
		return NoLayer, false
	}
	return s.target - 1, true
}

// Decide says what to do with a packet of a layer. live is what Activity.Seen
// returned for this packet.
func (s *Selector) Decide(live Layers, layer int, p *Packet) Action {
	s.aim(live)
	if s.current == 0 || layer+1 != s.current {
		if !s.mayStart(layer, p) {
			return Ignore
		}
		s.current = layer + 1
		s.tid, s.frameTS, s.haveTS = s.wantedTID, p.Timestamp, true
		s.sid, s.above = s.topSID(), false
		s.sliding, s.slideTS = s.slide > 0, p.Timestamp
		return Switch
	}
	if p.Size == 0 {
		return Skip // padding: our own sender pads as it sees fit
	}
	s.follow(p)
	s.climb(p)
	if s.Omits(p) {
		return Skip
	}
	return Forward
}

// Omits reports whether a packet of the current layer is left out.
func (s *Selector) Omits(p *Packet) bool {
	return p.Info.TID > s.tid || p.Info.SID > s.sid || s.sliding && p.Timestamp != s.slideTS
}

// Ends reports whether the packet is the last of its picture that is forwarded,
// without saying so itself: what follows it is of a layer left out.
func (s *Selector) Ends(p *Packet) bool {
	return p.Info.End && p.Info.SID == s.sid && !p.Marker
}

// climb goes up to a spatial layer where its frame refers to no earlier picture.
func (s *Selector) climb(p *Packet) {
	i := &p.Info
	if i.SID <= s.sid || i.SID > s.topSID() {
		return
	}
	if i.SID == s.sid+1 && i.Start && !i.Inter {
		s.sid, s.above = i.SID, false
		return
	}
	s.above = true
}

// mayStart reports whether to switch to layer at p. While nothing flows any key
// frame up to the wanted layer is welcome: the first picture counts more than its
// size.
func (s *Selector) mayStart(layer int, p *Packet) bool {
	if s.wanted == 0 || layer < 0 || layer >= MaxLayers || !p.Info.KeyFrame || p.Size == 0 {
		return false
	}
	return layer+1 == s.target || s.current == 0 && layer < s.wanted
}

// aim sets the target: the best live layer up to the wanted one, else the lowest
// live one, else the wanted one.
func (s *Selector) aim(live Layers) {
	if s.wanted == 0 {
		return
	}
	upTo := uint8(live) & (1<<s.wanted - 1)
	switch {
	case upTo != 0:
		s.target = bits.Len8(upTo)
	case live != 0:
		s.target = bits.TrailingZeros8(uint8(live)) + 1
	case s.current != 0:
		s.target = s.current // all is silent: stay
	default:
		s.target = s.wanted
	}
}

// follow moves the temporal limit at the start of a frame: down at once, up only
// where the frame needs none that was left out.
func (s *Selector) follow(p *Packet) {
	if s.haveTS && int32(p.Timestamp-s.frameTS) <= 0 && !p.Info.KeyFrame {
		return
	}
	s.frameTS, s.haveTS = p.Timestamp, true
	s.pause(p)
	if top := s.topSID(); p.Info.SID == 0 && (p.Info.KeyFrame || top < s.sid) {
		s.sid, s.above = top, false
	}
	switch {
	case s.wantedTID <= s.tid:
		s.tid = s.wantedTID
	case p.Info.KeyFrame:
		s.tid = s.wantedTID
	case p.Info.Sync && p.Info.TID > s.tid && p.Info.TID <= s.wantedTID:
		s.tid = p.Info.TID
	}
}

// pause moves between pictures that move and key frames alone, at the start of a
// frame.
func (s *Selector) pause(p *Packet) {
	if !p.Info.KeyFrame {
		if s.slide > 0 && !s.sliding {
			s.sliding, s.slideTS = true, p.Timestamp-s.slide
		}
		return
	}
	s.sliding = s.slide > 0
	if !s.sliding || p.Timestamp-s.slideTS >= s.slide-s.slide/5 {
		s.slideTS = p.Timestamp
	}
}
