package redistest

import (
	"context"
	"testing"
	"time"
)

func TestServerLivesThroughRestartAndFlush(t *testing.T) {
	s := Start(t)
	c := s.Client()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	set := func() {
		t.Helper()
		if err := c.Set(ctx, "k", "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(after string) {
		t.Helper()
		n, err := c.Exists(ctx, "k").Result()
		if err != nil {
			t.Fatal(err)
		}
		if n != 0 {
			t.Fatalf("the key survives %s", after)
		}
	}
	set()
	s.Flush()
	gone("Flush")
	set()
	url := s.URL()
	s.Restart()
	if s.URL() != url {
		t.Fatalf("URL changed from %s to %s", url, s.URL())
	}
	gone("Restart")
	s.Pause()
	s.Resume()
	set()
	s.Stop()
	s.Stop()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Fatal("a stopped server answers")
	}
}
