package cluster

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chatmed/chatmed/internal/cluster/redistest"
	"github.com/chatmed/chatmed/internal/consult"
)

// patience bounds every wait for a condition; none normally comes near it.
const patience = 20 * time.Second

// brisk are the bus's times for tests.
var brisk = busTimes{health: 100 * time.Millisecond, firstRetry: 5 * time.Millisecond, maxRetry: 50 * time.Millisecond}

// backend is one way to run Redis: the suite below runs on each.
type backend struct {
	r       *Redis
	restart func() // the server goes away and comes back
}

func backends(t *testing.T, run func(t *testing.T, b backend)) {
	t.Run("real", func(t *testing.T) {
		s := redistest.Start(t)
		run(t, backend{opened(t, s.URL(), time.Now), s.Restart})
	})
	t.Run("in-process", func(t *testing.T) {
		r := opened(t, "", time.Now)
		run(t, backend{r, func() {
			r.local.server.Close()
			if err := r.local.server.Restart(); err != nil {
				t.Fatal(err)
			}
		}})
	})
}

func opened(t *testing.T, url string, now consult.Clock) *Redis {
	t.Helper()
	r, err := open(t.Context(), url, now, slog.New(slog.DiscardHandler), brisk)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

func publish(t *testing.T, b *Bus, topic, payload string) {
	t.Helper()
	if err := b.Publish(deadline(t), topic, []byte(payload)); err != nil {
		t.Fatal(err)
	}
}

// inbox is a callback that keeps what it gets.
func inbox() (func([]byte), <-chan string) {
	c := make(chan string, 10_000)
	return func(p []byte) { c <- string(p) }, c
}

func TestClientWorks(t *testing.T) {
	backends(t, func(t *testing.T, b backend) {
		ctx := deadline(t)
		if err := b.r.Ping(ctx); err != nil {
			t.Fatal(err)
		}
		script := redis.NewScript(`redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2]); return redis.call('ZCARD', KEYS[1])`)
		if n, err := script.Run(ctx, b.r.Client(), []string{"{d}:queue"}, 1, "a").Int(); err != nil || n != 1 {
			t.Errorf("got %d, %v", n, err)
		}
	})
}

func TestMessagesArriveInOrderAndOnlyOnTheirTopic(t *testing.T) {
	backends(t, func(t *testing.T, b backend) {
		bus := b.r.Bus()
		fn, got := inbox()
		defer bus.Subscribe("a", fn)()
		other, stray := inbox()
		defer bus.Subscribe("a:b", other)()
		var inside atomic.Int32
		defer bus.Subscribe("a", func([]byte) {
			if inside.Add(1) != 1 {
				t.Error("a callback runs twice at once")
			}
			inside.Add(-1)
		})()
		for i := range 200 {
			publish(t, bus, "a", strconv.Itoa(i))
		}
		for i := range 200 {
			if m := receive(t, got, "message"); m != strconv.Itoa(i) {
				t.Fatalf("message %d is %q", i, m)
			}
		}
		if len(stray) > 0 {
			t.Error("a message is on the wrong topic")
		}
	})
}

func TestSubscribersOnTwoNodes(t *testing.T) {
	s := redistest.Start(t)
	one, two := opened(t, s.URL(), time.Now), opened(t, s.URL(), time.Now)
	fn, got := inbox()
	defer two.Bus().Subscribe("t", fn)()
	publish(t, one.Bus(), "t", "x")
	receive(t, got, "message from the other node")

	fn, alone := inbox()
	defer opened(t, s.URL()[:len(s.URL())-1]+"1", time.Now).Bus().Subscribe("t", fn)()
	publish(t, one.Bus(), "t", "y")
	receive(t, got, "message from the other node")
	if len(alone) > 0 {
		t.Error("a message crosses to another database's bus")
	}
}

func TestUnsubscribe(t *testing.T) {
	backends(t, func(t *testing.T, b backend) {
		bus := b.r.Bus()
		fn, gone := inbox()
		unsubscribe := bus.Subscribe("t", fn)
		fn, got := inbox()
		defer bus.Subscribe("t", fn)()
		unsubscribe()
		unsubscribe()
		publish(t, bus, "t", "x")
		receive(t, got, "message")
		if len(gone) > 0 {
			t.Error("called after unsubscribe")
		}

		// From inside the callback, and the last of its topic.
		once := make(chan struct{}, 10)
		var self func()
		ready := make(chan struct{})
		self = bus.Subscribe("u", func([]byte) { <-ready; self(); once <- struct{}{} })
		close(ready)
		publish(t, bus, "u", "1")
		receive(t, once, "call")
		fn, again := inbox()
		defer bus.Subscribe("u", fn)()
		publish(t, bus, "u", "2")
		receive(t, again, "message on a topic that is used again")
		if len(once) > 0 {
			t.Error("called after unsubscribing itself")
		}
	})
}

func TestASlowCallbackDelaysOnlyItsTopicAndEndsInAResync(t *testing.T) {
	backends(t, func(t *testing.T, b backend) {
		bus := b.r.Bus()
		stuck, release := make(chan struct{}, topicQueue*2), make(chan struct{})
		defer bus.Subscribe("slow", func([]byte) { stuck <- struct{}{}; <-release })()
		resynced := make(chan struct{}, 100)
		defer bus.OnReconnect(func() { resynced <- struct{}{} })()
		fn, got := inbox()
		defer bus.Subscribe("fast", fn)()

		publish(t, bus, "slow", "first")
		receive(t, stuck, "call of the slow callback")
		for range topicQueue + 1 { // one more than fits
			publish(t, bus, "slow", "more")
		}
		publish(t, bus, "fast", "x")
		receive(t, got, "message on the fast topic")
		if len(resynced) > 0 {
			t.Error("resync before the slow topic has caught up")
		}
		close(release)
		receive(t, resynced, "resync after the drop")
		if n := len(stuck); n != topicQueue {
			t.Errorf("%d messages delivered after the first, want the queue's %d", n, topicQueue)
		}
	})
}

func TestReconnect(t *testing.T) {
	backends(t, func(t *testing.T, b backend) {
		bus := b.r.Bus()
		fn, got := inbox()
		defer bus.Subscribe("t", fn)()
		back := make(chan struct{}, 100)
		defer bus.OnReconnect(func() { back <- struct{}{} })()
		var cancelled atomic.Bool
		cancel := bus.OnReconnect(func() { cancelled.Store(true) })
		cancel()
		for range 3 {
			b.restart()
			receive(t, back, "OnReconnect")
			publish(t, bus, "t", "after")
			receive(t, got, "message after the restart")
		}
		if cancelled.Load() {
			t.Error("a cancelled handler was called")
		}
	})
}

func TestASilentServerIsNoticed(t *testing.T) {
	s := redistest.Start(t)
	r := opened(t, s.URL(), time.Now)
	back := make(chan struct{}, 100)
	defer r.Bus().OnReconnect(func() { back <- struct{}{} })()
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := r.Bus().Publish(ctx, "t", nil)
	if !consult.HasCode(err, consult.ServiceUnavailable) {
		t.Errorf("got %v", err)
	}
	if !consult.HasCode(r.Bus().Publish(deadline(t), "t", nil), consult.ServiceUnavailable) {
		t.Error("publish waits without a bound of its own")
	}
	s.Resume()
	receive(t, back, "OnReconnect")
}

func TestAFailedPublishEndsInAResyncEverywhere(t *testing.T) {
	s := redistest.Start(t)
	one, two := opened(t, s.URL(), time.Now), opened(t, s.URL(), time.Now)
	told := make(chan struct{}, 100)
	defer two.Bus().OnReconnect(func() { told <- struct{}{} })()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := one.Bus().Publish(ended, "t", nil); err == nil {
		t.Fatal("published")
	}
	receive(t, told, "resync on the other node")
}

func TestLargeMessagesAreRefused(t *testing.T) {
	r := opened(t, "", time.Now)
	err := r.Bus().Publish(deadline(t), "t", make([]byte, MaxPayload+1))
	if !consult.HasCode(err, consult.PayloadTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestManyTopicsAtOnce(t *testing.T) {
	backends(t, func(t *testing.T, b backend) {
		bus := b.r.Bus()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				topic := "t" + strconv.Itoa(i%10)
				for range 20 {
					got := make(chan struct{}, 10_000)
					un := bus.Subscribe(topic, func([]byte) { got <- struct{}{} })
					if err := bus.Publish(t.Context(), topic, nil); err != nil {
						t.Error(err)
					}
					select {
					case <-got:
					case <-time.After(patience):
						t.Error("no message")
					}
					un()
				}
			})
		}
		wg.Wait()
		bus.mu.Lock()
		defer bus.mu.Unlock()
		if len(bus.topics) != 0 {
			t.Errorf("%d topics are left", len(bus.topics))
		}
	})
}

func TestBackoff(t *testing.T) {
	for try, most := range map[int]time.Duration{
		0: 50 * time.Millisecond, 1: 100 * time.Millisecond, 5: 1600 * time.Millisecond,
		6: 2 * time.Second, 9: 2 * time.Second, 1000: 2 * time.Second,
	} {
		for range 100 {
			if d := (busTimes{}).orDefault().backoff(try); d < most/2 || d > most {
				t.Fatalf("try %d: %v, want at most %v", try, d, most)
			}
		}
	}
}

func TestCloseWaitsForCallbacksAndRefusesMore(t *testing.T) {
	var log bytes.Buffer
	r, err := open(t.Context(), "", time.Now, slog.New(slog.NewTextHandler(&log, nil)), brisk)
	if err != nil {
		t.Fatal(err)
	}
	running, release := make(chan struct{}), make(chan struct{})
	var done atomic.Bool
	r.Bus().Subscribe("t", func([]byte) { close(running); <-release; done.Store(true) })
	publish(t, r.Bus(), "t", "x")
	receive(t, running, "call")
	closed := make(chan error, 1)
	go func() { closed <- r.Close() }()
	close(release)
	if err := receive(t, closed, "end"); err != nil {
		t.Error(err)
	}
	if !done.Load() {
		t.Error("Close does not wait for the callback")
	}
	r.Bus().Subscribe("t", func([]byte) { t.Error("called after Close") })()
	if log.Len() > 0 {
		t.Errorf("an orderly close complains: %s", log.String())
	}
}
