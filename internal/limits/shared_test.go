package limits

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chatmed/chatmed/internal/cluster/redistest"
	"github.com/chatmed/chatmed/internal/consult"
)

// TestExactAcrossNodes lets two limiters on one Redis ask in parallel: exactly
// the limit is let through, each time.
func TestExactAcrossNodes(t *testing.T) {
	s := redistest.Start(t)
	const workers, each = 16, 25
	for _, tt := range []struct {
		name  string
		plans Plans
		hold  bool // slots are kept
		want  int64
	}{
		{"minute", onePlan(137, 0, 0), false, 137},
		{"day", onePlan(0, 211, 0), false, 211},
		{"concurrency", onePlan(0, 0, 25), true, 25},
		{"all", onePlan(60, 1000, 5), true, 5},
		{"minute before slots", onePlan(60, 1000, 500), true, 60},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nodes := []*Limiter{New(s.Client(), tt.plans, time.Now, quiet), New(s.Client(), tt.plans, time.Now, quiet)}
			var allowed atomic.Int64
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() {
					for range each {
						p, d := try(t, nodes[w%2], tt.name)
						if d.Allowed {
							allowed.Add(1)
						}
						if !tt.hold {
							p.Release(t.Context())
						}
					}
				})
			}
			wg.Wait()
			if n := allowed.Load(); n != tt.want {
				t.Errorf("%d of %d were let through, want %d", n, workers*each, tt.want)
			}
			for _, l := range nodes {
				if l.shared.down {
					t.Error("Redis did not answer, so this proves nothing")
				}
			}
		})
	}
}

// TestSlotsComeBackAtOnce never sees more than the limit in flight, and never a
// refusal with as many workers as slots.
func TestSlotsComeBackAtOnce(t *testing.T) {
	s := redistest.Start(t)
	nodes := []*Limiter{New(s.Client(), onePlan(0, 0, 6), time.Now, quiet), New(s.Client(), onePlan(0, 0, 6), time.Now, quiet)}
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for i := range 100 {
				p, d := try(t, nodes[(w+i)%2], "k")
				if !d.Allowed {
					t.Errorf("refused with a free slot: %+v", d)
				}
				p.Release(t.Context())
			}
		})
	}
	wg.Wait()
}

const (
	childEnv = "LIMITS_TEST_CHILD_REDIS"
	roleEnv  = "LIMITS_TEST_CHILD_ROLE" // hammer, or hold
)

// child is another process.
func child(url string) {
	o, err := redis.ParseURL(url)
	if err != nil {
		fmt.Println(err)
		return
	}
	l := New(redis.NewClient(o), onePlan(150, 100_000, 5), time.Now, quiet)
	if os.Getenv(roleEnv) == "hammer" {
		hammer(l)
		return
	}
	// It takes all slots and hangs until it is killed.
	l.leaseTTL = 2 * time.Second
	go l.Run(context.Background())
	for {
		if _, d, err := l.Acquire(context.Background(), "k", consult.PlanStarter); err != nil || !d.Allowed {
			break
		}
	}
	fmt.Println("taken")
	select {}
}

// hammer asks in parallel and prints how many requests were let through, how
// many found no slot, and the most that were in flight at once.
func hammer(l *Limiter) {
	var allowed, busy, flying, most atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 60 {
				p, d, err := l.Acquire(context.Background(), "k", consult.PlanStarter)
				switch {
				case err != nil:
					fmt.Println(err)
				case d.Allowed:
					allowed.Add(1)
					n := flying.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					flying.Add(-1)
				case d.Reason == consult.ReasonConcurrency:
					busy.Add(1)
				}
				p.Release(context.Background())
			}
		})
	}
	wg.Wait()
	fmt.Println(allowed.Load(), busy.Load(), most.Load(), l.shared.down)
}

// spawn starts this test binary as another process.
func spawn(t *testing.T, s *redistest.Server, role string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+s.URL(), roleEnv+"="+role)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

// TestExactAcrossProcesses lets two processes ask in parallel: together exactly
// the minute's limit is let through.
func TestExactAcrossProcesses(t *testing.T) {
	s := redistest.Start(t)
	var sum, refused int
	var outs []*bufio.Reader
	var cmds []*exec.Cmd
	for range 2 {
		cmd, out := spawn(t, s, "hammer")
		cmds, outs = append(cmds, cmd), append(outs, out)
	}
	for i, out := range outs {
		var allowed, busy, most int
		var down bool
		if _, err := fmt.Fscan(out, &allowed, &busy, &most, &down); err != nil {
			t.Fatal(err)
		}
		if err := cmds[i].Wait(); err != nil {
			t.Fatal(err)
		}
		if most > 5 || down {
			t.Errorf("process %d: %d in flight, Redis down: %v", i, most, down)
		}
		sum, refused = sum+allowed, refused+busy
	}
	if sum != 150 || refused == 0 {
		t.Errorf("%d requests were let through, want 150; %d found no slot", sum, refused)
	}
}

// TestCrash kills a process with SIGKILL that holds every slot and keeps
// renewing its leases.
func TestCrash(t *testing.T) {
	s := redistest.Start(t)
	cmd, out := spawn(t, s, "hold")
	if line, err := out.ReadString('\n'); strings.TrimSpace(line) != "taken" {
		t.Fatalf("child: %q, %v", line, err)
	}
	l := New(s.Client(), onePlan(0, 0, 5), time.Now, quiet)
	during(3*time.Second, func() { // longer than a lease: they are renewed
		if d := request(t, l, "k"); d.Allowed {
			t.Fatal("a slot of a living process was given away")
		}
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	var held []Permit
	eventually(t, "all five slots", func() bool {
		p, d := try(t, l, "k")
		if d.Allowed {
			held = append(held, p)
		}
		return len(held) == 5
	})
	if d := request(t, l, "k"); d.Allowed {
		t.Error("a sixth slot")
	}
}

// TestRedisGoesAndComesBack decides alone meanwhile and brings back what it let
// through.
func TestRedisGoesAndComesBack(t *testing.T) {
	s := redistest.Start(t)
	plans := onePlan(10, 15, 2)
	l := New(s.Client(), plans, time.Now, quiet)
	for range 4 {
		if d := request(t, l, "k"); !d.Allowed {
			t.Fatalf("%+v", d)
		}
	}
	long, _ := try(t, l, "k") // 5 of the day
	s.Stop()

	d := request(t, l, "k")
	if !d.Allowed || d.Remaining != 4 || d.Windows[1].Remaining != 9 {
		t.Fatalf("the first without Redis: %+v", d) // it knows its own minute and the day
	}
	second, d := try(t, l, "k")
	if !d.Allowed {
		t.Fatalf("%+v", d)
	}
	if d := request(t, l, "k"); d.Allowed || d.Reason != consult.ReasonConcurrency {
		t.Fatalf("the permit from before is not counted: %+v", d)
	}
	second.Release(t.Context())
	for range 3 {
		if d := request(t, l, "k"); !d.Allowed {
			t.Fatalf("%+v", d)
		}
	}
	if d := request(t, l, "k"); d.Allowed || d.Reason != consult.ReasonRateMinute || d.RetryAfter < 50*time.Second {
		t.Fatalf("an eleventh within a minute: %+v", d)
	}

	s.Restart() // empty
	other := New(s.Client(), plans, time.Now, quiet)
	eventually(t, "the day is known again", func() bool {
		l.tick(t.Context())
		n, _ := l.shared.rdb.HGet(t.Context(), newUsage("k").names[1], "n").Int()
		return n == 10
	})
	// Another node sees the whole day and the request still under way.
	first, d := try(t, other, "k")
	if !d.Allowed || d.Windows[1].Remaining != 4 {
		t.Fatalf("on another node: %+v", d)
	}
	l.mu.Lock()
	for s := range l.open {
		s.renewAt = 0
	}
	l.mu.Unlock()
	l.tick(t.Context()) // the lease that Redis lost is entered again
	if d := request(t, other, "k"); d.Allowed || d.Reason != consult.ReasonConcurrency {
		t.Fatalf("the request under way is not counted: %+v", d)
	}
	long.Release(t.Context())
	first.Release(t.Context())
	for range 4 {
		if d := request(t, other, "k"); !d.Allowed {
			t.Fatalf("%+v", d)
		}
	}
	if d := request(t, l, "k"); d.Allowed || d.Reason != consult.ReasonRateDay {
		t.Fatalf("a sixteenth of the day: %+v", d)
	}
	// What was known to be used up stays so.
	s.Stop()
	if d := request(t, l, "k"); d.Allowed || d.Reason != consult.ReasonRateDay {
		t.Fatalf("without Redis: %+v", d)
	}
}

// TestDebtIsPaidOnce brings the debt of many parallel requests with the next.
func TestDebtIsPaidOnce(t *testing.T) {
	s := redistest.Start(t)
	l := New(s.Client(), onePlan(0, 1000, 0), time.Now, quiet)
	request(t, l, "k")
	s.Stop()
	for range 40 {
		request(t, l, "k")
	}
	s.Restart()
	eventually(t, "Redis answers", func() bool { return l.shared.rdb.Ping(t.Context()).Err() == nil })
	l.shared.report(nil) // as after the second that it waits
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { request(t, l, "k") })
	}
	wg.Wait()
	if d := request(t, l, "k"); d.Windows[0].Remaining != 1000-62 {
		t.Errorf("%d of the day are counted, want 62", 1000-d.Windows[0].Remaining)
	}
}

// TestHangingRedis costs one request its timeout, not every one.
func TestHangingRedis(t *testing.T) {
	s := redistest.Start(t)
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr(), ContextTimeoutEnabled: true}) // as the server's
	t.Cleanup(func() { _ = rdb.Close() })
	l := New(rdb, onePlan(1000, 1000, 10), time.Now, quiet)
	request(t, l, "k")
	s.Pause()
	began := time.Now()
	for range 200 {
		if d := request(t, l, "k"); !d.Allowed {
			t.Fatalf("%+v", d)
		}
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("200 requests took %v", took)
	}
	s.Resume()
	eventually(t, "Redis counts again", func() bool {
		request(t, l, "k")
		l.shared.mu.Lock()
		defer l.shared.mu.Unlock()
		return !l.shared.down
	})
	if d := request(t, l, "k"); d.Windows[1].Remaining > 1000-203 {
		t.Errorf("only %d of the day are counted", 1000-d.Windows[1].Remaining)
	}
}

// TestLostAnswer runs the script twice with one lease, as the client does when
// an answer was lost.
func TestLostAnswer(t *testing.T) {
	s := redistest.Start(t)
	sh := newShared(s.Client(), quiet)
	p := Plan{PerMinute: 10, PerDay: 10, Concurrent: 2}
	u := newUsage("k")
	var last reply
	for i := range 3 {
		r, err := sh.acquire(t.Context(), u.names, p, LeaseTTL, "lease", tally{}, tally{dayOf(time.Now().UnixMicro()), 3})
		if err != nil {
			t.Fatal(err)
		}
		if r.refused != 0 || r.minuteUsed != 1 || r.dayUsed != 4 || r.slots != 1 {
			t.Errorf("call %d: %+v", i, r)
		}
		last = r
	}
	if r, err := sh.acquire(t.Context(), u.names, p, LeaseTTL, "other", tally{}, tally{}); err != nil || r.dayUsed != last.dayUsed+1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestReleaseDuringRenewal does not let a late renewal bring a slot back.
func TestReleaseDuringRenewal(t *testing.T) {
	s := redistest.Start(t)
	l := New(s.Client(), onePlan(0, 0, 1), time.Now, quiet)
	for range 50 {
		p, d := try(t, l, "k")
		if !d.Allowed {
			t.Fatalf("%+v", d)
		}
		l.mu.Lock()
		p.s.renewAt = 0
		l.mu.Unlock()
		var wg sync.WaitGroup
		wg.Go(func() { l.tick(t.Context()) })
		wg.Go(func() { p.Release(t.Context()) })
		wg.Wait()
	}
	if n := s.Client().ZCard(t.Context(), newUsage("k").names[2]).Val(); n != 0 {
		t.Errorf("%d slots stay taken", n)
	}
}

// TestRunRenews holds a slot for longer than its lease.
func TestRunRenews(t *testing.T) {
	s := redistest.Start(t)
	l := New(s.Client(), onePlan(0, 0, 1), time.Now, quiet)
	l.leaseTTL = 1500 * time.Millisecond
	running(t, l)
	p, _ := try(t, l, "k")
	other := New(s.Client(), onePlan(0, 0, 1), time.Now, quiet)
	during(2500*time.Millisecond, func() {
		if d := request(t, other, "k"); d.Allowed {
			t.Fatal("the slot of a long request was given away")
		}
	})
	p.Release(t.Context())
	// A renewal that was on its way at the release is taken back right after.
	var last Decision
	for deadline := time.Now().Add(l.leaseTTL / 2); time.Now().Before(deadline); {
		if last = request(t, other, "k"); last.Allowed {
			return
		}
	}
	t.Errorf("after the release: %+v", last)
}

func BenchmarkAcquire(b *testing.B) {
	for _, bb := range []struct {
		name string
		plan string
		rdb  func() redis.UniversalClient
	}{
		{"enterprise", consult.PlanEnterprise, func() redis.UniversalClient { return redistest.Start(b).Client() }},
		{"redis", consult.PlanStarter, func() redis.UniversalClient { return redistest.Start(b).Client() }},
		{"in-process-redis", consult.PlanStarter, func() redis.UniversalClient { return backends[1].rdb(b, &fakeClock{t: start}) }},
		{"this-process", consult.PlanStarter, func() redis.UniversalClient { return nil }},
	} {
		for _, keys := range []int{1, 10_000} {
			b.Run(fmt.Sprintf("%s/keys=%d", bb.name, keys), func(b *testing.B) {
				plans := documented(b)
				plans[consult.PlanStarter] = Plan{PerMinute: maxPerMinute, PerDay: maxPerDay, Concurrent: maxConcurrent}
				l := New(bb.rdb(), plans, time.Now, quiet)
				var n atomic.Int64
				names := make([]string, keys)
				for i := range names {
					names[i] = key(i)
				}
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						p, _, err := l.Acquire(b.Context(), names[int(n.Add(1))%keys], bb.plan)
						if err != nil {
							b.Fatal(err)
						}
						p.Release(b.Context())
					}
				})
			})
		}
	}
}
