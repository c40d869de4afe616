package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// anywhere is where a request without a known address comes from.
var anywhere netip.Addr

func request(mode consult.Mode) CreateKeyRequest {
	return CreateKeyRequest{AccountName: "Clinic", Name: "web", Email: "it@clinic.example", Plan: consult.PlanStarter,
		Mode: mode, AllowedOrigins: []string{"https://clinic.example"}}
}

func TestCreateAndAuthenticate(t *testing.T) {
	f, c := newStore(), newClock()
	k := newKeys(t, f, secrets(t, 1), c.now)
	for mode, shape := range map[consult.Mode]string{
		consult.Live: `^sk_live_[0-9A-Za-z]{43}$`,
		consult.Test: `^sk_test_[0-9A-Za-z]{43}$`,
	} {
		secret, key, err := k.Create(t.Context(), request(mode))
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(shape).MatchString(secret) || key.Prefix != secret[:12] || len(key.Hash) != 32 {
			t.Errorf("secret of %d characters, prefix %q, hash of %d bytes", len(secret), key.Prefix, len(key.Hash))
		}
		got, err := k.Authenticate(t.Context(), secret, anywhere)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != key.ID || got.Scope != (consult.Scope{AccountID: f.accounts[0].ID, Mode: mode}) || got.UserID == "" || got.ProfileID == "" {
			t.Errorf("got %+v", got)
		}
		got.AllowedOrigins[0] = "changed"
		if again, _ := k.Authenticate(t.Context(), secret, anywhere); again.AllowedOrigins[0] != "https://clinic.example" {
			t.Error("a caller changes the cached key")
		}
		for _, stored := range f.keys {
			if strings.Contains(fmt.Sprintf("%+v", stored), secret[12:]) || bytes.Contains(stored.Hash, []byte(secret[12:])) {
				t.Error("the secret is stored")
			}
		}
		for _, e := range f.events {
			if strings.Contains(string(e.Data), "web") || e.Actor.Kind != consult.ActorOperator || e.Type != consult.EventKeyCreated {
				t.Errorf("event %+v", e)
			}
		}
	}
	if len(f.accounts) != 1 || len(f.keys) != 2 {
		t.Errorf("%d accounts, %d keys", len(f.accounts), len(f.keys))
	}
	list, err := k.List(t.Context())
	if err != nil || len(list) != 2 {
		t.Errorf("list of %d, %v", len(list), err)
	}
}

func TestSecretsDiffer(t *testing.T) {
	seen := map[string]bool{}
	letters := map[rune]int{}
	for range 1000 {
		s := newSecret(consult.Live)
		seen[s] = true
		for _, r := range s[len(livePrefix):] {
			letters[r]++
		}
	}
	if len(seen) != 1000 || len(letters) != len(alphabet) {
		t.Errorf("%d secrets of %d letters", len(seen), len(letters))
	}
}

func TestCreateRefusals(t *testing.T) {
	k := newKeys(t, newStore(), secrets(t, 1), newClock().now)
	for field, spoil := range map[string]func(*CreateKeyRequest){
		"name":            func(r *CreateKeyRequest) { r.Name = " " },
		"account":         func(r *CreateKeyRequest) { r.AccountName = strings.Repeat("x", 121) },
		"email":           func(r *CreateKeyRequest) { r.Email = "Clinic <it@clinic.example>" },
		"plan":            func(r *CreateKeyRequest) { r.Plan = "free" },
		"mode":            func(r *CreateKeyRequest) { r.Mode = "prod" },
		"allowed_origins": func(r *CreateKeyRequest) { r.AllowedOrigins = []string{"https://a.example; script-src *"} },
	} {
		r := request(consult.Live)
		spoil(&r)
		_, _, err := k.Create(t.Context(), r)
		e := consult.AsError(err)
		if e.Code != consult.ValidationError || len(e.Fields) != 1 || e.Fields[0].Field != field {
			t.Errorf("%s: got %v %v", field, err, e.Fields)
		}
	}
}

func TestOrigins(t *testing.T) {
	for o, want := range map[string]bool{
		"https://a.example": true, "http://localhost:3000": true, "https://a.example/": false, "https://a.example/x": false,
		"https://*.example": false, "a.example": false, "https://": false, "ftp://a.example": false, "https://u@a.example": false,
		"https://a.example'": false, "*": false, "": false,
	} {
		if validOrigin(o) != want {
			t.Errorf("%q: want %v", o, want)
		}
	}
}

func TestCreateAfterALostRaceUsesTheWinnersAccount(t *testing.T) {
	f := newStore()
	f.conflict = 1
	_, key, err := newKeys(t, f, secrets(t, 1), newClock().now).Create(t.Context(), request(consult.Live))
	if err != nil || key.Scope.AccountID != "acc_winner" {
		t.Errorf("got %+v, %v", key, err)
	}
}

func TestAuthenticateRefusals(t *testing.T) {
	f, c := newStore(), newClock()
	k := newKeys(t, f, secrets(t, 1), c.now)
	secret, key, err := k.Create(t.Context(), request(consult.Live))
	if err != nil {
		t.Fatal(err)
	}
	revokedSecret, revoked, err := k.Create(t.Context(), request(consult.Live))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Revoke(t.Context(), revoked.ID, consult.System); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct{ secret, reason string }{
		"none":         {"", consult.ReasonKeyMissing},
		"garbage":      {"hello", consult.ReasonKeyInvalid},
		"other mode":   {testPrefix + secret[len(livePrefix):], consult.ReasonKeyInvalid},
		"other prefix": {"pk_live_" + secret[len(livePrefix):], consult.ReasonKeyInvalid},
		"short":        {secret[:len(secret)-1], consult.ReasonKeyInvalid},
		"long":         {secret + "0", consult.ReasonKeyInvalid},
		"other letter": {secret[:len(secret)-1] + "-", consult.ReasonKeyInvalid},
		"unknown":      {newSecret(consult.Live), consult.ReasonKeyInvalid},
		"revoked":      {revokedSecret, consult.ReasonKeyRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := k.Authenticate(t.Context(), x.secret, anywhere)
			wantRefusal(t, err, consult.Unauthorized, x.reason)
			if consult.AsError(err).Message != "Invalid or missing API key." {
				t.Errorf("message %q", consult.AsError(err).Message)
			}
			if len(x.secret) > 0 && strings.Contains(err.Error(), x.secret) {
				t.Error("the error repeats the key")
			}
		})
	}
	// A stored row of the wrong mode or hash must not help.
	f.with(func(f *fakeStore) { f.keys[0].Scope.Mode = consult.Test })
	c.advance(time.Second)
	_, err = k.Authenticate(t.Context(), secret, anywhere)
	wantRefusal(t, err, consult.Unauthorized, consult.ReasonKeyInvalid)
	f.with(func(f *fakeStore) { f.fail = errors.New("disk on fire") })
	_, err = k.Authenticate(t.Context(), newSecret(consult.Live), anywhere)
	wantRefusal(t, err, consult.ServiceUnavailable, "")
	if key.ID == "" {
		t.Error("no id")
	}
}

func TestARevocationInTheDatabaseActsWithinTheCachesAge(t *testing.T) {
	f, c := newStore(), newClock()
	k := newKeys(t, f, secrets(t, 1), c.now)
	secret, key, err := k.Create(t.Context(), request(consult.Live))
	if err != nil {
		t.Fatal(err)
	}
	use := func() error { _, err := k.Authenticate(t.Context(), secret, anywhere); return err }
	byID := func() *consult.APIKey {
		t.Helper()
		got, err := k.KeyByID(t.Context(), key.Scope, key.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for range 100 {
		if err := use(); err != nil {
			t.Fatal(err)
		}
		byID()
	}
	if f.reads != 2 {
		t.Errorf("%d queries for a burst, want one by hash and one by id", f.reads)
	}
	at := c.now()
	f.with(func(f *fakeStore) { f.keys[0].RevokedAt = &at })
	c.advance(keyAge - time.Nanosecond)
	if err := use(); err != nil {
		t.Errorf("not cached: %v", err)
	}
	c.advance(time.Nanosecond)
	wantRefusal(t, use(), consult.Unauthorized, consult.ReasonKeyRevoked)
	if byID().RevokedAt == nil {
		t.Error("KeyByID does not see the revocation")
	}
	_, err = k.KeyByID(t.Context(), consult.Scope{AccountID: key.Scope.AccountID, Mode: consult.Test}, key.ID)
	if !consult.HasCode(err, consult.NotFound) {
		t.Errorf("a key of another scope: %v", err)
	}
}

func TestRevoke(t *testing.T) {
	f, c := newStore(), newClock()
	k := newKeys(t, f, secrets(t, 1), c.now)
	secret, key, err := k.Create(t.Context(), request(consult.Live))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Authenticate(t.Context(), secret, anywhere); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := k.Revoke(t.Context(), key.ID, consult.System)
		if err != nil || got.RevokedAt == nil {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	// At once in this process: the cache is emptied.
	_, err = k.Authenticate(t.Context(), secret, anywhere)
	wantRefusal(t, err, consult.Unauthorized, consult.ReasonKeyRevoked)
	if len(f.events) != 2 || f.events[1].Type != consult.EventKeyRevoked || f.events[1].Scope != key.Scope {
		t.Errorf("events %+v", f.events)
	}
	if _, err := k.Revoke(t.Context(), "key_none", consult.System); !consult.HasCode(err, consult.NotFound) {
		t.Errorf("got %v", err)
	}
}

func TestKeysOutliveARotationOfTheSecret(t *testing.T) {
	f, c := newStore(), newClock()
	secret, _, err := newKeys(t, f, secrets(t, 1), c.now).Create(t.Context(), request(consult.Live))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newKeys(t, f, secrets(t, 2, 1), c.now).Authenticate(t.Context(), secret, anywhere); err != nil {
		t.Errorf("with the previous secret: %v", err)
	}
	_, err = newKeys(t, f, secrets(t, 2), c.now).Authenticate(t.Context(), secret, anywhere)
	wantRefusal(t, err, consult.Unauthorized, consult.ReasonKeyInvalid)
}

func TestConcurrentUse(t *testing.T) {
	f := newStore()
	k := newKeys(t, f, secrets(t, 1), time.Now)
	secret, _, err := k.Create(t.Context(), request(consult.Live))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 50 {
				if _, err := k.Authenticate(t.Context(), secret, anywhere); err != nil {
					t.Error(err)
				}
				k.flush(t.Context())
			}
		})
	}
	wg.Wait()
}

func TestTheCacheIsBounded(t *testing.T) {
	c := newClock()
	cache := newKeyCache(c.now)
	read := func(context.Context) (*consult.APIKey, error) { return &consult.APIKey{}, nil }
	for i := range maxCached * 3 {
		if i == maxCached+10 {
			c.advance(time.Second)
		}
		if _, err := cache.get(t.Context(), fmt.Sprint(i), read); err != nil {
			t.Fatal(err)
		}
	}
	if len(cache.keys) > maxCached {
		t.Errorf("%d entries", len(cache.keys))
	}
}

func TestRunFlushesLastUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newStore()
		k := newKeys(t, f, secrets(t, 1), time.Now)
		secret, key, err := k.Create(t.Context(), request(consult.Live))
		if err != nil {
			t.Fatal(err)
		}
		use := func() time.Time {
			t.Helper()
			if _, err := k.Authenticate(t.Context(), secret, anywhere); err != nil {
				t.Fatal(err)
			}
			return time.Now().UTC()
		}
		fail := func(err error) { f.with(func(f *fakeStore) { f.fail = err }) }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); k.Run(ctx) }()

		use()
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock
		last := use()
		time.Sleep(flushEvery) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		if len(f.touched) != 1 || !f.touched[0][key.ID].Equal(last) {
			t.Fatalf("touched %v, want %v", f.touched, last)
		}
		fail(errors.New("busy"))
		time.Sleep(2 * flushEvery) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		if len(f.touched) != 1 {
			t.Fatal("an idle key is written again")
		}
		fail(nil)
		last = use()
		fail(errors.New("busy"))
		time.Sleep(flushEvery) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		fail(nil)
		cancel()
		<-ended
		if len(f.touched) != 2 || !f.touched[1][key.ID].Equal(last) {
			t.Errorf("touched %v, want %v kept over the failure and flushed at the end", f.touched, last)
		}
	})
}
