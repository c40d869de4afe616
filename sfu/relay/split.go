package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	defaultFirstBytes = 10 * time.Second
	defaultMaxConns   = 16384
	defaultMaxPending = 2048
	defaultPerSource  = 512
	acceptBackoff     = 50 * time.Millisecond

	// alpnTURN and alpnSTUN are RFC 7443's.
	alpnTURN = "stun.turn"
	alpnSTUN = "stun.nat-discovery"
)

// SplitConfig says how to split a TCP port.
type SplitConfig struct {
	// TLS is the configuration of the HTTPS listener; nil means that TLS isn't
	// spoken here. The Splitter adds TURN's protocol names to a copy.
	TLS *tls.Config

	// Relay serves connections that speak STUN or ICE-TCP, inside TLS or not, in
	// a goroutine of the Splitter's; nil refuses them. Server.ServeConn fits.
	Relay func(conn net.Conn, kind Kind)

	// FirstBytes is how long a client may take for the first bytes and the TLS
	// handshake together; 0 means 10 s.
	FirstBytes time.Duration

	// MaxConns bounds all connections, MaxPending those that are not yet with
	// HTTP or the relay, PerSource the latter of one address (one /64); 0 means
	// 16384, 2048 and 512.
	MaxConns, MaxPending, PerSource int
}

func (cfg SplitConfig) withDefaults() (SplitConfig, error) {
	if cfg.FirstBytes < 0 || cfg.MaxConns < 0 || cfg.MaxPending < 0 || cfg.PerSource < 0 {
		return cfg, errors.New("relay: limits of a listener must not be negative")
	}
	if cfg.FirstBytes == 0 {
		cfg.FirstBytes = defaultFirstBytes
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = defaultMaxConns
	}
	if cfg.MaxPending == 0 {
		cfg.MaxPending = defaultMaxPending
	}
	if cfg.PerSource == 0 {
		cfg.PerSource = defaultPerSource
	}
	if cfg.TLS != nil {
		cfg.TLS = cfg.TLS.Clone()
		// Before HTTP's, as TURN clients (coturn's) may name both.
		cfg.TLS.NextProtos = append([]string{alpnTURN, alpnSTUN}, cfg.TLS.NextProtos...)
	}
	return cfg, nil
}

// Splitter shares one TCP port between HTTP, HTTPS, TURN and ICE-TCP, by the
// first bytes of each connection.
type Splitter struct {
	cfg         SplitConfig
	ln          net.Listener
	log         *slog.Logger
	reg         prometheus.Registerer
	kinds       *prometheus.CounterVec
	http, https *handover
	ctx         context.Context // ends with the Splitter
	cancel      context.CancelFunc
	wg          sync.WaitGroup // the accepting goroutine and one per connection not handed over

	// What follows is under mu.
	mu      sync.Mutex
	open    map[*conn]struct{}
	pending int
	sources map[netip.Addr]int // pending
}

// Split takes a listener over; Close closes it. log and reg may be nil.
func Split(ln net.Listener, cfg SplitConfig, log *slog.Logger, reg prometheus.Registerer) (*Splitter, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Splitter{
		cfg: cfg, ln: ln, log: log, reg: reg, open: map[*conn]struct{}{}, sources: map[netip.Addr]int{},
		kinds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chatmed_tcp_connections_total", Help: "Connections by what they turned out to speak, or why they were closed.",
		}, []string{"kind"}),
	}
	if reg != nil {
		if err := reg.Register(s.kinds); err != nil {
			return nil, fmt.Errorf("relay: register metrics: %w", err)
		}
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.http, s.https = newHandover(s), newHandover(s)
	s.wg.Go(s.accept)
	return s, nil
}

// HTTP is where connections that speak HTTP without TLS arrive.
func (s *Splitter) HTTP() net.Listener { return s.http }

// HTTPS is where connections arrive that have made a TLS handshake and don't
// speak to the relay: *tls.Conn where a protocol was negotiated, as HTTP/2 needs
// it, and a connection with the method ConnectionState, from which net/http
// fills Request.TLS, where none was.
func (s *Splitter) HTTPS() net.Listener { return s.https }

// accept takes connections until the listener is closed.
func (s *Splitter) accept() {
	for {
		nc, err := s.ln.Accept()
		switch {
		case err == nil:
		case s.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			s.cancel()
			return
		default: // out of descriptors, or the client is gone again
			s.kinds.WithLabelValues("accept_error").Inc()
			pause := time.NewTimer(acceptBackoff)
			select {
			case <-pause.C:
			case <-s.ctx.Done():
				pause.Stop()
				return
			}
			continue
		}
		c, ok := s.admit(nc)
		if !ok {
			s.kinds.WithLabelValues("too_many").Inc()
			_ = nc.Close()
			continue
		}
		s.wg.Go(func() { s.sort(c) })
	}
}

// admit counts a connection in, under the bounds.
func (s *Splitter) admit(nc net.Conn) (*conn, bool) {
	c := &conn{Conn: nc, splitter: s}
	if a, err := netip.ParseAddrPort(nc.RemoteAddr().String()); err == nil {
		c.source = prefixOf(a.Addr())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil || len(s.open) >= s.cfg.MaxConns || s.pending >= s.cfg.MaxPending || s.sources[c.source] >= s.cfg.PerSource {
		return nil, false
	}
	s.open[c] = struct{}{}
	s.pending++
	s.sources[c.source]++
	return c, true
}

// settled counts a connection out of the pending ones.
func (s *Splitter) settled(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending--
	if s.sources[c.source]--; s.sources[c.source] <= 0 {
		delete(s.sources, c.source)
	}
}

func (s *Splitter) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// sort finds out what a connection speaks and hands it over.
func (s *Splitter) sort(c *conn) {
	out, kind, err := s.examine(c)
	if err != nil {
		s.settled(c)
		s.kinds.WithLabelValues(kind).Inc()
		s.log.Debug("connection closed before it was handed over", "err", err)
		_ = c.Close()
		return
	}
	_ = c.SetDeadline(time.Time{})
	s.kinds.WithLabelValues(kind).Inc()
	switch kind {
	case "http":
		s.http.give(out)
		s.settled(c)
	case "https":
		s.https.give(out)
		s.settled(c)
	case "turn", "turns":
		s.settled(c)
		s.cfg.Relay(out, STUN)
		_ = c.Close()
	default:
		s.settled(c)
		s.cfg.Relay(out, Framed)
		_ = c.Close()
	}
}

// examine reads first bytes, and makes the TLS handshake where they ask for it.
// kind is a metrics label; with an error it says why.
func (s *Splitter) examine(c *conn) (out net.Conn, kind string, err error) {
	deadline := time.Now().Add(s.cfg.FirstBytes)
	if err := c.SetDeadline(deadline); err != nil {
		return nil, "closed", err
	}
	first, k, err := peek(c.Conn)
	if err != nil {
		return nil, reason(err), err
	}
	c.prefix.rest = first
	switch k {
	case HTTP:
		return c, "http", nil
	case TLS:
		if s.cfg.TLS == nil {
			return nil, "no_tls", errors.New("relay: TLS on a port without")
		}
	case STUN, Framed:
		return s.toRelay(c, k, "turn", "ice_tcp")
	default:
		return nil, "unknown", errUnknown
	}
	ctx, cancel := context.WithDeadline(s.ctx, deadline)
	defer cancel()
	t := tls.Server(c, s.cfg.TLS)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, "handshake", fmt.Errorf("relay: TLS handshake: %w", err)
	}
	switch t.ConnectionState().NegotiatedProtocol {
	case "": // TURN's clients name none, and some of HTTP's don't
	case alpnTURN, alpnSTUN:
		return s.toRelay(t, STUN, "turns", "")
	default:
		return t, "https", nil
	}
	if first, k, err = peek(t); err != nil {
		return nil, reason(err), err
	}
	inner := &secure{Conn: t}
	inner.prefix.rest = first
	switch k {
	case HTTP:
		return inner, "https", nil
	case STUN, Framed:
		return s.toRelay(inner, k, "turns", "ice_tls")
	}
	return nil, "unknown", errUnknown
}

var errUnknown = errors.New("relay: a protocol that is not spoken here")

func (s *Splitter) toRelay(c net.Conn, k Kind, turn, framed string) (net.Conn, string, error) {
	switch {
	case s.cfg.Relay == nil:
		return nil, "no_relay", errors.New("relay: there is none")
	case k == STUN:
		return c, turn, nil
	}
	return c, framed, nil
}

func reason(err error) string {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "timeout"
	}
	return "closed"
}

// peek reads as little as Classify wants.
func peek(c net.Conn) ([]byte, Kind, error) {
	buf := make([]byte, peekSize)
	for n := 0; ; {
		m, err := c.Read(buf[n:])
		n += m
		if k := Classify(buf[:n]); k != More {
			return buf[:n], k, nil
		}
		if err != nil {
			return nil, Unknown, err
		}
	}
}

// Close closes the listener and every connection that is not yet closed, those
// handed over included, and waits until all goroutines are done. So HTTP is shut
// down before.
func (s *Splitter) Close() error {
	s.cancel()
	err := s.ln.Close()
	s.mu.Lock()
	open := make([]*conn, 0, len(s.open))
	for c := range s.open {
		open = append(open, c)
	}
	s.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
	s.wg.Wait()
	if s.reg != nil {
		s.reg.Unregister(s.kinds)
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// prefix is what was read too early; the reading goroutine's own.
type prefix struct{ rest []byte }

// read serves the prefix first.
func (p *prefix) read(b []byte, c net.Conn) (int, error) {
	if len(p.rest) > 0 {
		n := copy(b, p.rest)
		p.rest = p.rest[n:]
		return n, nil
	}
	return c.Read(b)
}
