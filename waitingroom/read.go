package waitingroom

import (
	"context"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// Get returns a ticket with its place and estimate; a closed one has neither.
func (s *Service) Get(ctx context.Context, sc consult.Scope, ticketID string) (*consult.QueuePlace, error) {
	t, err := s.ticket(ctx, sc, ticketID)
	if err != nil {
		return nil, err
	}
	return s.placeOf(ctx, t)
}

// ForSession returns the newest ticket of a session, open or not.
func (s *Service) ForSession(ctx context.Context, sc consult.Scope, sessionID string) (*consult.QueuePlace, error) {
	t, err := s.bySession(ctx, sc, sessionID)
	if err != nil {
		return nil, err
	}
	return s.placeOf(ctx, t)
}

// List returns the doctor's open tickets in order of arrival.
func (s *Service) List(ctx context.Context, sc consult.Scope, doctorID string) ([]consult.QueuePlace, error) {
	q := queue{sc, doctorID}
	snap, err := s.list(ctx, q)
	if err != nil {
		return nil, err
	}
	estimates := s.estimates(ctx, q, snap.history, len(snap.tickets))
	out := make([]consult.QueuePlace, len(snap.tickets))
	for i, t := range snap.tickets {
		out[i] = consult.QueuePlace{Ticket: t, Position: i + 1, Estimate: estimates[i], DoctorNotified: snap.told[i]}
	}
	return out, nil
}

// Count returns how many patients wait for the doctor.
func (s *Service) Count(ctx context.Context, sc consult.Scope, doctorID string) (int, error) {
	at, err := s.place(ctx, &consult.Ticket{Scope: sc, DoctorID: doctorID})
	if err != nil {
		return 0, err
	}
	return at.length, nil
}

// placeOf finds the place of a ticket just read from SQL. Where the queue says
// that an open ticket is not in it, the ticket has closed since it was read.
func (s *Service) placeOf(ctx context.Context, t *consult.Ticket) (*consult.QueuePlace, error) {
	for range attempts {
		if !t.Status.Open() {
			return &consult.QueuePlace{Ticket: *t}, nil
		}
		at, err := s.place(ctx, t)
		if err != nil {
			return nil, err
		}
		if at.position > 0 {
			e := s.estimates(ctx, queueOf(t), at.history, at.position)
			return &consult.QueuePlace{
				Ticket: *t, Position: at.position, Estimate: e[at.position-1], DoctorNotified: at.told,
			}, nil
		}
		again, err := s.ticket(ctx, t.Scope, t.ID)
		if err != nil {
			return nil, err
		}
		if again.Version == t.Version {
			s.doubt(ctx, queueOf(t)) // the live queue is wrong
		}
		t = again
	}
	return nil, consult.Errorf(consult.ServiceUnavailable, "", "The waiting room is busy. Try again.")
}

// forecastFor is how long an outlook is reused: what it counts is minutes.
const forecastFor = 10 * time.Second

// forecastsKept bounds the memory of forecasts, in queues.
const forecastsKept = 1000

// forecasts remembers the estimates of each queue for a short while: a change
// of the queue makes every patient's page ask.
type forecasts struct {
	mu   sync.Mutex
	made map[queue]*madeForecast
}

type madeForecast struct {
	at        time.Time
	history   history
	estimates []consult.Estimate
}

func newForecasts() *forecasts { return &forecasts{made: make(map[queue]*madeForecast)} }

func (f *forecasts) find(q queue, h history, places int, now time.Time) ([]consult.Estimate, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.made[q]
	if !ok || now.Sub(m.at) >= forecastFor || m.at.After(now) || len(m.estimates) < places ||
		m.history.last != h.last || !slices.Equal(m.history.pickups, h.pickups) {
		return nil, false
	}
	return m.estimates, true
}

func (f *forecasts) keep(q queue, m *madeForecast) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.made) >= forecastsKept {
		f.made = make(map[queue]*madeForecast)
	}
	f.made[q] = m
}

// estimates returns at least places estimates, all unknown where the past can't
// be read: waiting goes on without.
func (s *Service) estimates(ctx context.Context, q queue, h history, places int) []consult.Estimate {
	now := s.now()
	if e, ok := s.forecasts.find(q, h, places, now); ok {
		return e
	}
	c, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	lengths, err := s.store.ConsultationLengths(c, q.scope, q.doctor, samplesWanted)
	if err != nil {
		s.log.Warn("no wait estimate", "doctor", q.doctor, "err", err)
		return make([]consult.Estimate, places)
	}
	in := outlook{lengths: lengths, pickups: h.pickups}
	if a := s.activity(c, q, h.last, now); a.busy {
		in.busy, in.running = true, a.running
	}
	seed := fnv.New64a()
	_, _ = seed.Write([]byte(q.topic())) // never fails; one seed per queue keeps estimates steady
	// Rounded up, so that a growing queue does not draw anew for each arrival.
	e := forecast(in, (places+9)/10*10, seed.Sum64())
	s.forecasts.keep(q, &madeForecast{at: now, history: h, estimates: e})
	return e
}

// activity is what a doctor is doing.
type activity struct {
	busy    bool
	running time.Duration // of the consultation, while busy
	// freeSince is when the last consultation ended; zero when unknown.
	freeSince time.Time
}

// startWithin is how long an admitted patient is expected to take to connect.
const startWithin = 5 * time.Minute

// activity looks at the session the doctor admitted last. One that was sent back
// and went on to another doctor says nothing of this one.
func (s *Service) activity(ctx context.Context, q queue, last string, now time.Time) activity {
	if last == "" {
		return activity{}
	}
	c, err := s.consultations.Get(ctx, q.scope, last)
	if err != nil || c.DoctorID != q.doctor {
		return activity{}
	}
	switch {
	case c.Status == consult.Active && c.StartedAt != nil:
		return activity{busy: true, running: max(now.Sub(*c.StartedAt), 0)}
	case c.Status == consult.Waiting && c.AdmittedAt != nil && now.Sub(*c.AdmittedAt) < startWithin:
		return activity{busy: true}
	case c.Status.Final() && c.EndedAt != nil:
		return activity{freeSince: *c.EndedAt}
	}
	return activity{}
}

// freeSince is since when the patient waits for nothing but the doctor's
// admission: both the doctor free and the patient there. Zero when unknown.
func (s *Service) freeSince(ctx context.Context, t *consult.Ticket) time.Time {
	if t.Status != consult.TicketReady || t.ReadyAt == nil {
		return time.Time{}
	}
	at, err := s.place(ctx, t)
	if err != nil || at.shifted {
		return time.Time{}
	}
	c, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	a := s.activity(c, queueOf(t), at.last, s.now())
	if a.freeSince.IsZero() {
		return time.Time{}
	}
	if a.freeSince.After(*t.ReadyAt) {
		return a.freeSince
	}
	return *t.ReadyAt
}
