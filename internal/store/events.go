package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/chatmed/chatmed/internal/consult"
)

// record writes one audit entry and one outbox row per event, in order. It
// locks the scope's audit chain until the transaction ends, so it comes last:
// the lock is then short, and within a scope both sequences grow in the order
// of commit.
func (q *querier) record(ctx context.Context, sc consult.Scope, events []consult.Event) error {
	if len(events) == 0 {
		return nil
	}
	head, err := q.lockChain(ctx, sc)
	if err != nil {
		return err
	}
	for _, e := range events {
		e, err := prepared(sc, e)
		if err != nil {
			return err
		}
		if head, err = q.appendAudit(ctx, head, &e); err != nil {
			return err
		}
		if err := q.appendOutbox(ctx, &e); err != nil {
			return err
		}
	}
	_, err = q.exec(ctx, `UPDATE scopes SET audit_seq = $1, audit_hash = $2 WHERE account_id = $3 AND mode = $4`,
		head.seq, head.hash, sc.AccountID, sc.Mode)
	return err
}

// prepared is e as it is stored. An event without a scope takes the row's; one
// of another scope is a mistake in the caller that must not cross accounts.
func prepared(sc consult.Scope, e consult.Event) (consult.Event, error) {
	if e.Scope == (consult.Scope{}) {
		e.Scope = sc
	}
	if e.Scope != sc {
		return e, fmt.Errorf("event %s (%s) is of another scope than its row", e.ID, e.Type)
	}
	e.At = truncated(e.At)
	return e, nil
}

func (q *querier) appendOutbox(ctx context.Context, e *consult.Event) error {
	payload, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("event %s: %w", e.ID, err)
	}
	_, err = q.exec(ctx, `INSERT INTO outbox (account_id, mode, event_id, payload) VALUES ($1, $2, $3, $4)`,
		e.Scope.AccountID, e.Scope.Mode, e.ID, string(payload))
	return err
}

// PendingEvent is an outbox row that has not been delivered.
type PendingEvent struct {
	// ID grows in the order of commit within a scope.
	ID    int64
	Event consult.Event
}

// PendingEvents returns the oldest undelivered events, at most limit. System:
// all scopes.
func (s *Store) PendingEvents(ctx context.Context, limit int) ([]PendingEvent, error) {
	var out []PendingEvent
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		out, err = list(ctx, q, func(r scanner, p *PendingEvent) error {
			var payload string
			if err := r.Scan(&p.ID, &payload); err != nil {
				return err
			}
			return json.Unmarshal([]byte(payload), &p.Event)
		}, `SELECT id, payload FROM outbox WHERE delivered_at IS NULL ORDER BY id LIMIT $1`, limit)
		return err
	})
	return out, err
}
