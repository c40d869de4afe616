package congestion

import (
	"fmt"
	"testing"
)

func TestExplore3(t *testing.T) {
	for _, q := range []int{100, 300, 1000} {
		s := newSim(2)
		l := &simLink{s: s, rate: constant(1e6), delay: 25_000, queue: int(1e6 * float64(q) / 8000)}
		c := newCall(s, l, newOurs(Config{}))
		c.start(0)
		tcp := &simTCP{s: s, link: l}
		tcp.start(20e6, 60e6)
		s.run(90e6)
		fmt.Printf("tcp %d: tcp %.0f  ours ", q, float64(tcp.got)*8/40)
		for i := range 18 {
			fmt.Printf(" %.0f", c.out.rate(int64(i)*5e6, int64(i)*5e6+5e6)/1000)
		}
		fmt.Printf(" al %.3f aq %d\n", float64(c.out.audioLost)/float64(c.out.audioSent), percentile(c.out.audioDelayFrom(20e6, 60e6), .95)/1000)
	}
	for _, q := range []int{50, 300, 1000} {
		s := newSim(2)
		l := &simLink{s: s, rate: constant(1e6), delay: 25_000, queue: int(1e6 * float64(q) / 8000)}
		c := newCall(s, l, newOurs(Config{}))
		c.start(0)
		simCBR(s, l, 600e3, 20e6, 60e6)
		s.run(90e6)
		fmt.Printf("cbr %d:  ours ", q)
		for i := range 18 {
			fmt.Printf(" %.0f", c.out.rate(int64(i)*5e6, int64(i)*5e6+5e6)/1000)
		}
		fmt.Printf(" al %.3f aq %d\n", float64(c.out.audioLost)/float64(c.out.audioSent), percentile(c.out.audioDelayFrom(20e6, 60e6), .95)/1000)
	}
}
