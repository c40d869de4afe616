package relay

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waitFor bounds waits that succeed at once when all is well.
const waitFor = 10 * time.Second

var (
	testSecret = bytes.Repeat([]byte{7}, secretSize)
	mediaPeer  = netip.MustParseAddrPort("127.0.0.1:7882")
	mediaPeer6 = netip.MustParseAddrPort("[2001:db8::7]:7882")
)

// echo is a media path that sends back what it gets, and remembers it.
type echo struct {
	mu     sync.Mutex
	server *Server
	mute   bool
	got    []delivery
	gone   []netip.AddrPort
}

type delivery struct {
	from, to netip.AddrPort
	p        string
}

func (e *echo) Deliver(from, to netip.AddrPort, p []byte) {
	e.mu.Lock()
	s, mute := e.server, e.mute
	e.got = append(e.got, delivery{from, to, string(p)})
	e.mu.Unlock()
	if !mute {
		_, _ = s.WriteToAddrPort(p, from)
	}
}

func (e *echo) Gone(from netip.AddrPort) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gone = append(e.gone, from)
}

func (e *echo) seen() []delivery {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]delivery(nil), e.got...)
}

func (e *echo) departed() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.gone)
}

// udpWriter keeps what a server sends, or sends it.
type udpWriter struct {
	mu   sync.Mutex
	conn *net.UDPConn
	sent []sentPacket
}

type sentPacket struct {
	p  []byte
	to netip.AddrPort
}

func (w *udpWriter) WriteToAddrPort(p []byte, to netip.AddrPort) (int, error) {
	if w.conn != nil {
		return w.conn.WriteToUDPAddrPort(p, to)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, sentPacket{bytes.Clone(p), to})
	return len(p), nil
}

// last is the newest packet, and how many there were.
func (w *udpWriter) last() ([]byte, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.sent) == 0 {
		return nil, 0
	}
	return w.sent[len(w.sent)-1].p, len(w.sent)
}

// newServer makes one without sockets, whose replies udp keeps.
func newServer(t testing.TB, change func(*Config)) (*Server, *echo, *udpWriter) {
	t.Helper()
	media, udp := &echo{}, &udpWriter{}
	cfg := Config{Secret: testSecret, Peers: []netip.AddrPort{mediaPeer, mediaPeer6}, Media: media, UDP: udp}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, nil, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	media.server = s
	t.Cleanup(func() { _ = s.Close() })
	return s, media, udp
}

// rig is a server on real ports of the loopback address: UDP, and TCP split.
type rig struct {
	server   *Server
	splitter *Splitter
	media    *echo
	udp, tcp netip.AddrPort
	roots    *x509.CertPool
}

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s, media, udp := newServer(t, change)
	udp.conn = conn
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			s.HandleDatagram(buf[:n], from)
		}
	})
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cert, roots := certificate(t)
	split, err := Split(ln, SplitConfig{
		TLS:   &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}},
		Relay: s.ServeConn,
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := split.Close(); err != nil {
			t.Error(err)
		}
		_ = s.Close()
		_ = conn.Close()
		reading.Wait()
	})
	return &rig{
		server: s, splitter: split, media: media, roots: roots,
		udp: conn.LocalAddr().(*net.UDPAddr).AddrPort(), tcp: ln.Addr().(*net.TCPAddr).AddrPort(),
	}
}

// certificate is one for localhost, with the pool that trusts it.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}

func dropped(s *Server, d drop) int {
	return counted(s.metrics.reg.(prometheus.Gatherer), "chatmed_relay_drops_total", string(d))
}

// counted is a metric's value by its only label.
func counted(reg prometheus.Gatherer, name, label string) int {
	families, err := reg.Gather()
	if err != nil {
		panic(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			}
		}
	}
	return 0
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(waitFor)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

// closed closes c for a defer.
func closed(t testing.TB, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// bufferConn is a connection for tests without sockets.
type bufferConn struct {
	net.Conn
	remote net.Addr
}

func (c bufferConn) RemoteAddr() net.Addr { return c.remote }
func (c bufferConn) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

func pipe() (server, far net.Conn) {
	a, b := net.Pipe()
	return bufferConn{a, &net.TCPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 5000}}, b
}
