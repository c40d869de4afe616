package recording

import (
	"context"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// page is how many recordings one look at the store takes.
const page = 100

// Why a recording is deleted.
const (
	retention = "retention"
	requested = "request"
)

// Run looks, until ctx ends, for recordings that nobody sees through and for
// those whose term is over.
func (s *Service) Run(ctx context.Context) {
	look, sweep, retain := s.ticks(s.cfg.LookEvery), s.ticks(s.cfg.SweepEvery), s.ticks(s.cfg.RetainEvery)
	defer func() {
		look.stop()
		sweep.stop()
		retain.stop()
	}()
	s.retain(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.due:
			s.look(ctx)
			look.arm()
		case <-sweep.due:
			s.sweep(ctx)
			sweep.arm()
		case <-retain.due:
			s.retain(ctx)
			retain.arm()
		}
	}
}

// ticker sends when its time has come, once per arm.
type ticker struct {
	due  chan struct{}
	arm  func()
	stop func()
}

func (s *Service) ticks(every time.Duration) *ticker {
	t := &ticker{due: make(chan struct{}, 1)}
	t.arm = func() { t.stop = s.deps.Clock.AfterFunc(every, func() { t.due <- struct{}{} }) }
	t.arm()
	return t
}

// look makes good what the bus lost: each session here follows its row. It is one
// query, and none while nobody here may be recorded.
func (s *Service) look(ctx context.Context) {
	var here []*session
	for _, ses := range s.allSessions() {
		if ses.enabled() {
			here = append(here, ses)
		}
	}
	if len(here) == 0 {
		return
	}
	open, err := s.openRows(ctx)
	if err != nil {
		s.log.Warn("open recordings not looked for, tried again soon", "err", err)
		return
	}
	for _, ses := range here {
		if ses.agrees(open) {
			continue
		}
		s.load(ctx, ses)
	}
}

// sweep ends recordings that nobody sees through: of consultations that are over,
// or stopped, once the node that captured them has had its time.
func (s *Service) sweep(ctx context.Context) {
	open, err := s.openRows(ctx)
	if err != nil {
		s.log.Warn("open recordings not looked for, tried again soon", "err", err)
		return
	}
	for i := range open {
		r := &open[i]
		if ses := s.peek(r.SessionID); ses != nil && ses.scope == r.Scope && ses.enabled() {
			continue // look follows it
		}
		if err := s.orphan(ctx, r); err != nil && ctx.Err() == nil {
			s.log.Warn("recording not ended, tried again soon", "recording_id", r.ID, "err", err)
		}
	}
}

func (s *Service) openRows(ctx context.Context) ([]consult.Recording, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.deps.Store.OpenRecordings(ctx)
}

// agrees reports whether what is captured for the session is what the rows say.
func (s *session) agrees(open []consult.Recording) bool {
	now, goes := s.recording(), ""
	for i := range open {
		if open[i].SessionID == s.id && open[i].Scope == s.scope && s.svc.goesOn(&open[i]) {
			goes = open[i].ID
			break
		}
	}
	if now == nil {
		return goes == ""
	}
	return goes == now.ID
}

// orphan ends a recording that nobody here captures and whose time is over.
func (s *Service) orphan(ctx context.Context, r *consult.Recording) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	reason, since := r.Reason, r.StoppedAt
	if since == nil {
		c, err := s.deps.Consultations.Get(ctx, r.Scope, r.SessionID)
		if err != nil {
			return err
		}
		if !c.Status.Final() {
			return nil
		}
		reason, since = consult.RecordingCallEnded, c.EndedAt
	}
	if !s.cfg.Alone && since != nil && s.now().Sub(*since) < s.cfg.OrphanAfter {
		return nil
	}
	return s.endStored(ctx, r, reason, consult.System)
}

// retain deletes what is kept no longer, and takes the objects of what is deleted
// out of the blob store.
func (s *Service) retain(ctx context.Context) {
	for ctx.Err() == nil {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		old, err := s.deps.Store.ExpiredRecordings(call, s.now(), page)
		cancel()
		if err != nil {
			s.log.Error("recordings whose term is over not read", "err", err)
			break
		}
		n := 0
		for i := range old {
			err := s.remove(ctx, old[i].Scope, old[i].ID, consult.System, retention)
			if err != nil && !consult.HasCode(err, consult.Conflict) {
				s.log.Error("recording whose term is over not deleted", "recording_id", old[i].ID, "err", err)
				continue
			}
			n++
		}
		if n == 0 || len(old) < page {
			break
		}
	}
	s.Purge(ctx)
}

// Delete removes a recording for good, with proof of what is removed in the audit
// log: at a patient's request, by the account, at the end of its term. It is a
// Conflict for one that is held (legal_hold), deleted already, or not over.
func (s *Service) Delete(ctx context.Context, sc consult.Scope, id string, actor consult.Actor) error {
	if err := s.remove(ctx, sc, id, actor, requested); err != nil {
		return err
	}
	s.goRun(func() { s.Purge(s.ctx) })
	return nil
}

func (s *Service) remove(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, why string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.deps.Store.ChangeRecording(ctx, sc, id, func(r *consult.Recording) ([]consult.Event, error) {
		switch {
		case r.State == consult.RecordingDeleted:
			return nil, consult.Errorf(consult.Conflict, consult.ReasonRecordingDeleted, "The recording was deleted.")
		case r.LegalHold:
			return nil, consult.Errorf(consult.Conflict, consult.ReasonRecordingHeld, "The recording is under legal hold.")
		case !r.State.Over():
			return nil, consult.Errorf(consult.Conflict, consult.ReasonNotReady, "The recording is not over; stop it first.")
		}
		now := s.now()
		r.State, r.DeletedAt, r.DeletedBy = consult.RecordingDeleted, &now, actor
		return []consult.Event{s.event(r, consult.EventRecordingDeleted, actor, map[string]any{"why": why, "objects": r.Objects()})}, nil
	})
	if err == nil {
		if s.deps.Composer != nil {
			s.deps.Composer.Cancel(id)
		}
		if why != retention { // the caller's own words
			why = requested
		}
		s.metrics.deleted.WithLabelValues(why).Inc()
	}
	return err
}

// Hold puts a recording under legal hold, or releases it. Nothing deletes one
// that is held.
func (s *Service) Hold(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, on bool) (*consult.Recording, error) {
	return s.deps.Store.ChangeRecording(ctx, sc, id, func(r *consult.Recording) ([]consult.Event, error) {
		switch {
		case r.State == consult.RecordingDeleted:
			return nil, consult.Errorf(consult.Conflict, consult.ReasonRecordingDeleted, "The recording was deleted.")
		case r.LegalHold == on:
			return nil, nil
		}
		r.LegalHold = on
		typ := consult.EventRecordingReleased
		if on {
			typ = consult.EventRecordingHeld
		}
		return []consult.Event{s.event(r, typ, actor, nil)}, nil
	})
}

// Purge takes the objects of deleted recordings out of the blob store, those of
// erased patients too. What cannot be removed now is removed next time.
func (s *Service) Purge(ctx context.Context) {
	for ctx.Err() == nil {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		dead, err := s.deps.Store.UnpurgedRecordings(call, page)
		cancel()
		if err != nil {
			s.log.Error("deleted recordings not read", "err", err)
			return
		}
		n := 0
		for i := range dead {
			if err := s.purge(ctx, &dead[i]); err != nil {
				s.log.Error("objects of a deleted recording not removed, tried again", "recording_id", dead[i].ID, "err", err)
				s.metrics.retries.WithLabelValues("purge").Inc()
				continue
			}
			n++
		}
		if n == 0 || len(dead) < page {
			return
		}
	}
}

func (s *Service) purge(ctx context.Context, r *consult.Recording) error {
	ctx, cancel := context.WithTimeout(ctx, purgeTimeout)
	defer cancel()
	for _, o := range r.Objects() {
		if err := s.deps.Blobs.Delete(ctx, o.Key); err != nil {
			return err
		}
	}
	// What no row lists: uploads and compositions that were interrupted.
	if all, ok := s.deps.Blobs.(interface {
		DeleteAll(ctx context.Context, folder string) error
	}); ok {
		if err := all.DeleteAll(ctx, "recordings/"+r.ID+"/"); err != nil {
			return err
		}
	}
	return s.deps.Store.RecordingPurged(ctx, r.Scope, r.ID, s.now())
}
