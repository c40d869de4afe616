package store_test

import (
	"fmt"
	"testing"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

// The number of the newest event moves with each that is recorded, and only then.
func TestLastEvent(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		last := func() int64 {
			n, err := s.LastEvent(t.Context())
			must(t, err)
			return n
		}
		before := last()
		c := addConsultation(t, s, sc, "doc", "pat")
		created := last()
		if created <= before {
			t.Fatalf("%d after %d", created, before)
		}
		_, err := s.Consultation(t.Context(), sc, c.ID)
		must(t, err)
		if n := last(); n != created {
			t.Fatalf("%d after reading, %d before", n, created)
		}
		must(t, s.RevokeToken(t.Context(), sc, "tok", base, []consult.Event{event(sc, consult.EventTokensRevoked, c.ID)}))
		if n := last(); n <= created {
			t.Fatalf("%d after a revocation, %d before", n, created)
		}
	})
}

// More different queries than statements are kept, and their results are right.
func TestManyStatements(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		must(t, s.RevokeToken(t.Context(), sc, "tok_0", base, nil))
		var ids []string
		for i := range 300 { // lists of 300 lengths are 300 texts
			ids = append(ids, fmt.Sprint("tok_", i))
			got, err := s.TokensRevoked(t.Context(), sc, ids)
			must(t, err)
			if len(got) != 1 || got[0] != "tok_0" {
				t.Fatalf("%d tokens: %v", len(ids), got)
			}
		}
	})
}
