package waitingroom

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// Watch calls fn after every change of the doctor's queue, one call at a time.
// Changes during a call lead to one more call: fn reads the queue itself. It is
// also called once the queue is being watched, and when the bus comes back,
// because messages may have been missed.
// After unwatch returns no further call begins; one under way may still run.
func (s *Service) Watch(sc consult.Scope, doctorID string, fn func()) (unwatch func()) {
	return s.watches.add(queue{sc, doctorID}, fn)
}

// watches shares one bus subscription per queue among its watchers.
//
// Each watched queue has one goroutine (pump) and each watcher one more; both
// end when nobody watches, and close waits for them all.
type watches struct {
	bus   consult.Bus
	doubt func(context.Context, queue)
	wg    sync.WaitGroup

	mu          sync.Mutex
	closed      bool
	queues      map[queue]*watched
	unreconnect func()
}

type watched struct {
	changed chan struct{} // capacity 1: a change is pending
	stop    chan struct{}

	mu        sync.Mutex
	doubted   bool // the pending change was not made by a waiting room
	listeners map[*listener]struct{}
}

type listener struct {
	changed chan struct{} // capacity 1
	stop    chan struct{}
	once    sync.Once
}

func newWatches(bus consult.Bus, doubt func(context.Context, queue)) *watches {
	w := &watches{bus: bus, doubt: doubt, queues: make(map[queue]*watched)}
	w.unreconnect = bus.OnReconnect(w.reconnected)
	return w
}

func (w *watches) add(q queue, fn func()) (remove func()) {
	l := &listener{changed: make(chan struct{}, 1), stop: make(chan struct{})}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return func() {}
	}
	cur, ok := w.queues[q]
	if ok {
		l.changed <- struct{}{} // as the first watcher hears when the pump has subscribed
	} else {
		cur = &watched{changed: make(chan struct{}, 1), stop: make(chan struct{}), listeners: make(map[*listener]struct{})}
		w.queues[q] = cur
	}
	cur.mu.Lock()
	cur.listeners[l] = struct{}{} // before the pump runs, which speaks at once
	cur.mu.Unlock()
	if !ok {
		w.wg.Add(1)
		go w.pump(q, cur)
	}
	w.wg.Add(1)
	w.mu.Unlock()
	go func() {
		defer w.wg.Done()
		l.run(fn)
	}()
	return func() { w.remove(q, cur, l) }
}

func (w *watches) remove(q queue, cur *watched, l *listener) {
	l.once.Do(func() { close(l.stop) })
	w.mu.Lock()
	defer w.mu.Unlock()
	cur.mu.Lock()
	delete(cur.listeners, l)
	empty := len(cur.listeners) == 0
	cur.mu.Unlock()
	if empty && w.queues[q] == cur {
		delete(w.queues, q)
		close(cur.stop)
	}
}

// pump subscribes for one queue and hands its changes on until nobody watches.
func (w *watches) pump(q queue, cur *watched) {
	defer w.wg.Done()
	// Our own messages carry a ticket's id, or tell of the doctor. Any other tells of a consultation
	// that closed its tickets in SQL alone, so the live queue must be compared.
	unsub := w.bus.Subscribe(q.topic(), func(payload []byte) {
		p := string(payload)
		cur.mark(p != presenceChanged && !strings.HasPrefix(p, consult.PrefixTicket+"_"))
	})
	defer unsub()
	// What changed between the watch and the subscription is told now.
	cur.mark(false)
	for {
		select {
		case <-cur.stop:
			return
		case <-cur.changed:
		}
		if cur.takeDoubted() {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			w.doubt(ctx, q)
			cancel()
		}
		for _, l := range cur.all() {
			select {
			case l.changed <- struct{}{}:
			default: // one is pending already
			}
		}
	}
}

func (c *watched) mark(doubted bool) {
	c.mu.Lock()
	c.doubted = c.doubted || doubted
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default: // one is pending already
	}
}

func (c *watched) takeDoubted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.doubted
	c.doubted = false
	return was
}

func (c *watched) all() []*listener {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]*listener, 0, len(c.listeners))
	for l := range c.listeners {
		out = append(out, l)
	}
	return out
}

func (l *listener) run(fn func()) {
	for {
		select {
		case <-l.stop:
			return
		case <-l.changed:
		}
		select {
		case <-l.stop: // both were ready
			return
		default:
			fn()
		}
	}
}

// signal tells the watchers of q on this node.
func (w *watches) signal(q queue, doubted bool) {
	w.mu.Lock()
	cur, ok := w.queues[q]
	w.mu.Unlock()
	if ok {
		cur.mark(doubted)
	}
}

// watched are the queues somebody watches on this node.
func (w *watches) watched() []queue {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]queue, 0, len(w.queues))
	for q := range w.queues {
		all = append(all, q)
	}
	return all
}

// reconnected doubts every watched queue: changes may have gone unheard.
func (w *watches) reconnected() {
	w.mu.Lock()
	all := make([]*watched, 0, len(w.queues))
	for _, cur := range w.queues {
		all = append(all, cur)
	}
	w.mu.Unlock()
	for _, cur := range all {
		cur.mark(true)
	}
}

func (w *watches) close() {
	w.unreconnect()
	w.mu.Lock()
	w.closed = true
	for q, cur := range w.queues {
		delete(w.queues, q)
		close(cur.stop)
		for _, l := range cur.all() {
			l.once.Do(func() { close(l.stop) })
		}
	}
	w.mu.Unlock()
	w.wg.Wait()
}
