package waitingroom

import (
	"context"
	"sync"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// A doctor's presence is two things: what the doctor says (available, busy,
// away), which SQL keeps, and whether a page of the doctor is open, which Redis
// counts over all nodes. An open page counts until a time that its node pushes
// on; the pages of a dead node run out.

// PresenceStore keeps what doctors say of themselves.
type PresenceStore interface {
	// SetPresence reports whether it changed anything; only then events are written.
	SetPresence(ctx context.Context, sc consult.Scope, doctorID string, p consult.Presence, at time.Time, events []consult.Event) (bool, error)
	// Presence is Available since no time for a doctor who said nothing.
	Presence(ctx context.Context, sc consult.Scope, doctorID string) (consult.Presence, time.Time, error)
}

const (
	// presenceChanged is what is told on a queue's topic about its doctor.
	presenceChanged = "presence"
	// pageFor is how long a page counts as open without a word of its node,
	// which renews it at every sweep.
	pageFor = 30 * time.Second
	// pageLinger bridges a reload of the page.
	pageLinger = 5 * time.Second
)

// attendance is the pages of doctors open on this node.
type attendance struct {
	mu    sync.Mutex
	pages map[queue]map[string]struct{}
	// online is what was found of the watched queues at the last sweep.
	online map[queue]bool
}

func (a *attendance) add(q queue, id string) (first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pages == nil {
		a.pages = make(map[queue]map[string]struct{})
	}
	if a.pages[q] == nil {
		a.pages[q] = make(map[string]struct{})
		first = true
	}
	a.pages[q][id] = struct{}{}
	return first
}

func (a *attendance) remove(q queue, id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pages[q], id)
	if len(a.pages[q]) == 0 {
		delete(a.pages, q)
	}
}

// all are this node's pages by queue.
func (a *attendance) all() map[queue][]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[queue][]string, len(a.pages))
	for q, ids := range a.pages {
		for id := range ids {
			out[q] = append(out[q], id)
		}
	}
	return out
}

func (a *attendance) here(q queue) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.pages[q]) > 0
}

// found notes whether a doctor is online, and reports whether that is news.
func (a *attendance) found(q queue, online bool) (changed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.online == nil {
		a.online = make(map[queue]bool)
	}
	was, known := a.online[q]
	a.online[q] = online
	return known && was != online
}

func (a *attendance) keepOnly(watched []queue) {
	keep := make(map[queue]bool, len(watched))
	for _, q := range watched {
		keep[q] = true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for q := range a.online {
		if !keep[q] {
			delete(a.online, q)
		}
	}
}

// Attend notes that a page of the doctor, the desk or a room, is open on this
// node. leave notes that it is not any more; it may be called once.
func (s *Service) Attend(ctx context.Context, sc consult.Scope, doctorID string) (leave func()) {
	q, id := queue{sc, doctorID}, nonce()
	first := s.attendance.add(q, id)
	now := s.now()
	if _, err := s.live.pages(ctx, q, now, now.Add(pageFor), id); err != nil {
		s.log.Debug("open page not noted", "doctor", doctorID, "err", err) // the next sweep notes it
	}
	if first {
		s.announceQueue(ctx, q, presenceChanged)
	}
	return func() {
		s.attendance.remove(q, id)
		ctx, cancel := context.WithTimeout(context.Background(), redisTimeout)
		defer cancel()
		now := s.now()
		if _, err := s.live.pages(ctx, q, now, now.Add(pageLinger), id); err != nil {
			s.log.Debug("closed page not noted", "doctor", doctorID, "err", err) // it runs out by itself
		}
	}
}

// attend renews this node's pages, and tells the watchers of a doctor who has
// gone, or come, without a word: the node may have died.
func (s *Service) attend(ctx context.Context) {
	now := s.now()
	for q, ids := range s.attendance.all() {
		if _, err := s.live.pages(ctx, q, now, now.Add(pageFor), ids...); err != nil {
			s.log.Debug("open pages not renewed", "doctor", q.doctor, "err", err)
			break // Redis is away
		}
	}
	watched := s.watches.watched()
	s.attendance.keepOnly(watched)
	for _, q := range watched {
		if s.attendance.found(q, s.online(ctx, q)) {
			s.watches.signal(q, false)
		}
	}
}

// online asks Redis, or, without it, this node alone.
func (s *Service) online(ctx context.Context, q queue) bool {
	now := s.now()
	n, err := s.live.pages(ctx, q, now, now)
	if err != nil {
		return s.attendance.here(q)
	}
	return n > 0
}

// SetPresence is the doctor saying whether they can see patients.
func (s *Service) SetPresence(ctx context.Context, sc consult.Scope, actor consult.Actor, doctorID string, p consult.Presence) (consult.DoctorPresence, error) {
	if !consult.ValidExternalID(doctorID) {
		return consult.DoctorPresence{}, invalidField("doctor_id", idRule)
	}
	if !p.Valid() {
		return consult.DoctorPresence{}, invalidField("presence", "must be available, busy or away")
	}
	now := s.clock()
	c, cancel := context.WithTimeout(ctx, sqlTimeout)
	changed, err := s.store.SetPresence(c, sc, doctorID, p, now, []consult.Event{{
		ID: consult.NewID(consult.PrefixEvent), Type: EventPresence, Scope: sc, Actor: actor, DoctorID: doctorID, At: now,
		Data: eventData(map[string]any{"presence": p}),
	}})
	cancel()
	if err != nil {
		return consult.DoctorPresence{}, err
	}
	if changed {
		s.announceQueue(ctx, queue{sc, doctorID}, presenceChanged)
	}
	return s.Presence(ctx, sc, doctorID)
}

// Presence is what the doctor said last, and whether a page of theirs is open.
func (s *Service) Presence(ctx context.Context, sc consult.Scope, doctorID string) (consult.DoctorPresence, error) {
	c, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	p, at, err := s.store.Presence(c, sc, doctorID)
	if err != nil {
		return consult.DoctorPresence{}, err
	}
	return consult.DoctorPresence{
		DoctorID: doctorID, Presence: p, UpdatedAt: at, Online: s.online(ctx, queue{sc, doctorID}),
	}, nil
}
