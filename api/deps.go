package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/limits"
	"github.com/chatmed/chatmed/waitingroom"
)

// Consultations moves consultations through their states (consult.Service).
type Consultations interface {
	Create(ctx context.Context, sc consult.Scope, actor consult.Actor, r consult.CreateRequest) (*consult.Consultation, error)
	// Get cancels an expired waiting consultation before it returns it.
	Get(ctx context.Context, sc consult.Scope, id string) (*consult.Consultation, error)
	End(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, reason string) (*consult.Consultation, error)
	Cancel(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, reason string) (*consult.Consultation, error)
	// List is a page, newest first.
	List(ctx context.Context, sc consult.Scope, f consult.ConsultationFilter, p consult.Page) ([]consult.Consultation, string, error)
	// TokenIssued writes the audit entry of a room token, or refuses it for a
	// consultation that is over.
	TokenIssued(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, jti string, role consult.Role) (*consult.Consultation, error)
}

// Sessions changes what a consultation has beside its state (consult.Service).
type Sessions interface {
	Extend(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, until time.Time) (*consult.Consultation, error)
	// SetMetadata merges m; "" takes a name away.
	SetMetadata(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, m map[string]string) (*consult.Consultation, error)
}

// Room acts on the people in a consultation, on whatever node (signaling.Server).
type Room interface {
	Eject(ctx context.Context, sc consult.Scope, sessionID, participantID string, actor consult.Actor) error
}

// WaitingRoom is the queue in front of each doctor (waitingroom.Service).
type WaitingRoom interface {
	Join(ctx context.Context, sc consult.Scope, actor consult.Actor, r waitingroom.JoinRequest) (*consult.QueuePlace, error)
	Get(ctx context.Context, sc consult.Scope, ticketID string) (*consult.QueuePlace, error)
	List(ctx context.Context, sc consult.Scope, doctorID string) ([]consult.QueuePlace, error)
	Admit(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID string) (*consult.QueuePlace, error)
	Leave(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID string) (*consult.QueuePlace, error)
}

// Desk is what a doctor does with the queue (waitingroom.Service).
type Desk interface {
	Message(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID, text string) (*consult.QueuePlace, error)
	// MessageAll tells everyone in the doctor's queue and returns how many.
	MessageAll(ctx context.Context, sc consult.Scope, actor consult.Actor, doctorID, text string) (int, error)
	// Move puts a ticket at a position, counted from 1.
	Move(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID string, position int) (*consult.QueuePlace, error)
	SendBack(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID string) (*consult.QueuePlace, error)
	Transfer(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID, doctorID, doctorName string) (*consult.QueuePlace, error)
	Decline(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID, reason string) (*consult.QueuePlace, error)
}

// Presence is what doctors say of themselves (waitingroom.Service).
type Presence interface {
	Presence(ctx context.Context, sc consult.Scope, doctorID string) (consult.DoctorPresence, error)
	SetPresence(ctx context.Context, sc consult.Scope, actor consult.Actor, doctorID string, p consult.Presence) (consult.DoctorPresence, error)
}

// Tickets lists tickets, open and closed, newest first (the store).
type Tickets interface {
	Tickets(ctx context.Context, sc consult.Scope, f consult.TicketFilter, p consult.Page) ([]consult.Ticket, string, error)
}

// AuditEntry is a link of an account's audit chain.
type AuditEntry struct {
	Seq   int64 // counts from 1 in the account and mode
	Event consult.Event
	Hash  string // SHA-256 of the entry and the hash before it, hexadecimal
}

// Audit reads the audit log of a consultation, oldest entry first (the store).
type Audit interface {
	Audit(ctx context.Context, sc consult.Scope, sessionID string) ([]AuditEntry, error)
}

// Patients exports and erases everything about a patient (the store). Both
// results are JSON objects.
type Patients interface {
	ExportPatient(ctx context.Context, sc consult.Scope, patientID string) (any, error)
	ErasePatient(ctx context.Context, sc consult.Scope, patientID string, actor consult.Actor) (any, error)
}

// Idempotency keeps answers by Idempotency-Key (the store).
type Idempotency interface {
	// BeginIdempotent inserts rec and returns nil, or returns the record that is
	// there. A record that is not done and whose lease is over is taken over.
	BeginIdempotent(ctx context.Context, rec consult.IdempotencyRecord) (existing *consult.IdempotencyRecord, err error)
	FinishIdempotent(ctx context.Context, sc consult.Scope, key, owner string, status int, body []byte) error
	AbandonIdempotent(ctx context.Context, sc consult.Scope, key, owner string) error
}

// Limits holds keys to their plan (limits.Limiter).
type Limits interface {
	Plan(name string) (limits.Plan, bool)
	Acquire(ctx context.Context, keyID, plan string) (limits.Permit, limits.Decision, error)
	// Failed reports whether an address may still try keys.
	Failed(ctx context.Context, from netip.Addr) (allowed bool, retryAfter time.Duration)
	// NoteFailure counts a wrong key and returns how long the address now waits.
	NoteFailure(ctx context.Context, from netip.Addr) time.Duration
}

// Participations tells who is and was in a consultation, by arrival.
type Participations interface {
	Participations(ctx context.Context, sc consult.Scope, sessionID string) ([]consult.Participation, error)
}

// Keys turns the secret of an X-API-Key header into its key (auth.Keys).
type Keys interface {
	Authenticate(ctx context.Context, secret string, from netip.Addr) (*consult.APIKey, error)
}

// AllKeys lists the keys of every account (auth.Keys), for the origins they
// allow; it answers to nobody.
type AllKeys interface {
	List(ctx context.Context) ([]consult.APIKey, error)
}

// KeyAdmin manages the keys of an account (auth.Keys).
type KeyAdmin interface {
	KeyByID(ctx context.Context, sc consult.Scope, id string) (*consult.APIKey, error)
	// ListScope is a page of the account's keys in both modes, newest first.
	ListScope(ctx context.Context, accountID string, p consult.Page) ([]consult.APIKey, string, error)
	Create(ctx context.Context, r auth.CreateKeyRequest) (secret string, key *consult.APIKey, err error)
	Update(ctx context.Context, accountID, id string, actor consult.Actor, p auth.KeyPatch) (*consult.APIKey, error)
	Rotate(ctx context.Context, accountID, id string, overlap time.Duration, actor consult.Actor) (secret string, key *consult.APIKey, err error)
	RevokeIn(ctx context.Context, accountID, id string, actor consult.Actor, endCalls bool) (*consult.APIKey, error)
}

// Tokens signs room and dashboard tokens (auth.Tokens).
type Tokens interface {
	Issue(c auth.Claims) (string, error)
}

// Links makes the URLs that carry a token in their fragment (auth.Links).
type Links interface {
	Room(sessionID, token string) string
	Join(sessionID string, role consult.Role, token string) string
	Dashboard(token string) string
}

// Config is what an operator can set.
type Config struct {
	// TrustedProxies are addresses or CIDR ranges whose X-Forwarded-For is
	// believed; empty believes nobody.
	TrustedProxies []string
	// AllowedOrigins are web origins, such as https://clinic.example, whose
	// pages may read answers (CORS) beside those of keys.
	AllowedOrigins []string
	// RequestTimeout bounds one API request, its body included; 0 is 15 s.
	RequestTimeout time.Duration
	// Country is where patients are who do not say so, ISO 3166-1 alpha-2; ""
	// shows them numbers that work in most places.
	Country string
	// PublicURL is the origin of the API, which links begin with.
	PublicURL string
	// LinkKeys sign links to files, the current one first: 32 bytes each. Without
	// any, links last as long as the process.
	LinkKeys [][]byte
	// SealKeys protect stored answers and cursors: 32 bytes each, the current
	// one first. Without any, they last as long as the process.
	SealKeys [][]byte
}

// Deps is everything the API stands on.
type Deps struct {
	Config         Config
	Consultations  Consultations
	Sessions       Sessions
	Room           Room
	WaitingRoom    WaitingRoom
	Desk           Desk
	Presence       Presence
	Tickets        Tickets
	Participations Participations
	Quality        Quality
	Patients       Patients
	Audit          Audit
	Idempotency    Idempotency
	Limits         Limits
	Keys           Keys
	KeyAdmin       KeyAdmin
	AllKeys        AllKeys // nil: pages of no key's origins may call
	Tokens         Tokens
	Links          Links
	Emergency      Emergency
	Hospitals      Hospitals // nil: no hospital is named
	Profiles       Profiles  // nil: there are none
	Events         Events
	Consents       Consents
	Chat           Chat
	ChatModel      ChatModel // nil: no text leaves the machine
	ChatSessions   ChatSessions

	Recordings        Recordings
	Recorder          Recorder
	RecordingFiles    RecordingFiles
	Composer          Composer   // nil: nothing is composed
	RoomTokens        RoomTokens // nil: only keys count
	RecordingSettings RecordingSettings
	RecordingKeys     RecordingKeys
	// Monitor asks the dependencies; nil is one without any.
	Monitor *Monitor
	// Signal serves /signal/v1; Web serves every path that is neither API nor
	// signalling. A nil one answers 404.
	Signal http.Handler
	Web    http.Handler

	Now      consult.Clock
	Log      *slog.Logger
	Registry prometheus.Registerer
}
