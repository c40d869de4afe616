package congestion

import "math"

const (
	lossBins = 30 // 1.5 s
	lossMin  = 20 // packets that make a share
	// tolerated is what is never taken for congestion.
	tolerated = 0.02
	baseAge   = 20_000_000 // µs after which the base is found anew
	maxBase   = 0.5
)

// loss tells congestion from a link that loses whatever the rate: the loss that
// stays when less is sent is the base, and only what lies above it counts.
type loss struct {
	recent float64
	base   float64
	excess float64 // of recent above what the base and chance explain
	n      int

	from int64 // bins before are from before the last cut

	cutAt   int64   // when the rate was last cut for loss
	cutLoss float64 // what it was then
	low     float64 // least share since lowAt
	lowAt   int64
}

// update measures the bins up to that of the newest packet acknowledged, but for
// the last few, where reordering may look like loss.
func (l *loss) update(b *bins, newest, queue int64, link float64) {
	hi := newest/binLength - 2
	var lostN, n int
	lo := max(hi-lossBins+1, l.from, 0)
	for i := hi; i >= lo || n < lossMin && i >= max(hi-4*lossBins, l.from, 0); i-- {
		if x := b.at(i); x != nil {
			lostN += int(x.lostN)
			n += int(x.lostN) + int(x.ackedN)
		}
	}
	l.n = n
	l.excess = 0
	if n < lossMin {
		return
	}
	p := float64(lostN) / float64(n)
	l.recent = p
	if hi-lo >= lossBins-1 {
		l.follow(p, newest)
	}
	chance := 2 * math.Sqrt(max(l.base, 0.005)*(1-l.base)/float64(n))
	l.excess = max(p-l.base-max(tolerated, chance), 0)
}

// follow lets the base fall at once and rise to the least loss of late.
func (l *loss) follow(p float64, now int64) {
	l.base = min(l.base, p)
	if l.lowAt == 0 || now-l.lowAt > baseAge {
		if l.lowAt > 0 {
			l.base = min(max(l.base, l.low), maxBase)
		}
		l.lowAt, l.low = now, p
	}
	l.low = min(l.low, p)
}

// cut notes that the rate was cut for loss at t, with the packets up to sent out.
// A loss that has not fallen since the cut before is the link's own.
func (l *loss) cut(t int64) (own bool) {
	if l.cutAt > 0 && t-l.cutAt < 6_000_000 && l.recent > 0.7*l.cutLoss {
		l.base = min(max(l.base, min(l.recent, l.cutLoss)), maxBase)
		l.cutAt, l.excess = 0, 0
		return true
	}
	l.cutAt, l.cutLoss = t, l.recent
	return false
}

// restart measures only what is sent after t.
func (l *loss) restart(t int64) { l.from = t/binLength + 1 }
