package congestion

import (
	"fmt"
	"testing"
)

const seeds = 5

// TestPaths holds every scenario to what it wants, with several seeds.
func TestPaths(t *testing.T) {
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(seeds) {
				f := sc.measure(sc.playOurs(seed, Config{}))
				w := sc.want
				if f.use < w.use {
					t.Errorf("seed %d: uses %.0f%% of the link, want %.0f%%", seed, 100*f.use, 100*w.use)
				}
				if w.converged > 0 && (f.converged < 0 || float64(f.converged) > w.converged*1e6) {
					t.Errorf("seed %d: converged after %.1f s", seed, float64(f.converged)/1e6)
				}
				if f.voiceLoss > w.voiceLoss {
					t.Errorf("seed %d: %.1f%% of the voice lost", seed, 100*f.voiceLoss)
				}
				if f.voiceDelay > w.voiceDelay*1000 {
					t.Errorf("seed %d: the voice waits %d ms", seed, f.voiceDelay/1000)
				}
				if f.share < w.share {
					t.Errorf("seed %d: shares %.2f", seed, f.share)
				}
			}
		})
	}
}

// settled is the time after from at which a call is well: for 2 s it uses 85% of
// the link and asks for no more than 130% of it. -1 when never.
func settled(c *simCall, from, to int64, rate float64) int64 {
next:
	for t := from; t+2_000_000 <= to; t += sampleLength {
		if c.out.rate(t, t+2_000_000) < 0.85*rate {
			continue
		}
		for i := t / sampleLength; i < (t+2_000_000)/sampleLength; i++ {
			if float64(c.out.targets[i]) > 1.3*rate {
				continue next
			}
		}
		return t - from
	}
	return -1
}

// TestConvergesFromAnyStart starts far below and far above 300 kbit/s.
func TestConvergesFromAnyStart(t *testing.T) {
	for _, start := range []int{50_000, 100_000, 300_000, 1_000_000, 3_000_000} {
		t.Run(fmt.Sprint(start), func(t *testing.T) {
			sc := scenario{rate: constant(300e3), queue: 500, length: 40e6}
			for seed := range uint64(seeds) {
				c := sc.playOurs(seed, Config{Start: start})[0]
				at := settled(c, 0, 40e6, 300e3)
				if at < 0 || at > 5e6 {
					t.Errorf("seed %d: settled after %d ms", seed, at/1000)
				}
				if use := c.out.rate(5e6, 40e6) / 300e3; use < 0.85 {
					t.Errorf("seed %d: uses %.0f%%", seed, 100*use)
				}
			}
		})
	}
}

// TestDropAndReturn: within 5 s of a drop to 100 kbit/s, and of the return.
func TestDropAndReturn(t *testing.T) {
	sc := scenario{rate: dropAndReturn, queue: 500}
	var slowest int64
	defer func() { t.Logf("slowest: %d ms", slowest/1000) }()
	for seed := range uint64(2 * seeds) {
		c := sc.playOurs(seed, Config{})[0]
		slowest = max(slowest, settled(c, 20e6, 40e6, 100e3), settled(c, 40e6, 60e6, 300e3))
		if at := settled(c, 20e6, 40e6, 100e3); at < 0 || at > 5e6 {
			t.Errorf("seed %d: settled %d ms after the drop", seed, at/1000)
		}
		if _, d := c.out.voice(25e6, 40e6); d > 450_000 {
			t.Errorf("seed %d: the voice waits %d ms long after the drop", seed, d/1000)
		}
		if at := settled(c, 40e6, 60e6, 300e3); at < 0 || at > 5e6 {
			t.Errorf("seed %d: settled %d ms after the return", seed, at/1000)
		}
	}
}

// TestOutage: within 5 s of the end of a silence of 3 s.
func TestOutage(t *testing.T) {
	for _, sc := range []scenario{
		{name: "held back", rate: outageAt20, queue: 500},
		{name: "dropped", rate: constant(300e3), queue: 500, path: func(l *simLink) { l.deadFrom, l.deadTo = 20e6, 23e6 }},
	} {
		t.Run(sc.name, func(t *testing.T) {
			for seed := range uint64(seeds) {
				c := sc.playOurs(seed, Config{})[0]
				if at := settled(c, 23e6, 60e6, 300e3); at < 0 || at > 5e6 {
					t.Errorf("seed %d: settled %d ms after the outage", seed, at/1000)
				}
				if quiet := c.out.targets[225]; quiet > 60_000 {
					t.Errorf("seed %d: sends on at %d in the dark", seed, quiet)
				}
			}
		})
	}
}

// TestIdle: while nothing is sent, or voice only, the estimate keeps its place.
func TestIdle(t *testing.T) {
	for seed := range uint64(2) {
		sc := scenario{rate: constant(1e6), queue: 300, length: 80e6, call: func(c *simCall) { c.silentFrom, c.silentTo = 20e6, 60e6 }}
		c := sc.playOurs(seed, Config{})[0]
		before, after := c.out.targets[199], c.out.targets[599]
		if after < before*8/10 || after > before*11/10 {
			t.Errorf("seed %d: idle for 40 s: from %d to %d", seed, before, after)
		}
		sc = scenario{rate: constant(1e6), queue: 300, length: 600e6, call: func(c *simCall) { c.noVideo = true }}
		c = sc.playOurs(seed, Config{})[0]
		for i, target := range c.out.targets[50:] {
			if target < 300_000*8/10 || target > 1_300_000 {
				t.Fatalf("seed %d: with voice only %d after %d s", seed, target, 5+i/10)
			}
		}
	}
}

// TestNoMoreThanWanted: no padding is sent while there is nothing to gain.
func TestNoMoreThanWanted(t *testing.T) {
	c := newOurs(Config{})
	c.Demand(150_000)
	sc := scenario{rate: constant(1e6), queue: 300, call: func(c *simCall) { c.noVideo = true }}
	call := sc.play(1, nil, func() controller { return c })[0]
	if call.out.padding > 0 {
		t.Errorf("%d bytes of padding", call.out.padding)
	}
}

// TestProbesFindRoom: what is sent in coarse layers, well below the link, does
// not keep the estimate from finding room for the next layer.
func TestProbesFindRoom(t *testing.T) {
	for seed := range uint64(seeds) {
		c := newOurs(Config{Start: 150_000})
		c.Demand(1_500_000)
		sc := scenario{rate: constant(2e6), queue: 300, call: func(c *simCall) { c.layers = []int{100_000, 300_000, 1_200_000} }}
		call := sc.play(seed, nil, func() controller { return c })[0]
		if got := call.out.rate(10e6, 60e6); got < 1_150_000 {
			t.Errorf("seed %d: %0.f bit/s, the best layer was never reached", seed, got)
		}
		if call.out.padding*8 > 60*100_000 {
			t.Errorf("seed %d: %d bytes of padding", seed, call.out.padding)
		}
	}
}

// TestVoiceNeverStarves: on every path, in any two seconds after the first five,
// most of the voice arrives unless the path itself is dead or lossy.
func TestVoiceNeverStarves(t *testing.T) {
	for _, sc := range scenarios() {
		if sc.path != nil || sc.name == "300, outage of 3 s" {
			continue
		}
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(2) {
				o := &sc.playOurs(seed, Config{})[0].out
				for from := int64(5e6); from+2e6 <= sc.duration()-2e6; from += 2e6 {
					if lost, _ := o.voice(from, from+2e6); lost > max(0.25, 2*sc.want.voiceLoss) {
						t.Errorf("seed %d: %.0f%% of the voice lost at %d s", seed, 100*lost, from/1e6)
					}
				}
			}
		})
	}
}
