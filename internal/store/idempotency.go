package store

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

const idempotencyColumns = `account_id, mode, key, operation_id, body_hash, subject, owner, done, erased, status, body,
	created_at, expires_at, lease_until`

// idempotencyRow is a record, with whether its answer was erased.
type idempotencyRow struct {
	consult.IdempotencyRecord
	erased bool
}

func scanIdempotency(r scanner, rec *idempotencyRow) error {
	var hash, body string
	err := r.Scan(&rec.Scope.AccountID, &rec.Scope.Mode, &rec.Key, &rec.OperationID, &hash, &rec.Subject, &rec.Owner,
		&rec.Done, &rec.erased, &rec.Status, &body, scanTime{&rec.CreatedAt}, scanTime{&rec.ExpiresAt}, scanTime{&rec.LeaseUntil})
	if err != nil {
		return err
	}
	var hashErr, bodyErr error
	rec.BodyHash, hashErr = hex.DecodeString(hash)
	rec.Body, bodyErr = base64.StdEncoding.DecodeString(body)
	if err := errors.Join(hashErr, bodyErr); err != nil {
		return fmt.Errorf("idempotency record: %w", err)
	}
	return nil
}

// BeginIdempotent claims rec.Key in rec.Scope for rec.Owner at rec.CreatedAt,
// and returns nil; or it returns the record that holds the key, done or under
// way. One whose life is over is replaced. One whose lease is over and that is
// for the same operation and body is taken over: its process died, or answers
// too late to count. An answer that was erased with a patient's data is a
// Conflict. Of claims at the same time, on any node, one wins.
func (s *Store) BeginIdempotent(ctx context.Context, rec consult.IdempotencyRecord) (existing *consult.IdempotencyRecord, err error) {
	err = s.write(ctx, func(ctx context.Context, q *querier) error {
		existing = nil
		n, err := q.insertIdempotency(ctx, &rec)
		if err != nil || n == 1 {
			return err
		}
		held, err := one(ctx, q, "idempotency key", scanIdempotency, `SELECT `+idempotencyColumns+` FROM idempotency
			WHERE account_id = $1 AND mode = $2 AND key = $3`+q.dialect.lockRow, rec.Scope.AccountID, rec.Scope.Mode, rec.Key)
		switch now := truncated(rec.CreatedAt); {
		case consult.HasCode(err, consult.NotFound): // set free between the two statements
			return errRetry
		case err != nil:
			return err
		case now.Before(held.ExpiresAt) && (held.Done || now.Before(held.LeaseUntil) || !sameRequest(&held.IdempotencyRecord, &rec)):
			if held.erased {
				return consult.Errorf(consult.Conflict, consult.ReasonIdempotencyErased,
					"The answer to this Idempotency-Key was erased with a patient's data.")
			}
			existing = &held.IdempotencyRecord
			return nil
		}
		if _, err := q.exec(ctx, `DELETE FROM idempotency WHERE account_id = $1 AND mode = $2 AND key = $3`,
			rec.Scope.AccountID, rec.Scope.Mode, rec.Key); err != nil {
			return err
		}
		n, err = q.insertIdempotency(ctx, &rec)
		if err == nil && n == 0 {
			err = errRetry
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return existing, nil
}

func sameRequest(a, b *consult.IdempotencyRecord) bool {
	return a.OperationID == b.OperationID && hex.EncodeToString(a.BodyHash) == hex.EncodeToString(b.BodyHash)
}

func (q *querier) insertIdempotency(ctx context.Context, rec *consult.IdempotencyRecord) (int64, error) {
	return q.exec(ctx, `INSERT INTO idempotency (`+idempotencyColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, FALSE, FALSE, 0, '', $8, $9, $10)
		ON CONFLICT (account_id, mode, key) DO NOTHING`,
		rec.Scope.AccountID, rec.Scope.Mode, rec.Key, rec.OperationID, hex.EncodeToString(rec.BodyHash), rec.Subject, rec.Owner,
		micros(rec.CreatedAt), micros(rec.ExpiresAt), micros(rec.LeaseUntil))
}

// FinishIdempotent keeps the owner's answer. An owner that no longer holds the
// key, because its lease was taken over, is a Conflict.
func (s *Store) FinishIdempotent(ctx context.Context, sc consult.Scope, key, owner string, status int, body []byte) error {
	return s.write(ctx, func(ctx context.Context, q *querier) error {
		n, err := q.exec(ctx, `UPDATE idempotency SET done = TRUE, status = $1, body = $2
			WHERE account_id = $3 AND mode = $4 AND key = $5 AND owner = $6 AND NOT done`,
			status, base64.StdEncoding.EncodeToString(body), sc.AccountID, sc.Mode, key, owner)
		if err == nil && n == 0 {
			err = consult.Errorf(consult.Conflict, consult.ReasonIdempotencyInProgress, "The Idempotency-Key is held by another request.")
		}
		return err
	})
}

// AbandonIdempotent sets the key free again, unless it is done or held by
// another owner: those stay as they are.
func (s *Store) AbandonIdempotent(ctx context.Context, sc consult.Scope, key, owner string) error {
	return s.write(ctx, func(ctx context.Context, q *querier) error {
		_, err := q.exec(ctx, `DELETE FROM idempotency
			WHERE account_id = $1 AND mode = $2 AND key = $3 AND owner = $4 AND NOT done`, sc.AccountID, sc.Mode, key, owner)
		return err
	})
}

// purgeIdempotency removes records whose life is over, at most limit.
func (q *querier) purgeIdempotency(ctx context.Context, now time.Time, limit int) (int64, error) {
	return q.exec(ctx, `DELETE FROM idempotency WHERE (account_id, mode, key) IN (
		SELECT account_id, mode, key FROM idempotency WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`, micros(now), limit)
}
