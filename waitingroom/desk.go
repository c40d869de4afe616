package waitingroom

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/chatmed/chatmed/internal/consult"
)

// What a doctor does with the queue. Messages and reasons are for the patient's
// eyes: they stand in no event and no log.

// Bounds of what a doctor writes to a waiting patient, in characters.
const (
	MaxMessage = 1000
	MaxDecline = 500
	// messagesShown is how many messages a patient's page is given.
	messagesShown = 20
)

// Events of the doctor's side beside the tickets' states.
const (
	EventMoved    consult.EventType = "waiting_room.moved"
	EventSentBack consult.EventType = "waiting_room.sent_back"
	EventMessage  consult.EventType = "waiting_room.message"
	EventPresence consult.EventType = "doctor.presence"
)

// DeskStore keeps what a doctor does with the queue, under the rules of Store.
type DeskStore interface {
	// ArrangeTicket locks the ticket and its consultation, calls change, which
	// also gets the doctor's other open tickets in order and may alter their
	// Rank, and stores everything with the events. No event: nothing.
	ArrangeTicket(ctx context.Context, sc consult.Scope, id string,
		change func(t *consult.Ticket, c *consult.Consultation, others []consult.Ticket) ([]consult.Event, error),
	) (t *consult.Ticket, moved []consult.Ticket, err error)
	// TransferTicket stores the closed ticket, its consultation and the ticket
	// that change returns in its stead, and revokes the tokens of the doctor
	// until now. A patient who waits for the new doctor already is a Conflict.
	TransferTicket(ctx context.Context, sc consult.Scope, id string,
		change func(*consult.Ticket, *consult.Consultation) (*consult.Ticket, []consult.Event, error),
	) (old, next *consult.Ticket, c *consult.Consultation, err error)
	// DeclineTicket is UpdateTicket that also stores the reason for the patient.
	DeclineTicket(ctx context.Context, sc consult.Scope, id, text string,
		change func(*consult.Ticket, *consult.Consultation) ([]consult.Event, error),
	) (*consult.Ticket, *consult.Consultation, error)
	// MessageTickets stores text for those of the doctor's tickets that are
	// open (no ids: for all), and returns them.
	MessageTickets(ctx context.Context, sc consult.Scope, doctorID string, ids []string, text string, at time.Time,
		event func(*consult.Ticket) consult.Event) ([]consult.Ticket, error)
	// WaitingMessages are the newest of a session, oldest first.
	WaitingMessages(ctx context.Context, sc consult.Scope, sessionID string, limit int) ([]consult.ChatMessage, error)
	DeclineReason(ctx context.Context, sc consult.Scope, sessionID string) (string, error)
	// AdmittedTickets are the doctor's, admitted and not begun.
	AdmittedTickets(ctx context.Context, sc consult.Scope, doctorID string) ([]consult.Ticket, error)
}

// Message tells the patient of an open ticket something: 1 to MaxMessage
// characters.
func (s *Service) Message(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID, text string) (*consult.QueuePlace, error) {
	text, err := cleanText("text", text, 1, MaxMessage)
	if err != nil {
		return nil, err
	}
	t, err := s.ticket(ctx, sc, ticketID)
	if err != nil {
		return nil, err
	}
	told, err := s.message(ctx, sc, actor, t.DoctorID, []string{t.ID}, text)
	if err != nil {
		return nil, err
	}
	if told == 0 {
		if t, err = s.ticket(ctx, sc, ticketID); err != nil {
			return nil, err
		}
		return nil, closedError(t.Status)
	}
	return s.placeOf(ctx, t)
}

// MessageAll tells everyone who waits for the doctor something, and returns how
// many they are.
func (s *Service) MessageAll(ctx context.Context, sc consult.Scope, actor consult.Actor, doctorID, text string) (int, error) {
	if !consult.ValidExternalID(doctorID) {
		return 0, invalidField("doctor_id", idRule)
	}
	text, err := cleanText("text", text, 1, MaxMessage)
	if err != nil {
		return 0, err
	}
	return s.message(ctx, sc, actor, doctorID, nil, text)
}

func (s *Service) message(ctx context.Context, sc consult.Scope, actor consult.Actor, doctorID string, ids []string, text string) (int, error) {
	c, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	now := s.clock()
	made := make(map[string]consult.Event) // by ticket; the store may ask twice
	told, err := s.store.MessageTickets(c, sc, doctorID, ids, text, now, func(t *consult.Ticket) consult.Event {
		e := ticketEvent(t, actor, now)
		e.Type = EventMessage
		made[t.ID] = e
		return e
	})
	if err != nil {
		return 0, err
	}
	events := make([]consult.Event, len(told))
	for i := range told {
		events[i] = made[told[i].ID]
	}
	s.announceSession(ctx, events) // each patient's room reads the messages again
	return len(told), nil
}

// Messages are the newest that the session's patient was told while waiting,
// oldest first. They outlive a transfer.
func (s *Service) Messages(ctx context.Context, sc consult.Scope, sessionID string) ([]consult.ChatMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	return s.store.WaitingMessages(ctx, sc, sessionID, messagesShown)
}

// DeclineReason is what the patient was told when the doctor declined, or "".
func (s *Service) DeclineReason(ctx context.Context, sc consult.Scope, sessionID string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	return s.store.DeclineReason(ctx, sc, sessionID)
}

// Admitted are the doctor's patients who were admitted and whose call has not
// begun: those SendBack is for.
func (s *Service) Admitted(ctx context.Context, sc consult.Scope, doctorID string) ([]consult.Ticket, error) {
	ctx, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	return s.store.AdmittedTickets(ctx, sc, doctorID)
}

// Move gives an open ticket another position in its queue, from 1; one behind
// the end is the end. Those who arrive later stay behind it.
func (s *Service) Move(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID string, position int) (*consult.QueuePlace, error) {
	if position < 1 {
		return nil, invalidField("position", "must be at least 1")
	}
	return s.arrange(ctx, sc, actor, ticketID, EventMoved, func(t *consult.Ticket, _ *consult.Consultation, others []consult.Ticket) (bool, error) {
		if !t.Status.Open() {
			return false, closedError(t.Status)
		}
		return putAt(t, others, position), nil
	})
}

// SendBack undoes an admission while the call has not begun: the patient waits
// again, as the first.
func (s *Service) SendBack(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID string) (*consult.QueuePlace, error) {
	return s.arrange(ctx, sc, actor, ticketID, EventSentBack, sendBack)
}

func (s *Service) arrange(ctx context.Context, sc consult.Scope, actor consult.Actor, id string, typ consult.EventType,
	f func(t *consult.Ticket, c *consult.Consultation, others []consult.Ticket) (bool, error),
) (*consult.QueuePlace, error) {
	var events []consult.Event
	sql, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	t, moved, err := s.store.ArrangeTicket(sql, sc, id, func(t *consult.Ticket, c *consult.Consultation, others []consult.Ticket) ([]consult.Event, error) {
		now := s.clock()
		events = nil
		changed, err := f(t, c, others)
		if err != nil || !changed {
			return nil, err
		}
		e := ticketEvent(t, actor, now)
		e.Type = typ
		events = []consult.Event{e}
		return events, nil
	})
	if err != nil {
		return nil, err
	}
	if len(events) > 0 {
		for i := range moved {
			s.publish(ctx, &moved[i], "", -1)
		}
		s.publish(ctx, t, "", -1)
		if typ == EventSentBack {
			s.noteShift(ctx, t)
		}
		s.announceSession(ctx, events)
	}
	return s.placeOf(ctx, t)
}

// noteShift marks an open ticket whose wait in its queue is no measure of how
// long the doctor takes to admit: it was sent back, or came from another doctor.
func (s *Service) noteShift(ctx context.Context, t *consult.Ticket) {
	if err := s.live.shift(context.WithoutCancel(ctx), queueOf(t), t.ID); err != nil {
		s.log.Debug("shift not noted", "ticket", t.ID, "err", err)
	}
}

// Transfer hands the patient of an open ticket to another doctor. The session,
// its patient's link and the messages stay; the first doctor's tokens for it
// are revoked. The ticket closes as transferred, and the place returned is that
// of its successor: among the new doctor's patients by the time of arrival, so
// that nobody who came earlier is overtaken and no waiting is lost.
//
// doctorName may be empty: the name under which the doctor is known.
func (s *Service) Transfer(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID, doctorID, doctorName string) (*consult.QueuePlace, error) {
	doctorName = strings.TrimSpace(doctorName)
	if !consult.ValidExternalID(doctorID) {
		return nil, invalidField("doctor_id", idRule)
	}
	if utf8.RuneCountInString(doctorName) > consult.MaxNameLength {
		return nil, invalidField("doctor_name", "is too long")
	}
	var events []consult.Event
	sql, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	old, next, _, err := s.store.TransferTicket(sql, sc, ticketID, func(t *consult.Ticket, c *consult.Consultation) (*consult.Ticket, []consult.Event, error) {
		now := s.clock()
		from := t.DoctorID
		next, err := transfer(t, c, doctorID, doctorName, now)
		if err != nil {
			return nil, nil, err
		}
		gone := ticketEvent(t, actor, now)
		gone.Data = eventData(map[string]any{
			"status": t.Status, "patient_id": t.PatientID, "joined_at": t.JoinedAt, "to_doctor_id": doctorID, "to_ticket_id": next.ID,
		})
		revoked := consultationEvent(c, consult.EventTokensRevoked, actor, now)
		revoked.DoctorID = from
		revoked.Data = eventData(map[string]any{"role": consult.Doctor, "subject": from})
		events = []consult.Event{gone, ticketEvent(next, actor, now), revoked}
		return next, events, nil
	})
	if err != nil {
		return nil, err
	}
	s.publish(ctx, old, "", -1)
	s.publish(ctx, next, "", -1)
	s.noteShift(ctx, next)
	s.announceSession(ctx, events)
	return s.placeOf(ctx, next)
}

// Decline is the doctor refusing the patient: the ticket is declined and its
// consultation cancelled. reason, at most MaxDecline characters or empty, is
// shown to the patient.
func (s *Service) Decline(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID, reason string) (*consult.QueuePlace, error) {
	reason, err := cleanText("reason", reason, 0, MaxDecline)
	if err != nil {
		return nil, err
	}
	t, err := s.updateBy(ctx, actor, time.Time{}, decline, func(ctx context.Context, f stored) (*consult.Ticket, *consult.Consultation, error) {
		return s.store.DeclineTicket(ctx, sc, ticketID, reason, f)
	})
	if err != nil {
		return nil, err
	}
	return s.placeOf(ctx, t)
}

const idRule = "must be 1 to 128 letters, digits or _-.:@+=~"

func invalidField(field, message string) error {
	return &consult.Error{
		Code: consult.ValidationError, Message: "Request body failed schema validation.",
		Fields: []consult.FieldError{{Field: field, Message: message}},
	}
}

// cleanText takes out what cannot be shown, control characters but line breaks,
// and checks the length in characters.
func cleanText(field, text string, least, most int) (string, error) {
	if !utf8.ValidString(text) {
		return "", invalidField(field, "is not valid UTF-8")
	}
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			if r == '\t' {
				return ' '
			}
			return -1
		}
		return r
	}, text))
	switch n := utf8.RuneCountInString(text); {
	case n < least:
		return "", invalidField(field, "must not be empty")
	case n > most:
		return "", invalidField(field, "is too long")
	}
	return text, nil
}
