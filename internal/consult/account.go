package consult

import (
	"net/netip"
	"slices"
	"time"
)

// Account is an integrator's organisation.
type Account struct {
	ID        string
	Name      string
	Email     string
	CreatedAt time.Time
}

// Plan names of the documented rate-limit table.
const (
	PlanStarter      = "starter"
	PlanProfessional = "professional"
	PlanEnterprise   = "enterprise"
)

// ValidPlan reports whether p is a documented plan.
func ValidPlan(p string) bool {
	return p == PlanStarter || p == PlanProfessional || p == PlanEnterprise
}

// KeyScope is a part of the API that a key may use.
type KeyScope string

// The scopes of a key.
const (
	ScopeConsultations KeyScope = "consultations" // video, waiting room, participants
	ScopeClinical      KeyScope = "clinical"      // chat, imaging, speech, monitoring, prescriptions
	ScopeRecordings    KeyScope = "recordings"
	ScopeAdmin         KeyScope = "admin" // keys, audit, export and erasure
)

// DefaultKeyScopes are what a key gets when nobody says otherwise: all but admin.
func DefaultKeyScopes() []KeyScope {
	return []KeyScope{ScopeConsultations, ScopeClinical, ScopeRecordings}
}

// Valid reports whether s is one of the scopes.
func (s KeyScope) Valid() bool {
	return s == ScopeConsultations || s == ScopeClinical || s == ScopeRecordings || s == ScopeAdmin
}

// APIKey is a key as stored: the secret only as a keyed hash.
type APIKey struct {
	ID    string
	Scope Scope
	// UserID is the key's user (`users/me`), ProfileID that user's profile.
	UserID    string
	ProfileID string
	Name      string
	Email     string
	Plan      string
	// Prefix is the first characters, for people to tell keys apart.
	Prefix         string
	Hash           []byte // HMAC-SHA-256 of the whole key, 32 bytes
	AllowedOrigins []string
	// Scopes are what the key may use; none, as in the oldest rows, is all but
	// admin.
	Scopes []KeyScope
	// AllowedAddresses are where requests may come from; none is anywhere.
	AllowedAddresses []netip.Prefix
	CreatedAt        time.Time
	LastUsedAt       *time.Time
	// ExpiresAt is when a rotated key stops authenticating: the end of the
	// overlap with RotatedTo, its successor's id.
	ExpiresAt *time.Time
	RotatedTo string
	RevokedAt *time.Time
	// EndCalls says that the calls under way ended with the revocation.
	EndCalls bool
}

// Has reports whether the key may use the part s of the API.
func (k *APIKey) Has(s KeyScope) bool {
	if len(k.Scopes) == 0 {
		return s.Valid() && s != ScopeAdmin
	}
	return slices.Contains(k.Scopes, s)
}

// AllowsAddress reports whether a request from that address may use the key.
// An IPv4 address in its IPv6 form counts as itself. The zero address is
// allowed only where every address is.
func (k *APIKey) AllowsAddress(from netip.Addr) bool {
	if len(k.AllowedAddresses) == 0 {
		return true
	}
	from = from.Unmap().WithZone("")
	return slices.ContainsFunc(k.AllowedAddresses, func(p netip.Prefix) bool { return p.Contains(from) })
}

// Expired reports whether a rotated key's overlap is over.
func (k *APIKey) Expired(now time.Time) bool {
	return k.ExpiresAt != nil && !now.Before(*k.ExpiresAt)
}

// KeyRevoked is the JSON on KeyTopic: the key no longer opens anything, and
// with EndCalls the calls of its consultations end too. It may arrive more than
// once, on every node.
type KeyRevoked struct {
	KeyID    string `json:"key_id"`
	Scope    Scope  `json:"scope"`
	EndCalls bool   `json:"end_calls"`
}

// KeyTopic is the bus topic of a key's revocation (JSON KeyRevoked).
func KeyTopic(id string) string { return "key:" + id }

// Person is a doctor or patient, created on first use under the integrator's id.
type Person struct {
	ID        string
	Scope     Scope
	Role      Role // Doctor or Patient
	Name      string
	CreatedAt time.Time
}
