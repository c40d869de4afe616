package compose

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at, most atomic.Int32
		ended := make(chan string, 20)
		q := NewQueue(QueueConfig{Backlog: 3, Deadline: time.Hour}, func(ctx context.Context, key string) {
			most.Store(max(most.Load(), at.Add(1)))
			defer at.Add(-1)
			select {
			case <-ctx.Done():
				ended <- fmt.Sprint(key, " ", ctx.Err())
			case <-time.After(map[bool]time.Duration{true: 2 * time.Hour, false: time.Minute}[key == "slow"]):
				ended <- key
			}
		})
		add := func(key string, want error) {
			t.Helper()
			if err := q.Add(key); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", key, err, want)
			}
		}
		next := func(want string) {
			t.Helper()
			if got := <-ended; got != want {
				t.Errorf("%s ended, want %s", got, want)
			}
		}
		add("a", nil)
		synctest.Wait()
		for _, key := range []string{"b", "c", "slow"} {
			add(key, nil)
			add(key, nil) // again changes nothing
		}
		add("a", nil)
		add("e", ErrFull)
		if q.Len() != 4 {
			t.Errorf("%d jobs", q.Len())
		}
		q.Cancel("c")
		next("a")
		next("b")
		next("slow context deadline exceeded")
		add("f", nil)
		synctest.Wait()
		q.Cancel("f")
		next("f context canceled")
		add("g", nil)
		add("h", nil)
		synctest.Wait()
		if err := q.Close(t.Context()); err != nil {
			t.Error(err)
		}
		next("g context canceled")
		add("i", ErrFull)
		if most.Load() != 1 || len(ended) != 0 {
			t.Errorf("%d at a time, %d more ended", most.Load(), len(ended))
		}
	})
}

func TestQueueCloseHasADeadline(t *testing.T) {
	stuck := make(chan struct{})
	q := NewQueue(QueueConfig{}, func(context.Context, string) { <-stuck })
	if err := q.Add("a"); err != nil {
		t.Fatal(err)
	}
	for q.mu.Lock(); len(q.running) == 0; q.mu.Lock() {
		q.mu.Unlock()
	}
	q.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(stuck)
	if err := q.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
