package congestion

import "math"

const (
	beta        = 0.85 // draft-ietf-rmcat-gcc-02 section 5.5
	lossBeta    = 0.95
	lossTrial   = 0.8
	trialLength = 2_000_000 // µs
	// dropShare of the estimate left after cuts is a drop of the link.
	dropShare    = 0.75
	pacingFactor = 1.5
	resumeShare  = 0.7 // of the estimate is tried after a silence
	// usedShare of the target must be sent for it to be tried.
	usedShare = 0.85
	usedLong  = 0.72 // over a longer time, in which the estimate may have grown
	// near is how far above the last known capacity an increase stays careful.
	near = 1.08
	// slowStep is the careful increase at stepAt, in bit/s a second; it grows with
	// the root of the rate, so that of two calls on a link the smaller gains.
	slowStep = 22_000
	stepAt   = 300_000
	// fastest and slowest are the shares a second of the increase when no limit is
	// known.
	slowest = 0.15
	fastest = 0.70
	faster  = 0.2 // a second more each second
	// A burst is sent so much faster than the estimate, and must arrive at so much
	// of it.
	burstLike   = 2.2
	burstSound  = 0.9
	burstShare  = 0.95
	excuseApart = 2_500_000 // µs
	// stepShare of an estimate that was not tried is left after a queue; outran is
	// the share of what was sent that arrives where it truly grows.
	stepShare = 0.92
	outran    = 0.95
	// heavyLoss above the base is answered though the estimate is not tried.
	heavyLoss = 0.1
	// untried is how many times what arrives an estimate may grow to by itself while
	// no more is sent; above that probes find out.
	untried = 1.3
	// Findings of the capacity agree from this share on; older ones are forgotten by
	// this share each time.
	agree  = 0.85
	forget = 0.2
	mtu    = 1250
)

// rate moves the estimate.
type rate struct {
	min, max float64
	link     float64
	received float64
	state    State
	limited  bool

	capacity   float64 // at the last overuse; 0 while unknown
	lastUpdate int64
	freeSince  int64 // since when the estimate has been above capacity untroubled
	cutAt      int64
	cutFrom    float64 // the estimate before the last run of cuts
	excusedAt  int64   // when a queue was last put down to a burst
	trialAt    int64   // when the rate was last cut to see whether loss falls with it
}

func (r *rate) init(cfg Config) {
	r.min, r.max, r.link = float64(cfg.Min), float64(cfg.Max), float64(cfg.Start)
}

// serialisation is the time a full packet takes, in µs.
func (r *rate) serialisation() int64 { return int64(mtu * 8e6 / max(r.link, 1)) }

// update moves the estimate after a feedback.
func (r *rate) update(e *Estimator, newest, now int64) {
	hi := newest / binLength
	span := int64(12)
	if e.delay.noise > 20_000 {
		span = 24
	}
	r.received = e.bins.rateReceived(hi-span, hi-1)
	elapsed := float64(min(now-r.lastUpdate, 500_000)) / 1e6
	if r.lastUpdate == 0 {
		elapsed = 0
	}
	r.lastUpdate = now
	// A key frame alone is no use made of the link.
	r.limited = e.bins.rateSent(now-600_000, now) < usedShare*r.link || e.bins.rateSent(now-1_500_000, now) < usedLong*r.link
	switch {
	case e.prober.shields(newest):
		r.state = Holding
	case e.delay.overuse:
		r.overused(e, hi, now)
	case e.loss.excess > 0:
		r.lossy(e, hi, now)
	case e.delay.queue > 3*minQueue && e.delay.slope < 0 || r.limited && !r.wanted(e) || now-r.cutAt < e.roundTrip():
		r.state = Holding
	default:
		r.grow(now, elapsed)
	}
}

// wanted reports whether more is asked for than the estimate, and nothing waits:
// then it may grow though it is not tried. On a thin link, where little more is
// much, not beyond what was last found.
func (r *rate) wanted(e *Estimator) bool {
	known := r.capacity > 0 && r.link >= r.capacity && r.link <= thin
	return float64(e.demand) > wantsMore*r.link && e.delay.queue < minQueue && !known
}

// certain reports a queue that no jitter explains: it is far above what delays do
// by themselves, and less arrives than is sent.
func (r *rate) certain(e *Estimator, lo, hi int64) bool {
	if float64(e.delay.queue) < 4*minQueue+1.5*e.delay.ownWay()+float64(min(r.serialisation(), maxSerial)) {
		return false
	}
	return e.bins.rateReceived(lo, hi) < outran*e.bins.rateSent(lo*binLength, (hi+1)*binLength)
}

// step lowers an estimate that was not tried: what came through is what was sent,
// and says nothing of the link.
func (r *rate) step(e *Estimator, now int64) {
	r.noteCut(now)
	r.set(min(r.link, max(stepShare*r.link, r.received)))
	r.state = Decreasing
	e.delay.restart(e.lastSent)
	e.prober.nextAt = max(e.prober.nextAt, now+afterCut)
}

// overused cuts the estimate to a little less than what came through. A burst, as
// an unpaced key frame is, shows by itself what the link carries: it costs nothing
// where that is about the estimate. Twice in a row is no excuse.
func (r *rate) overused(e *Estimator, hi, now int64) {
	lo := hi - int64(max(e.delay.span, 5))
	through, share := e.bins.rateReceived(lo, hi)/(1-e.loss.base), beta
	if burst := e.bins.burst(lo, hi, burstLike*r.link); burst > through && now-r.excusedAt > excuseApart {
		r.excusedAt = now
		if burst > burstSound*r.link {
			r.state = Holding
			e.delay.restart(e.lastSent)
			return
		}
		through, share = burst, burstShare
	} else if r.limited && !r.certain(e, lo, hi) {
		r.step(e, now)
		return
	}
	r.noteCut(now)
	r.full(through)
	r.set(min(r.link, share*through))
	r.state = Decreasing
	e.delay.restart(e.lastSent)
	e.prober.cut(now, r.link < dropShare*r.cutFrom)
}

// full notes the capacity found by an overuse. What came through is measured from
// a little before the queue was there, so it is rather too small: of findings that
// agree the larger counts for a while.
func (r *rate) full(through float64) {
	if through < agree*r.capacity || r.capacity == 0 {
		r.capacity = through
		return
	}
	r.capacity = max(through, r.capacity+(through-r.capacity)*forget)
}

// lossy answers loss that lies above the base: it finds the base anew, cutting
// the rate a little more for once where that takes a comparison, and else cuts
// the estimate to what came through.
func (r *rate) lossy(e *Estimator, hi, now int64) {
	sent := e.bins.rateSent((hi-lossBins)*binLength, (hi-1)*binLength)
	queued := 2*minQueue + int64(e.delay.noise) + min(r.serialisation(), maxSerial)
	if e.delay.queue > queued {
		r.overused(e, hi, now)
		e.loss.restart(e.lastSent)
		return
	}
	known := e.loss.learn(sent, e.delay.base()+int64(e.delay.noise)+queued, now)
	if known {
		e.loss.update(&e.bins, hi*binLength)
		if e.loss.excess == 0 { // the link's own
			r.state = Holding
			return
		}
	}
	if r.limited && e.loss.excess < heavyLoss {
		// Less is sent than might be and nothing waits: a lower estimate would change
		// nothing of what is sent, and so show nothing.
		r.state = Holding
		return
	}
	through := r.received / (1 - e.loss.base)
	share := lossBeta
	if !known {
		if now-r.trialAt < trialLength { // wait for what the last one shows
			r.state = Holding
			return
		}
		r.trialAt, share = now, lossTrial
	}
	r.noteCut(now)
	r.capacity = 0
	if known {
		r.capacity = through
	}
	r.set(min(r.link, max(share*through, share*r.link*(1-e.loss.recent))))
	r.state = Decreasing
	e.loss.restart(e.lastSent)
	e.prober.cut(now, r.link < dropShare*r.cutFrom)
}

func (r *rate) noteCut(now int64) {
	if now-r.cutAt > 3_000_000 {
		r.cutFrom = r.link
	}
	r.cutAt, r.freeSince = now, 0
}

// grow raises the estimate: carefully near the last known capacity, by a share
// that grows with time above it.
func (r *rate) grow(now int64, elapsed float64) {
	r.state = Increasing
	limit := 1.5*r.received + 10_000
	if r.limited {
		limit = untried * r.received
	}
	if r.link >= limit {
		return
	}
	if r.capacity > 0 && r.link < near*r.capacity {
		r.freeSince = 0
		r.set(min(limit, r.link+slowStep*math.Sqrt(r.link/stepAt)*elapsed))
		return
	}
	if r.freeSince == 0 {
		r.freeSince = now
	}
	free := float64(now-r.freeSince) / 1e6
	share := min(slowest+faster*free, fastest)
	r.set(min(limit, r.link*(1+share*elapsed)))
}

func (r *rate) set(v float64) {
	if math.IsNaN(v) {
		return
	}
	r.link = min(max(v, r.min), r.max)
}

// report moves the estimate by a receiver report's loss.
func (r *rate) report(lost, sent float64, now int64) {
	switch {
	case lost > 0.1:
		r.noteCut(now)
		r.set(r.link * (1 - 0.5*lost))
		r.state = Decreasing
	case lost < 0.02 && sent > usedShare*r.link:
		r.set(r.link * 1.05)
		r.state = Increasing
	default:
		r.state = Holding
	}
}

// target is what may be sent: less than the estimate while a queue drains or
// nothing is heard.
func (r *rate) target(e *Estimator) int {
	v := r.link
	if e.silent {
		return int(max(r.min, 0.1*v))
	}
	limit := float64(max(2*minQueue, 2*min(r.serialisation(), maxSerial), int64(4*e.delay.noise)))
	if q := float64(e.delay.queue) - limit; q > 0 {
		v *= 1 - min(0.5, q/1e6)
	}
	return int(max(v, r.min))
}
