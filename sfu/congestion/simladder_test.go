package congestion

import (
	"fmt"
	"testing"
)

// simLadder is a server's side of a call: an allocator chooses among the layers
// of one camera, and a change of the layer costs a key frame.
type simLadder struct {
	a       Allocator
	slots   []Slot
	level   int
	spatial int
	key     bool
	frame   int
	silent  bool
	steps   []int64 // when the picture got better (above 0) or worse (below)
}

func newSimLadder() *simLadder { return &simLadder{slots: clinic(1), spatial: -1} }

// decide asks the allocator anew.
func (l *simLadder) decide(c *simCall) {
	o := c.c.(*ours)
	e := o.Estimate()
	if l.silent && !e.Silent { // as package sfu does: an outage says nothing of the rate
		l.a = Allocator{}
	}
	l.silent = e.Silent
	p := l.a.Allocate(e.Target, e.Loss, l.slots, simTime(c.s.now))
	o.Demand(p.Demand)
	d := &p.Slots[0]
	if level := l.a.slots[0].ladder.find(d); level != l.level {
		at := c.s.now
		if level < l.level {
			at = -at
		}
		l.steps = append(l.steps, at)
		l.level = level
	}
	if d.Video == Moving && d.Spatial != l.spatial {
		l.key = true
	}
	l.spatial = d.Spatial
}

// voiceTarget is a target at which the voice is sent as decided.
func (l *simLadder) voiceTarget() int {
	if len(l.a.plan) == 0 {
		return 100_000
	}
	switch d := &l.a.plan[0]; {
	case d.AudioRate < l.slots[0].Audio:
		return 0
	case d.Audio == AudioRED:
		return 1_000_000
	}
	return 100_000
}

// picture sends the next frame of what was decided.
func (l *simLadder) picture(c *simCall) {
	if len(l.a.plan) == 0 {
		return
	}
	l.frame++
	d := &l.a.plan[0]
	layer := &l.slots[0].Layers[d.Spatial]
	switch {
	case d.Video == Slideshow:
		if l.frame%(30/d.FPS) == 0 {
			c.write(layer.KeyFrame)
		}
	case d.Video == Moving && (l.key || l.frame%600 == 0):
		l.key = false
		c.write(layer.KeyFrame)
	case d.Video == Moving && (d.Temporal > 0 || l.frame%2 == 0):
		frames := 15 * (1 + d.Temporal)
		size := float64(layer.Rate[d.Temporal]) / float64(8*frames)
		c.write(int(size * (0.8 + 0.4*c.s.rnd.Float64())))
	}
}

// playLadder runs a call with an allocator. The server has no pacer and no timer
// but its ticks.
func playLadder(seed uint64, rate func(int64) float64, path func(*simLink)) *simCall {
	s := newSim(seed)
	l := &simLink{s: s, rate: rate, delay: 25_000, queue: max(int(rate(0)*0.5/8), 8_000)}
	if path != nil {
		path(l)
	}
	c := newCall(s, l, newOurs(Config{}))
	c.ladder, c.coarse, c.noPacing = newSimLadder(), true, true
	c.start(0)
	s.run(180e6)
	return c
}

// flaps is the most steps up and down, whichever are fewer, in any 30 s.
func (l *simLadder) flaps() (most int) {
	for from := int64(15e6); from+30e6 <= 180e6; from += 1e6 {
		ups, downs := 0, 0
		for _, at := range l.steps {
			if at >= from && at < from+30e6 {
				ups++
			}
			if -at >= from && -at < from+30e6 {
				downs++
			}
		}
		most = max(most, min(ups, downs))
	}
	return most
}

// TestNoFlapping: on a link between two layers there is at most one step up and
// down in 30 s, and the voice stays well.
func TestNoFlapping(t *testing.T) {
	paths := []struct {
		name string
		path func(*simLink)
		lost float64
	}{
		{name: "clean"},
		{name: "loss", path: func(l *simLink) { l.loss = 0.05 }, lost: 0.05},
		{name: "jitter", path: func(l *simLink) { l.jitter = 60_000 }},
	}
	for _, p := range paths {
		for _, rate := range []float64{30e3, 110e3, 150e3, 200e3, 330e3, 400e3, 500e3, 700e3, 1e6, 1.5e6, 2e6} {
			t.Run(fmt.Sprintf("%s %.0f", p.name, rate), func(t *testing.T) {
				t.Parallel()
				for seed := range uint64(3) {
					c := playLadder(seed, constant(rate), p.path)
					if n := c.ladder.flaps(); n > 1 {
						t.Errorf("seed %d: up and down %d times in 30 s: %v", seed, n, c.ladder.steps)
					}
					lost, delay := c.out.voice(10e6, 180e6)
					t.Logf("seed %d: level %d of %d, %0.f bit/s, voice lost %.3f, waits %d ms, padding %d kbit, steps %d", seed, c.ladder.level, c.ladder.a.slots[0].ladder.n-1, c.out.rate(30e6, 180e6), lost, delay/1000, c.out.padding/125, len(c.ladder.steps))
					if lost > p.lost+0.02 {
						t.Errorf("seed %d: %.1f%% of the voice lost", seed, 100*lost)
					}
				}
			})
		}
	}
}

// TestLadderOnCellular: on a link that never rests the picture steps, but not
// without pause, and the voice gets through.
func TestLadderOnCellular(t *testing.T) {
	for seed := range uint64(4) {
		c := playLadder(seed, cellular(seed, 100e3, 3e6), nil)
		lost, delay := c.out.voice(10e6, 180e6)
		t.Logf("seed %d: %d steps in 180 s, voice lost %.3f, waits %d ms", seed, len(c.ladder.steps), lost, delay/1000)
		if len(c.ladder.steps) > 40 || lost > 0.02 {
			t.Errorf("seed %d: %d steps, voice lost %.3f", seed, len(c.ladder.steps), lost)
		}
	}
}
