package congestion

import "math"

const (
	baseBuckets = 6
	baseBucket  = 2_500_000 // µs; the base is the least delay of the last 15 s
	unknownBase = math.MaxInt64

	minQueue   = 25_000 // µs: less is no queue worth a decision
	maxSerial  = 250_000
	standing   = 6 // bins in which a queue must stay
	sureOf     = 3 // standard errors
	flatEnough = 0.02
	maxNoise   = 100_000
	noiseGain  = 0.02 // a feedback
	noiseRise  = 0.04
	// Where delays wander, a queue must stay longer, and lie higher, to be believed.
	standingMost = 20   // bins
	standingStep = 1000 // µs of noise for another bin
	noisy        = 5_000
	wander       = 5 // times the noise is what a wandering delay does by itself
	envelope     = 4 // bins, the least of which a trend is judged by where delays wander
)

// delay finds out from one-way delays whether a queue grows or stays.
type delay struct {
	buckets [baseBuckets]int64 // least delay of each stretch of baseBucket
	bucket  int64              // index of the newest
	known   bool

	from    int64   // bins before this index are not judged: a change lies between
	queue   int64   // µs above the base and its noise, the least of the last bins
	noise   float64 // of the delays around their line, µs, of late
	wander  float64 // of their lower envelope, likewise
	heard   float64 // feedbacks noise was measured from
	slope   float64 // µs a µs
	overuse bool
	grows   bool // by the slope; else by the level
	span    int  // bins the finding rests on

	// A queue that doesn't go down although we have is none of ours.
	levelAt    int64 // when one was last found by its level
	levelQueue int64
}

// restart has only packets judged that are sent after t.
func (d *delay) restart(t int64) { d.from = t/binLength + 1 }

// base is the least delay of late.
func (d *delay) base() int64 {
	least := int64(unknownBase)
	for _, b := range d.buckets {
		least = min(least, b)
	}
	return least
}

func (d *delay) note(value, now int64) {
	index := now / baseBucket
	if !d.known {
		d.known, d.bucket = true, index
		for i := range d.buckets {
			d.buckets[i] = unknownBase
		}
	}
	for ; d.bucket < index; d.bucket++ {
		d.buckets[(d.bucket+1)%baseBuckets] = unknownBase
		if index-d.bucket > baseBuckets {
			d.bucket = index - baseBuckets
		}
	}
	b := &d.buckets[index%baseBuckets]
	*b = min(*b, value)
}

// rebase takes the present level for the base: the path has changed, or someone
// else keeps its queue full.
func (d *delay) rebase(value int64) {
	for i := range d.buckets {
		d.buckets[i] = unknownBase
	}
	d.buckets[d.bucket%baseBuckets] = value
}

// update judges the bins up to that of the newest packet acknowledged. serial is
// the time a full packet takes at the present rate.
//
// What queues behind a probe (shielded) says nothing of the noise.
func (d *delay) update(b *bins, newest, serial int64, shielded, limited bool, now int64) {
	hi := newest / binLength
	least := int64(unknownBase)
	for i := hi; i > hi-d.standing() && i >= 0; i-- {
		if x := b.at(i); x != nil && x.ackedN > 0 {
			least = min(least, x.delay)
			d.note(x.delay, x.index*binLength)
		}
	}
	if least == unknownBase {
		return
	}
	if !shielded {
		d.listen(b, hi, limited)
	}
	d.queue = max(least-d.base()-int64(d.noise), 0)
	d.overuse, d.grows = false, false
	serial = min(serial, maxSerial)
	for _, n := range [...]int64{6, 12, 24} {
		lo := max(hi-n+1, d.from)
		if d.judge(b, lo, hi, serial) {
			d.overuse, d.grows, d.span = true, true, int(hi-lo+1)
			return
		}
		if lo == d.from {
			break
		}
	}
	d.level(b, hi, serial, now)
}

// standing is how many bins a queue must stay in.
func (d *delay) standing() int64 {
	return min(standing+int64(max(d.wander-noisy, 0)/standingStep), standingMost)
}

// width is of how many bins the least delay is taken for a trend.
func (d *delay) width() int64 {
	return min(1+int64(d.wander/noisy), envelope)
}

// ownWay is how far delays go by themselves.
func (d *delay) ownWay() float64 { return max(3*d.noise, wander*d.wander) }

// listen follows how far delays lie off any trend, as jitter and pictures sent in
// one go make them. It learns fast at first.
func (d *delay) listen(b *bins, hi int64, limited bool) {
	_, _, residual, n := b.line(max(hi-23, d.from), hi, 1)
	if n < 5 {
		return
	}
	d.heard = min(d.heard+1, 1/noiseGain)
	d.noise += (min(residual, maxNoise) - d.noise) / (d.heard + 3)
	// What a queue does that grows just now must not widen what it is judged by.
	hi -= standingMost
	_, _, residual, n = b.line(max(hi-23, d.from), hi, envelope)
	if n < 12 {
		return
	}
	gain := 1 / (d.heard + 3)
	if residual > d.wander {
		if !limited { // it may be the queue of what we send
			return
		}
		gain = max(gain, noiseRise)
	}
	d.wander += (min(residual, maxNoise) - d.wander) * gain
}

// judge fits a line through the delays of bins lo to hi and reports whether the
// queue grows there beyond doubt.
func (d *delay) judge(b *bins, lo, hi, serial int64) bool {
	slope, se, residual, n := b.line(lo, hi, d.width())
	if n < 5 {
		return false
	}
	d.slope = slope
	grown := slope * float64((hi-lo)*binLength)
	limit := max(minQueue, float64(serial), 2*residual, d.ownWay())
	x := b.at(hi)
	if x == nil || x.ackedN == 0 {
		return false
	}
	above := float64(d.queue)
	return slope > flatEnough && slope > sureOf*se && grown > limit && above > max(limit/2, wander*d.wander-noisy)
}

// level reports a queue that stays, though it doesn't grow.
func (d *delay) level(b *bins, hi, serial, now int64) {
	if hi-d.standing()+1 < d.from || b.ackedBins(hi-d.standing()+1, hi) < 3 {
		return
	}
	slope, _, residual, n := b.line(max(hi-11, d.from), hi, d.width())
	if n < 4 {
		return
	}
	d.slope = slope
	limit := max(2*minQueue, float64(2*serial), 3*residual, d.ownWay())
	if float64(d.queue) <= limit || slope < -flatEnough {
		return
	}
	if d.levelAt > 0 && now-d.levelAt < 3_000_000 && d.queue > d.levelQueue*8/10 {
		d.rebase(d.queue + d.base())
		d.levelAt = 0
		return
	}
	d.levelAt, d.levelQueue = now, d.queue
	d.overuse, d.span = true, int(d.standing())
}

// least is the smallest delay of the bins lo to hi.
func (b *bins) least(lo, hi int64) int64 {
	v := int64(unknownBase)
	for i := lo; i <= hi; i++ {
		if x := b.at(i); x != nil && x.ackedN > 0 {
			v = min(v, x.delay)
		}
	}
	return v
}

// line fits delay against time over the bins lo to hi by least squares: the
// slope, its standard error, and the standard deviation around the line (µs). Of
// each bin and those before it, width in all, the least delay counts.
func (b *bins) line(lo, hi, width int64) (slope, se, residual float64, n int) {
	var sx, sy, sxx, sxy, syy float64
	var origin int64
	for i := max(lo, hi-binCount+1, 0); i <= hi; i++ {
		x := b.at(i)
		if x == nil || x.ackedN == 0 {
			continue
		}
		v := x.delay
		if width > 1 {
			v = b.least(max(i-width+1, lo), i)
		}
		if n == 0 {
			origin = v
		}
		tx, ty := float64((i-lo)*binLength), float64(v-origin)
		sx, sy, sxx, sxy, syy = sx+tx, sy+ty, sxx+tx*tx, sxy+tx*ty, syy+ty*ty
		n++
	}
	if n < 3 {
		return 0, 0, 0, n
	}
	f := float64(n)
	vx, vy, cov := sxx-sx*sx/f, syy-sy*sy/f, sxy-sx*sy/f
	if vx <= 0 {
		return 0, 0, 0, n
	}
	slope = cov / vx
	rest := max(vy-slope*cov, 0) / (f - 2)
	return slope, math.Sqrt(rest / vx), math.Sqrt(rest), n
}
