package store

import (
	"context"
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// The kinds of a waiting message.
const (
	kindMessage  = "message"
	kindDeclined = "declined"
)

// MessageTickets stores text as the doctor's message to each of the tickets
// that is still open, with the event that event makes for it, and returns those
// tickets. No id: all open tickets of the doctor. text is patient data.
func (s *Store) MessageTickets(ctx context.Context, sc consult.Scope, doctorID string, ids []string, text string, at time.Time,
	event func(*consult.Ticket) consult.Event,
) ([]consult.Ticket, error) {
	var open []consult.Ticket
	err := s.write(ctx, func(ctx context.Context, q *querier) error {
		var err error
		open, err = list(ctx, q, scanTicket, `SELECT `+ticketColumns+` FROM tickets
			WHERE account_id = $1 AND mode = $2 AND doctor_id = $3 AND status IN ('queued', 'ready', 'away')
			ORDER BY rank, id`, sc.AccountID, sc.Mode, doctorID)
		if err != nil {
			return err
		}
		if len(ids) > 0 {
			open = slices.DeleteFunc(open, func(t consult.Ticket) bool { return !slices.Contains(ids, t.ID) })
		}
		events := make([]consult.Event, len(open))
		for i := range open {
			if err := q.insertWaitingMessage(ctx, &open[i], kindMessage, text, at); err != nil {
				return err
			}
			events[i] = event(&open[i])
		}
		return q.record(ctx, sc, events)
	})
	return open, err
}

func (q *querier) insertWaitingMessage(ctx context.Context, t *consult.Ticket, kind, text string, at time.Time) error {
	_, err := q.exec(ctx, `INSERT INTO waiting_messages (id, account_id, mode, session_id, ticket_id, doctor_name, kind, text, sent_at)
		SELECT $1, account_id, mode, id, $2, doctor_name, $3, $4, $5 FROM consultations
		WHERE account_id = $6 AND mode = $7 AND id = $8`,
		consult.NewID(consult.PrefixMessage), t.ID, kind, clean(text), micros(at), t.Scope.AccountID, t.Scope.Mode, t.SessionID)
	return err
}

// WaitingMessages returns the newest limit messages to the patient of that
// consultation, oldest first. ParticipantID is the ticket's id, Role the doctor's.
func (s *Store) WaitingMessages(ctx context.Context, sc consult.Scope, sessionID string, limit int) ([]consult.ChatMessage, error) {
	var out []consult.ChatMessage
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		out, err = list(ctx, q, func(r scanner, m *consult.ChatMessage) error {
			m.Scope, m.SessionID, m.Role = sc, sessionID, consult.Doctor
			return r.Scan(&m.ID, &m.ParticipantID, &m.Name, &m.Text, scanTime{&m.SentAt})
		}, `SELECT id, ticket_id, doctor_name, text, sent_at FROM waiting_messages
			WHERE account_id = $1 AND mode = $2 AND session_id = $3 AND kind = 'message'
			ORDER BY sent_at DESC, id DESC LIMIT $4`, sc.AccountID, sc.Mode, sessionID, limit)
		slices.Reverse(out)
		return err
	})
	return out, err
}

// DeclineTicket is UpdateTicket that stores text, the reason the patient is
// told, in the same transaction when change reports events. Empty: no reason.
func (s *Store) DeclineTicket(ctx context.Context, sc consult.Scope, id, text string,
	change func(*consult.Ticket, *consult.Consultation) ([]consult.Event, error),
) (*consult.Ticket, *consult.Consultation, error) {
	var (
		t *consult.Ticket
		c *consult.Consultation
	)
	err := s.write(ctx, func(ctx context.Context, q *querier) error {
		var err error
		t, c, err = q.updateTicket(ctx, sc, id, func(t *consult.Ticket, c *consult.Consultation) ([]consult.Event, error) {
			events, err := change(t, c)
			if err != nil || len(events) == 0 || text == "" {
				return events, err
			}
			return events, q.insertWaitingMessage(ctx, t, kindDeclined, text, events[0].At)
		})
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return t, c, nil
}

// DeclineReason returns what the patient was told with a refusal, or "".
func (s *Store) DeclineReason(ctx context.Context, sc consult.Scope, sessionID string) (string, error) {
	var rows []string
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		rows, err = list(ctx, q, func(r scanner, text *string) error { return r.Scan(text) },
			`SELECT text FROM waiting_messages
			WHERE account_id = $1 AND mode = $2 AND session_id = $3 AND kind = 'declined'
			ORDER BY sent_at DESC, id DESC LIMIT 1`, sc.AccountID, sc.Mode, sessionID)
		return err
	})
	if err != nil || len(rows) == 0 {
		return "", err
	}
	return rows[0], nil
}
