package impair

import (
	"errors"
	"fmt"
	"time"
)

// Profile is one direction of a link. The zero Profile carries everything at
// once.
type Profile struct {
	// Rate is in bit/s of whole IP packets; 0: unlimited.
	Rate int
	// Queue is how many bytes wait for the rate, the packet being sent included;
	// what does not fit is dropped at the tail. An idle link takes any packet.
	Queue int
	// Delay is the propagation time, one way.
	Delay time.Duration
	// Jitter is the standard deviation of a normal distribution around Delay, cut
	// off at no delay at all. JitterTime is how long it takes to forget: the
	// correlation of two packets falls to 1/e in it; 0: packets are independent.
	Jitter, JitterTime time.Duration
	// Reorder lets a packet overtake those before it; without it a late packet
	// holds up what comes behind.
	Reorder bool
	// Loss is the probability that a packet is lost, independent of all others.
	Loss float64
	// Burst is loss that comes in bursts, on top of Loss.
	Burst Burst
	// Outage comes back by itself, Cut lasts until the profile is changed.
	Outage Outage
	// Cut drops whatever enters.
	Cut bool
}

// Burst is the model of Gilbert and Elliott: two states, with transitions at
// every packet. The mean length of a burst is 1/Leave packets, the part of the
// packets in one is Enter/(Enter+Leave).
type Burst struct {
	Enter, Leave float64 // probabilities at each packet
	Loss         float64 // probability of loss within a burst
}

// Outage stops the sending for For at the end of every period of Every, counted
// from when the profile was set. What enters meanwhile is lost or, with Hold,
// waits in the queue, as radio networks do at a handover.
type Outage struct {
	Every, For time.Duration
	Hold       bool
}

// MeanLoss is the part of the packets the profile loses on the way, without the
// queue and outages.
func (p Profile) MeanLoss() float64 {
	if p.Burst.Enter == 0 {
		return p.Loss
	}
	inside := p.Burst.Enter / (p.Burst.Enter + p.Burst.Leave)
	return p.Loss + (1-p.Loss)*inside*p.Burst.Loss
}

// Limits of a profile, so that times and sizes cannot overflow and a relay's
// memory is bounded.
const (
	maxRate  = 10_000_000_000
	maxQueue = 64 << 20
	maxTime  = time.Hour
)

// Check reports what makes no sense, all of it.
func (p Profile) Check() error {
	var errs []error
	say := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	say(p.Rate < 0 || p.Rate > maxRate, "rate %d is not within 0 and %d bit/s", p.Rate, int64(maxRate))
	say(p.Queue < 0 || p.Queue > maxQueue, "queue %d is not within 0 and %d bytes", p.Queue, maxQueue)
	say(p.Queue == 0 && (p.Rate > 0 || p.Outage.Hold), "what waits needs a queue")
	for name, d := range map[string]time.Duration{
		"delay": p.Delay, "jitter": p.Jitter, "jitter time": p.JitterTime, "outage period": p.Outage.Every, "outage": p.Outage.For,
	} {
		say(d < 0 || d > maxTime, "%s %v is not within 0 and %v", name, d, maxTime)
	}
	for name, x := range map[string]float64{
		"loss": p.Loss, "loss in bursts": p.Burst.Loss, "entering a burst": p.Burst.Enter, "leaving a burst": p.Burst.Leave,
	} {
		say(!(x >= 0 && x <= 1), "the probability of %s, %v, is not within 0 and 1", name, x) // NaN included
	}
	say(p.Burst.Enter > 0 && p.Burst.Leave == 0, "a burst never ends")
	say(p.Outage.For > 0 && p.Outage.For >= p.Outage.Every, "an outage of %v every %v leaves nothing", p.Outage.For, p.Outage.Every)
	return errors.Join(errs...)
}
