package cluster

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestInProcessKeysExpireByTheServersClock(t *testing.T) {
	var now atomic.Int64
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := opened(t, "", func() time.Time { return start.Add(time.Duration(now.Load())) })
	ctx := deadline(t)
	if err := r.Client().Set(ctx, "k", "v", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	now.Store(int64(59 * time.Minute))
	wait := func(what string, done func() bool) {
		t.Helper()
		for !done() {
			if ctx.Err() != nil {
				t.Fatalf("%s does not happen", what)
			}
		}
	}
	wait("the clock's step", func() bool { return r.Client().Time(ctx).Val().Equal(start.Add(59 * time.Minute)) })
	if r.Client().Exists(ctx, "k").Val() != 1 {
		t.Error("the key expires early")
	}
	now.Store(int64(time.Hour))
	wait("the key's end", func() bool { return r.Client().Exists(ctx, "k").Val() == 0 })
}

func TestInProcessServerAsksForItsPassword(t *testing.T) {
	r := opened(t, "", time.Now)
	stranger := redis.NewClient(&redis.Options{Addr: r.local.server.Addr()})
	defer func() { _ = stranger.Close() }()
	if err := stranger.Keys(deadline(t), "*").Err(); err == nil {
		t.Error("another process can read the waiting room")
	}
}

func TestOpenRefusals(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	const password = "hunter2hunter2"
	for name, url := range map[string]string{
		"not a URL":    "redis://:" + password + "@h:1/%zz",
		"wrong scheme": "http://:" + password + "@h:1",
		"nobody there": "redis://:" + password + "@127.0.0.1:1/0",
	} {
		t.Run(name, func(t *testing.T) {
			r, err := open(ctx, url, time.Now, log, brisk)
			if err == nil {
				t.Fatal("opened", r.Close())
			}
			if strings.Contains(err.Error(), password) {
				t.Errorf("%v repeats the password", err)
			}
		})
	}
}

func TestSeveralAddressesAreACluster(t *testing.T) {
	c, _, err := dial("redis://127.0.0.1:1?addr=127.0.0.1:2")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, ok := c.(*redis.ClusterClient); !ok {
		t.Errorf("got %T", c)
	}
}
