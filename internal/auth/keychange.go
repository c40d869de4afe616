package auth

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// MaxOverlap is how long a rotated key may go on beside its successor.
const MaxOverlap = 7 * 24 * time.Hour

// List returns every key of every account, for the operator.
func (k *Keys) List(ctx context.Context) ([]consult.APIKey, error) { return k.store.Keys(ctx) }

// ListScope is a page of an account's keys in both modes, newest first, revoked
// ones too, and the cursor of the next page.
func (k *Keys) ListScope(ctx context.Context, accountID string, p consult.Page) (keys []consult.APIKey, next string, err error) {
	return k.store.KeysOf(ctx, accountID, p)
}

// KeyPatch changes a key; what is nil stays. An empty list clears.
type KeyPatch struct {
	Name             *string
	AllowedOrigins   []string
	AllowedAddresses []netip.Prefix
}

// Update changes the settings of an account's key. A revoked key is a Conflict.
func (k *Keys) Update(ctx context.Context, accountID, id string, actor consult.Actor, p KeyPatch) (*consult.APIKey, error) {
	var c complaints
	name := ""
	if p.Name != nil {
		name = strings.TrimSpace(*p.Name)
		c.name("name", name)
	}
	c.origins(p.AllowedOrigins)
	addresses := c.addresses(p.AllowedAddresses)
	if err := c.err("The key cannot be changed as described."); err != nil {
		return nil, err
	}
	return k.change(ctx, accountID, id, func(key *consult.APIKey, now time.Time) (*consult.APIKey, []consult.Event, error) {
		if key.RevokedAt != nil {
			return nil, nil, consult.Errorf(consult.Conflict, consult.ReasonKeyRevoked, "The key is revoked.")
		}
		if p.Name != nil {
			key.Name = name
		}
		if p.AllowedOrigins != nil {
			key.AllowedOrigins = p.AllowedOrigins
		}
		if p.AllowedAddresses != nil {
			key.AllowedAddresses = addresses
		}
		return nil, []consult.Event{keyEvent(key, consult.EventKeyUpdated, actor, now)}, nil
	})
}

// Rotate replaces a key: its successor has the same settings and the same user,
// and the key itself authenticates for the overlap (0 to 7 days) more. Room and
// dashboard tokens made through it live out their own life: they end early with
// a revocation, not with a rotation, so that no patient's link breaks. A key
// that is revoked, or has a successor already, is a Conflict.
func (k *Keys) Rotate(ctx context.Context, accountID, id string, overlap time.Duration, actor consult.Actor) (secret string, key *consult.APIKey, err error) {
	if overlap < 0 || overlap > MaxOverlap {
		var c complaints
		c.add("overlap", "must be 0 to 7 days")
		return "", nil, c.err("The key cannot be rotated as described.")
	}
	_, err = k.change(ctx, accountID, id, func(old *consult.APIKey, now time.Time) (*consult.APIKey, []consult.Event, error) {
		switch {
		case old.RevokedAt != nil:
			return nil, nil, consult.Errorf(consult.Conflict, consult.ReasonKeyRevoked, "The key is revoked.")
		case old.RotatedTo != "" || old.ExpiresAt != nil:
			return nil, nil, consult.Errorf(consult.Conflict, consult.ReasonKeyExpired, "The key has been rotated already; rotate its successor.")
		}
		secret = newSecret(old.Scope.Mode) // anew, should the transaction run again
		key = copyKey(old)
		key.ID, key.Prefix, key.Hash = consult.NewID(consult.PrefixKey), secret[:shownLength], digest(k.macs[0], secret)
		key.CreatedAt, key.LastUsedAt = now, nil
		end := now.Add(overlap)
		old.ExpiresAt, old.RotatedTo = &end, key.ID
		return key, []consult.Event{
			keyEvent(key, consult.EventKeyCreated, actor, now), keyEvent(old, consult.EventKeyRotated, actor, now),
		}, nil
	})
	if err != nil {
		return "", nil, err
	}
	return secret, key, nil
}

// Revoke is RevokeIn for the operator, of whatever account; calls under way go
// on.
func (k *Keys) Revoke(ctx context.Context, id string, actor consult.Actor) (*consult.APIKey, error) {
	key, err := k.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	return k.RevokeIn(ctx, key.Scope.AccountID, id, actor, false)
}

// Find returns the key of that id, of whatever account, for the operator.
func (k *Keys) Find(ctx context.Context, id string) (*consult.APIKey, error) {
	all, err := k.store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(a consult.APIKey) bool { return a.ID == id })
	if i < 0 {
		return nil, consult.Errorf(consult.NotFound, "", "There is no key of this id.")
	}
	return &all[i], nil
}

// RevokeIn ends an account's key and with it every token made through it; a key
// of another account is NotFound. It acts on every node within half a second,
// through the database. Calls under way go on unless endCalls is set: then they
// end within a second, and each node hears of it on consult.KeyTopic. Revoking a
// revoked key changes nothing, but may still end its calls; the key then counts
// as revoked at that time.
func (k *Keys) RevokeIn(ctx context.Context, accountID, id string, actor consult.Actor, endCalls bool) (*consult.APIKey, error) {
	key, err := k.change(ctx, accountID, id, func(key *consult.APIKey, now time.Time) (*consult.APIKey, []consult.Event, error) {
		if key.RevokedAt != nil && (key.EndCalls || !endCalls) {
			return nil, nil, nil
		}
		// The time of the later call counts, so that looking finds it.
		if key.RevokedAt == nil || endCalls {
			key.RevokedAt = &now
		}
		key.EndCalls = endCalls
		return nil, []consult.Event{keyEvent(key, consult.EventKeyRevoked, actor, now)}, nil
	})
	if err != nil {
		return nil, err
	}
	if err := k.tell(ctx, key); err != nil {
		k.log.Warn("revocation not announced, looked for again", "key", key.ID, "err", err)
	}
	return key, nil
}

func (k *Keys) change(ctx context.Context, accountID, id string,
	apply func(*consult.APIKey, time.Time) (*consult.APIKey, []consult.Event, error),
) (*consult.APIKey, error) {
	if accountID == "" {
		return nil, consult.Errorf(consult.NotFound, "", "There is no key of this id.")
	}
	now := k.now().UTC()
	key, err := k.store.UpdateKey(ctx, accountID, id, func(key *consult.APIKey) (*consult.APIKey, []consult.Event, error) {
		return apply(key, now)
	})
	if err != nil {
		return nil, err
	}
	k.cache.clear()
	return key, nil
}

// tell publishes a revocation and ends the calls if it says so.
func (k *Keys) tell(ctx context.Context, key *consult.APIKey) error {
	var err error
	if k.endCalls != nil && key.EndCalls {
		err = k.endCalls(ctx, key)
	}
	if k.bus == nil {
		return err
	}
	b, jsonErr := json.Marshal(consult.KeyRevoked{KeyID: key.ID, Scope: key.Scope, EndCalls: key.EndCalls})
	if jsonErr != nil {
		return errors.Join(err, jsonErr)
	}
	return errors.Join(err, k.bus.Publish(ctx, consult.KeyTopic(key.ID), b))
}

// look tells of what was revoked elsewhere with its calls. It tells of each key
// once; who hears of it twice has nothing left to end.
func (k *Keys) look(ctx context.Context) {
	if k.bus == nil && k.endCalls == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	since := k.now().UTC().Add(-announceFor)
	ending, err := k.store.KeysEndingCalls(ctx, since)
	if err != nil {
		k.log.Warn("revoked keys not looked for, tried again soon", "err", err)
		return
	}
	for i := range ending {
		key := &ending[i]
		if _, told := k.ended[key.ID]; told {
			continue
		}
		if err := k.tell(ctx, key); err != nil {
			k.log.Warn("revocation not announced, tried again soon", "key", key.ID, "err", err)
			continue
		}
		k.ended[key.ID] = *key.RevokedAt
	}
	for id, at := range k.ended {
		if at.Before(since) {
			delete(k.ended, id)
		}
	}
}
