package congestion

import "math"

const (
	// tolerated is the loss that is never taken for congestion.
	tolerated = 0.02
	lossBins  = 30 // of recent, 1.5 s
	lossMin   = 20 // packets that make a share

	lookLength = 6 // bins, 300 ms
	lookCount  = 40
	// lower is how much less must have been sent to tell whether the rate matters.
	lower    = 0.9
	lowerMin = 40 // packets
	// maxBase is the most that is put down to the link: where much more is lost,
	// less must be sent, whoever is to blame.
	maxBase = 0.12
	baseAge = 15_000_000 // µs that a base holds
)

// look is what a stretch of lookLength bins sent and lost.
type look struct {
	index   int64
	rate    float64
	n, lost int
	delay   int64 // the smallest
}

// loss tells congestion from a link that loses whatever the rate: what it loses
// at a lower rate too is the base, and only what lies above counts.
type loss struct {
	recent float64
	base   float64
	excess float64 // of recent above what the base and chance explain
	baseAt int64   // when the base was last found; 0: never

	looks [lookCount]look
	next  int64 // the look to take next
	from  int64 // bins before are from before the last cut
}

// restart measures the recent loss only in what is sent after t.
func (l *loss) restart(t int64) { l.from = t/binLength + 1 }

// update measures the bins up to that of the newest packet acknowledged, but for
// the last two, where reordering may look like loss.
func (l *loss) update(b *bins, newest int64) {
	hi := newest/binLength - 2
	if hi < 0 {
		return
	}
	l.observe(b, hi)
	lo := max(hi-lossBins+1, l.from, 0)
	n, lostN, lossy := 0, 0, 0
	for i := hi; i >= lo || n < lossMin && i >= max(hi-4*lossBins, l.from, 0); i-- {
		if x := b.at(i); x != nil {
			n += int(x.lostN) + int(x.ackedN)
			lostN += int(x.lostN)
			if x.lostN > 0 {
				lossy++
			}
		}
	}
	l.excess = 0
	if n < lossMin {
		return
	}
	p := float64(lostN) / float64(n)
	l.recent = p
	if l.baseAt > 0 && newest-l.baseAt > baseAge {
		l.base, l.baseAt = 0, 0
	}
	if p <= tolerated {
		return
	}
	// Losses that come together are one event, which chance makes more of.
	together := float64(lostN) / float64(max(lossy, 1))
	spread := math.Sqrt(max(l.base, 0.01) * together / float64(n))
	l.excess = max(p-l.base-max(tolerated, 3*spread), 0)
}

// observe takes the looks that are over.
func (l *loss) observe(b *bins, hi int64) {
	for ; (l.next+1)*lookLength-1 <= hi; l.next++ {
		if behind := hi/lookLength - l.next; behind > lookCount {
			l.next += behind - lookCount
		}
		k := look{index: l.next, delay: math.MaxInt64}
		bytes := 0
		for i := l.next * lookLength; i < (l.next+1)*lookLength; i++ {
			if x := b.at(i); x != nil {
				bytes += int(x.sentBytes)
				k.n += int(x.ackedN) + int(x.lostN)
				k.lost += int(x.lostN)
				k.delay = min(k.delay, x.delay)
			}
		}
		k.rate = float64(bytes) * 8e6 / (lookLength * binLength)
		l.looks[l.next%lookCount] = k
	}
}

// learn finds the base anew from what was lost of late at clearly less than the
// rate, with no queue: a full queue loses whatever little is sent. It reports
// false when nothing was sent so. empty is the delay up to which there is none.
func (l *loss) learn(rate float64, empty, now int64) bool {
	n, lostN := 0, 0
	for i := range l.looks {
		k := &l.looks[i]
		if k.n > 0 && k.index > l.next-lookCount && k.rate < lower*rate && k.delay < empty {
			n += k.n
			lostN += k.lost
		}
	}
	if n < lowerMin {
		return false
	}
	l.base = min(float64(lostN)/float64(n), maxBase)
	l.baseAt = now
	return true
}
