package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// retentionBatch is how many rows one transaction removes.
const retentionBatch = 500

// Retention is how long what is over is kept; zero is forever. Ages count from
// the end of a consultation, the closing of a ticket, the sending of a message
// and the delivery of an event. The audit log is never shortened.
type Retention struct {
	// Chat is the age of chat and waiting-room messages of consultations that
	// are over, and of conversations with the medical chat.
	Chat time.Duration
	// Consultations removes a consultation with everything that belongs to it,
	// and its patient when that was the last one. One of which a recording is left
	// stays, with its chain of consents, until that is deleted and purged.
	Consultations time.Duration
	Tickets       time.Duration
	// DeliveredEvents is the age of delivered outbox rows.
	DeliveredEvents time.Duration
}

// DefaultRetention keeps delivered events a month and everything clinical
// until the operator decides: laws on medical records differ by country.
func DefaultRetention() Retention { return Retention{DeliveredEvents: 30 * 24 * time.Hour} }

// Retained counts what one run removed, by table.
type Retained map[string]int64

// Retain removes what is older than r allows at now, in batches that are each
// one transaction with an audit entry of the table, the count and the cut-off;
// and idempotency records and revoked tokens whose life is over, which say
// nothing of anybody any more. Several nodes may run it at once. System: all
// scopes.
func (s *Store) Retain(ctx context.Context, now time.Time, r Retention) (Retained, error) {
	out := Retained{}
	err := s.expire(ctx, now, out)
	if err != nil {
		return out, err
	}
	scopes, err := s.Scopes(ctx)
	if err != nil {
		return out, err
	}
	for _, rule := range r.rules() {
		if rule.age <= 0 {
			continue
		}
		for _, sc := range scopes {
			found, err := s.anyToRemove(ctx, sc, rule, now.Add(-rule.age))
			if err != nil {
				return out, err
			}
			if !found {
				continue
			}
			if err := s.retain(ctx, sc, rule, now.Add(-rule.age), now, out); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// rule is how a table's rows are found and removed. query selects the ids of
// one batch: $1 account, $2 mode, $3 cut-off, $4 limit.
type rule struct {
	table  string
	age    time.Duration
	query  string
	remove func(ctx context.Context, q *querier, sc consult.Scope, ids []string) (map[string]int64, error)
}

func (r Retention) rules() []rule {
	messages := func(table string) rule {
		return rule{table, r.Chat, `SELECT m.id FROM ` + table + ` m
			WHERE m.account_id = $1 AND m.mode = $2 AND m.sent_at < $3 AND EXISTS (SELECT 1 FROM consultations c
				WHERE c.account_id = m.account_id AND c.mode = m.mode AND c.id = m.session_id AND c.status IN ('ended', 'cancelled'))
			ORDER BY m.sent_at, m.id LIMIT $4`, removeByID(table)}
	}
	return []rule{
		messages("chat_messages"),
		messages("waiting_messages"),
		{"chat_sessions", r.Chat, `SELECT session_id FROM chat_sessions
			WHERE account_id = $1 AND mode = $2 AND updated_at < $3
			ORDER BY updated_at, session_id LIMIT $4`, removeChatSessions},
		{"tickets", r.Tickets, `SELECT id FROM tickets
			WHERE account_id = $1 AND mode = $2 AND closed_at IS NOT NULL AND closed_at < $3
			ORDER BY closed_at, id LIMIT $4`, removeByID("tickets")},
		{"consultations", r.Consultations, `SELECT id FROM consultations c
			WHERE account_id = $1 AND mode = $2 AND status IN ('ended', 'cancelled') AND ended_at < $3
				AND NOT EXISTS (SELECT 1 FROM recordings r
					WHERE r.account_id = $1 AND r.mode = $2 AND r.session_id = c.id AND NOT (r.state = 'deleted' AND r.purged))
			ORDER BY ended_at, id LIMIT $4`, removeConsultations},
		{"outbox", r.DeliveredEvents, `SELECT CAST(id AS TEXT) FROM outbox
			WHERE account_id = $1 AND mode = $2 AND delivered_at IS NOT NULL AND delivered_at < $3
			ORDER BY delivered_at LIMIT $4`, removeOutbox},
	}
}

func (s *Store) retain(ctx context.Context, sc consult.Scope, r rule, before, now time.Time, out Retained) error {
	for {
		var found int
		var removed map[string]int64
		err := s.write(ctx, func(ctx context.Context, q *querier) error {
			ids, err := list(ctx, q, func(r scanner, id *string) error { return r.Scan(id) }, r.query,
				sc.AccountID, sc.Mode, micros(before), retentionBatch)
			if found = len(ids); err != nil || found == 0 {
				return err
			}
			if removed, err = r.remove(ctx, q, sc, ids); err != nil {
				return err
			}
			_, err = q.note(ctx, sc, retentionEvent(sc, removed, before, now))
			return err
		})
		if err != nil {
			return fmt.Errorf("retention of %s: %w", r.table, err)
		}
		for table, n := range removed {
			out[table] += n
		}
		if found < retentionBatch {
			return nil
		}
	}
}

// anyToRemove looks without waiting for the writers: mostly there is nothing.
func (s *Store) anyToRemove(ctx context.Context, sc consult.Scope, r rule, before time.Time) (bool, error) {
	var ids []string
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		ids, err = list(ctx, q, func(r scanner, id *string) error { return r.Scan(id) }, r.query, sc.AccountID, sc.Mode, micros(before), 1)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("retention of %s: %w", r.table, err)
	}
	return len(ids) > 0, nil
}

func retentionEvent(sc consult.Scope, removed map[string]int64, before, now time.Time) consult.Event {
	data, err := json.Marshal(map[string]any{"removed": removed, "older_than": before.UTC().Format(time.RFC3339)})
	if err != nil { // numbers and a time always marshal
		data = nil
	}
	return consult.Event{
		ID: consult.NewID(consult.PrefixEvent), Type: consult.EventRetentionApplied, Scope: sc,
		Actor: consult.System, At: now, Data: data,
	}
}

func removeByID(table string) func(context.Context, *querier, consult.Scope, []string) (map[string]int64, error) {
	return func(ctx context.Context, q *querier, sc consult.Scope, ids []string) (map[string]int64, error) {
		n, err := q.exec(ctx, `DELETE FROM `+table+` WHERE account_id = $1 AND mode = $2 AND id IN (`+holders(3, len(ids))+`)`,
			values(sc, ids)...)
		return map[string]int64{table: n}, err
	}
}

func removeOutbox(ctx context.Context, q *querier, sc consult.Scope, ids []string) (map[string]int64, error) {
	args := []any{sc.AccountID, sc.Mode}
	for _, id := range ids {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return nil, err
		}
		args = append(args, n)
	}
	n, err := q.exec(ctx, `DELETE FROM outbox WHERE account_id = $1 AND mode = $2 AND delivered_at IS NOT NULL
		AND id IN (`+holders(3, len(ids))+`)`, args...)
	return map[string]int64{"outbox": n}, err
}

// ofSession are the tables whose rows belong to a consultation and go with it.
var ofSession = []string{"chat_messages", "waiting_messages", "participations", "revoked_people", "tickets", "consents", "recordings"}

func removeConsultations(ctx context.Context, q *querier, sc consult.Scope, ids []string) (map[string]int64, error) {
	args, in := values(sc, ids), `IN (`+holders(3, len(ids))+`)`
	patients, err := list(ctx, q, func(r scanner, id *string) error { return r.Scan(id) }, `SELECT DISTINCT patient_id FROM consultations
		WHERE account_id = $1 AND mode = $2 AND id `+in+` ORDER BY patient_id`, args...)
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, table := range ofSession {
		if out[table], err = q.exec(ctx, `DELETE FROM `+table+` WHERE account_id = $1 AND mode = $2 AND session_id `+in, args...); err != nil {
			return nil, err
		}
	}
	if out["consultations"], err = q.exec(ctx, `DELETE FROM consultations WHERE account_id = $1 AND mode = $2 AND id `+in, args...); err != nil {
		return nil, err
	}
	for _, id := range patients {
		n, err := q.exec(ctx, `DELETE FROM people WHERE account_id = $1 AND mode = $2 AND role = 'patient' AND id = $3
			AND NOT EXISTS (SELECT 1 FROM consultations c
				WHERE c.account_id = people.account_id AND c.mode = people.mode AND c.patient_id = people.id)
			AND NOT EXISTS (SELECT 1 FROM chat_sessions s
				WHERE s.account_id = people.account_id AND s.mode = people.mode AND s.patient_id = people.id)`, sc.AccountID, sc.Mode, id)
		if err != nil {
			return nil, err
		}
		out["people"] += n
	}
	return out, nil
}

// expire removes what ended by itself.
func (s *Store) expire(ctx context.Context, now time.Time, out Retained) error {
	for table, purge := range map[string]func(context.Context, *querier) (int64, error){
		"idempotency": func(ctx context.Context, q *querier) (int64, error) {
			return q.purgeIdempotency(ctx, now, retentionBatch)
		},
		"revoked_tokens": func(ctx context.Context, q *querier) (int64, error) {
			return q.exec(ctx, `DELETE FROM revoked_tokens WHERE (account_id, mode, jti) IN (
				SELECT account_id, mode, jti FROM revoked_tokens WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`, micros(now), retentionBatch)
		},
	} {
		for n := int64(retentionBatch); n == retentionBatch; {
			err := s.write(ctx, func(ctx context.Context, q *querier) error {
				var err error
				n, err = purge(ctx, q)
				return err
			})
			if err != nil {
				return fmt.Errorf("retention of %s: %w", table, err)
			}
			out[table] += n
		}
	}
	return nil
}

// RunRetention applies r at once and then every so often, until ctx ends.
func (s *Store) RunRetention(ctx context.Context, every time.Duration, now consult.Clock, r Retention) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		removed, err := s.Retain(ctx, now().UTC(), r)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Error("retention", "err", err)
		}
		for table, n := range removed {
			if n > 0 {
				s.log.Info("retention", "table", table, "removed", n)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
