package store

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// ChatSession returns a conversation with the medical chat.
func (s *Store) ChatSession(ctx context.Context, sc consult.Scope, id string) (*consult.ChatSession, error) {
	var out *consult.ChatSession
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		out, err = one(ctx, q, "chat session", func(r scanner, c *consult.ChatSession) error {
			c.Scope, c.ID = sc, id
			var content string
			if err := r.Scan(&c.PatientID, &content, &c.Version, scanTime{&c.CreatedAt}, scanTime{&c.UpdatedAt}); err != nil {
				return err
			}
			var err error
			c.Content, err = base64.StdEncoding.DecodeString(content)
			return err
		}, `SELECT patient_id, content, version, created_at, updated_at FROM chat_sessions
			WHERE account_id = $1 AND mode = $2 AND session_id = $3`, sc.AccountID, sc.Mode, id)
		return err
	})
	return out, err
}

// SaveChatSession stores c and moves its Version on. It is a Conflict when the
// conversation was stored, or deleted, since c was read. A patient that it names
// is stored on first use, and never changes afterwards.
func (s *Store) SaveChatSession(ctx context.Context, c *consult.ChatSession) error {
	content := base64.StdEncoding.EncodeToString(c.Content)
	err := s.write(ctx, func(ctx context.Context, q *querier) error {
		if c.PatientID != "" {
			p := consult.Person{ID: c.PatientID, Scope: c.Scope, Role: consult.Patient, CreatedAt: c.CreatedAt}
			if err := q.upsertPerson(ctx, &p); err != nil {
				return err
			}
		}
		var n int64
		var err error
		if c.Version == 0 {
			n, err = q.exec(ctx, `INSERT INTO chat_sessions (account_id, mode, session_id, patient_id, content, version, created_at, updated_at)
				VALUES ($1, $2, $3, $4, $5, 1, $6, $7) ON CONFLICT DO NOTHING`,
				c.Scope.AccountID, c.Scope.Mode, c.ID, c.PatientID, content, micros(c.CreatedAt), micros(c.UpdatedAt))
		} else {
			n, err = q.exec(ctx, `UPDATE chat_sessions SET content = $1, version = version + 1, updated_at = $2,
				patient_id = CASE WHEN patient_id = '' THEN $3 ELSE patient_id END
				WHERE account_id = $4 AND mode = $5 AND session_id = $6 AND version = $7`,
				content, micros(c.UpdatedAt), c.PatientID, c.Scope.AccountID, c.Scope.Mode, c.ID, c.Version)
		}
		if err == nil && n == 0 {
			err = consult.Errorf(consult.Conflict, "", "The conversation was changed at the same time.")
		}
		return err
	})
	if err == nil {
		c.Version++
	}
	return err
}

// DeleteChatSession removes a conversation; the audit log has that it was done,
// and nothing of it.
func (s *Store) DeleteChatSession(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, at time.Time) error {
	return s.write(ctx, func(ctx context.Context, q *querier) error {
		n, err := q.exec(ctx, `DELETE FROM chat_sessions WHERE account_id = $1 AND mode = $2 AND session_id = $3`, sc.AccountID, sc.Mode, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return notFound("chat session")
		}
		_, err = q.note(ctx, sc, consult.Event{
			ID: consult.NewID(consult.PrefixEvent), Type: consult.EventChatSessionDeleted, Scope: sc, Actor: actor, At: at,
		})
		return err
	})
}

func removeChatSessions(ctx context.Context, q *querier, sc consult.Scope, ids []string) (map[string]int64, error) {
	n, err := q.exec(ctx, `DELETE FROM chat_sessions WHERE account_id = $1 AND mode = $2 AND session_id IN (`+holders(3, len(ids))+`)`,
		values(sc, ids)...)
	return map[string]int64{"chat_sessions": n}, err
}
