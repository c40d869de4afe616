package auth

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	flushEvery   = 10 * time.Second
	flushTimeout = 5 * time.Second
	lookEvery    = 500 * time.Millisecond
	lookTimeout  = 2 * time.Second
	// announceFor is how long after its revocation a key is still announced: a
	// node that was cut off from the database for less misses nothing.
	announceFor = time.Minute
)

// KeyStore keeps accounts and keys. Its errors are those of consult.Store.
type KeyStore interface {
	KeyReader
	KeyWriter
}

// KeyReader finds keys, revoked ones too.
type KeyReader interface {
	Account(ctx context.Context, id string) (*consult.Account, error)
	AccountByName(ctx context.Context, name string) (*consult.Account, error)
	KeyByHash(ctx context.Context, hash []byte) (*consult.APIKey, error)
	KeyByID(ctx context.Context, sc consult.Scope, id string) (*consult.APIKey, error)
	Keys(ctx context.Context) ([]consult.APIKey, error) // of every scope, for the operator
	// KeysOf is a page of an account's keys in both modes, newest first.
	KeysOf(ctx context.Context, accountID string, p consult.Page) ([]consult.APIKey, string, error)
	// KeysEndingCalls are those revoked since then whose calls end with them.
	KeysEndingCalls(ctx context.Context, since time.Time) ([]consult.APIKey, error)
}

// KeyWriter changes keys, each call in one transaction with its events.
type KeyWriter interface {
	// CreateKey inserts the key, and the account when its id is new.
	CreateKey(ctx context.Context, acc *consult.Account, key *consult.APIKey, ev []consult.Event) error
	// UpdateKey locks the account's key, calls change, and stores the key, with a
	// successor if there is one. No event and no error stores nothing.
	UpdateKey(ctx context.Context, accountID, id string,
		change func(*consult.APIKey) (successor *consult.APIKey, ev []consult.Event, err error)) (*consult.APIKey, error)
	TouchKeys(ctx context.Context, used map[string]time.Time) error // key id → last use
}

// Bus tells every node of a revocation; consult.Bus is one.
type Bus interface {
	Publish(ctx context.Context, topic string, payload []byte) error
}

// Keys makes, checks and revokes API keys. Safe for concurrent use.
type Keys struct {
	store KeyStore
	macs  [][]byte // hash keys, the current one first
	now   consult.Clock
	log   *slog.Logger
	cache *keyCache
	bus   Bus // nil where nobody listens, as on the command line
	// endCalls ends the calls of a key; nil on the command line.
	endCalls func(context.Context, *consult.APIKey) error

	// Owned by Run: the keys whose end of calls it announced, by id, with the
	// time of their revocation; older than announceFor they are forgotten.
	ended map[string]time.Time

	mu   sync.Mutex
	used map[string]time.Time // last uses not yet flushed, by key id
}

// NewKeys returns Keys over store. Keys made under the previous secret are
// recognised as long as secrets has it.
func NewKeys(store KeyStore, secrets *Secrets, now consult.Clock, log *slog.Logger) (*Keys, error) {
	macs, err := secrets.Derive(PurposeKeyHash)
	if err != nil {
		return nil, err
	}
	return &Keys{
		store: store, macs: macs, now: now, log: log,
		cache: newKeyCache(now),
		used:  make(map[string]time.Time), ended: make(map[string]time.Time),
	}, nil
}

// OnEndCalls has fn end the calls of each key that is revoked with them, on
// every node, possibly more than once. Set before use.
func (k *Keys) OnEndCalls(fn func(context.Context, *consult.APIKey) error) { k.endCalls = fn }

// Announce has revocations published on bus (JSON consult.KeyRevoked on
// consult.KeyTopic). Set before use.
func (k *Keys) Announce(bus Bus) { k.bus = bus }

// Authenticate returns the key whose secret this is, for a request from that
// address. A refusal is Unauthorized with the reason key_missing, key_invalid,
// key_revoked or key_expired (a rotated key after its overlap), or Forbidden
// with key_address. A key changed in the database, by whatever process, is seen
// at most 250 ms later.
func (k *Keys) Authenticate(ctx context.Context, secret string, from netip.Addr) (*consult.APIKey, error) {
	if secret == "" {
		return nil, refuseKey(consult.ReasonKeyMissing)
	}
	mode, ok := parseSecret(secret)
	if !ok {
		return nil, refuseKey(consult.ReasonKeyInvalid)
	}
	var hashes [][]byte
	for _, mac := range k.macs {
		hashes = append(hashes, digest(mac, secret))
	}
	key, err := k.cache.get(ctx, "hash "+string(hashes[0]), func(ctx context.Context) (*consult.APIKey, error) {
		return k.byHash(ctx, hashes)
	})
	switch {
	case consult.HasCode(err, consult.NotFound):
		return nil, refuseKey(consult.ReasonKeyInvalid)
	case err != nil:
		return nil, unavailable(err)
	// The database finds a key by a keyed hash that a caller cannot steer, and
	// the hashes are compared in constant time.
	case key.Scope.Mode != mode || !slices.ContainsFunc(hashes, func(h []byte) bool { return hmac.Equal(h, key.Hash) }):
		return nil, refuseKey(consult.ReasonKeyInvalid)
	case key.RevokedAt != nil:
		return nil, refuseKey(consult.ReasonKeyRevoked)
	case key.Expired(k.now()):
		return nil, refuseKey(consult.ReasonKeyExpired)
	case !key.AllowsAddress(from):
		return nil, consult.Errorf(consult.Forbidden, consult.ReasonKeyAddress, "This API key may not be used from this address.")
	}
	k.touch(key.ID)
	return key, nil
}

// byHash tries the hash under the current secret, then the previous one's.
func (k *Keys) byHash(ctx context.Context, hashes [][]byte) (key *consult.APIKey, err error) {
	for _, h := range hashes {
		if key, err = k.store.KeyByHash(ctx, h); !consult.HasCode(err, consult.NotFound) {
			break
		}
	}
	return key, err
}

// KeyByID returns a key of the scope, revoked or not, at most 250 ms old.
func (k *Keys) KeyByID(ctx context.Context, sc consult.Scope, id string) (*consult.APIKey, error) {
	return k.cache.get(ctx, "id "+sc.AccountID+" "+string(sc.Mode)+" "+id, func(ctx context.Context) (*consult.APIKey, error) {
		return k.store.KeyByID(ctx, sc, id)
	})
}

// Run writes last uses to the store every ten seconds until ctx ends, and once
// more then. Twice a second it looks for keys that another process, such as the
// command line, revoked together with their calls, and announces them.
func (k *Keys) Run(ctx context.Context) {
	flush, look := time.NewTicker(flushEvery), time.NewTicker(lookEvery)
	defer flush.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			k.flush(context.WithoutCancel(ctx))
			return
		case <-flush.C:
			k.flush(ctx)
		case <-look.C:
			k.look(ctx)
		}
	}
}

func (k *Keys) touch(id string) {
	now := k.now().UTC()
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.After(k.used[id]) {
		k.used[id] = now
	}
}

func (k *Keys) flush(ctx context.Context) {
	k.mu.Lock()
	batch := k.used
	k.used = make(map[string]time.Time)
	k.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	err := k.store.TouchKeys(ctx, batch)
	if err == nil {
		return
	}
	k.log.Warn("last uses of keys not stored, tried again later", "keys", len(batch), "err", err)
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, at := range batch {
		if at.After(k.used[id]) {
			k.used[id] = at
		}
	}
}

func keyEvent(k *consult.APIKey, typ consult.EventType, actor consult.Actor, at time.Time) consult.Event {
	data, err := json.Marshal(map[string]string{"key_id": k.ID, "plan": k.Plan})
	if err != nil { // strings always marshal
		data = nil
	}
	return consult.Event{ID: consult.NewID(consult.PrefixEvent), Type: typ, Scope: k.Scope, Actor: actor, At: at, Data: data}
}

// refuseKey has the documented message for every reason.
func refuseKey(reason string) error {
	return consult.Errorf(consult.Unauthorized, reason, "Invalid or missing API key.")
}

// unavailable keeps a store's own code; anything else means that nobody can be
// authenticated now, which is not the caller's fault.
func unavailable(err error) error {
	if e := consult.AsError(err); e.Code != consult.InternalError {
		return e
	}
	return &consult.Error{Code: consult.ServiceUnavailable, Message: "Temporary downtime. Please try again.", Err: err}
}
