package store_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

func TestKeySettingsAreReadAsWritten(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
		addKey(t, s, sc, "one")
		addKey(t, s, consult.Scope{AccountID: "acc_two", Mode: consult.Live}, "two")
		change := func(k *consult.APIKey) (*consult.APIKey, []consult.Event, error) {
			next := *k
			next.ID, next.Hash, next.CreatedAt, next.UserID = "key_next", []byte("next"), base.Add(time.Hour), "usr_other"
			next.Scopes = []consult.KeyScope{consult.ScopeAdmin}
			k.Name, k.ExpiresAt, k.RotatedTo, k.EndCalls = "Renamed", at(time.Hour), "key_next", true
			k.RevokedAt = at(time.Minute)
			k.Scopes = []consult.KeyScope{consult.ScopeClinical, consult.ScopeRecordings}
			k.AllowedAddresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
			k.AllowedOrigins = []string{}
			return &next, []consult.Event{{ID: consult.NewID(consult.PrefixEvent), Type: consult.EventKeyRotated, At: base}}, nil
		}
		updated, err := s.UpdateKey(t.Context(), sc.AccountID, "key_one", change)
		must(t, err)
		got, err := s.KeyByID(t.Context(), sc, "key_one")
		must(t, err)
		same(t, got, updated)
		next, err := s.KeyByHash(t.Context(), []byte("next"))
		must(t, err)
		if next.UserID != "usr_one" || next.Name != "Renamed" || !next.Has(consult.ScopeAdmin) || next.RevokedAt != nil {
			t.Errorf("successor %+v", next)
		}
		ending, err := s.KeysEndingCalls(t.Context(), base)
		must(t, err)
		if len(ending) != 1 || ending[0].ID != "key_one" {
			t.Errorf("ending %v", ending)
		}
		ending, err = s.KeysEndingCalls(t.Context(), base.Add(2*time.Minute))
		must(t, err)
		same(t, len(ending), 0)

		// Another account's key is as absent as one that never was.
		for _, id := range []string{"key_two", "key_none"} {
			_, err = s.UpdateKey(t.Context(), sc.AccountID, id, func(*consult.APIKey) (*consult.APIKey, []consult.Event, error) {
				t.Errorf("%s was found", id)
				return nil, nil, nil
			})
			wantCode(t, err, consult.NotFound)
		}
		refusal := errors.New("refused")
		_, err = s.UpdateKey(t.Context(), sc.AccountID, "key_one", func(*consult.APIKey) (*consult.APIKey, []consult.Event, error) {
			return nil, nil, refusal
		})
		if !errors.Is(err, refusal) {
			t.Errorf("the refusal became %v", err)
		}
		acc, err := s.Account(t.Context(), "acc_two")
		must(t, err)
		same(t, acc.Name, "Account acc_two")
		_, err = s.Account(t.Context(), "acc_none")
		wantCode(t, err, consult.NotFound)
		must(t, s.VerifyAudit(t.Context(), sc))

		page, cursor, err := s.KeysOf(t.Context(), sc.AccountID, consult.Page{Limit: 1})
		must(t, err)
		rest, end, err := s.KeysOf(t.Context(), sc.AccountID, consult.Page{Limit: 1, After: cursor})
		must(t, err)
		if len(page) != 1 || page[0].ID != "key_next" || len(rest) != 1 || rest[0].ID != "key_one" || cursor == "" || end != "" {
			t.Errorf("pages %v and %v, cursors %q and %q", page, rest, cursor, end)
		}
	})
}
