package signaling

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/chatmed/chatmed/internal/consult"
)

// room is a consultation with someone connected, or within a grace period. Its
// loop runs one function at a time and owns every field below the line; the
// methods marked "any goroutine" only put something into the mailbox.
type room struct {
	srv   *Server
	id    string // the consultation's
	scope consult.Scope
	log   *slog.Logger
	box   *mailbox
	done  chan struct{} // closed when the loop has ended
	jobs  sync.WaitGroup

	// refs counts the sessions that hold the room; keyID is the API key that made
	// the consultation. Guarded by srv.mu.
	refs  int
	keyID string

	// Notices that are in the mailbox already, so that they do not pile up.
	refreshing, queueing, recording atomic.Bool

	// Owned by the loop.
	c *consult.Consultation // nil until it could be read
	// people are all who are in or wait, in the order they came.
	people []*participant
	// stale are participations that a run of the server before this one left
	// open, until their people are back or the grace is over.
	stale []consult.Participation
	// gone are participations whose end is still to be stored.
	gone     []leaving
	jobsOpen int
	opened   bool
	stopping bool
	closed   bool // nobody may come in any more
	empty    *timer
	stalest  *timer
	opening  *timer
	retrying *timer
	unlisten func()
	unwatch  func()
	// detach gives the recording of the consultation up.
	detach func()
	// watching is the doctor whose queue is watched.
	watching string
	unkey    func()
	// doctor and notes are what a waiting patient is shown of the doctor.
	doctor *doctorView
	notes  []noteView
	// absent ends the attendance of the doctor named attended; nil while no
	// doctor is connected.
	absent   func()
	attended string
}

// leaving is the end of a stay.
type leaving struct {
	p  consult.Participation
	at time.Time
}

func newRoom(s *Server, sc consult.Scope, id string) *room {
	return &room{
		srv: s, id: id, scope: sc, log: s.log.With("session_id", id),
		box: newMailbox(), done: make(chan struct{}),
	}
}

// post runs fn in the loop, some time. Any goroutine.
func (r *room) post(fn func()) { r.box.put(fn) }

// do runs fn in the loop and returns when it has run, or will never run because
// the room has ended. Any goroutine but the loop's.
func (r *room) do(fn func()) {
	ran := make(chan struct{})
	r.post(func() {
		defer close(ran)
		fn()
	})
	select {
	case <-ran:
	case <-r.done:
	}
}

// refreshSoon reads the consultation again. Any goroutine.
func (r *room) refreshSoon() {
	if r.refreshing.CompareAndSwap(false, true) {
		r.post(func() {
			r.refreshing.Store(false)
			r.refresh()
		})
	}
}

// queueSoon reads this session's place in the queue again. Any goroutine.
func (r *room) queueSoon() {
	if r.queueing.CompareAndSwap(false, true) {
		r.post(func() {
			r.queueing.Store(false)
			r.refreshQueue()
		})
	}
}

// run is the loop. It ends when nobody is or can come back, or on Shutdown.
func (r *room) run() {
	defer close(r.done)
	r.detach = r.srv.deps.Recordings.Attach(r.scope, r.id, r.recordingSoon)
	r.unlisten = r.srv.deps.Bus.Subscribe(consult.SessionTopic(r.id), func([]byte) { r.refreshSoon() })
	r.refresh()
	for {
		<-r.box.wake
		for _, fn := range r.box.take() {
			fn()
			r.attend()
		}
		if r.stopping || (r.idle() && r.srv.retire(r)) {
			break
		}
	}
	r.finish()
}

// idle reports whether there is nothing left to wait for.
func (r *room) idle() bool {
	return len(r.people) == 0 && len(r.gone) == 0 && r.jobsOpen == 0 &&
		r.empty == nil && r.stalest == nil
}

// finish releases everything the room holds.
func (r *room) finish() {
	r.closed = true
	r.unlisten()
	if r.unwatch != nil {
		r.unwatch()
	}
	if r.unkey != nil {
		r.unkey()
	}
	for _, t := range []*timer{r.empty, r.stalest, r.opening, r.retrying} {
		t.stop()
	}
	for _, p := range r.people {
		p.grace.stop()
		r.closeMedia(p)
		r.srv.unregister(p.id)
	}
	r.people = nil
	r.attend()
	r.jobs.Wait()
	r.detach()
	if r.stopping {
		r.srv.retire(r)
	}
}

// call returns a context for one call of a service.
func (r *room) call() (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.srv.ctx, callTimeout)
}

func (r *room) now() time.Time { return r.srv.deps.Clock.Now().UTC() }

// refresh reads the consultation and acts on what has changed: people who
// waited go in, revoked tokens are out, an ended one closes the room.
func (r *room) refresh() {
	ctx, cancel := r.call()
	c, err := r.srv.deps.Consultations.Get(ctx, r.scope, r.id)
	cancel()
	if err != nil {
		if r.stopping || r.srv.ctx.Err() != nil {
			return
		}
		r.log.Error("consultation not read", "err", err)
		if r.c != nil || len(r.people) > 0 {
			r.retry()
		}
		return
	}
	before := r.c
	r.c = c
	if !r.opened && !c.Status.Final() {
		r.open()
	}
	r.syncRecording()
	if c.Status.Final() {
		r.conclude()
		return
	}
	if before != nil && newSessionView(before) != newSessionView(c) {
		for _, p := range r.people {
			p.push(sessionMessage{Type: "session", Session: newSessionView(c)})
		}
	}
	r.expelBarred()
	r.followKey()
	r.followDoctor()
	for _, p := range r.everyone() {
		r.reconsider(p)
	}
	if r.readNotes() {
		r.refreshQueue()
	}
	r.settle()
}

// followDoctor watches the queue the patient waits in: another one, once they
// were handed on.
func (r *room) followDoctor() {
	if !r.opened || r.watching == r.c.DoctorID {
		return
	}
	if r.unwatch != nil {
		r.unwatch()
	}
	r.watching = r.c.DoctorID
	r.unwatch = r.srv.deps.Queue.Watch(r.scope, r.watching, r.queueSoon)
}

// open is the first look at a consultation that is not over: who was here
// before the server restarted, and what happens in the doctor's queue.
func (r *room) open() {
	ctx, cancel := r.call()
	defer cancel()
	all, err := r.srv.deps.Store.Participations(ctx, r.scope, r.id)
	if err != nil {
		r.log.Error("participations not read", "err", err)
		r.retry()
		return
	}
	r.opened = true
	for _, p := range all {
		if p.LeftAt == nil {
			r.stale = append(r.stale, p)
		}
	}
	if len(r.stale) > 0 {
		r.stalest = r.after(r.srv.cfg.ResumeGrace, func() {
			r.stalest = nil
			for _, p := range r.stale {
				r.gone = append(r.gone, leaving{p, r.now()})
			}
			r.stale = nil
			r.settle()
		})
	}
	r.srv.keyOf(r, r.c.KeyID)
	r.followDoctor()
}

// conclude tells everyone that the consultation is over and empties the room.
// The store has closed participations and tickets in the same transaction.
func (r *room) conclude() {
	note := r.srv.declineNote(r.srv.ctx, r.c)
	for _, p := range r.people {
		if p.conn != nil {
			m := endedMessage{Type: "ended", Reason: r.c.Reason}
			if p.role == consult.Patient {
				m.Note = note
			}
			p.conn.send(m)
			p.conn.close(websocket.CloseNormalClosure, "ended")
		}
		p.conn = nil
		p.grace.stop()
		r.closeMedia(p)
		r.srv.unregister(p.id)
	}
	r.people, r.stale, r.gone = nil, nil, nil
	for _, t := range []**timer{&r.empty, &r.stalest, &r.opening, &r.retrying} {
		(*t).stop()
		*t = nil
	}
}

// retry looks again soon, after something that should have worked did not.
func (r *room) retry() {
	if r.retrying == nil {
		r.retrying = r.after(retryAfter, func() {
			r.retrying = nil
			r.refresh()
			r.refreshQueue()
		})
	}
}

// everyone returns a copy of people, for loops that may remove some.
func (r *room) everyone() []*participant { return append([]*participant(nil), r.people...) }

// timer is a grace period of the room. Owned by the loop; nil is a stopped one.
type timer struct {
	off    bool
	cancel func()
}

// after runs fn in the loop after d, unless the timer has been stopped in it.
func (r *room) after(d time.Duration, fn func()) *timer {
	t := &timer{}
	t.cancel = r.srv.deps.Clock.AfterFunc(d, func() {
		r.post(func() {
			if !t.off {
				t.off = true
				fn()
			}
		})
	})
	return t
}

func (t *timer) stop() {
	if t != nil && !t.off {
		t.off = true
		t.cancel()
	}
}
