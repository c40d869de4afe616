package consult

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"time"
)

// Store keeps consultations. A write is one transaction of the row, one audit
// entry and one outbox row per event; it either happens whole or not at all.
// A missing row, or one of another scope, is a NotFound *Error.
type Store interface {
	// CreateConsultation inserts c and, on first use, its doctor and patient.
	CreateConsultation(ctx context.Context, c *Consultation, events []Event) error
	Consultation(ctx context.Context, s Scope, id string) (*Consultation, error)
	// UpdateConsultation locks the row, calls change, and stores the result with
	// its events. change returning no event and no error stores nothing. When
	// the new status is final, open tickets and participations of the session
	// are closed in the same transaction (tickets as left, or expired, declined
	// or admitted as the reason says).
	UpdateConsultation(ctx context.Context, s Scope, id string, change func(*Consultation) ([]Event, error)) (*Consultation, error)
	// FindOrCreateConsultation returns the newest waiting or active consultation
	// of c's doctor and patient that has not expired at now, or inserts c. Of
	// callers at the same time, on any node, one creates and the others find.
	FindOrCreateConsultation(ctx context.Context, c *Consultation, now time.Time, events []Event) (got *Consultation, created bool, err error)
	// Consultations is a page, newest first, and the cursor of the next one.
	Consultations(ctx context.Context, s Scope, f ConsultationFilter, p Page) ([]Consultation, string, error)
	// UnfinishedConsultations lists waiting and active ones, oldest first.
	UnfinishedConsultations(ctx context.Context, s Scope, after string, limit int) ([]Consultation, error)
	Scopes(ctx context.Context) ([]Scope, error)
}

// Bus carries small messages between this server's nodes. Delivery is at most
// once; a subscriber that must not miss anything reads the store again on
// OnReconnect.
type Bus interface {
	Publish(ctx context.Context, topic string, payload []byte) error
	// Subscribe calls fn for each message, one at a time; fn must not block.
	Subscribe(topic string, fn func(payload []byte)) (unsubscribe func())
	// OnReconnect calls fn after a lost connection has come back.
	OnReconnect(fn func()) (cancel func())
}

// SessionTopic is the bus topic of a consultation's events (JSON Event).
func SessionTopic(id string) string { return "session:" + id }

// QueueTopic is the bus topic that says "this doctor's queue changed".
func QueueTopic(s Scope, doctorID string) string {
	return "queue:" + s.AccountID + ":" + string(s.Mode) + ":" + doctorID
}

// Service moves consultations through their states. Safe for concurrent use.
type Service struct {
	store Store
	bus   Bus
	now   Clock
	log   *slog.Logger

	// closed hears of each consultation that this node ended or cancelled.
	closed func(ctx context.Context, s Scope, id string) error
}

// OnClosed has fn called after each End and Cancel that took effect, before
// they return: the waiting room then forgets the ticket. Set before use.
func (s *Service) OnClosed(fn func(ctx context.Context, s Scope, id string) error) { s.closed = fn }

// NewService returns a Service over store that announces changes on bus.
func NewService(store Store, bus Bus, now Clock, log *slog.Logger) *Service {
	return &Service{store: store, bus: bus, now: now, log: log}
}

// CreateRequest is what POST /consultations/video/create carries, validated.
type CreateRequest struct {
	DoctorID, PatientID     string
	DoctorName, PatientName string
	Language                string
	Country                 string // of the patient, ISO 3166-1 alpha-2, or ""
	ScheduledAt             *time.Time
	EnableRecording         bool
	KeyID                   string
	Metadata                map[string]string // at most 50 entries
}

// Create makes a waiting consultation.
func (s *Service) Create(ctx context.Context, sc Scope, actor Actor, r CreateRequest) (*Consultation, error) {
	c, ev, err := s.prepare(sc, actor, r)
	if err != nil {
		return nil, err
	}
	if err := s.store.CreateConsultation(ctx, c, []Event{ev}); err != nil {
		return nil, err
	}
	s.announce(ctx, ev)
	return c, nil
}

// prepare is the consultation that r describes, with the event of its creation.
func (s *Service) prepare(sc Scope, actor Actor, r CreateRequest) (*Consultation, Event, error) {
	now := s.now().UTC()
	if err := r.validate(now); err != nil {
		return nil, Event{}, err
	}
	c := &Consultation{
		ID: NewID(PrefixConsultation), Scope: sc, KeyID: r.KeyID,
		DoctorID: r.DoctorID, PatientID: r.PatientID,
		DoctorName: r.DoctorName, PatientName: r.PatientName,
		Language: r.Language, Country: r.Country, EnableRecording: r.EnableRecording, Metadata: r.Metadata,
		Status: Waiting, CreatedAt: now, ScheduledAt: r.ScheduledAt,
	}
	if c.Language == "" {
		c.Language = DefaultLanguage
	}
	c.ExpiresAt = c.StartTime().Add(DefaultLifetime)
	return c, s.event(c, EventConsultationCreated, actor, now), nil
}

func (r *CreateRequest) validate(now time.Time) error {
	e := &Error{Code: ValidationError, Message: "Request body failed schema validation."}
	add := func(field, msg string) { e.Fields = append(e.Fields, FieldError{field, msg}) }
	if !ValidExternalID(r.DoctorID) {
		add("doctor_id", "must be 1 to 128 letters, digits or _-.:@+=~")
	}
	if !ValidExternalID(r.PatientID) {
		add("patient_id", "must be 1 to 128 letters, digits or _-.:@+=~")
	}
	if r.ScheduledAt != nil {
		t := r.ScheduledAt.UTC()
		r.ScheduledAt = &t
		if t.Before(now.Add(-time.Minute)) {
			add("scheduled_at", "must not be in the past")
		} else if t.After(now.Add(MaxScheduleAhead)) {
			add("scheduled_at", "must be within one year")
		}
	}
	if r.Country != "" && !ValidCountry(r.Country) {
		add("country", "must be an ISO 3166-1 code of two capital letters")
	}
	m, fields := mergeMetadata(nil, r.Metadata)
	e.Fields = append(e.Fields, fields...)
	if len(e.Fields) > 0 {
		return e
	}
	r.Metadata = m
	r.DoctorName, r.PatientName = strings.TrimSpace(r.DoctorName), strings.TrimSpace(r.PatientName)
	return nil
}

// Get returns the consultation, cancelling it first if its time has passed.
func (s *Service) Get(ctx context.Context, sc Scope, id string) (*Consultation, error) {
	c, err := s.store.Consultation(ctx, sc, id)
	if err != nil || !c.Expired(s.now()) {
		return c, err
	}
	return s.Cancel(ctx, sc, id, System, CancelledByExpiry)
}

// FindOrCreate returns the open consultation of a doctor and a patient, or a new
// one. Of calls at the same time, on any node, one creates it and all return it.
func (s *Service) FindOrCreate(ctx context.Context, sc Scope, actor Actor, r CreateRequest) (*Consultation, error) {
	c, ev, err := s.prepare(sc, actor, r)
	if err != nil {
		return nil, err
	}
	got, created, err := s.store.FindOrCreateConsultation(ctx, c, s.now(), []Event{ev})
	if created {
		s.announce(ctx, ev)
	}
	return got, err
}

// List is a page of consultations, newest first, and the cursor of the next
// page, "" at the end. One whose time has passed may still be listed as waiting
// for as long as a sweep takes to come by.
func (s *Service) List(ctx context.Context, sc Scope, f ConsultationFilter, p Page) (items []Consultation, next string, err error) {
	return s.store.Consultations(ctx, sc, f, p)
}

// Activate is waiting → active, once the admitted patient and the doctor are connected.
func (s *Service) Activate(ctx context.Context, sc Scope, id string, actor Actor) (*Consultation, error) {
	return s.change(ctx, sc, id, EventConsultationStarted, actor, func(c *Consultation, now time.Time) (bool, error) {
		return c.Activate(now)
	})
}

// End is active → ended. Every room token of the session is revoked with it.
func (s *Service) End(ctx context.Context, sc Scope, id string, actor Actor, reason string) (*Consultation, error) {
	return s.change(ctx, sc, id, EventConsultationEnded, actor, func(c *Consultation, now time.Time) (bool, error) {
		changed, err := c.End(now, reason)
		if changed {
			c.TokenEpoch++
		}
		return changed, err
	})
}

// Cancel is waiting → cancelled. Every room token of the session is revoked with it.
func (s *Service) Cancel(ctx context.Context, sc Scope, id string, actor Actor, reason string) (*Consultation, error) {
	return s.change(ctx, sc, id, EventConsultationCancelled, actor, func(c *Consultation, now time.Time) (bool, error) {
		changed, err := c.Cancel(now, reason)
		if changed {
			c.TokenEpoch++
		}
		return changed, err
	})
}

func (s *Service) change(ctx context.Context, sc Scope, id string, typ EventType, actor Actor,
	apply func(*Consultation, time.Time) (bool, error),
) (*Consultation, error) {
	var ev []Event
	c, err := s.store.UpdateConsultation(ctx, sc, id, func(c *Consultation) ([]Event, error) {
		now := s.now().UTC()
		ev = nil // the store may call again after a serialisation failure
		changed, err := apply(c, now)
		if err != nil || !changed {
			return nil, err
		}
		ev = []Event{s.event(c, typ, actor, now)}
		return ev, nil
	})
	if err != nil {
		return nil, err
	}
	for _, e := range ev {
		s.announce(ctx, e)
	}
	if len(ev) > 0 && c.Status.Final() && s.closed != nil {
		// The store has closed the ticket already; only its shadow may linger.
		if err := s.closed(ctx, sc, id); err != nil {
			s.log.Warn("queue not brought up to date", "session", id, "err", err)
		}
	}
	return c, nil
}

func (s *Service) event(c *Consultation, typ EventType, actor Actor, at time.Time) Event {
	data, err := json.Marshal(map[string]any{"status": c.Status, "reason": c.Reason, "patient_id": c.PatientID})
	if err != nil { // strings always marshal
		data = nil
	}
	return Event{
		ID: NewID(PrefixEvent), Type: typ, Scope: c.Scope, Actor: actor,
		SessionID: c.ID, DoctorID: c.DoctorID, At: at, Data: data,
	}
}

// announce tells the nodes. The store already holds the truth, so a failure is
// only logged: subscribers read again when the bus returns.
func (s *Service) announce(ctx context.Context, e Event) {
	b, err := json.Marshal(e)
	if err == nil {
		err = s.bus.Publish(ctx, SessionTopic(e.SessionID), b)
	}
	if err == nil && (e.Type == EventConsultationEnded || e.Type == EventConsultationCancelled) {
		err = s.bus.Publish(ctx, QueueTopic(e.Scope, e.DoctorID), []byte(e.SessionID))
	}
	if err != nil {
		s.log.Warn("event not announced", "event", e.ID, "type", e.Type, "err", err)
	}
}

// sweepPage is how many rows one sweep query reads.
const sweepPage = 200

// Sweep cancels every waiting consultation whose time has passed, in all scopes.
func (s *Service) Sweep(ctx context.Context) error {
	return s.EachUnfinished(ctx, func(c *Consultation) error {
		if !c.Expired(s.now()) {
			return nil
		}
		_, err := s.Cancel(ctx, c.Scope, c.ID, System, CancelledByExpiry)
		if HasCode(err, Conflict) { // started meanwhile
			return nil
		}
		return err
	})
}

// EachUnfinished calls fn for every waiting or active consultation of every scope.
func (s *Service) EachUnfinished(ctx context.Context, fn func(*Consultation) error) error {
	scopes, err := s.store.Scopes(ctx)
	if err != nil {
		return err
	}
	for _, sc := range scopes {
		for after := ""; ; {
			page, err := s.store.UnfinishedConsultations(ctx, sc, after, sweepPage)
			if err != nil {
				return err
			}
			for i := range page {
				if err := fn(&page[i]); err != nil {
					return err
				}
				after = page[i].ID
			}
			if len(page) < sweepPage {
				break
			}
		}
	}
	return nil
}

// Run sweeps until ctx ends.
func (s *Service) Run(ctx context.Context, every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			c, cancel := context.WithTimeout(ctx, 30*time.Second)
			if err := s.Sweep(c); err != nil && ctx.Err() == nil {
				s.log.Error("sweep", "err", err)
			}
			cancel()
		}
	}
}
