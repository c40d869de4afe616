package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

// rows is what a failed write could have touched.
type rows struct {
	Consultation   *consult.Consultation
	Ticket         *consult.Ticket
	Participations []consult.Participation
	Key            *consult.APIKey
	Revoked        bool
	Counts         string
}

func rowsOf(t *testing.T, s *store.Store, w world) rows {
	t.Helper()
	var r rows
	var err error
	r.Consultation, err = s.Consultation(t.Context(), w.sc, w.c.ID)
	must(t, err)
	r.Ticket, err = s.Ticket(t.Context(), w.sc, w.t.ID)
	must(t, err)
	r.Participations, err = s.Participations(t.Context(), w.sc, w.c.ID)
	must(t, err)
	r.Key, err = s.KeyByID(t.Context(), w.sc, w.k.ID)
	must(t, err)
	r.Revoked, err = s.TokenRevoked(t.Context(), w.sc, "tok_x")
	must(t, err)
	r.Counts = counts(t, s, w.sc)
	return r
}

// failing calls every method that writes events, with events that fail.
func failing(ctx context.Context, s *store.Store, w world, bad []consult.Event) map[string]error {
	errs := map[string]error{
		"CreateConsultation": s.CreateConsultation(ctx, newConsultation(w.sc, "doc_x", "pat_x"), bad),
		"JoinParticipation":  s.JoinParticipation(ctx, newParticipation(w.c, consult.Guest), bad),
		"LeaveParticipation": s.LeaveParticipation(ctx, w.sc, w.p.ID, base, bad),
		"RevokeToken":        s.RevokeToken(ctx, w.sc, "tok_x", base, bad),
	}
	_, errs["UpdateConsultation"] = s.UpdateConsultation(ctx, w.sc, w.c.ID, func(c *consult.Consultation) ([]consult.Event, error) {
		c.Status, c.EndedAt = consult.Cancelled, at(0)
		return bad, nil
	})
	_, _, errs["UpdateTicket"] = s.UpdateTicket(ctx, w.sc, w.t.ID, func(tk *consult.Ticket, c *consult.Consultation) ([]consult.Event, error) {
		tk.Status, c.Language = consult.TicketLeft, "fr"
		return bad, nil
	})
	second := newTicket(w.c)
	second.PatientID = "pat_x"
	_, _, errs["CreateTicket"] = s.CreateTicket(ctx, second, bad)
	_, errs["UpdateKey"] = s.UpdateKey(ctx, w.sc.AccountID, w.k.ID, func(k *consult.APIKey) (*consult.APIKey, []consult.Event, error) {
		next := *k
		next.ID, next.Hash = "key_next", []byte("next")
		k.RevokedAt = at(0)
		return &next, bad, nil
	})
	_, _, errs["FindOrCreateConsultation"] = s.FindOrCreateConsultation(ctx, newConsultation(w.sc, "doc_x", "pat_x"), base, bad)
	fresh := *w.k
	fresh.ID, fresh.UserID, fresh.ProfileID, fresh.Hash = "key_x", "usr_x", "prof_x", []byte("x")
	errs["CreateKey"] = s.CreateKey(ctx, &consult.Account{ID: w.sc.AccountID, Name: "x", CreatedAt: base}, &fresh, bad)
	return errs
}

func TestAFailedWriteLeavesNothing(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		w := fill(t, s, sc)
		before := rowsOf(t, s, w)
		good := event(sc, consult.EventTokensRevoked, w.c.ID)
		foreign := event(consult.Scope{AccountID: "acc_two", Mode: sc.Mode}, consult.EventTokensRevoked, w.c.ID)
		for name, bad := range map[string][]consult.Event{
			"the second of another scope": {good, foreign},
			"the second a duplicate":      {good, good}, // an event's id is unique
		} {
			for method, err := range failing(t.Context(), s, w, bad) {
				if err == nil {
					t.Errorf("%s with two events, %s, succeeded", method, name)
				}
			}
		}
		same(t, rowsOf(t, s, w), before)
		_, err := s.Person(t.Context(), sc, consult.Doctor, "doc_x")
		wantCode(t, err, consult.NotFound)
		for _, hash := range []string{"x", "next"} {
			_, err = s.KeyByHash(t.Context(), []byte(hash))
			wantCode(t, err, consult.NotFound)
		}
		must(t, s.VerifyAudit(t.Context(), sc))
	})
}

func TestAChangeThatRefusesStoresNothing(t *testing.T) {
	refusal := errors.New("refused")
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		w := fill(t, s, sc)
		before := rowsOf(t, s, w)
		edit := func(events []consult.Event, err error) (*consult.Consultation, error) {
			return s.UpdateConsultation(t.Context(), sc, w.c.ID, func(c *consult.Consultation) ([]consult.Event, error) {
				c.Language = "fr"
				return events, err
			})
		}
		if _, err := edit([]consult.Event{event(sc, consult.EventTokensRevoked, w.c.ID)}, refusal); !errors.Is(err, refusal) {
			t.Errorf("the change's own error became %v", err)
		}
		got, err := edit(nil, nil)
		must(t, err)
		same(t, got, before.Consultation)
		func() { // a change that panics leaves no transaction open
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_, err := s.UpdateConsultation(t.Context(), sc, w.c.ID, func(*consult.Consultation) ([]consult.Event, error) { panic("broken") })
			t.Errorf("returned %v", err)
		}()
		same(t, rowsOf(t, s, w), before)
	})
}
