package provider

import (
	"sync"
	"time"
)

// breaker stops asking a provider that fails: after some failures in a row it
// rests, and then lets one request try.
type breaker struct {
	now   func() time.Time
	limit int
	rest  time.Duration

	mu     sync.Mutex
	failed int
	until  time.Time
	trying bool
}

// allow tells whether to ask. Whoever got a yes calls done.
func (b *breaker) allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed < b.limit {
		return true
	}
	if b.trying || b.now().Before(b.until) {
		return false
	}
	b.trying = true
	return true
}

func (b *breaker) done(ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
	if ok {
		b.failed = 0
		return
	}
	if b.failed++; b.failed >= b.limit {
		b.until = b.now().Add(b.rest)
	}
}

// giveUp ends a try that says nothing of the provider: its caller went away.
func (b *breaker) giveUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
}
