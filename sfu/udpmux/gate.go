package udpmux

import (
	"sync"
	"sync/atomic"
)

const gateClosed = int64(1) << 62

// gate counts who is inside, so that a descriptor is closed only after the last
// system call on it has returned.
type gate struct {
	state   atomic.Int64
	once    sync.Once
	drained chan struct{}
}

func newGate() *gate { return &gate{drained: make(chan struct{})} }

// enter reports false once the gate is closed; otherwise leave must follow.
func (g *gate) enter() bool {
	if g.state.Add(1) < gateClosed {
		return true
	}
	g.leave()
	return false
}

func (g *gate) leave() {
	if g.state.Add(-1) == gateClosed {
		g.once.Do(func() { close(g.drained) })
	}
}

// close lets nobody in any more and waits until all have left. It is called
// once.
func (g *gate) close() {
	if g.state.Add(gateClosed) == gateClosed {
		return
	}
	<-g.drained
}
