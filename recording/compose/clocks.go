package compose

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"
)

// Every stream has a clock of its own (RTP timestamps), every publisher a wall
// clock that its sender reports tie its streams to, and the server a third one
// that the recording's timeline is of. A publisher's wall clock is wrong and runs
// at another rate, by up to some hundred ppm. So timestamps are put on the
// publisher's clock by its reports, which keeps lips and voice together, and that
// clock on the server's by a line through the arrivals: packets come late, never
// early, so the fastest ones of each window tell the two clocks' difference.

const (
	fitWindow = 5 * time.Second // at least, of which the fastest packet counts
	maxPoints = 300             // windows of a stream
	// A line over less is flat: 200 ppm of it are 6 ms.
	minSkewSpan = 30.0
	maxSkew     = 1e-3
	// A publisher's clock that jumps by more has been set, or its machine slept.
	clockStep = 1.5
	// What lies further from its arrival was mapped wrongly: it is taken as of its
	// arrival then.
	maxLate, maxEarly = 3 * time.Second, 400 * time.Millisecond
)

// unwrap puts packets in order and extends their timestamps to 64 bits.
func (st *stream) unwrap() {
	slices.SortStableFunc(st.packets, func(a, b packet) int { return cmp.Compare(a.seq, b.seq) })
	st.packets = slices.CompactFunc(st.packets, func(a, b packet) bool { return a.seq == b.seq })
	st.ext = make([]int64, len(st.packets))
	for i := range st.packets {
		if i == 0 {
			st.ext[0] = int64(st.packets[0].ts)
			continue
		}
		st.ext[i] = st.ext[i-1] + int64(int32(st.packets[i].ts-st.packets[i-1].ts))
	}
}

// knot is a point of a piecewise linear function: at RTP time x (in seconds of
// the stream's clock) the publisher's clock is x+off.
type knot struct{ x, off float64 }

// ntpBase keeps seconds of NTP small enough for a float.
func ntpSeconds(ntp uint64, base uint64) float64 {
	return float64(int64(ntp-base)) / (1 << 32)
}

// knots are what a stream's reports say, freed of outliers by a running median.
func (st *stream) knots(base uint64) []knot {
	byArrival := make([]int, len(st.packets))
	for i := range byArrival {
		byArrival[i] = i
	}
	slices.SortFunc(byArrival, func(a, b int) int { return cmp.Compare(st.packets[a].at, st.packets[b].at) })
	var raw []knot
	for _, r := range st.reports {
		if r.ntp == 0 || len(byArrival) == 0 {
			continue
		}
		n := sort.Search(len(byArrival), func(k int) bool { return st.packets[byArrival[k]].at >= r.at })
		near := byArrival[min(n, len(byArrival)-1)]
		x := float64(st.ext[near]+int64(int32(r.rtp-st.packets[near].ts))) / st.rate
		raw = append(raw, knot{x, ntpSeconds(r.ntp, base) - x})
	}
	slices.SortFunc(raw, func(a, b knot) int { return cmp.Compare(a.x, b.x) })
	out := make([]knot, len(raw))
	for i := range raw {
		// As many on both sides, or the ends would lean.
		w := min(3, i, len(raw)-1-i)
		var offs []float64
		for _, k := range raw[i-w : i+w+1] {
			offs = append(offs, k.off)
		}
		out[i] = knot{raw[i].x, median(offs)}
	}
	return out
}

// onKnots is the publisher's clock at RTP second x.
func onKnots(ks []knot, x float64) float64 {
	if len(ks) == 0 {
		return x
	}
	i := sort.Search(len(ks), func(i int) bool { return ks[i].x >= x })
	switch {
	case i == 0:
		return x + ks[0].off
	case i == len(ks):
		return x + ks[len(ks)-1].off
	}
	a, b := ks[i-1], ks[i]
	if b.x <= a.x {
		return x + b.off
	}
	return x + a.off + (b.off-a.off)*(x-a.x)/(b.x-a.x)
}

func median(v []float64) float64 { return quantile(v, 0.5) }

func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[min(len(v)-1, int(q*float64(len(v))))]
}

// point is the fastest packet of a window: at time x of the publisher's clock,
// delay is the server's clock less the publisher's.
type point struct{ x, delay float64 }

// line is delay = a + b·(x-x0).
type line struct{ until, x0, a, b float64 }

func (l line) at(x float64) float64 { return x + l.a + l.b*(x-l.x0) }

// timed is a stream with its publisher's clock.
type timed struct {
	*stream
	knots []knot
	from  time.Duration // first and last arrival
	to    time.Duration
	lines []line
}

func (t *timed) pub(ext int64) float64 { return onKnots(t.knots, float64(ext)/t.rate) }

// points are the stream's windows.
func (t *timed) points() []point {
	window := max(fitWindow, (t.to-t.from)/maxPoints)
	best := map[time.Duration]point{}
	for i := range t.packets {
		p := &t.packets[i]
		x := t.pub(t.ext[i])
		k := p.at / window
		if q, ok := best[k]; !ok || p.at.Seconds()-x < q.delay {
			best[k] = point{x, p.at.Seconds() - x}
		}
	}
	out := make([]point, 0, len(best))
	for _, q := range best {
		out = append(out, q)
	}
	slices.SortFunc(out, func(a, b point) int { return cmp.Compare(a.x, b.x) })
	return out
}

// setClocks gives each stream of one participant its clock.
func setClocks(streams []*stream) {
	var base uint64
	for _, st := range streams {
		for _, r := range st.reports {
			if base == 0 {
				base = r.ntp
			}
		}
	}
	var reported []*timed
	for _, st := range streams {
		st.unwrap()
		if len(st.packets) == 0 {
			st.clock = func(int64) time.Duration { return 0 }
			continue
		}
		t := &timed{stream: st, knots: st.knots(base)}
		t.from, t.to = st.packets[0].at, st.packets[0].at
		for i := range st.packets {
			t.from, t.to = min(t.from, st.packets[i].at), max(t.to, st.packets[i].at)
		}
		if len(t.knots) == 0 { // without a report it has a clock of its own
			t.settle(fit([]*timed{t}))
			continue
		}
		reported = append(reported, t)
	}
	for _, group := range overlapping(reported) {
		lines := fit(group)
		for _, t := range group {
			t.settle(lines)
		}
	}
}

// overlapping groups streams that ran at the same time, and so on one clock. A
// page that was loaded anew may have another.
func overlapping(list []*timed) [][]*timed {
	slices.SortFunc(list, func(a, b *timed) int { return cmp.Compare(a.from, b.from) })
	var groups [][]*timed
	var until time.Duration
	for _, t := range list {
		if n := len(groups); n > 0 && t.from < until {
			groups[n-1] = append(groups[n-1], t)
		} else {
			groups = append(groups, []*timed{t})
		}
		until = max(until, t.to)
	}
	return groups
}

// fit lays lines through the windows of streams that share a clock: one, or more
// where the clock was set.
func fit(group []*timed) []line {
	sets := make([][]point, len(group))
	var steps []float64
	for i, t := range group {
		sets[i] = t.points()
		for k := 1; k < len(sets[i]); k++ {
			if a, b := sets[i][k-1], sets[i][k]; math.Abs(b.delay-a.delay) > clockStep+maxSkew*(b.x-a.x) {
				steps = append(steps, (a.x+b.x)/2)
			}
		}
	}
	slices.Sort(steps)
	steps = append(steps, math.Inf(1))
	var out []line
	from := math.Inf(-1)
	for _, to := range steps {
		part := make([][]point, len(sets))
		n := 0
		for i, set := range sets {
			for _, p := range set {
				if p.x >= from && p.x < to {
					part[i] = append(part[i], p)
					n++
				}
			}
		}
		if n > 0 {
			l := fitLine(part)
			l.until = to
			out = append(out, l)
		}
		from = to
	}
	return out
}

// fitLine takes as slope the median of the slopes between all pairs of windows of
// the same stream (Theil and Sen), which a third of the windows may spoil without
// doing harm, and as height a low quantile: delay is noise to one side.
func fitLine(sets [][]point) line {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, set := range sets {
		for _, p := range set {
			lo, hi = min(lo, p.x), max(hi, p.x)
		}
	}
	l := line{x0: lo}
	if hi-lo >= minSkewSpan {
		var slopes []float64
		for _, set := range sets {
			for i := range set {
				for k := i + 1; k < len(set); k++ {
					if dx := set[k].x - set[i].x; dx >= (hi-lo)/8 {
						slopes = append(slopes, (set[k].delay-set[i].delay)/dx)
					}
				}
			}
		}
		l.b = max(-maxSkew, min(maxSkew, median(slopes)))
	}
	var rest []float64
	for _, set := range sets {
		for _, p := range set {
			rest = append(rest, p.delay-l.b*(p.x-l.x0))
		}
	}
	l.a = quantile(rest, 0.1)
	return l
}

// settle makes the stream's clock of its publisher's lines.
func (t *timed) settle(lines []line) {
	t.lines = lines
	t.clock = func(ext int64) time.Duration {
		x := t.pub(ext)
		i := 0
		for i < len(lines)-1 && x >= lines[i].until {
			i++
		}
		return time.Duration(lines[i].at(x) * float64(time.Second))
	}
}

// when is the time of the media that packet i carries, on the recording's
// timeline.
func (st *stream) when(i int) time.Duration {
	at, t := st.packets[i].at, st.clock(st.ext[i])
	if t < at-maxLate || t > at+maxEarly {
		return at
	}
	return t
}
