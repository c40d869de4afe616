package auth

import (
	"slices"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/chatmed/chatmed/internal/consult"
)

// The kinds of token.
const (
	KindRoom      = "room"      // one person, or the integrator, in one consultation
	KindDashboard = "dashboard" // a doctor's queue
)

// Claims are what a token says about its holder.
type Claims struct {
	ID        string // jti
	Kind      string // KindRoom or KindDashboard
	Scope     consult.Scope
	KeyID     string // the API key that issued it
	SessionID string // of a room token
	DoctorID  string // of a dashboard token; of a room token for convenience
	Role      consult.Role
	Subject   string // the doctor's or patient's id, or a generated one
	Name      string // display name
	Grants    consult.Grants
	// Epoch is the consultation's TokenEpoch at issue; a later one revokes.
	Epoch     int
	Language  string // BCP 47
	IssuedAt  time.Time
	NotBefore time.Time
	ExpiresAt time.Time
}

// ForSession refuses a token that is not of that consultation
// (token_wrong_session).
func (c *Claims) ForSession(sessionID string) error {
	if c.Kind != KindRoom || c.SessionID != sessionID {
		return consult.Errorf(consult.Forbidden, consult.ReasonTokenWrongSession, "The token belongs to another consultation.")
	}
	return nil
}

// Need refuses a token of another kind, or whose role is none of roles
// (token_wrong_role). No roles means any. The session token of the API passes
// for a doctor or a patient.
func (c *Claims) Need(kind string, roles ...consult.Role) error {
	ok := c.Kind == kind && (len(roles) == 0 || slices.Contains(roles, c.Role) ||
		c.Role == consult.Integrator && (slices.Contains(roles, consult.Doctor) || slices.Contains(roles, consult.Patient)))
	if !ok {
		return consult.Errorf(consult.Forbidden, consult.ReasonTokenWrongRole, "The token's role does not allow this.")
	}
	return nil
}

// Actor is the holder as the audit log names it.
func (c *Claims) Actor() consult.Actor {
	if c.Role == consult.Integrator {
		return consult.Actor{Kind: consult.ActorKey, ID: c.KeyID}
	}
	return consult.Actor{Kind: consult.ActorParticipant, ID: c.Subject, Role: c.Role}
}

// sound reports whether the claims are complete and fit their kind.
func (c *Claims) sound() bool {
	if c.ID == "" || c.Scope.AccountID == "" || !c.Scope.Mode.Valid() || c.KeyID == "" || c.Subject == "" ||
		c.ExpiresAt.IsZero() || !c.Role.Valid() || c.Epoch < 0 ||
		!utf8.ValidString(c.Name) || utf8.RuneCountInString(c.Name) > consult.MaxNameLength {
		return false
	}
	switch c.Kind {
	case KindRoom:
		return c.SessionID != ""
	case KindDashboard:
		return c.SessionID == "" && c.DoctorID != "" && c.Role == consult.Doctor
	}
	return false
}

// wire is Claims as a JWT carries them (RFC 7519): registered names where there
// are any, short private ones beside them.
type wire struct {
	jwt.RegisteredClaims
	Kind      string         `json:"kind"`
	Account   string         `json:"acc"`
	Mode      consult.Mode   `json:"mode"`
	KeyID     string         `json:"key"`
	SessionID string         `json:"sid,omitempty"`
	DoctorID  string         `json:"doc,omitempty"`
	Role      consult.Role   `json:"role"`
	Name      string         `json:"name,omitempty"`
	Grants    consult.Grants `json:"grants"`
	Epoch     int            `json:"epoch"`
	Language  string         `json:"lang,omitempty"`
}

func (c *Claims) wire() *wire {
	return &wire{
		RegisteredClaims: jwt.RegisteredClaims{
			ID: c.ID, Subject: c.Subject, IssuedAt: jwt.NewNumericDate(c.IssuedAt),
			NotBefore: jwt.NewNumericDate(c.NotBefore), ExpiresAt: jwt.NewNumericDate(c.ExpiresAt),
		},
		Kind: c.Kind, Account: c.Scope.AccountID, Mode: c.Scope.Mode, KeyID: c.KeyID,
		SessionID: c.SessionID, DoctorID: c.DoctorID, Role: c.Role, Name: c.Name,
		Grants: c.Grants, Epoch: c.Epoch, Language: c.Language,
	}
}

func (w *wire) claims() *Claims {
	return &Claims{
		ID: w.ID, Kind: w.Kind, Scope: consult.Scope{AccountID: w.Account, Mode: w.Mode}, KeyID: w.KeyID,
		SessionID: w.SessionID, DoctorID: w.DoctorID, Role: w.Role, Subject: w.Subject, Name: w.Name,
		Grants: w.Grants, Epoch: w.Epoch, Language: w.Language,
		IssuedAt: timeOf(w.IssuedAt), NotBefore: timeOf(w.NotBefore), ExpiresAt: timeOf(w.ExpiresAt),
	}
}

func timeOf(d *jwt.NumericDate) time.Time {
	if d == nil {
		return time.Time{}
	}
	return d.UTC()
}
