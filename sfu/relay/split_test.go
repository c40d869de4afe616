package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
)

// serveHTTP serves both of a splitter's HTTP sides and says which one it was.
func serveHTTP(t *testing.T, s *Splitter) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		up := websocket.Upgrader{}
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		_ = c.WriteMessage(websocket.TextMessage, []byte("hello"))
		_ = c.Close()
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s tls=%v", r.Proto, r.TLS != nil)
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: waitFor, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(s.HTTP()) })
	serving.Go(func() { _ = srv.Serve(s.HTTPS()) })
	t.Cleanup(func() {
		_ = srv.Close()
		serving.Wait()
	})
}

func TestSplitterServesHTTP(t *testing.T) {
	r := newRig(t, nil)
	serveHTTP(t, r.splitter)
	get := func(scheme string, tr *http.Transport) string {
		t.Helper()
		defer tr.CloseIdleConnections()
		c := http.Client{Transport: tr, Timeout: waitFor}
		resp, err := c.Get(scheme + "://" + r.tcp.String() + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer closed(t, resp.Body)
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	conf := &tls.Config{RootCAs: r.roots, ServerName: "localhost"}
	if got := get("http", &http.Transport{}); got != "HTTP/1.1 tls=false" {
		t.Error(got)
	}
	if got := get("https", &http.Transport{TLSClientConfig: conf.Clone(), ForceAttemptHTTP2: true}); got != "HTTP/2.0 tls=true" {
		t.Error(got)
	}
	if got := get("https", &http.Transport{TLSClientConfig: conf.Clone()}); got != "HTTP/1.1 tls=true" { // no ALPN
		t.Error(got)
	}
	for _, url := range []string{"ws://", "wss://"} {
		d := websocket.Dialer{TLSClientConfig: conf}
		c, resp, err := d.Dial(url+r.tcp.String()+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, p, err := c.ReadMessage(); err != nil || string(p) != "hello" {
			t.Errorf("%s: %q, %v", url, p, err)
		}
		_ = resp.Body.Close()
		_ = c.Close()
	}
}

// split makes a splitter on a free port, with metrics.
func split(t *testing.T, cfg SplitConfig) (*Splitter, *prometheus.Registry) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	s, err := Split(ln, cfg, nil, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, reg
}

// outcome dials, sends p and waits until the splitter has closed it.
func outcome(t *testing.T, s *Splitter, p []byte) {
	t.Helper()
	c, err := net.Dial("tcp4", s.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, c)
	write(t, c, p)
	_ = c.SetReadDeadline(time.Now().Add(waitFor))
	if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Fatal("not closed")
	}
}

func TestSplitterRefuses(t *testing.T) {
	s, reg := split(t, SplitConfig{FirstBytes: 100 * time.Millisecond})
	for _, c := range []struct {
		name, kind string
		p          []byte
	}{
		{"nothing", "timeout", nil},
		{"half a word", "timeout", []byte("GE")},
		{"noise", "unknown", []byte{0xde, 0xad, 0xbe, 0xef}},
		{"TLS without a certificate", "no_tls", clientHello(t)},
		{"STUN without a relay", "no_relay", binding()},
	} {
		before := counted(reg, "chatmed_tcp_connections_total", c.kind)
		outcome(t, s, c.p)
		eventually(t, c.name+" is counted as "+c.kind, func() bool {
			return counted(reg, "chatmed_tcp_connections_total", c.kind) == before+1
		})
	}
	cert, _ := certificate(t)
	s, reg = split(t, SplitConfig{TLS: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, FirstBytes: 100 * time.Millisecond})
	outcome(t, s, clientHello(t)) // and no more
	eventually(t, "a handshake that stops", func() bool { return counted(reg, "chatmed_tcp_connections_total", "handshake") == 1 })
}

func TestSplitterIsBounded(t *testing.T) {
	for name, cfg := range map[string]SplitConfig{"per source": {PerSource: 3}, "pending": {MaxPending: 3}, "all": {MaxConns: 3}} {
		s, reg := split(t, cfg)
		var open []net.Conn
		for range 3 { // that say nothing
			c, err := net.Dial("tcp4", s.ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, c)
		}
		outcome(t, s, nil)
		if n := counted(reg, "chatmed_tcp_connections_total", "too_many"); n != 1 {
			t.Errorf("%s: %d refused", name, n)
		}
		for _, c := range open {
			_ = c.Close()
		}
		eventually(t, "those that left are forgotten", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.open) == 0 && s.pending == 0 && len(s.sources) == 0
		})
	}
}

// TestSplitterOneByteAtATime: the pieces in which first bytes come don't matter.
func TestSplitterOneByteAtATime(t *testing.T) {
	for kind, p := range map[Kind][]byte{STUN: binding(), Framed: framed(check())} {
		got := make(chan string, 1)
		s, _ := split(t, SplitConfig{Relay: func(c net.Conn, k Kind) {
			b := make([]byte, len(p))
			_, err := io.ReadFull(c, b)
			got <- fmt.Sprint(k, err, bytes.Equal(b, p))
		}})
		c, err := net.Dial("tcp4", s.ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range p {
			write(t, c, []byte{b})
		}
		if g := <-got; g != fmt.Sprint(kind, nil, true) {
			t.Error(g)
		}
		_ = c.Close()
	}
}

// TestSplitterSurvivesAcceptErrors: no descriptors for a while.
func TestSplitterSurvivesAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := &failing{left: 5, closed: make(chan struct{})}
		s, err := Split(ln, SplitConfig{}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) //nolint:forbidigo // synctest's clock
		synctest.Wait()
		if ln.left >= 0 {
			t.Error("it gave up")
		}
		closed(t, s)
	})
}

type failing struct {
	net.Listener
	left   int
	closed chan struct{}
}

func (f *failing) Accept() (net.Conn, error) {
	if f.left--; f.left >= 0 {
		return nil, errors.New("too many open files")
	}
	<-f.closed
	return nil, net.ErrClosed
}

func (f *failing) Close() error {
	close(f.closed)
	return nil
}

// TestSplitterCloses ends everything that is open, at each stage.
func TestSplitterCloses(t *testing.T) {
	r := newRig(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), waitFor)
	defer cancel()
	var open []net.Conn
	for _, p := range [][]byte{nil, []byte("GET / HTTP/1.1\r\n\r\n"), clientHello(t), binding(), framed(check())} {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp4", r.tcp.String())
		if err != nil {
			t.Fatal(err)
		}
		write(t, c, p)
		open = append(open, c)
	}
	taken, err := r.splitter.HTTP().Accept()
	if err != nil {
		t.Fatal(err)
	}
	closed(t, r.splitter)
	if _, err := taken.Read(make([]byte, 64)); err != nil { // what was put back
		t.Error(err)
	}
	if _, err := taken.Read(make([]byte, 64)); err == nil {
		t.Error("a connection that was handed over is open")
	}
	if _, err := r.splitter.HTTP().Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	for _, c := range open {
		_ = c.SetReadDeadline(time.Now().Add(waitFor))
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Error("still open")
		}
		_ = c.Close()
	}
}
