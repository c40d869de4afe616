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
	"github.com/chatmed/chatmed/waitingroom"
)

// Consultations moves consultations through their states (consult.Service).
type Consultations interface {
	Create(ctx context.Context, sc consult.Scope, actor consult.Actor, r consult.CreateRequest) (*consult.Consultation, error)
	// Get cancels an expired waiting consultation before it returns it.
	Get(ctx context.Context, sc consult.Scope, id string) (*consult.Consultation, error)
	End(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, reason string) (*consult.Consultation, error)
	Cancel(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, reason string) (*consult.Consultation, error)
	// TokenIssued writes the audit entry of a room token, or refuses it for a
	// consultation that is over.
	TokenIssued(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, jti string, role consult.Role) (*consult.Consultation, error)
}

// WaitingRoom is the queue in front of each doctor (waitingroom.Service).
type WaitingRoom interface {
	Join(ctx context.Context, sc consult.Scope, actor consult.Actor, r waitingroom.JoinRequest) (*consult.QueuePlace, error)
	Get(ctx context.Context, sc consult.Scope, ticketID string) (*consult.QueuePlace, error)
	List(ctx context.Context, sc consult.Scope, doctorID string) ([]consult.QueuePlace, error)
	Admit(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID string) (*consult.QueuePlace, error)
	Leave(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID string) (*consult.QueuePlace, error)
}

// Participations tells who is and was in a consultation, by arrival.
type Participations interface {
	Participations(ctx context.Context, sc consult.Scope, sessionID string) ([]consult.Participation, error)
}

// Keys turns the secret of an X-API-Key header into its key (auth.Keys).
type Keys interface {
	Authenticate(ctx context.Context, secret string, from netip.Addr) (*consult.APIKey, error)
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

// Check is one dependency that /readyz asks. Name is its class, such as
// "store" or "redis"; Ping must honour its context.
type Check struct {
	Name string
	Ping func(ctx context.Context) error
}

// Config is what an operator can set.
type Config struct {
	// TrustedProxies are addresses or CIDR ranges whose X-Forwarded-For is
	// believed; empty believes nobody.
	TrustedProxies []string
	// AllowedOrigins are web origins, such as https://clinic.example, whose
	// pages may read answers (CORS); empty allows none.
	AllowedOrigins []string
	// RequestTimeout bounds one API request, its body included; 0 is 15 s.
	RequestTimeout time.Duration
}

// Deps is everything the API stands on.
type Deps struct {
	Config         Config
	Consultations  Consultations
	WaitingRoom    WaitingRoom
	Participations Participations
	Keys           Keys
	Tokens         Tokens
	Links          Links
	Checks         []Check
	// Signal serves /signal/v1; Web serves every path that is neither API nor
	// signalling. A nil one answers 404.
	Signal http.Handler
	Web    http.Handler

	Now      consult.Clock
	Log      *slog.Logger
	Registry prometheus.Registerer
}
