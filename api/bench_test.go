package api

import (
	"bytes"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/cluster"
	"github.com/chatmed/chatmed/internal/cluster/redistest"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/limits"
	"github.com/chatmed/chatmed/internal/store"
	"github.com/chatmed/chatmed/internal/store/pgtest"
	"github.com/chatmed/chatmed/waitingroom"
)

// The benchmarks measure the whole server over real connections, beside a bare
// gin handler that gives the same answer, in turns, so that both see the same
// machine. They report per request of ours p50-µs, p99-µs and req/s; the bare
// handler's as bare-…; and ratio, our req/s over bare's.
//
//	go test ./api -run '^$' -bench 'Status|Create' -benchtime 5000x
//	go test ./api -run '^$' -bench Full -benchtime 3000x -timeout 60m

var (
	benchRows = flag.Int("rows", 1_000_000, "consultations, and as many audit entries, of the full store in BenchmarkFull")
	benchKeys = flag.Int("keys", 10_000, "API keys in BenchmarkFull")
)

const (
	benchClients = 8
	benchTurn    = 250 // requests before the other one's turn
	benchDoctors = 500
)

// benchPlans count everything and refuse nothing.
const benchPlans = `plans:
  starter: {per_minute: 100000, per_day: 1000000000, concurrent: 10000}
  professional: {per_minute: 100000, per_day: 1000000000, concurrent: 10000}
  enterprise: {per_minute: unlimited, per_day: unlimited, concurrent: unlimited}
`

// bench is a server with everything on: keys, limits, audit, store, log,
// metrics. With SQLite it is the bare binary, with PostgreSQL one of many nodes,
// whose limits are in a real Redis.
type bench struct {
	url     string
	dir     string // of SQLite
	dsn     string // of PostgreSQL; "" for SQLite
	store   *store.Store
	keys    *auth.Keys
	consult *consult.Service
	scope   consult.Scope
	keyID   string
	secrets []string
	used    atomic.Int64
}

func newBench(b *testing.B, dsn string, keys int) *bench {
	b.Helper()
	ctx := b.Context()
	s := &bench{dsn: dsn, dir: b.TempDir()}
	log := slog.New(slog.NewJSONHandler(io.Discard, nil))
	var err error
	s.store, err = store.Open(ctx, dsn, s.dir, log)
	must(b, err)
	b.Cleanup(func() { _ = s.store.Close() })
	redisURL := ""
	if dsn != "" {
		redisURL = redistest.Start(b).URL()
	}
	rdb, err := cluster.Open(ctx, redisURL, time.Now, log)
	must(b, err)
	b.Cleanup(func() { _ = rdb.Close() })
	secrets, err := auth.NewSecrets([]byte("a secret of the tests, at least 32 bytes"), nil)
	must(b, err)
	signing, err := secrets.Derive(auth.PurposeAudit)
	must(b, err)
	must(b, s.store.SignAudit(ctx, signing))
	s.keys, err = auth.NewKeys(s.store, secrets, time.Now, log)
	must(b, err)
	tokens, err := auth.NewTokens(secrets, s.store, s.keys, time.Now)
	must(b, err)
	s.consult = consult.NewService(s.store, rdb.Bus(), time.Now, log)
	rooms := waitingroom.New(s.store, rdb.Client(), rdb.Bus(), s.consult, time.Now, waitingroom.Config{}, log)
	b.Cleanup(rooms.Close)
	plans, err := limits.LoadPlans([]byte(benchPlans))
	must(b, err)
	var shared redis.UniversalClient // nil in process, as cmd has it
	if redisURL != "" {
		shared = rdb.Client()
	}
	limiter := limits.New(shared, plans, time.Now, log)
	for range keys {
		secret, key, err := s.keys.Create(ctx, auth.CreateKeyRequest{AccountName: "Bench", Name: "Bench", Plan: consult.PlanProfessional, Mode: consult.Live})
		must(b, err)
		s.secrets, s.scope, s.keyID = append(s.secrets, secret), key.Scope, key.ID
	}
	h, err := New(Deps{
		Consultations: s.consult, Sessions: s.consult, WaitingRoom: rooms, Desk: rooms, Presence: rooms, Tickets: s.store,
		Participations: s.store, Idempotency: s.store, Keys: s.keys, KeyAdmin: s.keys, Tokens: tokens, Limits: limiter,
		Links: auth.Links{RoomURL: "https://meet.example", PublicURL: "https://api.example"},
		Now:   time.Now, Log: log,
	})
	must(b, err)
	srv := httptest.NewServer(h)
	b.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

// key takes turns among the keys.
func (s *bench) key() string { return s.secrets[int(s.used.Add(1))%len(s.secrets)] }

// bare is a gin server that answers every request with body, after reading what
// was sent.
func bare(b *testing.B, body []byte) string {
	b.Helper()
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	answer := func(c *gin.Context) {
		_, _ = io.Copy(io.Discard, c.Request.Body)
		c.Data(http.StatusOK, contentTypeJSON, body)
	}
	e.GET("/", answer)
	e.POST("/", answer)
	srv := httptest.NewServer(e)
	b.Cleanup(srv.Close)
	return srv.URL
}

// load is what a run of requests took.
type load struct {
	each []time.Duration
	took time.Duration
}

func (l *load) perSecond() float64 { return float64(len(l.each)) / l.took.Seconds() }

func (l *load) quantile(q float64) float64 {
	slices.Sort(l.each)
	return float64(l.each[min(int(q*float64(len(l.each))), len(l.each)-1)].Nanoseconds()) / 1e3
}

// drive sends n requests by benchClients connections and adds to l.
func (l *load) drive(b *testing.B, client *http.Client, n int, next func() *http.Request) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := time.Now()
	for range benchClients {
		wg.Go(func() {
			var mine []time.Duration
			for left.Add(-1) >= 0 {
				req := next()
				at := time.Now()
				res, err := client.Do(req)
				if err != nil {
					b.Error(err)
					return
				}
				body, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if err != nil || res.StatusCode != http.StatusOK {
					b.Errorf("%s %s: %v", res.Status, body, err)
					return
				}
				mine = append(mine, time.Since(at))
			}
			mu.Lock()
			defer mu.Unlock()
			l.each = append(l.each, mine...)
		})
	}
	wg.Wait()
	l.took += time.Since(start)
}

func benchClient(b *testing.B) *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 2 * benchClients, MaxConnsPerHost: benchClients}
	b.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// request makes requests; it panics on what cannot happen.
func (s *bench) request(ctx context.Context, method, url string, body []byte) *http.Request {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("X-API-Key", s.key())
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

// operations measured: each returns method, path and body of the next request.
type benched func(s *bench) func() (method, path string, body []byte)

func statusOp(b *testing.B) benched {
	return func(s *bench) func() (string, string, []byte) {
		c, err := s.consult.Create(b.Context(), s.scope, consult.System, consult.CreateRequest{DoctorID: "doc_1", PatientID: "pat_1", KeyID: s.keyID})
		must(b, err)
		path := videoPath + c.ID + "/status"
		return func() (string, string, []byte) { return http.MethodGet, path, nil }
	}
}

func createOp(*testing.B) benched {
	return func(*bench) func() (string, string, []byte) {
		var n atomic.Int64
		return func() (string, string, []byte) {
			i := n.Add(1)
			return http.MethodPost, videoPath + "create", fmt.Appendf(nil, `{"doctor_id":"doc_%d","patient_id":"pat_%d","language":"en"}`, i%100, i%5000)
		}
	}
}

func listOp(*testing.B) benched {
	return func(*bench) func() (string, string, []byte) {
		return func() (string, string, []byte) {
			return http.MethodGet, "/api/v1/consultations/video?doctor_id=doc_7&status=ended&limit=20", nil
		}
	}
}

// measure runs b.N requests of each server and as many of a bare handler that
// gives the first one's answer, in turns. The bare handler's load is the last.
func measure(b *testing.B, op benched, servers ...*bench) []load {
	b.Helper()
	client := benchClient(b)
	var makers []func() *http.Request
	for _, s := range servers {
		next := op(s)
		makers = append(makers, func() *http.Request {
			method, path, body := next()
			return s.request(b.Context(), method, s.url+path, body)
		})
	}
	var answer []byte
	for i := range makers { // warms up, too
		res, err := client.Do(makers[i]())
		must(b, err)
		body, err := io.ReadAll(res.Body)
		must(b, err)
		_ = res.Body.Close()
		if i == 0 {
			answer = body
		}
	}
	bareURL, next := bare(b, answer), op(servers[0])
	makers = append(makers, func() *http.Request {
		method, _, body := next()
		return servers[0].request(b.Context(), method, bareURL+"/", body)
	})
	loads := make([]load, len(makers))
	b.ResetTimer()
	for left := b.N; left > 0; left -= benchTurn {
		for i := range makers {
			loads[i].drive(b, client, min(left, benchTurn), makers[i])
		}
	}
	b.StopTimer()
	if b.Failed() {
		b.FailNow()
	}
	return loads
}

func report(b *testing.B, ours, plain *load) {
	b.Helper()
	b.ReportMetric(0, "ns/op") // wall time over clients says nothing here
	b.ReportMetric(ours.quantile(.5), "p50-µs")
	b.ReportMetric(ours.quantile(.99), "p99-µs")
	b.ReportMetric(ours.perSecond(), "req/s")
	b.ReportMetric(plain.quantile(.5), "bare-p50-µs")
	b.ReportMetric(plain.quantile(.99), "bare-p99-µs")
	b.ReportMetric(plain.perSecond(), "bare-req/s")
	b.ReportMetric(ours.perSecond()/plain.perSecond(), "ratio")
}

func onBothDatabases(b *testing.B, run func(b *testing.B, dsn string)) {
	b.Run("sqlite", func(b *testing.B) { run(b, "") })
	b.Run("postgres", func(b *testing.B) { run(b, pgtest.Start(b)) })
}

func BenchmarkStatus(b *testing.B) {
	onBothDatabases(b, func(b *testing.B, dsn string) {
		l := measure(b, statusOp(b), newBench(b, dsn, 16))
		report(b, &l[0], &l[1])
	})
}

func BenchmarkCreate(b *testing.B) {
	onBothDatabases(b, func(b *testing.B, dsn string) {
		l := measure(b, createOp(b), newBench(b, dsn, 16))
		report(b, &l[0], &l[1])
	})
}

// BenchmarkFull compares a store of -rows consultations with an empty one of as
// many keys: vs-empty is req/s over the empty store's. For the list the empty
// one gets a page's worth of rows per doctor, as an answer of none says nothing.
func BenchmarkFull(b *testing.B) {
	onBothDatabases(b, func(b *testing.B, dsn string) {
		full, empty := newBench(b, dsn, *benchKeys), (*bench)(nil)
		if dsn == "" {
			empty = newBench(b, "", *benchKeys)
		} else {
			empty = newBench(b, pgtest.Start(b), *benchKeys)
		}
		full.fill(b, *benchRows)
		compare := func(b *testing.B, op benched) {
			b.Helper()
			l := measure(b, op, full, empty)
			report(b, &l[0], &l[2])
			b.ReportMetric(l[1].quantile(.5), "empty-p50-µs")
			b.ReportMetric(l[1].quantile(.99), "empty-p99-µs")
			b.ReportMetric(l[0].perSecond()/l[1].perSecond(), "vs-empty")
		}
		b.Run("status", func(b *testing.B) { compare(b, statusOp(b)) })
		b.Run("create", func(b *testing.B) { compare(b, createOp(b)) })
		var once sync.Once // b.Run calls again with a larger N
		b.Run("list", func(b *testing.B) {
			once.Do(func() { empty.fill(b, benchDoctors*25) })
			compare(b, listOp(b))
		})
	})
}

// fill adds ended consultations and audit entries, by SQL of both databases.
func (s *bench) fill(b *testing.B, rows int) {
	b.Helper()
	ctx := b.Context()
	driver, dsn := "pgx", s.dsn
	numbers := fmt.Sprintf(`SELECT i FROM generate_series(1, %d) AS g(i)`, rows)
	if s.dsn == "" {
		driver, dsn = "sqlite", "file:"+filepath.Join(s.dir, "chatmed.db")+"?_pragma=busy_timeout(60000)&_pragma=synchronous(off)&_pragma=cache_size(-200000)"
		numbers = fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n`, rows)
	}
	db, err := sql.Open(driver, dsn)
	must(b, err)
	defer func() { must(b, db.Close()) }()
	at := time.Now().Add(-365 * 24 * time.Hour).UnixMicro()
	for _, q := range []string{
		fmt.Sprintf(`INSERT INTO consultations (id, account_id, mode, key_id, doctor_id, patient_id, doctor_name, patient_name, language,
				enable_recording, status, reason, token_epoch, created_at, started_at, ended_at, expires_at)
			SELECT 'vs_F' || i, '%[1]s', 'live', '%[2]s', 'doc_' || (i %% %[5]d), 'pat_' || (i %% 100000), '', '', 'en',
				FALSE, 'ended', 'api', 1, %[3]d + CAST(i AS BIGINT) * 30000000, %[3]d + CAST(i AS BIGINT) * 30000000, %[3]d + CAST(i AS BIGINT) * 30000000 + 600000000, %[3]d + CAST(i AS BIGINT) * 30000000
			FROM (%[4]s) AS numbers`, s.scope.AccountID, s.keyID, at, numbers, benchDoctors),
		// Entries of an account of their own: their chain is not ours to break.
		`INSERT INTO accounts (id, name, email, created_at) VALUES ('acc_F', 'Filler', '', 0)`,
		`INSERT INTO scopes (account_id, mode) VALUES ('acc_F', 'live')`,
		fmt.Sprintf(`INSERT INTO audit_log (id, event_id, account_id, mode, seq, type, actor_kind, actor_id, actor_role, session_id, ticket_id, doctor_id, at, data, prev_hash, hash)
			SELECT 'aud_F' || i, 'evt_F' || i, 'acc_F', 'live', i, 'consultation.created', 'system', 'x', '', 'vs_F' || i, '', '', %d + i, '{}', '', 'h' || i
			FROM (%s) AS numbers`, at, numbers),
		`ANALYZE`,
	} {
		if _, err := db.ExecContext(ctx, q); err != nil {
			b.Fatalf("%.60s: %v", q, err)
		}
	}
}
