package limits

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/cluster/redistest"
)

var attacker = netip.MustParseAddr("192.0.2.7")

func TestFailedKeys(t *testing.T) {
	onEach(t, documented(t), func(t *testing.T, l *Limiter, c *fakeClock) {
		ctx := t.Context()
		for i := range FailedFree {
			if ok, _ := l.Failed(ctx, attacker); !ok {
				t.Fatalf("blocked after %d failures", i)
			}
			if wait := l.NoteFailure(ctx, attacker); wait != 0 {
				t.Fatalf("failure %d: wait %v", i, wait)
			}
		}
		want := FailedFirst
		for range 12 {
			var wait time.Duration
			for wait == 0 { // what has leaked while it waited is free again
				wait = l.NoteFailure(ctx, attacker)
			}
			if wait != want {
				t.Fatalf("wait %v, want %v", wait, want)
			}
			if ok, wait := l.Failed(ctx, attacker); ok || wait != want {
				t.Fatalf("heard: %v, wait %v", ok, wait)
			}
			if wait := l.NoteFailure(ctx, attacker); wait != want {
				t.Errorf("failures while blocked count: %v", wait)
			}
			if ok, _ := l.Failed(ctx, netip.MustParseAddr("192.0.2.8")); !ok {
				t.Error("a neighbour is blocked")
			}
			c.add(want)
			if ok, wait := l.Failed(ctx, attacker); !ok {
				t.Fatalf("still blocked for %v", wait)
			}
			want = min(2*want, FailedMost)
		}
		c.add(FailedForget)
		l.tick(ctx)
		if wait := l.NoteFailure(ctx, attacker); wait != 0 {
			t.Errorf("not forgotten: %v", wait)
		}
	})
}

// TestSlowFailuresAreNotBlocked is one misconfigured program in a clinic whose
// other programs share its address.
func TestSlowFailuresAreNotBlocked(t *testing.T) {
	onEach(t, documented(t), func(t *testing.T, l *Limiter, c *fakeClock) {
		for range 1000 {
			c.add(FailedLeak)
			if wait := l.NoteFailure(t.Context(), attacker); wait != 0 {
				t.Fatalf("wait %v", wait)
			}
		}
	})
}

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7":            "192.0.2.7",
		"::ffff:192.0.2.7":     "192.0.2.7",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"2001:db8:1:2::1":      "2001:db8:1:2::/64",
		"fe80::1%eth0":         "fe80::/64",
	} {
		if got := network(netip.MustParseAddr(in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestBlockHoldsOnEveryNode counts together; a node learns of a block with its
// own first failure. Without Redis it counts alone.
func TestBlockHoldsOnEveryNode(t *testing.T) {
	s := redistest.Start(t)
	a, b := New(s.Client(), documented(t), time.Now, quiet), New(s.Client(), documented(t), time.Now, quiet)
	ctx := t.Context()
	for i := range FailedFree {
		if wait := []*Limiter{a, b}[i%2].NoteFailure(ctx, attacker); wait != 0 {
			t.Fatalf("failure %d: %v", i, wait)
		}
	}
	eventually(t, "a block", func() bool { return a.NoteFailure(ctx, attacker) > 0 }) // some have leaked meanwhile
	if wait := b.NoteFailure(ctx, attacker); wait == 0 {
		t.Error("the other node listens")
	}
	if ok, _ := b.Failed(ctx, attacker); ok {
		t.Error("the other node does not remember")
	}
	s.Stop()
	other := netip.MustParseAddr("2001:db8::1")
	for range FailedFree + 10 {
		a.NoteFailure(ctx, other)
	}
	if ok, _ := a.Failed(ctx, netip.MustParseAddr("2001:db8::2")); ok {
		t.Error("not blocked without Redis")
	}
}

// TestRuleIsTheSameInLua compares the script with failures.add step by step.
func TestRuleIsTheSameInLua(t *testing.T) {
	c := &fakeClock{t: start}
	l := New(backends[1].rdb(t, c), documented(t), c.now, quiet)
	var f failures
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range 3000 {
		gap := time.Duration(rnd.IntN(400)) * time.Millisecond
		if rnd.IntN(200) == 0 {
			gap = time.Duration(rnd.IntN(1200)) * time.Second
		}
		c.add(gap)
		want := f.add(c.now().UnixMicro())
		v, err := l.shared.call(t.Context(), l.shared.fS, 1, []string{"x"}, FailedFree, FailedLeak.Microseconds(),
			FailedFirst.Microseconds(), FailedMost.Microseconds(), FailedForget.Microseconds())
		if err != nil {
			t.Fatal(err)
		}
		if v[0] != want {
			t.Fatalf("step %d: script %d, rule %d, %+v", i, v[0], want, f)
		}
	}
}

func TestNetworksAreBounded(t *testing.T) {
	c := &fakeClock{t: start}
	l := New(nil, documented(t), c.now, quiet)
	for i := range maxNetworks + 100 {
		l.NoteFailure(t.Context(), netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if n := len(l.failed); n > maxNetworks {
		t.Errorf("%d networks", n)
	}
}
