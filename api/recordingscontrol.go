package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/chatmed/chatmed/internal/consult"
)

func (s *server) recordingControlRoutes() []route {
	const session, one = "/api/v1/consultations/video/{session_id}/recordings", "/api/v1/recordings/{recording_id}"
	return []route{
		{http.MethodPost, session + "/start", s.startRecording},
		{http.MethodPost, session + "/stop", s.stopRecording},
		{http.MethodPost, one + "/compose", s.composeRecording},
		{http.MethodDelete, one, s.deleteRecording},
		{http.MethodPut, one + "/hold", s.holdRecording},
	}
}

// Recorder starts and ends recordings, on whatever node holds the room
// (recording.Service).
type Recorder interface {
	// Start returns the one that goes on if there is one.
	Start(ctx context.Context, sc consult.Scope, sessionID string, actor consult.Actor) (*consult.Recording, error)
	Stop(ctx context.Context, sc consult.Scope, sessionID string, actor consult.Actor) error
	DeleteFor(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, why string) error
	HoldFor(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, on bool, note string) (*consult.Recording, error)
}

// Composer makes playable files. Queue does not block.
type Composer interface {
	Queue(sc consult.Scope, recordingID string)
}

type startedRecording struct {
	RecordingID string               `json:"recording_id"`
	SessionID   string               `json:"session_id"`
	State       string               `json:"state"`
	StartedAt   string               `json:"started_at"`
	WaitingFor  []waitingParticipant `json:"waiting_for"`
}

type waitingParticipant struct {
	ParticipantID string       `json:"participant_id"`
	Role          consult.Role `json:"role"`
}

// startRecording is the doctor's act, and the API's: what is captured still waits
// for everybody in the call.
func (s *server) startRecording(ctx context.Context, r *request) (any, error) {
	c, err := s.Consultations.Get(ctx, r.key.Scope, r.params["session_id"])
	if err != nil {
		return nil, err
	}
	switch {
	case !c.EnableRecording:
		return nil, consult.Errorf(consult.Conflict, consult.ReasonRecordingDisabled, "This consultation was created without enable_recording.")
	case c.Status != consult.Active:
		return nil, consult.Errorf(consult.Conflict, consult.ReasonNotActive, "The consultation is not active.")
	}
	rec, err := s.Recorder.Start(ctx, c.Scope, c.ID, r.actor())
	if err != nil {
		return nil, err
	}
	waits, present, err := s.waitsFor(ctx, c)
	if err != nil {
		return nil, err
	}
	return startedRecording{
		RecordingID: rec.ID, SessionID: c.ID, State: shownState(rec, len(waits) == 0 && present > 0),
		StartedAt: rfc3339(rec.StartedAt), WaitingFor: waits,
	}, nil
}

// shownState is the state as people in the call see it.
func shownState(rec *consult.Recording, agreed bool) string {
	switch {
	case agreed:
		return "recording"
	case rec.Duration > 0 || len(rec.Segments) > 0 || rec.State == consult.RecordingRunning:
		return "paused"
	}
	return "waiting"
}

// waitsFor lists who is in the call and has not granted, and counts who is asked.
// A device is not asked.
func (s *server) waitsFor(ctx context.Context, c *consult.Consultation) (waits []waitingParticipant, present int, err error) {
	people, err := s.Participations.Participations(ctx, c.Scope, c.ID)
	if err != nil {
		return nil, 0, err
	}
	chain, err := s.Consents.Consents(ctx, c.Scope, c.ID)
	if err != nil {
		return nil, 0, err
	}
	type person struct {
		role    consult.Role
		subject string
	}
	last := map[person]consult.ConsentDecision{}
	for _, d := range chain {
		last[person{d.Role, d.Subject}] = d.Decision
	}
	waits = []waitingParticipant{}
	for _, p := range people {
		if p.LeftAt != nil || !p.Role.Recorded() {
			continue
		}
		present++
		if last[person{p.Role, p.Subject}] != consult.ConsentGranted {
			waits = append(waits, waitingParticipant{ParticipantID: p.ID, Role: p.Role})
		}
	}
	return waits, present, nil
}

// stopRecording ends the recording; the answer is the recording, whose segments
// are stored a moment later.
func (s *server) stopRecording(ctx context.Context, r *request) (any, error) {
	c, err := s.Consultations.Get(ctx, r.key.Scope, r.params["session_id"])
	if err != nil {
		return nil, err
	}
	if err := s.Recorder.Stop(ctx, c.Scope, c.ID, r.actor()); err != nil {
		return nil, err
	}
	newest, _, err := s.Recordings.Recordings(ctx, c.Scope, consult.RecordingFilter{SessionID: c.ID}, consult.Page{Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(newest) == 0 {
		return nil, errors.New("a recording that was stopped is not stored")
	}
	return s.recordingOf(&newest[0]), nil
}

// composeRecording makes the playable files, the first time or again.
func (s *server) composeRecording(ctx context.Context, r *request) (any, error) {
	rec, err := s.recording(ctx, r)
	if err != nil {
		return nil, err
	}
	switch {
	case rec.State == consult.RecordingDeleted:
		return nil, consult.Errorf(consult.Conflict, consult.ReasonRecordingDeleted, "The recording was deleted.")
	case !s.holdsKey(rec):
		return nil, noKey()
	case !rec.State.Over():
		return nil, consult.Errorf(consult.Conflict, consult.ReasonNotReady, "The recording is not over; stop it first.")
	case len(rec.Segments) == 0:
		return nil, consult.Errorf(consult.Conflict, consult.ReasonNotReady, "Nothing was recorded.")
	case s.Composer == nil:
		return nil, &consult.Error{
			Code: consult.ServiceUnavailable, Reason: consult.ReasonDependency, Message: "This server composes no recordings.",
		}
	}
	rec, err = s.Recordings.ChangeRecording(ctx, rec.Scope, rec.ID, func(rec *consult.Recording) ([]consult.Event, error) {
		if rec.State != consult.RecordingReady && rec.State != consult.RecordingFailed {
			return nil, nil // it is composed, or will be
		}
		// The files stay listed, for whoever deletes the recording meanwhile.
		rec.State, rec.Reason, rec.Progress = consult.RecordingStored, "", 0
		return []consult.Event{{
			ID: consult.NewID(consult.PrefixEvent), Type: consult.EventRecordingAgain, Scope: rec.Scope, Actor: r.actor(),
			SessionID: rec.SessionID, DoctorID: rec.DoctorID, At: s.Now().UTC(),
		}}, nil
	})
	if err != nil {
		return nil, err
	}
	s.Composer.Queue(rec.Scope, rec.ID)
	return s.recordingOf(rec), nil
}

func noKey() error {
	return consult.Errorf(consult.Conflict, consult.ReasonRecordingKey,
		"The server does not hold the key of this recording; whoever does can open its segments.")
}

type deleteRecording struct {
	Reason string `json:"reason"`
}

// deleteRecording removes a recording for good. One that is deleted stays so:
// asking again is the same answer.
func (s *server) deleteRecording(ctx context.Context, r *request) (any, error) {
	b := deleteRecording{Reason: "other"}
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	err := s.Recorder.DeleteFor(ctx, r.key.Scope, r.params["recording_id"], r.actor(), b.Reason)
	var e *consult.Error
	if err != nil && (!errors.As(err, &e) || e.Reason != consult.ReasonRecordingDeleted) {
		return nil, err
	}
	return s.getRecording(ctx, r)
}

type holdRecording struct {
	LegalHold bool   `json:"legal_hold"`
	Note      string `json:"note"`
}

// holdRecording keeps a recording from every deletion, or lets it go.
func (s *server) holdRecording(ctx context.Context, r *request) (any, error) {
	var b holdRecording
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	rec, err := s.Recorder.HoldFor(ctx, r.key.Scope, r.params["recording_id"], r.actor(), b.LegalHold, strings.TrimSpace(b.Note))
	if err != nil {
		return nil, err
	}
	return s.recordingOf(rec), nil
}
