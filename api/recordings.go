package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

func (s *server) recordingRoutes() []route {
	return []route{
		{http.MethodGet, "/api/v1/consultations/video/{session_id}/recordings", s.listSessionRecordings},
		{http.MethodGet, "/api/v1/recordings", s.listRecordings},
		{http.MethodGet, "/api/v1/recordings/{recording_id}", s.getRecording},
	}
}

// Recordings reads recordings, and notes what was done with them (the store).
type Recordings interface {
	Recording(ctx context.Context, sc consult.Scope, id string) (*consult.Recording, error)
	// Recordings is a page, newest first, deleted ones too.
	Recordings(ctx context.Context, sc consult.Scope, f consult.RecordingFilter, p consult.Page) ([]consult.Recording, string, error)
	// ChangeRecording locks the row and stores what change makes of it, with its
	// events.
	ChangeRecording(ctx context.Context, sc consult.Scope, id string,
		change func(*consult.Recording) ([]consult.Event, error)) (*consult.Recording, error)
}

type recordingBody struct {
	RecordingID     string                 `json:"recording_id"`
	SessionID       string                 `json:"session_id"`
	DoctorID        string                 `json:"doctor_id"`
	PatientID       string                 `json:"patient_id"`
	State           consult.RecordingState `json:"state"`
	Reason          *string                `json:"reason"`
	StartedAt       string                 `json:"started_at"`
	StoppedAt       *string                `json:"stopped_at"`
	DurationSeconds float64                `json:"duration_seconds"`
	SizeBytes       int64                  `json:"size_bytes"`
	Key             recordingKeyBody       `json:"key"`
	Progress        float64                `json:"progress"`
	Tracks          []recordingTrackBody   `json:"tracks"`
	Gaps            []recordingGapBody     `json:"gaps"`
	Segments        []recordingSegmentBody `json:"segments"`
	Files           []recordingFileBody    `json:"files"`
	LegalHold       bool                   `json:"legal_hold"`
	RetainUntil     *string                `json:"retain_until"`
	DeletedAt       *string                `json:"deleted_at"`
}

type recordingKeyBody struct {
	Fingerprint string `json:"fingerprint"`
	Server      bool   `json:"server"` // the server holds it
}

type recordingTrackBody struct {
	ID            int          `json:"id"`
	ParticipantID string       `json:"participant_id"`
	Role          consult.Role `json:"role"`
	Source        string       `json:"source"`
	Codec         string       `json:"codec"`
	Packets       int64        `json:"packets"`
	Bytes         int64        `json:"bytes"`
	Lost          int64        `json:"lost"`
	Dropped       int64        `json:"dropped"`
}

type recordingGapBody struct {
	Track  *int    `json:"track"` // null: all of it
	From   float64 `json:"from_seconds"`
	To     float64 `json:"to_seconds"`
	Reason string  `json:"reason"`
}

type recordingSegmentBody struct {
	Number    int    `json:"number"`
	SizeBytes int64  `json:"size_bytes"`
	SHA256    string `json:"sha256"`
}

type recordingFileBody struct {
	FileID          string  `json:"file_id"`
	Type            string  `json:"type"`
	SizeBytes       int64   `json:"size_bytes"` // of what a download gives
	StoredBytes     int64   `json:"stored_bytes"`
	SHA256          string  `json:"sha256"`
	DurationSeconds float64 `json:"duration_seconds"`
}

func (s *server) recordingOf(r *consult.Recording) recordingBody {
	b := recordingBody{
		RecordingID: r.ID, SessionID: r.SessionID, DoctorID: r.DoctorID, PatientID: r.PatientID,
		State: r.State, Reason: optional(r.Reason), StartedAt: rfc3339(r.StartedAt), StoppedAt: optionalTime(r.StoppedAt),
		DurationSeconds: seconds(r.Duration), Progress: r.Progress,
		Key:    recordingKeyBody{Fingerprint: r.Recipient, Server: s.holdsKey(r)},
		Tracks: make([]recordingTrackBody, 0, len(r.Tracks)), Gaps: make([]recordingGapBody, 0, len(r.Gaps)),
		Segments: make([]recordingSegmentBody, 0, len(r.Segments)), Files: make([]recordingFileBody, 0, len(r.Files)),
		LegalHold: r.LegalHold, RetainUntil: optionalTime(r.RetainUntil), DeletedAt: optionalTime(r.DeletedAt),
	}
	for _, o := range r.Objects() {
		b.SizeBytes += o.Bytes
	}
	for _, t := range r.Tracks {
		b.Tracks = append(b.Tracks, recordingTrackBody(t))
	}
	for _, g := range r.Gaps {
		gap := recordingGapBody{From: seconds(g.From), To: seconds(g.To), Reason: g.Reason}
		if g.Track != 0 {
			gap.Track = &g.Track
		}
		b.Gaps = append(b.Gaps, gap)
	}
	for i, o := range r.Segments {
		b.Segments = append(b.Segments, recordingSegmentBody{Number: i, SizeBytes: o.Bytes, SHA256: o.SHA256})
	}
	for _, f := range r.Files {
		b.Files = append(b.Files, recordingFileBody{
			FileID: f.ID, Type: f.Type, SizeBytes: f.PlainSize, StoredBytes: f.Object.Bytes, SHA256: f.Object.SHA256,
			DurationSeconds: seconds(f.Duration),
		})
	}
	return b
}

// seconds is a duration to the millisecond.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// holdsKey reports whether the server can open the recording: it was made with
// the server's key, and that one is still known.
func (s *server) holdsKey(r *consult.Recording) bool {
	return r.ServerKey && s.RecordingFiles.Holds(r.Recipient)
}

func (s *server) listRecordings(ctx context.Context, r *request) (any, error) {
	f := consult.RecordingFilter{
		SessionID: r.params["session_id"], DoctorID: r.params["doctor_id"], PatientID: r.params["patient_id"],
		State: consult.RecordingState(r.params["state"]),
	}
	var err error
	if f.From, err = r.time("from"); err != nil {
		return nil, err
	}
	if f.To, err = r.time("to"); err != nil {
		return nil, err
	}
	return s.recordingPage(ctx, r, f)
}

func (s *server) listSessionRecordings(ctx context.Context, r *request) (any, error) {
	c, err := s.Consultations.Get(ctx, r.key.Scope, r.params["session_id"])
	if err != nil {
		return nil, err
	}
	return s.recordingPage(ctx, r, consult.RecordingFilter{SessionID: c.ID})
}

func (s *server) recordingPage(ctx context.Context, r *request, f consult.RecordingFilter) (any, error) {
	p, err := s.page(r)
	if err != nil {
		return nil, err
	}
	items, next, err := s.Recordings.Recordings(ctx, r.key.Scope, f, p)
	if err != nil {
		return nil, err
	}
	return pageOf(s, r, items, next, s.recordingOf), nil
}

func (s *server) getRecording(ctx context.Context, r *request) (any, error) {
	rec, err := s.recording(ctx, r)
	if err != nil {
		return nil, err
	}
	return s.recordingOf(rec), nil
}

func (s *server) recording(ctx context.Context, r *request) (*consult.Recording, error) {
	return s.Recordings.Recording(ctx, r.key.Scope, r.params["recording_id"])
}

// fileOf finds a file of a recording that is there.
func fileOf(rec *consult.Recording, id string) (*consult.RecordingFile, error) {
	if err := there(rec); err != nil {
		return nil, err
	}
	for i := range rec.Files {
		if rec.Files[i].ID != id {
			continue
		}
		if rec.State == consult.RecordingStored || rec.State == consult.RecordingComposing {
			return nil, consult.Errorf(consult.Conflict, consult.ReasonNotReady, "The file is being made again.")
		}
		return &rec.Files[i], nil
	}
	return nil, consult.Errorf(consult.NotFound, "", "The recording has no such file.")
}

func segmentOf(rec *consult.Recording, number string) (*consult.RecordingObject, error) {
	if err := there(rec); err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n >= len(rec.Segments) {
		return nil, consult.Errorf(consult.NotFound, "", "The recording has no such segment.")
	}
	return &rec.Segments[n], nil
}

// there refuses a recording that was deleted: nothing of it can be had.
func there(rec *consult.Recording) error {
	if rec.State == consult.RecordingDeleted {
		return consult.Errorf(consult.NotFound, consult.ReasonRecordingDeleted, "The recording was deleted.")
	}
	return nil
}
