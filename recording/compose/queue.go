package compose

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrFull says that the queue takes no more for now.
var ErrFull = errors.New("compose: the queue is full")

// QueueConfig bounds a Queue.
type QueueConfig struct {
	Workers  int           // jobs at a time: 1
	Backlog  int           // jobs that wait: 1000
	Deadline time.Duration // of a job: 6 hours
}

// Queue does jobs in the order they come, each at most once at a time. Safe for
// concurrent use; Close belongs to it.
type Queue struct {
	cfg    QueueConfig
	do     func(ctx context.Context, key string)
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	wake   chan struct{}

	// mu guards everything below.
	mu      sync.Mutex
	waiting []string
	running map[string]context.CancelFunc
	closed  bool
}

// NewQueue starts the workers; do is called for each job, and its context ends
// with the deadline, by Cancel and by Close.
func NewQueue(cfg QueueConfig, do func(ctx context.Context, key string)) *Queue {
	if cfg.Workers <= 0 {
		cfg.Workers = 1
	}
	if cfg.Backlog <= 0 {
		cfg.Backlog = 1000
	}
	if cfg.Deadline <= 0 {
		cfg.Deadline = 6 * time.Hour
	}
	q := &Queue{cfg: cfg, do: do, wake: make(chan struct{}, cfg.Workers), running: map[string]context.CancelFunc{}}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	for range cfg.Workers {
		q.work.Go(q.worker)
	}
	return q
}

// Add puts a job at the end. One that waits or is at work already stays as it is.
func (q *Queue) Add(key string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running[key] != nil {
		return nil
	}
	for _, k := range q.waiting {
		if k == key {
			return nil
		}
	}
	if q.closed || len(q.waiting) >= q.cfg.Backlog {
		return ErrFull
	}
	q.waiting = append(q.waiting, key)
	select {
	case q.wake <- struct{}{}:
	default: // every worker will look
	}
	return nil
}

// Cancel takes a job out, or ends it.
func (q *Queue) Cancel(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, k := range q.waiting {
		if k == key {
			q.waiting = append(q.waiting[:i:i], q.waiting[i+1:]...)
			return
		}
	}
	if end := q.running[key]; end != nil {
		end()
	}
}

// Len is how many jobs wait or are at work.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) + len(q.running)
}

func (q *Queue) worker() {
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-q.wake:
		}
		for q.one() {
		}
	}
}

// one does the next job; false when there is none.
func (q *Queue) one() bool {
	q.mu.Lock()
	if len(q.waiting) == 0 || q.closed {
		q.mu.Unlock()
		return false
	}
	key := q.waiting[0]
	q.waiting = q.waiting[1:]
	ctx, cancel := context.WithTimeout(q.ctx, q.cfg.Deadline)
	q.running[key] = cancel
	q.mu.Unlock()
	q.do(ctx, key)
	cancel()
	q.mu.Lock()
	delete(q.running, key)
	q.mu.Unlock()
	return true
}

// Close ends what is at work, forgets what waits, and awaits the workers until
// ctx ends.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	q.closed, q.waiting = true, nil
	q.mu.Unlock()
	q.cancel()
	done := make(chan struct{})
	go func() { // ends with the workers
		q.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
