package congestion

import "math"

// Cluster is a probe: Bytes of padding or repeats, sent evenly at Rate, besides
// the media that leave meanwhile. Rate and Bytes are on the wire.
type Cluster struct {
	ID    uint8 // 1 to 255, for Sent.Cluster
	Rate  int   // bit/s
	Bytes int
	// Packet is how large padding should be, at least: a probe is read by its
	// packets' times, so it needs some.
	Packet int
}

const (
	probeLength   = 40_000 // µs
	probeLongest  = 150_000
	probeNoise    = 15_000
	probePackets  = 5   // full ones at least
	probeEnough   = 0.8 // of a probe must be reported
	probeSound    = 0.9 // of the rate sent, received: the link has not filled
	probeTimeout  = 1_000_000
	shieldLongest = 1_500_000
	firstBackoff  = 2_500_000
	lastBackoff   = 5_000_000
	thin          = 130_000
	thinBackoff   = 20_000_000
	probeMost     = 2.0 // times the estimate
	probeFirst    = 3.0 // the first one, times the start
	wantsMore     = 1.05
	worthwhile    = 1.15 // times the estimate: a probe that found less wasn't worth it
	probeMinQueue = 40_000
	probeApart    = 1_000_000
	// After a cut a probe waits; longer where what is sent tries the link anyway.
	afterCut     = 1_500_000
	afterCutUsed = 8_000_000
	// freer is how far above the last known capacity the received rate must be for
	// the link to have grown.
	freer = 1.05
)

// probePhase is where a probe is.
type probePhase uint8

const (
	probeIdle probePhase = iota
	probeDue
	probeSending // handed out, waiting for its packets and their feedback
)

// prober plans probes and reads them: before anything is known, after a drop,
// and from time to time while more is wanted than the estimate allows.
type prober struct {
	phase   probePhase
	cluster Cluster
	started int64 // handed out
	shield  int64 // packets sent up to here don't count as overuse

	sentBytes, gotBytes     int
	sentN, gotN             int
	firstSent, lastSent     int64
	firstGot, lastGot       int64
	firstSize, lastSentSize int

	nextAt  int64
	backoff int64
	opening int // probes of the opening still to come
	rise    float64
}

func (p *prober) init() {
	p.backoff = firstBackoff
	p.opening = 2
	p.rise = probeFirst
}

// shields reports whether what was sent at t may have queued behind a probe.
func (p *prober) shields(t int64) bool { return t <= p.shield }

// cut notes that the link was found full: no probe soon. After a real drop it is
// looked at again before long.
func (p *prober) cut(now int64, drop bool) {
	p.opening = 0
	if drop {
		p.backoff = firstBackoff
	}
	p.nextAt = now + p.backoff
	if p.phase == probeDue {
		p.phase = probeIdle
	}
}

// resume starts over after a silence, before which lie the packets sent up to t.
func (p *prober) resume(t int64) {
	p.phase = probeIdle
	p.shield = max(p.shield, t)
	p.opening, p.rise, p.backoff = 1, 1/resumeShare, firstBackoff
}

// sent notes a packet and returns the cluster it counts for. Media that leaves
// between a probe's packets takes its share of the link, so it belongs to it.
func (p *prober) sent(cluster uint8, size int, t int64) uint8 {
	if p.phase != probeSending || cluster != p.cluster.ID && (p.sentN == 0 || p.sentBytes >= p.cluster.Bytes) {
		return 0
	}
	if p.sentN == 0 {
		p.firstSent = t
	}
	p.sentN++
	p.sentBytes += size
	p.lastSent, p.lastSentSize = t, size
	return p.cluster.ID
}

func (p *prober) received(s *sentPacket, at int64) {
	if s.cluster == 0 || p.phase != probeSending || s.cluster != p.cluster.ID {
		return
	}
	if p.gotN == 0 {
		p.firstGot, p.lastGot, p.firstSize = at, at, int(s.size)
	}
	if at < p.firstGot {
		p.firstGot, p.firstSize = at, int(s.size)
	}
	p.lastGot = max(p.lastGot, at)
	p.gotN++
	p.gotBytes += int(s.size)
}

// next hands a due probe out.
func (p *prober) next(e *Estimator, now int64) (Cluster, bool) {
	p.update(e, now)
	if p.phase != probeDue {
		return Cluster{}, false
	}
	p.phase, p.started = probeSending, now
	p.sentBytes, p.gotBytes, p.sentN, p.gotN = 0, 0, 0, 0
	return p.cluster, true
}

// update reads a probe that has come back and plans the next.
func (p *prober) update(e *Estimator, now int64) {
	if p.phase == probeSending {
		p.read(e, now)
	}
	if p.phase != probeIdle || e.silent || e.lastFeedback == 0 {
		return
	}
	if rate, ok := p.wanted(e, now); ok {
		p.plan(rate, e.delay.noise)
	}
}

// wanted decides whether to probe now, and at which rate.
func (p *prober) wanted(e *Estimator, now int64) (float64, bool) {
	r := &e.rate
	top := min(float64(e.demand)*1.1, r.max)
	if top < wantsMore*r.link || e.delay.overuse || e.delay.queue > probeMinQueue+min(r.serialisation(), maxSerial) {
		return 0, false
	}
	if p.opening > 0 {
		p.opening--
		return min(p.rise*r.link, top), true
	}
	// Where delays jump about, a short probe measures nothing.
	freed := r.capacity > 0 && r.link > near*r.capacity && r.received > freer*r.capacity && e.delay.noise < probeNoise
	if freed && now-p.started > probeApart {
		p.nextAt = now + p.backoff
		return min(probeMost*r.link, top), true
	}
	if now < p.nextAt || now-r.cutAt < afterCut || !r.limited && now-r.cutAt < afterCutUsed {
		return 0, false
	}
	p.nextAt = now + p.backoff
	return min(probeMost*r.link, top), true
}

func (p *prober) plan(rate, noise float64) {
	p.cluster.ID++
	if p.cluster.ID == 0 {
		p.cluster.ID = 1
	}
	p.cluster.Rate = int(rate)
	p.cluster.Packet = min(max(int(rate)/640, 100), mtu)
	length := min(max(probeLength, 4*(noise-probeNoise)), probeLongest)
	p.cluster.Bytes = max(int(rate*length/8e6), probePackets*p.cluster.Packet)
	p.phase = probeDue
}

// longest is the longest time between probes. On a thin link each makes the voice
// wait.
func (p *prober) longest(e *Estimator) int64 {
	if e.rate.link < thin {
		return thinBackoff
	}
	return lastBackoff
}

// read takes the result once enough of a probe has come back.
func (p *prober) read(e *Estimator, now int64) {
	done := p.sentBytes >= p.cluster.Bytes*9/10 && float64(p.gotBytes) >= probeEnough*float64(p.sentBytes) && p.sentN >= 4
	if !done {
		if now-p.started > probeTimeout+2*e.roundTrip() {
			p.phase = probeIdle
			p.nextAt = now + p.backoff
		}
		return
	}
	p.phase = probeIdle
	sent := float64(p.sentBytes-p.lastSentSize) * 8e6 / max(float64(p.lastSent-p.firstSent), 1)
	got := float64(p.gotBytes-p.firstSize) * 8e6 / max(float64(p.lastGot-p.firstGot), 1)
	got = min(got, sent, float64(p.cluster.Rate)*1.2)
	if math.IsNaN(got) {
		return
	}
	// Sent in one go, a probe arrives spread out by the link: that tells as much.
	full := got < probeSound*min(sent, float64(p.cluster.Rate))
	if full {
		got *= 0.9
		if got < worthwhile*e.rate.link {
			p.backoff = min(2*p.backoff, p.longest(e))
		}
		p.opening = 0
		p.shield = p.lastSent + int64(min(float64(p.sentBytes)*8e6/max(got, 1), shieldLongest))
		e.delay.restart(p.shield)
	} else {
		p.backoff = firstBackoff
	}
	p.nextAt = now + p.backoff
	r := &e.rate
	if got <= r.link {
		// A link that a short probe has filled carries no more than it showed.
		if full && e.delay.noise < probeNoise && r.limited {
			r.capacity = got
			r.set(max(got, min(r.link, r.received)))
		}
		return
	}
	if full {
		r.capacity = got
	} else {
		r.capacity = 0
		p.nextAt = now // go on while it lasts
		p.opening = max(p.opening, 1)
		p.rise = probeMost
	}
	r.set(got)
	r.state = Increasing
	e.delay.restart(max(e.lastSent, p.shield))
}
