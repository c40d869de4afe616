package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/blob"
	"github.com/chatmed/chatmed/internal/cluster"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/limits"
	"github.com/chatmed/chatmed/internal/store"
	"github.com/chatmed/chatmed/internal/store/pgtest"
	"github.com/chatmed/chatmed/recording"
	"github.com/chatmed/chatmed/recording/vault"
	"github.com/chatmed/chatmed/waitingroom"
)

// world is a whole server behind a listener: SQLite, the in-process Redis, real
// keys, tokens and waiting room.
type world struct {
	t        *testing.T
	url      string
	contract *contract
	store    *store.Store
	blobs    *anyStore
	vault    *vault.Vault
	recorder *recording.Service
	composer *fakeComposer
	redis    *cluster.Redis
	consults *consult.Service
	rooms    *waitingroom.Service
	keys     *auth.Keys
	tokens   *auth.Tokens
	limits   *limits.Limiter
	clock    *clock
	log      *logBuffer
	registry *prometheus.Registry
	// key is a live key, testKey one of the same account's sandbox, otherKey
	// one of another account.
	key, testKey, otherKey string
	apiKey                 *consult.APIKey
	responses              *responseSchemas
	live                   map[string][]consult.LegQuality // by session
	closeStore, closeRedis func()
}

// clock is a time that only the test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// logBuffer collects JSON log lines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// newWorld starts a server; adjust may change its dependencies first.
func newWorld(t *testing.T, adjust ...func(*Deps)) *world {
	t.Helper()
	return newWorldOn(t, "", adjust...)
}

// onDatabases runs a test on SQLite and on PostgreSQL.
func onDatabases(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newWorld(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, newWorldOn(t, pgtest.Start(t))) })
}

func newWorldOn(t *testing.T, dsn string, adjust ...func(*Deps)) *world {
	t.Helper()
	ctx := t.Context()
	w := &world{
		t: t, clock: &clock{at: time.Date(2025, 1, 15, 10, 30, 0, 987654000, time.UTC)},
		log: &logBuffer{}, registry: prometheus.NewRegistry(), responses: schemasOfResponses(t),
		live: map[string][]consult.LegQuality{},
	}
	log := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	w.contract, err = loadContract(openapiYAML)
	must(t, err)
	w.store, err = store.Open(ctx, dsn, t.TempDir(), log)
	must(t, err)
	w.closeStore = sync.OnceFunc(func() { _ = w.store.Close() })
	t.Cleanup(w.closeStore)
	objects, err := blob.NewDisk(t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, objects.Close()) })
	w.blobs = &anyStore{Store: objects}
	w.redis, err = cluster.Open(ctx, "", w.clock.now, log)
	must(t, err)
	w.closeRedis = sync.OnceFunc(func() { _ = w.redis.Close() })
	t.Cleanup(w.closeRedis)
	secrets, err := auth.NewSecrets([]byte("a secret of the tests, at least 32 bytes"), nil)
	must(t, err)
	w.keys, err = auth.NewKeys(w.store, secrets, w.clock.now, log)
	must(t, err)
	w.tokens, err = auth.NewTokens(secrets, w.store, w.keys, w.clock.now)
	must(t, err)
	w.consults = consult.NewService(w.store, w.redis.Bus(), w.clock.now, log)
	w.rooms = waitingroom.New(w.store, w.redis.Client(), w.redis.Bus(), w.consults, w.clock.now, waitingroom.Config{Screen: screener(t)}, log)
	w.consults.OnClosed(w.rooms.SessionClosed)
	t.Cleanup(w.rooms.Close)

	w.openRecordings(secrets)

	plans, err := limits.DefaultPlans()
	must(t, err)
	w.limits = limits.New(w.redis.Client(), plans, w.clock.now, log)
	w.key, w.apiKey = w.makeKey("Clinique du Parc", consult.Live, consult.PlanEnterprise)
	w.testKey, _ = w.makeKey("Clinique du Parc", consult.Test, consult.PlanEnterprise)
	w.otherKey, _ = w.makeKey("Other Clinic", consult.Live, consult.PlanEnterprise)

	d := Deps{
		Consultations: w.consults, Sessions: w.consults, WaitingRoom: w.rooms, Tickets: w.store, Participations: w.store,
		Quality: quality{w.store, w.live}, Room: &fakeRoom{}, Desk: w.rooms, Presence: w.rooms, Patients: patients{w.store}, Audit: auditLog{w.store},
		Idempotency: w.store, Keys: w.keys, KeyAdmin: w.keys, AllKeys: w.keys, Tokens: w.tokens, Limits: w.limits,
		Links:     auth.Links{RoomURL: "https://meet.example", PublicURL: publicURL},
		Config:    Config{PublicURL: publicURL},
		Emergency: engine(t), Hospitals: hospitals(t), Events: w.store,
		Chat: chatEngine(t), ChatSessions: w.store,
		Consents: w.store, RecordingSettings: w.store, RecordingKeys: ageKeys{},
		Recordings: w.store, Recorder: w.recorder, RecordingFiles: files{w.blobs, w.vault}, Composer: w.composer, RoomTokens: w.tokens,
		Monitor: NewMonitor([]Check{{"store", w.store.Ping}, {"redis", w.redis.Ping}}, w.clock.now, log),
		Now:     w.clock.now, Log: log, Registry: w.registry,
	}
	for _, f := range adjust {
		f(&d)
	}
	h, err := New(d)
	must(t, err)
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	w.url = srv.URL
	return w
}

func (w *world) makeKey(account string, mode consult.Mode, plan string) (string, *consult.APIKey) {
	w.t.Helper()
	secret, key, err := w.keys.Create(w.t.Context(), auth.CreateKeyRequest{
		AccountName: account, Name: account, Email: "it@clinic.example", Plan: plan, Mode: mode, Scopes: allScopes,
	})
	must(w.t, err)
	return secret, key
}

const publicURL = "https://api.example"

var allScopes = []consult.KeyScope{consult.ScopeConsultations, consult.ScopeClinical, consult.ScopeRecordings, consult.ScopeAdmin}

// testAddr is a client.
var testAddr = netip.MustParseAddr("203.0.113.9")

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reply is an answer that has been held against openapi.yaml.
type reply struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	raw    []byte
	body   map[string]any // nil unless JSON
}

// option changes a request before it is sent.
type option func(*http.Request)

func withKey(key string) option        { return withHeader("X-API-Key", key) }
func withHeader(name, v string) option { return func(r *http.Request) { r.Header.Set(name, v) } }
func withoutKey(r *http.Request)       { r.Header.Del("X-API-Key") }

// call sends a request with the live key. body is JSON text, or any value to
// encode; nil sends none.
func (w *world) call(method, path string, body any, opts ...option) *reply {
	w.t.Helper()
	var rd io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		rd = strings.NewReader(b)
	case []byte:
		rd = bytes.NewReader(b)
	default:
		enc, err := json.Marshal(b)
		must(w.t, err)
		rd = bytes.NewReader(enc)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, w.url+path, rd)
	must(w.t, err)
	req.Header.Set("X-API-Key", w.key)
	if rd != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, o := range opts {
		o(req)
	}
	res, err := noRedirects.Do(req)
	must(w.t, err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	must(w.t, err)
	a := &reply{t: w.t, what: method + " " + path, status: res.StatusCode, header: res.Header, raw: raw}
	w.responses.check(a, w.contract.match(req.Method, req.URL.Path))
	return a
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// ok fails the test unless the answer is 200.
func (a *reply) ok() map[string]any {
	a.t.Helper()
	if a.status != http.StatusOK {
		a.t.Fatalf("%s: %d %s", a.what, a.status, a.raw)
	}
	return a.body
}

// refused fails the test unless the answer is that error; "" is any reason.
func (a *reply) refused(status int, reason string) map[string]any {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: %d %s, want %d", a.what, a.status, a.raw, status)
	}
	if reason != "" && a.body["reason"] != reason {
		a.t.Fatalf("%s: reason %v, want %s", a.what, a.body["reason"], reason)
	}
	return a.body
}

// str is a string field of the body.
func (a *reply) str(field string) string {
	a.t.Helper()
	s, ok := a.body[field].(string)
	if !ok {
		a.t.Fatalf("%s: %s is %v", a.what, field, a.body[field])
	}
	return s
}

// fields are the complaints of a validation, by field.
func (a *reply) fields() map[string]string {
	out := map[string]string{}
	list, _ := a.body["fields"].([]any)
	for _, f := range list {
		m, _ := f.(map[string]any)
		name, _ := m["field"].(string)
		out[name], _ = m["message"].(string)
	}
	return out
}

const (
	videoPath = "/api/v1/consultations/video/"
	roomPath  = "/api/v1/consultations/waiting-room"
)

// create makes a consultation of doc_1 and pat_1 and returns the answer.
func (w *world) create(opts ...option) *reply {
	w.t.Helper()
	a := w.call("POST", videoPath+"create", map[string]any{
		"doctor_id": "doc_1", "patient_id": "pat_1", "doctor_name": "Dr. Martin", "patient_name": "Amina Benali",
	}, opts...)
	a.ok()
	return a
}

// join puts a patient into doc_1's queue.
func (w *world) join(patient string) *reply {
	w.t.Helper()
	a := w.call("POST", roomPath+"/join", map[string]any{
		"doctor_id": "doc_1", "patient_id": patient, "patient_name": "Name of " + patient, "reason": "Headache for three days",
	})
	a.ok()
	return a
}

// active makes a consultation whose call runs.
func (w *world) active() (session, ticket string) {
	w.t.Helper()
	j := w.join("pat_1")
	session, ticket = j.str("session_id"), j.str("ticket_id")
	w.call("POST", roomPath+"/"+ticket+"/admit", nil).ok()
	_, err := w.consults.Activate(w.t.Context(), w.apiKey.Scope, session, consult.System)
	must(w.t, err)
	return session, ticket
}
