package recording

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/journal"
)

// Start begins a recording of the consultation on whatever node holds its room;
// nothing is captured before everybody present has granted. One that has begun
// already is returned as it is. It is a Forbidden (recording_disabled) for a
// consultation that was made without, a Conflict for one that is over.
func (s *Service) Start(ctx context.Context, sc consult.Scope, sessionID string, actor consult.Actor) (*consult.Recording, error) {
	c, err := s.deps.Consultations.Get(ctx, sc, sessionID)
	if err != nil {
		return nil, err
	}
	switch {
	case c.Status.Final():
		return nil, consult.Errorf(consult.Conflict, consult.ReasonEnded, "The consultation has ended.")
	case !c.EnableRecording:
		return nil, disabled()
	}
	ses := s.peek(sessionID)
	if ses == nil || !ses.enabled() {
		rec, fresh, err := s.create(ctx, c, actor)
		if fresh {
			s.announce(ctx, rec, consult.EventRecordingStarted, actor)
		}
		return rec, err
	}
	var rec *consult.Recording
	err = ses.exclusively(ctx, func() error {
		if err := ses.load(ctx); err != nil {
			return unavailable(err)
		}
		if now := ses.recording(); now != nil {
			rec = now
			return nil
		}
		if rec, _, err = s.create(ctx, c, actor); err != nil {
			return err
		}
		return ses.begin(ctx, *rec, actor)
	})
	if err != nil {
		return nil, err
	}
	return rec, nil
}

// create stores a new recording of c, or finds the one that goes on.
func (s *Service) create(ctx context.Context, c *consult.Consultation, actor consult.Actor) (rec *consult.Recording, fresh bool, err error) {
	open, err := s.openOf(ctx, c.Scope, c.ID)
	if err != nil {
		return nil, false, unavailable(err)
	}
	for i := range open {
		if s.goesOn(&open[i]) {
			return &open[i], false, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	set, err := s.deps.Store.RecordingSettings(ctx, c.Scope)
	if err != nil {
		return nil, false, unavailable(err)
	}
	recipient, own := s.recipient(set)
	rec = &consult.Recording{
		ID: consult.NewID(consult.PrefixRecording), Scope: c.Scope, SessionID: c.ID, DoctorID: c.DoctorID, PatientID: c.PatientID,
		State: consult.RecordingPaused, Reason: consult.RecordingNoConsent, StartedAt: s.now(),
		Recipient: s.deps.Vault.Fingerprint(recipient), ServerKey: own,
	}
	e := s.event(rec, consult.EventRecordingStarted, actor, nil)
	if err := s.deps.Store.CreateRecording(ctx, rec, []consult.Event{e}); err != nil {
		return nil, false, unavailable(err)
	}
	s.metrics.started.Inc()
	return rec, true, nil
}

// recipient is whom recordings of the account are encrypted to, and whether the
// server holds that key.
func (s *Service) recipient(set *consult.RecordingSettings) (recipient string, own bool) {
	if set.Recipient != "" {
		return set.Recipient, false
	}
	return s.deps.Vault.Recipient(), true
}

// goesOn reports whether an open recording is one that was started and that
// nobody stopped, as far as is known here.
func (s *Service) goesOn(r *consult.Recording) bool {
	if r.StoppedAt != nil || r.State.Over() {
		return false
	}
	s.mu.Lock()
	k := s.keepers[r.ID]
	s.mu.Unlock()
	return k == nil || k.ended() == nil
}

// recording is the recording that goes on here, or nil.
func (s *session) recording() *consult.Recording {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == nil {
		return nil
	}
	rec := s.live.rec
	return &rec
}

// follow makes the session agree with the rows: it goes on with a recording that
// was started before or elsewhere, and ends one that was stopped there. Called
// exclusively.
func (s *session) follow(ctx context.Context) error {
	open, err := s.svc.openOf(ctx, s.scope, s.id)
	if err != nil {
		return err
	}
	now := s.recording()
	if now != nil {
		i := slices.IndexFunc(open, func(r consult.Recording) bool { return r.ID == now.ID })
		if i >= 0 && open[i].StoppedAt == nil {
			return nil
		}
		reason := consult.RecordingStopped
		if i >= 0 {
			reason = open[i].Reason
		}
		s.halt(reason, consult.System)
	}
	for _, r := range open {
		if s.svc.goesOn(&r) {
			return s.begin(ctx, r, consult.System)
		}
	}
	return nil
}

// begin starts a segment of a recording, shut, and opens it if the gate is open.
// Called exclusively. A recording that cannot be written has failed.
func (s *session) begin(ctx context.Context, rec consult.Recording, actor consult.Actor) error {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	set, err := s.svc.deps.Store.RecordingSettings(call, s.scope)
	if err != nil {
		return err
	}
	k := s.svc.keep(s.scope, rec.ID, s.id)
	if k == nil {
		return unavailable(context.Canceled)
	}
	defer k.done()
	recipient, own := s.svc.recipient(set)
	if own != rec.ServerKey || (!own && s.svc.deps.Vault.Fingerprint(recipient) != rec.Recipient) {
		// The account's key has changed: what follows cannot go to the same one.
		k.stop(consult.RecordingLost, consult.System, s.svc.now())
		return nil
	}
	seg := k.segment(&rec)
	capture, err := s.svc.deps.Capturer.Capture(Segment{
		RoomID: s.id, Path: seg.path(), Recipient: recipient,
		Header: journal.Header{
			RecordingID: rec.ID, SessionID: s.id, Segment: seg.Number, StartedAt: seg.StartedAt, RecordingStartedAt: rec.StartedAt,
		},
		OnFail: func(reason string) { k.fail(reason) },
	})
	if err != nil {
		s.svc.log.Error("recording cannot be written", "session_id", s.id, "recording_id", rec.ID, "err", err)
		k.fail(consult.RecordingDisk)
		s.mu.Lock()
		s.failed = consult.RecordingDisk
		s.mu.Unlock()
		s.notify()
		return &consult.Error{
			Code: consult.ServiceUnavailable, Reason: consult.ReasonDependency, Message: "Recordings cannot be stored at the moment.", Err: err,
		}
	}
	k.take(s, seg, capture)
	s.mu.Lock()
	s.failed = ""
	s.live = &live{
		rec: rec, keeper: k, capture: capture, recorded: rec.Duration, ever: rec.Duration > 0 || len(rec.Segments) > 0 || seg.Number > 0,
	}
	s.gate.Start()
	s.settleLocked(consult.RecordingNoConsent)
	s.mu.Unlock()
	s.notify()
	if end := k.ended(); end != nil && end.failed { // before we were its session
		s.fail(k, end.reason)
	}
	if actor != consult.System {
		s.svc.announce(ctx, &rec, consult.EventRecordingStarted, actor)
	}
	return nil
}

// Stop ends the recording of a consultation, on whatever node it is made. It is
// a Conflict (not_recording) when there is none.
func (s *Service) Stop(ctx context.Context, sc consult.Scope, sessionID string, actor consult.Actor) error {
	if ses := s.peek(sessionID); ses != nil && ses.scope == sc {
		if k := ses.halt(consult.RecordingStopped, actor); k != nil {
			return k.settled(ctx)
		}
	}
	return s.stopStored(ctx, sc, sessionID, consult.RecordingStopped, actor)
}

// stopStored stops what the store says goes on; the node that captures it hears
// of it.
func (s *Service) stopStored(ctx context.Context, sc consult.Scope, sessionID, reason string, actor consult.Actor) error {
	open, err := s.openOf(ctx, sc, sessionID)
	if err != nil {
		return unavailable(err)
	}
	stopped := false
	for i := range open {
		if !s.goesOn(&open[i]) {
			continue
		}
		if err := s.endStored(ctx, &open[i], reason, actor); err != nil {
			return err
		}
		s.announce(ctx, &open[i], consult.EventRecordingStopped, actor)
		stopped = true
	}
	if !stopped {
		return consult.Errorf(consult.Conflict, consult.ReasonNotRecording, "Nothing is being recorded.")
	}
	return nil
}

// endStored ends a recording that is not captured here.
func (s *Service) endStored(ctx context.Context, r *consult.Recording, reason string, actor consult.Actor) error {
	k := s.keep(r.Scope, r.ID, r.SessionID)
	if k == nil {
		return unavailable(context.Canceled)
	}
	defer k.done()
	k.stop(reason, actor, s.now())
	return k.settled(ctx)
}

// event says what became of a recording, by ids, states and times.
func (s *Service) event(r *consult.Recording, typ consult.EventType, actor consult.Actor, more map[string]any) consult.Event {
	fields := map[string]any{"recording_id": r.ID, "state": r.State, "reason": r.Reason}
	for k, v := range more {
		fields[k] = v
	}
	return consult.Event{
		ID: consult.NewID(consult.PrefixEvent), Type: typ, Scope: r.Scope, Actor: actor,
		SessionID: r.SessionID, DoctorID: r.DoctorID, At: s.now(), Data: data(fields),
	}
}

// announce tells the nodes to look. The store has it already, so a failure is
// only logged: they look by themselves now and then.
func (s *Service) announce(ctx context.Context, r *consult.Recording, typ consult.EventType, actor consult.Actor) {
	b, err := json.Marshal(s.event(r, typ, actor, nil))
	if err == nil {
		err = s.deps.Bus.Publish(ctx, consult.SessionTopic(r.SessionID), b)
	}
	if err != nil {
		s.log.Warn("recording not announced", "recording_id", r.ID, "err", err)
	}
}
