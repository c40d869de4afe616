package signaling

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/cluster"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
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
	media    *fakeMedia
	store    *store.Store
	rdb      *cluster.Redis
	queue    *waitingroom.Service
	svc      *consult.Service

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
	w.queue = waitingroom.New(w.store, w.rdb.Client(), w.rdb.Bus(), w.svc, w.clock.Now, waitingroom.Config{}, log)
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
	var err error
	w.metrics = prometheus.NewRegistry()
	w.srv, err = New(w.cfg, Deps{
		Tokens: verifier, Links: fakeLinks{}, Consultations: w.svc, Tickets: w.queue, Queue: w.queue, Store: w.store,
		Media: w.media, Bus: w.rdb.Bus(), Clock: w.clock, Log: slog.New(slog.NewTextHandler(w.logs, nil)),
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

// obj is a message as a test writes or reads it.
type obj = map[string]any

// client is a WebSocket client that checks everything it gets against the schemas.
type client struct {
	t    *testing.T
	w    *world
	conn *websocket.Conn
	in   chan obj // closed when the connection is over
	err  error    // why; valid once in is closed
	next int
	// The state learnt from joined, waiting or resumed.
	id, secret string
}

// dial connects; prepare sets the connection up before anything is read.
func (w *world) dial(prepare ...func(*websocket.Conn)) *client {
	w.t.Helper()
	conn, resp, err := websocket.DefaultDialer.Dial(wsURL(w.http), http.Header{"Origin": {ourOrigin}})
	must(w.t, err)
	resp.Body.Close()
	for _, f := range prepare {
		f(conn)
	}
	c := &client{t: w.t, w: w, conn: conn, in: make(chan obj, 4096)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.readAll()
	}()
	w.t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return c
}

func wsURL(s *httptest.Server) string { return "ws" + strings.TrimPrefix(s.URL, "http") + "/signal/v1" }

func (c *client) readAll() {
	defer close(c.in)
	for {
		_, data, err := c.conn.ReadMessage()
		if err != nil {
			c.err = err
			return
		}
		if err := c.w.schemas.check(data); err != nil {
			c.t.Errorf("%s: %v", data, err)
		}
		var m obj
		if err := json.Unmarshal(data, &m); err != nil {
			c.t.Error(err)
			return
		}
		c.in <- m
	}
}

// send writes a message and returns its id.
func (c *client) send(m obj) string {
	c.t.Helper()
	c.next++
	id := fmt.Sprintf("m%d", c.next)
	out := obj{"id": id}
	for k, v := range m {
		out[k] = v
	}
	must(c.t, c.conn.WriteJSON(out))
	return id
}

// await returns the next message of that type that satisfies all of oks.
func (c *client) await(typ string, oks ...func(obj) bool) obj {
	c.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	var seen []string
next:
	for {
		select {
		case m, open := <-c.in:
			if !open {
				c.t.Fatalf("no %s before the end (%v) in %v", typ, c.err, seen)
			}
			kind, _ := m["type"].(string)
			seen = append(seen, brief(m))
			if kind != typ {
				if kind == "error" {
					c.t.Logf("while waiting for %s: %v", typ, m)
				}
				continue
			}
			for _, ok := range oks {
				if !ok(m) {
					continue next
				}
			}
			if id, ok := m["participant_id"].(string); ok {
				c.id = id
				c.secret, _ = m["secret"].(string)
			}
			return m
		case <-timeout.C:
			c.t.Fatalf("waited in vain for %s in %v", typ, seen)
		}
	}
}

// awaitAll waits for one message of each kind, in any order.
func (c *client) awaitAll(want map[string]func(obj) bool) {
	c.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for len(want) > 0 {
		select {
		case m, open := <-c.in:
			if !open {
				c.t.Fatalf("the end (%v) before %v", c.err, want)
			}
			kind, _ := m["type"].(string)
			if ok := want[kind]; ok != nil && ok(m) {
				delete(want, kind)
			}
		case <-timeout.C:
			c.t.Fatalf("waited in vain for %v", want)
		}
	}
}

func brief(m obj) string {
	b, _ := json.Marshal(m)
	return string(b[:min(len(b), 300)])
}

// request sends m and waits for the reply of that type.
func (c *client) request(m obj, reply string) obj {
	c.t.Helper()
	id := c.send(m)
	return c.await(reply, func(r obj) bool { return r["id"] == id })
}

// refused sends m and checks the error that answers it.
func (c *client) refused(m obj, code consult.Code, reason string) obj {
	c.t.Helper()
	e := c.request(m, "error")
	if e["error"] != string(code) || e["reason"] != reason || e["code"] != float64(code.Status()) {
		c.t.Fatalf("refused with %v, want %s %s", e, code, reason)
	}
	return e
}

// closed waits for the close frame and checks its code.
func (c *client) closed(code int) {
	c.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case _, open := <-c.in:
			if open {
				continue
			}
			if !websocket.IsCloseError(c.err, code) {
				c.t.Fatalf("closed with %v, want %d", c.err, code)
			}
			return
		case <-timeout.C:
			c.t.Fatal("not closed")
		}
	}
}

// quiet checks that the server has nothing to say up to a pong, but for types.
func (c *client) quiet(but ...string) {
	c.t.Helper()
	id := c.send(obj{"type": "ping"})
	for m := range c.in {
		kind, _ := m["type"].(string)
		if kind == "pong" && m["id"] == id {
			return
		}
		if !strings.Contains(strings.Join(but, " "), kind) {
			c.t.Fatalf("unexpected %v", m)
		}
	}
	c.t.Fatal("closed")
}

// joinMessage is a join of that token with audio and video.
func joinMessage(c *consult.Consultation, token, instance string) obj {
	return obj{
		"type": "join", "protocol": 1, "token": token, "session_id": c.ID, "instance": instance,
		"offer": "offer of " + instance,
		"publications": []obj{
			{"mid": "0", "source": "microphone", "muted": false}, {"mid": "1", "source": "camera", "muted": false},
		},
	}
}

func with(m obj, more obj) obj {
	out := obj{}
	for k, v := range m {
		out[k] = v
	}
	for k, v := range more {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	return out
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

// serverSchemas are the schemas of server messages.
type serverSchemas map[string]*jsonschema.Schema

var compileServerSchemas = sync.OnceValues(func() (serverSchemas, error) {
	c, err := schemaCompiler()
	if err != nil {
		return nil, err
	}
	c.AssertFormat()
	files, err := schemaFiles.ReadDir("schema")
	if err != nil {
		return nil, err
	}
	out := serverSchemas{}
	for _, f := range files {
		if typ, ok := strings.CutPrefix(f.Name(), "server."); ok {
			if out[strings.TrimSuffix(typ, ".json")], err = c.Compile(schemaBase + f.Name()); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
})

func (s serverSchemas) check(data []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	typ, _ := v.(obj)["type"].(string)
	schema := s[typ]
	if schema == nil {
		return fmt.Errorf("no schema for %q", typ)
	}
	return schema.Validate(v)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
