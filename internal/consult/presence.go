package consult

import "time"

// Presence is what a doctor says of himself.
type Presence string

// The presences of a doctor.
const (
	Available Presence = "available"
	Busy      Presence = "busy"
	Away      Presence = "away"
)

// Valid reports whether p is one of the presences.
func (p Presence) Valid() bool { return p == Available || p == Busy || p == Away }

// DoctorPresence is a doctor's presence and whether the doctor can see it.
type DoctorPresence struct {
	DoctorID  string    `json:"doctor_id"`
	Presence  Presence  `json:"presence"`
	UpdatedAt time.Time `json:"updated_at"`
	// Online: a desk or a room page of that doctor is open.
	Online bool `json:"online"`
}
