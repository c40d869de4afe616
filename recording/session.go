package recording

import (
	"context"
	"sync"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/gate"
)

// session is a consultation whose room is here.
type session struct {
	svc   *Service
	scope consult.Scope
	id    string
	// one holds a token while something is read or written for the session.
	// Nobody waits for it with mu held.
	one chan struct{}

	// mu guards everything below and is never held over I/O. The capture's Open
	// and Shut are called under it, so that what the gate says and what is
	// captured never part.
	mu      sync.Mutex
	changed func()
	c       *consult.Consultation // as last seen; nil before
	gate    gate.Gate
	people  map[string]Person
	// loaded says that what people said before is known; until then nobody has
	// granted.
	loaded   bool
	wordings []consult.Wording
	// last is each person's last stored decision.
	last map[gate.Person]consult.Consent
	// decided counts each person's decisions, so that a grant that took long to
	// store does not undo a later withdrawal.
	decided map[gate.Person]int
	// unsaved are decisions against recording that hold although the store did
	// not take them yet.
	unsaved []consult.Consent
	// due are the things that are tried again soon, so that each is once.
	due    map[string]bool
	live   *live  // nil: not started
	failed string // why the last recording ended by a fault; "" if not
	// attached says that the room is here. Without it the session is kept only
	// while something is unsaved, and nothing is recorded.
	attached bool
	// attachments counts the rooms, so that one that ends late does not take the
	// session from the next.
	attachments int
}

// live is a recording that was started. Guarded by the session's mu.
type live struct {
	rec     consult.Recording // as it was when it was begun here
	keeper  *keeper
	capture Capture
	open    bool
	ever    bool // has been open
	since   time.Time
	// recorded is how long it was open before since.
	recorded time.Duration
}

func newSession(s *Service, sc consult.Scope, id string) *session {
	return &session{
		svc: s, scope: sc, id: id, one: make(chan struct{}, 1), people: map[string]Person{},
		last: map[gate.Person]consult.Consent{}, decided: map[gate.Person]int{}, due: map[string]bool{},
	}
}

// exclusively runs fn, which does I/O, when nothing else of the session does.
func (s *session) exclusively(ctx context.Context, fn func() error) error {
	select {
	case s.one <- struct{}{}:
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
	defer func() { <-s.one }()
	return fn()
}

func (s *session) enabled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c != nil && s.c.EnableRecording && s.attached
}

// notify tells the room, without the lock.
func (s *session) notify() {
	s.mu.Lock()
	fn := s.changed
	s.mu.Unlock()
	if fn != nil {
		fn()
	}
}

func (s *session) update(c *consult.Consultation) {
	s.mu.Lock()
	s.updateLocked(c)
	s.settleLocked(consult.RecordingNoConsent)
	s.mu.Unlock()
	s.notify()
}

func (s *session) updateLocked(c *consult.Consultation) {
	own := *c
	s.c = &own
	s.gate.Enable(c.EnableRecording)
}

func (s *session) enter(c *consult.Consultation, p Person) {
	s.mu.Lock()
	s.updateLocked(c)
	s.people[p.ParticipantID] = p
	s.gate.Enter(p.ParticipantID, gate.Person{Role: p.Role, Subject: p.Subject})
	s.settleLocked(consult.RecordingNoConsent)
	s.mu.Unlock()
	s.notify()
}

func (s *session) leave(participantID string) {
	s.mu.Lock()
	_, here := s.people[participantID]
	if here {
		delete(s.people, participantID)
		s.gate.Leave(participantID)
		s.settleLocked(consult.RecordingNoConsent)
	}
	s.mu.Unlock()
	if here {
		s.notify()
	}
}

// settleLocked makes the capture what the gate says. why is the reason if it is
// shut by that.
func (s *session) settleLocked(why string) {
	l := s.live
	if l == nil || l.capture == nil {
		return
	}
	now := s.svc.now()
	switch {
	case s.gate.Open() && s.attached:
		ids := s.gate.Present()
		people := make([]Member, 0, len(ids))
		for _, id := range ids {
			p := s.people[id]
			people = append(people, Member{ParticipantID: id, Role: p.Role, Name: p.Name})
		}
		// Again too, for somebody may have come or gone. A refusal says that somebody's
		// media is there whom nobody announced, or not gone yet.
		if !l.capture.Open(people) {
			s.shutLocked(now)
			s.soonLocked("settle", func(context.Context) { s.settle() })
		} else if !l.open {
			l.open, l.ever, l.since = true, true, now
			s.svc.metrics.gate.WithLabelValues("open").Inc()
		}
	case l.open:
		l.capture.Shut(why)
		s.shutLocked(now)
	}
	l.keeper.progress(l.open, why)
}

// shutLocked notes that the gate is shut.
func (s *session) shutLocked(now time.Time) {
	if l := s.live; l.open {
		l.open = false
		l.recorded += now.Sub(l.since)
		s.svc.metrics.gate.WithLabelValues("shut").Inc()
	}
}

// soonLocked tries something again after a pause, once at a time.
func (s *session) soonLocked(what string, fn func(context.Context)) {
	if s.due[what] {
		return
	}
	s.due[what] = true
	s.svc.later(func(ctx context.Context) {
		s.mu.Lock()
		delete(s.due, what)
		s.mu.Unlock()
		fn(ctx)
	})
}

func (s *session) soon(what string, fn func(context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.soonLocked(what, fn)
}

// settle makes the capture what the gate says, again.
func (s *session) settle() {
	s.mu.Lock()
	s.settleLocked(consult.RecordingNoConsent)
	s.mu.Unlock()
	s.notify()
}

// halt ends what is being recorded, if anything is, and returns its keeper. The
// gate is shut when it returns.
func (s *session) halt(reason string, actor consult.Actor) *keeper {
	s.mu.Lock()
	k := s.haltLocked(reason)
	s.mu.Unlock()
	if k != nil {
		k.stop(reason, actor, s.svc.now())
		s.notify()
	}
	return k
}

func (s *session) haltLocked(reason string) *keeper {
	s.gate.Stop()
	s.settleLocked(reason)
	if s.live == nil {
		return nil
	}
	k := s.live.keeper
	s.live, s.failed = nil, ""
	return k
}

// fail notes that a recording ended by a fault; the call goes on.
func (s *session) fail(k *keeper, reason string) {
	s.mu.Lock()
	if s.live == nil || s.live.keeper != k {
		s.mu.Unlock()
		return
	}
	s.haltLocked(reason)
	s.failed = reason
	s.mu.Unlock()
	s.notify()
}

// abandon ends the capture because the room of that number is gone. The
// recording stays started.
func (s *session) abandon(attachment int) {
	s.mu.Lock()
	if s.attachments != attachment {
		s.mu.Unlock()
		return
	}
	s.attached = false
	s.settleLocked(consult.RecordingLost)
	l := s.live
	s.live, s.changed = nil, nil
	s.gate.Stop()
	for id := range s.people {
		delete(s.people, id)
		s.gate.Leave(id)
	}
	s.mu.Unlock()
	if l != nil {
		l.keeper.release()
	}
	s.saveSoon()
}
