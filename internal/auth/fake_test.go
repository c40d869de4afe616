package auth

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a consult.Clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: start} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// fakeStore is a KeyStore and RevocationStore in memory.
type fakeStore struct {
	mu       sync.Mutex
	accounts []consult.Account
	keys     []consult.APIKey
	events   []consult.Event
	touched  []map[string]time.Time
	epochs   map[string]int
	revoked  map[string]time.Time // jti → expiry
	reads    int                  // KeyByHash and KeyByID
	fail     error                // of every call
	conflict int                  // how many CreateKey calls lose a race
}

func newStore() *fakeStore {
	return &fakeStore{epochs: map[string]int{}, revoked: map[string]time.Time{}}
}

var missing = consult.Errorf(consult.NotFound, "", "not found")

func (f *fakeStore) CreateKey(_ context.Context, acc *consult.Account, key *consult.APIKey, ev []consult.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	if f.conflict > 0 {
		f.conflict--
		f.accounts = append(f.accounts, consult.Account{ID: "acc_winner", Name: acc.Name})
		return consult.Errorf(consult.Conflict, "", "account exists")
	}
	if !slices.ContainsFunc(f.accounts, func(a consult.Account) bool { return a.ID == acc.ID }) {
		f.accounts = append(f.accounts, *acc)
	}
	f.keys, f.events = append(f.keys, *key), append(f.events, ev...)
	return nil
}

func (f *fakeStore) AccountByName(_ context.Context, name string) (*consult.Account, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.accounts {
		if a.Name == name {
			return &a, nil
		}
	}
	return nil, missing
}

func (f *fakeStore) find(match func(consult.APIKey) bool) (*consult.APIKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	if f.fail != nil {
		return nil, f.fail
	}
	if i := slices.IndexFunc(f.keys, match); i >= 0 {
		k := f.keys[i]
		return &k, nil
	}
	return nil, missing
}

func (f *fakeStore) KeyByHash(_ context.Context, hash []byte) (*consult.APIKey, error) {
	return f.find(func(k consult.APIKey) bool { return bytes.Equal(k.Hash, hash) })
}

func (f *fakeStore) KeyByID(_ context.Context, sc consult.Scope, id string) (*consult.APIKey, error) {
	return f.find(func(k consult.APIKey) bool { return k.ID == id && k.Scope == sc })
}

func (f *fakeStore) Keys(context.Context) ([]consult.APIKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.keys), f.fail
}

func (f *fakeStore) Account(_ context.Context, id string) (*consult.Account, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.accounts {
		if a.ID == id {
			return &a, nil
		}
	}
	return nil, missing
}

func (f *fakeStore) KeysOf(_ context.Context, accountID string, p consult.Page) ([]consult.APIKey, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, limit, err := p.Read()
	var out []consult.APIKey
	for _, k := range slices.Backward(f.keys) {
		if k.Scope.AccountID == accountID && len(out) < limit {
			out = append(out, k)
		}
	}
	return out, "", err
}

func (f *fakeStore) KeysEndingCalls(_ context.Context, since time.Time) ([]consult.APIKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []consult.APIKey
	for _, k := range f.keys {
		if k.EndCalls && !k.RevokedAt.Before(since) {
			out = append(out, k)
		}
	}
	return out, f.fail
}

func (f *fakeStore) UpdateKey(_ context.Context, accountID, id string,
	change func(*consult.APIKey) (*consult.APIKey, []consult.Event, error),
) (*consult.APIKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.keys, func(k consult.APIKey) bool { return k.ID == id && k.Scope.AccountID == accountID })
	if i < 0 {
		return nil, missing
	}
	k := f.keys[i]
	successor, ev, err := change(&k)
	if err != nil || len(ev) == 0 {
		return &k, err
	}
	f.keys[i] = k
	if successor != nil {
		f.keys = append(f.keys, *successor)
	}
	f.events = append(f.events, ev...)
	return &k, nil
}

func (f *fakeStore) TouchKeys(_ context.Context, used map[string]time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	f.touched = append(f.touched, maps.Clone(used))
	return nil
}

func (f *fakeStore) TokenEpoch(_ context.Context, _ consult.Scope, sessionID string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return 0, f.fail
	}
	n, ok := f.epochs[sessionID]
	if !ok {
		return 0, missing
	}
	return n, nil
}

func (f *fakeStore) RevokeToken(_ context.Context, _ consult.Scope, jti string, expires time.Time, ev []consult.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revoked[jti], f.events = expires, append(f.events, ev...)
	return nil
}

func (f *fakeStore) TokenRevoked(_ context.Context, _ consult.Scope, jti string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.revoked[jti]
	return ok, f.fail
}

func (f *fakeStore) with(change func(*fakeStore)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func secretOf(b byte) []byte { return bytes.Repeat([]byte{b}, MinSecret) }

func secrets(tb testing.TB, current byte, previous ...byte) *Secrets {
	tb.Helper()
	var before []byte
	for _, b := range previous {
		before = secretOf(b)
	}
	s, err := NewSecrets(secretOf(current), before)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func newKeys(tb testing.TB, f *fakeStore, s *Secrets, now consult.Clock) *Keys {
	tb.Helper()
	k, err := NewKeys(f, s, now, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func newTokens(tb testing.TB, f *fakeStore, s *Secrets, now consult.Clock) *Tokens {
	tb.Helper()
	t, err := NewTokens(s, f, f, now)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// wantRefusal checks code and reason of err.
func wantRefusal(tb testing.TB, err error, code consult.Code, reason string) {
	tb.Helper()
	if err == nil {
		tb.Fatalf("accepted, want %s", reason)
	}
	if e := consult.AsError(err); e.Code != code || e.Reason != reason {
		tb.Fatalf("got %s/%s, want %s/%s (%v)", e.Code, e.Reason, code, reason, err)
	}
}
