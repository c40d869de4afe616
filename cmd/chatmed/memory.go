package main

import (
	"os"
	"runtime/debug"
)

// garbagePercent bounds the garbage between two collections, in percent of what
// lives. Go's own 100 trades memory for time; forwarding media makes no garbage,
// so half of it costs hardly any time. GOGC overrides it.
const garbagePercent = 50

// tuneMemory is called first, and settleMemory when everything is built, which
// leaves more garbage behind than any minute of running.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}

func settleMemory() { debug.FreeOSMemory() }
