package consult

import "time"

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
	CreatedAt      time.Time
	LastUsedAt     *time.Time
	RevokedAt      *time.Time
}

// Person is a doctor or patient, created on first use under the integrator's id.
type Person struct {
	ID        string
	Scope     Scope
	Role      Role // Doctor or Patient
	Name      string
	CreatedAt time.Time
}
