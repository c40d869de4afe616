package consult

import "time"

// Status is the documented state of a consultation.
type Status string

// waiting → active → ended, waiting → cancelled.
const (
	Waiting   Status = "waiting"
	Active    Status = "active"
	Ended     Status = "ended"
	Cancelled Status = "cancelled"
)

// Final reports whether no transition leaves s.
func (s Status) Final() bool { return s == Ended || s == Cancelled }

// Reasons for a final state.
const (
	CancelledByCaller   = "cancelled"
	CancelledByExpiry   = "expired"
	CancelledByDecline  = "declined"
	EndedByDoctor       = "doctor"
	EndedByAPI          = "api"
	EndedByAbsence      = "nobody_present"
	DefaultLifetime     = 90 * time.Minute
	OpensBefore         = 15 * time.Minute
	MaxScheduleAhead    = 366 * 24 * time.Hour
	DefaultLanguage     = "en"
	MaxNameLength       = 120
	MaxReasonLength     = 2000
	MaxChatLength       = 4000
	MaxChatHistory      = 200
	TokenLifeAfterClose = 12 * time.Hour
)

// Consultation is one video session between a doctor and a patient.
type Consultation struct {
	ID    string
	Scope Scope
	// KeyID is the API key that created it, for audit.
	KeyID           string
	DoctorID        string
	PatientID       string
	DoctorName      string
	PatientName     string
	Language        string // BCP 47
	Country         string // where the patient is, ISO 3166-1 alpha-2, or ""
	EnableRecording bool
	Status          Status
	// Reason says why it is ended or cancelled; empty before.
	Reason string
	// Metadata is the integrator's own, at most 50 entries; nil when there is
	// none. Never change the map of a consultation that was read: replace it.
	Metadata map[string]string
	// TokenEpoch is raised to revoke every room token issued before.
	TokenEpoch  int
	CreatedAt   time.Time
	ScheduledAt *time.Time
	AdmittedAt  *time.Time
	StartedAt   *time.Time
	EndedAt     *time.Time
	ExpiresAt   time.Time
}

// StartTime is when it is meant to start: its schedule, or its creation.
func (c *Consultation) StartTime() time.Time {
	if c.ScheduledAt != nil {
		return *c.ScheduledAt
	}
	return c.CreatedAt
}

// OpensAt is when the room lets its first visitor in.
func (c *Consultation) OpensAt() time.Time {
	if c.ScheduledAt == nil {
		return c.CreatedAt
	}
	return c.ScheduledAt.Add(-OpensBefore)
}

// Admit notes that the doctor has let the patient in. Admitting twice keeps
// the first time.
func (c *Consultation) Admit(now time.Time) error {
	if c.Status.Final() {
		return c.finalError()
	}
	if c.AdmittedAt == nil {
		c.AdmittedAt = &now
	}
	return nil
}

// SendBack undoes Admit while the call has not begun.
func (c *Consultation) SendBack() error {
	if c.Status != Waiting {
		return Errorf(Conflict, ReasonNotWaiting, "The consultation has already started.")
	}
	c.AdmittedAt = nil
	return nil
}

// Activate is waiting → active: admitted, and both connected. It reports
// whether anything changed; an active consultation stays active.
func (c *Consultation) Activate(now time.Time) (bool, error) {
	switch {
	case c.Status.Final():
		return false, c.finalError()
	case c.Status == Active:
		return false, nil
	case c.AdmittedAt == nil:
		return false, Errorf(Conflict, ReasonNotWaiting, "The patient has not been admitted.")
	}
	c.Status, c.StartedAt = Active, &now
	return true, nil
}

// End is active → ended. Ending an ended consultation changes nothing.
func (c *Consultation) End(now time.Time, reason string) (bool, error) {
	switch c.Status {
	case Ended:
		return false, nil
	case Active:
		c.Status, c.Reason, c.EndedAt = Ended, reason, &now
		return true, nil
	case Waiting:
		return false, Errorf(Conflict, ReasonNotActive, "The consultation has not started; cancel it instead.")
	}
	return false, c.finalError()
}

// Cancel is waiting → cancelled. Cancelling a cancelled consultation changes nothing.
func (c *Consultation) Cancel(now time.Time, reason string) (bool, error) {
	switch c.Status {
	case Cancelled:
		return false, nil
	case Waiting:
		c.Status, c.Reason, c.EndedAt = Cancelled, reason, &now
		return true, nil
	case Active:
		return false, Errorf(Conflict, ReasonNotWaiting, "The consultation is active; end it instead.")
	}
	return false, c.finalError()
}

// Expired reports whether a waiting consultation has outlived its time. An
// active one never expires.
func (c *Consultation) Expired(now time.Time) bool {
	return c.Status == Waiting && !now.Before(c.ExpiresAt)
}

func (c *Consultation) finalError() *Error {
	if c.Status == Cancelled {
		return Errorf(Conflict, ReasonCancelled, "The consultation was cancelled.")
	}
	return Errorf(Conflict, ReasonEnded, "The consultation has ended.")
}

// Participation is one person's stay in a consultation.
type Participation struct {
	ID        string
	Scope     Scope
	SessionID string
	Role      Role
	// Subject is the doctor's or patient's id, or a generated one.
	Subject  string
	Name     string
	JoinedAt time.Time
	LeftAt   *time.Time
}
