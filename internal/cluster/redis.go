// Package cluster is this node's Redis: a real one by URL, or one inside the
// process whose clock the server drives, so that one implementation of the
// waiting room serves both. On it stands the Bus between nodes.
//
// Keys carry hash tags ({…}), so that keys used together stay together on
// Redis Cluster. A command whose answer was lost is tried again, so scripts
// must bear being run twice.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/chatmed/chatmed/internal/consult"
)

// Bounds of the connection. A caller's earlier deadline wins.
const (
	dialTimeout = 3 * time.Second
	callTimeout = 2 * time.Second
	poolTimeout = 3 * time.Second // waiting for a free connection
	poolSize    = 32
	retries     = 2
	// openTimeout is how long Open waits for a server that is still starting.
	openTimeout = 15 * time.Second
)

// Redis is the connection to Redis. Safe for concurrent use.
type Redis struct {
	client redis.UniversalClient
	bus    *Bus
	local  *local // nil with a real server
}

// Open connects to the server at url, which is redis://, rediss:// or unix://,
// and with addr parameters (redis://one:6379?addr=two:6379) a Redis Cluster. An
// empty url starts a server inside the process, whose time is now's. Open
// returns once the server answers and the bus is subscribed.
func Open(ctx context.Context, url string, now consult.Clock, log *slog.Logger) (*Redis, error) {
	return open(ctx, url, now, log, busTimes{}.orDefault())
}

func open(ctx context.Context, url string, now consult.Clock, log *slog.Logger, t busTimes) (_ *Redis, err error) {
	redis.SetLogger(libraryLog{log})
	r := &Redis{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	var db int
	if url == "" {
		if r.local, err = startLocal(now); err != nil {
			return nil, fmt.Errorf("in-process redis: %w", err)
		}
		r.client = redis.NewClient(tuned(r.local.options()))
	} else if r.client, db, err = dial(url); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := r.await(ctx, t); err != nil {
		return nil, fmt.Errorf("redis does not answer: %w", err)
	}
	// Pub/sub ignores database numbers, so the prefix keeps apart what two
	// deployments on one server say.
	r.bus = newBus(r.client, fmt.Sprintf("chatmed:bus:%d:", db), log, t)
	if err := r.bus.connected(ctx); err != nil {
		return nil, fmt.Errorf("redis takes no subscription: %w", err)
	}
	return r, nil
}

// dial makes the client for url; it connects on first use. The parser's error
// repeats the URL with its password, so it is not passed on.
func dial(url string) (redis.UniversalClient, int, error) {
	if co, err := redis.ParseClusterURL(url); err == nil && len(co.Addrs) > 1 {
		co.DialTimeout, co.ReadTimeout, co.WriteTimeout = dialTimeout, callTimeout, callTimeout
		co.PoolTimeout, co.PoolSize = poolTimeout, poolSize
		co.ContextTimeoutEnabled, co.DisableIdentity = true, true
		co.MaintNotificationsConfig = noMaintenance()
		return redis.NewClusterClient(co), 0, nil
	}
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, 0, errors.New("the Redis URL is not understood; give redis://[user:password@]host:port/db")
	}
	return redis.NewClient(tuned(o)), o.DB, nil
}

func tuned(o *redis.Options) *redis.Options {
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, callTimeout, callTimeout
	o.PoolTimeout, o.PoolSize, o.MaxRetries = poolTimeout, poolSize, retries
	o.ContextTimeoutEnabled, o.DisableIdentity = true, true
	o.MaintNotificationsConfig = noMaintenance()
	return o
}

// noMaintenance turns off a handshake of one vendor's managed service, which
// could also exchange the bus's connection without telling it.
func noMaintenance() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// await pings until the server answers or ctx ends.
func (r *Redis) await(ctx context.Context, t busTimes) error {
	for try := 0; ; try++ {
		err := r.Ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(t.backoff(try)):
		}
	}
}

// Client is the connection itself.
func (r *Redis) Client() redis.UniversalClient { return r.client }

// Bus is the bus on this connection.
func (r *Redis) Bus() *Bus { return r.bus }

// Ping reports whether the server answers, for readiness.
func (r *Redis) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return r.client.Ping(ctx).Err()
}

// Close stops the bus, waits for its callbacks, and closes the connection and
// the in-process server.
func (r *Redis) Close() error {
	var err error
	if r.bus != nil {
		r.bus.close()
	}
	if r.client != nil {
		err = r.client.Close()
	}
	if r.local != nil {
		r.local.close()
	}
	return err
}

// libraryLog carries go-redis's own complaints (failed dials, pool trouble)
// into our log.
type libraryLog struct{ log *slog.Logger }

func (l libraryLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redis", "detail", fmt.Sprintf(format, v...))
}
