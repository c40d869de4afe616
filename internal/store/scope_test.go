package store_test

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

// world is one row of everything, all in one scope.
type world struct {
	sc consult.Scope
	k  *consult.APIKey
	c  *consult.Consultation
	t  *consult.Ticket
	p  *consult.Participation
}

// notScoped are the methods that are not bound to a scope, as their comments say.
func notScoped() []string {
	return []string{
		"Ping", "Close", "Scopes", "PendingEvents", "KeyOfSession",
		"Account", "AccountByName", "CreateKey", "KeyByHash", "Keys", "TouchKeys",
		// Bound to an account in both its modes: keys_test.go.
		"KeysOf", "UpdateKey", "KeysEndingCalls",
	}
}

// Other files of this package add their methods to these tables in an init.
var (
	moreReads     = map[string]probe{}
	moreWrites    = map[string]func(t *testing.T, s *store.Store, sc consult.Scope, w world){}
	moreNotScoped []string
)

// probe calls a method in scope sc with the ids of a world of another scope.
// Found says whether it saw anything of that world.
type probe func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (found bool, err error)

func list[T any](v []T, err error) (bool, error) { return len(v) > 0, err }
func one[T any](v *T, err error) (bool, error)   { return v != nil, err }

func touchC(c *consult.Consultation) ([]consult.Event, error) {
	c.Language = "fr"
	return []consult.Event{event(c.Scope, consult.EventConsultationStarted, c.ID)}, nil
}

func touchT(t *consult.Ticket, _ *consult.Consultation) ([]consult.Event, error) {
	t.Language = "fr"
	return []consult.Event{event(t.Scope, consult.EventTicketReady, t.SessionID)}, nil
}

// reads are the methods that must see nothing: NotFound or empty.
func reads() map[string]probe {
	all := map[string]probe{
		"Consultation": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			return one(s.Consultation(ctx, sc, w.c.ID))
		},
		"UpdateConsultation": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			return one(s.UpdateConsultation(ctx, sc, w.c.ID, touchC))
		},
		"FindOpenConsultation": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			return one(s.FindOpenConsultation(ctx, sc, w.c.DoctorID, w.c.PatientID, base))
		},
		"UnfinishedConsultations": func(ctx context.Context, s *store.Store, sc consult.Scope, _ world) (bool, error) {
			return list(s.UnfinishedConsultations(ctx, sc, "", 10))
		},
		"ConsultationLengths": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			return list(s.ConsultationLengths(ctx, sc, w.c.DoctorID, 10))
		},
		"Ticket": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			return one(s.Ticket(ctx, sc, w.t.ID))
		},
		"UpdateTicket": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			t, c, err := s.UpdateTicket(ctx, sc, w.t.ID, touchT)
			return t != nil || c != nil, err
		},
		"TicketBySession": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			return one(s.TicketBySession(ctx, sc, w.c.ID))
		},
		"OpenTickets": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			return list(s.OpenTickets(ctx, sc, w.c.DoctorID))
		},
		"AwayTickets": func(ctx context.Context, s *store.Store, sc consult.Scope, _ world) (bool, error) {
			return list(s.AwayTickets(ctx, sc, base.Add(time.Hour)))
		},
		"Person": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			return one(s.Person(ctx, sc, consult.Patient, w.c.PatientID))
		},
		"AddQuality": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			err := s.AddQuality(ctx, sc, w.p.ID, consult.QualitySummary{Seconds: 1})
			return err == nil, err
		},
		"Qualities": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			got, err := s.Qualities(ctx, sc, w.c.ID)
			return len(got) > 0, err
		},
		"Participations": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			return list(s.Participations(ctx, sc, w.c.ID))
		},
		"LeaveParticipation": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			err := s.LeaveParticipation(ctx, sc, w.p.ID, base, []consult.Event{event(sc, consult.EventParticipantLeft, w.c.ID)})
			return err == nil, err
		},
		"Chat": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			return list(s.Chat(ctx, sc, w.c.ID, 10))
		},
		"KeyByID": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			return one(s.KeyByID(ctx, sc, w.k.ID))
		},
		"TokenEpoch": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			_, err := s.TokenEpoch(ctx, sc, w.c.ID)
			return err == nil, err
		},
		"TokenRevoked": func(ctx context.Context, s *store.Store, sc consult.Scope, _ world) (bool, error) {
			return s.TokenRevoked(ctx, sc, "tok_revoked")
		},
		"Audit": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			return list(s.Audit(ctx, sc, w.c.ID))
		},
		// The rows below name w's consultation under another scope.
		"JoinParticipation": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			p := *w.p
			p.Scope = sc
			err := s.JoinParticipation(ctx, &p, []consult.Event{event(sc, consult.EventParticipantJoined, w.c.ID)})
			return err == nil, err
		},
		"AppendChat": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			err := s.AppendChat(ctx, &consult.ChatMessage{
				ID: consult.NewID(consult.PrefixMessage), Scope: sc, SessionID: w.c.ID, Role: consult.Doctor, Text: "hello", SentAt: base,
			})
			return err == nil, err
		},
		"CreateTicket": func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
			t := newTicket(w.c)
			t.Scope = sc
			got, _, err := s.CreateTicket(ctx, t, []consult.Event{event(sc, consult.EventTicketQueued, w.c.ID)})
			return got != nil, err
		},
	}
	maps.Copy(all, moreReads)
	return all
}

// writes make rows of their own in sc, beside w's and with w's external ids.
func writes() map[string]func(t *testing.T, s *store.Store, sc consult.Scope, w world) {
	all := map[string]func(t *testing.T, s *store.Store, sc consult.Scope, w world){
		"CreateConsultation": func(t *testing.T, s *store.Store, sc consult.Scope, w world) {
			c := newConsultation(sc, w.c.DoctorID, w.c.PatientID)
			c.PatientName = "Somebody else"
			must(t, s.CreateConsultation(t.Context(), c, []consult.Event{event(sc, consult.EventConsultationCreated, c.ID)}))
			addTicket(t, s, c)
			p, err := s.Person(t.Context(), w.sc, consult.Patient, w.c.PatientID)
			must(t, err)
			if p.Name != w.c.PatientName {
				t.Errorf("another scope renamed the patient to %q", p.Name)
			}
		},
		"RevokeToken": func(t *testing.T, s *store.Store, sc consult.Scope, w world) {
			must(t, s.RevokeToken(t.Context(), sc, "tok_good", base, nil))
			revoked, err := s.TokenRevoked(t.Context(), w.sc, "tok_good")
			must(t, err)
			if revoked {
				t.Error("another scope revoked the token")
			}
		},
		"Record": func(t *testing.T, s *store.Store, sc consult.Scope, w world) {
			must(t, s.Record(t.Context(), sc, event(sc, consult.EventEmergencyDetected, w.c.ID)))
		},
		"VerifyAudit": func(t *testing.T, s *store.Store, sc consult.Scope, w world) {
			must(t, s.VerifyAudit(t.Context(), sc))
			must(t, s.VerifyAudit(t.Context(), w.sc))
		},
	}
	maps.Copy(all, moreWrites)
	return all
}

func TestEveryMethodIsBoundToItsScope(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		w := fill(t, s, sc)
		others := map[string]consult.Scope{
			"other mode":    {AccountID: sc.AccountID, Mode: consult.Test},
			"other account": {AccountID: "acc_two", Mode: sc.Mode},
		}
		addKey(t, s, others["other mode"], "two")
		addKey(t, s, others["other account"], "three")
		others["no such account"] = consult.Scope{AccountID: "acc_none", Mode: sc.Mode}
		for name, other := range others {
			was := counts(t, s, other)
			for method, call := range allReads() {
				found, err := call(t.Context(), s, other, w)
				if found || (err != nil && !consult.HasCode(err, consult.NotFound)) {
					t.Errorf("%s from %s: found %v, error %v", method, name, found, err)
				}
				if found, err := call(t.Context(), s, sc, w); !found || err != nil {
					// CreateTicket answers with the open ticket, and so on.
					if !consult.HasCode(err, consult.Conflict) {
						t.Errorf("%s from its own scope: found %v, error %v", method, found, err)
					}
				}
			}
			if now := counts(t, s, other); now != was {
				t.Errorf("reads from %s wrote: %s, then %s", name, was, now)
			}
			if other.AccountID == "acc_none" {
				continue
			}
			before := counts(t, s, sc)
			for _, write := range allWrites() {
				write(t, s, other, w)
			}
			if now := counts(t, s, sc); now != before {
				t.Errorf("writes from %s reached this scope: %s, then %s", name, before, now)
			}
		}
	})
}

// fill makes one row of everything; the consultation stays waiting, beside an
// ended one.
func fill(t *testing.T, s *store.Store, sc consult.Scope) world {
	t.Helper()
	w := world{sc: sc, c: addConsultation(t, s, sc, "doc", "pat")}
	var err error
	w.k, err = s.KeyByID(t.Context(), sc, "key_one")
	must(t, err)
	w.t = addTicket(t, s, w.c)
	_, _, err = s.UpdateTicket(t.Context(), sc, w.t.ID, func(tk *consult.Ticket, _ *consult.Consultation) ([]consult.Event, error) {
		tk.Status, tk.AwayAt = consult.TicketAway, &tk.JoinedAt
		return []consult.Event{event(sc, consult.EventTicketAway, w.c.ID)}, nil
	})
	must(t, err)
	w.p = addParticipation(t, s, w.c, consult.Patient)
	must(t, s.AddQuality(t.Context(), sc, w.p.ID, consult.QualitySummary{Seconds: 1}))
	must(t, s.AppendChat(t.Context(), &consult.ChatMessage{
		ID: consult.NewID(consult.PrefixMessage), Scope: sc, SessionID: w.c.ID, Role: consult.Patient, Text: "hello", SentAt: base,
	}))
	must(t, s.RevokeToken(t.Context(), sc, "tok_revoked", base, []consult.Event{event(sc, consult.EventTokensRevoked, w.c.ID)}))

	past := addConsultation(t, s, sc, "doc", "another")
	_, err = s.UpdateConsultation(t.Context(), sc, past.ID, func(c *consult.Consultation) ([]consult.Event, error) {
		start := base
		c.AdmittedAt, c.StartedAt = &start, &start
		return []consult.Event{event(sc, consult.EventConsultationStarted, c.ID)}, nil
	})
	must(t, err)
	_, err = end(t.Context(), s, past, consult.Ended, consult.EndedByDoctor, base.Add(time.Minute))
	must(t, err)
	return w
}

func TestEveryMethodIsInTheScopeTable(t *testing.T) {
	known := map[string]bool{}
	for m := range allReads() {
		known[m] = true
	}
	for m := range allWrites() {
		known[m] = true
	}
	for _, m := range slices.Concat(notScoped(), moreNotScoped) {
		known[m] = true
	}
	typ := reflect.TypeFor[*store.Store]()
	for i := range typ.NumMethod() {
		if name := typ.Method(i).Name; !known[name] {
			t.Errorf("%s is in no table of this file", name)
		}
	}
}
