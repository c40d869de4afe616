package store

import (
	"context"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// TokenEpoch returns the consultation's epoch: a room token of a lower one is
// revoked.
func (s *Store) TokenEpoch(ctx context.Context, sc consult.Scope, sessionID string) (int, error) {
	var epoch int
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		e, err := one(ctx, q, "consultation", func(r scanner, e *int) error { return r.Scan(e) },
			`SELECT token_epoch FROM consultations WHERE account_id = $1 AND mode = $2 AND id = $3`,
			sc.AccountID, sc.Mode, sessionID)
		if err == nil {
			epoch = *e
		}
		return err
	})
	return epoch, err
}

// RevokeToken notes that the token of that id is revoked; expires is when the
// token would have ended by itself. Revoking twice writes nothing.
func (s *Store) RevokeToken(ctx context.Context, sc consult.Scope, jti string, expires time.Time, events []consult.Event) error {
	return s.write(ctx, func(ctx context.Context, q *querier) error {
		n, err := q.exec(ctx, `INSERT INTO revoked_tokens (account_id, mode, jti, expires_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (account_id, mode, jti) DO NOTHING`, sc.AccountID, sc.Mode, jti, micros(expires))
		if err != nil || n == 0 {
			return err
		}
		return q.record(ctx, sc, events)
	})
}

// TokenRevoked reports whether RevokeToken was called for that id.
func (s *Store) TokenRevoked(ctx context.Context, sc consult.Scope, jti string) (bool, error) {
	var revoked bool
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		return q.row(ctx, `SELECT EXISTS (SELECT 1 FROM revoked_tokens WHERE account_id = $1 AND mode = $2 AND jti = $3)`,
			sc.AccountID, sc.Mode, jti).Scan(&revoked)
	})
	return revoked, err
}
