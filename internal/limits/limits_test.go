package limits

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chatmed/chatmed/internal/consult"
)

func TestMinuteSlides(t *testing.T) {
	onEach(t, onePlan(3, 0, 0), func(t *testing.T, l *Limiter, c *fakeClock) {
		for i, at := range []time.Duration{0, 20, 20} { // seconds: at 0, 20, 40
			c.add(at * time.Second)
			if d := request(t, l, "k"); !d.Allowed || d.Remaining != 2-i || !d.Reset.Equal(start.Add(time.Minute)) {
				t.Fatalf("request %d: %+v", i, d)
			}
		}
		d := request(t, l, "k")
		if d.Allowed || d.Reason != consult.ReasonRateMinute || d.RetryAfter != 20*time.Second || d.Limit != 3 || d.Remaining != 0 {
			t.Fatalf("the fourth: %+v", d)
		}
		if d := request(t, l, "other"); !d.Allowed {
			t.Errorf("another key: %+v", d)
		}
		c.add(20*time.Second - time.Millisecond)
		if d := request(t, l, "k"); d.Allowed {
			t.Errorf("just before: %+v", d)
		}
		c.add(time.Millisecond) // a minute after the first
		if d := request(t, l, "k"); !d.Allowed || d.Remaining != 0 || !d.Reset.Equal(start.Add(80*time.Second)) {
			t.Errorf("the first comes back: %+v", d)
		}
		if d := request(t, l, "k"); d.Allowed || d.RetryAfter != 20*time.Second {
			t.Errorf("only the first: %+v", d)
		}
		c.add(10 * time.Minute)
		if d := request(t, l, "k"); !d.Allowed || d.Remaining != 2 {
			t.Errorf("after a pause: %+v", d)
		}
	})
}

// TestNeverMoreThanTheLimitInAnyMinute tries at random moments and looks at
// every minute that ends with a request.
func TestNeverMoreThanTheLimitInAnyMinute(t *testing.T) {
	onEach(t, onePlan(10, 0, 0), func(t *testing.T, l *Limiter, c *fakeClock) {
		rnd := rand.New(rand.NewPCG(1, 2))
		var allowed []time.Time
		refused := 0
		for range 600 {
			c.add(time.Duration(rnd.IntN(8000)) * time.Millisecond)
			if d := request(t, l, "k"); !d.Allowed {
				refused++
				if wait := allowed[len(allowed)-10].Add(time.Minute).Sub(c.now()); d.RetryAfter < wait || d.RetryAfter > wait+time.Second {
					t.Fatalf("told to wait %v, it takes %v", d.RetryAfter, wait)
				}
				continue
			}
			allowed = append(allowed, c.now())
			if n := len(allowed); n > 10 && c.now().Sub(allowed[n-11]) < time.Minute {
				t.Fatalf("11 requests within %v", c.now().Sub(allowed[n-11]))
			}
		}
		if refused == 0 {
			t.Error("nothing was refused")
		}
	})
}

func TestDayEndsAtMidnight(t *testing.T) {
	onEach(t, onePlan(0, 2, 0), func(t *testing.T, l *Limiter, c *fakeClock) {
		request(t, l, "k")
		c.add(13 * time.Hour)
		request(t, l, "k")
		d := request(t, l, "k")
		if d.Allowed || d.Reason != consult.ReasonRateDay || d.RetryAfter != time.Hour || d.Limit != 2 {
			t.Fatalf("the third: %+v", d)
		}
		c.add(time.Hour - time.Millisecond)
		if d := request(t, l, "k"); d.Allowed {
			t.Errorf("before midnight: %+v", d)
		}
		c.add(time.Millisecond)
		if d := request(t, l, "k"); !d.Allowed || d.Remaining != 1 {
			t.Errorf("the next day: %+v", d)
		}
	})
}

func TestConcurrency(t *testing.T) {
	onEach(t, onePlan(100, 100, 2), func(t *testing.T, l *Limiter, c *fakeClock) {
		a, _ := try(t, l, "k")
		b, d := try(t, l, "k")
		if !d.Allowed || d.Windows[2].Remaining != 0 {
			t.Fatalf("the second: %+v", d)
		}
		refusedPermit, d := try(t, l, "k")
		if d.Allowed || d.Reason != consult.ReasonConcurrency || d.RetryAfter != time.Second || d.Remaining != 98 {
			t.Fatalf("the third: %+v", d)
		}
		refusedPermit.Release(t.Context())
		if _, d := try(t, l, "k"); d.Allowed {
			t.Fatal("a refused permit gave a slot back")
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		a.Release(cancelled) // the client went away
		a.Release(cancelled)
		c1, d := try(t, l, "k")
		if !d.Allowed || d.Remaining != 97 {
			t.Fatalf("after a release: %+v", d) // and refusals used nothing up
		}
		if _, d := try(t, l, "k"); d.Allowed {
			t.Fatal("two releases of one permit gave two slots")
		}
		b.Release(t.Context())
		c1.Release(t.Context())
		func() {
			defer func() { _ = recover() }()
			p, _ := try(t, l, "k")
			defer p.Release(t.Context())
			panic("handler")
		}()
		for range 2 {
			if _, d := try(t, l, "k"); !d.Allowed {
				t.Fatalf("after a panic: %+v", d)
			}
		}
	})
}

func TestCancelledCallerTakesNoSlotForLong(t *testing.T) {
	onEach(t, onePlan(0, 0, 1), func(t *testing.T, l *Limiter, _ *fakeClock) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p, d, err := l.Acquire(ctx, "k", consult.PlanStarter)
		if err != nil || !d.Allowed {
			t.Fatal(d, err)
		}
		p.Release(ctx)
		if d := request(t, l, "k"); !d.Allowed {
			t.Errorf("%+v", d)
		}
	})
}

// TestLoweredPlan has more in its log than the new limit.
func TestLoweredPlan(t *testing.T) {
	onEach(t, onePlan(5, 0, 0), func(t *testing.T, l *Limiter, c *fakeClock) {
		for range 5 {
			request(t, l, "k")
			c.add(time.Second)
		}
		l.plans = onePlan(2, 0, 0) // as after a restart with another file
		d := request(t, l, "k")
		if d.Allowed || d.RetryAfter != 58*time.Second {
			t.Errorf("%+v", d) // the fourth comes back at 63, now is 5
		}
	})
}

func TestClockGoesBack(t *testing.T) {
	onEach(t, onePlan(1, 0, 0), func(t *testing.T, l *Limiter, c *fakeClock) {
		request(t, l, "k")
		c.mu.Lock()
		c.t = c.t.Add(-time.Hour)
		if c.mini != nil {
			c.mini.SetTime(c.t)
		}
		c.mu.Unlock()
		if d := request(t, l, "k"); !d.Allowed {
			t.Errorf("locked out: %+v", d)
		}
	})
}

func TestUnknownPlan(t *testing.T) {
	l := New(nil, documented(t), time.Now, quiet)
	if _, d, err := l.Acquire(t.Context(), "k", "gold"); err == nil || d.Allowed {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestUnlimitedAsksNobody works with a Redis that is not there, at no cost.
func TestUnlimitedAsksNobody(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", Dialer: nil})
	t.Cleanup(func() { _ = rdb.Close() })
	l := New(rdb, documented(t), time.Now, quiet)
	ctx := t.Context()
	allocs := testing.AllocsPerRun(100, func() {
		p, d, err := l.Acquire(ctx, "k", consult.PlanEnterprise)
		if err != nil || !d.Allowed {
			t.Fatal(d, err)
		}
		p.Release(ctx)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestForgetting keeps the node's memory in bounds.
func TestForgetting(t *testing.T) {
	onEach(t, onePlan(10, 10, 2), func(t *testing.T, l *Limiter, c *fakeClock) {
		for i := range 100 {
			request(t, l, key(i))
		}
		held, _ := try(t, l, "held")
		c.add(25 * time.Hour)
		l.tick(t.Context())
		l.mu.Lock()
		n := len(l.keys)
		l.mu.Unlock()
		if n != 1 {
			t.Errorf("%d keys are remembered, one has a request in flight", n)
		}
		held.Release(t.Context())
	})
}
