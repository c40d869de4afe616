package congestion

import "time"

// Kind says what a packet carries.
type Kind uint8

// Kinds of packets.
const (
	Audio Kind = iota
	Video
	Repair  // RTX that a receiver asked for
	Padding // sent only to probe: padding-only packets, RTX nobody asked for
)

// State is what the estimate is doing, for metrics.
type State uint8

// States of an estimate.
const (
	Holding State = iota
	Increasing
	Decreasing
)

// String names the state as metrics do.
func (s State) String() string {
	return [...]string{"holding", "increasing", "decreasing"}[min(s, Decreasing)]
}

// Config bounds an estimate. Zero fields take the defaults.
type Config struct {
	Min, Max int // bit/s; 20,000 and 20,000,000
	Start    int // bit/s before anything is known; 300,000
	// Overhead is what IP and UDP add to each packet told to Sent: 28 bytes
	// (IPv4; 48 with IPv6).
	Overhead int
}

// Estimate is what an Estimator holds true.
type Estimate struct {
	// Target is what may be sent now, in bit/s on the wire. It is below Link while
	// a queue drains and while nothing is heard of the receiver.
	Target int
	// Link is what the path is held to carry for us.
	Link int
	// Pacing is the rate at which bursts should leave.
	Pacing int
	// Received is what arrived lately, in bit/s.
	Received int
	State    State
	// Overuse: a queue was seen to grow or to stay at the last feedback.
	Overuse bool
	// ApplicationLimited: less is sent than might be, so Target is not tried.
	ApplicationLimited bool
	// Silent: no feedback has come though packets are under way.
	Silent bool
	// Loss is the share of packets lost lately, from 0 to 1; BaseLoss is the part
	// that doesn't depend on the rate.
	Loss, BaseLoss float64
	// Queue is the delay above the smallest one of late.
	Queue time.Duration
	RTT   time.Duration
}

// Sent describes a packet that has left.
type Sent struct {
	Sequence uint16 // transport-wide; consecutive
	Size     int    // bytes of the UDP payload
	Kind     Kind
	Cluster  uint8 // Cluster.ID of the probe it was sent for, 0 for none
}

// Estimator estimates the bandwidth of one transport. It is not safe for
// concurrent use.
type Estimator struct {
	cfg     Config
	epoch   time.Time
	history history
	bins    bins
	delay   delay
	loss    loss
	rate    rate
	prober  prober
	arrival unwrapper

	rtt          int64 // µs, smoothed
	lastFeedback int64 // when the last one came that said anything
	lastSent     int64
	firstUnheard int64 // when the first packet was sent since then; 0 for none
	silent       bool
	demand       int
}

// New returns an estimator of a transport that is up since now.
func New(cfg Config, now time.Time) *Estimator {
	if cfg.Min <= 0 {
		cfg.Min = 20_000
	}
	if cfg.Max <= 0 {
		cfg.Max = 20_000_000
	}
	cfg.Max = max(cfg.Max, cfg.Min)
	if cfg.Start <= 0 {
		cfg.Start = 300_000
	}
	cfg.Start = min(max(cfg.Start, cfg.Min), cfg.Max)
	if cfg.Overhead <= 0 {
		cfg.Overhead = 28
	}
	e := &Estimator{cfg: cfg, epoch: now, demand: cfg.Max}
	e.history.init()
	e.rate.init(cfg)
	e.prober.init()
	return e
}

// at is a time as the estimator counts it: µs, above 0.
func (e *Estimator) at(now time.Time) int64 { return max(now.Sub(e.epoch).Microseconds(), 0) + 1 }

// Sent notes a packet that has left.
func (e *Estimator) Sent(p Sent, now time.Time) {
	t := max(e.at(now), e.lastSent) // the bins rely on it
	size := min(max(p.Size, 0)+e.cfg.Overhead, 1<<16-1)
	p.Cluster = e.prober.sent(p.Cluster, size, t)
	e.history.add(p, size, t)
	e.bins.sent(t, size)
	e.lastSent = t
	if e.firstUnheard == 0 {
		e.firstUnheard = t
	}
}

// Demand says how much the application would send if it might: probes go no
// further. Until it is told, everything is welcome.
func (e *Estimator) Demand(bitrate int) { e.demand = max(bitrate, 0) }

// RTT notes a round trip measured from reports.
func (e *Estimator) RTT(d time.Duration) {
	us := d.Microseconds()
	if us <= 0 || us > maxRTT {
		return
	}
	if e.rtt == 0 {
		e.rtt = us
		return
	}
	e.rtt += (us - e.rtt) / 8
}

const (
	maxRTT     = 10_000_000
	defaultRTT = 200_000
	// silentAfter is how long packets may be under way without a word of them,
	// beside two round trips.
	silentAfter = 600_000
)

// Feedback takes one transport-wide feedback message.
func (e *Estimator) Feedback(f *Feedback, now time.Time) {
	t := e.at(now)
	newest := e.take(f)
	if newest == 0 {
		return
	}
	e.lastFeedback, e.firstUnheard = t, 0
	if e.lastSent > newest {
		e.firstUnheard = newest + 1
	}
	if e.silent {
		e.resume()
	}
	e.delay.update(&e.bins, newest, e.rate.serialisation(), e.prober.shields(newest), e.rate.limited, t)
	e.loss.update(&e.bins, newest)
	e.rate.update(e, newest, t)
	e.prober.update(e, t)
}

// resume goes on after a silence. What was sent before tells of the silence, not
// of the link: it is not judged, and a probe finds out what the link carries.
func (e *Estimator) resume() {
	e.silent = false
	e.delay.restart(e.lastSent)
	e.loss.restart(e.lastSent)
	e.prober.resume(e.lastSent)
	e.rate.set(resumeShare * e.rate.link)
	e.rate.capacity = 0
}

// take files what a feedback says and returns when the newest packet it
// acknowledges was sent, 0 when it says nothing new.
func (e *Estimator) take(f *Feedback) (newest int64) {
	base := e.arrival.unwrap(f.reference)
	for i := range f.arrivals {
		a := &f.arrivals[i]
		p := e.history.get(a.sequence)
		if p == nil || p.state == received {
			continue
		}
		if !a.received {
			if p.state == underWay {
				p.state = lost
				e.bins.lost(p)
			}
			continue
		}
		at := base + a.offset
		if p.state == lost {
			e.bins.found(p)
		}
		p.state = received
		e.bins.received(p, at)
		e.prober.received(p, at)
		newest = max(newest, p.sent)
	}
	return newest
}

// Tick notices silence and moves the plan of probes on. Call it some times a
// second.
func (e *Estimator) Tick(now time.Time) {
	t := e.at(now)
	limit := silentAfter + 2*e.roundTrip() + e.delay.queue
	if e.firstUnheard > 0 && e.lastFeedback > 0 && t-max(e.firstUnheard, e.lastFeedback) > limit {
		e.silent = true
	}
	e.prober.update(e, t)
}

func (e *Estimator) roundTrip() int64 {
	if e.rtt == 0 {
		return defaultRTT
	}
	return e.rtt
}

// ReceiverReport notes the loss of a receiver report (RFC 3550 section 6.4.1),
// from 0 to 1. It counts only while there is no transport-wide feedback: then
// it moves the estimate as section 6 of draft-ietf-rmcat-gcc-02 does.
func (e *Estimator) ReceiverReport(lost float64, now time.Time) {
	t := e.at(now)
	if e.lastFeedback > 0 && t-e.lastFeedback < 3_000_000 || lost < 0 || lost > 1 {
		return
	}
	e.rate.report(lost, e.bins.rateSent(t-1_000_000, t), t)
}

// Probe returns the probe to send now, if one is due.
func (e *Estimator) Probe(now time.Time) (Cluster, bool) { return e.prober.next(e, e.at(now)) }

// Estimate returns what holds now.
func (e *Estimator) Estimate() Estimate {
	target := e.rate.target(e)
	return Estimate{
		Target:             target,
		Link:               int(e.rate.link),
		Pacing:             max(int(e.rate.link*pacingFactor), target),
		Received:           int(e.rate.received),
		State:              e.rate.state,
		Overuse:            e.delay.overuse,
		ApplicationLimited: e.rate.limited,
		Silent:             e.silent,
		Loss:               e.loss.recent,
		BaseLoss:           e.loss.base,
		Queue:              time.Duration(e.delay.queue) * time.Microsecond,
		RTT:                time.Duration(e.rtt) * time.Microsecond,
	}
}
