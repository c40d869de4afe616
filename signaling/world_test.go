package signaling

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/cluster"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
	"github.com/chatmed/chatmed/recording"
	"github.com/chatmed/chatmed/waitingroom"
)

const ourOrigin = "https://rooms.test"

// world is a server on the real store and the real waiting room.
type world struct {
	t      *testing.T
	cfg    Config
	scope  consult.Scope
	clock  *fakeClock
	tokens *fakeTokens
	// verifier replaces tokens in the server.
	verifier Tokens
	// bus replaces Redis's in the server.
	bus   Bus
	media *fakeMedia
	store *store.Store
	rdb   *cluster.Redis
	queue *waitingroom.Service
	svc   *consult.Service
	// takes is what the recorder captures; dir is where, over restarts.
	takes *fakeCapturer
	dir   string
	chain *flakyChain

	rec     *recording.Service
	srv     *Server
	http    *httptest.Server
	metrics *prometheus.Registry
	stopRun func()
	logs    *logs
	schemas serverSchemas
}

// logs keeps what was logged, to look for what must not be there.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	w := &world{
		t: t, cfg: DefaultConfig(), scope: consult.Scope{AccountID: "acc_one", Mode: consult.Live},
		clock: newFakeClock(), tokens: newFakeTokens(), media: &fakeMedia{gate: make(chan struct{})},
		logs: &logs{},
	}
	w.cfg.Origins = []string{ourOrigin}
	for _, f := range change {
		f(&w.cfg)
	}
	log := slog.New(slog.NewTextHandler(w.logs, nil))
	ctx := context.Background()
	var err error
	w.schemas, err = compileServerSchemas()
	must(t, err)
	w.store, err = store.Open(ctx, "", t.TempDir(), log)
	must(t, err)
	t.Cleanup(func() { must(t, w.store.Close()) })
	must(t, w.store.CreateKey(ctx,
		&consult.Account{ID: w.scope.AccountID, Name: "one", CreatedAt: w.clock.Now()},
		&consult.APIKey{ID: "key_one", Scope: w.scope, UserID: "usr_one", ProfileID: "prof_one", Name: "one",
			Plan: consult.PlanStarter, Prefix: "sk_live_x", Hash: bytes.Repeat([]byte{1}, 32), CreatedAt: w.clock.Now()}, nil))
	w.rdb, err = cluster.Open(ctx, "", w.clock.Now, log)
	must(t, err)
	t.Cleanup(func() { must(t, w.rdb.Close()) })
	w.svc = consult.NewService(w.store, w.rdb.Bus(), w.clock.Now, log)
	w.queue = waitingroom.New(w.store, w.rdb.Client(), w.rdb.Bus(), w.svc, w.clock.Now, waitingroom.Config{Screen: fakeScreen}, log)
	w.svc.OnClosed(w.queue.SessionClosed)
	t.Cleanup(w.queue.Close)
	w.start()
	t.Cleanup(w.stop)
	return w
}

// start brings a server up; stop and start are a restart.
func (w *world) start() {
	w.t.Helper()
	verifier := w.verifier
	if verifier == nil {
		verifier = w.tokens
	}
	bus := w.bus
	if bus == nil {
		bus = w.rdb.Bus()
	}
	var err error
	w.metrics = prometheus.NewRegistry()
	w.record(w.clock, bus, true)
	w.srv, err = New(w.cfg, Deps{
		Tokens: verifier, Links: fakeLinks{}, Consultations: w.svc, Tickets: w.queue, Queue: w.queue, Emergencies: fakeLines{}, Recordings: w.rec, Store: w.store,
		Media: w.media, Bus: bus, Clock: w.clock, Log: slog.New(slog.NewTextHandler(w.logs, nil)),
		Metrics: w.metrics,
	})
	must(w.t, err)
	w.http = httptest.NewUnstartedServer(w.srv)
	w.http.Listener = smallBuffers{w.http.Listener}
	w.http.Start()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.srv.Run(ctx)
	}()
	w.stopRun = func() {
		cancel()
		<-done
	}
}

func (w *world) stop() {
	if w.srv == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.srv.Shutdown(ctx); err != nil {
		w.t.Error(err)
	}
	if err := w.rec.Close(ctx); err != nil {
		w.t.Error(err)
	}
	w.stopRun()
	w.http.Close()
	w.srv = nil
}

// smallBuffers makes the kernel hold little for a client that does not read.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		err = conn.(*net.TCPConn).SetWriteBuffer(16 << 10)
	}
	return conn, err
}

// create makes a consultation of doc_1 and the patient.
func (w *world) create(patient string, scheduled *time.Time) *consult.Consultation {
	w.t.Helper()
	c, err := w.svc.Create(w.t.Context(), w.scope, consult.System, consult.CreateRequest{
		DoctorID: "doc_1", PatientID: patient, DoctorName: "Dr. Ada", PatientName: "Pat " + patient,
		ScheduledAt: scheduled, KeyID: "key_one",
	})
	must(w.t, err)
	return c
}

// token makes a room token.
func (w *world) token(c *consult.Consultation, role consult.Role, subject string) string {
	return w.tokens.put("tok-"+c.ID+"-"+string(role)+"-"+subject, auth.Claims{
		ID: consult.NewID(consult.PrefixToken), Kind: auth.KindRoom, Scope: w.scope, KeyID: "key_one",
		SessionID: c.ID, DoctorID: c.DoctorID, Role: role, Subject: subject, Grants: consult.DefaultGrants(role),
		Epoch: c.TokenEpoch, ExpiresAt: w.clock.Now().Add(24 * time.Hour),
	})
}

func (w *world) read(c *consult.Consultation) *consult.Consultation {
	w.t.Helper()
	got, err := w.store.Consultation(w.t.Context(), w.scope, c.ID)
	must(w.t, err)
	return got
}

// ticket returns the consultation's newest ticket.
func (w *world) ticket(c *consult.Consultation) *consult.Ticket {
	w.t.Helper()
	got, err := w.store.TicketBySession(w.t.Context(), w.scope, c.ID)
	must(w.t, err)
	return got
}

// eventually waits for something the server does on its own; polling, because
// the store has nothing to wait on.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			w.t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (w *world) rooms() int {
	return len(w.srv.allRooms())
}

// enter joins, and is ready when in.
func (w *world) enter(c *consult.Consultation, role consult.Role, subject string, prepare ...func(*websocket.Conn)) *client {
	w.t.Helper()
	cl := w.dial(prepare...)
	cl.request(joinMessage(c, w.token(c, role, subject), "page-"+subject), "joined")
	cl.send(obj{"type": "ready"})
	return cl
}

// call brings doctor and patient into an active consultation.
func (w *world) call() (c *consult.Consultation, doctor, patient *client) {
	w.t.Helper()
	c = w.create("pat_1", nil)
	doctor = w.enter(c, consult.Doctor, "doc_1")
	w.clock.advance(time.Second) // the doctor is first in every list
	patient = w.dial()
	wait := patient.request(joinMessage(c, w.token(c, consult.Patient, "pat_1"), "page-pat_1"), "waiting")
	doctor.request(obj{"type": "admit", "ticket_id": wait["waiting"].(obj)["ticket_id"]}, "ack")
	patient.await("admitted")
	patient.send(obj{"type": "ready"})
	active := func(m obj) bool { return m["session"].(obj)["status"] == "active" }
	doctor.await("session", active)
	patient.await("session", active)
	return c, doctor, patient
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
