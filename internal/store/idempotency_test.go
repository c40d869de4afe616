package store_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

func init() {
	moreWrites["BeginIdempotent"] = func(t *testing.T, s *store.Store, sc consult.Scope, w world) {
		begin := func(sc consult.Scope) *consult.IdempotencyRecord {
			got, err := s.BeginIdempotent(t.Context(), record(sc, "owner"))
			must(t, err)
			return got
		}
		begin(w.sc)
		if begin(sc) != nil {
			t.Error("found a key of another scope")
		}
		must(t, s.FinishIdempotent(t.Context(), sc, "k", "owner", 200, []byte("theirs")))
		if got := begin(w.sc); got == nil || got.Done {
			t.Errorf("another scope finished it: %+v", got)
		}
		must(t, s.AbandonIdempotent(t.Context(), w.sc, "k", "owner"))
		if got := begin(sc); got == nil || !got.Done {
			t.Errorf("another scope abandoned it: %+v", got)
		}
	}
	moreNotScoped = append(moreNotScoped, "FinishIdempotent", "AbandonIdempotent") // with BeginIdempotent
}

func record(sc consult.Scope, owner string) consult.IdempotencyRecord {
	return consult.IdempotencyRecord{
		Scope: sc, Key: "k", OperationID: "op", BodyHash: []byte{1, 2}, Owner: owner,
		CreatedAt: base, ExpiresAt: base.Add(24 * time.Hour), LeaseUntil: base.Add(time.Minute),
	}
}

func TestIdempotencyRecords(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		begin := func(owner string, after time.Duration) *consult.IdempotencyRecord {
			t.Helper()
			r := record(sc, owner)
			for _, at := range []*time.Time{&r.CreatedAt, &r.ExpiresAt, &r.LeaseUntil} {
				*at = at.Add(after)
			}
			got, err := s.BeginIdempotent(t.Context(), r)
			must(t, err)
			return got
		}
		if got := begin("a", 0); got != nil {
			t.Fatalf("fresh key: %+v", got)
		}
		if got := begin("b", time.Second); got == nil || got.Done || got.Owner != "a" {
			t.Fatalf("under way: %+v", got)
		}
		if got := begin("b", 2*time.Minute); got != nil { // a's process died
			t.Fatalf("stale lease: %+v", got)
		}
		wantCode(t, s.FinishIdempotent(t.Context(), sc, "k", "a", 200, nil), consult.Conflict)
		must(t, s.AbandonIdempotent(t.Context(), sc, "k", "a")) // not its any more
		answer := []byte{0, 1, 0xff, 'x'}
		must(t, s.FinishIdempotent(t.Context(), sc, "k", "b", 201, answer))
		got := begin("c", 10*time.Minute)
		want := record(sc, "b")
		want.Done, want.Status, want.Body = true, 201, answer
		want.CreatedAt, want.ExpiresAt, want.LeaseUntil = want.CreatedAt.Add(2*time.Minute), want.ExpiresAt.Add(2*time.Minute), want.LeaseUntil.Add(2*time.Minute)
		same(t, got, &want)
		wantCode(t, s.FinishIdempotent(t.Context(), sc, "k", "b", 500, nil), consult.Conflict) // once only
		must(t, s.AbandonIdempotent(t.Context(), sc, "k", "b"))
		if begin("c", time.Hour) == nil {
			t.Error("an answer was abandoned")
		}
		if got := begin("c", 25*time.Hour); got != nil {
			t.Errorf("after its life: %+v", got)
		}
		must(t, s.AbandonIdempotent(t.Context(), sc, "k", "c"))
		if got := begin("d", 25*time.Hour); got != nil {
			t.Errorf("after abandoning: %+v", got)
		}
		// A stale lease is not taken over by another request.
		r := record(sc, "e")
		r.BodyHash, r.CreatedAt = []byte{9}, base.Add(26*time.Hour)
		got, err := s.BeginIdempotent(t.Context(), r)
		must(t, err)
		if got == nil || got.Owner != "d" {
			t.Errorf("another body took over: %+v", got)
		}
	})
}

func TestOneOfManyClaimsAKey(t *testing.T) {
	eachPair(t, func(t *testing.T, nodes [2]*store.Store, sc consult.Scope) {
		for _, after := range []time.Duration{0, 2 * time.Minute, 25 * time.Hour} { // fresh, stale, expired
			var won atomic.Int64
			race(t, nodes, func(ctx context.Context, s *store.Store, i int) error {
				r := record(sc, consult.NewID("own"))
				for _, at := range []*time.Time{&r.CreatedAt, &r.ExpiresAt, &r.LeaseUntil} {
					*at = at.Add(after)
				}
				got, err := s.BeginIdempotent(ctx, r)
				if err == nil && got == nil {
					won.Add(1)
				}
				return err
			})
			if won.Load() != 1 {
				t.Errorf("after %v: %d claimed the key", after, won.Load())
			}
		}
	})
}
