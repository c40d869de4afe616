package waitingroom

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// attempts bounds every loop against others who change the same queue; beyond
// it SQL is read.
const attempts = 5

// publish brings a committed ticket into Redis and says that its queue has
// changed. It outlives the caller's request: the commit has happened.
func (s *Service) publish(ctx context.Context, t *consult.Ticket, epoch string, pickup time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sqlTimeout)
	defer cancel()
	if err := s.apply(ctx, t, epoch, pickup); err != nil {
		s.markDoubted(queueOf(t))
		s.log.Warn("ticket not applied to the live queue", "ticket", t.ID, "err", err)
	}
	s.announceQueue(ctx, queueOf(t), t.ID)
}

func (s *Service) apply(ctx context.Context, t *consult.Ticket, epoch string, pickup time.Duration) error {
	for range attempts {
		now, unsure, err := s.live.apply(ctx, t, epoch, pickup)
		if err != nil || !unsure {
			return err
		}
		epoch = now
		if t, err = s.store.Ticket(ctx, t.Scope, t.ID); err != nil {
			return fmt.Errorf("read ticket again: %w", err)
		}
	}
	return errors.New("queue keeps being rebuilt")
}

// announceQueue tells every node. Where the bus fails, this node's own watchers
// are told directly; the others read again when the bus comes back.
func (s *Service) announceQueue(ctx context.Context, q queue, ticketID string) {
	c, cancel := s.busContext(ctx)
	defer cancel()
	if err := s.bus.Publish(c, q.topic(), []byte(ticketID)); err != nil {
		s.log.Warn("queue change not announced", "ticket", ticketID, "err", err)
		s.watches.signal(q, false)
	}
}

// busContext bounds what is told to the nodes after a commit; it outlives the
// caller's request.
func (s *Service) busContext(ctx context.Context) (context.Context, context.CancelFunc) {
	d := redisTimeout
	if s.live.isDown() {
		d = downTimeout
	}
	return context.WithTimeout(context.WithoutCancel(ctx), d)
}

// list reads the doctor's queue: from Redis, rebuilt first if need be, or from
// SQL where Redis does not answer.
func (s *Service) list(ctx context.Context, q queue) (*snapshot, error) {
	var snap *snapshot
	err := s.read(ctx, q, func() (err error) {
		snap, err = s.live.list(ctx, q)
		return err
	})
	if !errors.Is(err, errDown) {
		return snap, err
	}
	tickets, err := s.openTickets(ctx, q)
	if err != nil {
		return nil, err
	}
	return &snapshot{tickets: tickets, told: make([]bool, len(tickets))}, nil
}

// place reads the place of t, a ticket just read from SQL. A Redis that lags
// behind t is brought up first.
func (s *Service) place(ctx context.Context, t *consult.Ticket) (*spot, error) {
	q := queueOf(t)
	var at *spot
	err := s.read(ctx, q, func() (err error) {
		if at, err = s.live.place(ctx, q, t.ID); err != nil || at.version >= t.Version {
			return err
		}
		if err := s.apply(ctx, t, "", -1); err != nil {
			return fmt.Errorf("%w: %w", errDown, err)
		}
		at, err = s.live.place(ctx, q, t.ID)
		return err
	})
	if !errors.Is(err, errDown) {
		return at, err
	}
	tickets, err := s.openTickets(ctx, q)
	if err != nil {
		return nil, err
	}
	at = &spot{length: len(tickets)}
	for i := range tickets {
		if tickets[i].ID == t.ID {
			at.position = i + 1
		}
	}
	return at, nil
}

// read repeats from until it finds the queue loaded, loading it in between.
// errDown means that Redis can't help.
func (s *Service) read(ctx context.Context, q queue, from func() error) error {
	if s.takeDoubted(q) {
		if err := s.live.doubt(ctx, q); err != nil {
			s.markDoubted(q)
			return err
		}
	}
	for range attempts {
		err := from()
		if !errors.Is(err, errNotLoaded) {
			return err
		}
		if err := s.rebuilds.do(ctx, q, s.rebuild); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: queue keeps changing", errDown)
}

// rebuild loads the queue from SQL. A refused load is no error: either another
// node has loaded it, or the caller's next read asks again.
func (s *Service) rebuild(ctx context.Context, q queue) error {
	b, err := s.live.begin(ctx, q)
	if err != nil {
		return err
	}
	tickets, err := s.openTickets(ctx, q)
	if err != nil {
		return err
	}
	_, err = s.live.load(ctx, q, b, tickets)
	return err
}

func (s *Service) openTickets(ctx context.Context, q queue) ([]consult.Ticket, error) {
	ctx, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	return s.store.OpenTickets(ctx, q.scope, q.doctor)
}

// doubt makes the next read of q, on any node, compare it with SQL.
func (s *Service) doubt(ctx context.Context, q queue) {
	if err := s.live.doubt(ctx, q); err != nil {
		s.markDoubted(q)
	}
}

func (s *Service) markDoubted(q queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubted[q] = struct{}{}
}

func (s *Service) takeDoubted(q queue) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, was := s.doubted[q]
	delete(s.doubted, q)
	return was
}

// settleDoubts tells Redis of every queue that could not be told before.
func (s *Service) settleDoubts(ctx context.Context) {
	s.mu.Lock()
	all := make([]queue, 0, len(s.doubted))
	for q := range s.doubted {
		all = append(all, q)
	}
	s.mu.Unlock()
	for _, q := range all {
		s.takeDoubted(q)
		if err := s.live.doubt(ctx, q); err != nil {
			s.markDoubted(q)
			return // still away; the next sweep tries again
		}
		s.watches.signal(q, false)
	}
}

// rebuilds keeps this node from rebuilding one queue many times at once.
type rebuilds struct {
	mu      sync.Mutex
	running map[queue]*rebuilding
}

type rebuilding struct {
	done chan struct{}
	err  error // written before done closes
}

// do runs f for q, or waits for the one already running. Whoever waited reads
// again afterwards, so that a rebuild begun too early costs only another turn.
func (r *rebuilds) do(ctx context.Context, q queue, f func(context.Context, queue) error) error {
	r.mu.Lock()
	if cur, ok := r.running[q]; ok {
		r.mu.Unlock()
		select {
		case <-cur.done:
			return cur.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	cur := &rebuilding{done: make(chan struct{})}
	if r.running == nil {
		r.running = make(map[queue]*rebuilding)
	}
	r.running[q] = cur
	r.mu.Unlock()

	// Others wait for it: it must not die with this caller's request.
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), sqlTimeout)
	defer cancel()
	cur.err = f(c, q)
	r.mu.Lock()
	delete(r.running, q)
	r.mu.Unlock()
	close(cur.done)
	return cur.err
}

// ranks gives arrival numbers without Redis: strictly increasing per doctor on
// this node, and behind every ticket that SQL holds.
type ranks struct {
	mu   sync.Mutex
	last map[queue]int64
}

// ranksKept bounds the memory of ranks; a forgotten doctor's next rank still
// comes behind every open ticket.
const ranksKept = 10_000

func (r *ranks) next(q queue, now time.Time, open []consult.Ticket) int64 {
	rank := now.UnixMicro()
	if n := len(open); n > 0 {
		rank = max(rank, open[n-1].Rank+1)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil || len(r.last) >= ranksKept {
		r.last = make(map[queue]int64)
	}
	rank = max(rank, r.last[q]+1)
	r.last[q] = rank
	return rank
}
