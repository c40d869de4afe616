package consult

import (
	"encoding/json"
	"time"
)

// EventType names what happened, for the audit log, the outbox and the bus.
type EventType string

// Every event of the consultation and its waiting room.
const (
	EventConsultationCreated   EventType = "consultation.created"
	EventConsultationAdmitted  EventType = "consultation.admitted"
	EventConsultationStarted   EventType = "consultation.started"
	EventConsultationEnded     EventType = "consultation.ended"
	EventConsultationCancelled EventType = "consultation.cancelled"
	EventConsultationExtended  EventType = "consultation.extended"
	EventConsultationUpdated   EventType = "consultation.updated"
	EventParticipantJoined     EventType = "participant.joined"
	EventParticipantLeft       EventType = "participant.left"
	EventTicketQueued          EventType = "waiting_room.queued"
	EventTicketReady           EventType = "waiting_room.ready"
	EventTicketAway            EventType = "waiting_room.away"
	EventTicketAdmitted        EventType = "waiting_room.admitted"
	EventTicketLeft            EventType = "waiting_room.left"
	EventTicketDeclined        EventType = "waiting_room.declined"
	EventTicketTransferred     EventType = "waiting_room.transferred"
	EventTicketExpired         EventType = "waiting_room.expired"
	EventEmergencyDetected     EventType = "emergency.detected"
	EventTokenIssued           EventType = "token.issued"
	EventTokensRevoked         EventType = "tokens.revoked"
	EventKeyCreated            EventType = "key.created"
	EventKeyRevoked            EventType = "key.revoked"
	EventKeyRotated            EventType = "key.rotated"
	EventKeyUpdated            EventType = "key.updated"

	// These three stand in the audit log alone.
	EventPatientErased    EventType = "patient.erased"
	EventRetentionApplied EventType = "retention.applied"
	EventAuditSigned      EventType = "audit.signed"
)

// TicketEvent is the event of a ticket entering status s.
func TicketEvent(s TicketStatus) EventType { return EventType("waiting_room." + string(s)) }

// Event is a state change as it leaves the transaction that made it: one
// audit entry and one outbox row are written from it, with the row itself.
// Data holds ids, states and times only; no names and no complaints.
type Event struct {
	ID        string          `json:"id"`
	Type      EventType       `json:"type"`
	Scope     Scope           `json:"scope"`
	Actor     Actor           `json:"actor"`
	SessionID string          `json:"session_id,omitempty"`
	TicketID  string          `json:"ticket_id,omitempty"`
	DoctorID  string          `json:"doctor_id,omitempty"`
	At        time.Time       `json:"at"`
	Data      json.RawMessage `json:"data,omitempty"`
}

// ChatMessage is one message of the room's chat. Patient data: stored with the
// consultation, never logged.
type ChatMessage struct {
	ID            string
	Scope         Scope
	SessionID     string
	ParticipantID string
	Role          Role
	Name          string
	Text          string
	SentAt        time.Time
}
