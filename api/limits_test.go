package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/limits"
)

const me = "/api/v1/users/me"

func TestLimitHeaders(t *testing.T) {
	w := newWorld(t)
	starter, _ := w.makeKey("Small Clinic", consult.Live, consult.PlanStarter)
	a := w.call("GET", me, nil, withKey(starter))
	a.ok()
	reset, err := strconv.ParseInt(a.header.Get("X-RateLimit-Reset"), 10, 64)
	must(t, err)
	if in := time.Unix(reset, 0).Sub(w.clock.now()); in <= 0 || in > 61*time.Second {
		t.Errorf("reset in %s", in)
	}
	for name, want := range map[string]string{
		"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "59", "Retry-After": "",
		"RateLimit-Policy": `"minute";q=60;w=60, "day";q=1000;w=86400, "concurrent";q=5;qu="concurrent-requests"`,
	} {
		if a.header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, a.header.Get(name), want)
		}
	}
	if got := a.header.Get("RateLimit"); !strings.HasPrefix(got, `"minute";r=59;t=`) || !strings.Contains(got, `"day";r=999;t=`) {
		t.Errorf("RateLimit %q", got)
	}
	if a = w.call("GET", videoPath+"vs_1", nil, withKey(starter)); a.header.Get("X-RateLimit-Remaining") != "58" {
		t.Errorf("an error shows %q", a.header.Get("X-RateLimit-Remaining"))
	}
	for _, free := range []*reply{
		w.call("GET", me, nil), w.call("GET", "/healthz", nil), w.call("GET", me, nil, withoutKey), w.call("GET", "/api/v1/nothing", nil),
	} {
		for name := range free.header {
			if strings.Contains(strings.ToLower(name), "ratelimit") {
				t.Errorf("%s has %s", free.what, name)
			}
		}
	}
}

func TestTheMinuteIsUsedUp(t *testing.T) {
	w := newWorld(t)
	starter, _ := w.makeKey("Small Clinic", consult.Live, consult.PlanStarter)
	for range 60 {
		w.call("GET", me, nil, withKey(starter)).ok()
	}
	a := w.call("GET", me, nil, withKey(starter))
	a.refused(429, consult.ReasonRateMinute)
	if wait, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || wait < 1 || wait > 60 {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
	if a.header.Get("X-RateLimit-Remaining") != "0" || a.str("message") != "Too many requests. Check X-RateLimit-Reset header." {
		t.Errorf("%v %s", a.header, a.raw)
	}
	other, _ := w.makeKey("Small Clinic", consult.Live, consult.PlanStarter)
	w.call("GET", me, nil, withKey(other)).ok() // limits are per key
	w.clock.advance(61 * time.Second)
	w.eventually(func() bool { return w.call("GET", me, nil, withKey(starter)).status == 200 }) // Redis follows our clock
}

// eventually asks again until it holds.
func (w *world) eventually(holds func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.t.Fatal("it never held")
		}
	}
}

// held is a Get that waits until the test lets it go.
type held struct {
	entered chan struct{}
	leave   chan struct{}
	panics  bool
}

func (h *held) get(ctx context.Context) error {
	h.entered <- struct{}{}
	select {
	case <-h.leave:
	case <-ctx.Done():
	}
	if h.panics {
		panic("as told")
	}
	return consult.Errorf(consult.NotFound, "", "Nothing.")
}

func TestConcurrencySlots(t *testing.T) {
	const slots = 5
	for name, panics := range map[string]bool{"answer": false, "panic": true} {
		t.Run(name, func(t *testing.T) {
			h := &held{entered: make(chan struct{}, slots), leave: make(chan struct{}), panics: panics}
			w := newWorld(t, withGet(h.get))
			starter, _ := w.makeKey("Small Clinic", consult.Live, consult.PlanStarter)
			var wg sync.WaitGroup
			for range slots {
				wg.Go(func() { w.send(t.Context(), starter) })
			}
			for range slots {
				<-h.entered
			}
			a := w.call("GET", me, nil, withKey(starter))
			a.refused(429, consult.ReasonConcurrency)
			if a.header.Get("Retry-After") != "1" || a.str("message") != "Too many requests at the same time." {
				t.Errorf("%v %s", a.header, a.raw)
			}
			close(h.leave)
			wg.Wait()
			w.call("GET", me, nil, withKey(starter)).ok()
		})
	}
}

func TestADisconnectFreesItsSlot(t *testing.T) {
	h := &held{entered: make(chan struct{}, 5), leave: make(chan struct{})}
	released := make(chan struct{}, 5)
	w := newWorld(t, withGet(func(ctx context.Context) error {
		defer func() { released <- struct{}{} }()
		return h.get(ctx)
	}))
	starter, _ := w.makeKey("Small Clinic", consult.Live, consult.PlanStarter)
	ctx, cancel := context.WithCancel(t.Context())
	for range 5 {
		go w.send(ctx, starter) // ends with ctx
	}
	for range 5 {
		<-h.entered
	}
	w.call("GET", me, nil, withKey(starter)).refused(429, consult.ReasonConcurrency)
	cancel()
	for range 5 {
		<-released
	}
	// The handlers have returned; their deferred releases follow at once.
	w.eventually(func() bool { return w.call("GET", me, nil, withKey(starter)).status == 200 })
}

// send is a request whose answer nobody needs.
func (w *world) send(ctx context.Context, key string) {
	req, err := http.NewRequestWithContext(ctx, "GET", w.url+videoPath+"vs_1/status", nil)
	if err != nil {
		return
	}
	req.Header.Set("X-API-Key", key)
	if res, err := http.DefaultClient.Do(req); err == nil {
		_ = res.Body.Close()
	}
}

func TestWrongKeysAreThrottledByAddress(t *testing.T) {
	w := newWorld(t, func(d *Deps) { d.Config.TrustedProxies = []string{"127.0.0.0/8"} })
	from := func(addr string) option { return withHeader("X-Forwarded-For", addr) }
	w.call("GET", me, nil, from("203.0.113.9")).ok()
	wrong := "sk_live_" + strings.Repeat("A", 43)
	status := 0
	var last *reply
	for range 10 * limits.FailedFree {
		last = w.call("GET", me, nil, withKey(wrong), from("203.0.113.9"))
		if status = last.status; status != 401 {
			break
		}
	}
	last.refused(429, consult.ReasonFailedKeys)
	if last.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	w.call("GET", me, nil, from("203.0.113.9")).ok() // a key that was right from there before
	w.call("GET", me, nil, withKey(w.otherKey), from("203.0.113.9")).refused(429, consult.ReasonFailedKeys)
	w.call("GET", me, nil, withKey(w.otherKey), from("198.51.100.7")).ok()
	for range 3 * limits.FailedFree { // no key at all is no guess
		w.call("GET", me, nil, withoutKey, from("192.0.2.1")).refused(401, consult.ReasonKeyMissing)
	}
	w.clock.advance(time.Hour)
	w.call("GET", me, nil, withKey(w.otherKey), from("203.0.113.9")).ok()
}

func TestKnownKeysAreBounded(t *testing.T) {
	k := newKnownKeys()
	for i := range maxKnown + 100 {
		k.note(strconv.Itoa(i), testAddr)
	}
	if len(k.seen) > maxKnown {
		t.Errorf("%d", len(k.seen))
	}
	if !k.has(strconv.Itoa(maxKnown+99), testAddr) || k.has("", testAddr) || k.has("x", testAddr) {
		t.Error("the newest is forgotten, or the unknown known")
	}
}

func TestScopesAndPlans(t *testing.T) {
	w := newWorld(t)
	secret := func(plan string, scopes ...consult.KeyScope) string {
		s, _, err := w.keys.Create(t.Context(), auth.CreateKeyRequest{
			AccountID: w.apiKey.Scope.AccountID, Name: "Scoped", Plan: plan, Mode: consult.Live, Scopes: scopes,
		})
		must(t, err)
		return s
	}
	f := w.fixtures()
	keys := map[consult.KeyScope]string{}
	for _, sc := range allScopes {
		keys[sc] = secret(consult.PlanEnterprise, sc)
	}
	for _, op := range w.contract.operations {
		if op.public {
			continue
		}
		for sc, key := range keys {
			var body any
			if op.body != nil {
				body = sample(op.body)
			}
			a := w.call(op.method, w.fixtures().request(t, op), body, withKey(key))
			if allowed := op.scope == "" || op.scope == sc; allowed == (a.status == 403 && a.body["reason"] == consult.ReasonScope) {
				// A key of admin alone has nothing to give, and cannot rotate one that has more.
				if sc != consult.ScopeAdmin || op.id != "rotateKey" && op.id != "createKey" {
					t.Errorf("%s with the scope %s: %d %s", a.what, sc, a.status, a.raw)
				}
			}
		}
	}
	old := secret(consult.PlanEnterprise) // all but admin
	w.call("GET", "/api/v1/keys", nil, withKey(old)).refused(403, consult.ReasonScope)
	w.call("GET", videoPath+f["session_id"], nil, withKey(old)).ok()

	body := map[string]any{"doctor_id": "d", "patient_id": "p", "enable_recording": true}
	a := w.call("POST", videoPath+"create", body, withKey(secret(consult.PlanStarter)))
	a.refused(403, consult.ReasonPlan)
	if a.str("message") != "Your plan does not have access to this endpoint." {
		t.Errorf("message %q", a.str("message"))
	}
	w.call("POST", videoPath+"create", body, withKey(secret(consult.PlanProfessional))).ok()
}
