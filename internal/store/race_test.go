package store_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

// racers is how many goroutines contend, over two stores on one database: two
// nodes, or a server and its command line.
const racers = 50

func eachPair(t *testing.T, test func(t *testing.T, nodes [2]*store.Store, sc consult.Scope)) {
	t.Helper()
	eachDatabase(t, func(t *testing.T, db database) {
		nodes := [2]*store.Store{db.open(t), db.open(t)}
		sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
		addKey(t, nodes[0], sc, "one")
		test(t, nodes, sc)
		must(t, nodes[0].VerifyAudit(t.Context(), sc))
	})
}

// race runs fn in every racer at once, under a deadline of its own: waiting for
// fifty others may take longer than one request may.
func race(t *testing.T, nodes [2]*store.Store, fn func(ctx context.Context, s *store.Store, i int) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var g errgroup.Group
	start := make(chan struct{})
	for i := range racers {
		g.Go(func() error {
			<-start
			return fn(ctx, nodes[i%2], i)
		})
	}
	close(start)
	must(t, g.Wait())
}

func TestOnlyOneOpenTicketPerPatientAndDoctor(t *testing.T) {
	eachPair(t, func(t *testing.T, nodes [2]*store.Store, sc consult.Scope) {
		sessions := []*consult.Consultation{
			addConsultation(t, nodes[0], sc, "doc", "pat"), addConsultation(t, nodes[0], sc, "doc", "pat"),
		}
		var made atomic.Int64
		var mu sync.Mutex
		seen := map[string]bool{}
		race(t, nodes, func(ctx context.Context, s *store.Store, i int) error {
			c := sessions[i/2%2]
			got, created, err := s.CreateTicket(ctx, newTicket(c), []consult.Event{event(sc, consult.EventTicketQueued, c.ID)})
			if err != nil {
				return err
			}
			if created {
				made.Add(1)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[got.ID] = true
			return nil
		})
		open, err := nodes[0].OpenTickets(t.Context(), sc, "doc")
		must(t, err)
		events := len(eventTypes(t, nodes[0], sessions[0].ID)) + len(eventTypes(t, nodes[0], sessions[1].ID))
		if made.Load() != 1 || len(seen) != 1 || len(open) != 1 || events != 3 {
			t.Errorf("%d made, %d seen, %d open, %d events", made.Load(), len(seen), len(open), events)
		}
	})
}

func TestConcurrentUpdatesLoseNothing(t *testing.T) {
	eachPair(t, func(t *testing.T, nodes [2]*store.Store, sc consult.Scope) {
		c := addConsultation(t, nodes[0], sc, "doc", "pat")
		tk := addTicket(t, nodes[0], c)
		race(t, nodes, func(ctx context.Context, s *store.Store, i int) error {
			if i%4 < 2 { // both kinds of writer on both nodes
				_, err := s.UpdateConsultation(ctx, sc, c.ID, func(c *consult.Consultation) ([]consult.Event, error) {
					c.TokenEpoch++
					return []consult.Event{event(sc, consult.EventTokensRevoked, c.ID)}, nil
				})
				return err
			}
			_, _, err := s.UpdateTicket(ctx, sc, tk.ID, func(tk *consult.Ticket, c *consult.Consultation) ([]consult.Event, error) {
				tk.Rank++
				c.TokenEpoch++
				return []consult.Event{event(sc, consult.EventTicketReady, c.ID)}, nil
			})
			return err
		})
		gotC, err := nodes[0].Consultation(t.Context(), sc, c.ID)
		must(t, err)
		gotT, err := nodes[0].Ticket(t.Context(), sc, tk.ID)
		must(t, err)
		ticketWriters := int64(0)
		for i := range racers {
			if i%4 >= 2 {
				ticketWriters++
			}
		}
		wantRank, wantVersion := tk.Rank+ticketWriters, tk.Version+ticketWriters
		if gotC.TokenEpoch != racers || gotT.Rank != wantRank || gotT.Version != wantVersion {
			t.Errorf("epoch %d, rank %d (want %d), version %d (want %d)", gotC.TokenEpoch, gotT.Rank, wantRank, gotT.Version, wantVersion)
		}
		if n := len(eventTypes(t, nodes[0], c.ID)); n != racers+2 {
			t.Errorf("%d events, want %d", n, racers+2)
		}
	})
}

// Tickets and people arriving while the consultation is cancelled either come
// before, and are closed by it, or are refused.
func TestNothingStaysOpenInAFinalConsultation(t *testing.T) {
	eachPair(t, func(t *testing.T, nodes [2]*store.Store, sc consult.Scope) {
		c := addConsultation(t, nodes[0], sc, "doc", "pat")
		race(t, nodes, func(ctx context.Context, s *store.Store, i int) error {
			var err error
			switch {
			case i == racers/2:
				_, err = end(ctx, s, c, consult.Cancelled, consult.CancelledByCaller, base)
			case i%2 == 0:
				tk := newTicket(c)
				tk.PatientID = fmt.Sprintf("pat_%d", i)
				_, _, err = s.CreateTicket(ctx, tk, []consult.Event{event(sc, consult.EventTicketQueued, c.ID)})
			default:
				err = s.JoinParticipation(ctx, newParticipation(c, consult.Guest), []consult.Event{event(sc, consult.EventParticipantJoined, c.ID)})
			}
			if consult.HasCode(err, consult.Conflict) {
				return nil
			}
			return err
		})
		open, err := nodes[1].OpenTickets(t.Context(), sc, "doc")
		must(t, err)
		if len(open) != 0 {
			t.Errorf("%d tickets are open", len(open))
		}
		all, err := nodes[1].Participations(t.Context(), sc, c.ID)
		must(t, err)
		for _, p := range all {
			if p.LeftAt == nil {
				t.Errorf("%s has not left", p.ID)
			}
		}
	})
}

// Two tickets that change places make two transactions wait for each other's
// consultation; PostgreSQL breaks one, which must run again.
func TestPostgresDeadlockIsRetried(t *testing.T) {
	db := onPostgres(t)
	s := db.open(t)
	sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
	addKey(t, s, sc, "one")
	a, b := addConsultation(t, s, sc, "doc", "pat_a"), addConsultation(t, s, sc, "doc", "pat_b")
	var g errgroup.Group
	var calls atomic.Int64
	var both sync.WaitGroup
	both.Add(2)
	swap := func(tk *consult.Ticket, to string) func() error {
		first := true
		return func() error {
			_, _, err := s.UpdateTicket(t.Context(), sc, tk.ID, func(tk *consult.Ticket, _ *consult.Consultation) ([]consult.Event, error) {
				calls.Add(1)
				if first { // both hold their own consultation before either asks for the other's
					first = false
					both.Done()
					both.Wait()
				}
				tk.SessionID = to
				return []consult.Event{event(sc, consult.EventTicketReady, to)}, nil
			})
			return err
		}
	}
	g.Go(swap(addTicket(t, s, a), b.ID))
	g.Go(swap(addTicket(t, s, b), a.ID))
	must(t, g.Wait())
	if n := calls.Load(); n < 3 { // twice, and once again for the one that was broken off
		t.Errorf("change ran %d times", n)
	}
}
