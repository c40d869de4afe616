package cluster

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// subscription is one callback of a topic.
type subscription struct{ fn func([]byte) }

// topic queues one topic's messages for its callbacks.
type topic struct {
	queue  chan []byte
	quit   chan struct{} // closed by the last unsubscribe
	missed atomic.Bool   // a message found the queue full
	wake   chan struct{} // capacity 1: missed was set
	caught func()        // called after a missed message once the queue is empty

	mu   sync.Mutex      // taken after Bus.mu where both are held
	subs []*subscription // replaced, never changed, so that a copy is a snapshot
}

func newTopic(caught func()) *topic {
	return &topic{queue: make(chan []byte, topicQueue), quit: make(chan struct{}), wake: make(chan struct{}, 1), caught: caught}
}

func (t *topic) add(s *subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.subs = append(slices.Clone(t.subs), s)
}

// remove takes s out and returns how many are left.
func (t *topic) remove(s *subscription) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.subs = slices.DeleteFunc(slices.Clone(t.subs), func(o *subscription) bool { return o == s })
	return len(t.subs)
}

// offer queues a message. It reports false for the first one dropped since the
// queue last ran empty.
func (t *topic) offer(payload []byte) bool {
	select {
	case t.queue <- payload:
		return true
	default:
	}
	known := t.missed.Swap(true)
	select {
	case t.wake <- struct{}{}: // run may have emptied the queue meanwhile
	default:
	}
	return known
}

// run calls the callbacks until the last one is gone or ctx ends.
func (t *topic) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.quit:
			return
		case payload := <-t.queue:
			t.deliver(payload)
		case <-t.wake:
		}
		if len(t.queue) == 0 && t.missed.Swap(false) {
			t.caught()
		}
	}
}

func (t *topic) deliver(payload []byte) {
	t.mu.Lock()
	subs := t.subs
	t.mu.Unlock()
	for _, s := range subs {
		if t.has(s) { // not if a callback before it took it out
			s.fn(payload)
		}
	}
}

func (t *topic) has(s *subscription) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Contains(t.subs, s)
}
