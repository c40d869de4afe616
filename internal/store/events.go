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
	_, err := q.appendEvents(ctx, sc, events, true)
	return err
}

// Record writes events that belong to no row of their own, as record does.
func (s *Store) Record(ctx context.Context, sc consult.Scope, events ...consult.Event) error {
	return s.write(ctx, func(ctx context.Context, q *querier) error { return q.record(ctx, sc, events) })
}

// note is record for what is nobody's webhook: the audit entries alone. It
// returns the chain's new head.
func (q *querier) note(ctx context.Context, sc consult.Scope, events ...consult.Event) (chainHead, error) {
	return q.appendEvents(ctx, sc, events, false)
}

func (q *querier) appendEvents(ctx context.Context, sc consult.Scope, events []consult.Event, outbox bool) (chainHead, error) {
	if len(events) == 0 {
		return chainHead{}, nil
	}
	events, masked, err := q.prepareEvents(ctx, sc, events)
	if err != nil {
		return chainHead{}, err
	}
	head, err := q.lockChain(ctx, sc)
	if err != nil {
		return chainHead{}, err
	}
	trusted := q.signer.trusts(sc, head)
	for i := range events {
		if head, err = q.appendAudit(ctx, head, &masked[i]); err != nil {
			return head, err
		}
		if !outbox {
			continue
		}
		if err := q.appendOutbox(ctx, &events[i]); err != nil {
			return head, err
		}
	}
	head.mac = ""
	if trusted {
		head.mac = q.signer.sign(sc, head)
	}
	_, err = q.exec(ctx, `UPDATE scopes SET audit_seq = $1, audit_hash = $2, audit_mac = $3 WHERE account_id = $4 AND mode = $5`,
		head.seq, head.hash, head.mac, sc.AccountID, sc.Mode)
	return head, err
}

// prepareEvents returns the events as they are stored, and as the audit log
// shows them.
func (q *querier) prepareEvents(ctx context.Context, sc consult.Scope, given []consult.Event) (events, masked []consult.Event, err error) {
	names := pseudonyms{q: q, sc: sc}
	for _, e := range given {
		if e, err = prepared(sc, e); err != nil {
			return nil, nil, err
		}
		m, err := mask(e, func(id string) (string, error) { return names.of(ctx, id) })
		if err != nil {
			return nil, nil, err
		}
		events, masked = append(events, e), append(masked, m)
	}
	return events, masked, nil
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
	_, err = q.exec(ctx, `INSERT INTO outbox (account_id, mode, event_id, session_id, payload) VALUES ($1, $2, $3, $4, $5)`,
		e.Scope.AccountID, e.Scope.Mode, e.ID, e.SessionID, string(payload))
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
