package main

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/chatmed/chatmed/internal/cluster/redistest"
)

// One node of several composes a recording, until it is done.
func TestClaims(t *testing.T) {
	options, err := redis.ParseURL(redistest.Start(t).URL())
	must(t, err)
	client := redis.NewClient(options)
	one, other := claims{client}, claims{client}
	release, ok := one.claim(t.Context(), "rec_1")
	if !ok {
		t.Fatal("nobody may")
	}
	if _, ok := other.claim(t.Context(), "rec_1"); ok {
		t.Fatal("both may")
	}
	free, ok := other.claim(t.Context(), "rec_2")
	if !ok {
		t.Fatal("another recording is claimed with it")
	}
	free()
	key := "chatmed:compose:{rec_1}"
	if ttl := client.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > claimLife {
		t.Fatalf("claimed for %v", ttl)
	}
	must(t, client.Set(t.Context(), key, "another's", claimLife).Err()) // as after a long pause
	release()
	if client.Get(t.Context(), key).Val() != "another's" {
		t.Fatal("another's claim is dropped")
	}
	must(t, client.Del(t.Context(), key).Err())
	release, ok = one.claim(t.Context(), "rec_1")
	if !ok {
		t.Fatal("nobody may again")
	}
	release()
	if n := client.Exists(t.Context(), key).Val(); n != 0 {
		t.Fatal("the claim is not dropped")
	}
	must(t, client.Close())
	if _, ok := one.claim(t.Context(), "rec_3"); ok {
		t.Fatal("claimed without Redis")
	}
}
