package capture

import (
	"cmp"
	"slices"
	"time"
)

const (
	// settled is how far behind the newest packet a hole can't be filled any
	// more: the sfu remembers fewer sequence numbers.
	settled = 1024
	// mostHoles may wait to be filled before they are looked through.
	mostHoles = 256
	// A list of gaps is for people: what lies closer together than nearby is one
	// gap, and twice as far each time there are more than mostSpans.
	nearby    = 100 * time.Millisecond
	mostSpans = 500
)

// span is a time in which something is missing.
type span struct{ from, to time.Duration }

// hole is a run of sequence numbers that have not come.
type hole struct {
	first, last uint64
	when        span
}

// streamBook is what has come of a stream and what has not. Losses are counted
// when asked for, so that what came late is none.
type streamBook struct {
	id    uint32
	track *trackBook

	running       bool
	lowest        uint64 // of the run
	highest       uint64
	lowAt, highAt time.Duration
	holes         []hole // ascending
	settledLost   int64
	settledSpans  []span
}

// arrived enters packets that came, whether they could be kept or not. With
// start they begin a run: what lies before it is no loss.
func (s *streamBook) arrived(first, last uint64, from, to time.Duration, start bool) {
	switch {
	case start || !s.running:
		s.running = true
		s.lowest, s.highest, s.lowAt, s.highAt = first, last, from, to
	case first > s.highest:
		if first > s.highest+1 {
			s.holes = append(s.holes, hole{s.highest + 1, first - 1, span{s.highAt, from}})
			s.settle()
		}
		s.highest, s.highAt = last, to
	case last < s.lowest: // overtaken by the first of the run
		if last+1 < s.lowest {
			s.fillBelow(hole{last + 1, s.lowest - 1, span{from, from}})
		}
		s.lowest = first
	default:
		s.fill(first, last)
		if last > s.highest {
			s.highest, s.highAt = last, to
		}
	}
}

func (s *streamBook) fillBelow(h hole) {
	at, _ := slices.BinarySearchFunc(s.holes, h.first, func(o hole, first uint64) int { return cmp.Compare(o.first, first) })
	s.holes = slices.Insert(s.holes, at, h)
}

// fill takes numbers out of the holes.
func (s *streamBook) fill(first, last uint64) {
	for i := len(s.holes) - 1; i >= 0; i-- {
		h := s.holes[i]
		if h.last < first {
			return
		}
		if h.first > last {
			continue
		}
		var left []hole
		if h.first < first {
			left = append(left, hole{h.first, first - 1, h.when})
		}
		if h.last > last {
			left = append(left, hole{last + 1, h.last, h.when})
		}
		s.holes = slices.Replace(s.holes, i, i+1, left...)
	}
}

// settle sums up holes that can't be filled any more.
func (s *streamBook) settle() {
	if len(s.holes) < mostHoles {
		return
	}
	n := 0
	for n < len(s.holes) && s.holes[n].last+settled < s.highest {
		h := s.holes[n]
		s.settledLost += int64(h.last - h.first + 1)
		s.settledSpans = append(s.settledSpans, h.when)
		n++
	}
	s.holes = slices.Delete(s.holes, 0, n)
	s.settledSpans = merge(s.settledSpans)
}

func (s *streamBook) lost() int64 {
	n := s.settledLost
	for _, h := range s.holes {
		n += int64(h.last - h.first + 1)
	}
	return n
}

func (s *streamBook) spans() []span {
	out := slices.Clone(s.settledSpans)
	for _, h := range s.holes {
		out = append(out, h.when)
	}
	return out
}

// merge sorts spans and joins those that lie close together.
func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for near := nearby; ; near *= 2 {
		out := spans[:0]
		for _, s := range spans {
			if n := len(out); n > 0 && s.from-out[n-1].to < near {
				out[n-1].to = max(out[n-1].to, s.to)
				continue
			}
			out = append(out, s)
		}
		if spans = out; len(out) <= mostSpans {
			return out
		}
	}
}
