package congestion

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func cellular(seed uint64, from, to float64) func(int64) float64 {
	rnd := rand.New(rand.NewPCG(seed, 3))
	v := make([]float64, 4000)
	x := math.Log(math.Sqrt(from * to))
	for i := range v {
		if i%2 == 0 { // every 200 ms
			x += rnd.NormFloat64() * 0.12
			x = min(max(x, math.Log(from)), math.Log(to))
		}
		v[i] = math.Exp(x)
	}
	return func(t int64) float64 { return v[(t/100_000)%4000] }
}

func TestExplore2(t *testing.T) {
	for _, sc := range []struct {
		rate  float64
		start []int64
		queue int
	}{{300e3, []int64{0, 0}, 500}, {300e3, []int64{0, 20e6}, 500}, {1e6, []int64{0, 20e6}, 300}, {5e6, []int64{0, 20e6}, 300}, {1e6, []int64{0, 20e6, 40e6}, 300}, {300e3, []int64{0, 20e6}, 2000}, {300e3, []int64{0, 20e6}, 60}, {1e6, []int64{0, 20e6}, 30}} {
		s := newSim(2)
		l := &simLink{s: s, rate: constant(sc.rate), delay: 25_000, queue: int(sc.rate * float64(sc.queue) / 8000)}
		var calls []*simCall
		for _, at := range sc.start {
			c := newCall(s, l, newOurs(Config{}))
			c.start(at)
			calls = append(calls, c)
		}
		s.run(120e6)
		fmt.Printf("%.0f %v %d: ", sc.rate, sc.start, sc.queue)
		for _, c := range calls {
			fmt.Printf(" %.0f (60-120 %.0f, 40-60 %.0f) q95 %d al %.3f", c.out.rate(0, 120e6), c.out.rate(60e6, 120e6), c.out.rate(40e6, 60e6), percentile(c.out.audioDelay, .95)/1000, float64(c.out.audioLost)/float64(c.out.audioSent))
		}
		fmt.Println()
		if testing.Verbose() {
			for _, c := range calls {
				for i := range 12 {
					fmt.Printf(" %.0f", c.out.rate(int64(i)*10e6, int64(i)*10e6+10e6)/1000)
				}
				fmt.Println()
			}
		}
	}
	for seed := range uint64(5) {
		s := newSim(seed)
		tr := cellular(seed, 100e3, 3e6)
		l := &simLink{s: s, rate: tr, delay: 40_000, queue: 60_000}
		c := newCall(s, l, newOurs(Config{}))
		c.start(0)
		s.run(120e6)
		fmt.Printf("cell %d util %.2f of %.0f q95 %d aq95 %d al %.3f\n", seed, c.out.rate(5e6, 120e6)/mean(tr, 5e6, 120e6), mean(tr, 5e6, 120e6), percentile(c.out.queueDelays, .95)/1000, percentile(c.out.audioDelay, .95)/1000, float64(c.out.audioLost)/float64(c.out.audioSent))
		for i := 0; i < 60 && testing.Verbose() && seed < 2; i++ {
			fmt.Printf(" %d/%d", c.out.targets[i*10]/1000, int(tr(int64(i)*1e6)/1000))
		}
		fmt.Println()
	}
	// Idle from 20 s to 60 s, and layers.
	s := newSim(3)
	l := &simLink{s: s, rate: constant(1e6), delay: 25_000, queue: 40_000}
	c := newCall(s, l, newOurs(Config{}))
	c.silentFrom, c.silentTo = 20e6, 60e6
	c.start(0)
	s.run(80e6)
	fmt.Println("idle", c.out.targets[190], c.out.targets[400], c.out.targets[599], c.out.targets[650], c.out.targets[799])
	s = newSim(3)
	l = &simLink{s: s, rate: constant(1e6), delay: 25_000, queue: 40_000}
	c = newCall(s, l, newOurs(Config{}))
	c.noVideo = true
	c.c.(*ours).Demand(150_000)
	c.start(0)
	s.run(80e6)
	fmt.Println("audio only", c.out.targets[50], c.out.targets[400], c.out.targets[599], c.out.targets[650], c.out.targets[799], c.out.padding)
	for _, r := range []float64{150e3, 300e3, 600e3, 900e3, 2e6} {
		s = newSim(3)
		l = &simLink{s: s, rate: constant(r), delay: 25_000, queue: int(r / 16)}
		c = newCall(s, l, newOurs(Config{}))
		c.layers = []int{100_000, 300_000, 700_000, 1_500_000}
		c.c.(*ours).Demand(1_900_000)
		c.start(0)
		s.run(80e6)
		fmt.Print("layers ", r, " pad ", c.out.padding, " q95 ", percentile(c.out.queueDelays, .95)/1000, ":")
		for i := range 40 {
			fmt.Printf(" %d/%.0f", c.out.targets[i*20]/1000, c.out.rate(int64(i)*2e6, int64(i)*2e6+2e6)/1000)
		}
		fmt.Println()
	}
}
