package signaling

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/cluster"
	"github.com/chatmed/chatmed/internal/cluster/redistest"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
	"github.com/chatmed/chatmed/waitingroom"
)

// deafBus is a node's bus that can be made to hear nothing.
type deafBus struct {
	consult.Bus
	deaf atomic.Bool
}

func (b *deafBus) Subscribe(topic string, fn func([]byte)) func() {
	return b.Bus.Subscribe(topic, func(p []byte) {
		if !b.deaf.Load() {
			fn(p)
		}
	})
}

// twoNodes are two servers with real tokens over one database and one Redis.
// Their clock is the machine's: within a second means within a second.
type twoNodes struct {
	recordable bool // what is created may be recorded
	t          *testing.T
	scope      consult.Scope
	store      *store.Store
	nodes      [2]*world
	buses      [2]*deafBus
	keys       *auth.Keys
	tokens     *auth.Tokens
	issued     string // the last room token
}

func newTwoNodes(t *testing.T) *twoNodes {
	t.Helper()
	n := &twoNodes{t: t, scope: consult.Scope{AccountID: "acc_one", Mode: consult.Live}}
	ctx := context.Background()
	log := slog.New(slog.DiscardHandler)
	srv := redistest.Start(t)
	var err error
	n.store, err = store.Open(ctx, "", t.TempDir(), log)
	must(t, err)
	t.Cleanup(func() { must(t, n.store.Close()) })
	must(t, n.store.CreateKey(ctx, &consult.Account{ID: n.scope.AccountID, Name: "one", CreatedAt: time.Now()},
		&consult.APIKey{ID: "key_one", Scope: n.scope, UserID: "usr_one", ProfileID: "prof_one", Name: "one",
			Plan: consult.PlanStarter, Prefix: "sk_live_x", Hash: bytes.Repeat([]byte{1}, 32), CreatedAt: time.Now()}, nil))
	secrets, err := auth.NewSecrets(bytes.Repeat([]byte("s"), auth.MinSecret), nil)
	must(t, err)
	n.keys, err = auth.NewKeys(n.store, secrets, time.Now, log)
	must(t, err)
	n.tokens, err = auth.NewTokens(secrets, n.store, n.keys, time.Now)
	must(t, err)
	schemas, err := compileServerSchemas()
	must(t, err)
	for i := range n.nodes {
		w := &world{
			t: t, cfg: DefaultConfig(), scope: n.scope, store: n.store, logs: &logs{}, schemas: schemas,
			media: &fakeMedia{gate: make(chan struct{})}, metrics: prometheus.NewRegistry(),
		}
		w.cfg.Origins = []string{ourOrigin}
		w.rdb, err = cluster.Open(ctx, srv.URL(), time.Now, log)
		must(t, err)
		t.Cleanup(func() { _ = w.rdb.Close() })
		bus := &deafBus{Bus: w.rdb.Bus()}
		w.svc = consult.NewService(w.store, bus, time.Now, log)
		w.queue = waitingroom.New(w.store, w.rdb.Client(), bus, w.svc, time.Now, waitingroom.Config{}, log)
		t.Cleanup(w.queue.Close)
		w.record(SystemClock{}, bus, false)
		w.srv, err = New(w.cfg, Deps{
			Recordings: w.rec, Tokens: n.tokens, Links: fakeLinks{}, Consultations: w.svc, Tickets: w.queue, Queue: w.queue, Store: w.store,
			Media: w.media, Bus: bus, Clock: SystemClock{}, Log: slog.New(slog.NewTextHandler(w.logs, nil)), Metrics: w.metrics,
		})
		must(t, err)
		w.http = httptest.NewServer(w.srv)
		run, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			var recordings sync.WaitGroup
			recordings.Go(func() { w.rec.Run(run) })
			w.srv.Run(run)
			recordings.Wait()
		}()
		w.stopRun = func() {
			cancel()
			<-done
		}
		t.Cleanup(w.stop)
		n.nodes[i], n.buses[i] = w, bus
	}
	n.keys.Announce(n.buses[0])
	return n
}

// token makes a room token as the API does.
func (n *twoNodes) token(c *consult.Consultation, role consult.Role, subject string) string {
	n.t.Helper()
	raw, err := n.tokens.Issue(auth.Claims{
		Kind: auth.KindRoom, Scope: n.scope, KeyID: "key_one", SessionID: c.ID, DoctorID: c.DoctorID, Role: role,
		Subject: subject, Grants: consult.DefaultGrants(role), Epoch: c.TokenEpoch, ExpiresAt: time.Now().Add(time.Hour),
	})
	must(n.t, err)
	n.issued = raw
	return raw
}

func (n *twoNodes) create() *consult.Consultation {
	n.t.Helper()
	c, err := n.nodes[0].svc.Create(n.t.Context(), n.scope, consult.System, consult.CreateRequest{
		DoctorID: "doc_1", PatientID: "pat_1", DoctorName: "Dr. Ada", KeyID: "key_one", EnableRecording: n.recordable,
	})
	must(n.t, err)
	return c
}

// call is a running call on the second node.
func (n *twoNodes) call() (c *consult.Consultation, doctor, patient *client) {
	n.t.Helper()
	w := n.nodes[1]
	c = n.create()
	doctor = w.dial()
	doctor.request(joinMessage(c, n.token(c, consult.Doctor, "doc_1"), "d1"), "joined")
	doctor.send(obj{"type": "ready"})
	patient = w.dial()
	m := patient.request(joinMessage(c, n.token(c, consult.Patient, "pat_1"), "p1"), "waiting")
	doctor.request(obj{"type": "admit", "ticket_id": waitingOf(m)["ticket_id"]}, "ack")
	patient.await("admitted")
	patient.send(obj{"type": "ready"})
	active := func(m obj) bool { return m["session"].(obj)["status"] == "active" }
	doctor.await("session", active)
	patient.await("session", active)
	return c, doctor, patient
}

// within fails when fn, which waits for something, took longer than d.
func within(t *testing.T, d time.Duration, what string, fn func()) {
	t.Helper()
	start := time.Now()
	fn()
	if took := time.Since(start); took > d {
		t.Errorf("%s took %v", what, took)
	}
}

// deafWithin is how late a node may be that did not hear: half a second, and the
// work of a busy machine.
const deafWithin = 1500 * time.Millisecond

func (n *twoNodes) hearing(t *testing.T, test func(t *testing.T, limit time.Duration)) {
	t.Run("heard", func(t *testing.T) { test(t, time.Second) })
	n.buses[1].deaf.Store(true)
	t.Run("missed", func(t *testing.T) { test(t, deafWithin) })
}

func TestEjectReachesEveryNode(t *testing.T) {
	n := newTwoNodes(t)
	n.hearing(t, func(t *testing.T, limit time.Duration) {
		c, doctor, patient := n.startCall(t)
		actor := consult.Actor{Kind: consult.ActorKey, ID: "key_one"}
		must(t, n.nodes[0].srv.Eject(t.Context(), n.scope, c.ID, patient.id, actor))
		within(t, limit, "the ejection", func() {
			if e := patient.await("error"); e["reason"] != consult.ReasonTokenRevoked || e["fatal"] != true {
				t.Fatalf("%v", e)
			}
			patient.closed(1008)
		})
		n.nodes[1].media.until(t, "media closed", func() bool { return n.nodes[1].media.of(patient.id).closed })
		doctor.await("participants", func(m obj) bool { return len(m["participants"].([]any)) == 1 })
		for _, w := range n.nodes { // the patient's link is dead on every node
			w.dial().refused(joinMessage(c, n.issued, "p2"), consult.Unauthorized, consult.ReasonTokenRevoked)
			w.dial().refused(obj{"type": "resume", "protocol": 1, "participant_id": patient.id, "secret": patient.secret}, consult.NotFound, consult.ReasonResumeUnknown)
		}
		must(t, n.nodes[0].srv.Eject(t.Context(), n.scope, c.ID, patient.id, actor)) // again: nothing new
		doctor.quiet("session", "participants", "queue", "slots")
		for _, bad := range []struct {
			sc  consult.Scope
			id  string
			who string
		}{
			{consult.Scope{AccountID: "acc_two", Mode: consult.Live}, c.ID, doctor.id},
			{consult.Scope{AccountID: "acc_one", Mode: consult.Test}, c.ID, doctor.id},
			{n.scope, "vs_none", doctor.id},
			{n.scope, c.ID, "prt_none"},
		} {
			if err := n.nodes[0].srv.Eject(t.Context(), bad.sc, bad.id, bad.who, actor); !consult.HasCode(err, consult.NotFound) {
				t.Errorf("%v: %v", bad, err)
			}
		}
		_, err := n.nodes[0].svc.End(t.Context(), n.scope, c.ID, actor, consult.EndedByAPI)
		must(t, err)
		within(t, limit, "the end", func() { doctor.await("ended") })
		if err := n.nodes[0].srv.Eject(t.Context(), n.scope, c.ID, doctor.id, actor); !consult.HasCode(err, consult.Conflict) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// startCall is call for a subtest.
func (n *twoNodes) startCall(t *testing.T) (*consult.Consultation, *client, *client) {
	t.Helper()
	// What a call does by itself needs the bus of its own node.
	was := n.buses[1].deaf.Swap(false)
	defer n.buses[1].deaf.Store(was)
	return n.call()
}

func TestRevokedTokenEndsItsStayOnEveryNode(t *testing.T) {
	n := newTwoNodes(t)
	n.hearing(t, func(t *testing.T, limit time.Duration) {
		c, doctor, _ := n.startCall(t)
		raw := n.token(c, consult.Guest, "gst_1")
		guest := n.nodes[1].dial()
		guest.request(joinMessage(c, raw, "g1"), "joined")
		claims, err := n.tokens.Verify(t.Context(), raw)
		must(t, err)
		// Revoke writes the event and tells nobody: every node looks for it.
		must(t, n.tokens.Revoke(t.Context(), claims, consult.System))
		within(t, deafWithin, "the revocation", func() {
			guest.await("error", func(m obj) bool { return m["reason"] == consult.ReasonTokenRevoked })
		})
		doctor.await("participants", func(m obj) bool { return len(m["participants"].([]any)) == 2 })
		_, err = n.nodes[0].svc.End(t.Context(), n.scope, c.ID, consult.System, consult.EndedByAPI)
		must(t, err)
		within(t, limit, "the end", func() { doctor.await("ended") })
	})
}

func TestTransferReachesEveryNode(t *testing.T) {
	n := newTwoNodes(t)
	n.hearing(t, func(t *testing.T, limit time.Duration) {
		was := n.buses[1].deaf.Swap(false)
		c := n.create()
		doctor, patient := n.nodes[1].dial(), n.nodes[1].dial()
		doctor.request(joinMessage(c, n.token(c, consult.Doctor, "doc_1"), "d1"), "joined")
		m := patient.request(joinMessage(c, n.token(c, consult.Patient, "pat_1"), "p1"), "waiting")
		n.buses[1].deaf.Store(was)
		p, err := n.nodes[0].queue.Transfer(t.Context(), n.scope, consult.System, waitingOf(m)["ticket_id"].(string), "doc_2", "Dr. Bo")
		must(t, err)
		within(t, limit, "the transfer", func() {
			doctor.await("error", func(m obj) bool { return m["reason"] == consult.ReasonTokenRevoked })
			patient.awaitAll(map[string]func(obj) bool{
				"session": func(m obj) bool { return m["session"].(obj)["doctor_name"] == "Dr. Bo" },
				"waiting": func(m obj) bool { return waitingOf(m)["ticket_id"] == p.Ticket.ID },
			})
		})
		_, err = n.nodes[0].queue.Message(t.Context(), n.scope, consult.System, p.Ticket.ID, "hello")
		must(t, err)
		within(t, limit, "the message", func() {
			patient.await("waiting", func(m obj) bool { return len(texts(m)) == 1 })
		})
		_, err = n.nodes[0].queue.Decline(t.Context(), n.scope, consult.System, p.Ticket.ID, "no")
		must(t, err)
		within(t, limit, "the refusal", func() {
			patient.await("ended", func(m obj) bool { return m["note"] == "no" })
		})
	})
}

func TestRevokedKey(t *testing.T) {
	for name, endCalls := range map[string]bool{"the call goes on": false, "the call ends": true} {
		t.Run(name, func(t *testing.T) {
			n := newTwoNodes(t)
			_, doctor, patient := n.call()
			raw, err := n.tokens.Issue(auth.Claims{
				Kind: auth.KindDashboard, Scope: n.scope, KeyID: "key_one", DoctorID: "doc_1", Subject: "doc_1",
				Role: consult.Doctor, ExpiresAt: time.Now().Add(time.Hour),
			})
			must(t, err)
			board := n.nodes[1].dial()
			board.request(obj{"type": "watch", "protocol": 1, "token": raw}, "watching")
			_, err = n.keys.RevokeIn(t.Context(), n.scope.AccountID, "key_one", consult.System, endCalls)
			must(t, err)
			within(t, time.Second, "the dashboard's end", func() {
				board.await("error", func(m obj) bool { return m["reason"] == consult.ReasonTokenRevoked })
			})
			if !endCalls {
				patient.quiet("session", "participants", "slots")
				doctor.quiet("session", "participants", "slots", "queue")
				return
			}
			within(t, time.Second, "the call's end", func() {
				for _, c := range []*client{doctor, patient} {
					if e := c.await("ended"); e["reason"] != consult.EndedByAPI {
						t.Errorf("ended: %v", e)
					}
				}
			})
		})
	}
	t.Run("missed", func(t *testing.T) {
		n := newTwoNodes(t)
		_, doctor, patient := n.call()
		n.buses[1].deaf.Store(true)
		_, err := n.keys.RevokeIn(t.Context(), n.scope.AccountID, "key_one", consult.System, true)
		must(t, err)
		within(t, deafWithin, "the call's end", func() {
			doctor.await("ended")
			patient.await("ended")
		})
	})
}

// Without a bus the store still has it, and this node acts at once.
func TestEjectWithoutTheBus(t *testing.T) {
	w := newWorld(t)
	w.stop()
	w.bus = brokenBus{w.rdb.Bus()}
	w.start()
	c, doctor, patient := w.call()
	doctor.refused(obj{"type": "eject", "participant_id": doctor.id}, consult.NotFound, "")
	doctor.refused(obj{"type": "eject", "participant_id": "prt_none"}, consult.NotFound, "")
	doctor.request(obj{"type": "eject", "participant_id": patient.id}, "ack")
	patient.await("error", func(m obj) bool { return m["reason"] == consult.ReasonTokenRevoked })
	w.eventually("the stay is over", func() bool {
		all, err := w.store.Participations(t.Context(), w.scope, c.ID)
		must(t, err)
		for _, p := range all {
			if p.ID == patient.id {
				return p.LeftAt != nil
			}
		}
		return false
	})
}

// Somebody who waits can be put out too: the place goes with them.
func TestEjectWhoWaits(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	patient, _ := w.wait(c, consult.Patient, "pat_1")
	must(t, w.srv.Eject(t.Context(), w.scope, c.ID, patient.id, consult.System))
	patient.await("error", func(m obj) bool { return m["reason"] == consult.ReasonTokenRevoked })
	patient.closed(1008)
	if got := w.ticket(c).Status; got != consult.TicketLeft {
		t.Errorf("the ticket is %s", got)
	}
}

type brokenBus struct{ consult.Bus }

func (brokenBus) Publish(context.Context, string, []byte) error { return errors.New("broken") }
