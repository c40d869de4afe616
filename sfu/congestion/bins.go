package congestion

import "math"

const (
	binLength = 50_000 // µs
	binCount  = 128    // 6.4 s, a power of two
)

// bin gathers the packets sent within one stretch of binLength. All sums are
// bytes on the wire.
type bin struct {
	index     int64
	sentBytes int32
	acked     int32 // bytes that arrived
	sentN     uint16
	ackedN    uint16
	lostN     uint16
	largest   uint16 // packet
	delay     int64  // smallest one-way delay, µs between two clocks
	slowest   int64  // largest
	first     int64  // arrival, µs by the receiver's clock
	last      int64
}

// bins is what was sent and how it fared, by the time of sending. A packet finds
// its bin whenever it is reported.
type bins struct{ ring [binCount]bin }

// at returns the bin of an index, nil when it is none of those kept.
func (b *bins) at(index int64) *bin {
	if index < 0 {
		return nil
	}
	x := &b.ring[index&(binCount-1)]
	if x.index != index || x.sentN == 0 {
		return nil
	}
	return x
}

func (b *bins) of(p *sentPacket) *bin { return b.at(p.sent / binLength) }

func (b *bins) sent(t int64, size int) {
	index := t / binLength
	x := &b.ring[index&(binCount-1)]
	if x.index != index {
		*x = bin{index: index, delay: math.MaxInt64}
	}
	if x.sentN == 0 {
		x.delay = math.MaxInt64
	}
	x.sentN++
	x.sentBytes += int32(size)
	x.largest = max(x.largest, uint16(size))
}

func (b *bins) lost(p *sentPacket) {
	if x := b.of(p); x != nil {
		x.lostN++
	}
}

// found takes back that a packet was lost.
func (b *bins) found(p *sentPacket) {
	if x := b.of(p); x != nil && x.lostN > 0 {
		x.lostN--
	}
}

func (b *bins) received(p *sentPacket, at int64) {
	x := b.of(p)
	if x == nil {
		return
	}
	if x.ackedN == 0 {
		x.first, x.last = at, at
		x.slowest = at - p.sent
	}
	x.ackedN++
	x.acked += int32(p.size)
	x.first, x.last = min(x.first, at), max(x.last, at)
	x.delay, x.slowest = min(x.delay, at-p.sent), max(x.slowest, at-p.sent)
}

// rateSent is what was sent in the bins from one time to another, in bit/s.
func (b *bins) rateSent(from, to int64) float64 {
	lo, hi := max(from, 0)/binLength, to/binLength
	if hi <= lo {
		return 0
	}
	lo = max(lo, hi-binCount+1)
	sum := int64(0)
	for i := lo; i < hi; i++ { // the last bin is not over yet
		if x := b.at(i); x != nil {
			sum += int64(x.sentBytes)
		}
	}
	return float64(sum) * 8e6 / float64((hi-lo)*binLength)
}

// rateReceived is the rate at which what was sent in bins lo to hi arrived, both
// included. It never says more than was sent in that time, whatever times the
// receiver claims.
func (b *bins) rateReceived(lo, hi int64) float64 {
	lo = max(lo, hi-binCount+1, 0)
	var first, last, sum int64
	var before int64 // arrivals up to here are of the bin before
	seen := 0
	for i := lo; i <= hi; i++ {
		x := b.at(i)
		if x == nil || x.ackedN == 0 {
			continue
		}
		if seen == 0 {
			first, last = x.first, x.last
			before = int64(x.largest)
		}
		first, last = min(first, x.first), max(last, x.last)
		sum += int64(x.acked)
		seen++
	}
	if seen == 0 {
		return 0
	}
	bySending := float64(sum) * 8e6 / float64((hi-lo+1)*binLength)
	if seen < 2 {
		return bySending
	}
	// The first packet began to arrive before its time.
	span := float64(last - first)
	if sum <= before || span <= 0 {
		return bySending
	}
	return min(bySending, float64(sum-before)*8e6/span)
}

// ackedBins counts bins from lo to hi that have an arrival.
func (b *bins) ackedBins(lo, hi int64) (n int) {
	for i := max(lo, hi-binCount+1, 0); i <= hi; i++ {
		if x := b.at(i); x != nil && x.ackedN > 0 {
			n++
		}
	}
	return n
}

// burst is the rate at which the link took the largest burst in bins lo to hi, of
// those sent faster than least (bit/s); 0 when there was none.
func (b *bins) burst(lo, hi int64, least float64) (rate float64) {
	most := int32(least * binLength / 8e6)
	for i := max(lo, hi-binCount+1, 0); i <= hi; i++ {
		x := b.at(i)
		if x == nil || x.acked <= most || x.slowest <= x.delay || x.ackedN < 3 {
			continue
		}
		most = x.acked
		rate = float64(x.acked) * 8e6 / float64(x.slowest-x.delay)
	}
	return rate
}
