package store_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

func same(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read\n %+v\nwant\n %+v", got, want)
	}
}

func at(d time.Duration) *time.Time {
	v := base.Add(d)
	return &v
}

func TestConsultationIsReadAsWritten(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := newConsultation(sc, "doc", "pat")
		// A zone and nanoseconds come back as UTC and microseconds, in c too.
		local := base.In(time.FixedZone("far", 5*3600)).Add(789)
		c.CreatedAt, c.ScheduledAt = local, &local
		c.EnableRecording, c.TokenEpoch, c.PatientName = true, 3, "Zoë \x00O'Hara\xff"
		must(t, s.CreateConsultation(t.Context(), c, nil))
		if !c.CreatedAt.Equal(base) || c.PatientName != "Zoë O'Hara\uFFFD" {
			t.Errorf("stored %v and %q", c.CreatedAt, c.PatientName)
		}
		got, err := s.Consultation(t.Context(), sc, c.ID)
		must(t, err)
		same(t, got, c)

		updated, err := s.UpdateConsultation(t.Context(), sc, c.ID, func(c *consult.Consultation) ([]consult.Event, error) {
			c.Status, c.AdmittedAt, c.StartedAt = consult.Active, at(time.Minute), at(2*time.Minute)
			c.ID, c.Scope = "vs_other", consult.Scope{AccountID: "x", Mode: consult.Test} // ignored
			return []consult.Event{event(sc, consult.EventConsultationStarted, "vs_x")}, nil
		})
		must(t, err)
		got, err = s.Consultation(t.Context(), sc, c.ID)
		must(t, err)
		same(t, got, updated)
		wantCode(t, s.CreateConsultation(t.Context(), c, nil), consult.Conflict)
	})
}

func TestFindOpenConsultation(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		find := func(now time.Time) string {
			c, err := s.FindOpenConsultation(t.Context(), sc, "doc", "pat", now)
			if consult.HasCode(err, consult.NotFound) {
				return ""
			}
			must(t, err)
			return c.ID
		}
		older := addConsultation(t, s, sc, "doc", "pat")
		newer := newConsultation(sc, "doc", "pat")
		newer.CreatedAt = base.Add(time.Second)
		must(t, s.CreateConsultation(t.Context(), newer, nil))
		addConsultation(t, s, sc, "doc", "other")
		if got := find(base); got != newer.ID {
			t.Errorf("found %q, want the newest", got)
		}
		_, err := end(t.Context(), s, newer, consult.Cancelled, consult.CancelledByCaller, base)
		must(t, err)
		if got := find(base); got != older.ID {
			t.Errorf("found %q, want the one left", got)
		}
		if got := find(older.ExpiresAt); got != "" {
			t.Errorf("found %q, which has expired", got)
		}
		_, err = s.UpdateConsultation(t.Context(), sc, older.ID, func(c *consult.Consultation) ([]consult.Event, error) {
			c.Status = consult.Active
			return []consult.Event{event(sc, consult.EventConsultationStarted, c.ID)}, nil
		})
		must(t, err)
		if got := find(older.ExpiresAt); got != older.ID {
			t.Errorf("found %q; an active one never expires", got)
		}
	})
}

func TestUnfinishedConsultationsArePaged(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		var want, got []string
		for i := range 7 {
			c := newConsultation(sc, "doc", fmt.Sprintf("pat%d", i))
			c.ID = fmt.Sprintf("vs_%02d", i)
			must(t, s.CreateConsultation(t.Context(), c, nil))
			if i == 3 {
				_, err := end(t.Context(), s, c, consult.Cancelled, consult.CancelledByCaller, base)
				must(t, err)
				continue
			}
			want = append(want, c.ID)
		}
		for after := ""; ; after = got[len(got)-1] {
			page, err := s.UnfinishedConsultations(t.Context(), sc, after, 4)
			must(t, err)
			if len(page) == 0 {
				break
			}
			for i := range page {
				got = append(got, page[i].ID)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("listed %v, want %v", got, want)
		}
	})
}

func TestConsultationLengthsAreNewestFirst(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		for i := range 4 {
			c := newConsultation(sc, "doc", fmt.Sprintf("pat%d", i))
			c.Status, c.StartedAt = consult.Active, at(time.Duration(i)*time.Hour)
			must(t, s.CreateConsultation(t.Context(), c, nil))
			if i == 3 {
				continue // still running
			}
			_, err := end(t.Context(), s, c, consult.Ended, consult.EndedByDoctor, c.StartedAt.Add(time.Duration(i+1)*time.Minute))
			must(t, err)
		}
		got, err := s.ConsultationLengths(t.Context(), sc, "doc", 2)
		must(t, err)
		same(t, got, []time.Duration{3 * time.Minute, 2 * time.Minute})
	})
}

func TestPeopleKeepTheNewestName(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		for _, step := range []struct{ given, stands string }{{"", ""}, {"Ann", "Ann"}, {"", "Ann"}, {"Anna", "Anna"}} {
			c := newConsultation(sc, "doc", "pat")
			c.PatientName = step.given
			must(t, s.CreateConsultation(t.Context(), c, nil))
			p, err := s.Person(t.Context(), sc, consult.Patient, "pat")
			must(t, err)
			if p.Name != step.stands || c.PatientName != step.stands {
				t.Errorf("after %q the patient is %q and the consultation says %q", step.given, p.Name, c.PatientName)
			}
		}
		if p, err := s.Person(t.Context(), sc, consult.Doctor, "doc"); err != nil || p.Name != "Dr. Ada" || !p.CreatedAt.Equal(base) {
			t.Errorf("doctor %+v, error %v", p, err)
		}
	})
}

func TestTicketIsReadAsWritten(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := addConsultation(t, s, sc, "doc", "pat")
		first := addTicket(t, s, c)
		if first.Rank != 1 || first.Version != 1 {
			t.Errorf("the first ticket has rank %d, version %d", first.Rank, first.Version)
		}
		got, err := s.Ticket(t.Context(), sc, first.ID)
		must(t, err)
		same(t, got, first)

		again, created, err := s.CreateTicket(t.Context(), newTicket(c), []consult.Event{event(sc, consult.EventTicketQueued, c.ID)})
		must(t, err)
		if created {
			t.Error("a second open ticket was made")
		}
		same(t, again, first)

		updated, cAfter, err := s.UpdateTicket(t.Context(), sc, first.ID, func(tk *consult.Ticket, c *consult.Consultation) ([]consult.Event, error) {
			tk.Status, tk.AdmittedAt = consult.TicketAdmitted, at(time.Minute)
			c.AdmittedAt = tk.AdmittedAt
			e := event(sc, consult.EventTicketAdmitted, c.ID)
			e.At = base.Add(time.Minute)
			return []consult.Event{e}, nil
		})
		must(t, err)
		if updated.Version != 2 || !updated.UpdatedAt.Equal(base.Add(time.Minute)) {
			t.Errorf("version %d, updated at %v", updated.Version, updated.UpdatedAt)
		}
		got, err = s.TicketBySession(t.Context(), sc, c.ID)
		must(t, err)
		same(t, got, updated)
		cGot, err := s.Consultation(t.Context(), sc, c.ID)
		must(t, err)
		same(t, cGot, cAfter)

		later := newTicket(c)
		later.JoinedAt = base.Add(time.Hour)
		second, created, err := s.CreateTicket(t.Context(), later, nil)
		must(t, err)
		if !created || second.Rank != 2 {
			t.Errorf("after admission: created %v, rank %d", created, second.Rank)
		}
		if got, err = s.TicketBySession(t.Context(), sc, c.ID); err != nil || got.ID != second.ID {
			t.Errorf("the newest ticket is %+v, error %v", got, err)
		}
	})
}

func TestTicketMovesToAnotherConsultation(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		from, to := addConsultation(t, s, sc, "doc", "pat"), addConsultation(t, s, sc, "doc", "pat")
		over := addConsultation(t, s, sc, "doc", "pat")
		_, err := end(t.Context(), s, over, consult.Cancelled, consult.CancelledByCaller, base)
		must(t, err)
		tk := addTicket(t, s, from)
		move := func(session string) error {
			_, _, err := s.UpdateTicket(t.Context(), sc, tk.ID, func(tk *consult.Ticket, _ *consult.Consultation) ([]consult.Event, error) {
				tk.SessionID = session
				return []consult.Event{event(sc, consult.EventTicketQueued, session)}, nil
			})
			return err
		}
		must(t, move(to.ID))
		if got, err := s.TicketBySession(t.Context(), sc, to.ID); err != nil || got.ID != tk.ID {
			t.Errorf("ticket %+v, error %v", got, err)
		}
		wantCode(t, move(over.ID), consult.Conflict)
		wantCode(t, move("vs_none"), consult.NotFound)
	})
}

func TestQueueOrder(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		ranks := map[string]int64{"c": 5, "a": 7, "b": 5, "d": 1}
		for id, rank := range ranks {
			tk := newTicket(addConsultation(t, s, sc, "doc", "pat_"+id))
			tk.ID, tk.Rank = "wt_"+id, rank
			if id == "d" || id == "a" {
				tk.Status, tk.AwayAt = consult.TicketAway, at(time.Duration(rank)*time.Minute)
			}
			_, _, err := s.CreateTicket(t.Context(), tk, nil)
			must(t, err)
		}
		ids := func(list []consult.Ticket, err error) (out []string) {
			must(t, err)
			for i := range list {
				out = append(out, list[i].ID)
			}
			return out
		}
		same(t, ids(s.OpenTickets(t.Context(), sc, "doc")), []string{"wt_d", "wt_b", "wt_c", "wt_a"})
		same(t, ids(s.AwayTickets(t.Context(), sc, base.Add(time.Minute))), []string{"wt_d"})
		same(t, ids(s.AwayTickets(t.Context(), sc, base.Add(time.Hour))), []string{"wt_d", "wt_a"})
	})
}

func TestParticipationsAndChat(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := addConsultation(t, s, sc, "doc", "pat")
		p := addParticipation(t, s, c, consult.Patient)
		joined := event(sc, consult.EventParticipantJoined, c.ID)
		must(t, s.JoinParticipation(t.Context(), p, []consult.Event{joined})) // still there: nothing to write
		d := newParticipation(c, consult.Doctor)
		d.JoinedAt = base.Add(-time.Minute)
		must(t, s.JoinParticipation(t.Context(), d, []consult.Event{joined}))
		left := func() []consult.Event { return []consult.Event{event(sc, consult.EventParticipantLeft, c.ID)} }
		must(t, s.LeaveParticipation(t.Context(), sc, p.ID, base.Add(time.Minute), left()))
		must(t, s.LeaveParticipation(t.Context(), sc, p.ID, base.Add(time.Hour), left()))
		p.LeftAt = at(time.Minute)
		all, err := s.Participations(t.Context(), sc, c.ID)
		must(t, err)
		same(t, all, []consult.Participation{*d, *p})
		must(t, s.JoinParticipation(t.Context(), p, []consult.Event{event(sc, consult.EventParticipantJoined, c.ID)}))
		p.LeftAt = nil
		all, err = s.Participations(t.Context(), sc, c.ID)
		must(t, err)
		same(t, all, []consult.Participation{*d, *p})
		same(t, eventTypes(t, s, c.ID), []string{
			"consultation.created", "participant.joined", "participant.joined", "participant.left", "participant.joined",
		})

		var want []consult.ChatMessage
		for i := range 5 {
			m := consult.ChatMessage{
				ID: fmt.Sprintf("msg_%d", i), Scope: sc, SessionID: c.ID, ParticipantID: p.ID, Role: consult.Patient,
				Name: "Pat", Text: fmt.Sprintf("مرحبا %d", i), SentAt: base.Add(time.Duration(i/2) * time.Second),
			}
			must(t, s.AppendChat(t.Context(), &m))
			want = append(want, m)
		}
		chat, err := s.Chat(t.Context(), sc, c.ID, 3)
		must(t, err)
		same(t, chat, want[2:])
	})
}

func TestKeys(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
		test := consult.Scope{AccountID: "acc_one", Mode: consult.Test}
		k := addKey(t, s, sc, "one")
		addKey(t, s, test, "two")
		got, err := s.KeyByHash(t.Context(), k.Hash)
		must(t, err)
		same(t, got, k)
		acc, err := s.AccountByName(t.Context(), "Account acc_one")
		must(t, err)
		same(t, acc, &consult.Account{ID: "acc_one", Name: "Account acc_one", Email: "a@example.org", CreatedAt: base})
		if _, err = s.AccountByName(t.Context(), "nobody"); !consult.HasCode(err, consult.NotFound) {
			t.Errorf("unknown account: %v", err)
		}

		revoke := consult.Event{ID: consult.NewID(consult.PrefixEvent), Type: consult.EventKeyRevoked, At: base}
		got, err = s.UpdateKey(t.Context(), sc.AccountID, k.ID, func(k *consult.APIKey) (*consult.APIKey, []consult.Event, error) {
			k.RevokedAt = at(time.Hour)
			return nil, []consult.Event{revoke}, nil
		})
		must(t, err)
		same(t, got.RevokedAt, at(time.Hour))

		must(t, s.TouchKeys(t.Context(), nil))
		must(t, s.TouchKeys(t.Context(), map[string]time.Time{k.ID: base.Add(time.Minute), "key_none": base}))
		must(t, s.TouchKeys(t.Context(), map[string]time.Time{k.ID: base}))
		all, err := s.Keys(t.Context())
		must(t, err)
		if len(all) != 2 || !reflect.DeepEqual(all[0].LastUsedAt, at(time.Minute)) || all[1].LastUsedAt != nil {
			t.Errorf("keys are %+v", all)
		}
		same(t, eventTypes(t, s, ""), []string{"key.created", "key.created", "key.revoked"})
		scopes, err := s.Scopes(t.Context())
		must(t, err)
		same(t, scopes, []consult.Scope{sc, test})

		clash := *k
		clash.ID, clash.Scope.AccountID = "key_three", "acc_three"
		acc = &consult.Account{ID: "acc_three", Name: "Account acc_one", CreatedAt: base}
		wantCode(t, s.CreateKey(t.Context(), acc, &clash, nil), consult.Conflict)
	})
}

func TestTokens(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := addConsultation(t, s, sc, "doc", "pat")
		_, err := end(t.Context(), s, c, consult.Cancelled, consult.CancelledByCaller, base)
		must(t, err)
		if epoch, err := s.TokenEpoch(t.Context(), sc, c.ID); err != nil || epoch != 1 {
			t.Errorf("epoch %d, error %v", epoch, err)
		}
		for range 2 {
			must(t, s.RevokeToken(t.Context(), sc, "tok_1", base, []consult.Event{event(sc, consult.EventTokensRevoked, "")}))
		}
		for jti, want := range map[string]bool{"tok_1": true, "tok_2": false} {
			if got, err := s.TokenRevoked(t.Context(), sc, jti); err != nil || got != want {
				t.Errorf("%s: revoked %v, error %v", jti, got, err)
			}
		}
		same(t, eventTypes(t, s, ""), []string{"key.created", "tokens.revoked"})
	})
}
