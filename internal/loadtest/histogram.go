package loadtest

import (
	"math/bits"
	"time"
)

const (
	subBits  = 5 // 32 buckets an octave: 3% apart
	octaves  = 20
	nBuckets = octaves << subBits
	unit     = time.Microsecond
)

// histogram counts durations from 1 µs to 16 s in buckets of 3%. The zero value
// is empty. It belongs to one goroutine at a time.
type histogram struct {
	buckets [nBuckets]uint32
	count   uint64
	max     time.Duration
}

func (h *histogram) add(d time.Duration) {
	h.buckets[bucketOf(d)]++
	h.count++
	h.max = max(h.max, d)
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.count += o.count
	h.max = max(h.max, o.max)
}

// quantile is the duration that the share q of what was counted stays below or
// at: the middle of its bucket; 0 of nothing.
func (h *histogram) quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	want := uint64(q*float64(h.count) + 0.5)
	want = min(max(want, 1), h.count)
	var seen uint64
	for i, n := range h.buckets {
		if seen += uint64(n); seen >= want {
			return min(middleOf(i), h.max)
		}
	}
	return h.max
}

// bucketOf: values below 2^subBits units have a bucket each; above, an octave
// has 2^subBits.
func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0) / unit)
	if v < 1<<subBits {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return min((shift+1)<<subBits|int(v>>shift&(1<<subBits-1)), nBuckets-1)
}

func middleOf(i int) time.Duration {
	if i < 1<<subBits {
		return time.Duration(i)*unit + unit/2
	}
	shift := i>>subBits - 1
	low := uint64(1<<subBits|i&(1<<subBits-1)) << shift
	return time.Duration(low)*unit + time.Duration(uint64(1)<<shift)*unit/2
}
