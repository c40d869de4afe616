package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// RevokePerson ends every token of a person, a role and a subject, for that
// consultation that was issued at issuedBefore or earlier. Revoking an earlier
// time than before changes nothing, and no event is written.
func (s *Store) RevokePerson(ctx context.Context, sc consult.Scope, sessionID string, role consult.Role, subject string,
	issuedBefore time.Time, events []consult.Event,
) error {
	return s.write(ctx, func(ctx context.Context, q *querier) error {
		if _, err := q.consultation(ctx, sc, sessionID, q.dialect.lockRow); err != nil {
			return err
		}
		was, err := q.personRevoked(ctx, sc, sessionID, role, subject)
		if err != nil || !was.Before(truncated(issuedBefore)) {
			return err
		}
		if err := q.revokePerson(ctx, sc, sessionID, role, subject, issuedBefore); err != nil {
			return err
		}
		return q.record(ctx, sc, events)
	})
}

func (q *querier) revokePerson(ctx context.Context, sc consult.Scope, sessionID string, role consult.Role, subject string, before time.Time) error {
	_, err := q.exec(ctx, `INSERT INTO revoked_people (account_id, mode, session_id, role, subject, issued_before)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (account_id, mode, session_id, role, subject)
		DO UPDATE SET issued_before = CASE WHEN excluded.issued_before > revoked_people.issued_before
			THEN excluded.issued_before ELSE revoked_people.issued_before END`,
		sc.AccountID, sc.Mode, sessionID, role, subject, micros(before))
	return err
}

// PersonRevoked returns until when the person's tokens for that consultation
// were revoked: one issued then or earlier does not count. Zero: none is.
func (s *Store) PersonRevoked(ctx context.Context, sc consult.Scope, sessionID string, role consult.Role, subject string) (until time.Time, err error) {
	err = s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		until, err = q.personRevoked(ctx, sc, sessionID, role, subject)
		return err
	})
	return until, err
}

func (q *querier) personRevoked(ctx context.Context, sc consult.Scope, sessionID string, role consult.Role, subject string) (time.Time, error) {
	rows, err := list(ctx, q, func(r scanner, t *time.Time) error { return r.Scan(scanTime{t}) },
		`SELECT issued_before FROM revoked_people
		WHERE account_id = $1 AND mode = $2 AND session_id = $3 AND role = $4 AND subject = $5`,
		sc.AccountID, sc.Mode, sessionID, role, subject)
	if err != nil || len(rows) == 0 {
		return time.Time{}, err
	}
	return rows[0], nil
}

// inChunk bounds the values of one IN list.
const inChunk = 400

// SessionStamps returns, for each of those consultations that exists, a text
// that differs after every change of what its rooms must act on: its state, its
// doctor, its revocations and the messages to who waits. It is for looking
// whether an announcement was missed.
func (s *Store) SessionStamps(ctx context.Context, sc consult.Scope, ids []string) (map[string]string, error) {
	out := make(map[string]string, len(ids))
	err := inChunks(ids, func(ids []string) error {
		return s.read(ctx, func(ctx context.Context, q *querier) error {
			rows, err := list(ctx, q, func(r scanner, v *[2]string) error {
				var status, doctor string
				var n [5]int64
				err := r.Scan(&v[0], &status, &doctor, &n[0], &n[1], &n[2], &n[3], &n[4])
				v[1] = fmt.Sprint(status, doctor, n)
				return err
			}, `SELECT id, status, doctor_id, token_epoch, COALESCE(admitted_at, 0), expires_at,
				(SELECT CAST(COALESCE(SUM(issued_before), 0) AS BIGINT) FROM revoked_people p
					WHERE p.account_id = $1 AND p.mode = $2 AND p.session_id = c.id),
				(SELECT COUNT(*) FROM waiting_messages w
					WHERE w.account_id = $1 AND w.mode = $2 AND w.session_id = c.id)
				FROM consultations c WHERE account_id = $1 AND mode = $2 AND id IN (`+holders(3, len(ids))+`)`,
				values(sc, ids)...)
			for _, v := range rows {
				out[v[0]] = v[1]
			}
			return err
		})
	})
	return out, err
}

// LastEvent numbers the newest event of all scopes: while it stays the same, none
// was recorded. On PostgreSQL an event with a lower number may still become
// visible after a higher one.
func (s *Store) LastEvent(ctx context.Context) (n int64, err error) {
	err = s.read(ctx, func(ctx context.Context, q *querier) error {
		return q.row(ctx, `SELECT COALESCE(MAX(id), 0) FROM outbox`).Scan(&n)
	})
	return n, err
}

// TokensRevoked returns which of those tokens RevokeToken was called for.
func (s *Store) TokensRevoked(ctx context.Context, sc consult.Scope, ids []string) ([]string, error) {
	var out []string
	err := inChunks(ids, func(ids []string) error {
		return s.read(ctx, func(ctx context.Context, q *querier) error {
			found, err := list(ctx, q, func(r scanner, id *string) error { return r.Scan(id) },
				`SELECT jti FROM revoked_tokens WHERE account_id = $1 AND mode = $2 AND jti IN (`+holders(3, len(ids))+`)`,
				values(sc, ids)...)
			out = append(out, found...)
			return err
		})
	})
	return out, err
}

func inChunks(ids []string, fn func([]string) error) error {
	for len(ids) > 0 {
		n := min(len(ids), inChunk)
		if err := fn(ids[:n]); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// holders is "$from, …", n of them.
func holders(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", from+i)
	}
	return b.String()
}

func values(sc consult.Scope, ids []string) []any {
	out := make([]any, 0, len(ids)+2)
	out = append(out, sc.AccountID, sc.Mode)
	for _, id := range ids {
		out = append(out, id)
	}
	return out
}
