package signaling

import "sync"

// mailbox is the queue of a room's loop. It has no fixed bound and needs none:
// a session waits for each message it puts in, observers and the bus put in at
// most one notice until it has been taken, and jobs are bounded per participant.
type mailbox struct {
	// wake holds a token while something is in it.
	wake chan struct{}

	mu    sync.Mutex
	items []func()
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (b *mailbox) put(fn func()) {
	b.mu.Lock()
	b.items = append(b.items, fn)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns everything in it.
func (b *mailbox) take() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	items := b.items
	b.items = nil
	return items
}
