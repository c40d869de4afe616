// Package limits holds API keys to their plan: requests per minute, requests
// per day, and requests in flight. It also slows down addresses that present
// keys which do not exist.
//
// # What is counted
//
// The minute slides: in any 60 seconds at most PerMinute requests of a key are
// let through. Redis keeps the time of each of them (a list of at most PerMinute
// entries), so there is no burst of twice the limit where two fixed windows
// meet, and nothing is rounded. A window's Reset is the moment the next unit
// comes back, which is how the IETF draft defines the parameter t.
//
// The day is the calendar day in UTC, because people plan a daily quota by the
// calendar and 50,000 times per key would be a lot to remember. Its Reset is
// midnight.
//
// A concurrency slot is a lease: a member of a sorted set with the time it
// expires. Run renews the leases of requests under way, so that a node that died
// gives its slots back after LeaseTTL and a long upload keeps its own. A slot
// whose request panicked or whose client went away is given back by the deferred
// Release.
//
// A request that is refused uses nothing up.
//
// # One call
//
// One Lua script checks all three and takes the slot, so the limits are exact
// over any number of nodes on one Redis. Time is Redis' own (TIME), the one
// clock all nodes share; of the in-process Redis that is the server's injected
// clock. An unlimited plan asks nobody.
//
// # Without Redis
//
// The node decides by what it knows itself, and tries Redis again once a second:
//
//   - minute: the node's own log of what it let through, against the full limit.
//     With n nodes, a key has at most n times its minute.
//   - concurrency: the permits this node has given and not got back. Again at
//     most n times the limit. They are entered into Redis when it is back.
//   - day: let through and noted as a debt, which the key's next call, or Run,
//     adds to the day in Redis. A key whose day was known to be used up stays
//     refused.
//   - failed keys: the same rule on this node's own count.
//
// A Redis that comes back empty has lost the minute (a key may use it once more)
// but not the day: each node remembers the highest count it has seen and Redis
// takes it back. Care is never stopped because a counter is not available.
//
// With a nil client everything is decided in this process, exactly: one process
// needs no Redis to know what it let through.
package limits

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chatmed/chatmed/internal/consult"
)

// LeaseTTL is how long the slot of a node that died stays taken.
const LeaseTTL = 30 * time.Second

// maxKeys is how many keys a node remembers; beyond it idle ones are forgotten,
// which costs only the memory of their day, should Redis come back empty.
const maxKeys = 100_000

// Limiter decides about requests. Safe for concurrent use.
type Limiter struct {
	plans    Plans
	policies map[string]string // the RateLimit-Policy field by plan
	clock    consult.Clock
	log      *slog.Logger
	shared   *shared // nil: this process alone
	leaseTTL time.Duration
	node     string // prefix of lease ids
	leases   atomic.Uint64

	mu       sync.Mutex
	keys     map[string]*usage
	open     map[*slot]struct{} // slots given and not yet released
	indebted map[*usage]struct{}
	failed   map[string]*failures // by network
}

// New makes a limiter over rdb, or one of this process alone when rdb is nil.
// clock is for what is decided without Redis.
func New(rdb redis.UniversalClient, plans Plans, clock consult.Clock, log *slog.Logger) *Limiter {
	l := &Limiter{
		plans: plans, policies: make(map[string]string), clock: clock, log: log,
		leaseTTL: LeaseTTL, node: rand.Text()[:10],
		keys: make(map[string]*usage), open: make(map[*slot]struct{}),
		indebted: make(map[*usage]struct{}), failed: make(map[string]*failures),
	}
	if rdb != nil {
		l.shared = newShared(rdb, log)
	}
	for name, p := range plans {
		l.policies[name] = policyField(p)
	}
	return l
}

// Plan is the plan of that name.
func (l *Limiter) Plan(name string) (Plan, bool) {
	p, ok := l.plans[name]
	return p, ok
}

// slot is one request in flight. Its fields are guarded by Limiter.mu.
type slot struct {
	usage    *usage
	id       string
	renewAt  int64 // microseconds of the node's clock
	renewing bool  // a renewal is on its way to Redis
	released bool
}

// Permit is leave to handle one request. The zero Permit holds nothing.
type Permit struct {
	l *Limiter
	s *slot
}

// Acquire decides about one request of a key and takes its slot. The Permit must
// be released when the request is over, also when it was refused (which does
// nothing). The caller's cancellation is not heeded, because a slot whose answer
// was not awaited would stay taken; the call is bounded by a timeout of its own.
// The error is an unknown plan.
func (l *Limiter) Acquire(ctx context.Context, keyID, plan string) (Permit, Decision, error) {
	p, ok := l.plans[plan]
	if !ok {
		return Permit{}, Decision{}, fmt.Errorf("key %s has the unknown plan %q", keyID, plan)
	}
	if p.Unlimited() {
		return Permit{}, Decision{Allowed: true}, nil
	}
	lease := l.node + strconv.FormatUint(l.leases.Add(1), 36)
	r, answered := l.ask(ctx, keyID, p, lease)

	now := l.clock().UnixMicro()
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.usageLocked(keyID, now)
	if answered {
		u.learn(r.day, r.dayUsed)
	} else {
		r = u.admit(p, now)
		l.countLocked(u, r)
	}
	d := decide(p, r)
	d.policy = l.policies[plan]
	if !d.Allowed {
		return Permit{}, d, nil
	}
	u.note(now, p.PerMinute)
	if p.Concurrent == 0 {
		return Permit{}, d, nil
	}
	s := &slot{usage: u, id: lease, renewAt: now + l.leaseTTL.Microseconds()/3}
	u.held++
	l.open[s] = struct{}{}
	return Permit{l, s}, d, nil
}

// countLocked counts in the day what this node has decided: for good when it is
// alone, else as a debt. Callers hold mu.
func (l *Limiter) countLocked(u *usage, r reply) {
	switch {
	case r.refused != 0:
	case l.shared == nil:
		u.learn(r.day, r.dayUsed)
	default:
		u.debt.add(tally{r.day, 1})
		l.indebted[u] = struct{}{}
	}
}

// ask lets Redis decide. It reports false when this node must.
func (l *Limiter) ask(ctx context.Context, keyID string, p Plan, lease string) (reply, bool) {
	if l.shared == nil || !l.shared.mayTry() {
		return reply{}, false
	}
	l.mu.Lock()
	u := l.usageLocked(keyID, l.clock().UnixMicro())
	keys, seen, debt := u.names, u.seen, u.debt
	u.debt = tally{} // nobody else brings it
	u.inFlight++
	l.mu.Unlock()
	r, err := l.shared.acquire(ctx, keys, p, l.leaseTTL, lease, seen, debt)
	l.mu.Lock()
	defer l.mu.Unlock()
	u.inFlight--
	if err != nil {
		u.debt.add(debt)
		return reply{}, false
	}
	if u.debt.n == 0 {
		delete(l.indebted, u)
	}
	return r, true
}

// Release gives the slot back. Calling it again does nothing. It works after the
// request's context has ended, so that a client that went away frees its slot.
func (p Permit) Release(ctx context.Context) {
	if p.s == nil {
		return
	}
	p.l.mu.Lock()
	s := p.s
	if s.released {
		p.l.mu.Unlock()
		return
	}
	s.released = true
	s.usage.held--
	delete(p.l.open, s)
	// A renewal on its way could arrive after our removal; it removes by itself.
	renewing, names := s.renewing, s.usage.names
	p.l.mu.Unlock()
	if p.l.shared != nil && !renewing {
		p.l.shared.release(ctx, names, s.id)
	}
}

// usageLocked is the key's entry, made when missing. Callers hold mu.
func (l *Limiter) usageLocked(keyID string, now int64) *usage {
	u := l.keys[keyID]
	if u == nil {
		if len(l.keys) >= maxKeys {
			l.forgetLocked(now, true)
		}
		u = newUsage(keyID)
		l.keys[keyID] = u
	}
	u.touched = now
	return u
}

// forgetLocked drops what is idle: of a day that is over or, when pressed, all
// that owes and holds nothing. Callers hold mu.
func (l *Limiter) forgetLocked(now int64, pressed bool) {
	for id, u := range l.keys {
		if u.held > 0 || u.debt.n > 0 || u.inFlight > 0 {
			continue
		}
		if pressed || dayOf(u.touched) != dayOf(now) && now-u.touched > minuteMicros {
			delete(l.keys, id)
		}
	}
}
