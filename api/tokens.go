package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
)

const dashboardLifetime = 12 * time.Hour // a clinic's day

func (s *server) tokenRoutes() []route {
	return []route{
		{http.MethodPost, "/api/v1/consultations/video/{session_id}/tokens", s.createRoomToken},
		{http.MethodPost, "/api/v1/doctors/{doctor_id}/dashboard", s.createDashboard},
	}
}

type roomTokenRequest struct {
	Role       consult.Role `json:"role"`
	Name       *string      `json:"name"`
	Subject    string       `json:"subject"`
	TTLSeconds int64        `json:"ttl_seconds"`
}

type roomTokenBody struct {
	Token     string       `json:"token"`
	JoinURL   string       `json:"join_url"`
	Role      consult.Role `json:"role"`
	ExpiresAt string       `json:"expires_at"`
}

func (s *server) createRoomToken(ctx context.Context, r *request) (any, error) {
	var b roomTokenRequest
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	sc, session := r.key.Scope, r.params["session_id"]
	if err := s.checkSubject(ctx, sc, session, &b); err != nil {
		return nil, err
	}
	jti := consult.NewID(consult.PrefixToken)
	c, err := s.Consultations.TokenIssued(ctx, sc, session, r.actor(), jti, b.Role)
	if err != nil {
		return nil, err
	}
	p := personOf(c, b.Role)
	p.tokenID = jti
	if b.Subject != "" {
		p.subject = b.Subject
	}
	if b.Name != nil {
		p.name = strings.TrimSpace(*b.Name)
	}
	expires := s.tokenExpiry(c)
	if b.TTLSeconds > 0 {
		if t := s.Now().Add(time.Duration(b.TTLSeconds) * time.Second); t.Before(expires) {
			expires = t
		}
	}
	token, err := s.roomToken(c, r.key.ID, p, expires)
	if err != nil {
		return nil, err
	}
	return roomTokenBody{
		Token: token, JoinURL: s.Links.Join(c.ID, b.Role, token), Role: b.Role, ExpiresAt: rfc3339(expires),
	}, nil
}

// checkSubject keeps the patient's role for the consultation's patient: the
// waiting room, the record and the consent are theirs.
func (s *server) checkSubject(ctx context.Context, sc consult.Scope, session string, b *roomTokenRequest) error {
	if b.Role != consult.Patient || b.Subject == "" {
		return nil
	}
	c, err := s.Consultations.Get(ctx, sc, session)
	if err != nil || b.Subject == c.PatientID {
		return err
	}
	return &consult.Error{
		Code: consult.ValidationError, Message: messageInvalid,
		Fields: []consult.FieldError{{Field: "subject", Message: "must be the consultation's patient; others join as guest"}},
	}
}

// person is whom a room token is for.
type person struct {
	role                   consult.Role
	tokenID, subject, name string
}

// personOf is the holder of a role: the consultation's own doctor or patient,
// or somebody new.
func personOf(c *consult.Consultation, role consult.Role) person {
	p := person{role: role, tokenID: consult.NewID(consult.PrefixToken)}
	switch role {
	case consult.Doctor:
		p.subject, p.name = c.DoctorID, c.DoctorName
	case consult.Patient:
		p.subject, p.name = c.PatientID, c.PatientName
	default:
		p.subject = consult.NewID(consult.PrefixUser)
	}
	return p
}

// tokenExpiry is how long room tokens of c may live. It outlasts the
// consultation, because a running call goes on past its expiry and its pages
// may reload; whether anyone gets in is decided by the consultation's state.
func (s *server) tokenExpiry(c *consult.Consultation) time.Time {
	from := c.ExpiresAt
	if now := s.Now(); now.After(from) {
		from = now
	}
	return from.Add(consult.TokenLifeAfterClose)
}

// roomToken signs a room token; a zero expires is tokenExpiry.
func (s *server) roomToken(c *consult.Consultation, keyID string, p person, expires time.Time) (string, error) {
	if expires.IsZero() {
		expires = s.tokenExpiry(c)
	}
	now := s.Now()
	return s.Tokens.Issue(auth.Claims{
		ID: p.tokenID, Kind: auth.KindRoom, Scope: c.Scope, KeyID: keyID,
		SessionID: c.ID, DoctorID: c.DoctorID, Role: p.role, Subject: p.subject, Name: p.name,
		Grants: consult.DefaultGrants(p.role), Epoch: c.TokenEpoch, Language: c.Language,
		IssuedAt: now, NotBefore: now, ExpiresAt: expires,
	})
}

type dashboardRequest struct {
	Name       string `json:"name"`
	TTLSeconds int64  `json:"ttl_seconds"`
}

type dashboardBody struct {
	DashboardURL string `json:"dashboard_url"`
	Token        string `json:"token"`
	ExpiresAt    string `json:"expires_at"`
}

func (s *server) createDashboard(_ context.Context, r *request) (any, error) {
	var b dashboardRequest
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	life := dashboardLifetime
	if b.TTLSeconds > 0 {
		life = time.Duration(b.TTLSeconds) * time.Second
	}
	now := s.Now()
	doctor := r.params["doctor_id"]
	token, err := s.Tokens.Issue(auth.Claims{
		ID: consult.NewID(consult.PrefixToken), Kind: auth.KindDashboard, Scope: r.key.Scope, KeyID: r.key.ID,
		DoctorID: doctor, Role: consult.Doctor, Subject: doctor, Name: b.Name,
		Grants:   consult.Grants{Admit: true},
		IssuedAt: now, NotBefore: now, ExpiresAt: now.Add(life),
	})
	if err != nil {
		return nil, err
	}
	return dashboardBody{DashboardURL: s.Links.Dashboard(token), Token: token, ExpiresAt: rfc3339(now.Add(life))}, nil
}
