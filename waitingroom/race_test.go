package waitingroom

import (
	"cmp"
	"context"
	"errors"
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
	nodes   []*node
	toAdmit int

	mu       sync.Mutex
	admitted map[string]int // by patient, as the doctors were told
	errs     []error
}

func (c *crowd) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs = append(c.errs, err)
}

// insist repeats what a slow database could not do in time, as a client would.
func insist[T any](n *node, do func() (T, error)) (T, error) {
	for {
		v, err := do()
		if !consult.HasCode(err, consult.ServiceUnavailable) || n.ctx.Err() != nil {
			return v, err
		}
	}
}

// patient joins twice at once, opens the page, drops, comes back; every fourth
// leaves. Even ones come by their link, and on two nodes.
func (c *crowd) patient(i int) {
	rng := rand.New(rand.NewPCG(1, uint64(i)))
	id := fmt.Sprintf("pat%d", i)
	some := func() *node { return c.nodes[rng.IntN(len(c.nodes))] }
	first := some()
	r := JoinRequest{DoctorID: "doc", PatientID: id}
	both := []*node{first, first}
	if i%2 == 0 {
		session, err := insist(first, func() (*consult.Consultation, error) {
			return first.calls.Create(first.ctx, scope, apiKey, consult.CreateRequest{DoctorID: "doc", PatientID: id})
		})
		if err != nil {
			c.failed(fmt.Errorf("create: %w", err))
			return
		}
		r, both = JoinRequest{SessionID: session.ID}, c.nodes
	}
	ticket, ok := c.joinTwice(both, r)
	if !ok {
		return
	}
	steps := []func(n *node) (*consult.QueuePlace, error){
		func(n *node) (*consult.QueuePlace, error) { return n.Present(n.ctx, scope, ticket) },
		func(n *node) (*consult.QueuePlace, error) { return n.Away(n.ctx, scope, ticket) },
		func(n *node) (*consult.QueuePlace, error) { return n.Present(n.ctx, scope, ticket) },
		func(n *node) (*consult.QueuePlace, error) { return n.Get(n.ctx, scope, ticket) },
	}
	for _, step := range steps {
		n := some()
		p, err := insist(n, func() (*consult.QueuePlace, error) { return step(n) })
		if err != nil {
			c.failed(fmt.Errorf("step: %w", err))
			return
		}
		if p.Ticket.Status.Open() && p.Position < 1 {
			c.failed(fmt.Errorf("%s is %s and has no place", ticket, p.Ticket.Status))
		}
	}
	if i%4 != 0 {
		return
	}
	n := some()
	_, err := insist(n, func() (*consult.QueuePlace, error) { return n.Leave(n.ctx, scope, apiKey, ticket) })
	if err != nil && !consult.HasCode(err, consult.Conflict) { // admitted first
		c.failed(fmt.Errorf("leave: %w", err))
	}
}

// joinTwice is two pages of one patient joining at once.
func (c *crowd) joinTwice(both []*node, r JoinRequest) (ticket string, ok bool) {
	var ids [2]string
	var errs [2]error
	var twice sync.WaitGroup
	for k, n := range both {
		twice.Go(func() {
			p, err := insist(n, func() (*consult.QueuePlace, error) { return n.Join(n.ctx, scope, apiKey, r) })
			if errs[k] = err; err == nil {
				ids[k] = p.Ticket.ID
			}
		})
	}
	twice.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		c.failed(fmt.Errorf("join: %w", err))
		return "", false
	}
	if ids[0] == ids[1] {
		return ids[0], true
	}
	// Only if the doctor admitted one while the other was being made: then both
	// are of the admitted session.
	for _, id := range ids {
		p, err := insist(both[0], func() (*consult.QueuePlace, error) { return both[0].Get(both[0].ctx, scope, id) })
		if err != nil || p.Ticket.Status != consult.TicketAdmitted {
			c.failed(fmt.Errorf("two tickets for one patient: %w", err))
		}
	}
	return "", false
}

// enough reports whether the doctors may stop.
func (c *crowd) enough() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.admitted) >= c.toAdmit || len(c.errs) > 0
}

// doctor admits whoever is first, whenever the queue changes, until enough have
// been or nobody comes any more.
func (c *crowd) doctor(n *node, over <-chan struct{}) {
	changed := make(chan struct{}, 1)
	defer n.Watch(scope, "doc", func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	for !c.enough() {
		list, err := insist(n, func() ([]consult.QueuePlace, error) { return n.List(n.ctx, scope, "doc") })
		if err != nil {
			c.failed(fmt.Errorf("list: %w", err))
			return
		}
		if !slices.IsSortedFunc(list, func(a, b consult.QueuePlace) int { return cmp.Compare(a.Ticket.Rank, b.Ticket.Rank) }) {
			c.failed(errors.New("list out of order"))
		}
		if len(list) == 0 {
			select {
			case <-changed:
				continue
			case <-over:
				return
			case <-n.ctx.Done():
				return
			}
		}
		p, err := insist(n, func() (*consult.QueuePlace, error) { return n.Admit(n.ctx, scope, doctor, list[0].Ticket.ID) })
		if err == nil {
			c.mu.Lock()
			c.admitted[p.Ticket.PatientID]++
			c.mu.Unlock()
		} else if !consult.HasCode(err, consult.Conflict) { // left first
			c.failed(fmt.Errorf("admit: %w", err))
			return
		}
	}
}

// flusher loses the whole Redis, or doubts the queue, at every tenth change.
func (c *crowd) flusher(n *node, over <-chan struct{}) {
	changed := make(chan struct{}, 1)
	defer n.Watch(scope, "doc", func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	for i := 0; ; i++ {
		select {
		case <-changed:
		case <-over:
			return
		case <-n.ctx.Done():
			return
		}
		switch i % 10 {
		case 4:
			n.doubt(n.ctx, queue{scope, "doc"})
		case 9:
			if err := n.redis.Client().FlushDB(n.ctx).Err(); err != nil {
				c.failed(fmt.Errorf("flush: %w", err))
			}
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
	t.Run("SQLite", func(t *testing.T) { hundredsAtOnce(t, newClinic(t), 25, true) })
}

func hundredsAtOnce(t *testing.T, c *clinic, patients int, flush bool) {
	srv := redistest.Start(t)
	book := &ledger{counts: make(map[string]map[consult.EventType]int), ranks: make(map[int64]string)}
	a := c.node(srv.URL(), func(s Store) Store { book.Store = s; return book })
	b := c.node(srv.URL(), func(Store) Store { return book })
	cr := &crowd{nodes: []*node{a, b}, toAdmit: patients * 2 / 5, admitted: make(map[string]int)}
	var people, others sync.WaitGroup
	over := make(chan struct{})
	for i := range patients {
		people.Go(func() { cr.patient(i) })
	}
	for _, n := range []*node{a, b, a, b} {
		others.Go(func() { cr.doctor(n, over) })
	}
	if flush {
		others.Go(func() { cr.flusher(a, over) })
	}
	people.Wait()
	close(over)
	others.Wait()
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
	if len(cr.admitted) < cr.toAdmit {
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
