package api

import (
	"context"
	"net/http"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/limits"
)

func (s *server) videoRoutes() []route {
	const session = "/api/v1/consultations/video/{session_id}"
	return []route{
		{http.MethodPost, "/api/v1/consultations/video/create", s.createVideo},
		{http.MethodGet, session + "/status", s.videoStatus},
		{http.MethodGet, session + "/quality", s.videoQuality},
		{http.MethodGet, session, s.video},
		{http.MethodPost, session + "/end", s.endVideo},
		{http.MethodPost, session + "/cancel", s.cancelVideo},
	}
}

type createVideoBody struct {
	DoctorID        string            `json:"doctor_id"`
	PatientID       string            `json:"patient_id"`
	DoctorName      string            `json:"doctor_name"`
	PatientName     string            `json:"patient_name"`
	ScheduledAt     *string           `json:"scheduled_at"`
	Language        string            `json:"language"`
	EnableRecording bool              `json:"enable_recording"`
	Country         string            `json:"country"`
	Metadata        map[string]string `json:"metadata"`
}

type createdVideo struct {
	SessionID      string         `json:"session_id"`
	RoomURL        string         `json:"room_url"`
	Token          string         `json:"token"`
	DoctorJoinURL  string         `json:"doctor_join_url"`
	PatientJoinURL string         `json:"patient_join_url"`
	ExpiresAt      string         `json:"expires_at"`
	Status         consult.Status `json:"status"`
}

func (s *server) createVideo(ctx context.Context, r *request) (any, error) {
	var b createVideoBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	req := consult.CreateRequest{
		DoctorID: b.DoctorID, PatientID: b.PatientID, DoctorName: b.DoctorName, PatientName: b.PatientName,
		Language: b.Language, EnableRecording: b.EnableRecording, KeyID: r.key.ID, Country: b.Country, Metadata: b.Metadata,
	}
	if b.EnableRecording {
		if err := s.planHas(r.key, limits.GroupRecording); err != nil {
			return nil, err
		}
	}
	if b.ScheduledAt != nil {
		t, err := parseTime(*b.ScheduledAt)
		if err != nil {
			return nil, err // the schema has let it through
		}
		req.ScheduledAt = &t
	}
	c, err := s.Consultations.Create(ctx, r.key.Scope, r.actor(), req)
	if err != nil {
		return nil, err
	}
	return s.created(c, r.key.ID)
}

// created makes the tokens of a new consultation. room_url and
// patient_join_url are the same person's, so they carry one token.
func (s *server) created(c *consult.Consultation, keyID string) (any, error) {
	issue := func(role consult.Role) (string, error) { return s.roomToken(c, keyID, personOf(c, role), time.Time{}) }
	session, err := issue(consult.Integrator)
	if err != nil {
		return nil, err
	}
	doctor, err := issue(consult.Doctor)
	if err != nil {
		return nil, err
	}
	patient, err := issue(consult.Patient)
	if err != nil {
		return nil, err
	}
	return createdVideo{
		SessionID: c.ID, Token: session, ExpiresAt: rfc3339(c.ExpiresAt), Status: c.Status,
		RoomURL:        s.Links.Room(c.ID, patient),
		DoctorJoinURL:  s.Links.Join(c.ID, consult.Doctor, doctor),
		PatientJoinURL: s.Links.Join(c.ID, consult.Patient, patient),
	}, nil
}

type participantBody struct {
	ParticipantID string       `json:"participant_id"`
	Role          consult.Role `json:"role"`
	Subject       string       `json:"subject"`
	Name          string       `json:"name"`
	JoinedAt      string       `json:"joined_at"`
	LeftAt        *string      `json:"left_at"`
}

type videoStatusBody struct {
	SessionID    string            `json:"session_id"`
	Status       consult.Status    `json:"status"`
	Reason       *string           `json:"reason"`
	DoctorID     string            `json:"doctor_id"`
	PatientID    string            `json:"patient_id"`
	CreatedAt    string            `json:"created_at"`
	ScheduledAt  *string           `json:"scheduled_at"`
	StartedAt    *string           `json:"started_at"`
	EndedAt      *string           `json:"ended_at"`
	ExpiresAt    string            `json:"expires_at"`
	Participants []participantBody `json:"participants"`
}

type videoBody struct {
	videoItem
	Participants []participantBody `json:"participants"`
}

func (s *server) videoStatus(ctx context.Context, r *request) (any, error) {
	c, err := s.Consultations.Get(ctx, r.key.Scope, r.params["session_id"])
	if err != nil {
		return nil, err
	}
	return s.statusOf(ctx, c)
}

func (s *server) video(ctx context.Context, r *request) (any, error) {
	c, err := s.Consultations.Get(ctx, r.key.Scope, r.params["session_id"])
	if err != nil {
		return nil, err
	}
	return s.videoOf(ctx, c)
}

func (s *server) videoOf(ctx context.Context, c *consult.Consultation) (any, error) {
	parts, err := s.Participations.Participations(ctx, c.Scope, c.ID)
	if err != nil {
		return nil, err
	}
	return videoBody{itemOf(c), participants(parts, true)}, nil
}

func (s *server) endVideo(ctx context.Context, r *request) (any, error) {
	c, err := s.Consultations.End(ctx, r.key.Scope, r.params["session_id"], r.actor(), consult.EndedByAPI)
	if err != nil {
		return nil, err
	}
	return s.statusOf(ctx, c)
}

func (s *server) cancelVideo(ctx context.Context, r *request) (any, error) {
	c, err := s.Consultations.Cancel(ctx, r.key.Scope, r.params["session_id"], r.actor(), consult.CancelledByCaller)
	if err != nil {
		return nil, err
	}
	return s.statusOf(ctx, c)
}

func (s *server) statusOf(ctx context.Context, c *consult.Consultation) (any, error) {
	parts, err := s.Participations.Participations(ctx, c.Scope, c.ID)
	if err != nil {
		return nil, err
	}
	return statusBody(c, participants(parts, false)), nil
}

func statusBody(c *consult.Consultation, parts []participantBody) videoStatusBody {
	return videoStatusBody{
		SessionID: c.ID, Status: c.Status, Reason: optional(c.Reason), DoctorID: c.DoctorID, PatientID: c.PatientID,
		CreatedAt: rfc3339(c.CreatedAt), ScheduledAt: optionalTime(c.ScheduledAt), StartedAt: optionalTime(c.StartedAt),
		EndedAt: optionalTime(c.EndedAt), ExpiresAt: rfc3339(c.ExpiresAt), Participants: parts,
	}
}

// participants shows who is present, or, with gone, everyone.
func participants(parts []consult.Participation, gone bool) []participantBody {
	out := make([]participantBody, 0, len(parts))
	for i := range parts {
		if parts[i].LeftAt == nil || gone {
			out = append(out, participantOf(&parts[i]))
		}
	}
	return out
}

func participantOf(p *consult.Participation) participantBody {
	return participantBody{
		ParticipantID: p.ID, Role: p.Role, Subject: p.Subject, Name: p.Name,
		JoinedAt: rfc3339(p.JoinedAt), LeftAt: optionalTime(p.LeftAt),
	}
}
