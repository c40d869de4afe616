package recording

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// keeper sees one recording through and is the only one on this node that writes
// its row: what it is now, its segments once they are handed over, its end. It
// works towards what is wanted, again and again until all of it is so.
type keeper struct {
	svc       *Service
	scope     consult.Scope
	id        string
	sessionID string
	wake      chan struct{} // holds a token while there is something to do
	gone      chan struct{} // closed when it has nothing left to do

	// refs counts those that are about to want something. Guarded by svc.mu.
	refs int

	// mu guards everything below. Lock order: Service.mu, session.mu, keeper.mu.
	mu      sync.Mutex
	ses     *session // that captures now, or did last
	live    *taken   // nil: nothing is captured here
	open    bool
	why     string // it is shut
	closing []*taken
	spool   []*segment // ended, to be handed over
	end     *ending    // nil: it goes on
	last    bool       // the Service closes: one more pass
	told    []chan error
	armed   bool // a checkpoint is due
	// own says that something of it was captured here.
	own bool
}

// taken is a segment that is captured, and why it ends.
type taken struct {
	seg     *segment
	capture Capture
	why     string
}

// ending is how a recording ends.
type ending struct {
	reason string
	actor  consult.Actor
	at     time.Time
	failed bool
}

// keep returns the keeper of a recording, made if need be, for one caller, who
// calls done; nil while the Service closes.
func (s *Service) keep(sc consult.Scope, id, sessionID string) *keeper {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keepers[id]
	if k == nil {
		if s.closing {
			return nil
		}
		k = &keeper{svc: s, scope: sc, id: id, sessionID: sessionID, wake: make(chan struct{}, 1), gone: make(chan struct{})}
		s.keepers[id] = k
		s.work.Go(k.run)
	}
	k.refs++
	return k
}

// done says that the caller of keep has said what it wants.
func (k *keeper) done() {
	k.svc.mu.Lock()
	k.refs--
	k.svc.mu.Unlock()
	k.rouse()
}

func (k *keeper) rouse() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// want changes what is wanted.
func (k *keeper) want(change func()) {
	k.mu.Lock()
	change()
	k.mu.Unlock()
	k.rouse()
}

// progress says whether the gate is open, and why not.
func (k *keeper) progress(open bool, why string) {
	k.mu.Lock()
	same := k.open == open && (open || k.why == why)
	k.open, k.why = open, why
	k.mu.Unlock()
	if !same {
		k.rouse()
	}
}

// stop ends the recording. The first to end it decides how.
func (k *keeper) stop(reason string, actor consult.Actor, at time.Time) {
	k.want(func() { k.endLocked(ending{reason: reason, actor: actor, at: at}) })
}

// fail ends the recording by a fault. Any goroutine, with any lock held but the
// keeper's.
func (k *keeper) fail(reason string) {
	k.want(func() { k.endLocked(ending{reason: reason, actor: consult.System, at: k.svc.now(), failed: true}) })
}

func (k *keeper) endLocked(e ending) {
	if k.end == nil {
		k.end = &e
	}
	k.closeLocked(k.end.reason)
}

// release says that the room is gone.
func (k *keeper) release() {
	k.want(func() { k.closeLocked(consult.RecordingLost) })
}

// finishSoon asks for one last pass.
func (k *keeper) finishSoon() {
	k.want(func() { k.last = true })
}

func (k *keeper) closeLocked(why string) {
	k.open, k.why = false, why
	if k.live != nil {
		k.live.why = why
		k.closing = append(k.closing, k.live)
		k.live = nil
	}
}

// ended is how the recording ends, nil while it goes on.
func (k *keeper) ended() *ending {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.end
}

// segment is the next one of rec.
func (k *keeper) segment(rec *consult.Recording) *segment {
	now := k.svc.now()
	g := &segment{
		ID: consult.NewID("seg"), Scope: k.scope, SessionID: k.sessionID, RecordingID: k.id, Number: len(rec.Segments),
		StartedAt: now, EndedAt: now, Offset: now.Sub(rec.StartedAt), dir: k.svc.cfg.Dir,
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	g.Number += len(k.spool) + len(k.closing)
	return g
}

// take has the keeper look after a segment that is captured for ses.
func (k *keeper) take(ses *session, g *segment, capture Capture) {
	if err := g.save(); err != nil {
		k.svc.log.Error("segment not noted, a crash would leave it", "recording_id", k.id, "err", err)
	}
	k.svc.metrics.live.Inc()
	k.want(func() {
		k.ses, k.live, k.open, k.own = ses, &taken{seg: g, capture: capture}, false, true
		k.why = consult.RecordingNoConsent
		switch {
		case k.end != nil: // it failed at once, or was stopped
			k.closeLocked(k.end.reason)
		case k.last:
			k.closeLocked(consult.RecordingLost)
		}
	})
}

// adopt hands over what an earlier run captured.
func (s *Service) adopt(g *segment) {
	k := s.keep(g.Scope, g.RecordingID, g.SessionID)
	if k == nil {
		return
	}
	defer k.done()
	s.metrics.spool.Inc()
	k.want(func() {
		k.own = true
		k.spool = append(k.spool, g)
	})
}

// settled waits until the row says what is wanted.
func (k *keeper) settled(ctx context.Context) error {
	answer := make(chan error, 1)
	k.want(func() { k.told = append(k.told, answer) })
	select {
	case err := <-answer:
		return unavailable(err)
	case <-k.gone: // everything was done before we asked
		return nil
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
}

// run works until nothing is left to do.
func (k *keeper) run() {
	pause := k.svc.cfg.RetryAfter
	for {
		<-k.wake
		err := k.pass()
		if k.retire(err) {
			return
		}
		if err == nil {
			pause = k.svc.cfg.RetryAfter
			continue
		}
		k.svc.deps.Clock.AfterFunc(pause, k.rouse)
		pause = min(2*pause, maxRetry)
	}
}

// retire forgets the keeper if there is nothing left to do, or no time.
func (k *keeper) retire(err error) bool {
	k.svc.mu.Lock()
	defer k.svc.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	busy := k.refs > 0 || k.live != nil || len(k.closing) > 0 || len(k.told) > 0
	if k.last {
		busy = busy && k.svc.ctx.Err() == nil
	} else {
		busy = busy || err != nil || len(k.spool) > 0
	}
	if busy {
		return false
	}
	delete(k.svc.keepers, k.id)
	close(k.gone)
	return true
}

// pass does everything that is wanted, once.
func (k *keeper) pass() error {
	k.mu.Lock()
	end, ses, told, closing := k.end, k.ses, k.told, len(k.closing)
	k.told = nil
	k.mu.Unlock()
	if end != nil && end.failed && ses != nil {
		ses.fail(k, end.reason)
	}
	k.checkpoint()
	err := k.write()
	if err != nil {
		k.svc.log.Error("state of a recording not stored, tried again", "recording_id", k.id, "err", err)
		k.svc.metrics.retries.WithLabelValues("state").Inc()
	}
	for _, answer := range told {
		answer <- err
	}
	k.close(closing) // whatever the store says: nothing may stay open for it
	if err != nil {
		return err
	}
	return k.deliver()
}

// checkpoint notes how far the segments are, and comes again.
func (k *keeper) checkpoint() {
	k.mu.Lock()
	captured := slices.Clone(k.closing)
	if k.live != nil {
		captured = append(captured, k.live)
		if !k.armed {
			k.armed = true
			k.svc.deps.Clock.AfterFunc(k.svc.cfg.Checkpoint, func() { k.want(func() { k.armed = false }) })
		}
	}
	k.mu.Unlock()
	for _, t := range captured {
		k.note(t.seg, t.capture.Summary(), false)
	}
}

// note keeps what is known of a segment, beside it too.
func (k *keeper) note(g *segment, sum Summary, closed bool) {
	now := k.svc.now()
	k.mu.Lock() // others read when it ended
	g.Summary, g.EndedAt, g.Closed = sum, now, closed
	k.mu.Unlock()
	if err := g.save(); err != nil {
		k.svc.log.Error("segment not noted", "recording_id", k.id, "err", err)
	}
}

// close ends the first n captures that are to end, in order: those whose end the
// row has been told of.
func (k *keeper) close(n int) {
	k.mu.Lock()
	closing := slices.Clone(k.closing[:n])
	k.mu.Unlock()
	for _, t := range closing {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(k.svc.ctx), closeTimeout)
		sum, err := t.capture.Close(ctx, t.why)
		cancel()
		if err != nil {
			k.svc.log.Error("segment not ended in order, what was written counts", "recording_id", k.id, "err", err)
			sum = t.seg.Summary
		}
		k.note(t.seg, sum, err == nil)
		k.svc.metrics.live.Dec()
		k.svc.metrics.spool.Inc()
		k.mu.Lock()
		k.closing = k.closing[1:]
		k.spool = append(k.spool, t.seg)
		k.mu.Unlock()
	}
}

// deliver hands over what has ended, unless something is captured now, and ends
// the recording once everything is handed over.
func (k *keeper) deliver() error {
	k.mu.Lock()
	live := k.live != nil
	spool := slices.Clone(k.spool)
	k.mu.Unlock()
	if live {
		return nil
	}
	var err error
	for _, g := range spool {
		if err = k.hand(g); err != nil {
			k.svc.log.Error("segment not handed over, tried again", "recording_id", k.id, "err", err)
			k.svc.metrics.retries.WithLabelValues("segment").Inc()
			return err
		}
		k.mu.Lock()
		k.spool = slices.DeleteFunc(k.spool, func(o *segment) bool { return o == g })
		k.mu.Unlock()
		k.svc.metrics.spool.Dec()
	}
	if err = k.complete(); err != nil {
		k.svc.log.Error("end of a recording not stored, tried again", "recording_id", k.id, "err", err)
		k.svc.metrics.retries.WithLabelValues("end").Inc()
	}
	return err
}

// hand gives one segment to the blob store and the row, and takes it off the disk.
func (k *keeper) hand(g *segment) error {
	ctx, cancel := context.WithTimeout(k.svc.ctx, uploadTimeout)
	defer cancel()
	row, err := k.svc.deps.Store.Recording(ctx, k.scope, k.id)
	if consult.HasCode(err, consult.NotFound) || (err == nil && row.State == consult.RecordingDeleted) {
		return g.remove() // there is nobody to keep it for any more
	}
	if err != nil {
		return err
	}
	if !g.Closed {
		if err := k.inspect(ctx, g); err != nil {
			return err
		}
	}
	if !g.empty() {
		if err := k.svc.deps.Blobs.Upload(ctx, g.key(), g.path()); err != nil {
			return err
		}
		if err := k.list(ctx, g); err != nil {
			return err
		}
	}
	return g.remove()
}

// inspect finds out what a crash left. What a segment of somebody else's key
// holds is known as of its last checkpoint.
func (k *keeper) inspect(ctx context.Context, g *segment) error {
	sum, err := k.svc.deps.Capturer.Inspect(ctx, g.path())
	if errors.Is(err, fs.ErrNotExist) {
		g.Closed, g.Summary = true, Summary{}
		return nil
	}
	if err != nil {
		return err
	}
	if sum.Tracks == nil {
		sum.Duration, sum.Tracks, sum.Gaps = g.Summary.Duration, g.Summary.Tracks, g.Summary.Gaps
	}
	g.Summary, g.Closed = sum, true
	return g.save()
}

// empty reports whether the gate was never open in the segment.
func (g *segment) empty() bool {
	return g.Summary.Bytes == 0 || (g.Summary.Duration == 0 && len(g.Summary.Tracks) == 0)
}
