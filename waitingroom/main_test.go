package waitingroom

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chatmed/chatmed/internal/cluster"
	"github.com/chatmed/chatmed/internal/cluster/redistest"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	scope  = consult.Scope{AccountID: "acc_1", Mode: consult.Test}
	apiKey = consult.Actor{Kind: consult.ActorKey, ID: "key_1"}
	doctor = consult.Actor{Kind: consult.ActorParticipant, ID: "doc", Role: consult.Doctor}
)

// testClock is a time that only tests move.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// database is what both kinds of store are.
type database interface {
	consult.Store
	Store
}

// clinic is a database, and nodes of a waiting room over it.
type clinic struct {
	tb   testing.TB
	ctx  context.Context
	db   database
	time *testClock
	log  *slog.Logger
}

// newClinic is a clinic on SQLite.
func newClinic(tb testing.TB) *clinic {
	tb.Helper()
	c := emptyClinic(tb)
	db, err := store.Open(c.ctx, "", tb.TempDir(), c.log)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	c.db = db
	key := &consult.APIKey{
		ID: "key_1", Scope: scope, UserID: "usr_1", Plan: consult.PlanStarter, Hash: make([]byte, 32),
		CreatedAt: c.time.Now(),
	}
	acc := &consult.Account{ID: scope.AccountID, Name: "clinic", CreatedAt: c.time.Now()}
	if err := db.CreateKey(c.ctx, acc, key, nil); err != nil {
		tb.Fatal(err)
	}
	return c
}

// emptyClinic is a clinic without a database.
func emptyClinic(tb testing.TB) *clinic {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	tb.Cleanup(cancel)
	c := &clinic{
		tb: tb, ctx: ctx, log: slog.New(slog.DiscardHandler),
		time: &testClock{now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)},
	}
	return c
}

// node is one server's waiting room.
type node struct {
	*Service
	*clinic
	redis *cluster.Redis
	calls *consult.Service
}

// node starts a node on the Redis at url; "" is one inside the process. wrap
// may put something between the waiting room and the store.
func (c *clinic) node(url string, wrap func(Store) Store) *node {
	c.tb.Helper()
	rdb, err := cluster.Open(c.ctx, url, time.Now, c.log)
	if err != nil {
		c.tb.Fatal(err)
	}
	c.tb.Cleanup(func() { _ = rdb.Close() }) // its server may be stopped already
	calls := consult.NewService(c.db, rdb.Bus(), c.time.Now, c.log)
	var st Store = c.db
	if wrap != nil {
		st = wrap(st)
	}
	s := New(st, rdb.Client(), rdb.Bus(), calls, c.time.Now, Config{RecheckEvery: time.Hour}, c.log)
	c.tb.Cleanup(s.Close)
	return &node{Service: s, clinic: c, redis: rdb, calls: calls}
}

// onBoth runs a test on a Redis inside the process and on a real one.
func onBoth(t *testing.T, run func(t *testing.T, n *node)) {
	t.Run("in process", func(t *testing.T) { run(t, newClinic(t).node("", nil)) })
	t.Run("redis-server", func(t *testing.T) {
		run(t, newClinic(t).node(redistest.Start(t).URL(), nil))
	})
}

func (n *node) join(r JoinRequest) *consult.QueuePlace {
	n.tb.Helper()
	p, err := n.Join(n.ctx, scope, apiKey, r)
	if err != nil {
		n.tb.Fatal(err)
	}
	return p
}

func (n *node) patient(id string) *consult.QueuePlace {
	n.tb.Helper()
	n.time.add(time.Second)
	return n.join(JoinRequest{DoctorID: "doc", PatientID: id})
}

func (n *node) patients(count int) []string {
	n.tb.Helper()
	ids := make([]string, count)
	for i := range ids {
		ids[i] = n.patient(fmt.Sprintf("pat%d", i)).Ticket.ID
	}
	return ids
}

func (n *node) order() []string {
	n.tb.Helper()
	list, err := n.List(n.ctx, scope, "doc")
	if err != nil {
		n.tb.Fatal(err)
	}
	ids := []string{}
	for i, p := range list {
		if p.Position != i+1 {
			n.tb.Errorf("entry %d has position %d", i, p.Position)
		}
		ids = append(ids, p.Ticket.ID)
	}
	return ids
}

func (n *node) get(id string) *consult.QueuePlace {
	n.tb.Helper()
	p, err := n.Get(n.ctx, scope, id)
	if err != nil {
		n.tb.Fatal(err)
	}
	return p
}

// must fails the test for an error of a call whose place does not matter.
func (n *node) must(_ *consult.QueuePlace, err error) {
	n.tb.Helper()
	if err != nil {
		n.tb.Fatal(err)
	}
}

// wantConflict checks an error's code and reason.
func wantConflict(t *testing.T, err error, reason string) {
	t.Helper()
	if e := consult.AsError(err); err == nil || e.Code != consult.Conflict || e.Reason != reason {
		t.Errorf("error %v, want conflict with reason %s", err, reason)
	}
}

// eventually waits for a condition that goroutines bring about.
func (n *node) eventually(what string, ok func() bool) {
	n.tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-n.ctx.Done():
			n.tb.Fatalf("never happened: %s", what)
		case <-tick.C:
		}
	}
}

// receive waits for a value.
func receive[T any](n *node, from <-chan T) T {
	n.tb.Helper()
	select {
	case v := <-from:
		return v
	case <-n.ctx.Done():
		n.tb.Fatal("nothing came")
		var none T
		return none
	}
}

// receiveUntil waits for that value.
func receiveUntil[T comparable](n *node, from <-chan T, want T) {
	n.tb.Helper()
	for receive(n, from) != want {
	}
}
