package limits

import (
	"context"
	"time"
)

// Run renews the leases of requests under way, pays debts to a Redis that is
// back, and forgets what is over, until ctx ends. Without it leases expire under
// requests longer than LeaseTTL.
func (l *Limiter) Run(ctx context.Context) {
	t := time.NewTicker(l.leaseTTL / 6)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			l.tick(ctx)
		}
	}
}

// tick does what is due.
func (l *Limiter) tick(ctx context.Context) {
	now := l.clock().UnixMicro()
	l.mu.Lock()
	l.forgetLocked(now, false)
	l.forgiveLocked(now)
	l.mu.Unlock()
	if l.shared == nil {
		return
	}
	for u, slots := range l.due(now) {
		l.settle(ctx, u, slots)
	}
}

// due marks what must be renewed or paid as being on its way.
func (l *Limiter) due(now int64) map[*usage][]*slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[*usage][]*slot)
	for u := range l.indebted {
		out[u] = nil
		u.inFlight++
	}
	for s := range l.open {
		if now < s.renewAt {
			continue
		}
		if _, known := out[s.usage]; !known {
			s.usage.inFlight++
		}
		s.renewing = true
		out[s.usage] = append(out[s.usage], s)
	}
	return out
}

// settle brings a key's debt and leases to Redis. Leases that Redis has lost are
// entered again, because their requests are still running.
func (l *Limiter) settle(ctx context.Context, u *usage, slots []*slot) {
	now := l.clock().UnixMicro()
	l.mu.Lock()
	seen, debt := u.seen, u.debt
	u.debt = tally{}
	var ids []string
	for _, s := range slots {
		if !s.released {
			ids = append(ids, s.id)
		}
	}
	l.mu.Unlock()
	v, err := l.shared.settle(ctx, u.names, l.leaseTTL, seen, debt, ids)

	var over []string // released meanwhile
	l.mu.Lock()
	u.inFlight--
	if err != nil {
		u.debt.add(debt)
	} else {
		u.learn(v[0], v[1])
	}
	if u.debt.n == 0 {
		delete(l.indebted, u)
	}
	for _, s := range slots {
		s.renewing = false
		if s.released {
			over = append(over, s.id)
		} else if err == nil {
			s.renewAt = now + l.leaseTTL.Microseconds()/3
		}
	}
	l.mu.Unlock()
	if len(over) > 0 {
		l.shared.release(ctx, u.names, over...)
	}
}
