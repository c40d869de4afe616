package web

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func build() fstest.MapFS {
	return fstest.MapFS{
		".keep":                     {Data: nil},
		"index.html":                {Data: []byte("start")},
		"room.html":                 {Data: []byte("room")},
		"room.html.br":              {Data: []byte("room-br")},
		"room.html.gz":              {Data: []byte("room-gz")},
		"doctor.html":               {Data: []byte("doctor")},
		"assets/room-abc123.js":     {Data: []byte("script")},
		"assets/room-abc123.js.gz":  {Data: []byte("script-gz")},
		"assets/favicon-abc123.svg": {Data: []byte("<svg/>")},
	}
}

func get(t *testing.T, h http.Handler, path string, header map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "http://meet.example:8080"+path, nil)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPaths(t *testing.T) {
	h := newHandler(Config{}, build())
	for _, tt := range []struct {
		path   string
		status int
		body   string
		kind   string
	}{
		{"/", 200, "start", "text/html; charset=utf-8"},
		{"/doctor", 200, "doctor", "text/html; charset=utf-8"},
		{"/room/vs_01H9XYZ_abc", 200, "room", "text/html; charset=utf-8"},
		{"/room/vs_01H9XYZ_abc?role=doctor", 200, "room", "text/html; charset=utf-8"},
		{"/assets/room-abc123.js", 200, "script", "text/javascript; charset=utf-8"},
		{"/assets/favicon-abc123.svg", 200, "<svg/>", "image/svg+xml"},
		{"/room/", 404, "", ""},
		{"/room/a/b", 404, "", ""},
		{"/room.html", 404, "", ""},
		{"/room.html.br", 404, "", ""},
		{"/.keep", 404, "", ""},
		{"/assets/", 404, "", ""},
		{"/assets/room-abc123.js.gz", 404, "", ""},
		{"/nothing", 404, "", ""},
	} {
		w := get(t, h, tt.path, nil)
		if w.Code != tt.status {
			t.Errorf("%s: status %d, want %d", tt.path, w.Code, tt.status)
		}
		if tt.status == 200 && (w.Body.String() != tt.body || w.Header().Get("Content-Type") != tt.kind) {
			t.Errorf("%s: %q as %q", tt.path, w.Body, w.Header().Get("Content-Type"))
		}
	}
}

func TestEncodings(t *testing.T) {
	h := newHandler(Config{}, build())
	for _, tt := range []struct{ path, accept, encoding, body string }{
		{"/room/x", "gzip, deflate, br", "br", "room-br"},
		{"/room/x", "gzip", "gzip", "room-gz"},
		{"/room/x", "br;q=0, GZIP;q=0.5", "gzip", "room-gz"},
		{"/room/x", "br; q=0", "", "room"},
		{"/room/x", "identity", "", "room"},
		{"/assets/room-abc123.js", "br, gzip", "gzip", "script-gz"},
		{"/doctor", "br, gzip", "", "doctor"},
	} {
		w := get(t, h, tt.path, map[string]string{"Accept-Encoding": tt.accept})
		if got := w.Header().Get("Content-Encoding"); got != tt.encoding || w.Body.String() != tt.body {
			t.Errorf("%s for %q: %q, %q", tt.path, tt.accept, got, w.Body)
		}
		if w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: no Vary", tt.path)
		}
	}
}

func TestCaching(t *testing.T) {
	h := newHandler(Config{}, build())
	page := get(t, h, "/room/x", nil)
	if got := page.Header().Get("Cache-Control"); got != "no-cache" {
		t.Errorf("page: Cache-Control %q", got)
	}
	asset := get(t, h, "/assets/room-abc123.js", nil)
	if got := asset.Header().Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
		t.Errorf("asset: Cache-Control %q", got)
	}
	etag := page.Header().Get("ETag")
	again := get(t, h, "/room/x", map[string]string{"If-None-Match": `"other", W/` + etag})
	if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("known page: status %d, %d bytes", again.Code, again.Body.Len())
	}
	if again.Header().Get("Content-Security-Policy") == "" {
		t.Error("304 without a content security policy")
	}
	br := get(t, h, "/room/x", map[string]string{"Accept-Encoding": "br"})
	if br.Header().Get("ETag") == etag {
		t.Error("two encodings share an ETag")
	}
}

// TestEveryPageIsProtected walks the pages of the build and of the fixture: a
// page that is new is an error until this table knows it.
func TestEveryPageIsProtected(t *testing.T) {
	const (
		common = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
		rest   = "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
		all    = "camera microphone display-capture speaker-selection screen-wake-lock fullscreen picture-in-picture autoplay"
	)
	want := map[string]struct{ path, connect, used string }{
		"index.html":  {"/", "'none'", ""},
		"room.html":   {"/room/vs_1", "'self' wss://meet.example:8080", all},
		"doctor.html": {"/doctor", "'self' wss://meet.example:8080", "autoplay"},
	}
	for _, h := range []http.Handler{newHandler(Config{}, build()), Handler(Config{})} {
		for name := range h.(*handler).pages {
			page, ok := want[name]
			if !ok {
				t.Errorf("%s is not in this test", name)
				continue
			}
			if _, ok := pageAccess[name]; !ok {
				t.Errorf("%s has no line in pageAccess", name)
			}
			head := get(t, h, page.path, map[string]string{"X-Forwarded-Proto": "https"}).Header()
			for k, v := range map[string]string{
				"Content-Security-Policy":      common + "connect-src " + page.connect + rest,
				"X-Content-Type-Options":       "nosniff",
				"Referrer-Policy":              "no-referrer",
				"X-Frame-Options":              "DENY",
				"Cross-Origin-Opener-Policy":   "same-origin",
				"Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got := head.Get(k); got != v {
					t.Errorf("%s: %s is %q, want %q", name, k, got, v)
				}
			}
			for item := range strings.SplitSeq(head.Get("Permissions-Policy"), ", ") {
				feature, list, _ := strings.Cut(item, "=")
				allowed := slices.Contains(strings.Fields(page.used), feature)
				if list != "()" && !allowed || allowed && list != "(self)" {
					t.Errorf("%s: permission %s", name, item)
				}
			}
			for _, feature := range strings.Fields(all) {
				if !strings.Contains(head.Get("Permissions-Policy"), feature+"=") {
					t.Errorf("%s says nothing of %s", name, feature)
				}
			}
		}
	}
}

// TestWhatIsNoPageIsInert may not be framed nor run anything.
func TestWhatIsNoPageIsInert(t *testing.T) {
	for _, path := range []string{"/nothing", "/room/", "/assets/favicon-abc123.svg", "/assets/room-abc123.js", "/assets/none.js"} {
		head := get(t, newHandler(Config{}, build()), path, nil).Header()
		if csp := head.Get("Content-Security-Policy"); csp != "default-src 'none'; frame-ancestors 'none'" ||
			head.Get("X-Content-Type-Options") != "nosniff" || head.Get("X-Frame-Options") != "DENY" ||
			head.Get("Referrer-Policy") != "no-referrer" || head.Get("Cross-Origin-Resource-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, head)
		}
	}
}

func TestSocketScheme(t *testing.T) {
	h := newHandler(Config{}, build())
	for proto, want := range map[string]string{"": "ws", "http": "ws", "https": "wss", "http, HTTPS": "wss", "https,http": "ws"} {
		csp := get(t, h, "/room/x", map[string]string{"X-Forwarded-Proto": proto}).Header().Get("Content-Security-Policy")
		if !strings.Contains(csp, "connect-src 'self' "+want+"://meet.example:8080;") {
			t.Errorf("%q: %s", proto, csp)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "https://meet.example/room/x", nil) // has TLS set
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, " wss://meet.example;") {
		t.Error(csp)
	}
}

func TestForeignHostIsNotWrittenIntoThePolicy(t *testing.T) {
	for _, host := range []string{"a;script-src *", "a b", "", "x\ny", strings.Repeat("a", 300)} {
		if csp := policy(&http.Request{Host: host}, pageAccess[roomPage], nil); !strings.Contains(csp, "connect-src 'self'; ") {
			t.Errorf("host %q: %s", host, csp)
		}
	}
}

func TestFrameAncestors(t *testing.T) {
	var asked string
	cfg := Config{FrameAncestors: func(r *http.Request) []string {
		asked = r.URL.Path
		return []string{
			"https://clinic.example", "http://localhost:3000", "https://clinic.example/path", "*",
			"https://a b", "https://x;script-src *", "javascript:alert(1)", "https://user@clinic.example",
		}
	}}
	h := newHandler(cfg, build())
	w := get(t, h, "/room/vs_1", nil)
	csp := w.Header().Get("Content-Security-Policy")
	if !strings.HasSuffix(csp, "frame-ancestors https://clinic.example http://localhost:3000") {
		t.Errorf("policy: %s", csp)
	}
	if w.Header().Get("X-Frame-Options") != "" {
		t.Error("X-Frame-Options contradicts frame-ancestors")
	}
	if w.Header().Get("Cross-Origin-Resource-Policy") != "cross-origin" || w.Header().Get("Cross-Origin-Opener-Policy") != "unsafe-none" {
		t.Errorf("breaks the frame: %v", w.Header())
	}
	if asked != "/room/vs_1" {
		t.Errorf("asked for %q", asked)
	}
	// The doctor's list shows every patient: it is never embedded.
	if csp := get(t, h, "/doctor", nil).Header().Get("Content-Security-Policy"); !strings.HasSuffix(csp, "frame-ancestors 'none'") {
		t.Errorf("desk policy: %s", csp)
	}
}

func TestMethods(t *testing.T) {
	h := newHandler(Config{}, build())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/room/x", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/room/x", nil))
	if w.Code != http.StatusOK || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "4" {
		t.Errorf("HEAD: %d, %d bytes, length %q", w.Code, w.Body.Len(), w.Header().Get("Content-Length"))
	}
}

func TestNotBuilt(t *testing.T) {
	h := newHandler(Config{}, fstest.MapFS{".keep": {Data: nil}})
	for _, path := range []string{"/", "/room/x", "/doctor"} {
		w := get(t, h, path, nil)
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "npm run build") {
			t.Errorf("%s: %d %q", path, w.Code, w.Body)
		}
	}
	if w := get(t, h, "/assets/x.js", nil); w.Code != http.StatusNotFound {
		t.Errorf("asset: %d", w.Code)
	}
}

// The real build, when there is one, must hold nothing the policy would refuse.
func TestBuiltPagesHaveNothingInline(t *testing.T) {
	h := Handler(Config{})
	for _, path := range []string{"/", "/room/x", "/doctor"} {
		w := get(t, h, path, nil)
		if w.Code == http.StatusServiceUnavailable {
			continue
		}
		body := w.Body.String()
		for _, bad := range []string{"<style", "<script>", " style=", " onload=", "data:"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s contains %q", path, bad)
			}
		}
	}
}
