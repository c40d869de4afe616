package loadtest

import (
	"math"
	"sync/atomic"
	"time"
)

// window is the stretch of the run that counts. A packet belongs to it by its
// stamp, so that sender and receivers agree on every packet.
type window struct {
	epoch      time.Time // the run's zero; monotonic
	start, end atomic.Int64
}

func newWindow() *window {
	w := &window{epoch: time.Now()}
	w.start.Store(math.MaxInt64)
	w.end.Store(math.MaxInt64)
	return w
}

// now is the run's clock.
func (w *window) now() time.Duration { return time.Since(w.epoch) }

// set opens the window at a moment to come.
func (w *window) set(start, length time.Duration) {
	w.end.Store(int64(start + length))
	w.start.Store(int64(start))
}

func (w *window) has(sent time.Duration) bool {
	return int64(sent) >= w.start.Load() && int64(sent) < w.end.Load()
}
