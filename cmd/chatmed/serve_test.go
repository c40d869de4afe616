package main

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/config"
	"github.com/chatmed/chatmed/internal/consult"
)

// TestStopWithReservedConnection has a connection open that no request has come
// on, as browsers keep them: it is closed and not waited for.
func TestStopWithReservedConnection(t *testing.T) {
	srv := newServer(t)
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", srv.addr())
	must(t, err)
	defer func() { must(t, c.Close()) }()
	unused := func() int {
		srv.web.unused.mu.Lock()
		defer srv.web.unused.mu.Unlock()
		return len(srv.web.unused.conns)
	}
	eventually(t, "the connection is known", func() bool { return unused() == 1 })
	srv.status(srv.create("doc_1", "pat_1").SessionID)
	if n := unused(); n != 1 {
		t.Errorf("%d connections count as unused, beside one that is in use", n)
	}
	srv.halt()
	if b, err := io.ReadAll(c); len(b) != 0 || err != nil {
		t.Errorf("the connection ended with %q, %v", b, err)
	}
}

// TestFailedStart closes again what a start had opened that fails half way.
func TestFailedStart(t *testing.T) {
	srv := newServer(t)
	for name, spoil := range map[string]func(*config.Config){
		"media port taken": func(c *config.Config) { c.UDPPort = int(srv.media.Candidates()[0].Port()) },
		"no database":      func(c *config.Config) { c.DatabaseURL = "postgres://u:p@127.0.0.1:1/x" },
		"no Redis":         func(c *config.Config) { c.RedisURL = "redis://127.0.0.1:bad" },
		"proxy unreadable": func(c *config.Config) { c.TrustedProxies = []netip.Prefix{{}} },
	} {
		cfg := *srv.cfg
		cfg.DataDir, cfg.UDPPort = t.TempDir(), 0
		spoil(&cfg)
		if _, err := newApp(t.Context(), &cfg, srv.now); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// What is left running would be found after the tests of this package.
}

// TestEmbedding shows the room inside the pages of its key's owner only.
func TestEmbedding(t *testing.T) {
	srv := newServer(t)
	plain := srv.create("doc_1", "pat_1")
	embedding, key, err := srv.keys.Create(t.Context(), auth.CreateKeyRequest{
		Name: "clinic", Plan: consult.PlanStarter, Mode: consult.Test, AllowedOrigins: []string{"https://clinic.example"},
	})
	must(t, err)
	srv.key, embedding = embedding, srv.key
	framed := srv.create("doc_1", "pat_1")
	srv.key = embedding
	ancestors := func(path string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+srv.addr()+path, nil)
		must(t, err)
		resp, err := srv.client.Do(req)
		must(t, err)
		must(t, resp.Body.Close())
		_, csp, _ := strings.Cut(resp.Header.Get("Content-Security-Policy"), "frame-ancestors ")
		csp, _, _ = strings.Cut(csp, ";")
		return csp
	}
	for path, want := range map[string]string{
		"/room/" + framed.SessionID: "https://clinic.example",
		"/room/" + plain.SessionID:  "'none'",
		"/room/vs_0":                "'none'",
		"/doctor":                   "'none'",
		"/":                         "'none'",
	} {
		if got := ancestors(path); got != want {
			t.Errorf("%s may be embedded by %q", path, got)
		}
	}
	_, err = srv.keys.Revoke(t.Context(), key.ID, consult.System)
	must(t, err)
	if got := ancestors("/room/" + framed.SessionID); got != "'none'" {
		t.Errorf("with its key revoked, it may be embedded by %q", got)
	}
}
