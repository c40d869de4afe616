package waitingroom

import (
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// TestLoadKeepsWhatCameSinceBegin puts writes between the two halves of a
// rebuild by hand.
func TestLoadKeepsWhatCameSinceBegin(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		q := queue{scope, "doc"}
		ticket := func(id string, rank, version int64, s consult.TicketStatus) *consult.Ticket {
			return &consult.Ticket{ID: id, Scope: scope, DoctorID: "doc", Rank: rank, Version: version, Status: s}
		}
		begin := func() begun {
			t.Helper()
			b, err := n.live.begin(n.ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		load := func(b begun, want bool, tickets ...consult.Ticket) {
			t.Helper()
			if ok, err := n.live.load(n.ctx, q, b, tickets); err != nil || ok != want {
				t.Fatalf("load: %v, %v", ok, err)
			}
		}
		apply := func(tk *consult.Ticket, epoch string, wantUnsure bool) {
			t.Helper()
			if _, unsure, err := n.live.apply(n.ctx, tk, epoch, -1); err != nil || unsure != wantUnsure {
				t.Fatalf("apply: unsure %v, %v", unsure, err)
			}
		}
		shows := func(want ...string) {
			t.Helper()
			snap, err := n.live.list(n.ctx, q)
			if err != nil || len(snap.tickets) != len(want) {
				t.Fatalf("%+v, %v, want %v", snap, err, want)
			}
			for i, id := range want {
				if snap.tickets[i].ID != id {
					t.Errorf("place %d: %s, want %s", i+1, snap.tickets[i].ID, id)
				}
			}
		}
		old := ticket("wt_old", 10, 1, consult.TicketQueued)
		ghost := ticket("wt_ghost", 20, 1, consult.TicketQueued)
		gone := ticket("wt_gone", 30, 1, consult.TicketQueued)
		load(begin(), true, *old, *ghost, *gone)
		shows("wt_old", "wt_ghost", "wt_gone")

		// SQL was read before wt_new came and wt_gone left; wt_ghost left SQL
		// before, and nobody told Redis.
		b := begin()
		apply(ticket("wt_new", 15, 1, consult.TicketQueued), b.epoch, false)
		apply(ticket("wt_gone", 30, 2, consult.TicketLeft), b.epoch, false)
		load(b, true, *old, *gone)
		shows("wt_old", "wt_new")

		// The tombstone of wt_gone still answers a state that was under way.
		apply(gone, b.epoch, false)
		shows("wt_old", "wt_new")

		// The same load again, as after a lost answer, is refused.
		load(b, false, *gone)
		// An unknown ticket with the epoch of before is not believed.
		apply(ticket("wt_ghost", 20, 1, consult.TicketQueued), b.epoch, true)
		shows("wt_old", "wt_new")

		// A rebuild that was doubted meanwhile is refused.
		b = begin()
		if err := n.live.doubt(n.ctx, q); err != nil {
			t.Fatal(err)
		}
		load(b, false, *ghost)
		if _, err := n.live.list(n.ctx, q); err == nil {
			t.Error("a doubted queue was read")
		}
	})
}

func TestAFlushForgetsNoRankInUse(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		p := n.patient("a")
		n.flush()
		n.time.add(-time.Hour)
		rank, _, err := n.enter(n.ctx, queue{scope, "doc"})
		if err != nil || rank <= p.Ticket.Rank {
			t.Errorf("rank %d after %d, %v", rank, p.Ticket.Rank, err)
		}
	})
}

func TestRanksWithoutRedis(t *testing.T) {
	var r ranks
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	q := queue{scope, "doc"}
	first := r.next(q, now, nil)
	if first != now.UnixMicro() {
		t.Errorf("first rank %d", first)
	}
	if got := r.next(q, now.Add(-time.Hour), nil); got <= first {
		t.Errorf("then %d", got)
	}
	ahead := now.Add(time.Hour).UnixMicro()
	if got := r.next(q, now, []consult.Ticket{{Rank: 5}, {Rank: ahead}}); got != ahead+1 {
		t.Errorf("behind an open ticket: %d, want %d", got, ahead+1)
	}
}
