// Package waitingroom keeps the patients who wait for a doctor: their tickets,
// their order, how long they will probably wait, and their admission.
//
// The SQL store decides every transition under a row lock; a unique index over
// open tickets makes joining idempotent. The committed ticket is then applied
// to a live copy of the doctor's queue in Redis, from which places are read.
// The copy may vanish, or Redis be out of reach: it is rebuilt from SQL, or SQL
// is read instead. See live.go for how the two stay in step.
package waitingroom

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/chatmed/chatmed/internal/consult"
)

// Store keeps tickets. A write is one transaction of the rows, one audit entry
// and one outbox row per event. A missing row, or one of another scope, is
// NotFound.
type Store interface {
	// CreateTicket inserts t. An open ticket of the same scope, doctor and
	// patient is returned instead, with created false and nothing written.
	CreateTicket(ctx context.Context, t *consult.Ticket, ev []consult.Event) (got *consult.Ticket, created bool, err error)
	// UpdateTicket locks the ticket and its consultation, calls change, stores
	// both with the events and raises the ticket's Version. change returning no
	// event and no error stores nothing. change may be called more than once.
	UpdateTicket(ctx context.Context, sc consult.Scope, id string,
		change func(*consult.Ticket, *consult.Consultation) ([]consult.Event, error),
	) (*consult.Ticket, *consult.Consultation, error)
	Ticket(ctx context.Context, sc consult.Scope, id string) (*consult.Ticket, error)
	// TicketBySession returns the newest ticket of the session, open or not.
	TicketBySession(ctx context.Context, sc consult.Scope, sessionID string) (*consult.Ticket, error)
	// OpenTickets is the doctor's queue by Rank, then ID.
	OpenTickets(ctx context.Context, sc consult.Scope, doctorID string) ([]consult.Ticket, error)
	// AwayTickets lists tickets away since before or longer.
	AwayTickets(ctx context.Context, sc consult.Scope, before time.Time) ([]consult.Ticket, error)
	// ConsultationLengths is how long the doctor's ended consultations took,
	// from start to end, newest first.
	ConsultationLengths(ctx context.Context, sc consult.Scope, doctorID string, limit int) ([]time.Duration, error)

	DeskStore
	PresenceStore
}

// ScopeLister names every account and mode; Run sweeps them. A Store that does
// not implement it gets no sweeps.
type ScopeLister interface {
	Scopes(ctx context.Context) ([]consult.Scope, error)
}

// Consultations is what the waiting room needs of consult.Service.
type Consultations interface {
	Get(ctx context.Context, sc consult.Scope, id string) (*consult.Consultation, error)
	FindOrCreate(ctx context.Context, sc consult.Scope, actor consult.Actor, r consult.CreateRequest) (*consult.Consultation, error)
	EachUnfinished(ctx context.Context, fn func(*consult.Consultation) error) error
}

// Config tunes a Service; zero values take the defaults.
type Config struct {
	// Grace is how long a dropped patient keeps the place. Default 3 minutes.
	Grace time.Duration
	// SweepEvery is how often Run looks for outlived grace. Default 5 seconds.
	SweepEvery time.Duration
	// RecheckEvery bounds how long a queue in Redis is trusted before it is
	// compared with SQL again. Default 30 seconds.
	RecheckEvery time.Duration
	// Screen looks at each reason; nil: nothing is screened.
	Screen Screener
}

// Deadlines of one step.
const (
	sqlTimeout   = 10 * time.Second
	redisTimeout = time.Second
	// downTimeout is for telling the bus while Redis is down: it must hear of
	// the message, to have everyone read again later, but nobody waits for it.
	downTimeout = 100 * time.Millisecond
)

// Service is the waiting room. Safe for concurrent use.
type Service struct {
	store         Store
	bus           consult.Bus
	consultations Consultations
	now           consult.Clock
	cfg           Config
	log           *slog.Logger
	live          *live
	watches       *watches
	forecasts     *forecasts
	rebuilds      rebuilds
	ranks         ranks
	joins         turns
	attendance    attendance

	screens chan struct{}   // a token per screen under way
	closing context.Context // ends with Close
	stop    context.CancelFunc
	lates   sync.WaitGroup

	mu sync.Mutex
	// doubted queues may differ between Redis and SQL, because a ticket could
	// not be applied; the next use makes Redis reload them.
	doubted map[queue]struct{}
}

// New returns a waiting room over store and rdb. Close it after use.
func New(store Store, rdb redis.UniversalClient, bus consult.Bus, consultations Consultations,
	now consult.Clock, cfg Config, log *slog.Logger,
) *Service {
	if cfg.Grace <= 0 {
		cfg.Grace = 3 * time.Minute
	}
	if cfg.SweepEvery <= 0 {
		cfg.SweepEvery = 5 * time.Second
	}
	if cfg.RecheckEvery <= 0 {
		cfg.RecheckEvery = 30 * time.Second
	}
	s := &Service{
		store: store, bus: bus, consultations: consultations, now: now, cfg: cfg, log: log,
		live:      newLive(rdb, cfg.RecheckEvery),
		forecasts: newForecasts(),
		doubted:   make(map[queue]struct{}),
		screens:   make(chan struct{}, screensAtOnce),
	}
	s.closing, s.stop = context.WithCancel(context.Background())
	s.watches = newWatches(bus, s.doubt)
	return s
}

// Close ends every watch and waits for their callbacks, and for late screens
// that are being noted.
func (s *Service) Close() {
	s.stop()
	s.lates.Wait()
	s.watches.close()
}

// JoinRequest asks for a place. With a SessionID, DoctorID and PatientID may be
// empty; without one, the open consultation of the two is found or made.
type JoinRequest struct {
	DoctorID    string
	PatientID   string
	PatientName string // at most consult.MaxNameLength characters
	Reason      string // chief complaint, at most consult.MaxReasonLength characters
	Language    string // BCP 47
	SessionID   string
	Country     string // where the patient is, ISO 3166-1 alpha-2; "" is the consultation's

	found screening // what the reason was found to be
}

func (r *JoinRequest) validate() error {
	e := &consult.Error{Code: consult.ValidationError, Message: "Request body failed schema validation."}
	add := func(field, msg string) { e.Fields = append(e.Fields, consult.FieldError{Field: field, Message: msg}) }
	if !consult.ValidExternalID(r.DoctorID) && (r.DoctorID != "" || r.SessionID == "") {
		add("doctor_id", idRule)
	}
	if !consult.ValidExternalID(r.PatientID) && (r.PatientID != "" || r.SessionID == "") {
		add("patient_id", idRule)
	}
	r.PatientName = strings.TrimSpace(r.PatientName)
	if utf8.RuneCountInString(r.PatientName) > consult.MaxNameLength {
		add("patient_name", "is too long")
	}
	reason, err := cleanText("reason", r.Reason, 0, consult.MaxReasonLength)
	if err != nil {
		e.Fields = append(e.Fields, consult.AsError(err).Fields...)
	}
	r.Reason = reason
	if r.Country != "" && !consult.ValidCountry(r.Country) {
		add("country", "must be an ISO 3166-1 code of two capital letters")
	}
	if len(e.Fields) > 0 {
		return e
	}
	return nil
}
