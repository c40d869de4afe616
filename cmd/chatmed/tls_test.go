package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/chatmed/chatmed/internal/config"
)

const meet = "meet.example.test"

// pemPair is a self-signed certificate and its key.
type pemPair struct{ cert, key []byte }

func selfSigned(t *testing.T, notBefore, notAfter time.Time, names ...string) pemPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]}, NotBefore: notBefore, NotAfter: notAfter,
		DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return pemPair{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	}
}

func today(t *testing.T) pemPair {
	return selfSigned(t, time.Now().Add(-time.Hour), time.Now().Add(90*24*time.Hour), meet)
}

// write puts the pair into a directory.
func (p pemPair) write(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	must(t, os.WriteFile(key, p.key, 0o600))
	must(t, os.WriteFile(cert, p.cert, 0o600))
	return cert, key
}

// client trusts the pair, goes to addr whatever the URL says, and follows no
// redirect.
func (p pemPair) client(t *testing.T, addr string, tune func(*tls.Config)) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.cert)
	c := &tls.Config{RootCAs: roots, ServerName: meet} //nolint:gosec // versions are the test's
	if tune != nil {
		tune(c)
	}
	tr := &http.Transport{
		TLSClientConfig: c, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func fetch(t *testing.T, c *http.Client, url string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	must(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	return resp
}

// freeAddr is a loopback address that is free at this moment.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { must(t, l.Close()) }()
	return l.Addr().String()
}

func TestHTTPSWithFiles(t *testing.T) {
	dir, pair, plain := t.TempDir(), today(t), freeAddr(t)
	cert, key := pair.write(t, dir)
	srv := newServer(t, "CHATMED_TLS_CERT="+cert, "CHATMED_TLS_KEY="+key, "CHATMED_HTTP_REDIRECT_ADDR="+plain,
		"CHATMED_PUBLIC_URL=https://"+meet)
	addr := srv.addr()

	resp := fetch(t, pair.client(t, addr, nil), "https://"+meet+"/healthz")
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 || resp.TLS.Version != tls.VersionTLS13 {
		t.Errorf("%s over %s, TLS %x", resp.Status, resp.Proto, resp.TLS.Version)
	}
	if got := resp.Header.Get("Strict-Transport-Security"); got != hsts {
		t.Errorf("Strict-Transport-Security %q", got)
	}
	for name, tt := range map[string]struct {
		tune func(*tls.Config)
		ok   bool
	}{
		"TLS 1.2": {func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, true},
		"TLS 1.1": {func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, false},
		"TLS 1.2 with CBC only": {func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
		}, false},
	} {
		c := pair.client(t, addr, tt.tune)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+meet+"/healthz", nil)
		must(t, err)
		resp, err := c.Do(req)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			must(t, resp.Body.Close())
		}
	}

	// Plain HTTP is sent on, and the word about security is not given in clear.
	resp = fetch(t, pair.client(t, plain, nil), "http://"+meet+"/room/vs_1?role=patient&x=%2F")
	if want := "https://" + meet + "/room/vs_1?role=patient&x=%2F"; resp.StatusCode != http.StatusPermanentRedirect || resp.Header.Get("Location") != want {
		t.Errorf("plain HTTP: %s to %q", resp.Status, resp.Header.Get("Location"))
	}
	if got := resp.Header.Get("Strict-Transport-Security"); got != "" {
		t.Errorf("HSTS over plain HTTP: %q", got)
	}

	// Signalling works beside HTTP/2.
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pair.cert)
	d := websocket.Dialer{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: meet, MinVersion: tls.VersionTLS12}, Subprotocols: []string{"chatmed.v1"},
		NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		},
	}
	ws, up, err := d.DialContext(t.Context(), "wss://"+meet+"/signal/v1", http.Header{"Origin": {"https://" + meet}})
	if err != nil {
		t.Fatalf("wss: %v, %+v", err, up)
	}
	must(t, ws.Close())

	// Other files, and SIGHUP.
	next := today(t)
	next.write(t, dir)
	must(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	eventually(t, "the new certificate", func() bool {
		c := next.client(t, addr, nil)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+meet+"/healthz", nil)
		must(t, err)
		resp, err := c.Do(req)
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil
	})
}

// TestFilesAreReadAgain polls, and keeps what it has while the files are being
// replaced.
func TestFilesAreReadAgain(t *testing.T) {
	dir, old := t.TempDir(), today(t)
	f, err := newCertFiles(old.write(t, dir))
	must(t, err)
	f.poll = time.Millisecond
	served := func() string { return string(f.current.Load().Leaf.Raw) }
	first := served()
	var lines lockedLines
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { f.run(ctx, nil, slog.New(slog.NewTextHandler(&lines, nil))) })
	defer wg.Wait()
	defer cancel()

	next := selfSigned(t, time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour), meet)
	must(t, os.WriteFile(f.key, next.key, 0o600)) // a key without its certificate
	eventually(t, "a complaint", func() bool { return lines.count("cannot be used") == 1 })
	if served() != first {
		t.Error("half a pair is served")
	}
	must(t, os.WriteFile(f.cert, next.cert, 0o600))
	eventually(t, "the new pair", func() bool { return served() != first })
	eventually(t, "a warning that it ends soon", func() bool { return lines.count("ends soon") == 1 })
	must(t, os.Remove(f.cert))
	eventually(t, "another complaint", func() bool { return lines.count("cannot be used") == 2 })
}

// lockedLines collects a log.
type lockedLines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

func TestRedirect(t *testing.T) {
	h := redirect(&config.Config{PublicURL: "https://api.example:8443", RoomURL: "https://" + meet, TLSDomain: "chatmed.example"})
	for _, tt := range []struct{ method, target, host, want string }{
		{"GET", "/", meet, "https://" + meet + "/"},
		{"GET", "/", "MEET.example.test.:80", "https://" + meet + "/"},
		{"POST", "/api/v1/x?a=1&a=2&b=%20", "api.example", "https://api.example:8443/api/v1/x?a=1&a=2&b=%20"},
		{"GET", "/room/a%2Fb/%C3%A9", "chatmed.example", "https://chatmed.example:8443/room/a%2Fb/%C3%A9"},
		// Nobody is sent anywhere else.
		{"GET", "/x", "evil.example", "https://api.example:8443/x"},
		{"GET", "/x", meet + "@evil.example", "https://api.example:8443/x"},
		{"GET", "/x", meet + ".evil.example", "https://api.example:8443/x"},
		{"GET", "/x", "", "https://api.example:8443/x"},
		{"GET", "//evil.example/x", meet, "https://" + meet + "//evil.example/x"},
		{"GET", "http://evil.example/x", meet, "https://" + meet + "/x"},
		{"GET", "/\\evil.example", meet, "https://" + meet + "/%5Cevil.example"},
		{"OPTIONS", "*", meet, ""},
	} {
		r := httptest.NewRequest(tt.method, tt.target, nil)
		r.Host = tt.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		status := http.StatusPermanentRedirect
		if tt.want == "" {
			status = http.StatusBadRequest
		}
		if got := w.Header().Get("Location"); w.Code != status || got != tt.want {
			t.Errorf("%s %s of %q: %d, %q, want %q", tt.method, tt.target, tt.host, w.Code, got, tt.want)
		}
	}
}

// FuzzRedirect looks for a host and a target that lead anywhere but to us.
func FuzzRedirect(f *testing.F) {
	f.Add(meet, "/x", "a=1")
	f.Add("evil.example", "//evil.example/%2e%2e", "")
	f.Add(meet+"@evil.example:80", "/\\evil\r\nLocation: x", "\r\n")
	f.Add("[::1]:80", "", "?")
	h := redirect(&config.Config{PublicURL: "https://api.example:8443", RoomURL: "https://" + meet})
	f.Fuzz(func(t *testing.T, host, path, query string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host, r.URL.Path, r.URL.RawQuery = host, path, query
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		where := w.Header().Get("Location")
		if w.Code == http.StatusBadRequest && where == "" {
			return
		}
		// As it goes over the wire: a line break in it would end the header there.
		if i := strings.IndexAny(where, "\r\n"); i >= 0 {
			where = where[:i]
		}
		u, err := url.Parse(where)
		if err != nil { // a query as no client sends it; the origin stands before it
			where, _, _ = strings.Cut(where, "?")
			u, err = url.Parse(where)
		}
		if w.Code != http.StatusPermanentRedirect || err != nil || u.Scheme != "https" || u.Host != meet && u.Host != "api.example:8443" {
			t.Errorf("%q %q %q: %d to %q, %v", host, path, query, w.Code, where, err)
		}
	})
}

// TestFailedHandshakesNameNobody keeps visitors' addresses out of the log.
func TestFailedHandshakesNameNobody(t *testing.T) {
	var lines lockedLines
	logger := slog.New(serverLog{slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug})})
	logger.Warn("http: TLS handshake error from 192.0.2.7:1234: EOF")
	logger.Warn("http: TLS handshake error from [2001:db8::7]:1234: tls: no certificate: sorry")
	logger.Warn("http: Accept error")
	if lines.count("192.0.2.7") != 0 || lines.count("2001:db8") != 0 || lines.count("level=DEBUG") != 2 ||
		lines.count("tls: no certificate: sorry") != 1 || lines.count(`level=WARN msg="http: Accept error"`) != 1 {
		t.Error(lines.b.String())
	}
}

func TestBehindAProxy(t *testing.T) {
	cfg := &config.Config{PublicURL: "https://" + meet, RoomURL: "https://" + meet,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}}
	for _, tt := range []struct {
		name, peer, path string
		proto            []string
		status           int
		hsts             bool
		passed           string // X-Forwarded-Proto as the handler sees it
	}{
		{"trusted, HTTPS", "10.1.2.3:1", "/x", []string{"https"}, 200, true, "https"},
		{"trusted, IPv6", "[2001:db8::1]:1", "/x", []string{"HTTPS"}, 200, true, "HTTPS"},
		{"trusted, mapped", "[::ffff:10.1.2.3]:1", "/x", []string{"https"}, 200, true, "https"},
		{"trusted, the nearest says so", "10.1.2.3:1", "/x", []string{"http, https"}, 200, true, "http, https"},
		{"trusted, HTTP", "10.1.2.3:1", "/x", []string{"http"}, 308, false, ""},
		{"trusted, the nearest says HTTP", "10.1.2.3:1", "/x", []string{"https", "http"}, 308, false, ""},
		{"trusted, a probe", "10.1.2.3:1", "/healthz", []string{"http"}, 200, false, "http"},
		{"trusted, says nothing", "10.1.2.3:1", "/x", nil, 200, false, ""},
		{"anybody says HTTPS", "192.0.2.1:1", "/x", []string{"https"}, 200, false, ""},
		{"anybody says HTTP", "192.0.2.1:1", "/x", []string{"http"}, 200, false, ""},
	} {
		var passed []string
		h := secured(cfg, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { passed = r.Header["X-Forwarded-Proto"] }))
		r := httptest.NewRequest(http.MethodGet, "http://"+meet+tt.path, nil)
		r.RemoteAddr = tt.peer
		for _, v := range tt.proto {
			r.Header.Add("X-Forwarded-Proto", v)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status || (w.Header().Get("Strict-Transport-Security") != "") != tt.hsts || strings.Join(passed, "|") != tt.passed {
			t.Errorf("%s: %d, HSTS %q, passed on %q", tt.name, w.Code, w.Header().Get("Strict-Transport-Security"), passed)
		}
	}
	// Without proxies nobody is believed, and a plain server says nothing of HSTS.
	h := secured(&config.Config{PublicURL: "http://localhost:8080"}, http.NotFoundHandler())
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-Forwarded-Proto", "https")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusNotFound || w.Header().Get("Strict-Transport-Security") != "" {
		t.Errorf("%d, %v", w.Code, w.Header())
	}
}
