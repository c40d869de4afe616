package signaling

import "sync"

// outgoing is one encoded message. A message with a key is a whole state
// (participants, slots, a place in the queue): a newer one replaces it while it
// has not been written.
type outgoing struct {
	key  string
	typ  string
	data []byte
}

// outbox is a bounded queue between everyone who tells a client something and
// the one goroutine that writes to its socket. Pushing never blocks.
type outbox struct {
	maxItems, maxBytes int
	// wake holds a token while there is something for the writer to do.
	wake chan struct{}

	mu      sync.Mutex
	items   []outgoing
	bytes   int
	closing bool
	code    int
	text    string
}

func newOutbox(maxItems, maxBytes int) *outbox {
	return &outbox{maxItems: maxItems, maxBytes: maxBytes, wake: make(chan struct{}, 1)}
}

// push queues m. It reports false when m does not fit, which means that the
// client reads too slowly. After close it drops m silently.
func (o *outbox) push(m outgoing) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing {
		return true
	}
	if m.key != "" {
		o.supersedeLocked(m.key)
	}
	if len(o.items) >= o.maxItems || o.bytes+len(m.data) > o.maxBytes {
		return false
	}
	o.items = append(o.items, m)
	o.bytes += len(m.data)
	o.signal()
	return true
}

func (o *outbox) supersedeLocked(key string) {
	for i := range o.items {
		if o.items[i].key == key {
			o.bytes -= len(o.items[i].data)
			o.items = append(o.items[:i], o.items[i+1:]...)
			return
		}
	}
}

// pop returns the oldest message.
func (o *outbox) pop() (outgoing, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.items) == 0 {
		return outgoing{}, false
	}
	m := o.items[0]
	o.items[0] = outgoing{}
	o.items = o.items[1:]
	o.bytes -= len(m.data)
	return m, true
}

// close ends the queue: what is in it is still written (or dropped), then the
// close frame. The first call decides; it reports whether this was the first.
func (o *outbox) close(code int, text string, drop bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing {
		return false
	}
	o.closing, o.code, o.text = true, code, text
	if drop {
		o.items, o.bytes = nil, 0
	}
	o.signal()
	return true
}

// closed reports whether and how the connection is to be closed.
func (o *outbox) closed() (code int, text string, closing bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.code, o.text, o.closing
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
