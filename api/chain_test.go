package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/chatmed/chatmed/internal/consult"
)

func TestRequestID(t *testing.T) {
	w := newWorld(t)
	for given, kept := range map[string]bool{
		"3f0c2a9e-5b1d-4c6f-8a7e-0d1c2b3a4f5e": true, "req_1.2": true,
		"": false, "a b": false, "a\tb": false, "é": false, strings.Repeat("a", 129): false, `"><script>`: false,
	} {
		got := w.call("GET", "/healthz", nil, withHeader("X-Request-Id", given)).header.Get("X-Request-Id")
		if kept != (got == given) || !kept && !strings.HasPrefix(got, "req_") {
			t.Errorf("%q became %q", given, got)
		}
	}
}

func TestHeadIsGetWithoutBody(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/healthz", "/openapi.yaml", "/api/v1/users/me"} {
		a := w.call("HEAD", path, nil, func(r *http.Request) { r.Header.Set("Accept-Encoding", "identity") })
		if a.status != 200 || len(a.raw) != 0 || a.header.Get("Content-Length") == "0" {
			t.Errorf("HEAD %s: %d %q, Content-Length %s", path, a.status, a.raw, a.header.Get("Content-Length"))
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/api/v1/users/me", "/api/v1/nothing", "/healthz"} {
		h := w.call("GET", path, nil).header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
	}
}

func TestCORS(t *testing.T) {
	origin := withHeader("Origin", "https://clinic.example")
	preflight := withHeader("Access-Control-Request-Method", "POST")
	closed := newWorld(t)
	if h := closed.call("GET", "/api/v1/users/me", nil, origin).header; h.Get("Access-Control-Allow-Origin") != "" {
		t.Error("an origin is allowed by default")
	}
	closed.call("OPTIONS", "/api/v1/users/me", nil, origin, preflight).refused(405, "")

	w := newWorld(t, func(d *Deps) { d.Config.AllowedOrigins = []string{"https://clinic.example"} })
	h := w.call("GET", "/api/v1/users/me", nil, origin).header
	if h.Get("Access-Control-Allow-Origin") != "https://clinic.example" || h.Get("Vary") != "Origin" ||
		!strings.Contains(h.Get("Access-Control-Expose-Headers"), "X-RateLimit-Reset") || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("headers %v", h)
	}
	a := w.call("OPTIONS", videoPath+"create", nil, origin, preflight, withoutKey)
	if a.status != 204 || !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "X-API-Key") {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
	for _, other := range []string{"https://evil.example", "null", "https://clinic.example.evil.example"} {
		a := w.call("OPTIONS", videoPath+"create", nil, withHeader("Origin", other), preflight)
		if a.refused(405, ""); a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("Vary") != "Origin" {
			t.Errorf("%s: %v", other, a.header)
		}
	}
}

// A key's allowed origins may call with that key, and with no other.
func TestCORSOfAKey(t *testing.T) {
	w := newWorld(t)
	origin := withHeader("Origin", "https://clinic.example")
	preflight := withHeader("Access-Control-Request-Method", "POST")
	secret := w.call("POST", keysPath, map[string]any{"name": "x", "allowed_origins": []string{"https://clinic.example"}}).str("secret")
	allowed := func(a *reply) bool { return a.header.Get("Access-Control-Allow-Origin") == "https://clinic.example" }
	if a := w.call("OPTIONS", videoPath+"create", nil, origin, preflight, withoutKey); a.status != 204 || !allowed(a) {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
	if a := w.call("GET", me, nil, withKey(secret), origin); !allowed(a) || a.header.Get("Cross-Origin-Resource-Policy") != "cross-origin" {
		t.Errorf("own key: %v", a.header)
	}
	if a := w.call("GET", me, nil, withKey(w.otherKey), origin); allowed(a) || a.header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
		t.Errorf("another key: %v", a.header)
	}
	if a := w.call("GET", me, nil, withKey("sk_live_wrong"), origin); !allowed(a) {
		t.Error("the page cannot read why it is refused")
	}
	for _, other := range []string{"https://evil.example", "null", "http://clinic.example", "https://clinic.example:8443"} {
		if a := w.call("OPTIONS", videoPath+"create", nil, withHeader("Origin", other), preflight); a.status != 405 || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v", other, a.status, a.header)
		}
	}
}

func TestOriginsOfRevokedKeysEnd(t *testing.T) {
	c := &clock{at: time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)}
	keys := &listed{{AllowedOrigins: []string{"https://a.example"}}}
	k := &keyOrigins{keys: keys, tick: c.now, log: slog.New(slog.DiscardHandler)}
	if !k.allow(t.Context(), "https://a.example") || k.allow(t.Context(), "https://b.example") {
		t.Error("not as listed")
	}
	at := c.now()
	(*keys)[0].RevokedAt = &at
	c.advance(originsAge + time.Second)
	if k.allow(t.Context(), "https://a.example") {
		t.Error("a revoked key still allows")
	}
}

type listed []consult.APIKey

func (l *listed) List(context.Context) ([]consult.APIKey, error) { return *l, nil }

// The log names routes and ids; a value that a caller or a patient sent never
// stands in it.
func TestLogsAndMetricsHoldNoContent(t *testing.T) {
	w := newWorld(t)
	token := w.create().str("token")
	w.join("pat_1")
	w.call("GET", roomPath+"?doctor_id=doc_secretquery", nil).ok()
	w.call("GET", "/api/v1/secretpath", nil)
	w.call("SECRETMETHOD", "/secretpage", nil)
	w.call("POST", videoPath+"create", `{"doctor_id":"secretvalue !"}`).refused(422, "")
	families, err := w.registry.Gather()
	must(t, err)
	metricText := fmt.Sprint(families)
	all := w.log.String() + metricText
	for _, secret := range []string{
		"Amina", "Martin", "Headache", "pat_1", "secret", w.key, w.key[8:], token, "clinic.example", "vs_0",
	} {
		if i := strings.Index(all, secret); i >= 0 {
			t.Errorf("%q is logged: …%s", secret, all[max(0, i-200):i])
		}
	}
	for _, want := range []string{
		`"route":"/api/v1/consultations/waiting-room"`, `"key_id":"` + w.apiKey.ID, `"client":"127.0.0.1"`, `"status":422`,
		`"route":"unmatched"`, `"method":"other"`,
	} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("%s is not logged", want)
		}
	}
	if !strings.Contains(metricText, "chatmed_http_request_duration_seconds") || !strings.Contains(metricText, "waiting-room/join") {
		t.Error("no request metrics")
	}
}

func TestClientAddressBehindAProxy(t *testing.T) {
	forwarded := withHeader("X-Forwarded-For", "203.0.113.9")
	w := newWorld(t)
	w.call("GET", "/api/v1/users/me", nil, forwarded).ok()
	if strings.Contains(w.log.String(), "203.0.113.9") {
		t.Error("X-Forwarded-For of an unknown peer is believed")
	}
	w = newWorld(t, func(d *Deps) { d.Config.TrustedProxies = []string{"127.0.0.0/8"} })
	w.call("GET", "/api/v1/users/me", nil, forwarded).ok()
	if !strings.Contains(w.log.String(), `"client":"203.0.113.9"`) {
		t.Error("X-Forwarded-For of a trusted proxy is not believed")
	}
	if _, err := New(Deps{Config: Config{TrustedProxies: []string{"not an address"}}}); err == nil {
		t.Error("a bad proxy address was accepted")
	}
}

func TestSignallingAndPagesAreMounted(t *testing.T) {
	w := newWorld(t, func(d *Deps) {
		d.Signal = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			conn, err := (&websocket.Upgrader{}).Upgrade(rw, r, nil)
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			_ = conn.WriteMessage(websocket.TextMessage, []byte("hello"))
		})
		d.Web = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(rw, "<p>page</p>")
		})
	})
	conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(w.url, "http", "ws", 1)+"/signal/v1", nil)
	must(t, err)
	defer func() { _ = conn.Close(); _ = res.Body.Close() }()
	if _, msg, err := conn.ReadMessage(); err != nil || string(msg) != "hello" {
		t.Errorf("signalling: %q %v", msg, err)
	}
	for _, path := range []string{"/", "/room/vs_1?role=doctor", "/apis", "/docs"} {
		a := w.call("GET", path, nil, withoutKey)
		if a.status != 200 || string(a.raw) != "<p>page</p>" || a.header.Get("Content-Security-Policy") != "" {
			t.Errorf("%s: %d %s", path, a.status, a.raw)
		}
	}
	w.call("GET", "/api/v1/nothing", nil).refused(404, "")
	bare := newWorld(t)
	bare.call("GET", "/", nil).refused(404, "")
	bare.call("GET", "/signal/v1", nil).refused(404, "")
}

// rawRequest writes head and body to the server and reads one answer, while
// the connection stays open for more body.
func (w *world) rawRequest(text string) *http.Response {
	w.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(w.t.Context(), "tcp", strings.TrimPrefix(w.url, "http://"))
	must(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	must(w.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(conn, text)
	must(w.t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(w.t, err)
	w.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func TestALargeBodyIsRefusedUnread(t *testing.T) {
	w := newWorld(t)
	head := "POST " + videoPath + "create HTTP/1.1\r\nHost: x\r\nX-API-Key: " + w.key + "\r\n"
	// Nothing of the announced body is ever sent.
	res := w.rawRequest(head + "Content-Length: 10737418240\r\n\r\n")
	if res.StatusCode != 413 || !res.Close {
		t.Errorf("announced: %s, close %v", res.Status, res.Close)
	}
	// One byte beyond the bound, of a body without announced end.
	res = w.rawRequest(head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n", 2<<20) + strings.Repeat(" ", maxBody+1))
	if res.StatusCode != 413 || !res.Close {
		t.Errorf("chunked: %s, close %v", res.Status, res.Close)
	}
}

func TestABodyOfTheBoundIsRead(t *testing.T) {
	w := newWorld(t)
	body := `{"doctor_id":"d","patient_id":"p"}`
	w.call("POST", videoPath+"create", body+strings.Repeat(" ", maxBody-len(body))).ok()
}

func TestASlowBodyIsCut(t *testing.T) {
	w := newWorld(t, func(d *Deps) { d.Config.RequestTimeout = 200 * time.Millisecond })
	res := w.rawRequest("POST " + videoPath + "create HTTP/1.1\r\nHost: x\r\nX-API-Key: " + w.key + "\r\nContent-Length: 100\r\n\r\n{")
	if res.StatusCode != 400 {
		t.Errorf("slow body: %s", res.Status)
	}
}

func TestABodyCutShortIsRefused(t *testing.T) {
	w := newWorld(t)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(w.url, "http://"))
	must(t, err)
	defer func() { _ = conn.Close() }()
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(conn, "POST "+videoPath+"create HTTP/1.1\r\nHost: x\r\nX-API-Key: "+w.key+"\r\nContent-Length: 100\r\n\r\n{}")
	must(t, err)
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("connection is %T", conn)
	}
	must(t, tcp.CloseWrite())
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != 400 {
		t.Errorf("cut body: %s", res.Status)
	}
}

func TestARegistryTakesTheMetricsOnce(t *testing.T) {
	w := newWorld(t)
	if _, err := New(Deps{Registry: w.registry}); err == nil {
		t.Error("the same metrics were registered twice")
	}
}
