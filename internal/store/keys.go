package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

const keyColumns = `k.id, k.account_id, k.mode, k.user_id, u.profile_id, u.name, u.email, k.plan, k.prefix, k.hash,
	k.allowed_origins, k.created_at, k.last_used_at, k.revoked_at`

// keysAndUsers binds a key to its user within their scope.
const keysAndUsers = ` FROM api_keys k
	JOIN users u ON u.account_id = k.account_id AND u.mode = k.mode AND u.id = k.user_id `

func scanKey(r scanner, k *consult.APIKey) error {
	var hash, origins string
	err := r.Scan(&k.ID, &k.Scope.AccountID, &k.Scope.Mode, &k.UserID, &k.ProfileID, &k.Name, &k.Email, &k.Plan, &k.Prefix,
		&hash, &origins, scanTime{&k.CreatedAt}, scanTimePtr{&k.LastUsedAt}, scanTimePtr{&k.RevokedAt})
	if err != nil {
		return err
	}
	if k.Hash, err = hex.DecodeString(hash); err != nil {
		return fmt.Errorf("key %s: hash: %w", k.ID, err)
	}
	if err := json.Unmarshal([]byte(origins), &k.AllowedOrigins); err != nil {
		return fmt.Errorf("key %s: origins: %w", k.ID, err)
	}
	return nil
}

// CreateKey inserts key, its user when that id is new, and acc when its id is
// new. Another account of the same name is a Conflict. Operator.
func (s *Store) CreateKey(ctx context.Context, acc *consult.Account, key *consult.APIKey, events []consult.Event) error {
	if acc.ID != key.Scope.AccountID || !key.Scope.Mode.Valid() {
		return s.public(fmt.Errorf("key %s does not belong to account %s, or has no mode", key.ID, acc.ID))
	}
	origins, err := json.Marshal(key.AllowedOrigins)
	if err != nil {
		return s.public(fmt.Errorf("key %s: origins: %w", key.ID, err))
	}
	return s.write(ctx, func(ctx context.Context, q *querier) error {
		if err := q.createOwner(ctx, acc, key); err != nil {
			return err
		}
		_, err = q.exec(ctx, `INSERT INTO api_keys (id, account_id, mode, user_id, plan, prefix, hash, allowed_origins,
				created_at, last_used_at, revoked_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			key.ID, key.Scope.AccountID, key.Scope.Mode, key.UserID, key.Plan, key.Prefix, hex.EncodeToString(key.Hash),
			string(origins), micros(key.CreatedAt), microsPtr(key.LastUsedAt), microsPtr(key.RevokedAt))
		if err != nil {
			return err
		}
		return q.record(ctx, key.Scope, events)
	})
}

// createOwner inserts what a key needs and does not find: its account, that
// account's scope in the key's mode, and its user.
func (q *querier) createOwner(ctx context.Context, acc *consult.Account, key *consult.APIKey) error {
	_, err := q.exec(ctx, `INSERT INTO accounts (id, name, email, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING`,
		acc.ID, clean(acc.Name), clean(acc.Email), micros(acc.CreatedAt))
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `INSERT INTO scopes (account_id, mode) VALUES ($1, $2) ON CONFLICT (account_id, mode) DO NOTHING`,
		key.Scope.AccountID, key.Scope.Mode)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `INSERT INTO users (id, account_id, mode, profile_id, name, email, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING`,
		key.UserID, key.Scope.AccountID, key.Scope.Mode, key.ProfileID, clean(key.Name), clean(key.Email), micros(key.CreatedAt))
	return err
}

// AccountByName returns the account of that name. Operator.
func (s *Store) AccountByName(ctx context.Context, name string) (*consult.Account, error) {
	var a *consult.Account
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		a, err = one(ctx, q, "account", func(r scanner, a *consult.Account) error {
			return r.Scan(&a.ID, &a.Name, &a.Email, scanTime{&a.CreatedAt})
		}, `SELECT id, name, email, created_at FROM accounts WHERE name = $1`, clean(name))
		return err
	})
	return a, err
}

// KeyByHash returns the key of that hash, revoked ones too. System: it is what
// finds out the scope of a request.
func (s *Store) KeyByHash(ctx context.Context, hash []byte) (*consult.APIKey, error) {
	return s.key(ctx, `SELECT `+keyColumns+keysAndUsers+`WHERE k.hash = $1`, hex.EncodeToString(hash))
}

// KeyByID returns the key of that id, revoked ones too.
func (s *Store) KeyByID(ctx context.Context, sc consult.Scope, id string) (*consult.APIKey, error) {
	return s.key(ctx, `SELECT `+keyColumns+keysAndUsers+`WHERE k.account_id = $1 AND k.mode = $2 AND k.id = $3`,
		sc.AccountID, sc.Mode, id)
}

func (s *Store) key(ctx context.Context, query string, args ...any) (*consult.APIKey, error) {
	var k *consult.APIKey
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		k, err = one(ctx, q, "key", scanKey, query, args...)
		return err
	})
	return k, err
}

// Keys lists every key, oldest first, revoked ones too. Operator: all scopes.
func (s *Store) Keys(ctx context.Context) ([]consult.APIKey, error) {
	var out []consult.APIKey
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		out, err = list(ctx, q, scanKey, `SELECT `+keyColumns+keysAndUsers+`ORDER BY k.created_at, k.id`)
		return err
	})
	return out, err
}

// RevokeKey notes that the key no longer opens anything. Revoking twice keeps
// the first time, and the events are not written again. Operator: all scopes;
// an event without a scope gets the key's.
func (s *Store) RevokeKey(ctx context.Context, id string, at time.Time, events []consult.Event) (*consult.APIKey, error) {
	var k *consult.APIKey
	err := s.write(ctx, func(ctx context.Context, q *querier) error {
		n, err := q.exec(ctx, `UPDATE api_keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL`, micros(at), id)
		if err != nil {
			return err
		}
		k, err = one(ctx, q, "key", scanKey, `SELECT `+keyColumns+keysAndUsers+`WHERE k.id = $1`, id)
		if err != nil || n == 0 {
			return err
		}
		return q.record(ctx, k.Scope, events)
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// TouchKeys notes when keys were last used: key id → time. An older time than
// the stored one changes nothing, nor does an unknown id. System: all scopes.
func (s *Store) TouchKeys(ctx context.Context, used map[string]time.Time) error {
	if len(used) == 0 {
		return nil
	}
	return s.write(ctx, func(ctx context.Context, q *querier) error {
		// Two nodes touch the same keys; one order keeps them from a deadlock.
		for _, id := range slices.Sorted(maps.Keys(used)) {
			at := micros(used[id])
			_, err := q.exec(ctx, `UPDATE api_keys SET last_used_at = $1
				WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)`, at, id)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// KeyOfSession returns the key that created a consultation, revoked ones too.
// System: the page of a room is asked for by id alone, before any token is
// seen, and needs to know who may embed it.
func (s *Store) KeyOfSession(ctx context.Context, sessionID string) (*consult.APIKey, error) {
	return s.key(ctx, `SELECT `+keyColumns+keysAndUsers+`WHERE EXISTS (SELECT 1 FROM consultations c
		WHERE c.id = $1 AND c.key_id = k.id AND c.account_id = k.account_id AND c.mode = k.mode)`, sessionID)
}
