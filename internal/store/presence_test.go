package store_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

func TestPresence(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		p, at, err := s.Presence(t.Context(), sc, "doc")
		if err != nil || p != consult.Available || !at.IsZero() {
			t.Fatalf("%s since %v, %v", p, at, err)
		}
		for i, c := range []struct {
			p       consult.Presence
			changed bool
		}{{consult.Away, true}, {consult.Away, false}, {consult.Busy, true}, {consult.Available, true}} {
			changed, err := s.SetPresence(t.Context(), sc, "doc", c.p, base.Add(time.Duration(i)*time.Second),
				[]consult.Event{event(sc, "doctor.presence", "")})
			if err != nil || changed != c.changed {
				t.Errorf("%d: changed %v, %v", i, changed, err)
			}
		}
		p, at, err = s.Presence(t.Context(), sc, "doc")
		if err != nil || p != consult.Available || !at.Equal(base.Add(3*time.Second)) {
			t.Errorf("%s since %v, %v", p, at, err)
		}
		if n := len(eventTypes(t, s, "")); n < 3 {
			t.Errorf("%d events", n)
		}
	})
}

// The scope table's entries for the doctor's side of the waiting room.
func deskReads() map[string]probe {
	return map[string]probe{
		"ArrangeTicket": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			t, _, err := s.ArrangeTicket(ctx, sc, w.t.ID, func(t *consult.Ticket, c *consult.Consultation, _ []consult.Ticket) ([]consult.Event, error) {
				return touchT(t, c)
			})
			return one(t, err)
		},
		"TransferTicket": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			_, t, _, err := s.TransferTicket(ctx, sc, w.t.ID, func(*consult.Ticket, *consult.Consultation) (*consult.Ticket, []consult.Event, error) {
				return nil, nil, consult.Errorf(consult.Conflict, "", "seen")
			})
			return one(t, err)
		},
		"DeclineTicket": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			t, _, err := s.DeclineTicket(ctx, sc, w.t.ID, "", touchT)
			return one(t, err)
		},
		"AdmittedTickets": func(ctx context.Context, s *store.Store, sc consult.Scope, _ world) (bool, error) {
			if _, err := s.AdmittedTickets(ctx, sc, "doc"); err != nil || sc.AccountID != "acc_one" || sc.Mode != consult.Live {
				return false, err
			}
			return true, nil // nobody is admitted in that world
		},
		"MessageTickets": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			return list(s.MessageTickets(ctx, sc, w.t.DoctorID, nil, "hello", base, func(t *consult.Ticket) consult.Event {
				return event(sc, "waiting_room.message", t.SessionID)
			}))
		},
		"WaitingMessages": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			own := sc == w.sc
			if own { // the order of the probes is not ours
				if _, err := s.MessageTickets(ctx, sc, w.t.DoctorID, nil, "hello", base, func(t *consult.Ticket) consult.Event {
					return event(sc, "waiting_room.message", t.SessionID)
				}); err != nil {
					return false, err
				}
			}
			return list(s.WaitingMessages(ctx, sc, w.c.ID, 10))
		},
		"DeclineReason": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			why, err := s.DeclineReason(ctx, sc, w.c.ID)
			return why != "" || sc == w.sc, err // w was not declined
		},
		"RevokePerson": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			err := s.RevokePerson(ctx, sc, w.c.ID, consult.Guest, "gst", base, []consult.Event{event(sc, consult.EventTokensRevoked, w.c.ID)})
			return err == nil, err
		},
		"PersonRevoked": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			if sc == w.sc {
				if err := s.RevokePerson(ctx, sc, w.c.ID, consult.Guest, "gst", base, nil); err != nil {
					return false, err
				}
			}
			until, err := s.PersonRevoked(ctx, sc, w.c.ID, consult.Guest, "gst")
			return !until.IsZero(), err
		},
		"SessionStamps": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			m, err := s.SessionStamps(ctx, sc, []string{w.c.ID})
			return len(m) > 0, err
		},
		"TokensRevoked": func(ctx context.Context, s *store.Store, sc consult.Scope, _ world) (bool, error) {
			return list(s.TokensRevoked(ctx, sc, []string{"tok_revoked"}))
		},
		"Presence": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			if sc == w.sc {
				if _, err := s.SetPresence(ctx, sc, "doc", consult.Away, base, nil); err != nil {
					return false, err
				}
			}
			p, _, err := s.Presence(ctx, sc, "doc")
			return p == consult.Away, err
		},
	}
}

func deskWrites() map[string]func(t *testing.T, s *store.Store, sc consult.Scope, w world) {
	return map[string]func(t *testing.T, s *store.Store, sc consult.Scope, w world){
		"SetPresence": func(t *testing.T, s *store.Store, sc consult.Scope, w world) {
			_, err := s.SetPresence(t.Context(), sc, "doc_x", consult.Busy, base, nil)
			must(t, err)
			if p, _, err := s.Presence(t.Context(), w.sc, "doc_x"); err != nil || p != consult.Available {
				t.Errorf("another scope's doctor: %s, %v", p, err)
			}
		},
	}
}

func allReads() map[string]probe {
	m := reads()
	maps.Copy(m, deskReads())
	return m
}

func allWrites() map[string]func(t *testing.T, s *store.Store, sc consult.Scope, w world) {
	m := writes()
	maps.Copy(m, deskWrites())
	return m
}
