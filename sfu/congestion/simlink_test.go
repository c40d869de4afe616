package congestion

import (
	"container/heap"
	"math/rand/v2"

	"github.com/chatmed/chatmed/internal/impair"
)

// The simulation counts µs in int64 and runs events in order.

type event struct {
	at int64
	n  int
	do func()
}

type agenda []event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].n < a[j].n
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(event)) }
func (a *agenda) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

type sim struct {
	now  int64
	todo agenda
	n    int
	rnd  *rand.Rand
	// wait follows the simulated clock, where something else reads a clock too.
	wait func(now int64)
}

func newSim(seed uint64) *sim { return &sim{rnd: rand.New(rand.NewPCG(seed, 7))} }

func (s *sim) in(d int64, do func()) {
	s.n++
	heap.Push(&s.todo, event{s.now + max(d, 0), s.n, do})
}

func (s *sim) every(d int64, do func()) {
	do()
	s.in(d, func() { s.every(d, do) })
}

func (s *sim) run(until int64) {
	for len(s.todo) > 0 && s.todo[0].at <= until {
		e := heap.Pop(&s.todo).(event)
		if e.at > s.now {
			s.now = e.at
			if s.wait != nil {
				s.wait(s.now)
			}
		}
		e.do()
	}
	s.now = until
}

// simPacket is a packet on a simulated path.
type simPacket struct {
	size    int // on the wire
	sent    int64
	deliver func(at, queued int64)
	dropped func()
}

// simLink is a bottleneck with a drop-tail queue, then propagation and jitter.
type simLink struct {
	s       *sim
	rate    func(t int64) float64 // bit/s
	queue   int                   // bytes that may wait
	delay   int64
	loss    float64
	burst   float64 // mean length of a loss, packets; 0 or 1: independent
	jitter  int64   // uniform from 0, in order unless reorder
	reorder bool

	deadFrom, deadTo int64 // everything is lost

	far *impair.Link[simPacket] // in place of all this

	backlog int
	free    int64 // when the last packet will have been sent
	losing  bool
	lastOut int64
}

func constant(rate float64) func(int64) float64 { return func(int64) float64 { return rate } }

// send puts a packet into the queue.
func (l *simLink) send(p simPacket) {
	if l.far != nil {
		if !l.far.Push(simTime(l.s.now), p, p.size) {
			p.dropped()
		}
		return
	}
	if l.backlog+p.size > l.queue && l.backlog > 0 {
		p.dropped()
		return
	}
	l.backlog += p.size
	start := max(l.free, l.s.now)
	end := l.finish(start, float64(p.size)*8)
	l.free = end
	queued := end - l.s.now
	l.s.in(end-l.s.now, func() {
		l.backlog -= p.size
		if l.lose() {
			p.dropped()
			return
		}
		extra := int64(0)
		if l.jitter > 0 {
			extra = l.s.rnd.Int64N(l.jitter + 1)
		}
		at := l.s.now + l.delay + extra
		if !l.reorder {
			at = max(at, l.lastOut)
			l.lastOut = at
		}
		l.s.in(at-l.s.now, func() { p.deliver(l.s.now, queued) })
	})
}

// finish is when bits that start at t are through.
func (l *simLink) finish(t int64, bits float64) int64 {
	const step = 5_000
	for {
		r := l.rate(t)
		next := (t/step + 1) * step
		can := r * float64(next-t) / 1e6
		if can >= bits {
			return t + int64(bits*1e6/r) + 1
		}
		bits -= can
		t = next
	}
}

// lose is Gilbert's model: losses of a mean length, l.loss in all.
func (l *simLink) lose() bool {
	if l.s.now >= l.deadFrom && l.s.now < l.deadTo {
		return true
	}
	if l.loss <= 0 {
		return false
	}
	if l.burst <= 1 {
		return l.s.rnd.Float64() < l.loss
	}
	if l.losing {
		l.losing = l.s.rnd.Float64() >= 1/l.burst
	} else {
		l.losing = l.s.rnd.Float64() < l.loss/(1-l.loss)/l.burst
	}
	return l.losing
}
