package waitingroom

import (
	"sync/atomic"
	"testing"

	"github.com/chatmed/chatmed/internal/cluster/redistest"
)

func TestWatchHearsEveryNode(t *testing.T) {
	srv := redistest.Start(t)
	c := newClinic(t)
	a, b := c.node(srv.URL(), nil), c.node(srv.URL(), nil)
	seen := make(chan int, 100)
	unwatch := a.Watch(scope, "doc", func() {
		if list, err := a.List(a.ctx, scope, "doc"); err == nil {
			seen <- len(list)
		}
	})
	defer unwatch()
	receive(a, seen) // it is being watched
	p := b.patient("a")
	receiveUntil(a, seen, 1)
	b.must(b.Admit(b.ctx, scope, doctor, p.Ticket.ID))
	receiveUntil(a, seen, 0)
}

func TestWatchCoalesces(t *testing.T) {
	n := newClinic(t).node("", nil)
	var calls, running atomic.Int32
	entered, release := make(chan struct{}), make(chan struct{})
	defer n.Watch(scope, "doc", func() {
		if running.Add(1) > 1 {
			t.Error("two calls at once")
		}
		if calls.Add(1) == 1 {
			close(entered)
			<-release
		}
		running.Add(-1)
	})()
	var others atomic.Int32
	defer n.Watch(scope, "doc", func() { others.Add(1) })()
	defer n.Watch(scope, "someone", func() {})()
	receive(n, entered)
	heard := others.Load()
	n.patients(20)
	n.eventually("the quick watcher hears", func() bool { return others.Load() > heard })
	close(release)
	n.eventually("one call more", func() bool { return calls.Load() >= 2 })
	if got := calls.Load(); got > 10 {
		t.Errorf("%d calls for twenty changes during one", got)
	}
}

func TestUnwatchAndClose(t *testing.T) {
	n := newClinic(t).node("", nil)
	var after atomic.Bool
	called := make(chan struct{}, 100)
	var unwatch func()
	ready := make(chan struct{})
	unwatch = n.Watch(scope, "doc", func() {
		<-ready
		if after.Load() {
			t.Error("called after unwatch")
		}
		called <- struct{}{}
		unwatch() // from inside
		after.Store(true)
	})
	close(ready)
	receive(n, called)
	unwatch() // again
	n.patients(1)

	n.Watch(scope, "doc", func() {})
	n.Close() // waits for the goroutines; TestMain checks that none is left
	n.Watch(scope, "doc", func() { t.Error("called after close") })()
	n.patients(2)
	n.watches.mu.Lock()
	defer n.watches.mu.Unlock()
	if len(n.watches.queues) != 0 {
		t.Error("a queue is still watched")
	}
}

func TestReconnectTellsWatchers(t *testing.T) {
	srv := redistest.Start(t)
	n := newClinic(t).node(srv.URL(), nil)
	ids := n.patients(2)
	told := make(chan struct{}, 100)
	defer n.Watch(scope, "doc", func() { told <- struct{}{} })()
	receive(n, told)
	srv.Restart()
	receive(n, told) // the bus came back
	n.wantOrder(ids)
}
