package auth

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// recordingBus keeps what is published.
type recordingBus struct {
	topics []string
	told   []consult.KeyRevoked
	fail   error
}

func (b *recordingBus) Publish(_ context.Context, topic string, payload []byte) error {
	if b.fail != nil {
		return b.fail
	}
	var m consult.KeyRevoked
	if err := json.Unmarshal(payload, &m); err != nil {
		return err
	}
	b.topics, b.told = append(b.topics, topic), append(b.told, m)
	return nil
}

func created(t *testing.T, k *Keys, r CreateKeyRequest) (string, *consult.APIKey) {
	t.Helper()
	secret, key, err := k.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return secret, key
}

func TestScopesOfAKey(t *testing.T) {
	k := newKeys(t, newStore(), secrets(t, 1), newClock().now)
	_, plain := created(t, k, request(consult.Live))
	if !plain.Has(consult.ScopeConsultations) || !plain.Has(consult.ScopeRecordings) || plain.Has(consult.ScopeAdmin) {
		t.Errorf("by default: %v", plain.Scopes)
	}
	r := request(consult.Live)
	r.Scopes = []consult.KeyScope{consult.ScopeClinical, consult.ScopeAdmin, consult.ScopeClinical}
	secret, _ := created(t, k, r)
	got, err := k.Authenticate(t.Context(), secret, anywhere)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Scopes, []consult.KeyScope{consult.ScopeAdmin, consult.ScopeClinical}) || got.Has(consult.ScopeConsultations) {
		t.Errorf("scopes %v", got.Scopes)
	}
	old := consult.APIKey{} // from before there were scopes
	if !old.Has(consult.ScopeClinical) || old.Has(consult.ScopeAdmin) || old.Has("x") {
		t.Error("a key without scopes")
	}
}

func TestAKeyWorksOnlyFromItsAddresses(t *testing.T) {
	k := newKeys(t, newStore(), secrets(t, 1), newClock().now)
	r := request(consult.Live)
	var err error
	r.AllowedAddresses, err = ParseAddresses([]string{"192.0.2.77/24", "2001:db8::/32", "198.51.100.7", "::ffff:203.0.113.9"})
	if err != nil {
		t.Fatal(err)
	}
	secret, key := created(t, k, r)
	if key.AllowedAddresses[0].String() != "192.0.2.0/24" || key.AllowedAddresses[3].String() != "203.0.113.9/32" {
		t.Errorf("stored %v", key.AllowedAddresses)
	}
	for from, want := range map[string]bool{
		"192.0.2.1": true, "::ffff:192.0.2.1": true, "192.0.3.1": false, "198.51.100.7": true, "198.51.100.8": false,
		"2001:db8:1::1": true, "2001:db9::1": false, "203.0.113.9": true, "": false,
	} {
		var addr netip.Addr
		if from != "" {
			addr = netip.MustParseAddr(from)
		}
		_, err := k.Authenticate(t.Context(), secret, addr)
		if want && err != nil {
			t.Errorf("%s: %v", from, err)
		}
		if !want {
			wantRefusal(t, err, consult.Forbidden, consult.ReasonKeyAddress)
		}
	}
	for _, bad := range []string{"", "x", "192.0.2.0/33", "fe80::1%eth0", "192.0.2.1:80"} {
		if _, err := ParseAddresses([]string{bad}); !consult.HasCode(err, consult.ValidationError) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestRotateWithOverlap(t *testing.T) {
	f, c := newStore(), newClock()
	k := newKeys(t, f, secrets(t, 1), c.now)
	tokens := newTokens(t, f, secrets(t, 1), c.now)
	r := request(consult.Live)
	r.Scopes = []consult.KeyScope{consult.ScopeClinical}
	oldSecret, old := created(t, k, r)
	claims := dashboard()
	claims.Scope, claims.KeyID, claims.ExpiresAt = old.Scope, old.ID, c.now().Add(8*24*time.Hour)
	token := issue(t, tokens, claims)

	secret, key, err := k.Rotate(t.Context(), old.Scope.AccountID, old.ID, time.Hour, Operator)
	if err != nil {
		t.Fatal(err)
	}
	if key.ID == old.ID || key.UserID != old.UserID || key.Plan != old.Plan || !slices.Equal(key.Scopes, old.Scopes) ||
		!slices.Equal(key.AllowedOrigins, old.AllowedOrigins) || key.ExpiresAt != nil || secret == oldSecret || key.Prefix != secret[:12] {
		t.Errorf("successor %+v", key)
	}
	use := func(s string) error { _, err := k.Authenticate(t.Context(), s, anywhere); return err }
	for _, s := range []string{oldSecret, secret} {
		if err := use(s); err != nil {
			t.Errorf("in the overlap: %v", err)
		}
	}
	_, _, err = k.Rotate(t.Context(), old.Scope.AccountID, old.ID, time.Hour, Operator)
	wantRefusal(t, err, consult.Conflict, consult.ReasonKeyExpired)

	c.advance(time.Hour)
	wantRefusal(t, use(oldSecret), consult.Unauthorized, consult.ReasonKeyExpired)
	if err := use(secret); err != nil {
		t.Errorf("the successor: %v", err)
	}
	// A token of the old key lives on until that key is revoked.
	if _, err := tokens.Verify(t.Context(), token); err != nil {
		t.Errorf("a token of a rotated key: %v", err)
	}
	if _, err := k.RevokeIn(t.Context(), old.Scope.AccountID, old.ID, Operator, false); err != nil {
		t.Fatal(err)
	}
	_, err = tokens.Verify(t.Context(), token)
	wantRefusal(t, err, consult.Unauthorized, consult.ReasonTokenRevoked)

	_, _, err = k.Rotate(t.Context(), old.Scope.AccountID, key.ID, MaxOverlap+1, Operator)
	wantRefusal(t, err, consult.ValidationError, "")
	_, _, err = k.Rotate(t.Context(), "acc_other", key.ID, 0, Operator)
	wantRefusal(t, err, consult.NotFound, "")
	if _, _, err = k.Rotate(t.Context(), old.Scope.AccountID, key.ID, 0, Operator); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, use(secret), consult.Unauthorized, consult.ReasonKeyExpired) // without overlap, at once
}

func TestUpdateAKey(t *testing.T) {
	f, c := newStore(), newClock()
	k := newKeys(t, f, secrets(t, 1), c.now)
	secret, key := created(t, k, request(consult.Live))
	acc := key.Scope.AccountID
	name := " desk "
	got, err := k.Update(t.Context(), acc, key.ID, Operator, KeyPatch{Name: &name})
	if err != nil || got.Name != "desk" || len(got.AllowedOrigins) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = k.Update(t.Context(), acc, key.ID, Operator, KeyPatch{
		AllowedOrigins: []string{}, AllowedAddresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.9/24")},
	})
	if err != nil || len(got.AllowedOrigins) != 0 || got.AllowedAddresses[0].String() != "192.0.2.0/24" {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = k.Authenticate(t.Context(), secret, anywhere)
	wantRefusal(t, err, consult.Forbidden, consult.ReasonKeyAddress) // at once in this process
	for field, p := range map[string]KeyPatch{
		"name": {Name: new(string)}, "allowed_origins": {AllowedOrigins: []string{"*"}},
		"allowed_addresses": {AllowedAddresses: []netip.Prefix{{}}},
	} {
		_, err := k.Update(t.Context(), acc, key.ID, Operator, p)
		if e := consult.AsError(err); e.Code != consult.ValidationError || e.Fields[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	_, err = k.Update(t.Context(), "", key.ID, Operator, KeyPatch{Name: &name})
	wantRefusal(t, err, consult.NotFound, "")
	if _, err := k.Revoke(t.Context(), key.ID, Operator); err != nil {
		t.Fatal(err)
	}
	_, err = k.Update(t.Context(), acc, key.ID, Operator, KeyPatch{Name: &name})
	wantRefusal(t, err, consult.Conflict, consult.ReasonKeyRevoked)
}

func TestRevocationsAreAnnounced(t *testing.T) {
	f, c := newStore(), newClock()
	k, bus := newKeys(t, f, secrets(t, 1), c.now), &recordingBus{}
	k.Announce(bus)
	var ended []string
	k.OnEndCalls(func(_ context.Context, key *consult.APIKey) error {
		ended = append(ended, key.ID)
		return nil
	})
	_, key := created(t, k, request(consult.Live))
	acc := key.Scope.AccountID
	_, err := k.RevokeIn(t.Context(), "acc_other", key.ID, Operator, true)
	wantRefusal(t, err, consult.NotFound, "")
	if _, err := k.RevokeIn(t.Context(), acc, key.ID, Operator, false); err != nil {
		t.Fatal(err)
	}
	k.look(t.Context())
	if len(bus.told) != 1 || bus.topics[0] != consult.KeyTopic(key.ID) || bus.told[0].EndCalls || bus.told[0].Scope != key.Scope {
		t.Fatalf("published %v", bus.told)
	}
	// The calls may still be ended afterwards.
	if _, err := k.RevokeIn(t.Context(), acc, key.ID, Operator, true); err != nil {
		t.Fatal(err)
	}
	if n := len(f.events); n != 3 || !bus.told[1].EndCalls {
		t.Errorf("%d events, published %v", n, bus.told)
	}

	// Another process, without the bus: looking finds it, once.
	elsewhere := newKeys(t, f, secrets(t, 1), c.now)
	_, other := created(t, elsewhere, request(consult.Live))
	if _, err := elsewhere.RevokeIn(t.Context(), acc, other.ID, Operator, true); err != nil {
		t.Fatal(err)
	}
	bus.told, bus.fail = nil, errors.New("no bus")
	k.look(t.Context())
	bus.fail = nil
	k.look(t.Context())
	k.look(t.Context())
	if ids := len(bus.told); ids != 2 { // other, and key once more
		t.Errorf("published %v", bus.told)
	}
	if !slices.Contains(ended, other.ID) || ended[0] != key.ID {
		t.Errorf("ended the calls of %v", ended)
	}
	c.advance(2 * announceFor)
	k.look(t.Context())
	if len(k.ended) != 0 || len(bus.told) != 2 {
		t.Errorf("%d remembered, published %v", len(k.ended), bus.told)
	}
}

func TestAKeyForAnAccount(t *testing.T) {
	f := newStore()
	k := newKeys(t, f, secrets(t, 1), newClock().now)
	_, first := created(t, k, request(consult.Live))
	r := request(consult.Test)
	r.AccountName, r.AccountID, r.Actor = "", first.Scope.AccountID, consult.Actor{Kind: consult.ActorKey, ID: first.ID}
	_, second := created(t, k, r)
	if second.Scope.AccountID != first.Scope.AccountID || len(f.accounts) != 1 || f.events[1].Actor != r.Actor {
		t.Errorf("%+v of %d accounts, by %v", second.Scope, len(f.accounts), f.events[1].Actor)
	}
	r.AccountID = "acc_none"
	_, _, err := k.Create(t.Context(), r)
	wantRefusal(t, err, consult.NotFound, "")
	keys, _, err := k.ListScope(t.Context(), first.Scope.AccountID, consult.Page{})
	if err != nil || len(keys) != 2 || keys[0].ID != second.ID {
		t.Errorf("listed %v, %v", keys, err)
	}
}
