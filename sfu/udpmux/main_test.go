package udpmux

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds waits that succeed at once when all is well.
const patience = 10 * time.Second

func listen(t *testing.T, cfg Config) *Conn {
	t.Helper()
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	c, err := Listen(cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// at is c's address as seen from host.
func at(c *Conn, host string) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(host), uint16(c.LocalAddr().(*net.UDPAddr).Port))
}

func read(t *testing.T, c *Conn) (string, netip.AddrPort) {
	t.Helper()
	buf := make([]byte, 1<<16)
	n, from, err := c.ReadFromAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n]), from
}

func readAll(t *testing.T, c *Conn, want []string) netip.AddrPort {
	t.Helper()
	var from netip.AddrPort
	for i, w := range want {
		var got string
		if got, from = read(t, c); got != w {
			t.Fatalf("packet %d is %.20q of %d bytes, want %.20q of %d", i, got, len(got), w, len(w))
		}
	}
	return from
}

// payloads are n packets as video makes them: equal sizes, the last shorter.
func payloads(n, size int) []string {
	var p []string
	for i := range n {
		b := bytes.Repeat([]byte{byte('a' + i%26)}, size)
		copy(b, fmt.Sprintf("%06d", i))
		if i == n-1 {
			b = b[:size/2]
		}
		p = append(p, string(b))
	}
	return p
}

// captured is a logger that keeps its lines.
type captured struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (c *captured) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.Write(p)
}

func (c *captured) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

func (c *captured) logger() *slog.Logger { return slog.New(slog.NewTextHandler(c, nil)) }

func at6(host string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(host), port)
}
