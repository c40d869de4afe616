package limits

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// redisTimeout bounds one call. A healthy Redis answers within a
	// millisecond; a request must not wait longer for its limits than for its
	// work.
	redisTimeout = 500 * time.Millisecond
	// breakFor is how often Redis is tried after it failed to answer: by one
	// call, so that an unreachable one does not cost every request its timeout.
	breakFor = time.Second
)

//go:embed lua/acquire.lua
var acquireLua string

//go:embed lua/settle.lua
var settleLua string

//go:embed lua/fail.lua
var failLua string

var (
	errReply = errors.New("unexpected reply")
	errDown  = errors.New("redis is unreachable")
)

// shared is the state in Redis.
type shared struct {
	rdb                   redis.UniversalClient
	log                   *slog.Logger
	acquireS, settleS, fS *redis.Script

	mu       sync.Mutex
	down     bool
	tryAfter time.Time // while down; the machine's clock: this is about a real connection
}

func newShared(rdb redis.UniversalClient, log *slog.Logger) *shared {
	return &shared{
		rdb: rdb, log: log, acquireS: redis.NewScript(acquireLua),
		settleS: redis.NewScript(settleLua), fS: redis.NewScript(failLua),
	}
}

// mayTry reports whether to ask Redis: always, or once in a while when it is down.
func (s *shared) mayTry() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.down {
		return true
	}
	now := time.Now()
	if now.Before(s.tryAfter) {
		return false
	}
	s.tryAfter = now.Add(breakFor)
	return true
}

// report notes whether Redis answered, and logs when that changes.
func (s *shared) report(err error) {
	s.mu.Lock()
	was := s.down
	s.down = err != nil
	if s.down {
		s.tryAfter = time.Now().Add(breakFor)
	}
	s.mu.Unlock()
	switch {
	case err != nil && !was:
		s.log.Warn("rate limits: Redis does not answer, this node decides alone", "err", err)
	case err == nil && was:
		s.log.Info("rate limits: Redis is back")
	}
}

// call runs a script that answers n integers. ctx's values stay, its end does
// not count: what the script has taken must be known.
func (s *shared) call(ctx context.Context, script *redis.Script, n int, keys []string, args ...any) ([]int64, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisTimeout)
	defer cancel()
	out, err := script.Run(ctx, s.rdb, keys, args...).Int64Slice()
	if err == nil && len(out) != n {
		err = fmt.Errorf("%w: %d values", errReply, len(out))
	}
	s.report(err)
	return out, err
}

func (s *shared) acquire(ctx context.Context, keys []string, p Plan, ttl time.Duration, lease string, seen, debt tally) (reply, error) {
	v, err := s.call(ctx, s.acquireS, 7, keys, p.PerMinute, p.PerDay, p.Concurrent,
		ttl.Microseconds(), lease, seen.day, seen.n, debt.day, debt.n)
	if err != nil {
		return reply{}, err
	}
	return reply{v[0], v[1], v[2], v[3], v[4], v[5], v[6]}, nil
}

// settle renews leases and pays a debt. It returns the day and its count.
func (s *shared) settle(ctx context.Context, keys []string, ttl time.Duration, seen, debt tally, leases []string) ([]int64, error) {
	if !s.mayTry() {
		return nil, errDown
	}
	args := []any{ttl.Microseconds(), seen.day, seen.n, debt.day, debt.n}
	for _, id := range leases {
		args = append(args, id)
	}
	return s.call(ctx, s.settleS, 2, keys, args...)
}

// release removes leases. When it fails they expire.
func (s *shared) release(ctx context.Context, keys []string, leases ...string) {
	if !s.mayTry() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisTimeout)
	defer cancel()
	args := make([]any, len(leases))
	for i, id := range leases {
		args[i] = id
	}
	s.report(s.rdb.ZRem(ctx, keys[2], args...).Err())
}
