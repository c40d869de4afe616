package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

// queueOf makes n tickets of one doctor, ranks 10, 20, …
func queueOf(t *testing.T, s *store.Store, sc consult.Scope, n int) []*consult.Ticket {
	t.Helper()
	var out []*consult.Ticket
	for i := range n {
		tk := newTicket(addConsultation(t, s, sc, "doc", "pat"+string(rune('a'+i))))
		tk.Rank = int64(10 * (i + 1))
		got, _, err := s.CreateTicket(t.Context(), tk, []consult.Event{event(sc, consult.EventTicketQueued, tk.SessionID)})
		must(t, err)
		out = append(out, got)
	}
	return out
}

func orderOf(t *testing.T, s *store.Store, sc consult.Scope, doctorID string) []string {
	t.Helper()
	open, err := s.OpenTickets(t.Context(), sc, doctorID)
	must(t, err)
	ids := []string{}
	for _, tk := range open {
		ids = append(ids, tk.ID)
	}
	return ids
}

func TestArrangeTicket(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		q := queueOf(t, s, sc, 3)
		got, moved, err := s.ArrangeTicket(t.Context(), sc, q[2].ID,
			func(tk *consult.Ticket, c *consult.Consultation, others []consult.Ticket) ([]consult.Event, error) {
				if len(others) != 2 || others[0].ID != q[0].ID || c.ID != q[2].SessionID {
					t.Errorf("others %v of %s", others, c.ID)
				}
				tk.Rank, others[0].Rank = 10, 30
				return []consult.Event{event(sc, "waiting_room.moved", c.ID)}, nil
			})
		must(t, err)
		if got.Version != 2 || len(moved) != 1 || moved[0].ID != q[0].ID || moved[0].Version != 2 || moved[0].Rank != 30 {
			t.Errorf("got %+v, moved %+v", got, moved)
		}
		if order := orderOf(t, s, sc, "doc"); !slices.Equal(order, []string{q[2].ID, q[1].ID, q[0].ID}) {
			t.Errorf("order %v", order)
		}
		boom := errors.New("boom")
		before := counts(t, s, sc)
		_, _, err = s.ArrangeTicket(t.Context(), sc, q[1].ID,
			func(tk *consult.Ticket, _ *consult.Consultation, others []consult.Ticket) ([]consult.Event, error) {
				tk.Rank, others[0].Rank = 1, 2
				return nil, boom
			})
		if !errors.Is(err, boom) || counts(t, s, sc) != before {
			t.Errorf("a refused change: %v, %s", err, counts(t, s, sc))
		}
		if _, moved, err = s.ArrangeTicket(t.Context(), sc, q[1].ID,
			func(*consult.Ticket, *consult.Consultation, []consult.Ticket) ([]consult.Event, error) {
				return nil, nil
			}); err != nil || moved != nil {
			t.Errorf("no change: %v, %v", moved, err)
		}
	})
}

func TestTransferTicket(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		q := queueOf(t, s, sc, 1)
		hand := func(id, to string, at time.Time) (*consult.Ticket, *consult.Ticket, *consult.Consultation, error) {
			return s.TransferTicket(t.Context(), sc, id, func(tk *consult.Ticket, c *consult.Consultation) (*consult.Ticket, []consult.Event, error) {
				next := *tk
				next.ID, next.DoctorID, next.Version = consult.NewID(consult.PrefixTicket), to, 1
				tk.Status, tk.ClosedAt = consult.TicketTransferred, &at
				c.DoctorID, c.DoctorName = to, "Dr. Bo"
				e := event(sc, consult.EventTicketTransferred, c.ID)
				e.At = at
				return &next, []consult.Event{e}, nil
			})
		}
		later := base.Add(time.Minute)
		old, next, c, err := hand(q[0].ID, "doc2", later)
		must(t, err)
		if old.Status != consult.TicketTransferred || next.DoctorID != "doc2" || next.SessionID != old.SessionID ||
			next.Rank != old.Rank || c.DoctorID != "doc2" || c.DoctorName != "Dr. Bo" || c.TokenEpoch != 0 {
			t.Errorf("old %+v, next %+v, c %+v", old, next, c)
		}
		if a, b := orderOf(t, s, sc, "doc"), orderOf(t, s, sc, "doc2"); len(a) != 0 || !slices.Equal(b, []string{next.ID}) {
			t.Errorf("queues %v, %v", a, b)
		}
		newest, err := s.TicketBySession(t.Context(), sc, old.SessionID)
		must(t, err)
		if newest.ID != next.ID {
			t.Error("the session's ticket is still the old one")
		}
		until, err := s.PersonRevoked(t.Context(), sc, c.ID, consult.Doctor, "doc")
		must(t, err)
		if !until.Equal(later) {
			t.Errorf("the first doctor's tokens are revoked until %v", until)
		}
		if p, err := s.Person(t.Context(), sc, consult.Doctor, "doc2"); err != nil || p.Name != "Dr. Bo" {
			t.Errorf("the new doctor: %v, %v", p, err)
		}
		if _, _, _, err = hand(old.ID, "doc3", later); err == nil {
			t.Log("the caller refuses closed tickets; the store does not")
		}
		// The same patient waits for doc4 already.
		other := addConsultation(t, s, sc, "doc4", q[0].PatientID)
		addTicket(t, s, other)
		before := counts(t, s, sc)
		_, _, _, err = hand(next.ID, "doc4", later)
		wantCode(t, err, consult.Conflict)
		if counts(t, s, sc) != before {
			t.Error("a refused transfer wrote something")
		}
	})
}

func TestAdmittedTickets(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		q := queueOf(t, s, sc, 3)
		for i, begun := range []bool{false, true} {
			_, _, err := s.UpdateTicket(t.Context(), sc, q[i].ID, func(tk *consult.Ticket, c *consult.Consultation) ([]consult.Event, error) {
				at := base
				tk.Status, tk.AdmittedAt, c.AdmittedAt = consult.TicketAdmitted, &at, &at
				if begun {
					c.Status, c.StartedAt = consult.Active, &at
				}
				return []consult.Event{event(sc, consult.EventTicketAdmitted, c.ID)}, nil
			})
			must(t, err)
		}
		got, err := s.AdmittedTickets(t.Context(), sc, "doc")
		must(t, err)
		if len(got) != 1 || got[0].ID != q[0].ID {
			t.Errorf("admitted: %v", got)
		}
	})
}

func TestRevokePerson(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := addConsultation(t, s, sc, "doc", "pat")
		stamp := func() string {
			m, err := s.SessionStamps(t.Context(), sc, []string{c.ID, "vs_none"})
			must(t, err)
			if len(m) != 1 {
				t.Fatalf("stamps %v", m)
			}
			return m[c.ID]
		}
		first := stamp()
		ev := func() []consult.Event { return []consult.Event{event(sc, consult.EventTokensRevoked, c.ID)} }
		if until, err := s.PersonRevoked(t.Context(), sc, c.ID, consult.Patient, "pat"); err != nil || !until.IsZero() {
			t.Fatalf("until %v, %v", until, err)
		}
		must(t, s.RevokePerson(t.Context(), sc, c.ID, consult.Patient, "pat", base, ev()))
		must(t, s.RevokePerson(t.Context(), sc, c.ID, consult.Patient, "pat", base.Add(-time.Minute), ev())) // earlier: nothing
		until, err := s.PersonRevoked(t.Context(), sc, c.ID, consult.Patient, "pat")
		must(t, err)
		if !until.Equal(base) {
			t.Errorf("until %v", until)
		}
		if got := eventTypes(t, s, c.ID); len(got) != 2 {
			t.Errorf("events %v", got)
		}
		if stamp() == first {
			t.Error("the stamp does not show the revocation")
		}
		if until, err := s.PersonRevoked(t.Context(), sc, c.ID, consult.Guest, "pat"); err != nil || !until.IsZero() {
			t.Errorf("another role: %v, %v", until, err)
		}
		wantCode(t, s.RevokePerson(t.Context(), sc, "vs_none", consult.Patient, "pat", base, nil), consult.NotFound)

		must(t, s.RevokeToken(t.Context(), sc, "tok_1", base, nil))
		many := []string{"tok_1"}
		for range 900 { // more than one chunk
			many = append(many, consult.NewID(consult.PrefixToken))
		}
		revoked, err := s.TokensRevoked(t.Context(), sc, many)
		must(t, err)
		if !slices.Equal(revoked, []string{"tok_1"}) {
			t.Errorf("revoked %v", revoked)
		}
	})
}

func TestWaitingMessages(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		q := queueOf(t, s, sc, 3)
		ev := func(tk *consult.Ticket) consult.Event {
			e := event(sc, "waiting_room.message", tk.SessionID)
			e.TicketID = tk.ID
			return e
		}
		say := func(ids []string, text string, after time.Duration) int {
			t.Helper()
			to, err := s.MessageTickets(t.Context(), sc, "doc", ids, text, base.Add(after), ev)
			must(t, err)
			return len(to)
		}
		_, _, err := s.DeclineTicket(t.Context(), sc, q[2].ID, "Please call the clinic.", func(tk *consult.Ticket, c *consult.Consultation) ([]consult.Event, error) {
			at := base
			tk.Status, tk.ClosedAt = consult.TicketDeclined, &at
			c.Status, c.Reason, c.EndedAt = consult.Cancelled, consult.CancelledByDecline, &at
			return []consult.Event{event(sc, consult.EventConsultationCancelled, c.ID)}, nil
		})
		must(t, err)
		if n := say(nil, "all", 0); n != 2 {
			t.Errorf("told %d", n)
		}
		if n := say([]string{q[0].ID}, "one\x00", time.Second); n != 1 {
			t.Errorf("told %d", n)
		}
		if n := say([]string{q[2].ID}, "late", time.Second); n != 0 {
			t.Errorf("told %d who no longer wait", n)
		}
		got, err := s.WaitingMessages(t.Context(), sc, q[0].SessionID, 10)
		must(t, err)
		if len(got) != 2 || got[0].Text != "all" || got[1].Text != "one" || got[1].Name != "Dr. Ada" || !got[1].SentAt.Equal(base.Add(time.Second)) {
			t.Errorf("messages %+v", got)
		}
		if got, err = s.WaitingMessages(t.Context(), sc, q[0].SessionID, 1); err != nil || len(got) != 1 || got[0].Text != "one" {
			t.Errorf("the newest: %+v, %v", got, err)
		}
		why, err := s.DeclineReason(t.Context(), sc, q[2].SessionID)
		if err != nil || why != "Please call the clinic." {
			t.Errorf("reason %q, %v", why, err)
		}
		if why, err = s.DeclineReason(t.Context(), sc, q[0].SessionID); err != nil || why != "" {
			t.Errorf("reason %q, %v", why, err)
		}
		if got, err = s.WaitingMessages(t.Context(), sc, q[2].SessionID, 10); err != nil || len(got) != 0 {
			t.Errorf("a refusal is no message: %+v, %v", got, err)
		}
	})
}
