package waitingroom

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/cluster/redistest"
	"github.com/chatmed/chatmed/internal/consult"
)

// hooked runs code of a test at the points where a rebuild or a write can be
// overtaken. Each hook runs once.
type hooked struct {
	Store
	mu sync.Mutex
	// afterRead runs when OpenTickets has its answer.
	afterRead func()
	// afterCommit runs when a write has been committed and not yet applied.
	afterCommit func()
}

func (h *hooked) take(f *func()) {
	h.mu.Lock()
	run := *f
	*f = nil
	h.mu.Unlock()
	if run != nil {
		run()
	}
}

func (h *hooked) set(f *func(), run func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*f = run
}

func (h *hooked) OpenTickets(ctx context.Context, sc consult.Scope, doctorID string) ([]consult.Ticket, error) {
	t, err := h.Store.OpenTickets(ctx, sc, doctorID)
	h.take(&h.afterRead)
	return t, err
}

func (h *hooked) CreateTicket(ctx context.Context, t *consult.Ticket, ev []consult.Event) (*consult.Ticket, bool, error) {
	got, created, err := h.Store.CreateTicket(ctx, t, ev)
	h.take(&h.afterCommit)
	return got, created, err
}

func (h *hooked) UpdateTicket(ctx context.Context, sc consult.Scope, id string,
	change func(*consult.Ticket, *consult.Consultation) ([]consult.Event, error),
) (*consult.Ticket, *consult.Consultation, error) {
	t, c, err := h.Store.UpdateTicket(ctx, sc, id, change)
	h.take(&h.afterCommit)
	return t, c, err
}

// flushed empties the whole Redis behind n.
func (n *node) flush() {
	n.tb.Helper()
	if err := n.redis.Client().FlushDB(n.ctx).Err(); err != nil {
		n.tb.Fatal(err)
	}
}

// twoNodes are two servers over one database and one Redis; the first reaches
// the database through the hooks.
func twoNodes(t *testing.T) (a, b *node, h *hooked, srv *redistest.Server) {
	t.Helper()
	srv = redistest.Start(t)
	c := newClinic(t)
	h = &hooked{}
	a = c.node(srv.URL(), func(s Store) Store { h.Store = s; return h })
	return a, c.node(srv.URL(), nil), h, srv
}

func (n *node) wantOrder(want []string) {
	n.tb.Helper()
	if got := n.order(); !slices.Equal(got, want) {
		n.tb.Errorf("order %v, want %v", got, want)
	}
	for i, id := range want {
		if p := n.get(id); p.Position != i+1 {
			n.tb.Errorf("ticket %d has position %d", i, p.Position)
		}
	}
}

func TestTenWaitWhileRedisIsLost(t *testing.T) {
	for name, lose := range map[string]func(*redistest.Server){
		"flushed": (*redistest.Server).Flush, "restarted": (*redistest.Server).Restart,
	} {
		t.Run(name, func(t *testing.T) {
			a, b, _, srv := twoNodes(t)
			ids := a.patients(10)
			a.must(a.Present(a.ctx, scope, ids[4]))
			lose(srv)
			// The connections of the pool that broke may cost one read from SQL;
			// both ways must give the same order.
			a.wantOrder(ids)
			b.wantOrder(ids)
			a.eventually("the queue is in Redis again", func() bool {
				snap, err := a.live.list(a.ctx, queue{scope, "doc"})
				if err != nil {
					_ = a.order()
					return false
				}
				return len(snap.tickets) == 10 && snap.tickets[4].Status == consult.TicketReady
			})
			b.wantOrder(append(ids, b.patient("late").Ticket.ID))
		})
	}
}

func TestEachKeyMayBeEvicted(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		ids := n.patients(4)
		n.must(n.Leave(n.ctx, scope, apiKey, ids[3]))
		for _, key := range (queue{scope, "doc"}).keys() {
			if err := n.redis.Client().Del(n.ctx, key).Err(); err != nil {
				t.Fatal(err)
			}
			n.wantOrder(ids[:3])
			if err := n.redis.Client().Del(n.ctx, key).Err(); err != nil {
				t.Fatal(err)
			}
			n.must(n.Present(n.ctx, scope, ids[1]))
			n.must(n.Away(n.ctx, scope, ids[1]))
			n.wantOrder(ids[:3])
		}
	})
}

func TestTheRoomWorksWithoutRedis(t *testing.T) {
	srv := redistest.Start(t)
	n := newClinic(t).node(srv.URL(), nil)
	ids := n.patients(3)
	told := make(chan struct{}, 100)
	defer n.Watch(scope, "doc", func() { told <- struct{}{} })()
	receive(n, told) // it is being watched

	srv.Stop()
	ids = append(ids, n.patient("late").Ticket.ID, n.patient("later").Ticket.ID)
	receive(n, told) // this node's watchers hear without the bus
	n.wantOrder(ids)
	n.must(n.Present(n.ctx, scope, ids[1]))
	n.must(n.Admit(n.ctx, scope, doctor, ids[0]))
	n.must(n.Leave(n.ctx, scope, apiKey, ids[3]))
	ids = []string{ids[1], ids[2], ids[4]}
	n.wantOrder(ids)

	srv.Restart()
	n.eventually("Redis is used again", func() bool {
		_, err := n.live.list(n.ctx, queue{scope, "doc"})
		if err != nil {
			_ = n.order()
		}
		return err == nil
	})
	n.wantOrder(ids)
	n.wantOrder(append(ids, n.patient("last").Ticket.ID))
}

func TestAWriteThatRedisMissedIsMadeGood(t *testing.T) {
	a, b, _, srv := twoNodes(t)
	ids := a.patients(4)
	b.wantOrder(ids)
	srv.Pause() // hangs, and keeps what it knew
	a.must(a.Leave(a.ctx, scope, apiKey, ids[1]))
	a.wantOrder([]string{ids[0], ids[2], ids[3]}) // from SQL
	srv.Resume()
	a.eventually("the other node sees it", func() bool {
		if err := a.Sweep(a.ctx); err != nil {
			t.Fatal(err)
		}
		return len(b.order()) == 3
	})
	b.wantOrder([]string{ids[0], ids[2], ids[3]})
}

// TestRebuildOvertaken lets another node change the queue after a rebuild has
// read SQL and before it loads Redis.
func TestRebuildOvertaken(t *testing.T) {
	for _, tt := range []struct {
		name string
		// meanwhile returns the order that must come out.
		meanwhile func(b *node, ids []string) []string
	}{
		{"by a join", func(b *node, ids []string) []string {
			return append(ids, b.patient("late").Ticket.ID)
		}},
		{"by one who leaves", func(b *node, ids []string) []string {
			b.must(b.Leave(b.ctx, scope, apiKey, ids[1]))
			return []string{ids[0], ids[2]}
		}},
		{"by one who leaves, and a flush", func(b *node, ids []string) []string {
			b.must(b.Leave(b.ctx, scope, apiKey, ids[1]))
			b.flush()
			return []string{ids[0], ids[2]}
		}},
		{"by one who leaves, and another rebuild", func(b *node, ids []string) []string {
			b.must(b.Leave(b.ctx, scope, apiKey, ids[1]))
			b.wantOrder([]string{ids[0], ids[2]})
			return []string{ids[0], ids[2]}
		}},
		{"by a join, and another rebuild", func(b *node, ids []string) []string {
			ids = append(ids, b.patient("late").Ticket.ID)
			b.doubt(b.ctx, queue{scope, "doc"})
			b.wantOrder(ids)
			return ids
		}},
		{"by an admission and the patient joining again", func(b *node, ids []string) []string {
			b.must(b.Leave(b.ctx, scope, apiKey, ids[0]))
			return []string{ids[1], ids[2], b.patient("pat0").Ticket.ID}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b, h, _ := twoNodes(t)
			ids := a.patients(3)
			a.flush()
			want := ids
			h.set(&h.afterRead, func() { want = tt.meanwhile(b, slices.Clone(ids)) })
			_ = a.order() // as it was at some moment
			a.wantOrder(want)
			b.wantOrder(want)
			b.flush()
			b.wantOrder(want) // and SQL agrees
		})
	}
}

// TestApplyOvertaken lets another node act between a commit and its arrival in
// Redis.
func TestApplyOvertaken(t *testing.T) {
	a, b, h, _ := twoNodes(t)
	ids := a.patients(2)

	t.Run("a new ticket, flushed and left", func(t *testing.T) {
		h.set(&h.afterCommit, func() {
			b.flush()
			list, err := b.List(b.ctx, scope, "doc")
			if err != nil || len(list) != 3 {
				t.Fatalf("%v, %v", list, err)
			}
			b.must(b.Leave(b.ctx, scope, apiKey, list[2].Ticket.ID))
			b.flush()
			b.wantOrder(ids)
		})
		if p := a.patient("gone"); p.Position != 0 || p.Ticket.Status != consult.TicketLeft {
			t.Errorf("a ticket left before its arrival: %+v", p)
		}
		a.wantOrder(ids)
	})
	t.Run("a new ticket, rebuilt before it was committed", func(t *testing.T) {
		h.set(&h.afterRead, nil)
		// b's rebuild reads SQL before a commits, and loads before a applies.
		bh := &hooked{Store: b.store}
		b.store = bh
		h.set(&h.afterCommit, nil)
		b.doubt(b.ctx, queue{scope, "doc"})
		var late string
		bh.set(&bh.afterRead, func() {
			h.set(&h.afterCommit, func() {})
			late = a.patient("late").Ticket.ID
		})
		_ = b.order()
		ids = append(ids, late)
		b.wantOrder(ids)
		a.wantOrder(ids)
	})
	t.Run("an older state arrives last", func(t *testing.T) {
		h.set(&h.afterCommit, func() {
			b.must(b.Away(b.ctx, scope, ids[0]))
		})
		a.must(a.Present(a.ctx, scope, ids[0]))
		list, err := b.List(b.ctx, scope, "doc")
		if err != nil || list[0].Ticket.Status != consult.TicketAway {
			t.Errorf("%+v, %v", list, err)
		}
	})
	t.Run("an unknown ticket of an old epoch", func(t *testing.T) {
		tk, err := a.store.Ticket(a.ctx, scope, ids[1])
		if err != nil {
			t.Fatal(err)
		}
		b.must(b.Leave(b.ctx, scope, apiKey, ids[1]))
		b.doubt(b.ctx, queue{scope, "doc"})
		_ = b.order() // the tombstone is gone
		if err := a.apply(a.ctx, tk, "", -1); err != nil {
			t.Fatal(err)
		}
		b.wantOrder([]string{ids[0], ids[2]})
	})
}

// TestANodeDiesBeforeItApplies writes to SQL alone.
func TestANodeDiesBeforeItApplies(t *testing.T) {
	c := newClinic(t)
	n := c.node("", nil)
	ids := n.patients(3)
	n.wantOrder(ids)
	_, _, err := c.db.UpdateTicket(c.ctx, scope, ids[0], func(tk *consult.Ticket, _ *consult.Consultation) ([]consult.Event, error) {
		now := n.clock()
		_, err := leave(tk, now)
		return []consult.Event{ticketEvent(tk, apiKey, now)}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if p := n.get(ids[0]); p.Position != 0 {
		t.Errorf("a ticket that has left stands at %d", p.Position)
	}
	_, _, err = c.db.UpdateTicket(c.ctx, scope, ids[1], func(tk *consult.Ticket, _ *consult.Consultation) ([]consult.Event, error) {
		now := n.clock()
		_, err := present(tk, now)
		return []consult.Event{ticketEvent(tk, apiKey, now)}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	n.get(ids[1]) // whoever reads one ticket brings it up
	list, err := n.List(n.ctx, scope, "doc")
	if err != nil || list[1].Ticket.Status != consult.TicketReady {
		t.Errorf("%+v, %v", list, err)
	}
	// The marker's end makes good the rest.
	if err := n.redis.Client().Del(n.ctx, queue{scope, "doc"}.keys()[3]).Err(); err != nil {
		t.Fatal(err)
	}
	n.wantOrder(ids[1:])
}

func TestTheMarkerExpires(t *testing.T) {
	n := newClinic(t).node("", nil)
	n.live.recheck = time.Minute
	n.patients(1)
	n.doubt(n.ctx, queue{scope, "doc"})
	_ = n.order()
	ttl, err := n.redis.Client().PTTL(n.ctx, queue{scope, "doc"}.keys()[3]).Result()
	if err != nil || ttl <= 0 || ttl > time.Minute {
		t.Errorf("the marker lives for %v, %v", ttl, err)
	}
}

func TestAConsultationClosedElsewhere(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		ids := n.patients(3)
		cancel := func(id string) {
			if _, err := n.calls.Cancel(n.ctx, scope, n.get(id).Ticket.SessionID, apiKey, consult.CancelledByCaller); err != nil {
				t.Fatal(err)
			}
		}
		cancel(ids[0])
		if err := n.SessionClosed(n.ctx, scope, n.get(ids[0]).Ticket.SessionID); err != nil {
			t.Fatal(err)
		}
		n.wantOrder(ids[1:])

		lengths := make(chan int, 100)
		defer n.Watch(scope, "doc", func() {
			if list, err := n.List(n.ctx, scope, "doc"); err == nil {
				lengths <- len(list)
			}
		})()
		receive(n, lengths) // it is being watched
		cancel(ids[1])
		receiveUntil(n, lengths, 1)
		n.wantOrder(ids[2:])
		if err := n.SessionClosed(n.ctx, scope, "vs_none"); err != nil {
			t.Error(err)
		}
	})
}
