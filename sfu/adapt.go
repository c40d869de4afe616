package sfu

import (
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu/congestion"
	"github.com/chatmed/chatmed/sfu/forward"
)

const (
	videoClock = 90000
	audioClock = 48000
	// unlimited is the target where no estimate is to be had.
	unlimited = 100_000_000
	// floorShare leaves the allocator's own headroom above what must fit.
	floorShare = 0.84
	// grown is how many times the lowest estimate since the last such change a link
	// must carry, and for how long, to be taken for another.
	grown     = 1.5
	grownHold = 2 * time.Second
	// sharedSlides is how seldom a slide show asks for key frames of an encoding
	// that others watch move.
	sharedSlides = 3 * time.Second
)

// allocateLocked divides the client's link among its slots when it is time to,
// and has each sender forward accordingly.
func (t *transport) allocateLocked(now time.Time) {
	p := &t.media.path
	since := now.Sub(p.allocated)
	if !p.urgent && since < allocateEvery || since < allocateApart {
		return
	}
	p.allocated, p.urgent = now, false
	floor := t.shownLocked(now)
	target, loss := unlimited, 0.0
	if p.est != nil {
		p.est.Tick(now)
		p.estimate = p.est.Estimate()
		target, loss = p.estimate.Target, p.estimate.Loss
		switch {
		case p.openingLocked(now):
			// What is not known yet is found out while the least is shown; the plan
			// is made anew each time, for nothing has been tried that could fail.
			p.allocator = congestion.Allocator{}
			target = max(target, int(float64(floor)/floorShare))
		case p.wasSilent && !p.estimate.Silent:
			// An outage says nothing of the rate: what is resumed is planned anew.
			p.allocator, p.base = congestion.Allocator{}, target
		case p.grownLocked(now):
			p.allocator = congestion.Allocator{}
		case !p.heard: // it has agreed to tell and doesn't: nothing is known
			target = unlimited
		}
	}
	if p.est != nil {
		target = p.least.lift(target, int(float64(floor)/floorShare), &p.estimate, now)
	}
	p.wasSilent = p.estimate.Silent
	plan := p.allocator.Allocate(target, loss, p.slots, now)
	p.cost = plan.Cost
	if p.est != nil {
		p.est.Demand(plan.Demand + t.cappedLocked())
	}
	for i, s := range t.media.slots {
		s.decideLocked(&plan.Slots[i], &p.slots[i], p.est != nil)
	}
}

const (
	// calmQueue and calmLoss are what a link shows that is not too full.
	calmQueue = 120 * time.Millisecond
	calmLoss  = 0.12
	// fullQueue and fullLoss are what a link shows that is too full by any measure:
	// then the estimate is believed for believed.
	fullQueue = 250 * time.Millisecond
	fullLoss  = 0.2
	believed  = 30 * time.Second
	// liftAgain is how long the least is not tried again after it was too much;
	// twice as long each time, up to liftMost.
	liftAgain = 10 * time.Second
	liftMost  = time.Minute
)

// least shows the smallest pictures although the estimate is below them, while
// nothing speaks against it: the estimate of a link that jitters and loses at
// random errs downwards, and where it was right a queue tells within a second.
type least struct {
	lifted bool
	from   time.Time // not before
	wait   time.Duration
}

// lift returns the target to divide, need at least or as it was.
func (l *least) lift(target, need int, e *congestion.Estimate, now time.Time) int {
	calm := !e.Silent && e.Queue < calmQueue && e.Loss < calmLoss
	if e.Queue >= fullQueue || e.Loss >= fullLoss {
		if until := now.Add(believed); until.After(l.from) {
			l.from = until
		}
	}
	switch {
	case target >= need:
		l.lifted = false
	case l.lifted && !calm:
		l.lifted, l.wait = false, min(max(2*l.wait, liftAgain), liftMost)
		l.from = now.Add(l.wait)
	case calm && !now.Before(l.from):
		l.lifted = true
		return need
	}
	return target
}

// grownLocked reports whether the link carries so much more than when the client
// was last given less that the steps that failed there say nothing any more: then
// nothing is waited for but that it lasts.
func (p *path) grownLocked(now time.Time) bool {
	target := p.estimate.Target
	if p.estimate.Silent {
		return false
	}
	if p.base == 0 || target < p.base {
		p.base = target
	}
	if float64(target) < grown*float64(p.base) {
		p.grownAt = time.Time{}
		return false
	}
	if p.grownAt.IsZero() {
		p.grownAt = now
	}
	if now.Sub(p.grownAt) < grownHold {
		return false
	}
	p.base, p.grownAt = target, time.Time{}
	return true
}

// openingLocked reports whether the estimate is at its beginning, and nothing
// has spoken against more.
func (p *path) openingLocked(now time.Time) bool {
	e := &p.estimate
	return now.Sub(p.since) < opening && !e.Overuse && !e.Silent && e.State != congestion.Decreasing
}

// shownLocked fills in what the client is shown, and returns what the least of
// it costs.
func (t *transport) shownLocked(now time.Time) (floor int) {
	p := &t.media.path
	n := len(t.media.slots)
	for len(p.layers) < n {
		p.layers = append(p.layers, [congestion.MaxSpatial]congestion.Layer{})
		p.slots = append(p.slots, congestion.Slot{})
	}
	p.slots = p.slots[:n]
	for i, s := range t.media.slots {
		c := &p.slots[i]
		*c = congestion.Slot{}
		if s.from == nil {
			continue
		}
		view := t.owner.viewLocked(i)
		c.Screen, c.Visible, c.Width, c.Height = s.source == consult.SourceScreen, view.Visible, view.Width, view.Height
		c.Speaking = t.room.speaker.id == s.from.id
		s.audio.soundLocked(c, now)
		s.video.pictureLocked(c, &p.layers[i], now)
		floor += c.Audio
		for _, l := range c.Layers {
			if l.Rate[0] > 0 && c.Visible {
				floor += costOf(&l)
				break
			}
		}
	}
	return floor
}

// soundLocked fills in what the voice costs.
func (s *sender) soundLocked(c *congestion.Slot, now time.Time) {
	if s == nil || s.pub == nil {
		return
	}
	c.Source = s.pub.id
	l := s.pub.first()
	if s.pub.muted || l == nil {
		return
	}
	l.voice.roll(now)
	c.Audio = l.voice.rate
	if !s.redundant() || c.Audio == 0 {
		return
	}
	if c.RED = l.voice.red; c.RED == 0 {
		c.RED = l.voice.own
	}
}

// pictureLocked fills in the layers that are to be had: those that flow, and
// those that the publisher keeps back because we asked it to.
func (s *sender) pictureLocked(c *congestion.Slot, layers *[congestion.MaxSpatial]congestion.Layer, now time.Time) {
	if s == nil || s.pub == nil {
		return
	}
	pub := s.pub
	c.Source = pub.id
	if pub.muted {
		return
	}
	c.Layers = pub.layersLocked(layers, now)
}

// layersLocked describes what can be had of a picture, nil for nothing.
func (pub *publication) layersLocked(out *[congestion.MaxSpatial]congestion.Layer, now time.Time) []congestion.Layer {
	live := pub.activity.Live(now)
	n := 0
	for i, l := range pub.layers {
		if i >= len(out) {
			break
		}
		out[i] = congestion.Layer{}
		if l == nil || !live.Has(i) && !pub.send.paused(i) {
			continue
		}
		l.meter.roll(now)
		n = i + 1
		if !l.meter.early {
			out[i].Rate[0] = l.nominal()
			continue
		}
		l.meter.layer(congestion.MaxSpatial-1, &out[i])
		out[i].Width, out[i].Height = l.meter.sizes[0].Width, l.meter.sizes[0].Height
	}
	if l := pub.svcLocked(); l != nil && n == 1 {
		n = l.meter.spatial()
		for sid := range n {
			l.meter.layer(sid, &out[sid])
		}
	}
	return out[:n]
}

// svcLocked is the publication's one stream, if it carries spatial layers.
func (pub *publication) svcLocked() *layer {
	if len(pub.layers) == 1 && pub.layers[0] != nil && pub.layers[0].meter.spatial() > 1 {
		return pub.layers[0]
	}
	return nil
}

func (pub *publication) first() *layer {
	if len(pub.layers) == 0 {
		return nil
	}
	return pub.layers[0]
}

// nominal is what the layer is held to cost until it has been measured.
func (l *layer) nominal() int {
	if l.pub.line != nil && len(l.pub.line.rids) > 1 {
		return nominal[min(l.index, len(nominal)-1)]
	}
	return nominalAlone
}

// decideLocked has the slot's senders do what was decided. A voice is never left
// out. limited: there is an estimate, so that redundancy goes only where loss
// asks for it.
func (s *slot) decideLocked(d *congestion.Decision, c *congestion.Slot, limited bool) {
	if a := s.audio; a != nil {
		a.plain = limited && d.Audio != congestion.AudioRED
		a.wrap = limited && d.Audio == congestion.AudioRED
	}
	s.decision = *d
	v := s.video
	if v == nil || v.pub == nil {
		return
	}
	switch {
	case len(c.Layers) == 0 && c.Visible:
		// Nothing flows: what comes may start.
		if v.selector.Wanted() < 0 {
			first := v.t.media.path.firstLayer()
			v.wantLayerLocked(first, forward.AllTemporal, first, 0)
		}
	case !c.Visible || d.Video == congestion.NoVideo:
		v.pauseLocked()
	case d.Video == congestion.Slideshow:
		v.wantLayerLocked(d.Spatial, forward.AllTemporal, d.Spatial, max(d.FPS, 1))
	default:
		tid := uint8(d.Temporal)
		if l := &c.Layers[min(d.Spatial, len(c.Layers)-1)]; d.Temporal >= highest(l) {
			tid = forward.AllTemporal
		}
		layer := d.Spatial
		if !limited && layer == len(c.Layers)-1 {
			layer = forward.MaxLayers - 1 // and whatever comes above it
		}
		v.wantLayerLocked(layer, tid, layer, 0)
	}
}

// pauseLocked sends no more pictures, at once.
func (s *sender) pauseLocked() {
	if s.selector.Wanted() < 0 {
		return
	}
	s.selector.Want(forward.NoLayer, forward.AllTemporal)
	s.rewriter.Pause()
	s.slides = 0
}

// wantLayerLocked sets what is forwarded: a simulcast layer, or the spatial one
// where the source has them in one stream.
func (s *sender) wantLayerLocked(layer int, temporal uint8, spatial, fps int) {
	if l := s.pub.first(); s.pub.svcLocked() != nil {
		layer = 0
	} else if len(s.pub.layers) != 1 || l != nil && l.meter.early {
		spatial = forward.MaxLayers - 1 // it has none
	}
	paused := s.selector.Wanted() < 0
	s.selector.Want(layer, temporal)
	s.selector.WantSpatial(spatial)
	s.slides = 0
	if fps > 0 {
		s.slides = time.Second / time.Duration(fps)
	}
	s.selector.WantSlides(uint32(s.slides * videoClock / time.Second))
	if paused {
		s.pub.quietAsks = 0
		s.t.room.wake()
		return
	}
	if _, needed := s.selector.KeyFrameNeeded(s.pub.activity.Live(s.t.sfu.now())); needed {
		s.t.room.wake()
	}
}

// slideDueLocked reports whether a slide show needs another key frame of l.
func (s *sender) slideDueLocked(l *layer, now time.Time) bool {
	if s.slides == 0 {
		return false
	}
	every := s.slides
	for _, o := range s.pub.subs {
		if o != s && o.slides == 0 && o.selector.Current() == l.index {
			every = max(every, sharedSlides)
			break
		}
	}
	if now.Sub(l.keyAt) < every-tick/2 || now.Sub(l.slideAsked) < max(every-tick/2, askInterval/2) {
		return false
	}
	l.slideAsked = now
	return true
}

// costOf is what a layer costs with all its temporal layers.
func costOf(l *congestion.Layer) (most int) {
	for _, r := range l.Rate {
		most = max(most, r)
	}
	return most
}

// highest is the layer's highest temporal layer.
func highest(l *congestion.Layer) int {
	top := 0
	for t, r := range l.Rate {
		if r > 0 {
			top = t
		}
	}
	return top
}
