package cluster

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	// topicQueue is how many messages may wait for one topic's callbacks.
	topicQueue = 256
	// MaxPayload bounds a message, in bytes: the bus carries hints, not data.
	MaxPayload = 64 << 10
	// resyncTopic tells every node that a message may have been lost.
	resyncTopic = "bus:resync"
)

// busTimes are the bus's intervals; tests shorten them.
type busTimes struct {
	health               time.Duration // between pings; silence of two of them is a loss
	firstRetry, maxRetry time.Duration
}

func (t busTimes) orDefault() busTimes {
	if t.health == 0 {
		t.health = 3 * time.Second
	}
	if t.firstRetry == 0 {
		t.firstRetry = 50 * time.Millisecond
	}
	if t.maxRetry == 0 {
		t.maxRetry = 2 * time.Second
	}
	return t
}

// backoff is the pause before retry number try (from 0): doubling, bounded,
// and half of it random so that nodes do not come back in step.
func (t busTimes) backoff(try int) time.Duration {
	d := t.maxRetry
	if try < 10 {
		d = min(t.firstRetry<<try, t.maxRetry)
	}
	return d/2 + rand.N(d/2+1)
}

// Bus implements consult.Bus on Redis pub/sub, over one connection that
// subscribes to every topic of the prefix, so that subscribing to a topic is
// local and complete the moment Subscribe returns.
//
// Each topic has a goroutine that calls the topic's callbacks, one message at a
// time and in order of arrival. A slow callback delays only its own topic. When
// the topic's queue is full as well, further messages are dropped, and the
// OnReconnect handlers are called once it has caught up.
//
// OnReconnect handlers run whenever messages may have been missed: after the
// connection came back, after such a drop, and after another node could not
// publish. They are called one after another and never two rounds at once. A
// message may arrive twice when Redis's answer to Publish was lost.
type Bus struct {
	client redis.UniversalClient
	prefix string
	log    *slog.Logger
	times  busTimes

	ctx    context.Context // ends with close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	first  chan struct{} // closed at the first subscription
	notify chan struct{} // capacity 1: a round of OnReconnect handlers is due

	unpublished atomic.Bool // a publish failed since the last resync

	mu       sync.Mutex
	closed   bool
	topics   map[string]*topic
	handlers []*handler
}

var _ consult.Bus = (*Bus)(nil)

type handler struct{ fn func() }

func newBus(client redis.UniversalClient, prefix string, log *slog.Logger, t busTimes) *Bus {
	b := &Bus{
		client: client, prefix: prefix, log: log, times: t,
		first: make(chan struct{}), notify: make(chan struct{}, 1),
		topics: make(map[string]*topic),
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.wg.Go(b.listen)
	b.wg.Go(b.callHandlers)
	return b
}

// close ends every goroutine and waits for running callbacks.
func (b *Bus) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	b.wg.Wait()
}

// connected waits for the first subscription.
func (b *Bus) connected(ctx context.Context) error {
	select {
	case <-b.first:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Publish sends payload to the subscribers of topic on every node, within two
// seconds or ctx's earlier deadline. After a failure all nodes are told to read
// again as soon as Redis answers.
func (b *Bus) Publish(ctx context.Context, topic string, payload []byte) error {
	if len(payload) > MaxPayload {
		return consult.Errorf(consult.PayloadTooLarge, consult.ReasonTooLarge, "a bus message has at most %d bytes", MaxPayload)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := b.client.Publish(ctx, b.prefix+topic, payload).Err(); err != nil {
		b.unpublished.Store(true)
		return &consult.Error{Code: consult.ServiceUnavailable, Message: "The message bus does not answer.", Err: err}
	}
	return nil
}

// Subscribe calls fn for each message of topic published from now on, one at a
// time. fn may use the bus but must not wait for another message of its own
// topic. After unsubscribe, which may be called from fn, no new call begins but
// for one that is just under way.
func (b *Bus) Subscribe(name string, fn func(payload []byte)) (unsubscribe func()) {
	s := &subscription{fn: fn}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return func() {}
	}
	t := b.topics[name]
	if t == nil {
		t = newTopic(b.requestRound)
		b.topics[name] = t
		b.wg.Go(func() { t.run(b.ctx) })
	}
	t.add(s)
	return sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if t.remove(s) == 0 {
			delete(b.topics, name)
			close(t.quit)
		}
	})
}

// OnReconnect calls fn whenever messages may have been missed. fn may use the
// bus; while it runs, other handlers wait. After cancel no new round includes fn.
func (b *Bus) OnReconnect(fn func()) (cancel func()) {
	h := &handler{fn}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handlers = append(b.handlers, h)
	return sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.handlers = slices.DeleteFunc(slices.Clone(b.handlers), func(o *handler) bool { return o == h })
	})
}

// requestRound asks for one round of OnReconnect handlers; requests made while
// one is due are one.
func (b *Bus) requestRound() {
	select {
	case b.notify <- struct{}{}:
	default:
	}
}

func (b *Bus) callHandlers() {
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-b.notify:
		}
		b.mu.Lock()
		round := slices.Clone(b.handlers)
		b.mu.Unlock()
		for _, h := range round {
			h.fn()
		}
	}
}

// dispatch hands a message from Redis to its topic. It never blocks.
func (b *Bus) dispatch(channel, payload string) {
	name := strings.TrimPrefix(channel, b.prefix)
	if name == resyncTopic {
		b.requestRound()
		return
	}
	b.mu.Lock()
	t := b.topics[name]
	b.mu.Unlock()
	if t != nil && !t.offer([]byte(payload)) {
		b.log.Warn("bus topic is too slow, messages dropped", "queue", topicQueue)
	}
}
