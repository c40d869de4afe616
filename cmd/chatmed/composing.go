package main

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/compose"
)

// composingDir is where recordings are composed, in the data directory: the
// system's own for temporary files may be small, or kept in memory.
const composingDir = "composing"

// openComposer makes playable files of what the server holds the key of.
func (a *app) openComposer() (err error) {
	deps := compose.Deps{
		Records: a.store, Blobs: a.blobs, Identities: a.vault.Identities(), Recipient: a.vault.Recipient(),
		Now: a.now, Log: a.log, Metrics: a.registry,
	}
	if a.cfg.RedisURL != "" {
		deps.Claim = claims{a.redis.Client()}.claim
	}
	a.composer, err = compose.NewService(compose.ServiceConfig{
		Config: compose.Config{Dir: filepath.Join(a.cfg.DataDir, composingDir), Log: a.log},
	}, deps)
	return err
}

// claims are what one node of several does alone, while it lives.
type claims struct{ client redis.UniversalClient }

const (
	claimLife  = time.Minute // after the last sign of life
	claimRenew = 15 * time.Second
	claimCall  = 5 * time.Second
)

// dropClaim deletes a claim unless it is another's by now.
var dropClaim = redis.NewScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`)

// keepClaim makes a claim last on, and says whether it is still ours.
var keepClaim = redis.NewScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0`)

// claim takes the recording of that id for this node. Redis that does not answer
// is no reason to do it twice: then nobody does for now.
func (c claims) claim(ctx context.Context, id string) (release func(), ok bool) {
	key, mine := "chatmed:compose:{"+id+"}", consult.NewID("clm")
	call, cancel := context.WithTimeout(ctx, claimCall)
	defer cancel()
	if err := c.client.SetArgs(call, key, mine, redis.SetArgs{Mode: "NX", TTL: claimLife}).Err(); err != nil {
		return nil, false // redis.Nil: another has it
	}
	var work sync.WaitGroup
	done := make(chan struct{})
	work.Go(func() { c.renew(done, key, mine) })
	return func() {
		close(done)
		work.Wait()
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimCall)
		defer cancel()
		_ = dropClaim.Run(call, c.client, []string{key}, mine).Err() // it runs out by itself too
	}, true
}

// renew keeps the claim until done.
func (c claims) renew(done <-chan struct{}, key, mine string) {
	tick := time.NewTicker(claimRenew)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		call, cancel := context.WithTimeout(context.Background(), claimCall)
		_ = keepClaim.Run(call, c.client, []string{key}, mine, claimLife.Milliseconds()).Err() // the next one may work
		cancel()
	}
}
