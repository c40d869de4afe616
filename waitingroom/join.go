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
			Language: r.Language, KeyID: keyOf(actor),
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
	q, cancel := context.WithTimeout(ctx, sqlTimeout)
	t, err := s.store.TicketBySession(q, sc, c.ID)
	cancel()
	switch {
	case err == nil && t.Status == consult.TicketAdmitted:
		return t, nil
	case err == nil && t.Status.Open():
		return s.rejoin(ctx, sc, actor, r, t.ID, c.ID)
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
	if !created {
		to := "" // without a session asked for, the ticket stays in its own
		if asked {
			to = c.ID
		}
		if t, err = s.rejoin(ctx, sc, actor, r, t.ID, to); err != nil {
			return nil, err
		}
		if t.SessionID != c.ID {
			return t, nil
		}
	}
	return s.recheck(ctx, actor, t)
}

// rejoin is the patient of an open ticket asking again, for session to ("": any).
func (s *Service) rejoin(ctx context.Context, sc consult.Scope, actor consult.Actor, r *JoinRequest, id, to string) (*consult.Ticket, error) {
	t, err := s.update(ctx, sc, actor, id, time.Time{}, func(t *consult.Ticket, c *consult.Consultation, now time.Time) (bool, error) {
		if !t.Status.Open() && t.Status != consult.TicketAdmitted {
			return false, errAgain
		}
		return rejoin(t, r, to)
	})
	if err == nil && to != "" && t.SessionID != to {
		return nil, errAgain // admitted in its old session meanwhile
	}
	return t, err
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
		Language: firstOf(r.Language, c.Language),
		Status:   consult.TicketQueued, Rank: rank, JoinedAt: now, UpdatedAt: now, Version: 1,
	}
	sql, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	got, created, err := s.store.CreateTicket(sql, t, []consult.Event{ticketEvent(t, actor, now)})
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
