package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

func idempotent(key string) option { return withHeader("Idempotency-Key", key) }

var newConsultation = map[string]any{"doctor_id": "doc_1", "patient_id": "pat_1"}

// consultations is how many the account has in the key's mode.
func (w *world) consultations(opts ...option) int {
	w.t.Helper()
	a := w.call("GET", "/api/v1/consultations/video?limit=100", nil, opts...)
	a.ok()
	data, _ := a.body["data"].([]any)
	return len(data)
}

func TestARepeatedCreateIsReplayed(t *testing.T) { onDatabases(t, aRepeatedCreateIsReplayed) }

func aRepeatedCreateIsReplayed(t *testing.T, w *world) {
	t.Helper()
	first := w.call("POST", videoPath+"create", newConsultation, idempotent("k1"))
	first.ok()
	if first.header.Get(headerReplayed) != "" {
		t.Error("the first is no replay")
	}
	w.clock.advance(23 * time.Hour)
	for range 3 {
		again := w.call("POST", videoPath+"create", `{ "patient_id":"pat_1",  "doctor_id":"doc_1", "other":1 }`, idempotent("k1"))
		if again.status != 200 || !bytes.Equal(again.raw, first.raw) || again.header.Get(headerReplayed) != "true" {
			t.Fatalf("replay: %d %v %s\nfirst: %s", again.status, again.header, again.raw, first.raw)
		}
		if again.header.Get("X-Request-Id") == first.header.Get("X-Request-Id") {
			t.Error("two requests with one id")
		}
	}
	if n := w.consultations(); n != 1 {
		t.Errorf("%d consultations", n)
	}
	w.clock.advance(2 * time.Hour)
	if a := w.call("POST", videoPath+"create", newConsultation, idempotent("k1")); a.ok()["session_id"] == first.body["session_id"] {
		t.Error("kept for more than 24 hours")
	}
}

func TestAnIdempotencyKeyBelongsToOneRequest(t *testing.T) {
	w := newWorld(t)
	first := w.call("POST", videoPath+"create", newConsultation, idempotent("k1")).ok()["session_id"]
	w.call("POST", videoPath+"create", map[string]any{"doctor_id": "doc_2", "patient_id": "pat_1"}, idempotent("k1")).
		refused(422, consult.ReasonIdempotencyMismatch)
	session := fmt.Sprint(first)
	w.call("POST", videoPath+session+"/tokens", map[string]any{"role": "guest"}, idempotent("k2")).ok()
	other := w.create().str("session_id")
	w.call("POST", videoPath+other+"/tokens", map[string]any{"role": "guest"}, idempotent("k2")).
		refused(422, consult.ReasonIdempotencyMismatch)
	// Another operation, mode or account has keys of its own.
	w.call("POST", roomPath+"/join", newConsultation, idempotent("k1")).ok()
	for _, key := range []string{w.testKey, w.otherKey} {
		if a := w.call("POST", videoPath+"create", newConsultation, idempotent("k1"), withKey(key)); a.ok()["session_id"] == first {
			t.Error("replayed across accounts or modes")
		}
	}
}

func TestConcurrentDuplicatesHaveOneEffect(t *testing.T) {
	onDatabases(t, concurrentDuplicatesHaveOneEffect)
}

func concurrentDuplicatesHaveOneEffect(t *testing.T, w *world) {
	t.Helper()
	const n = 20
	bodies := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			inner := *w
			a := inner.call("POST", videoPath+"create", newConsultation, idempotent("k1"))
			bodies[i] = fmt.Sprint(a.status, string(a.raw))
		})
	}
	wg.Wait()
	for _, b := range bodies {
		if b != bodies[0] || !strings.HasPrefix(b, "200") {
			t.Errorf("%s\n%s", b, bodies[0])
		}
	}
	if n := w.consultations(); n != 1 {
		t.Errorf("%d consultations", n)
	}
}

// creating is the real service, but Create does first what the test says.
type creating struct {
	Consultations
	before func(ctx context.Context) error
}

func (c creating) Create(ctx context.Context, sc consult.Scope, a consult.Actor, r consult.CreateRequest) (*consult.Consultation, error) {
	if err := c.before(ctx); err != nil {
		return nil, err
	}
	return c.Consultations.Create(ctx, sc, a, r)
}

func withCreate(before func(ctx context.Context) error) func(*Deps) {
	return func(d *Deps) { d.Consultations = creating{d.Consultations, before} }
}

func TestADuplicateDoesNotWaitForever(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	w := newWorld(t, withCreate(func(context.Context) error {
		close(entered)
		<-leave
		return nil
	}))
	done := make(chan *reply)
	go func() {
		inner := *w
		done <- inner.call("POST", videoPath+"create", newConsultation, idempotent("k1"))
	}()
	<-entered
	a := w.call("POST", videoPath+"create", newConsultation, idempotent("k1"))
	a.refused(409, consult.ReasonIdempotencyInProgress)
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
	close(leave)
	first := <-done
	if a = w.call("POST", videoPath+"create", newConsultation, idempotent("k1")); !bytes.Equal(a.raw, first.raw) || first.status != 200 {
		t.Errorf("%d %s", first.status, a.raw)
	}
}

func TestWhatFailedOnOurSideMayBeTriedAgain(t *testing.T) {
	for name, failure := range map[string]func() error{
		"error": func() error { return errors.New("broken") },
		"panic": func() error { panic("broken") },
		"429":   func() error { return consult.Errorf(consult.RateLimitExceeded, "", "Later.") },
		"503":   func() error { return consult.Errorf(consult.ServiceUnavailable, consult.ReasonDependency, "Later.") },
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			w := newWorld(t, withCreate(func(context.Context) error {
				if calls.Add(1) == 1 {
					return failure()
				}
				return nil
			}))
			if a := w.call("POST", videoPath+"create", newConsultation, idempotent("k1")); a.status < 429 {
				t.Fatalf("%d", a.status)
			}
			a := w.call("POST", videoPath+"create", newConsultation, idempotent("k1"))
			if a.ok(); a.header.Get(headerReplayed) != "" {
				t.Error("the failure was kept")
			}
		})
	}
}

func TestARefusalIsReplayedUnderItsOwnId(t *testing.T) {
	w := newWorld(t)
	session := w.create().str("session_id")
	first := w.call("POST", videoPath+session+"/end", nil, idempotent("k1"))
	first.refused(409, consult.ReasonNotActive)
	w.call("POST", videoPath+session+"/cancel", nil).ok() // now it would be refused otherwise
	again := w.call("POST", videoPath+session+"/end", nil, idempotent("k1"))
	again.refused(409, consult.ReasonNotActive)
	if again.header.Get(headerReplayed) != "true" || again.str("request_id") == first.str("request_id") || again.str("message") != first.str("message") {
		t.Errorf("%v %s", again.header, again.raw)
	}
	w.call("POST", videoPath+session+"/end", nil, idempotent("k1"), withHeader("Accept", contentTypeProblem)).refused(409, "")
}

// A process that died leaves its key to the next request once its lease is over.
func TestADeadRequestsKeyIsTakenOver(t *testing.T) {
	w := newWorld(t)
	s := &server{Deps: Deps{Now: w.clock.now, Idempotency: w.store}, timeout: defaultRequestTimeout}
	r := &request{op: w.contract.operation("POST", videoPath+"create"), key: w.apiKey, params: map[string]string{}}
	r.body = []byte(`{"doctor_id":"doc_1","patient_id":"pat_1"}`)
	rec, err := s.record(r, "k1")
	must(t, err)
	if earlier, err := s.claim(t.Context(), &rec); err != nil || earlier != nil {
		t.Fatal(earlier, err)
	}
	w.clock.advance(s.timeout + leaseMargin + time.Second)
	w.call("POST", videoPath+"create", newConsultation, idempotent("k1")).ok()
}

func TestIdempotencyKeySyntax(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{"k", "4d1e8fae-0c2b-4b6e-9d7b-3f0b8a1c2d3e", `"quoted"`, strings.Repeat("k", 255), "!~"} {
		w.call("POST", videoPath+"create", newConsultation, idempotent(key)).ok()
	}
	for _, key := range []string{"", " ", "a b", "é", "a\tb", strings.Repeat("k", 256), strings.Repeat("k", 10_000)} {
		a := w.call("POST", videoPath+"create", newConsultation, idempotent(key))
		if key == " " || key == "" { // an empty value
			a.refused(400, "")
			continue
		}
		if a.refused(400, ""); a.fields()[headerIdempotency] == "" {
			t.Errorf("%.20q: %s", key, a.raw)
		}
	}
	twice := func(r *http.Request) { r.Header["Idempotency-Key"] = []string{"a", "b"} }
	w.call("POST", videoPath+"create", newConsultation, twice).refused(400, "")
	w.call("GET", me, nil, idempotent("a b")).ok() // reading needs none, so none is read
}

// The store keeps no secret in clear: not the key of an answer, nor its tokens.
func TestStoredAnswersAreSealed(t *testing.T) {
	w := newWorld(t)
	a := w.call("POST", "/api/v1/keys", map[string]any{"name": "New"}, idempotent("a-patients-name"))
	secret := a.str("secret")
	s := &server{Deps: Deps{Now: w.clock.now, Idempotency: w.store}, timeout: defaultRequestTimeout}
	r := &request{op: w.contract.operation("POST", "/api/v1/keys"), key: w.apiKey, params: map[string]string{}, body: []byte(`{"name":"New"}`)}
	rec, err := s.record(r, "a-patients-name")
	must(t, err)
	kept, err := s.claim(t.Context(), &rec)
	must(t, err)
	if kept == nil || !kept.Done || len(kept.Body) < 100 {
		t.Fatalf("kept %v", kept)
	}
	if bytes.Contains(kept.Body, []byte(secret)) || bytes.Contains(kept.Body, []byte("prefix")) || strings.Contains(kept.Key, "patient") {
		t.Errorf("in clear: %q %s", kept.Body, kept.Key)
	}
	if b := w.call("POST", "/api/v1/keys", map[string]any{"name": "New"}, idempotent("a-patients-name")); b.str("secret") != secret {
		t.Errorf("replay: %s", b.raw)
	}
}

// Every POST of the description takes the header, and nothing else says so.
func TestEveryPostIsIdempotent(t *testing.T) { onDatabases(t, everyPostIsIdempotent) }

func everyPostIsIdempotent(t *testing.T, w *world) {
	t.Helper()
	for _, op := range w.contract.operations {
		documented := strings.Contains(fmt.Sprint(w.contract.lookup("/paths/"+escapePointer(op.path)+"/"+strings.ToLower(op.method)+"/parameters")), "IdempotencyKey")
		if documented != op.effects {
			t.Errorf("%s %s: documented %v, does %v", op.method, op.path, documented, op.effects)
		}
		if !op.effects {
			continue
		}
		var body any
		if op.body != nil {
			body = sample(op.body)
		}
		path := w.fixtures().path(t, op.path)
		first := w.call(op.method, path, body, idempotent("k"))
		again := w.call(op.method, path, body, idempotent("k"))
		if again.status != first.status || again.header.Get(headerReplayed) != "true" || first.status == 200 && !bytes.Equal(first.raw, again.raw) {
			t.Errorf("%s: %d %s\nthen %d %s", first.what, first.status, first.raw, again.status, again.raw)
		}
	}
}
