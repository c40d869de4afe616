package waitingroom

import (
	"context"
	"encoding/json"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// change is one transition: it alters the rows it is given and reports whether
// it did. It may run more than once.
type change func(t *consult.Ticket, c *consult.Consultation, now time.Time) (bool, error)

// update lets the store decide a transition, then publishes what it stored.
// free is since when an admitted patient could have been, zero when unknown.
func (s *Service) update(ctx context.Context, sc consult.Scope, actor consult.Actor, id string, free time.Time, f change) (*consult.Ticket, error) {
	return s.updateBy(ctx, actor, free, f, func(ctx context.Context, f stored) (*consult.Ticket, *consult.Consultation, error) {
		return s.store.UpdateTicket(ctx, sc, id, f)
	})
}

// stored is a change as the store runs it.
type stored = func(*consult.Ticket, *consult.Consultation) ([]consult.Event, error)

// updateBy is update through one of the store's methods.
func (s *Service) updateBy(ctx context.Context, actor consult.Actor, free time.Time, f change,
	through func(context.Context, stored) (*consult.Ticket, *consult.Consultation, error),
) (*consult.Ticket, error) {
	var events []consult.Event
	c, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	t, _, err := through(c, func(t *consult.Ticket, c *consult.Consultation) ([]consult.Event, error) {
		now := s.clock()
		events = nil
		admitted, status, urgency := c.AdmittedAt, c.Status, t.Screening.Urgency
		changed, err := f(t, c, now)
		if err != nil || !changed {
			return nil, err
		}
		if admitted == nil && c.AdmittedAt != nil {
			events = append(events, consultationEvent(c, consult.EventConsultationAdmitted, actor, now))
		}
		if status != consult.Cancelled && c.Status == consult.Cancelled {
			events = append(events, consultationEvent(c, consult.EventConsultationCancelled, actor, now))
		}
		events = append(events, ticketEvent(t, actor, now))
		if urgency != t.Screening.Urgency && t.Screening.Urgency.Emergency() {
			events = append(events, emergencyEvent(t, actor, now))
		}
		return events, nil
	})
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return t, nil
	}
	pickup := time.Duration(-1)
	if !free.IsZero() && t.Status == consult.TicketAdmitted && t.AdmittedAt != nil {
		pickup = max(t.AdmittedAt.Sub(free), 0)
	}
	s.publish(ctx, t, "", pickup)
	s.announceSession(ctx, events)
	return t, nil
}

// clock is now as every database keeps it: UTC, microseconds.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// announceSession tells the nodes what happened to a consultation. SQL holds
// it, so a failure is only logged.
func (s *Service) announceSession(ctx context.Context, events []consult.Event) {
	ctx, cancel := s.busContext(ctx)
	defer cancel()
	for _, e := range events {
		b, err := json.Marshal(e)
		if err == nil {
			err = s.bus.Publish(ctx, consult.SessionTopic(e.SessionID), b)
		}
		if err != nil {
			s.log.Warn("event not announced", "event", e.ID, "type", e.Type, "err", err)
		}
	}
}

func ticketEvent(t *consult.Ticket, actor consult.Actor, at time.Time) consult.Event {
	return consult.Event{
		ID: consult.NewID(consult.PrefixEvent), Type: consult.TicketEvent(t.Status), Scope: t.Scope, Actor: actor,
		SessionID: t.SessionID, TicketID: t.ID, DoctorID: t.DoctorID, At: at,
		Data: eventData(map[string]any{"status": t.Status, "patient_id": t.PatientID, "joined_at": t.JoinedAt}),
	}
}

func consultationEvent(c *consult.Consultation, typ consult.EventType, actor consult.Actor, at time.Time) consult.Event {
	return consult.Event{
		ID: consult.NewID(consult.PrefixEvent), Type: typ, Scope: c.Scope, Actor: actor,
		SessionID: c.ID, DoctorID: c.DoctorID, At: at,
		Data: eventData(map[string]any{"status": c.Status, "reason": c.Reason, "patient_id": c.PatientID}),
	}
}

func eventData(m map[string]any) json.RawMessage {
	b, err := json.Marshal(m)
	if err != nil { // strings and times always marshal
		return nil
	}
	return b
}

// patientOf is the patient as the actor of what their page does.
func patientOf(t *consult.Ticket) consult.Actor {
	return consult.Actor{Kind: consult.ActorParticipant, ID: t.PatientID, Role: consult.Patient}
}

// Present notes that the patient's page is open: the doctor may be told.
func (s *Service) Present(ctx context.Context, sc consult.Scope, ticketID string) (*consult.QueuePlace, error) {
	return s.page(ctx, sc, ticketID, func(t *consult.Ticket, _ *consult.Consultation, now time.Time) (bool, error) {
		return present(t, now)
	})
}

// Away notes that the patient's page has dropped; the place is kept for the
// grace period. After admission it does nothing.
func (s *Service) Away(ctx context.Context, sc consult.Scope, ticketID string) (*consult.QueuePlace, error) {
	return s.page(ctx, sc, ticketID, func(t *consult.Ticket, _ *consult.Consultation, now time.Time) (bool, error) {
		return away(t, now)
	})
}

func (s *Service) page(ctx context.Context, sc consult.Scope, id string, f change) (*consult.QueuePlace, error) {
	t, err := s.ticket(ctx, sc, id)
	if err != nil {
		return nil, err
	}
	if t, err = s.update(ctx, sc, patientOf(t), id, time.Time{}, f); err != nil {
		return nil, err
	}
	return s.placeOf(ctx, t)
}

// Admit lets the patient into the consultation. Admitting an admitted ticket
// returns it unchanged.
func (s *Service) Admit(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID string) (*consult.QueuePlace, error) {
	t, err := s.ticket(ctx, sc, ticketID)
	if err != nil {
		return nil, err
	}
	if t, err = s.update(ctx, sc, actor, ticketID, s.freeSince(ctx, t), admit); err != nil {
		return nil, err
	}
	return s.placeOf(ctx, t)
}

// Leave gives up the place. The consultation stays waiting: joining again gives
// a new place at the end.
func (s *Service) Leave(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID string) (*consult.QueuePlace, error) {
	t, err := s.update(ctx, sc, actor, ticketID, time.Time{},
		func(t *consult.Ticket, _ *consult.Consultation, now time.Time) (bool, error) { return leave(t, now) })
	if err != nil {
		return nil, err
	}
	return s.placeOf(ctx, t)
}

// NotifiedDoctor notes that the doctor's page or webhook has been told of the
// ticket; its place then says so. It is forgotten with a flushed Redis, until
// the doctor is told again.
func (s *Service) NotifiedDoctor(ctx context.Context, sc consult.Scope, ticketID string) error {
	t, err := s.ticket(ctx, sc, ticketID)
	if err != nil || !t.Status.Open() {
		return err
	}
	if err := s.live.told(ctx, queueOf(t), ticketID); err != nil {
		s.log.Debug("notification not noted", "ticket", ticketID, "err", err)
	}
	return nil
}

// SessionClosed brings the queue up to date after a consultation was ended or
// cancelled by another part of the server. Watched queues notice by themselves.
func (s *Service) SessionClosed(ctx context.Context, sc consult.Scope, sessionID string) error {
	t, err := s.bySession(ctx, sc, sessionID)
	if consult.HasCode(err, consult.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	s.publish(ctx, t, "", -1)
	return nil
}

// ticket reads a ticket from SQL.
func (s *Service) ticket(ctx context.Context, sc consult.Scope, id string) (*consult.Ticket, error) {
	c, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	return s.store.Ticket(c, sc, id)
}

// bySession reads the newest ticket of a session from SQL.
func (s *Service) bySession(ctx context.Context, sc consult.Scope, sessionID string) (*consult.Ticket, error) {
	c, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	return s.store.TicketBySession(c, sc, sessionID)
}
