package cluster

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

var errSilent = errors.New("no answer to a ping")

// listen keeps the subscription up until close: it subscribes, receives until
// the connection is lost, and starts again.
func (b *Bus) listen() {
	for try := 0; ; {
		up, err := b.session()
		if b.ctx.Err() != nil {
			return
		}
		if up {
			try = 0
			b.log.Warn("bus connection lost", "err", err)
		} else {
			b.log.Debug("bus connection failed", "try", try, "err", err)
		}
		select {
		case <-b.ctx.Done():
			return
		case <-time.After(b.times.backoff(try)):
			try++
		}
	}
}

// session is the life of one connection. up reports whether it was ever
// subscribed. The library would reconnect by itself, silently: every error of
// any call closes the session, so that no loss goes unnoticed.
func (b *Bus) session() (up bool, err error) {
	ctx, cancel := context.WithCancel(b.ctx)
	ps := b.client.Subscribe(ctx)
	var heard atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		b.keepAlive(ctx, ps, &heard)
		_ = ps.Close() // ends a blocked Receive
	})
	defer wg.Wait()
	defer cancel()

	if err := b.subscribeAll(ctx, ps); err != nil {
		return false, err
	}
	for {
		msg, err := ps.Receive(ctx)
		if err != nil {
			return up, err
		}
		heard.Add(1)
		switch m := msg.(type) {
		case *redis.Subscription:
			if !up && m.Kind == "psubscribe" {
				up = true
				b.subscribed()
			}
		case *redis.Message:
			b.dispatch(m.Channel, m.Payload)
		}
	}
}

func (b *Bus) subscribeAll(ctx context.Context, ps *redis.PubSub) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout+callTimeout)
	defer cancel()
	return ps.PSubscribe(ctx, b.prefix+"*")
}

// subscribed notes that the subscription is up: the first time, or again after
// a loss.
func (b *Bus) subscribed() {
	select {
	case <-b.first:
		b.log.Info("bus connection is back")
		b.requestRound()
	default:
		close(b.first)
	}
}

// keepAlive pings until the server falls silent, a ping fails, or ctx ends. A
// TCP connection to a machine that vanished would look healthy for minutes.
func (b *Bus) keepAlive(ctx context.Context, ps *redis.PubSub, heard *atomic.Int64) {
	t := time.NewTicker(b.times.health)
	defer t.Stop()
	seen := int64(-1)
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		n := heard.Load()
		if n == seen {
			b.log.Warn("bus connection is silent", "err", errSilent)
			return
		}
		seen = n
		if err := ps.Ping(ctx); err != nil {
			return
		}
		b.resync(ctx)
	}
}

// resync tells every node to read again after a publish had failed, because
// its subscribers know nothing of the loss.
func (b *Bus) resync(ctx context.Context) {
	if !b.unpublished.Swap(false) {
		return
	}
	if err := b.Publish(ctx, resyncTopic, nil); err != nil {
		b.log.Debug("bus resync failed, tried again later", "err", err)
	}
}
