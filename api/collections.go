package api

import (
	"context"
	"net/http"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// collectionRoutes are the list of consultations and what changes one beside
// its state.
func (s *server) collectionRoutes() []route {
	const all = "/api/v1/consultations/video"
	const session = all + "/{session_id}"
	return []route{
		{http.MethodGet, all, s.listVideos},
		{http.MethodPatch, session, s.updateVideo},
		{http.MethodPost, session + "/extend", s.extendVideo},
		{http.MethodGet, session + "/participants", s.listParticipants},
		{http.MethodPost, session + "/participants/{participant_id}/eject", s.eject},
	}
}

// videoItem is a consultation in a list: all but its participants.
type videoItem struct {
	SessionID       string            `json:"session_id"`
	Status          consult.Status    `json:"status"`
	Reason          *string           `json:"reason"`
	DoctorID        string            `json:"doctor_id"`
	PatientID       string            `json:"patient_id"`
	DoctorName      *string           `json:"doctor_name"`
	PatientName     *string           `json:"patient_name"`
	Language        string            `json:"language"`
	Country         *string           `json:"country"`
	EnableRecording bool              `json:"enable_recording"`
	CreatedAt       string            `json:"created_at"`
	ScheduledAt     *string           `json:"scheduled_at"`
	OpensAt         string            `json:"opens_at"`
	AdmittedAt      *string           `json:"admitted_at"`
	StartedAt       *string           `json:"started_at"`
	EndedAt         *string           `json:"ended_at"`
	ExpiresAt       string            `json:"expires_at"`
	Metadata        map[string]string `json:"metadata"`
}

func itemOf(c *consult.Consultation) videoItem {
	return videoItem{
		SessionID: c.ID, Status: c.Status, Reason: optional(c.Reason), DoctorID: c.DoctorID, PatientID: c.PatientID,
		DoctorName: optional(c.DoctorName), PatientName: optional(c.PatientName),
		Language: c.Language, Country: optional(c.Country), EnableRecording: c.EnableRecording, CreatedAt: rfc3339(c.CreatedAt),
		ScheduledAt: optionalTime(c.ScheduledAt), OpensAt: rfc3339(c.OpensAt()), AdmittedAt: optionalTime(c.AdmittedAt),
		StartedAt: optionalTime(c.StartedAt), EndedAt: optionalTime(c.EndedAt), ExpiresAt: rfc3339(c.ExpiresAt),
		Metadata: metadataOf(c),
	}
}

func metadataOf(c *consult.Consultation) map[string]string {
	if c.Metadata == nil {
		return map[string]string{} // an object, never null
	}
	return c.Metadata
}

func (s *server) listVideos(ctx context.Context, r *request) (any, error) {
	p, err := s.page(r)
	if err != nil {
		return nil, err
	}
	f := consult.ConsultationFilter{
		DoctorID: r.params["doctor_id"], PatientID: r.params["patient_id"], Status: consult.Status(r.params["status"]),
	}
	if f.From, err = r.time("created_from"); err != nil {
		return nil, err
	}
	if f.To, err = r.time("created_to"); err != nil {
		return nil, err
	}
	items, next, err := s.Consultations.List(ctx, r.key.Scope, f, p)
	if err != nil {
		return nil, err
	}
	return pageOf(s, r, items, next, itemOf), nil
}

// time is an optional time among the parameters.
func (r *request) time(name string) (*time.Time, error) {
	v, ok := r.params[name]
	if !ok {
		return nil, nil
	}
	t, err := parseTime(v)
	return &t, err // the schema has let it through
}

type updateVideoBody struct {
	Metadata map[string]*string `json:"metadata"`
}

// updateVideo merges metadata (RFC 7396): null, or "", takes a name away.
func (s *server) updateVideo(ctx context.Context, r *request) (any, error) {
	var b updateVideoBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	if b.Metadata == nil {
		return s.video(ctx, r)
	}
	changes := make(map[string]string, len(b.Metadata))
	for name, v := range b.Metadata {
		changes[name] = ""
		if v != nil {
			changes[name] = *v
		}
	}
	c, err := s.Sessions.SetMetadata(ctx, r.key.Scope, r.params["session_id"], r.actor(), changes)
	if err != nil {
		return nil, err
	}
	return s.videoOf(ctx, c)
}

type extendBody struct {
	ExpiresAt string `json:"expires_at"`
}

func (s *server) extendVideo(ctx context.Context, r *request) (any, error) {
	var b extendBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	until, err := parseTime(b.ExpiresAt)
	if err != nil {
		return nil, err // the schema has let it through
	}
	c, err := s.Sessions.Extend(ctx, r.key.Scope, r.params["session_id"], r.actor(), until)
	if err != nil {
		return nil, err
	}
	return s.videoOf(ctx, c)
}

func (s *server) listParticipants(ctx context.Context, r *request) (any, error) {
	p, err := s.page(r)
	if err != nil {
		return nil, err
	}
	c, err := s.Consultations.Get(ctx, r.key.Scope, r.params["session_id"])
	if err != nil {
		return nil, err
	}
	all, err := s.Participations.Participations(ctx, c.Scope, c.ID)
	if err != nil {
		return nil, err
	}
	items, next, err := cut(all, p, func(p *consult.Participation) string { return p.ID })
	if err != nil {
		return nil, err
	}
	return pageOf(s, r, items, next, participantOf), nil
}

// eject drops one person and revokes what let them in. The answer is the
// participant, whose left_at may come a moment later: another node may hold
// the connection.
func (s *server) eject(ctx context.Context, r *request) (any, error) {
	session, id := r.params["session_id"], r.params["participant_id"]
	c, err := s.Consultations.Get(ctx, r.key.Scope, session)
	if err != nil {
		return nil, err
	}
	if _, err := s.participation(ctx, c, id); err != nil {
		return nil, err
	}
	if err := s.Room.Eject(ctx, r.key.Scope, session, id, r.actor()); err != nil {
		return nil, err
	}
	p, err := s.participation(ctx, c, id)
	if err != nil {
		return nil, err
	}
	return participantOf(p), nil
}

func (s *server) participation(ctx context.Context, c *consult.Consultation, id string) (*consult.Participation, error) {
	all, err := s.Participations.Participations(ctx, c.Scope, c.ID)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].ID == id {
			return &all[i], nil
		}
	}
	return nil, consult.Errorf(consult.NotFound, "", "There is no participant of this id in this consultation.")
}
