package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	livePrefix = "sk_live_"
	testPrefix = "sk_test_"
	alphabet   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	// randomLength characters of the alphabet hold 256 bits.
	randomLength = 43
	secretLength = len(livePrefix) + randomLength
	// shownLength is how much of a key is kept in clear, for people to tell
	// keys apart; 232 bits stay unknown.
	shownLength = len(livePrefix) + 4

	maxOrigins   = 50
	flushEvery   = 10 * time.Second
	flushTimeout = 5 * time.Second
)

// KeyStore keeps accounts and keys. Its errors are those of consult.Store.
type KeyStore interface {
	// CreateKey inserts the key, and the account when its id is new, with the
	// events, in one transaction.
	CreateKey(ctx context.Context, acc *consult.Account, key *consult.APIKey, ev []consult.Event) error
	AccountByName(ctx context.Context, name string) (*consult.Account, error)
	KeyByHash(ctx context.Context, hash []byte) (*consult.APIKey, error) // revoked ones too
	KeyByID(ctx context.Context, sc consult.Scope, id string) (*consult.APIKey, error)
	Keys(ctx context.Context) ([]consult.APIKey, error) // of every scope, for the operator
	RevokeKey(ctx context.Context, id string, at time.Time, ev []consult.Event) (*consult.APIKey, error)
	TouchKeys(ctx context.Context, used map[string]time.Time) error // key id → last use
}

// Keys makes, checks and revokes API keys. Safe for concurrent use.
type Keys struct {
	store KeyStore
	macs  [][]byte // hash keys, the current one first
	now   consult.Clock
	log   *slog.Logger
	cache *keyCache

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
		cache: newKeyCache(now), used: make(map[string]time.Time),
	}, nil
}

// CreateKeyRequest describes a new key.
type CreateKeyRequest struct {
	// AccountName is the organisation, created on first use; empty means Name.
	AccountName string
	Name        string // what the key is for, 1 to 120 characters
	Email       string // of the key's user; may be empty
	Plan        string // one of consult's plans
	Mode        consult.Mode
	// AllowedOrigins may embed the room, each scheme://host[:port].
	AllowedOrigins []string
}

// Create makes a key and returns its secret, which is stored nowhere and shown
// this once.
func (k *Keys) Create(ctx context.Context, r CreateKeyRequest) (secret string, key *consult.APIKey, err error) {
	if err := r.validate(); err != nil {
		return "", nil, err
	}
	now := k.now().UTC()
	secret = newSecret(r.Mode)
	for range 2 { // again when someone else has just made the account
		if key, err = k.insert(ctx, r, secret, now); !consult.HasCode(err, consult.Conflict) {
			break
		}
	}
	if err != nil {
		return "", nil, err
	}
	return secret, key, nil
}

func (k *Keys) insert(ctx context.Context, r CreateKeyRequest, secret string, now time.Time) (*consult.APIKey, error) {
	acc, err := k.store.AccountByName(ctx, r.AccountName)
	if consult.HasCode(err, consult.NotFound) {
		acc = &consult.Account{ID: consult.NewID(consult.PrefixAccount), Name: r.AccountName, Email: r.Email, CreatedAt: now}
	} else if err != nil {
		return nil, err
	}
	key := &consult.APIKey{
		ID: consult.NewID(consult.PrefixKey), Scope: consult.Scope{AccountID: acc.ID, Mode: r.Mode},
		UserID: consult.NewID(consult.PrefixUser), ProfileID: consult.NewID(consult.PrefixProfile),
		Name: r.Name, Email: r.Email, Plan: r.Plan, Prefix: secret[:shownLength], Hash: digest(k.macs[0], secret),
		AllowedOrigins: r.AllowedOrigins, CreatedAt: now,
	}
	ev := keyEvent(key, consult.EventKeyCreated, consult.Actor{Kind: consult.ActorOperator, ID: "cli"}, now)
	if err := k.store.CreateKey(ctx, acc, key, []consult.Event{ev}); err != nil {
		return nil, err
	}
	return key, nil
}

func (r *CreateKeyRequest) validate() error {
	e := &consult.Error{Code: consult.ValidationError, Message: "The key cannot be made as described."}
	add := func(field, msg string) {
		e.Fields = append(e.Fields, consult.FieldError{Field: field, Message: msg})
	}
	r.Name, r.AccountName = strings.TrimSpace(r.Name), strings.TrimSpace(r.AccountName)
	if r.AccountName == "" {
		r.AccountName = r.Name
	}
	for field, v := range map[string]string{"name": r.Name, "account": r.AccountName} {
		if v == "" || !utf8.ValidString(v) || utf8.RuneCountInString(v) > consult.MaxNameLength {
			add(field, "must be 1 to 120 characters")
		}
	}
	if r.Email != "" {
		if a, err := mail.ParseAddress(r.Email); err != nil || a.Address != r.Email {
			add("email", "must be an e-mail address")
		}
	}
	if !consult.ValidPlan(r.Plan) {
		add("plan", "must be starter, professional or enterprise")
	}
	if !r.Mode.Valid() {
		add("mode", "must be live or test")
	}
	if len(r.AllowedOrigins) > maxOrigins || slices.ContainsFunc(r.AllowedOrigins, func(o string) bool { return !validOrigin(o) }) {
		add("allowed_origins", "must be at most 50 of the form https://host")
	}
	if len(e.Fields) > 0 {
		return e
	}
	return nil
}

// validOrigin reports whether o is an origin as browsers serialise it (RFC 6454
// section 6.2), which makes it safe to copy into a Content-Security-Policy.
func validOrigin(o string) bool {
	u, err := url.Parse(o)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" &&
		o == u.Scheme+"://"+u.Host && !strings.ContainsAny(o, " ;,'\"*")
}

// Authenticate returns the key whose secret this is. A refusal is Unauthorized
// with the reason key_missing, key_invalid or key_revoked. A key revoked in the
// database, by whatever process, is refused at most 250 ms later.
func (k *Keys) Authenticate(ctx context.Context, secret string) (*consult.APIKey, error) {
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
	case key.Scope.Mode != mode || !slices.ContainsFunc(hashes, func(h []byte) bool { return hmac.Equal(h, key.Hash) }):
		return nil, refuseKey(consult.ReasonKeyInvalid)
	case key.RevokedAt != nil:
		return nil, refuseKey(consult.ReasonKeyRevoked)
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

// List returns every key of every account, for the operator.
func (k *Keys) List(ctx context.Context) ([]consult.APIKey, error) { return k.store.Keys(ctx) }

// Revoke ends a key and with it every token made through it. Revoking a
// revoked key changes nothing.
func (k *Keys) Revoke(ctx context.Context, id string, actor consult.Actor) (*consult.APIKey, error) {
	all, err := k.store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(a consult.APIKey) bool { return a.ID == id })
	if i < 0 {
		return nil, consult.Errorf(consult.NotFound, "", "There is no key of this id.")
	}
	if all[i].RevokedAt != nil {
		return &all[i], nil
	}
	now := k.now().UTC()
	key, err := k.store.RevokeKey(ctx, id, now, []consult.Event{keyEvent(&all[i], consult.EventKeyRevoked, actor, now)})
	if err != nil {
		return nil, err
	}
	k.cache.clear()
	return key, nil
}

// Run writes last uses to the store every ten seconds until ctx ends, and once
// more then.
func (k *Keys) Run(ctx context.Context) {
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			k.flush(context.WithoutCancel(ctx))
			return
		case <-t.C:
			k.flush(ctx)
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

// newSecret is sk_live_ or sk_test_ and 256 random bits.
func newSecret(m consult.Mode) string {
	b := make([]byte, 0, secretLength)
	if m == consult.Test {
		b = append(b, testPrefix...)
	} else {
		b = append(b, livePrefix...)
	}
	// Bytes above the last whole multiple of the alphabet would favour its
	// first letters, so they are thrown away.
	const fair = 256 - 256%len(alphabet)
	var random [64]byte
	for len(b) < secretLength {
		_, _ = rand.Read(random[:]) // ends the process rather than fail
		for _, r := range random {
			if int(r) < fair && len(b) < secretLength {
				b = append(b, alphabet[int(r)%len(alphabet)])
			}
		}
	}
	return string(b)
}

// parseSecret reports the mode a well-formed secret names.
func parseSecret(s string) (consult.Mode, bool) {
	if len(s) != secretLength || strings.Trim(s[len(livePrefix):], alphabet) != "" {
		return "", false
	}
	switch s[:len(livePrefix)] {
	case livePrefix:
		return consult.Live, true
	case testPrefix:
		return consult.Test, true
	}
	return "", false
}

func digest(mac []byte, secret string) []byte {
	h := hmac.New(sha256.New, mac)
	h.Write([]byte(secret))
	return h.Sum(nil)
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
