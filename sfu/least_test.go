package sfu

import (
	"testing"
	"time"

	"github.com/chatmed/chatmed/sfu/congestion"
)

// The least is shown while nothing speaks against it, and after it was too much
// not again for a time that doubles.
func TestLeast(t *testing.T) {
	var l least
	at := time.Unix(0, 0)
	calm, queue, full := congestion.Estimate{}, congestion.Estimate{Queue: calmQueue}, congestion.Estimate{Queue: fullQueue}
	for i, step := range []struct {
		after  time.Duration
		target int
		e      congestion.Estimate
		want   int
	}{
		{0, 100, calm, 200},
		{0, 300, calm, 300},
		{time.Second, 100, calm, 200},
		{time.Second, 100, queue, 100}, // too much: 10 s
		{9 * time.Second, 100, calm, 100},
		{time.Second, 100, calm, 200},
		{time.Second, 100, queue, 100}, // 20 s
		{19 * time.Second, 100, calm, 100},
		{time.Second, 100, calm, 200},
		{time.Second, 100, full, 100}, // 40 s, above the 30 that a full queue is believed
		{39 * time.Second, 100, calm, 100},
		{time.Second, 100, calm, 200},
		{time.Second, 100, congestion.Estimate{Silent: true}, 100},
		{time.Second, 100, congestion.Estimate{Loss: 1}, 100},
	} {
		at = at.Add(step.after)
		if got := l.lift(step.target, 200, &step.e, at); got != step.want {
			t.Errorf("step %d: %d, want %d", i, got, step.want)
		}
	}
}
