package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
	"github.com/chatmed/chatmed/internal/store/pgtest"
)

// base is the time of every row that does not say otherwise.
var base = time.Date(2025, 1, 15, 10, 30, 0, 123456000, time.UTC)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// database is where a test's data is; open may be called several times.
type database struct {
	name, url, dir string
}

// eachDatabase runs the same test on an empty SQLite and an empty PostgreSQL.
func eachDatabase(t *testing.T, test func(t *testing.T, db database)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel() // with the other database; each has its own
		test(t, database{name: "sqlite", dir: t.TempDir()})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, database{name: "postgres", url: pgtest.Start(t)})
	})
}

func (d database) open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), d.url, d.dir, quiet())
	must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// eachStore runs the same test on both databases, with one scope that has a key.
func eachStore(t *testing.T, test func(t *testing.T, s *store.Store, sc consult.Scope)) {
	t.Helper()
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
		addKey(t, s, sc, "one")
		test(t, s, sc)
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantCode fails unless err is an *Error of that code.
func wantCode(t *testing.T, err error, code consult.Code) {
	t.Helper()
	if !consult.HasCode(err, code) {
		t.Fatalf("error is %v, want code %s", err, code)
	}
}

func event(sc consult.Scope, typ consult.EventType, sessionID string) consult.Event {
	return consult.Event{
		ID: consult.NewID(consult.PrefixEvent), Type: typ, Scope: sc,
		Actor:     consult.Actor{Kind: consult.ActorKey, ID: "key_one"},
		SessionID: sessionID, At: base, Data: []byte(`{"status":"waiting"}`),
	}
}

// addKey gives the scope a key named key_<name>, and makes its account.
func addKey(t *testing.T, s *store.Store, sc consult.Scope, name string) *consult.APIKey {
	t.Helper()
	k := &consult.APIKey{
		ID: "key_" + name, Scope: sc, UserID: "usr_" + name, ProfileID: "prof_" + name,
		Name: "Clinic " + name, Email: name + "@example.org", Plan: consult.PlanStarter, Prefix: "sk_live_" + name,
		Hash: []byte("hash of " + name), AllowedOrigins: []string{"https://clinic.example"}, CreatedAt: base,
	}
	acc := &consult.Account{ID: sc.AccountID, Name: "Account " + sc.AccountID, Email: "a@example.org", CreatedAt: base}
	must(t, s.CreateKey(t.Context(), acc, k, []consult.Event{event(sc, consult.EventKeyCreated, "")}))
	return k
}

func newConsultation(sc consult.Scope, doctorID, patientID string) *consult.Consultation {
	return &consult.Consultation{
		ID: consult.NewID(consult.PrefixConsultation), Scope: sc, KeyID: "key_one",
		DoctorID: doctorID, PatientID: patientID, DoctorName: "Dr. Ada", PatientName: "Pat",
		Language: "en", Status: consult.Waiting, CreatedAt: base, ExpiresAt: base.Add(consult.DefaultLifetime),
	}
}

func addConsultation(t testing.TB, s *store.Store, sc consult.Scope, doctorID, patientID string) *consult.Consultation {
	t.Helper()
	c := newConsultation(sc, doctorID, patientID)
	must(t, s.CreateConsultation(t.Context(), c, []consult.Event{event(sc, consult.EventConsultationCreated, c.ID)}))
	return c
}

func newTicket(c *consult.Consultation) *consult.Ticket {
	return &consult.Ticket{
		ID: consult.NewID(consult.PrefixTicket), Scope: c.Scope, SessionID: c.ID,
		DoctorID: c.DoctorID, PatientID: c.PatientID, PatientName: c.PatientName, Reason: "cough", Language: "en",
		Status: consult.TicketQueued, JoinedAt: base, UpdatedAt: base, Version: 1,
	}
}

func addTicket(t testing.TB, s *store.Store, c *consult.Consultation) *consult.Ticket {
	t.Helper()
	tk := newTicket(c)
	got, created, err := s.CreateTicket(t.Context(), tk, []consult.Event{event(c.Scope, consult.EventTicketQueued, c.ID)})
	must(t, err)
	if !created {
		t.Fatalf("ticket %s was there already", got.ID)
	}
	return got
}

func newParticipation(c *consult.Consultation, role consult.Role) *consult.Participation {
	return &consult.Participation{
		ID: consult.NewID(consult.PrefixParticipant), Scope: c.Scope, SessionID: c.ID,
		Role: role, Subject: "sub_" + string(role), Name: "Name", JoinedAt: base,
	}
}

func addParticipation(t *testing.T, s *store.Store, c *consult.Consultation, role consult.Role) *consult.Participation {
	t.Helper()
	p := newParticipation(c, role)
	must(t, s.JoinParticipation(t.Context(), p, []consult.Event{event(c.Scope, consult.EventParticipantJoined, c.ID)}))
	return p
}

// end moves the consultation to a final state through UpdateConsultation.
func end(ctx context.Context, s *store.Store, c *consult.Consultation, status consult.Status, reason string, at time.Time) (*consult.Consultation, error) {
	return s.UpdateConsultation(ctx, c.Scope, c.ID, func(c *consult.Consultation) ([]consult.Event, error) {
		c.Status, c.Reason, c.EndedAt = status, reason, &at
		c.TokenEpoch++
		e := event(c.Scope, consult.EventType("consultation."+string(status)), c.ID)
		e.At = at
		return []consult.Event{e}, nil
	})
}

// eventTypes lists the undelivered events of a session, in their order.
func eventTypes(t *testing.T, s *store.Store, sessionID string) []string {
	t.Helper()
	pending, err := s.PendingEvents(t.Context(), 100000)
	must(t, err)
	var out []string
	for _, p := range pending {
		if p.Event.SessionID == sessionID {
			out = append(out, string(p.Event.Type))
		}
	}
	return out
}

// counts is how much is written of a scope, in sequences that only grow.
func counts(t *testing.T, s *store.Store, sc consult.Scope) string {
	t.Helper()
	pending, err := s.PendingEvents(t.Context(), 100000)
	must(t, err)
	n := 0
	for _, p := range pending {
		if p.Event.Scope == sc {
			n++
		}
	}
	var audit int
	sessions := map[string]bool{"": true}
	for _, p := range pending {
		sessions[p.Event.SessionID] = true
	}
	for id := range sessions {
		entries, err := s.Audit(t.Context(), sc, id)
		must(t, err)
		audit += len(entries)
	}
	return fmt.Sprintf("%d outbox, %d audit", n, audit)
}
