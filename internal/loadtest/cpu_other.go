//go:build !linux

package loadtest

import "time"

// cpuClock is for Linux only.
func cpuClock(int) (time.Duration, bool) { return 0, false }
