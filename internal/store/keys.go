package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

const keyColumns = `k.id, k.account_id, k.mode, k.user_id, u.profile_id, u.name, u.email, k.plan, k.prefix, k.hash,
	k.allowed_origins, k.scopes, k.allowed_addresses, k.created_at, k.last_used_at, k.expires_at, k.rotated_to,
	k.revoked_at, k.end_calls`

// keysAndUsers binds a key to its user within their scope.
const keysAndUsers = ` FROM api_keys k
	JOIN users u ON ` + userOfKey

const userOfKey = `u.account_id = k.account_id AND u.mode = k.mode AND u.id = k.user_id `

// keysInOrder is the same, and keeps the order of the keys' index: every key has
// its user, but only an outer join cannot begin with the users.
const keysInOrder = ` FROM api_keys k LEFT JOIN users u ON ` + userOfKey

func scanKey(r scanner, k *consult.APIKey) error {
	var hash, origins, scopes, addresses string
	err := r.Scan(&k.ID, &k.Scope.AccountID, &k.Scope.Mode, &k.UserID, &k.ProfileID, &k.Name, &k.Email, &k.Plan, &k.Prefix,
		&hash, &origins, &scopes, &addresses, scanTime{&k.CreatedAt}, scanTimePtr{&k.LastUsedAt}, scanTimePtr{&k.ExpiresAt},
		&k.RotatedTo, scanTimePtr{&k.RevokedAt}, &k.EndCalls)
	if err != nil {
		return err
	}
	if k.Hash, err = hex.DecodeString(hash); err != nil {
		return fmt.Errorf("key %s: hash: %w", k.ID, err)
	}
	err = errors.Join(json.Unmarshal([]byte(origins), &k.AllowedOrigins),
		json.Unmarshal([]byte(scopes), &k.Scopes), json.Unmarshal([]byte(addresses), &k.AllowedAddresses))
	if err != nil {
		return fmt.Errorf("key %s: settings: %w", k.ID, err)
	}
	if len(k.Scopes) == 0 {
		k.Scopes = nil
	}
	if len(k.AllowedAddresses) == 0 {
		k.AllowedAddresses = nil
	}
	return nil
}

// keySettings are the lists of a key as JSON. An empty list of scopes or
// addresses is [].
func keySettings(k *consult.APIKey) (origins, scopes, addresses string, err error) {
	text := func(v any) string {
		b, e := json.Marshal(v)
		err = errors.Join(err, e)
		return string(b)
	}
	origins = text(k.AllowedOrigins)
	scopes = text(append([]consult.KeyScope{}, k.Scopes...))
	addresses = text(append([]netip.Prefix{}, k.AllowedAddresses...))
	if err != nil {
		err = fmt.Errorf("key %s: settings: %w", k.ID, err)
	}
	return origins, scopes, addresses, err
}

// CreateKey inserts key, its user when that id is new, and acc when its id is
// new. Another account of the same name is a Conflict. Operator.
func (s *Store) CreateKey(ctx context.Context, acc *consult.Account, key *consult.APIKey, events []consult.Event) error {
	if acc.ID != key.Scope.AccountID || !key.Scope.Mode.Valid() {
		return s.public(fmt.Errorf("key %s does not belong to account %s, or has no mode", key.ID, acc.ID))
	}
	return s.write(ctx, func(ctx context.Context, q *querier) error {
		if err := q.createOwner(ctx, acc, key); err != nil {
			return err
		}
		if err := q.insertKey(ctx, key); err != nil {
			return err
		}
		return q.record(ctx, key.Scope, events)
	})
}

func (q *querier) insertKey(ctx context.Context, key *consult.APIKey) error {
	origins, scopes, addresses, err := keySettings(key)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `INSERT INTO api_keys (id, account_id, mode, user_id, plan, prefix, hash, allowed_origins, scopes,
			allowed_addresses, created_at, last_used_at, expires_at, rotated_to, revoked_at, end_calls)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		key.ID, key.Scope.AccountID, key.Scope.Mode, key.UserID, key.Plan, key.Prefix, hex.EncodeToString(key.Hash),
		origins, scopes, addresses, micros(key.CreatedAt), microsPtr(key.LastUsedAt), microsPtr(key.ExpiresAt),
		key.RotatedTo, microsPtr(key.RevokedAt), key.EndCalls)
	return err
}

// createOwner inserts what a key needs and does not find: its account, that
// account's scope in the key's mode, and its user.
func (q *querier) createOwner(ctx context.Context, acc *consult.Account, key *consult.APIKey) error {
	_, err := q.exec(ctx, `INSERT INTO accounts (id, name, email, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING`,
		acc.ID, clean(acc.Name), clean(acc.Email), micros(acc.CreatedAt))
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `INSERT INTO scopes (account_id, mode, audit_mac) VALUES ($1, $2, $3) ON CONFLICT (account_id, mode) DO NOTHING`,
		key.Scope.AccountID, key.Scope.Mode, q.signer.sign(key.Scope, chainHead{}))
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
	return s.account(ctx, `name`, clean(name))
}

// Account returns the account of that id.
func (s *Store) Account(ctx context.Context, id string) (*consult.Account, error) {
	return s.account(ctx, `id`, id)
}

func (s *Store) account(ctx context.Context, column, value string) (*consult.Account, error) {
	var a *consult.Account
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		a, err = one(ctx, q, "account", func(r scanner, a *consult.Account) error {
			return r.Scan(&a.ID, &a.Name, &a.Email, scanTime{&a.CreatedAt})
		}, `SELECT id, name, email, created_at FROM accounts WHERE `+column+` = $1`, value)
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

// KeysOf lists the keys of an account in both modes, newest first, revoked ones
// too, and the cursor of the next page.
func (s *Store) KeysOf(ctx context.Context, accountID string, p consult.Page) (items []consult.APIKey, next string, err error) {
	f := newFilter(`k.`, accountID)
	return keyset(ctx, s, p, f, `SELECT `+keyColumns+keysInOrder, `k.created_at`, `k.id`, descending, scanKey,
		func(k *consult.APIKey) consult.Cursor { return consult.Cursor{At: k.CreatedAt, ID: k.ID} })
}

// UpdateKey locks the account's key, calls change, and stores its name, lists,
// expiry, revocation and successor with the events; change returning no event
// and no error stores nothing. A successor that change returns is inserted in
// the same transaction; it belongs to the scope and the user of the key. change
// may run more than once and must not use the store.
func (s *Store) UpdateKey(ctx context.Context, accountID, id string,
	change func(*consult.APIKey) (successor *consult.APIKey, events []consult.Event, err error),
) (*consult.APIKey, error) {
	var out *consult.APIKey
	err := s.write(ctx, func(ctx context.Context, q *querier) error {
		k, err := one(ctx, q, "key", scanKey, `SELECT `+keyColumns+keysAndUsers+`WHERE k.account_id = $1 AND k.id = $2`+q.dialect.lockRow,
			accountID, id)
		if err != nil {
			return err
		}
		out = k
		successor, events, err := change(k)
		if err != nil || len(events) == 0 {
			return err
		}
		if err := q.storeKey(ctx, k); err != nil {
			return err
		}
		if successor != nil {
			successor.Scope, successor.UserID, successor.ProfileID = k.Scope, k.UserID, k.ProfileID
			if err := q.insertKey(ctx, successor); err != nil {
				return err
			}
		}
		return q.record(ctx, k.Scope, events)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (q *querier) storeKey(ctx context.Context, k *consult.APIKey) error {
	origins, scopes, addresses, err := keySettings(k)
	if err != nil {
		return err
	}
	k.Name = clean(k.Name)
	k.ExpiresAt, k.RevokedAt = truncatedPtr(k.ExpiresAt), truncatedPtr(k.RevokedAt)
	_, err = q.exec(ctx, `UPDATE api_keys SET allowed_origins = $1, scopes = $2, allowed_addresses = $3, expires_at = $4,
			rotated_to = $5, revoked_at = $6, end_calls = $7 WHERE account_id = $8 AND mode = $9 AND id = $10`,
		origins, scopes, addresses, microsPtr(k.ExpiresAt), k.RotatedTo, microsPtr(k.RevokedAt), k.EndCalls,
		k.Scope.AccountID, k.Scope.Mode, k.ID)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `UPDATE users SET name = $1 WHERE account_id = $2 AND mode = $3 AND id = $4 AND name <> $1`,
		k.Name, k.Scope.AccountID, k.Scope.Mode, k.UserID)
	return err
}

// KeysEndingCalls lists the keys revoked since then whose calls end with them.
// System: all scopes.
func (s *Store) KeysEndingCalls(ctx context.Context, since time.Time) ([]consult.APIKey, error) {
	var out []consult.APIKey
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		out, err = list(ctx, q, scanKey, `SELECT `+keyColumns+keysAndUsers+`WHERE k.end_calls AND k.revoked_at >= $1
			ORDER BY k.revoked_at, k.id`, micros(since))
		return err
	})
	return out, err
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
