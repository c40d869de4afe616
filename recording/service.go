// Package recording records a consultation while, and only while, everybody in
// it agrees. The Service holds the gate of every room of this node, keeps what
// people said, and sees each recording through: from the doctor's start over
// pauses, restarts and failures to the objects in the store and to their
// deletion. What is captured, composed and stored is behind the interfaces of
// deps.go.
//
// A recording's row in the database is the truth about whether it goes on: an
// open row without stopped_at is a recording that the doctor started. Whatever
// node holds the room captures it, as a segment of its own, and so a restart
// needs nothing but the row.
package recording

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// Config is what an operator may set.
type Config struct {
	// Dir is where segments are written until the blob store has them.
	Dir string
	// Checkpoint is how often the progress of a segment is noted beside it.
	Checkpoint time.Duration
	// RetryAfter is the first pause after a store that did not answer.
	RetryAfter time.Duration
	// LookEvery is how often it is looked whether another node has started or
	// stopped something, SweepEvery how often for recordings that nobody sees
	// through, RetainEvery for those whose term is over.
	LookEvery, SweepEvery, RetainEvery time.Duration
	// Alone says that no other node records.
	Alone bool
	// OrphanAfter is how long another node may take over what it has captured of a
	// recording that was stopped, before this one ends it without.
	OrphanAfter time.Duration
	// CloseWithin is how long Close lets uploads go on.
	CloseWithin time.Duration
}

// DefaultConfig returns the intervals of production.
func DefaultConfig(dir string) Config {
	return Config{
		Dir: dir, Checkpoint: 10 * time.Second, RetryAfter: 2 * time.Second, LookEvery: 500 * time.Millisecond,
		SweepEvery: 30 * time.Second, RetainEvery: time.Hour, OrphanAfter: 2 * time.Minute, CloseWithin: 8 * time.Second,
	}
}

// Deadlines of the work the Service does on its own.
const (
	callTimeout   = 5 * time.Second  // one call of the store
	closeTimeout  = 15 * time.Second // the end of a capture: its queue goes to the disk
	uploadTimeout = 30 * time.Minute // one try; the next goes on where it ended
	purgeTimeout  = time.Minute      // the objects of one recording
	maxRetry      = time.Minute
)

// Service records consultations. Safe for concurrent use.
type Service struct {
	cfg     Config
	deps    Deps
	log     *slog.Logger
	metrics *metrics
	// ctx is the context of all work; Close ends it last.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	closing  bool
	sessions map[string]*session // by consultation
	keepers  map[string]*keeper  // by recording
}

// New makes the directory and reads what an earlier run left in it. Run and
// Close belong to it.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("recording: directory: %w", err)
	}
	m, err := newMetrics(deps.Metrics)
	if err != nil {
		return nil, err
	}
	s := &Service{
		cfg: cfg, deps: deps, log: deps.Log, metrics: m,
		sessions: map[string]*session{}, keepers: map[string]*keeper{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.recover(); err != nil {
		s.cancel()
		return nil, err
	}
	return s, nil
}

// Person is a participant, as signalling knows them.
type Person struct {
	ParticipantID string
	Role          consult.Role
	Subject       string
	Name          string
}

// Attach makes the room of a consultation known, before anybody enters. changed,
// which must not block, is called after everything that State shows has changed.
// detach says that the room is gone; a recording that was started goes on when
// it is back.
func (s *Service) Attach(sc consult.Scope, sessionID string, changed func()) (detach func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ses := s.sessions[sessionID]
	if ses == nil {
		ses = newSession(s, sc, sessionID)
		if !s.closing {
			s.sessions[sessionID] = ses
		}
	}
	ses.mu.Lock()
	ses.attached, ses.changed = true, changed
	ses.attachments++
	mine := ses.attachments
	ses.mu.Unlock()
	return sync.OnceFunc(func() {
		ses.abandon(mine)
		s.tidy(ses)
	})
}

// Enter says that somebody is about to be in the call of c, before there is a
// media path: unless they have granted in this session, the gate is shut when
// Enter returns. It keeps nobody out; what cannot be read counts as not granted.
func (s *Service) Enter(ctx context.Context, c *consult.Consultation, p Person) {
	ses := s.peek(c.ID)
	if ses == nil || ses.scope != c.Scope {
		return
	}
	ses.enter(c, p)
	s.load(ctx, ses)
}

// Leave says that nothing of a participant can come any more: their media is
// closed.
func (s *Service) Leave(sessionID, participantID string) {
	if ses := s.peek(sessionID); ses != nil {
		ses.leave(participantID)
	}
}

// Sync tells the Service what the consultation is now, and makes it look whether
// a recording of it was started or stopped elsewhere.
func (s *Service) Sync(ctx context.Context, c *consult.Consultation) {
	if c.Status.Final() {
		s.Ended(ctx, c)
		return
	}
	ses := s.peek(c.ID)
	if ses == nil || ses.scope != c.Scope {
		return
	}
	ses.update(c)
	s.load(ctx, ses)
}

// load reads what is stored of the session, if it may be recorded.
func (s *Service) load(ctx context.Context, ses *session) {
	if !ses.enabled() {
		return
	}
	if err := ses.exclusively(ctx, func() error { return ses.load(ctx) }); err != nil {
		s.log.Error("recording not brought up to date", "session_id", ses.id, "err", err)
		ses.soon("load", func(ctx context.Context) { s.load(ctx, ses) })
	}
}

// Ended says that the consultation is over: recording stops, whatever state it
// is in, and the session is forgotten.
func (s *Service) Ended(ctx context.Context, c *consult.Consultation) {
	ses := s.peek(c.ID)
	if ses == nil || ses.scope != c.Scope {
		return
	}
	ses.update(c)
	stopped := ses.halt(consult.RecordingCallEnded, consult.System)
	if c.EnableRecording && stopped == nil {
		// One that was started before a restart, and whose call did not go on.
		if err := s.stopStored(ctx, c.Scope, c.ID, consult.RecordingCallEnded, consult.System); err != nil &&
			!consult.HasCode(err, consult.Conflict) {
			s.log.Error("recording of an ended consultation not stopped, looked for again", "session_id", c.ID, "err", err)
		}
	}
	ses.saveSoon()
}

func (s *Service) peek(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

// tidy forgets a session whose room is gone, once nothing of it is unsaved.
func (s *Service) tidy(ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if !ses.attached && len(ses.unsaved) == 0 && s.sessions[ses.id] == ses {
		delete(s.sessions, ses.id)
	}
}

func (s *Service) allSessions() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*session, 0, len(s.sessions))
	for _, ses := range s.sessions {
		out = append(out, ses)
	}
	return out
}

func (s *Service) now() time.Time { return s.deps.Clock.Now().UTC() }

// goRun runs fn in a goroutine that Close awaits, unless the Service closes.
func (s *Service) goRun(fn func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.work.Go(fn)
	return true
}

// later runs fn after a pause, with the deadline of one call.
func (s *Service) later(fn func(ctx context.Context)) {
	s.deps.Clock.AfterFunc(s.cfg.RetryAfter, func() {
		s.goRun(func() {
			ctx, cancel := context.WithTimeout(s.ctx, callTimeout)
			defer cancel()
			fn(ctx)
		})
	})
}

// Close shuts every gate, ends every segment in order and hands over what it can
// until ctx, or CloseWithin, is over. What was started goes on after a restart;
// what could not be handed over is then.
func (s *Service) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	keepers := make([]*keeper, 0, len(s.keepers))
	for _, k := range s.keepers {
		keepers = append(keepers, k)
	}
	s.mu.Unlock()
	for _, ses := range s.allSessions() {
		ses.mu.Lock()
		newest := ses.attachments
		ses.mu.Unlock()
		ses.abandon(newest)
		ses.save(ctx)
	}
	for _, k := range keepers {
		k.finishSoon()
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CloseWithin)
	defer cancel()
	done := make(chan struct{})
	go func() { // ends with the work, which the cancelled context ends
		defer close(done)
		s.work.Wait()
	}()
	select {
	case <-done:
		s.cancel()
		return nil
	case <-ctx.Done():
	}
	s.cancel() // uploads go on after the restart
	select {
	case <-done:
		return nil
	case <-time.After(closeTimeout):
		return fmt.Errorf("recording: close: %w", ctx.Err())
	}
}

// openOf lists the open recordings of a session, oldest first.
func (s *Service) openOf(ctx context.Context, sc consult.Scope, sessionID string) ([]consult.Recording, error) {
	all, err := s.openRows(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(r consult.Recording) bool { return r.SessionID != sessionID || r.Scope != sc })
	slices.SortStableFunc(all, func(a, b consult.Recording) int { return a.StartedAt.Compare(b.StartedAt) })
	return all, nil
}
