package recording

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/gate"
)

// Decision is what somebody says, and the text they were shown.
type Decision struct {
	Decision  consult.ConsentDecision
	WordingID string
	Language  string
}

// Decide takes what a participant says to being recorded. Anything but a grant
// has shut the gate when it returns, whatever the store says; a grant opens it
// only once it is stored, and only if nothing else was said meanwhile.
func (s *Service) Decide(ctx context.Context, sessionID, participantID string, d Decision) error {
	ses := s.peek(sessionID)
	if ses == nil {
		return notHere()
	}
	who, turn, err := ses.hear(participantID, d.Decision)
	if err != nil {
		return err
	}
	err = ses.exclusively(ctx, func() error {
		if err := ses.load(ctx); err != nil && d.Decision == consult.ConsentGranted {
			return unavailable(err)
		}
		return ses.record(ctx, participantID, who, d)
	})
	if err == nil && d.Decision == consult.ConsentGranted {
		ses.grant(who, turn)
	}
	if err == nil {
		s.metrics.decisions.WithLabelValues(string(d.Decision)).Inc()
	}
	return err
}

func notHere() *consult.Error {
	return consult.Errorf(consult.Conflict, consult.ReasonNotJoined, "Join the consultation first.")
}

func disabled() *consult.Error {
	return consult.Errorf(consult.Forbidden, consult.ReasonRecordingDisabled, "This consultation may not be recorded.")
}

func unavailable(err error) error {
	if err == nil || consult.AsError(err).Code != consult.InternalError {
		return err
	}
	return &consult.Error{
		Code: consult.ServiceUnavailable, Reason: consult.ReasonDependency,
		Message: "This could not be stored. Try again in a moment.", Err: err,
	}
}

// hear finds who speaks and shuts the gate at once unless they grant.
func (s *session) hear(participantID string, d consult.ConsentDecision) (who gate.Person, turn int, err error) {
	s.mu.Lock()
	who, here := s.gate.Who(participantID)
	switch {
	case !here:
		err = notHere()
	case !d.Valid():
		err = consult.Errorf(consult.BadRequest, consult.ReasonBadMessage, "This is no decision.")
	case !who.Role.Recorded():
		err = consult.Errorf(consult.Forbidden, consult.ReasonNoGrant, "A device is not asked.")
	case !s.c.EnableRecording:
		err = disabled()
	}
	if err != nil {
		s.mu.Unlock()
		return who, 0, err
	}
	s.decided[who]++
	turn = s.decided[who]
	if d != consult.ConsentGranted {
		s.gate.Decide(who, d)
		s.settleLocked(consult.RecordingNoConsent)
	}
	s.mu.Unlock()
	if d != consult.ConsentGranted {
		s.notify()
	}
	return who, turn, nil
}

// grant opens the gate for somebody whose grant is stored, unless they have said
// something else since.
func (s *session) grant(who gate.Person, turn int) {
	s.mu.Lock()
	if s.decided[who] == turn {
		s.gate.Decide(who, consult.ConsentGranted)
		s.settleLocked(consult.RecordingNoConsent)
	}
	s.mu.Unlock()
	s.notify()
}

// record stores a decision, after those that are still to be stored. What holds
// against recording is kept if it cannot be. Called exclusively.
func (s *session) record(ctx context.Context, participantID string, who gate.Person, d Decision) error {
	err := s.flush(ctx)
	c, known := s.consent(participantID, who, d)
	switch {
	case d.Decision == consult.ConsentGranted && !known:
		return &consult.Error{
			Code: consult.ValidationError, Reason: consult.ReasonBadMessage, Message: "This text is not the one in force.",
			Fields: []consult.FieldError{{Field: "wording_id", Message: "is not the id of a text that was shown"}},
		}
	case err == nil && s.repeats(who, c):
		return nil
	}
	if err == nil {
		err = s.append(ctx, c)
	}
	if err != nil && d.Decision != consult.ConsentGranted {
		s.keep(c)
	}
	return unavailable(err)
}

// consent is the record of a decision. The text is the one that was shown; a
// refusal that names none counts all the same, under the text in force.
func (s *session) consent(participantID string, who gate.Person, d Decision) (c consult.Consent, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var w consult.Wording
	for _, t := range s.wordings {
		if t.ID == d.WordingID && strings.EqualFold(t.Language, d.Language) {
			w, known = t, true
		}
	}
	if !known && len(s.wordings) > 0 {
		w = s.wordings[0]
	}
	return consult.Consent{
		ID: consult.NewID(consult.PrefixConsent), Scope: s.scope, SessionID: s.id, ParticipantID: participantID, Role: who.Role, Subject: who.Subject,
		Decision: d.Decision, WordingID: w.ID, WordingHash: w.Hash, Language: w.Language, Text: w.Text, At: s.svc.now(),
	}, known
}

// repeats reports whether the person's last stored decision is this one.
func (s *session) repeats(who gate.Person, c consult.Consent) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.last[who]
	return ok && last.Decision == c.Decision && last.WordingHash == c.WordingHash
}

// append stores a decision. Called exclusively.
func (s *session) append(ctx context.Context, c consult.Consent) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s.mu.Lock()
	doctor := ""
	if s.c != nil {
		doctor = s.c.DoctorID
	}
	s.mu.Unlock()
	e := consult.Event{
		ID: consult.NewID(consult.PrefixEvent), Type: consentEvent(c.Decision), Scope: c.Scope,
		Actor:     consult.Actor{Kind: consult.ActorParticipant, ID: c.ParticipantID, Role: c.Role},
		SessionID: c.SessionID, DoctorID: doctor, At: c.At,
		Data: data(map[string]any{
			"participant_id": c.ParticipantID, "role": c.Role, "wording_id": c.WordingID, "language": c.Language,
		}),
	}
	if err := s.svc.deps.Store.AppendConsent(ctx, &c, []consult.Event{e}); err != nil {
		return err
	}
	s.mu.Lock()
	s.last[gate.Person{Role: c.Role, Subject: c.Subject}] = c
	s.mu.Unlock()
	return nil
}

func consentEvent(d consult.ConsentDecision) consult.EventType {
	switch d {
	case consult.ConsentGranted:
		return consult.EventConsentGranted
	case consult.ConsentDeclined:
		return consult.EventConsentDeclined
	}
	return consult.EventConsentWithdrawn
}

// keep remembers a decision that the store did not take, on the disk too, so
// that a restart does not find the grant before it.
func (s *session) keep(c consult.Consent) {
	if err := s.svc.keepConsent(c); err != nil {
		s.svc.log.Error("withdrawal not kept on the disk either, it holds until a restart", "session_id", s.id, "err", err)
	}
	s.mu.Lock()
	s.unsaved = append(s.unsaved, c)
	s.mu.Unlock()
	s.svc.metrics.unsaved.Inc()
	s.svc.log.Error("withdrawal not stored, tried again", "session_id", s.id)
	s.saveSoon()
}

// flush stores what was kept, in order. Called exclusively.
func (s *session) flush(ctx context.Context) error {
	for {
		next, ok, err := s.oldest(ctx)
		if err != nil || !ok {
			return err
		}
		err = s.append(ctx, next)
		if code := consult.AsError(err).Code; err != nil && code != consult.ValidationError && code != consult.NotFound {
			return err
		}
		if err != nil { // it will never be taken; what it says was in force all the same
			s.svc.log.Error("withdrawal refused by the store", "session_id", s.id, "err", err)
		}
		s.svc.forgetConsent(next.ID)
		s.svc.metrics.unsaved.Dec()
		s.mu.Lock()
		s.unsaved = s.unsaved[1:]
		s.mu.Unlock()
	}
}

// oldest is the first decision that was kept, with the text in force where none
// could be read at the time.
func (s *session) oldest(ctx context.Context) (c consult.Consent, ok bool, err error) {
	s.mu.Lock()
	loaded := s.loaded
	if ok = len(s.unsaved) > 0; ok {
		c = s.unsaved[0]
	}
	s.mu.Unlock()
	if !ok || c.WordingHash != "" {
		return c, ok, nil
	}
	if !loaded {
		if err := s.loadConsents(ctx); err != nil {
			return c, ok, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wordings) > 0 {
		w := s.wordings[0]
		c.WordingID, c.WordingHash, c.Language, c.Text = w.ID, w.Hash, w.Language, w.Text
	}
	return c, ok, nil
}

// save stores what was kept, and tries again later if it cannot.
func (s *session) save(ctx context.Context) {
	if !s.pending() {
		return
	}
	if s.exclusively(ctx, func() error { return s.flush(ctx) }) != nil {
		s.svc.metrics.retries.WithLabelValues("consent").Inc()
		s.saveSoon()
		return
	}
	s.svc.tidy(s)
}

func (s *session) pending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.unsaved) > 0
}

func (s *session) saveSoon() {
	if s.pending() {
		s.soon("save", s.save)
	}
}

// load reads what was said and started before, once, and whether a recording was
// started or stopped elsewhere since. Called exclusively.
func (s *session) load(ctx context.Context) error {
	s.mu.Lock()
	loaded, off := s.loaded, !s.attached || s.c == nil || !s.c.EnableRecording
	s.mu.Unlock()
	if off {
		return nil
	}
	if !loaded {
		if err := s.loadConsents(ctx); err != nil {
			return err
		}
	}
	return s.follow(ctx)
}

func (s *session) loadConsents(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	set, err := s.svc.deps.Store.RecordingSettings(ctx, s.scope)
	if err != nil {
		return err
	}
	chain, err := s.svc.deps.Store.Consents(ctx, s.scope, s.id)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.loaded, s.wordings = true, s.svc.deps.Wordings(set.KeptBy(), set.RetentionDays)
	// What was stored after all, just before a crash, is not stored twice.
	s.unsaved = slices.DeleteFunc(s.unsaved, func(k consult.Consent) bool {
		return slices.ContainsFunc(chain, func(c consult.Consent) bool { return c.ID == k.ID })
	})
	for _, c := range chain {
		who := gate.Person{Role: c.Role, Subject: c.Subject}
		s.last[who] = c
		if s.decided[who] == 0 { // else they have spoken since
			s.gate.Decide(who, c.Decision)
		}
	}
	s.mu.Unlock()
	s.notify()
	return nil
}

// data encodes the data of an event: ids, states and times.
func data(fields map[string]any) json.RawMessage {
	b, err := json.Marshal(fields)
	if err != nil { // strings and numbers always marshal
		return nil
	}
	return b
}
