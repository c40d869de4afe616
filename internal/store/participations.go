package store

import (
	"context"
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

const participationColumns = `id, account_id, mode, session_id, role, subject, name, joined_at, left_at`

func scanParticipation(r scanner, p *consult.Participation) error {
	return r.Scan(&p.ID, &p.Scope.AccountID, &p.Scope.Mode, &p.SessionID, &p.Role, &p.Subject, &p.Name,
		scanTime{&p.JoinedAt}, scanTimePtr{&p.LeftAt})
}

// JoinParticipation inserts p, or clears left_at when p.ID stands in that
// consultation already. Someone who never left changes nothing, and the events
// are not written. A final consultation takes nobody (Conflict).
func (s *Store) JoinParticipation(ctx context.Context, p *consult.Participation, events []consult.Event) error {
	return s.write(ctx, func(ctx context.Context, q *querier) error {
		if _, err := q.openConsultation(ctx, p.Scope, p.SessionID); err != nil {
			return err
		}
		was, err := q.participation(ctx, p.Scope, p.ID)
		switch {
		case consult.HasCode(err, consult.NotFound):
			_, err = q.exec(ctx, `INSERT INTO participations (`+participationColumns+`)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL)`,
				p.ID, p.Scope.AccountID, p.Scope.Mode, p.SessionID, p.Role, p.Subject, clean(p.Name), micros(p.JoinedAt))
		case err != nil:
		case was.SessionID != p.SessionID:
			err = notFound("participant")
		case was.LeftAt == nil:
			return nil
		default:
			err = q.setLeft(ctx, p.Scope, p.ID, nil)
		}
		if err != nil {
			return err
		}
		return q.record(ctx, p.Scope, events)
	})
}

// LeaveParticipation notes that someone left. Leaving twice keeps the first
// time, and the events are not written again.
func (s *Store) LeaveParticipation(ctx context.Context, sc consult.Scope, id string, at time.Time, events []consult.Event) error {
	return s.write(ctx, func(ctx context.Context, q *querier) error {
		p, err := q.participation(ctx, sc, id)
		if err != nil || p.LeftAt != nil {
			return err
		}
		if err := q.setLeft(ctx, sc, id, &at); err != nil {
			return err
		}
		return q.record(ctx, sc, events)
	})
}

// participation locks the row.
func (q *querier) participation(ctx context.Context, sc consult.Scope, id string) (*consult.Participation, error) {
	return one(ctx, q, "participant", scanParticipation, `SELECT `+participationColumns+` FROM participations
		WHERE account_id = $1 AND mode = $2 AND id = $3`+q.dialect.lockRow, sc.AccountID, sc.Mode, id)
}

func (q *querier) setLeft(ctx context.Context, sc consult.Scope, id string, at *time.Time) error {
	_, err := q.exec(ctx, `UPDATE participations SET left_at = $1 WHERE account_id = $2 AND mode = $3 AND id = $4`,
		microsPtr(at), sc.AccountID, sc.Mode, id)
	return err
}

// Participations returns everyone who was or is in the consultation, in the
// order in which they joined.
func (s *Store) Participations(ctx context.Context, sc consult.Scope, sessionID string) ([]consult.Participation, error) {
	var out []consult.Participation
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		out, err = list(ctx, q, scanParticipation, `SELECT `+participationColumns+` FROM participations
			WHERE account_id = $1 AND mode = $2 AND session_id = $3 ORDER BY joined_at, id`,
			sc.AccountID, sc.Mode, sessionID)
		return err
	})
	return out, err
}

const chatColumns = `id, account_id, mode, session_id, participant_id, role, name, text, sent_at`

// AppendChat stores a message of the consultation's chat.
func (s *Store) AppendChat(ctx context.Context, m *consult.ChatMessage) error {
	return s.write(ctx, func(ctx context.Context, q *querier) error {
		_, err := q.exec(ctx, `INSERT INTO chat_messages (`+chatColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			m.ID, m.Scope.AccountID, m.Scope.Mode, m.SessionID, m.ParticipantID, m.Role, clean(m.Name), clean(m.Text), micros(m.SentAt))
		return err
	})
}

// Chat returns the newest messages of the consultation, at most limit, oldest first.
func (s *Store) Chat(ctx context.Context, sc consult.Scope, sessionID string, limit int) ([]consult.ChatMessage, error) {
	var out []consult.ChatMessage
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		out, err = list(ctx, q, func(r scanner, m *consult.ChatMessage) error {
			return r.Scan(&m.ID, &m.Scope.AccountID, &m.Scope.Mode, &m.SessionID, &m.ParticipantID, &m.Role, &m.Name, &m.Text,
				scanTime{&m.SentAt})
		}, `SELECT `+chatColumns+` FROM chat_messages
			WHERE account_id = $1 AND mode = $2 AND session_id = $3
			ORDER BY sent_at DESC, id DESC LIMIT $4`, sc.AccountID, sc.Mode, sessionID, limit)
		return err
	})
	slices.Reverse(out)
	return out, err
}
