package limits

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/chatmed/chatmed/internal/consult"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childEnv); url != "" {
		child(url)
		return
	}
	redis.SetLogger(silent{})
	goleak.VerifyTestMain(m)
}

// silent drops what the client says of failed dials, which tests provoke.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

var quiet = slog.New(slog.DiscardHandler)

// start is long before midnight.
var start = time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)

// fakeClock is a clock that tests turn.
type fakeClock struct {
	mu   sync.Mutex
	t    time.Time
	mini *miniredis.Miniredis // follows, when set
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *fakeClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
	if c.mini != nil {
		c.mini.SetTime(c.t)
		c.mini.FastForward(d)
	}
}

// backend is one place where decisions are made.
type backend struct {
	name string
	rdb  func(t testing.TB, c *fakeClock) redis.UniversalClient
}

// backends are those whose clock can be turned; the suite below runs on each.
var backends = []backend{
	{"this process", func(testing.TB, *fakeClock) redis.UniversalClient { return nil }},
	{"redis", func(t testing.TB, c *fakeClock) redis.UniversalClient {
		c.mini = miniredis.RunT(t)
		c.mini.SetTime(c.t)
		rdb := redis.NewClient(&redis.Options{Addr: c.mini.Addr()})
		t.Cleanup(func() { _ = rdb.Close() })
		return rdb
	}},
}

// onEach runs a test on every backend with a turnable clock.
func onEach(t *testing.T, plans Plans, f func(t *testing.T, l *Limiter, c *fakeClock)) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			c := &fakeClock{t: start}
			f(t, New(b.rdb(t, c), plans, c.now, quiet), c)
		})
	}
}

// onePlan is Starter with other numbers.
func onePlan(minute, day, concurrent int) Plans {
	return Plans{consult.PlanStarter: {Name: consult.PlanStarter, PerMinute: minute, PerDay: day, Concurrent: concurrent}}
}

func documented(t testing.TB) Plans {
	t.Helper()
	p, err := DefaultPlans()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// try asks once and keeps the slot.
func try(t testing.TB, l *Limiter, key string) (Permit, Decision) {
	t.Helper()
	p, d, err := l.Acquire(t.Context(), key, consult.PlanStarter)
	if err != nil {
		t.Fatal(err)
	}
	return p, d
}

// request asks once and gives the slot back.
func request(t testing.TB, l *Limiter, key string) Decision {
	t.Helper()
	p, d := try(t, l, key)
	p.Release(t.Context())
	return d
}

// eventually waits until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within the time", what)
		case <-tick.C:
		}
	}
}

// during calls f again and again for that long.
func during(d time.Duration, f func()) {
	end, tick := time.NewTimer(d), time.NewTicker(20*time.Millisecond)
	defer end.Stop()
	defer tick.Stop()
	for {
		f()
		select {
		case <-end.C:
			return
		case <-tick.C:
		}
	}
}

// running starts l's Run and stops it with the test.
func running(t testing.TB, l *Limiter) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { l.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

func key(i int) string { return fmt.Sprintf("key_%d", i) }
