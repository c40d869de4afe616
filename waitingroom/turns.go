package waitingroom

import (
	"context"
	"sync"
)

// turns lets one caller at a time through per key, on this node.
type turns struct {
	mu   sync.Mutex
	busy map[turn]chan struct{} // closed when the turn is over
}

// turn is one patient joining one queue.
type turn struct {
	queue   queue
	patient string
}

// wait returns when it is the caller's turn; over ends it.
func (t *turns) wait(ctx context.Context, k turn) (over func(), err error) {
	for {
		t.mu.Lock()
		other, busy := t.busy[k]
		if !busy {
			mine := make(chan struct{})
			if t.busy == nil {
				t.busy = make(map[turn]chan struct{})
			}
			t.busy[k] = mine
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				delete(t.busy, k)
				t.mu.Unlock()
				close(mine)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
