package signaling

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording"
	"github.com/chatmed/chatmed/waitingroom"
)

// Store keeps who was there and what was said.
type Store interface {
	// JoinParticipation inserts p, or clears its left_at when the id exists.
	JoinParticipation(ctx context.Context, p *consult.Participation, ev []consult.Event) error
	LeaveParticipation(ctx context.Context, sc consult.Scope, id string, at time.Time, ev []consult.Event) error
	// Participations lists a session's, by joined_at.
	Participations(ctx context.Context, sc consult.Scope, sessionID string) ([]consult.Participation, error)
	// AddQuality adds a stay to the summary of a participation.
	AddQuality(ctx context.Context, sc consult.Scope, participationID string, q consult.QualitySummary) error
	AppendChat(ctx context.Context, m *consult.ChatMessage) error
	// Chat returns the newest limit messages, oldest first.
	Chat(ctx context.Context, sc consult.Scope, sessionID string, limit int) ([]consult.ChatMessage, error)

	Access
}

// Consultations is the part of consult.Service that signalling drives.
type Consultations interface {
	Get(ctx context.Context, sc consult.Scope, id string) (*consult.Consultation, error)
	Activate(ctx context.Context, sc consult.Scope, id string, actor consult.Actor) (*consult.Consultation, error)
	End(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, reason string) (*consult.Consultation, error)
	Cancel(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, reason string) (*consult.Consultation, error)
	EachUnfinished(ctx context.Context, fn func(*consult.Consultation) error) error
}

// Tickets is a patient's side of the waiting room.
type Tickets interface {
	Join(ctx context.Context, sc consult.Scope, actor consult.Actor, r waitingroom.JoinRequest) (*consult.QueuePlace, error)
	ForSession(ctx context.Context, sc consult.Scope, sessionID string) (*consult.QueuePlace, error)
	Present(ctx context.Context, sc consult.Scope, ticketID string) (*consult.QueuePlace, error)
	Away(ctx context.Context, sc consult.Scope, ticketID string) (*consult.QueuePlace, error)
	Leave(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID string) (*consult.QueuePlace, error)
	// Amend replaces the reason of an open ticket and screens it.
	Amend(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID, reason string) (*consult.QueuePlace, error)
}

// Queue is a doctor's side of the waiting room.
type Queue interface {
	List(ctx context.Context, sc consult.Scope, doctorID string) ([]consult.QueuePlace, error)
	Admit(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID string) (*consult.QueuePlace, error)
	// NotifiedDoctor notes that the doctor has been shown the ticket.
	NotifiedDoctor(ctx context.Context, sc consult.Scope, ticketID string) error
	// Watch calls fn, which must not block, when the doctor's queue changed.
	Watch(sc consult.Scope, doctorID string, fn func()) (unwatch func())
	Get(ctx context.Context, sc consult.Scope, ticketID string) (*consult.QueuePlace, error)
	// Admitted are the doctor's tickets whose call has not begun.
	Admitted(ctx context.Context, sc consult.Scope, doctorID string) ([]consult.Ticket, error)

	Desk
	Notes
	Presence
}

// Desk is what a doctor does with the queue.
type Desk interface {
	Message(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID, text string) (*consult.QueuePlace, error)
	MessageAll(ctx context.Context, sc consult.Scope, actor consult.Actor, doctorID, text string) (int, error)
	Move(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID string, position int) (*consult.QueuePlace, error)
	SendBack(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID string) (*consult.QueuePlace, error)
	Transfer(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID, doctorID, doctorName string) (*consult.QueuePlace, error)
	Decline(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID, reason string) (*consult.QueuePlace, error)
}

// Notes are what the doctor wrote to a patient who waits.
type Notes interface {
	Messages(ctx context.Context, sc consult.Scope, sessionID string) ([]consult.ChatMessage, error)
	DeclineReason(ctx context.Context, sc consult.Scope, sessionID string) (string, error)
}

// Presence is whether the doctor is there.
type Presence interface {
	Presence(ctx context.Context, sc consult.Scope, doctorID string) (consult.DoctorPresence, error)
	SetPresence(ctx context.Context, sc consult.Scope, actor consult.Actor, doctorID string, p consult.Presence) (consult.DoctorPresence, error)
	// Attend notes that a page of the doctor is open here until leave is called.
	Attend(ctx context.Context, sc consult.Scope, doctorID string) (leave func())
}

// Recordings is the recording of consultations, and what people say to it.
type Recordings interface {
	// Attach makes the room known, before anybody enters; changed, which must not
	// block, is called when State has changed.
	Attach(sc consult.Scope, sessionID string, changed func()) (detach func())
	// Sync tells what the consultation is now, its end too.
	Sync(ctx context.Context, c *consult.Consultation)
	State(sessionID, participantID string) recording.View
	// Start and Stop are the doctor's.
	Start(ctx context.Context, sc consult.Scope, sessionID string, actor consult.Actor) (*consult.Recording, error)
	Stop(ctx context.Context, sc consult.Scope, sessionID string, actor consult.Actor) error

	Presences
}

// Presences are who may be heard and seen in a recording.
type Presences interface {
	// Enter comes before somebody has media: unless they have granted, nothing is
	// recorded any more when it returns.
	Enter(ctx context.Context, c *consult.Consultation, p recording.Person)
	// Leave comes when their media is gone.
	Leave(sessionID, participantID string)
	// Decide is what they say. A withdrawal is in force when it returns, whatever
	// it returns.
	Decide(ctx context.Context, sessionID, participantID string, d recording.Decision) error
}

// Tokens checks room and dashboard tokens, and issues the doctor's own when
// they admit from the dashboard.
type Tokens interface {
	Verify(ctx context.Context, raw string) (*auth.Claims, error)
	// Read checks signature and times only, to tell the holder of a token that
	// was revoked with its consultation what became of it.
	Read(raw string) (*auth.Claims, error)
	Issue(c auth.Claims) (string, error)
}

// Links writes the URLs people open.
type Links interface {
	Join(sessionID string, role consult.Role, token string) string
}

// Bus is consult.Bus.
type Bus interface {
	Publish(ctx context.Context, topic string, payload []byte) error
	Subscribe(topic string, fn func(payload []byte)) (unsubscribe func())
	OnReconnect(fn func()) (cancel func())
}

// Clock gives the time of day and runs grace periods; tests drive their own.
// The deadlines of sockets are real time.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f, which must not block, after d, unless stopped before.
	AfterFunc(d time.Duration, f func()) (stop func())
}

// SystemClock is the machine's clock.
type SystemClock struct{}

// Now returns the time of day.
func (SystemClock) Now() time.Time { return time.Now() }

// AfterFunc calls f after d, unless stopped before.
func (SystemClock) AfterFunc(d time.Duration, f func()) (stop func()) {
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}

// Deps is everything a Server works with. Each is required.
type Deps struct {
	Tokens        Tokens
	Links         Links
	Consultations Consultations
	Tickets       Tickets
	Queue         Queue
	Emergencies   Emergencies
	Recordings    Recordings
	Store         Store
	Media         Media
	Bus           Bus
	Clock         Clock
	Log           *slog.Logger
	Metrics       prometheus.Registerer
}
