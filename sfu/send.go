package sfu

import (
	"slices"
	"time"

	"github.com/chatmed/chatmed/sfu/congestion"
	"github.com/chatmed/chatmed/sfu/forward"
)

const (
	// layerKeep is how long an encoding nobody takes is kept flowing, lowestKeep the
	// lowest one, to which a link that gets worse falls back.
	layerKeep  = 5 * time.Second
	lowestKeep = 15 * time.Second
	// comfort is how much more than what is sent the link of everyone must carry
	// for the lowest encoding to be given up.
	comfort = 1.5
	// capStep is the change of a cap worth telling, capApart how soon after the last
	// one a higher one is told.
	capStep  = 0.15
	capApart = 2 * time.Second
	// leastPicture is the lowest cap, and capNone the rate from which none is told.
	leastPicture = 60_000
	capNone      = 2_500_000
	// capShare of what a link leaves for a picture is what it may take.
	capShare = 0.8
)

// SendLayer is what a publisher should send of one encoding.
type SendLayer struct {
	RID    string // "" without simulcast
	Active bool
	// MaxBitrate is the most that anybody can take, in bit/s; 0: no bound.
	MaxBitrate int
}

// sendState is what the publisher of one source has been told.
type sendState struct {
	wanted [forward.MaxLayers]time.Time // when a layer was last wanted
	off    forward.Layers               // told to be inactive
	cap    int                          // of the lowest one; 0 for none
	capAt  time.Time
	told   bool
	full   int // what it cost before it was capped, bit/s
}

// paused reports whether a layer is held back because we asked for it.
func (s *sendState) paused(layer int) bool { return s.off.Has(layer) }

// followLocked has the publisher send what its subscribers can take, no more.
func (p *Participant) followLocked(now time.Time) {
	changed := false
	for _, pub := range p.publications {
		if pub.kind == "video" && pub.line != nil {
			changed = pub.followLocked(now) || changed
		}
	}
	if !changed {
		return
	}
	p.sending = map[string][]SendLayer{}
	for source, pub := range p.publications {
		if pub.kind == "video" && pub.send.told {
			p.sending[source] = pub.sendLayers()
		}
	}
	p.sendingDirty = true
	p.room.wake()
}

func (pub *publication) encodings() int { return min(max(len(pub.line.rids), 1), forward.MaxLayers) }

// followLocked decides what is to be sent, and reports a change.
func (pub *publication) followLocked(now time.Time) bool {
	n, st := pub.encodings(), &pub.send
	if len(pub.subs) == 0 && len(pub.taps) == 0 || pub.muted {
		return st.setLocked(0, st.cap) // whoever comes finds it flowing
	}
	room, easy, shown := 0, true, false
	for _, s := range pub.subs {
		shown = shown || s.visibleLocked()
		r, ok := s.takesLocked(now)
		room, easy = max(room, r), easy && ok
	}
	for _, k := range pub.taps {
		if k.liveLocked() {
			room, shown = capNone, true
			st.wanted[n-1] = now
		}
	}
	var off forward.Layers
	for i := n - 1; i >= 0; i-- {
		keep := layerKeep
		if i == 0 {
			keep = lowestKeep
		}
		if st.wanted[i].IsZero() {
			st.wanted[i] = now
		}
		idle := now.Sub(st.wanted[i]) > keep
		others := off != forward.Layers(1<<n-2)
		if idle && (i > 0 || !shown || easy && others) {
			off |= 1 << i
		}
	}
	return st.setLocked(off, st.capLocked(pub, room, now))
}

func (s *sendState) setLocked(off forward.Layers, limit int) bool {
	if off == s.off && limit == s.cap {
		return false
	}
	s.off, s.cap, s.told = off, limit, true
	return true
}

// takesLocked notes the layers a subscriber takes, and returns how much of a
// picture its link could carry and whether it carries what it shows with ease.
func (s *sender) takesLocked(now time.Time) (room int, easy bool) {
	p := &s.t.media.path
	d := &s.slot.decision
	if s.selector.Wanted() >= 0 {
		for _, i := range []int{s.selector.Wanted(), s.selector.Current()} {
			if i = min(i, s.pub.encodings()-1); i >= 0 {
				s.pub.send.wanted[i] = now
			}
		}
	}
	if p.est == nil || !p.heard || now.Sub(p.since) < opening {
		return capNone, true
	}
	link := int(capShare * float64(p.estimate.Target))
	pictures := 0
	for i, o := range s.t.media.slots {
		if i >= len(p.slots) {
			break
		}
		link -= p.slots[i].Audio
		if o.video != nil && o.video.pub != nil && p.slots[i].Visible {
			pictures++
		}
	}
	if d.Video == congestion.NoVideo && len(p.slots) > 0 && !s.visibleLocked() {
		return 0, true
	}
	return max(link/max(pictures, 1), 0), !d.Limited && float64(p.estimate.Target) > comfort*float64(p.cost)
}

func (s *sender) visibleLocked() bool {
	i := slices.Index(s.t.media.slots, s.slot)
	return i < 0 || s.t.owner.viewLocked(i).Visible
}

// capLocked is the bound of the lowest encoding: what the best link carries, when
// that is less than it costs. It falls at once and rises with hysteresis.
func (s *sendState) capLocked(pub *publication, room int, now time.Time) int {
	l := pub.first()
	if l == nil || !l.meter.known || room == 0 {
		return s.cap
	}
	cost := l.meter.all()
	if s.cap == 0 {
		s.full = max(cost, s.full)
		if room >= cost {
			return 0
		}
	}
	want := max(room, leastPicture)
	switch {
	case room >= capNone || s.cap > 0 && float64(room) > 1.2*float64(s.full):
		want = 0
		if s.cap == 0 || now.Sub(s.capAt) < capApart {
			return s.cap
		}
	case s.cap == 0 || float64(want) < (1-capStep)*float64(s.cap):
	case float64(want) > (1+capStep)*float64(s.cap) && now.Sub(s.capAt) >= capApart:
	default:
		return s.cap
	}
	s.capAt = now
	return want
}

// cappedLocked is how much more the client would be sent if the publishers had
// not been bounded: probes go up to there.
func (t *transport) cappedLocked() (more int) {
	for _, s := range t.media.slots {
		if v := s.video; v != nil && v.pub != nil && v.pub.send.cap > 0 {
			if l := v.pub.first(); l != nil {
				more += max(int(1.5*float64(v.pub.send.full))-l.meter.all(), 0)
			}
		}
	}
	return more
}

func (pub *publication) sendLayers() []SendLayer {
	out := make([]SendLayer, pub.encodings())
	for i := range out {
		out[i].Active = !pub.send.off.Has(i)
		if len(pub.line.rids) > i {
			out[i].RID = pub.line.rids[i]
		}
	}
	out[0].MaxBitrate = pub.send.cap
	return out
}
