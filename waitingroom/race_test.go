package waitingroom

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/chatmed/chatmed/internal/cluster/redistest"
	"github.com/chatmed/chatmed/internal/consult"
)

// ledger counts what the store has committed.
type ledger struct {
	Store
	mu     sync.Mutex
	counts map[string]map[consult.EventType]int // by patient
	ranks  map[int64]string                     // rank → ticket
	again  int                                  // ranks given twice
}

func (l *ledger) note(t *consult.Ticket, events []consult.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.counts[t.PatientID]
	if m == nil {
		m = make(map[consult.EventType]int)
		l.counts[t.PatientID] = m
	}
	for _, e := range events {
		m[e.Type]++
	}
}

func (l *ledger) CreateTicket(ctx context.Context, t *consult.Ticket, ev []consult.Event) (*consult.Ticket, bool, error) {
	got, created, err := l.Store.CreateTicket(ctx, t, ev)
	if created {
		l.note(got, ev)
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, taken := l.ranks[got.Rank]; taken {
			l.again++
		}
		l.ranks[got.Rank] = got.ID
	}
	return got, created, err
}

func (l *ledger) UpdateTicket(ctx context.Context, sc consult.Scope, id string,
	change func(*consult.Ticket, *consult.Consultation) ([]consult.Event, error),
) (*consult.Ticket, *consult.Consultation, error) {
	var events []consult.Event
	t, c, err := l.Store.UpdateTicket(ctx, sc, id, func(t *consult.Ticket, c *consult.Consultation) (ev []consult.Event, err error) {
		events, err = change(t, c)
		return events, err
	})
	if err == nil {
		l.note(t, events)
	}
	return t, c, err
}

// crowd is hundreds of people using a waiting room at once.
type crowd struct {
	t     *testing.T
	nodes []*node
	wg    sync.WaitGroup
	mu    sync.Mutex
	// What each person did last, as they were told.
	admitted, left map[string]int
	errs           []error
}

func (c *crowd) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs = append(c.errs, err)
}

// patient joins twice at once, opens the page, drops, comes back; every fourth
// leaves. Even ones come by their link, and on two nodes.
func (c *crowd) patient(i int) {
	rng := rand.New(rand.NewPCG(1, uint64(i)))
	id := fmt.Sprintf("pat%d", i)
	r := JoinRequest{DoctorID: "doc", PatientID: id}
	some := func() *node { return c.nodes[rng.IntN(len(c.nodes))] }
	first := some()
	both := []*node{first, first}
	if i%2 == 0 {
		session, err := first.calls.Create(first.ctx, scope, apiKey, consult.CreateRequest{DoctorID: "doc", PatientID: id})
		if err != nil {
			c.failed(fmt.Errorf("create: %w", err))
			return
		}
		r, both = JoinRequest{SessionID: session.ID}, c.nodes
	}
	var ids [2]string
	var twice sync.WaitGroup
	for k, n := range both {
		twice.Go(func() {
			p, err := n.Join(n.ctx, scope, apiKey, r)
			if err != nil {
				c.failed(fmt.Errorf("join: %w", err))
				return
			}
			ids[k] = p.Ticket.ID
		})
	}
	twice.Wait()
	if ids[0] != ids[1] {
		// Only if the doctor admitted one while the other was being made: then
		// both are of the admitted session.
		for _, ticket := range ids {
			if p, err := first.Get(first.ctx, scope, ticket); err != nil || p.Ticket.Status != consult.TicketAdmitted {
				c.failed(fmt.Errorf("two tickets for one patient: %v", err))
			}
		}
		return
	}
	steps := []func(n *node) (*consult.QueuePlace, error){
		func(n *node) (*consult.QueuePlace, error) { return n.Present(n.ctx, scope, ids[0]) },
		func(n *node) (*consult.QueuePlace, error) { return n.Away(n.ctx, scope, ids[0]) },
		func(n *node) (*consult.QueuePlace, error) { return n.Present(n.ctx, scope, ids[0]) },
		func(n *node) (*consult.QueuePlace, error) { return n.Get(n.ctx, scope, ids[0]) },
	}
	for _, step := range steps {
		p, err := step(some())
		if err != nil {
			c.failed(fmt.Errorf("step: %w", err))
			return
		}
		if p.Ticket.Status.Open() && p.Position < 1 {
			c.failed(fmt.Errorf("%s is %s and has no place", ids[0], p.Ticket.Status))
		}
	}
	if i%4 != 0 {
		return
	}
	n := some()
	p, err := n.Leave(n.ctx, scope, apiKey, ids[0])
	switch {
	case err == nil && p.Ticket.Status == consult.TicketLeft:
		c.mu.Lock()
		c.left[id]++
		c.mu.Unlock()
	case !consult.HasCode(err, consult.Conflict): // admitted first
		c.failed(fmt.Errorf("leave: %w", err))
	}
}

// doctor admits whoever is first, until enough have been.
func (c *crowd) doctor(n *node, enough int) {
	for {
		c.mu.Lock()
		done := len(c.admitted) >= enough || len(c.errs) > 0
		c.mu.Unlock()
		if done || n.ctx.Err() != nil {
			return
		}
		list, err := n.List(n.ctx, scope, "doc")
		if err != nil {
			c.failed(fmt.Errorf("list: %w", err))
			return
		}
		if !slices.IsSortedFunc(list, func(a, b consult.QueuePlace) int { return int(a.Ticket.Rank - b.Ticket.Rank) }) {
			c.failed(fmt.Errorf("list out of order"))
		}
		if len(list) == 0 {
			continue
		}
		p, err := n.Admit(n.ctx, scope, doctor, list[0].Ticket.ID)
		switch {
		case err == nil && p.Ticket.Status == consult.TicketAdmitted:
			c.mu.Lock()
			c.admitted[p.Ticket.PatientID]++
			c.mu.Unlock()
		case !consult.HasCode(err, consult.Conflict): // left first
			c.failed(fmt.Errorf("admit: %w", err))
			return
		}
	}
}

func TestHundredsAtOnce(t *testing.T) {
	memoryClinic := func(t *testing.T) *clinic {
		c := emptyClinic(t)
		c.db = newMemory()
		return c
	}
	t.Run("calm", func(t *testing.T) { hundredsAtOnce(t, memoryClinic(t), 200, false) })
	t.Run("Redis flushed all the time", func(t *testing.T) { hundredsAtOnce(t, memoryClinic(t), 200, true) })
	t.Run("SQLite", func(t *testing.T) { hundredsAtOnce(t, newClinic(t), 30, true) })
}

func hundredsAtOnce(t *testing.T, c *clinic, patients int, flush bool) {
	enough := patients * 2 / 5
	srv := redistest.Start(t)
	book := &ledger{counts: make(map[string]map[consult.EventType]int), ranks: make(map[int64]string)}
	wrap := func(s Store) Store { book.Store = s; return book }
	a := c.node(srv.URL(), wrap)
	b := c.node(srv.URL(), func(Store) Store { return book })
	cr := &crowd{t: t, nodes: []*node{a, b}, admitted: make(map[string]int), left: make(map[string]int)}
	for i := range patients {
		cr.wg.Go(func() { cr.patient(i) })
	}
	for _, n := range []*node{a, b, a, b} {
		cr.wg.Go(func() { cr.doctor(n, enough) })
	}
	stop := make(chan struct{})
	var chaos sync.WaitGroup
	chaos.Go(func() {
		for flush {
			select {
			case <-stop:
				return
			default:
			}
			// Rebuilds all the time, sometimes from nothing.
			a.doubt(a.ctx, queue{scope, "doc"})
			if _, err := b.List(b.ctx, scope, "doc"); err != nil {
				cr.failed(err)
			}
			if err := a.redis.Client().FlushDB(a.ctx).Err(); err != nil {
				cr.failed(err)
			}
			if _, err := a.List(a.ctx, scope, "doc"); err != nil {
				cr.failed(err)
			}
		}
	})
	cr.wg.Wait()
	close(stop)
	chaos.Wait()
	for _, err := range cr.errs {
		t.Error(err)
	}
	checkLedger(t, book, patients)
	if book.again > 0 && !flush { // a flush forgets ranks that nobody has used yet
		t.Errorf("%d ranks were given twice", book.again)
	}

	truth, err := c.db.OpenTickets(c.ctx, scope, "doc")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{}
	for i := range truth {
		want = append(want, truth[i].ID)
	}
	// Redis as the crowd left it, without another rebuild.
	for _, n := range cr.nodes {
		if got := n.order(); !slices.Equal(got, want) {
			t.Errorf("the queue has %d tickets, SQL %d, or in another order", len(got), len(want))
		}
	}
	if len(cr.admitted) < enough {
		t.Errorf("%d admitted", len(cr.admitted))
	}
}

// checkLedger checks that everyone got in, and that nobody was admitted twice
// or both admitted and gone.
func checkLedger(t *testing.T, book *ledger, patients int) {
	t.Helper()
	if len(book.counts) != patients {
		t.Errorf("%d of %d patients have a ticket", len(book.counts), patients)
	}
	for id, m := range book.counts {
		queued, admitted, left := m[consult.EventTicketQueued], m[consult.EventTicketAdmitted], m[consult.EventTicketLeft]
		in := m[consult.EventConsultationAdmitted]
		once := queued == 1 && admitted+left <= 1 && in == admitted
		// A second page came while the first ticket was being admitted.
		doubled := queued == 2 && admitted == 2 && in == 1 && left == 0
		if !once && !doubled {
			t.Errorf("%s: queued %d, admitted %d (consultation %d), left %d times",
				id, queued, admitted, in, left)
		}
	}
}

// TestArrivalsOfTwoNodesAreInOrder joins one after the other on nodes whose
// clocks differ.
func TestArrivalsOfTwoNodesAreInOrder(t *testing.T) {
	srv := redistest.Start(t)
	c := newClinic(t)
	a, b := c.node(srv.URL(), nil), c.node(srv.URL(), nil)
	var want []string
	for i := range 20 {
		n := a
		if i%2 == 1 {
			n = b
		}
		want = append(want, n.patient(fmt.Sprintf("pat%d", i)).Ticket.ID)
		c.time.add(-5e9) // the other node is five seconds behind
		if i == 10 {
			a.flush()
		}
	}
	a.wantOrder(want)
	b.wantOrder(want)
}
