package impair

import (
	"math"
	"math/rand/v2"
	"time"
)

// Counters are what a link has seen. In is always Out plus Dropped plus Inside.
type Counters struct {
	In       uint64 `json:"in"` // packets
	Out      uint64 `json:"out"`
	InBytes  uint64 `json:"in_bytes"`
	OutBytes uint64 `json:"out_bytes"`
	Drops    Drops  `json:"drops"`
	Inside   uint64 `json:"inside"` // waiting, being sent or on the way
	// Queued are the bytes that wait now, MaxQueued the most there were.
	Queued    int `json:"queued_bytes"`
	MaxQueued int `json:"max_queued_bytes"`
	// Overtaken are the packets that came out after a later one.
	Overtaken uint64 `json:"overtaken"`
}

// Drops are lost packets by cause.
type Drops struct {
	Loss   uint64 `json:"loss"`   // by Profile.Loss
	Burst  uint64 `json:"burst"`  // by Profile.Burst
	Queue  uint64 `json:"queue"`  // the queue was full
	Outage uint64 `json:"outage"` // by Profile.Outage or Profile.Cut
}

// Total is all of them.
func (d Drops) Total() uint64 { return d.Loss + d.Burst + d.Queue + d.Outage }

// Link is one direction of a bad link: packets go in with a time and a size and
// come out with a time, or don't. T is whatever the caller wants back. A seed
// gives the same fate to the same packets always. It is not thread-safe, and
// time never runs backwards: an earlier time than one before counts as that one.
type Link[T any] struct {
	p     Profile
	start time.Time
	now   int64 // since start, ns, as all times below
	since int64 // when p was set

	waiting ring[packet[T]] // for the rate; the first is being sent
	begun   int64           // when sending the first began, or went on under p
	bits    int64           // of the first that were left then
	done    int64           // when it is sent

	flying   heap[T]
	latest   int64  // arrival of what was sent last
	sent     uint64 // number of what was sent last
	highest  uint64 // number of the latest packet that came out
	counters Counters

	loss, burst, jitter *rand.Rand
	inBurst             bool
	swing               float64 // of the jitter, in standard deviations
	swung               int64   // when
}

type packet[T any] struct {
	value  T
	size   int
	lost   bool
	at     int64 // when it comes out
	number uint64
}

// NewLink makes a link whose profile begins at start. It fails when the profile
// makes no sense.
func NewLink[T any](p Profile, seed uint64, start time.Time) (*Link[T], error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	l := &Link[T]{p: p, start: start}
	// A stream of its own for each: what one setting draws leaves the others alone.
	l.loss, l.burst, l.jitter = rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2)), rand.New(rand.NewPCG(seed, 3))
	l.swing = l.jitter.NormFloat64()
	return l, nil
}

// Profile is the one in force.
func (l *Link[T]) Profile() Profile { return l.p }

// Set changes the profile from now on. What waits is sent at the new rate, even
// beyond the new bound of the queue; what is on the way arrives as it would have.
func (l *Link[T]) Set(now time.Time, p Profile) error {
	if err := p.Check(); err != nil {
		return err
	}
	l.advance(now)
	if l.waiting.len() > 0 {
		worked := l.p.Outage.worked(l.now-l.since) - l.p.Outage.worked(l.begun-l.since)
		l.bits = max(0, l.bits-int64(float64(worked)*float64(l.p.Rate)/1e9))
	}
	l.p, l.since = p, l.now
	if l.waiting.len() > 0 {
		l.begin(l.now, l.bits)
	}
	l.advance(now)
	return nil
}

// Push gives the link a packet of size bytes. It reports whether the packet will
// come out: if not, the link keeps nothing of value.
func (l *Link[T]) Push(now time.Time, value T, size int) bool {
	l.advance(now)
	c := &l.counters
	c.In++
	c.InBytes += uint64(size)
	cause := l.fate()
	if l.p.Cut || !l.p.Outage.Hold && l.p.Outage.within(l.now-l.since) {
		c.Drops.Outage++
		return false
	}
	if l.p.Queue > 0 && l.waiting.len() > 0 && c.Queued+size > l.p.Queue {
		c.Drops.Queue++
		return false
	}
	p := packet[T]{size: size, lost: cause != nil}
	if p.lost {
		*cause++
	} else {
		p.value = value
		c.Inside++
	}
	c.Queued += size
	c.MaxQueued = max(c.MaxQueued, c.Queued)
	l.waiting.push(p)
	if l.waiting.len() == 1 {
		l.begin(l.now, 8*int64(size))
	}
	l.advance(now)
	return !p.lost
}

// Pop gives the next packet that has come out by now, in the order of arrival,
// with the time it arrived.
func (l *Link[T]) Pop(now time.Time) (value T, at time.Time, ok bool) {
	l.advance(now)
	p, ok := l.flying.first()
	if !ok || p.at > l.now {
		return value, at, false
	}
	l.flying.pop()
	c := &l.counters
	c.Inside--
	c.Out++
	c.OutBytes += uint64(p.size)
	if p.number < l.highest {
		c.Overtaken++
	}
	l.highest = max(l.highest, p.number)
	return p.value, l.start.Add(time.Duration(p.at)), true
}

// Next is when the link wants to be asked again: no packet comes out before. It
// is false when nothing is inside.
func (l *Link[T]) Next() (time.Time, bool) {
	next := int64(math.MaxInt64)
	if p, ok := l.flying.first(); ok {
		next = p.at
	}
	if l.waiting.len() > 0 {
		next = min(next, l.done)
	}
	if next == math.MaxInt64 {
		return time.Time{}, false
	}
	return l.start.Add(time.Duration(next)), true
}

// Counters are those up to the last call.
func (l *Link[T]) Counters() Counters { return l.counters }

// advance lets time pass: what has been sent by now is on the way.
func (l *Link[T]) advance(now time.Time) {
	l.now = max(l.now, int64(now.Sub(l.start)))
	for l.waiting.len() > 0 && l.done <= l.now {
		p, done := l.waiting.pop(), l.done
		l.counters.Queued -= p.size
		if !p.lost {
			l.fly(p, done)
		}
		if l.waiting.len() > 0 {
			l.begin(done, 8*int64(l.waiting.first().size))
		}
	}
}

// begin sends what is left of the first packet that waits.
func (l *Link[T]) begin(at, bits int64) {
	var work time.Duration
	if l.p.Rate > 0 {
		work = time.Duration(float64(bits) * 1e9 / float64(l.p.Rate))
	}
	l.begun, l.bits = at, bits
	l.done = l.since + l.p.Outage.after(at-l.since, work)
}

// fly puts a packet on the way that was sent at the given time.
func (l *Link[T]) fly(p packet[T], sent int64) {
	p.at = sent + int64(l.delay(sent))
	if !l.p.Reorder {
		p.at = max(p.at, l.latest)
	}
	l.latest = max(l.latest, p.at)
	l.sent++
	p.number = l.sent
	l.flying.push(p)
}

// delay is the propagation time of what leaves at t. The jitter is a process of
// Ornstein and Uhlenbeck, sampled at the packets' times.
func (l *Link[T]) delay(t int64) time.Duration {
	if l.p.Jitter == 0 {
		return l.p.Delay
	}
	var keep float64
	if l.p.JitterTime > 0 {
		keep = math.Exp(-float64(t-l.swung) / float64(l.p.JitterTime))
	}
	l.swing = keep*l.swing + math.Sqrt(1-keep*keep)*l.jitter.NormFloat64()
	l.swung = t
	return max(0, l.p.Delay+time.Duration(l.swing*float64(l.p.Jitter)))
}

// fate draws whether the next packet is lost on the way: the counter of the
// cause, or nil.
func (l *Link[T]) fate() *uint64 {
	b := l.p.Burst
	if l.inBurst {
		l.inBurst = l.burst.Float64() >= b.Leave && b.Enter > 0
	} else {
		l.inBurst = b.Enter > 0 && l.burst.Float64() < b.Enter
	}
	random := l.p.Loss > 0 && l.loss.Float64() < l.p.Loss
	switch {
	case random:
		return &l.counters.Drops.Loss
	case l.inBurst && (b.Loss == 1 || l.burst.Float64() < b.Loss):
		return &l.counters.Drops.Burst
	}
	return nil
}
