package loadtest

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// cpuClock reads the CPU time of a process, of all its threads living and dead,
// to the nanosecond. /proc counts in hundredths of a second, which is too
// coarse for a small room.
func cpuClock(pid int) (time.Duration, bool) {
	const processScheduler = 2 // CPUCLOCK_SCHED of the kernel's posix-timers.h
	if pid <= 0 || pid > math.MaxInt32>>3 {
		return 0, false
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(^int32(pid)<<3|processScheduler, &ts); err != nil {
		return 0, false
	}
	return time.Duration(ts.Nano()), true
}
