package limits

import (
	"context"
	"net/netip"
	"time"
)

// Failed keys of one network: FailedFree at once, FailedLeak more for each while
// passed, then a wait that doubles. An integrator's typing slip, or a test run of
// every endpoint with a bad key, stays below it; a guesser does not. What is
// counted is forgotten FailedForget after the last failure.
const (
	FailedFree   = 100
	FailedLeak   = 6 * time.Second
	FailedFirst  = time.Second
	FailedMost   = 5 * time.Minute
	FailedForget = 15 * time.Minute
)

// maxNetworks is how many networks a node remembers.
const maxNetworks = 1 << 16

// failures are the failed keys of one network. Times in microseconds.
type failures struct {
	level   float64 // a bucket that leaks one per FailedLeak
	at      int64   // of the last failure
	strikes int     // how often it ran over
	until   int64   // not heard before
}

// add counts one failure and returns the wait in microseconds.
func (f *failures) add(now int64) int64 {
	if now < f.until {
		return f.until - now
	}
	passed := max(0, now-f.at)
	if passed >= FailedForget.Microseconds() {
		*f = failures{}
	}
	f.level = max(0, f.level-float64(passed)/float64(FailedLeak.Microseconds())) + 1
	f.at = now
	if f.level > FailedFree {
		f.strikes++
		wait := FailedFirst << min(f.strikes-1, 20)
		f.until = now + min(wait, FailedMost).Microseconds()
	}
	return max(0, f.until-now)
}

// network is what one customer line has: an IPv4 address, or an IPv6 /64 (RFC
// 6177 section 2), whose owner could use a new address for each guess.
func network(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}

// Failed reports whether keys from addr are looked at now and, if not, when
// again. It asks nobody and costs one look into a map, so it may stand before
// every request. Another node's block is learnt with this node's first failure.
func (l *Limiter) Failed(_ context.Context, addr netip.Addr) (allowed bool, retryAfter time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failed) == 0 {
		return true, 0
	}
	f := l.failed[network(addr)]
	if f == nil {
		return true, 0
	}
	wait := f.until - l.clock().UnixMicro()
	if wait <= 0 {
		return true, 0
	}
	return false, wholeSeconds(time.Duration(wait) * time.Microsecond)
}

// NoteFailure counts a key from addr that does not exist, is revoked or has
// expired; a request without any key is no failure. It returns how long the
// network is not heard from now on, 0 for not at all.
func (l *Limiter) NoteFailure(ctx context.Context, addr netip.Addr) time.Duration {
	name := network(addr)
	now := l.clock().UnixMicro()
	l.mu.Lock()
	f := l.failed[name]
	if f == nil {
		if len(l.failed) >= maxNetworks {
			l.forgiveLocked(now)
		}
		f = &failures{}
		l.failed[name] = f
	}
	wait := f.add(now)
	l.mu.Unlock()
	if l.shared != nil && l.shared.mayTry() {
		v, err := l.shared.call(ctx, l.shared.fS, 1, []string{"limits:failed:{" + name + "}"},
			FailedFree, FailedLeak.Microseconds(), FailedFirst.Microseconds(), FailedMost.Microseconds(), FailedForget.Microseconds())
		if err == nil {
			wait = v[0]
			l.mu.Lock()
			f.until = now + wait
			l.mu.Unlock()
		}
	}
	if wait <= 0 {
		return 0
	}
	return wholeSeconds(time.Duration(wait) * time.Microsecond)
}

// forgiveLocked drops networks that have been quiet and, when there are still
// too many, any that are not blocked. Callers hold mu.
func (l *Limiter) forgiveLocked(now int64) {
	for name, f := range l.failed {
		if now >= f.until && now-f.at >= FailedForget.Microseconds() {
			delete(l.failed, name)
		}
	}
	for name, f := range l.failed {
		if len(l.failed) < maxNetworks {
			return
		}
		if now >= f.until {
			delete(l.failed, name)
		}
	}
}
