package congestion

import (
	"fmt"
	"testing"
)

func TestExplore(t *testing.T) {
	for _, sc := range exploreCases() {
		s := newSim(1)
		l := sc.link(s)
		c := newCall(s, l, newOurs(Config{}))
		if sc.mod != nil {
			sc.mod(c)
		}
		c.start(0)
		s.run(sc.len)
		o := &c.out
		fmt.Printf("%-14s conv %5.1fs util %3.0f%% q95 %4dms aq95 %4d loss %.3f aloss %.3f pad %d\n", sc.name,
			float64(o.converged(0, sc.len, l.rate, .85))/1e6, 100*o.rate(5e6, sc.len)/mean(l.rate, 5e6, sc.len),
			percentile(o.queueDelays, .95)/1000, percentile(o.audioDelayFrom(5e6, sc.len), .95)/1000,
			float64(o.droppedN)/float64(o.sentN), float64(o.audioLost)/float64(o.audioSent), o.padding)
		if testing.Verbose() {
			for i := 0; i < int(sc.len/1e6); i++ {
				fmt.Printf(" %d/%d", o.targets[min(i*10+5, len(o.targets)-1)]/1000, int(o.rate(int64(i)*1e6, int64(i+1)*1e6)/1000))
			}
			fmt.Println()
		}
	}
}

type exploreCase struct {
	name string
	link func(*sim) *simLink
	mod  func(*simCall)
	len  int64
}

func steps(at []int64, rates []float64) func(int64) float64 {
	return func(t int64) float64 {
		r := rates[0]
		for i, a := range at {
			if t >= a {
				r = rates[i+1]
			}
		}
		return r
	}
}

func exploreCases() []exploreCase {
	mk := func(rate func(int64) float64, queueMs int, f func(*simLink)) func(*sim) *simLink {
		return func(s *sim) *simLink {
			l := &simLink{s: s, rate: rate, delay: 25_000, queue: max(int(rate(0)*float64(queueMs)/8000), 3000)}
			if f != nil {
				f(l)
			}
			return l
		}
	}
	return []exploreCase{
		{"300k", mk(constant(300e3), 500, nil), nil, 60e6},
		{"30k", mk(constant(30e3), 1000, nil), nil, 60e6},
		{"100k", mk(constant(100e3), 1000, nil), nil, 60e6},
		{"1M", mk(constant(1e6), 300, nil), nil, 60e6},
		{"5M", mk(constant(5e6), 300, nil), nil, 60e6},
		{"drop100", mk(steps([]int64{20e6, 40e6}, []float64{300e3, 100e3, 300e3}), 500, nil), nil, 60e6},
		{"loss10", mk(constant(300e3), 500, func(l *simLink) { l.loss = .1 }), nil, 60e6},
		{"loss10burst", mk(constant(300e3), 500, func(l *simLink) { l.loss = .1; l.burst = 4 }), nil, 60e6},
		{"jitter200", mk(constant(300e3), 500, func(l *simLink) { l.jitter = 200_000 }), nil, 60e6},
		{"jitter200re", mk(constant(300e3), 500, func(l *simLink) { l.jitter = 200_000; l.reorder = true }), nil, 60e6},
		{"loss+jitter", mk(constant(300e3), 500, func(l *simLink) { l.jitter = 200_000; l.loss = .1 }), nil, 60e6},
		{"bloat2s", mk(constant(300e3), 2000, nil), nil, 60e6},
		{"policer", mk(constant(300e3), 50, nil), nil, 60e6},
		{"1Mtiny", mk(constant(1e6), 30, nil), nil, 60e6},
		{"outage", mk(func(t int64) float64 {
			if t >= 20e6 && t < 23e6 {
				return 0
			}
			return 300e3
		}, 500, nil), nil, 40e6},
		{"unpaced", mk(constant(300e3), 500, nil), func(c *simCall) { c.noPacing = true }, 60e6},
		{"1Mjit+loss", mk(constant(1e6), 500, func(l *simLink) { l.jitter = 200_000; l.loss = .1 }), nil, 60e6},
	}
}
