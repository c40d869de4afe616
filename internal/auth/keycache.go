package auth

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	// keyAge is how old a key's state may be. With the time of a query it stays
	// well below the half second in which a revocation must act.
	keyAge     = 250 * time.Millisecond
	keyTimeout = 2 * time.Second
	maxCached  = 10_000
)

// keyCache keeps keys just read, so that a burst of requests is one query.
// Only found keys are kept: guesses must not fill it.
type keyCache struct {
	now    consult.Clock
	flight singleflight.Group

	mu   sync.Mutex
	keys map[string]cachedKey
}

type cachedKey struct {
	key *consult.APIKey
	at  time.Time // when the query began: the state is at least this fresh
}

func newKeyCache(now consult.Clock) *keyCache {
	return &keyCache{now: now, keys: make(map[string]cachedKey)}
}

// get returns a copy of the key under name, or reads it. Concurrent reads of
// one name are one query, which no single caller's cancellation ends.
func (c *keyCache) get(ctx context.Context, name string, read func(context.Context) (*consult.APIKey, error)) (*consult.APIKey, error) {
	now := c.now()
	c.mu.Lock()
	hit, ok := c.keys[name]
	c.mu.Unlock()
	if ok && now.Sub(hit.at) < keyAge {
		return copyKey(hit.key), nil
	}
	got, err, _ := c.flight.Do(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyTimeout)
		defer cancel()
		began := c.now()
		key, err := read(ctx)
		if err != nil {
			return nil, err
		}
		c.put(name, cachedKey{key, began})
		return key, nil
	})
	if err != nil {
		return nil, err
	}
	return copyKey(got.(*consult.APIKey)), nil
}

func (c *keyCache) put(name string, k cachedKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.keys) >= maxCached {
		for n, old := range c.keys {
			if k.at.Sub(old.at) >= keyAge {
				delete(c.keys, n)
			}
		}
		if len(c.keys) >= maxCached {
			clear(c.keys)
		}
	}
	c.keys[name] = k
}

func (c *keyCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.keys)
}

func copyKey(k *consult.APIKey) *consult.APIKey {
	out := *k
	out.AllowedOrigins = slices.Clone(k.AllowedOrigins)
	out.Scopes = slices.Clone(k.Scopes)
	out.AllowedAddresses = slices.Clone(k.AllowedAddresses)
	return &out
}
