package impair_test

import (
	"fmt"
	"time"

	"github.com/chatmed/chatmed/internal/impair"
)

// A simulation: a sender of 400 kbit/s on a link of 300 kbit/s whose queue holds
// half a second, with a clock that jumps from one event to the next.
func ExampleLink() {
	start := time.Unix(0, 0)
	link, err := impair.NewLink[int](impair.Profile{Rate: 300_000, Queue: 18_750, Delay: 50 * time.Millisecond}, 1, start)
	if err != nil {
		fmt.Println(err)
		return
	}
	var longest time.Duration
	receive := func(until time.Time) {
		for {
			next, some := link.Next()
			if !some || next.After(until) {
				return
			}
			for {
				n, at, ok := link.Pop(next)
				if !ok {
					break
				}
				longest = max(longest, at.Sub(start.Add(time.Duration(n)*20*time.Millisecond)))
			}
		}
	}
	for n := range 500 { // 1000 bytes every 20 ms, for 10 s
		now := start.Add(time.Duration(n) * 20 * time.Millisecond)
		receive(now)
		link.Push(now, n, 1000)
	}
	receive(start.Add(time.Hour))
	c := link.Counters()
	fmt.Println(c.In, "sent,", c.Out, "received,", c.Drops.Queue, "dropped, at most", longest.Round(10*time.Millisecond))
	// Output: 500 sent, 392 received, 108 dropped, at most 530ms
}
