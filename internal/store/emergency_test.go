package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

// What the emergency screen found is read as it was written, wherever tickets
// are read, and goes on with a transfer.
func TestScreeningIsReadAsWritten(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := newConsultation(sc, "doc", "pat")
		c.Country = "FR"
		must(t, s.CreateConsultation(t.Context(), c, nil))
		got, err := s.Consultation(t.Context(), sc, c.ID)
		must(t, err)
		same(t, got.Country, "FR")

		first := newTicket(c)
		first.Country = "MA"
		first.Screening = consult.Screening{
			Urgency: consult.UrgencyHigh, RuleVersion: "2026-11\x00.1", Rules: []string{"suicide.plan", "a\xff"}, Crisis: true,
		}
		found := consult.Screening{Urgency: consult.UrgencyHigh, RuleVersion: "2026-11.1", Rules: []string{"suicide.plan", "a\uFFFD"}, Crisis: true}
		tk, _, err := s.CreateTicket(t.Context(), first, nil)
		must(t, err)
		same(t, tk.Screening, found)
		open, err := s.OpenTickets(t.Context(), sc, "doc")
		must(t, err)
		same(t, open, []consult.Ticket{*tk})

		found = consult.Screening{Urgency: consult.UrgencyCritical, RuleVersion: "2026-12", Rules: []string{"acs.pain"}}
		tk, _, err = s.UpdateTicket(t.Context(), sc, tk.ID, func(t *consult.Ticket, c *consult.Consultation) ([]consult.Event, error) {
			t.Screening, t.Country, c.Country = found, "DZ", "BE"
			return []consult.Event{event(sc, consult.EventEmergencyDetected, c.ID)}, nil
		})
		must(t, err)
		read, err := s.Ticket(t.Context(), sc, tk.ID)
		must(t, err)
		same(t, read, tk)
		if read.Country != "DZ" || read.Screening.Urgency != consult.UrgencyCritical {
			t.Errorf("read %+v", read)
		}
		got, err = s.Consultation(t.Context(), sc, c.ID)
		must(t, err)
		same(t, got.Country, "BE")

		_, next, _, err := s.TransferTicket(t.Context(), sc, tk.ID,
			func(t *consult.Ticket, c *consult.Consultation) (*consult.Ticket, []consult.Event, error) {
				n := *t
				n.ID, n.DoctorID, c.DoctorID = consult.NewID(consult.PrefixTicket), "doc_2", "doc_2"
				t.Status = consult.TicketTransferred
				return &n, []consult.Event{event(sc, consult.EventTicketTransferred, c.ID)}, nil
			})
		must(t, err)
		same(t, next.Screening, found)
	})
}

func TestAScreeningIsErasedWithItsWords(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := addConsultation(t, s, sc, "doc", "pat")
		tk := newTicket(c)
		tk.Country = "FR"
		tk.Screening = consult.Screening{Urgency: consult.UrgencyHigh, RuleVersion: "1", Rules: []string{"r"}, Crisis: true}
		tk, _, err := s.CreateTicket(t.Context(), tk, nil)
		must(t, err)
		_, err = end(t.Context(), s, c, consult.Cancelled, consult.CancelledByCaller, base)
		must(t, err)
		_, err = s.ErasePatient(t.Context(), sc, "pat", consult.System)
		must(t, err)
		left, err := s.Ticket(t.Context(), sc, tk.ID)
		must(t, err)
		same(t, left.Screening, consult.Screening{})
		same(t, left.Country, "")
	})
}

// An event of no row stands in the audit log and in the outbox.
func TestRecord(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		before, err := s.PendingEvents(t.Context(), 100)
		must(t, err)
		e := event(sc, consult.EventEmergencyDetected, "")
		e.Data = json.RawMessage(`{"urgency":"critical"}`)
		must(t, s.Record(t.Context(), sc, e))
		pending, err := s.PendingEvents(t.Context(), 100)
		must(t, err)
		if len(pending) != len(before)+1 || pending[len(pending)-1].Event.Type != consult.EventEmergencyDetected {
			t.Errorf("pending %+v", pending)
		}
		entries, err := s.Audit(t.Context(), sc, "")
		must(t, err)
		if last := entries[len(entries)-1].Event; last.ID != e.ID || !last.At.Equal(base.Truncate(time.Microsecond)) {
			t.Errorf("the last entry is %+v", last)
		}
		must(t, s.VerifyAudit(t.Context(), sc))
		other := consult.Scope{AccountID: "acc_other", Mode: consult.Live}
		if s.Record(t.Context(), other, e) == nil {
			t.Error("an event went into another scope's log")
		}
	})
}
