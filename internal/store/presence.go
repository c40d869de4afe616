package store

import (
	"context"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// SetPresence stores what a doctor says of himself, with the events, and
// reports whether that is new. Saying the same again writes nothing.
func (s *Store) SetPresence(ctx context.Context, sc consult.Scope, doctorID string, p consult.Presence, at time.Time,
	events []consult.Event,
) (changed bool, err error) {
	err = s.write(ctx, func(ctx context.Context, q *querier) error {
		n, err := q.exec(ctx, `INSERT INTO doctor_presence (account_id, mode, doctor_id, presence, updated_at)
			VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (account_id, mode, doctor_id)
			DO UPDATE SET presence = excluded.presence, updated_at = excluded.updated_at
			WHERE doctor_presence.presence <> excluded.presence`,
			sc.AccountID, sc.Mode, doctorID, p, micros(at))
		if changed = n > 0; err != nil || !changed {
			return err
		}
		return q.record(ctx, sc, events)
	})
	return changed && err == nil, err
}

// Presence returns what a doctor said last, and when; a doctor who never said
// anything is available, since no time.
func (s *Store) Presence(ctx context.Context, sc consult.Scope, doctorID string) (p consult.Presence, at time.Time, err error) {
	p = consult.Available
	err = s.read(ctx, func(ctx context.Context, q *querier) error {
		type row struct {
			p  consult.Presence
			at time.Time
		}
		rows, err := list(ctx, q, func(r scanner, v *row) error { return r.Scan(&v.p, scanTime{&v.at}) },
			`SELECT presence, updated_at FROM doctor_presence WHERE account_id = $1 AND mode = $2 AND doctor_id = $3`,
			sc.AccountID, sc.Mode, doctorID)
		if err == nil && len(rows) > 0 {
			p, at = rows[0].p, rows[0].at
		}
		return err
	})
	return p, at, err
}
