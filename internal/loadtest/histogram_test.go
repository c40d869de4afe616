package loadtest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesAreWithinABucket(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var h, a, b histogram
	var all []time.Duration
	for i := range 20000 {
		d := time.Duration(math.Exp(r.Float64()*16) * float64(time.Microsecond))
		all = append(all, d)
		h.add(d)
		if i%3 == 0 {
			a.add(d)
		} else {
			b.add(d)
		}
	}
	a.merge(&b)
	if a != h {
		t.Error("two halves merged are not the whole")
	}
	slices.Sort(all)
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		if got := h.quantile(q); math.Abs(float64(got-want)) > 0.04*float64(want)+float64(2*unit) {
			t.Errorf("quantile %v: %v, want about %v", q, got, want)
		}
	}
	if h.max != all[len(all)-1] || h.count != 20000 {
		t.Errorf("max %v of %d", h.max, h.count)
	}
}

func TestHistogramEdges(t *testing.T) {
	var h histogram
	if h.quantile(0.5) != 0 || h.spread() != (Spread{}) {
		t.Error("the empty one knows something")
	}
	for _, d := range []time.Duration{-time.Second, 0, unit, time.Hour} {
		h.add(d)
	}
	if h.count != 4 || h.max != time.Hour || h.quantile(0) > unit {
		t.Errorf("%d, %v, %v", h.count, h.max, h.quantile(0))
	}
	for i := 1; i < nBuckets; i++ { // the middle of each bucket lies in it
		if got := bucketOf(middleOf(i)); got != i {
			t.Fatalf("the middle of bucket %d is in %d", i, got)
		}
	}
}

func TestSpreadOfFew(t *testing.T) {
	s := spreadOf([]time.Duration{3 * time.Millisecond, time.Millisecond, 2 * time.Millisecond})
	if s != (Spread{Count: 3, P50: 2, P95: 3, P99: 3, Max: 3}) {
		t.Errorf("%+v", s)
	}
}
