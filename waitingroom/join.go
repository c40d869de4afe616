package waitingroom

import (
	"context"
	"errors"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// Join gives the patient a place at the end of the doctor's queue. A patient
// with an open ticket for that doctor keeps ticket and place; newly given
// details replace the old, and a ticket of another session moves to the one
// asked for. For a session whose patient has been admitted, the admitted ticket
// is returned.
func (s *Service) Join(ctx context.Context, sc consult.Scope, actor consult.Actor, r JoinRequest) (*consult.QueuePlace, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	asked := r.SessionID != ""
	r.found = s.screen(ctx, r.Reason)
	// A double click must not find no consultation twice, and make two. Between
	// nodes that can still happen; the second one stays unused and expires.
	over, err := s.joins.wait(ctx, turn{queue{sc, r.DoctorID}, r.PatientID + " " + r.SessionID})
	if err != nil {
		return nil, err
	}
	defer over()
	for range attempts {
		c, err := s.consultation(ctx, sc, actor, &r)
		if err != nil {
			return nil, err
		}
		t, err := s.joinSession(ctx, sc, actor, &r, c, asked)
		if errors.Is(err, errAgain) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if r.found.late != nil {
			s.raiseLate(ctx, sc, actor, t.ID, r.found.late)
		} else {
			t = s.rescreen(ctx, actor, t)
		}
		return s.placeOf(ctx, t)
	}
	return nil, consult.Errorf(consult.ServiceUnavailable, "", "The waiting room is busy. Try again.")
}

// errAgain says that the ticket at hand closed under our eyes.
var errAgain = errors.New("ticket closed meanwhile")

// consultation finds the session to wait for, and completes r from it.
func (s *Service) consultation(ctx context.Context, sc consult.Scope, actor consult.Actor, r *JoinRequest) (*consult.Consultation, error) {
	ctx, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	if r.SessionID == "" {
		return s.consultations.FindOrCreate(ctx, sc, actor, consult.CreateRequest{
			DoctorID: r.DoctorID, PatientID: r.PatientID, PatientName: r.PatientName,
			Language: r.Language, Country: r.Country, KeyID: keyOf(actor),
		})
	}
	c, err := s.consultations.Get(ctx, sc, r.SessionID)
	if err != nil {
		return nil, err
	}
	if r.DoctorID == "" {
		r.DoctorID = c.DoctorID
	}
	if r.PatientID == "" {
		r.PatientID = c.PatientID
	}
	if r.DoctorID != c.DoctorID || r.PatientID != c.PatientID {
		return nil, &consult.Error{
			Code: consult.ValidationError, Message: "Request body failed schema validation.",
			Fields: []consult.FieldError{{Field: "session_id", Message: "is of another doctor or patient"}},
		}
	}
	return c, nil
}

func keyOf(a consult.Actor) string {
	if a.Kind == consult.ActorKey {
		return a.ID
	}
	return ""
}

func (s *Service) joinSession(ctx context.Context, sc consult.Scope, actor consult.Actor, r *JoinRequest, c *consult.Consultation, asked bool) (*consult.Ticket, error) {
	if c.Status.Final() {
		return nil, joinable(c, s.clock())
	}
	t, err := s.bySession(ctx, sc, c.ID)
	switch {
	case err == nil && t.Status == consult.TicketAdmitted:
		return t, nil
	case err == nil && t.Status.Open():
		return s.rejoin(ctx, sc, actor, r, t.ID)
	case err != nil && !consult.HasCode(err, consult.NotFound):
		return nil, err
	}
	if err := joinable(c, s.clock()); err != nil {
		return nil, err
	}
	t, created, err := s.create(ctx, actor, r, c)
	if err != nil {
		return nil, err
	}
	if created {
		return s.recheck(ctx, actor, t)
	}
	if asked && t.SessionID != c.ID {
		return s.move(ctx, actor, r, t, c)
	}
	if t, err = s.rejoin(ctx, sc, actor, r, t.ID); err != nil {
		return nil, err
	}
	return s.recheck(ctx, actor, t)
}

// rejoin is the patient of an open ticket asking again.
func (s *Service) rejoin(ctx context.Context, sc consult.Scope, actor consult.Actor, r *JoinRequest, id string) (*consult.Ticket, error) {
	return s.update(ctx, sc, actor, id, time.Time{}, func(t *consult.Ticket, _ *consult.Consultation, _ time.Time) (bool, error) {
		if !t.Status.Open() && t.Status != consult.TicketAdmitted {
			return false, errAgain
		}
		return rejoin(t, r)
	})
}

// move gives the patient of old, waiting for another session of the same
// doctor, the same place for session c. A ticket's session never changes in the
// store, so the old ticket is left and a new one takes over rank and times.
func (s *Service) move(ctx context.Context, actor consult.Actor, r *JoinRequest, old *consult.Ticket, c *consult.Consultation) (*consult.Ticket, error) {
	var was consult.Ticket
	_, err := s.update(ctx, old.Scope, actor, old.ID, time.Time{}, func(t *consult.Ticket, _ *consult.Consultation, now time.Time) (bool, error) {
		if !t.Status.Open() {
			return false, errAgain
		}
		was = *t
		return leave(t, now)
	})
	if err != nil {
		return nil, err
	}
	next := successor(&was, c.ID, s.clock())
	if _, err := rejoin(&next, r); err != nil {
		return nil, err
	}
	// The place is given up by now: finish even if the caller goes away.
	ctx = context.WithoutCancel(ctx)
	t, created, err := s.insert(ctx, actor, &next, was.Screening, "")
	if err != nil {
		return nil, err
	}
	if !created { // another page of the patient was faster, and got the end of the queue
		t, err = s.update(ctx, t.Scope, actor, t.ID, time.Time{}, func(t *consult.Ticket, _ *consult.Consultation, _ time.Time) (bool, error) {
			return takeOver(t, &next), nil
		})
		if err != nil {
			return nil, err
		}
	}
	return s.recheck(ctx, actor, t)
}

// create asks the store for a place at the end of the queue.
func (s *Service) create(ctx context.Context, actor consult.Actor, r *JoinRequest, c *consult.Consultation) (*consult.Ticket, bool, error) {
	q := queue{c.Scope, r.DoctorID}
	rank, epoch, err := s.enter(ctx, q)
	if err != nil {
		return nil, false, err
	}
	now := s.clock()
	t := &consult.Ticket{
		ID: consult.NewID(consult.PrefixTicket), Scope: c.Scope, SessionID: c.ID,
		DoctorID: r.DoctorID, PatientID: r.PatientID,
		PatientName: firstOf(r.PatientName, c.PatientName), Reason: r.Reason,
		Language: firstOf(r.Language, c.Language), Country: firstOf(r.Country, c.Country),
		Screening: r.found.found,
		Status:    consult.TicketQueued, Rank: rank, JoinedAt: now, UpdatedAt: now, Version: 1,
	}
	return s.insert(ctx, actor, t, consult.Screening{}, epoch)
}

// insert stores a new ticket and publishes it, or returns the open one there is.
// was is what the ticket that it follows was found to be.
func (s *Service) insert(ctx context.Context, actor consult.Actor, t *consult.Ticket, was consult.Screening, epoch string) (*consult.Ticket, bool, error) {
	sql, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	events := []consult.Event{ticketEvent(t, actor, t.UpdatedAt)}
	if was.Urgency != t.Screening.Urgency && t.Screening.Urgency.Emergency() {
		events = append(events, emergencyEvent(t, actor, t.UpdatedAt))
	}
	got, created, err := s.store.CreateTicket(sql, t, events)
	if err != nil {
		return nil, false, err
	}
	if created {
		s.publish(ctx, got, epoch, -1)
	}
	return got, created, nil
}

// enter takes an arrival number: from Redis, which orders all nodes, or from
// SQL and this node's clock where Redis does not answer. Then two nodes may
// give one number to two arrivals; the ids, sorted by time, tell them apart.
func (s *Service) enter(ctx context.Context, q queue) (rank int64, epoch string, err error) {
	err = s.read(ctx, q, func() (err error) {
		rank, epoch, err = s.live.enter(ctx, q, s.now())
		return err
	})
	if !errors.Is(err, errDown) {
		return rank, epoch, err
	}
	open, err := s.openTickets(ctx, q)
	if err != nil {
		return 0, "", err
	}
	return s.ranks.next(q, s.now(), open), "", nil
}

// recheck reads the consultation once more after a ticket was made for it or
// moved to it. If it was closed before, nobody closed the new ticket; if its
// patient was admitted by an earlier ticket, this one is admitted too.
func (s *Service) recheck(ctx context.Context, actor consult.Actor, t *consult.Ticket) (*consult.Ticket, error) {
	q, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	c, err := s.consultations.Get(q, t.Scope, t.SessionID)
	if err != nil {
		return nil, err
	}
	if c.Status == consult.Waiting && c.AdmittedAt == nil {
		return t, nil
	}
	if t, err = s.update(ctx, t.Scope, actor, t.ID, time.Time{}, settle); err != nil {
		return nil, err
	}
	if c.Status.Final() {
		return nil, joinable(c, s.clock())
	}
	return t, nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
