package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

func init() {
	moreReads["Consultations"] = func(ctx context.Context, s *store.Store, sc consult.Scope, _ world) (bool, error) {
		v, _, err := s.Consultations(ctx, sc, consult.ConsultationFilter{}, consult.Page{})
		return len(v) > 0, err
	}
	moreReads["Tickets"] = func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
		v, _, err := s.Tickets(ctx, sc, consult.TicketFilter{SessionID: w.c.ID}, consult.Page{})
		return len(v) > 0, err
	}
	moreReads["ParticipationPage"] = func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
		v, _, err := s.ParticipationPage(ctx, sc, w.c.ID, consult.Page{})
		return len(v) > 0, err
	}
	moreWrites["FindOrCreateConsultation"] = func(t *testing.T, s *store.Store, sc consult.Scope, w world) {
		c := newConsultation(sc, w.c.DoctorID, w.c.PatientID)
		got, _, err := s.FindOrCreateConsultation(t.Context(), c, base, []consult.Event{event(sc, consult.EventConsultationCreated, c.ID)})
		must(t, err)
		if got.ID == w.c.ID || got.Scope != sc {
			t.Errorf("found %s of another scope", got.ID)
		}
	}
}

// walk reads every page and returns the ids; between pages it calls between.
func walk[T any](t *testing.T, limit int, page func(consult.Page) ([]T, string, error), id func(*T) string, between func()) []string {
	t.Helper()
	var ids []string
	for after := ""; ; {
		items, next, err := page(consult.Page{After: after, Limit: limit})
		must(t, err)
		if len(items) > limit || next != "" && len(items) != limit {
			t.Fatalf("a page of %d, limit %d, next %q", len(items), limit, next)
		}
		for i := range items {
			ids = append(ids, id(&items[i]))
		}
		if next == "" {
			return ids
		}
		after = next
		between()
	}
}

func TestPagesAreStableUnderInserts(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		var want []string
		add := func(at time.Time) string {
			c := newConsultation(sc, "doc", "pat")
			c.CreatedAt = at
			must(t, s.CreateConsultation(t.Context(), c, nil))
			return c.ID
		}
		for i := range 25 { // several at the same moment
			want = append(want, add(base.Add(time.Duration(i/4)*time.Second)))
		}
		list := func(p consult.Page) ([]consult.Consultation, string, error) {
			return s.Consultations(t.Context(), sc, consult.ConsultationFilter{}, p)
		}
		id := func(c *consult.Consultation) string { return c.ID }
		all := walk(t, 100, list, id, func() {})
		slices.Sort(want)
		same(t, slices.Sorted(slices.Values(all)), want)
		for limit := range 8 {
			// Newer ones arrive while the pages are read, and older ones too.
			early := 0
			got := walk(t, limit+1, list, id, func() {
				add(base.Add(time.Hour))
				early++
			})
			got = slices.DeleteFunc(got, func(id string) bool { return !slices.Contains(all, id) })
			same(t, got, all)
		}
		for _, p := range []consult.Page{{Limit: -1}, {Limit: 101}, {After: "x"}, {After: "MTIz"}, {After: strings.Repeat("a", 1000)}} {
			_, _, err := list(p)
			wantCode(t, err, consult.BadRequest)
		}
	})
}

func TestFiltersOfConsultations(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		var all []consult.Consultation
		for i := range 40 {
			c := newConsultation(sc, fmt.Sprintf("doc_%d", i%2), fmt.Sprintf("pat_%d", i%3))
			c.CreatedAt = base.Add(time.Duration(i) * time.Minute)
			if i%5 == 0 {
				c.Status, c.EndedAt = consult.Ended, at(time.Hour)
			}
			must(t, s.CreateConsultation(t.Context(), c, nil))
			all = append(all, *c)
		}
		slices.Reverse(all)
		for _, f := range []consult.ConsultationFilter{
			{}, {DoctorID: "doc_1"}, {PatientID: "pat_2"}, {Status: consult.Ended}, {DoctorID: "doc_0", Status: consult.Waiting},
			{DoctorID: "doc_0", PatientID: "pat_1"}, {PatientID: "pat_0", Status: consult.Ended},
			{From: at(10 * time.Minute), To: at(20 * time.Minute)}, {DoctorID: "doc_1", From: at(30 * time.Minute)},
			{DoctorID: "doc_0", PatientID: "pat_0", Status: consult.Ended, To: at(35 * time.Minute)}, {DoctorID: "nobody"},
		} {
			var want []string
			for _, c := range all {
				if (f.DoctorID == "" || c.DoctorID == f.DoctorID) && (f.PatientID == "" || c.PatientID == f.PatientID) &&
					(f.Status == "" || c.Status == f.Status) && (f.From == nil || !c.CreatedAt.Before(*f.From)) &&
					(f.To == nil || c.CreatedAt.Before(*f.To)) {
					want = append(want, c.ID)
				}
			}
			got := walk(t, 3, func(p consult.Page) ([]consult.Consultation, string, error) {
				return s.Consultations(t.Context(), sc, f, p)
			}, func(c *consult.Consultation) string { return c.ID }, func() {})
			same(t, got, want)
		}
	})
}

func TestPagesOfTicketsAndParticipations(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		var tickets []string
		for i := range 7 {
			tk := newTicket(addConsultation(t, s, sc, fmt.Sprintf("doc_%d", i%2), fmt.Sprintf("pat_%d", i)))
			tk.JoinedAt = base.Add(time.Duration(i) * time.Second)
			_, _, err := s.CreateTicket(t.Context(), tk, nil)
			must(t, err)
			if i%2 == 1 {
				tickets = append(tickets, tk.ID)
			}
		}
		slices.Reverse(tickets)
		for _, f := range []consult.TicketFilter{{DoctorID: "doc_1"}, {DoctorID: "doc_1", Status: consult.TicketQueued}} {
			same(t, walk(t, 2, func(p consult.Page) ([]consult.Ticket, string, error) {
				return s.Tickets(t.Context(), sc, f, p)
			}, func(tk *consult.Ticket) string { return tk.ID }, func() {}), tickets)
		}
		none, _, err := s.Tickets(t.Context(), sc, consult.TicketFilter{PatientID: "pat_1", Status: consult.TicketReady}, consult.Page{})
		must(t, err)
		same(t, len(none), 0)

		c := addConsultation(t, s, sc, "doc", "pat")
		var people []string
		for range 5 {
			people = append(people, addParticipation(t, s, c, consult.Guest).ID)
		}
		slices.Sort(people) // they came at the same moment
		same(t, walk(t, 2, func(p consult.Page) ([]consult.Participation, string, error) {
			return s.ParticipationPage(t.Context(), sc, c.ID, p)
		}, func(p *consult.Participation) string { return p.ID }, func() {}), people)
	})
}

func TestFindOrCreateMakesOne(t *testing.T) {
	eachPair(t, func(t *testing.T, nodes [2]*store.Store, sc consult.Scope) {
		seen := make([]string, racers)
		made := make([]bool, racers)
		race(t, nodes, func(ctx context.Context, s *store.Store, i int) error {
			c := newConsultation(sc, "doc", "pat")
			got, created, err := s.FindOrCreateConsultation(ctx, c, base, []consult.Event{event(sc, consult.EventConsultationCreated, c.ID)})
			if err == nil {
				seen[i], made[i] = got.ID, created
			}
			return err
		})
		n := 0
		for i := range seen {
			if made[i] {
				n++
			}
			if seen[i] != seen[0] {
				t.Fatalf("%s and %s for one pair", seen[0], seen[i])
			}
		}
		all, _, err := nodes[0].Consultations(t.Context(), sc, consult.ConsultationFilter{}, consult.Page{})
		must(t, err)
		if n != 1 || len(all) != 1 || len(eventTypes(t, nodes[0], seen[0])) != 1 {
			t.Errorf("%d made, %d stored", n, len(all))
		}
		// Expired, it is no longer found.
		late := newConsultation(sc, "doc", "pat")
		_, created, err := nodes[1].FindOrCreateConsultation(t.Context(), late, all[0].ExpiresAt, nil)
		must(t, err)
		if !created {
			t.Error("an expired consultation was found")
		}
	})
}

func TestMetadataIsReadAsWritten(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := newConsultation(sc, "doc", "pat")
		c.Metadata = map[string]string{"ward": "B\x00é", "case.no": "17"}
		must(t, s.CreateConsultation(t.Context(), c, nil))
		got, err := s.Consultation(t.Context(), sc, c.ID)
		must(t, err)
		same(t, got, c)
		same(t, got.Metadata, map[string]string{"ward": "Bé", "case.no": "17"})
		got, err = s.UpdateConsultation(t.Context(), sc, c.ID, func(c *consult.Consultation) ([]consult.Event, error) {
			c.Metadata = map[string]string{}
			return []consult.Event{event(sc, consult.EventConsultationUpdated, c.ID)}, nil
		})
		must(t, err)
		if got.Metadata != nil {
			t.Errorf("metadata %v", got.Metadata)
		}
	})
}
