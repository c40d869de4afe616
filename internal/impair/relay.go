package impair

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	headers      = 28 // bytes of IPv4 and UDP, which use the rate too
	maxDatagram  = 65_507
	socketBuffer = 1 << 20
)

// RelayConfig is what a relay starts with.
type RelayConfig struct {
	// Listen is host:port on the loopback network; empty: any free port of
	// 127.0.0.1.
	Listen string
	// Target is where everything goes, on the loopback network too.
	Target netip.AddrPort
	// Up is the way from a client to the target, Down the one back.
	Up, Down Profile
	// Shared puts all clients behind one pair of links; otherwise each has its own.
	Shared bool
	Seed   uint64
	// Idle is the silence from both sides after which a client is forgotten, 1 min
	// if zero; MaxClients how many there are at once, 64 if zero.
	Idle       time.Duration
	MaxClients int
}

// RelayCounters are what a relay has seen.
type RelayCounters struct {
	Clients map[string]LineCounters `json:"clients,omitempty"` // by source address
	Shared  *LineCounters           `json:"shared,omitempty"`
	// Refused are datagrams of clients beyond the bound, Unsent those a socket did
	// not take, which on the loopback address means that nobody listens.
	Refused uint64 `json:"refused"`
	Unsent  uint64 `json:"unsent"`
}

// LineCounters are both directions of a client.
type LineCounters struct {
	// Via is the port the target sees instead of the client's own, which STUN
	// tells the client too; 0 of shared links.
	Via  uint16   `json:"via,omitempty"`
	Up   Counters `json:"up"`
	Down Counters `json:"down"`
}

// Relay carries UDP between many clients and one target, through links. Like a
// NAT it has a socket of its own towards the target for each client.
type Relay struct {
	cfg  RelayConfig
	conn *net.UDPConn // the clients'
	wake chan struct{}
	stop context.CancelFunc
	work sync.WaitGroup // all goroutines; Close waits for them

	buffers sync.Pool // of *[]byte

	mu       sync.Mutex
	up, down Profile // of clients to come
	lines    uint64  // made so far, each with a seed of its own
	shared   *line
	clients  map[netip.AddrPort]*client
	refused  uint64
	unsent   uint64
	closed   bool
}

// line is a pair of links; guarded by Relay.mu.
type line struct{ up, down *Link[datagram] }

type client struct {
	addr     netip.AddrPort
	upstream *net.UDPConn
	line     *line
	seen     time.Time // guarded by Relay.mu
}

type datagram struct {
	buf  *[]byte
	from *client
	up   bool
}

// NewRelay opens the port and starts. Addresses that are not on the loopback
// network are refused: nobody runs a relay for strangers by mistake.
func NewRelay(ctx context.Context, cfg RelayConfig) (*Relay, error) {
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Idle <= 0 {
		cfg.Idle = time.Minute
	}
	if cfg.MaxClients <= 0 {
		cfg.MaxClients = 64
	}
	listen, err := netip.ParseAddrPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen address: %w", err)
	}
	if !listen.Addr().IsLoopback() || !cfg.Target.Addr().IsLoopback() || cfg.Target.Port() == 0 {
		return nil, fmt.Errorf("relay from %v to %v: both must be on the loopback network", listen, cfg.Target)
	}
	if err := errors.Join(cfg.Up.Check(), cfg.Down.Check()); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, "udp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	r := &Relay{
		cfg: cfg, conn: pc.(*net.UDPConn), wake: make(chan struct{}, 1), up: cfg.Up, down: cfg.Down,
		clients: map[netip.AddrPort]*client{},
		buffers: sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }},
	}
	enlarge(r.conn)
	if cfg.Shared {
		if r.shared, err = r.newLineLocked(); err != nil {
			return nil, errors.Join(err, r.conn.Close())
		}
	}
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	r.work.Go(func() { r.pump(ctx) })
	r.work.Go(func() { r.fromClients(ctx) })
	return r, nil
}

// enlarge asks for room for a burst; a system that gives less is not an error.
func enlarge(c *net.UDPConn) {
	_ = c.SetReadBuffer(socketBuffer)
	_ = c.SetWriteBuffer(socketBuffer)
}

// Addr is where clients send to.
func (r *Relay) Addr() netip.AddrPort {
	return r.conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// Close ends the relay and everything it started. What is on the way is lost. A
// second Close does nothing.
func (r *Relay) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	all := slices.Collect(maps.Values(r.clients))
	r.mu.Unlock()
	r.stop()
	err := r.conn.Close()
	for _, c := range all {
		_ = c.upstream.Close()
	}
	r.work.Wait()
	return err
}

// Set changes the profiles of all clients, now and to come.
func (r *Relay) Set(up, down Profile) error {
	if err := errors.Join(up.Check(), down.Check()); err != nil {
		return err
	}
	defer r.ping()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up, r.down = up, down
	var errs []error
	for l := range r.linesLocked() {
		errs = append(errs, l.set(up, down))
	}
	return errors.Join(errs...)
}

// SetNew changes the profiles of clients to come. Clients that share their links
// have none of their own.
func (r *Relay) SetNew(up, down Profile) error {
	if err := errors.Join(up.Check(), down.Check()); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shared != nil {
		return errShared
	}
	r.up, r.down = up, down
	return nil
}

var errShared = errors.New("the clients share their links")

// SetClient changes the profiles of the client with that source port. It fails
// when there is none, and when clients share their links.
func (r *Relay) SetClient(port uint16, up, down Profile) error {
	if err := errors.Join(up.Check(), down.Check()); err != nil {
		return err
	}
	defer r.ping()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shared != nil {
		return errShared
	}
	for addr, c := range r.clients {
		if addr.Port() == port {
			return c.line.set(up, down)
		}
	}
	return fmt.Errorf("no client has port %d", port)
}

func (l *line) set(up, down Profile) error {
	now := time.Now()
	return errors.Join(l.up.Set(now, up), l.down.Set(now, down))
}

// Counters are those of all clients that are known, and of the relay itself.
func (r *Relay) Counters() RelayCounters {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := RelayCounters{Refused: r.refused, Unsent: r.unsent}
	if r.shared != nil {
		out.Shared = &LineCounters{Up: r.shared.up.Counters(), Down: r.shared.down.Counters()}
		return out
	}
	out.Clients = map[string]LineCounters{}
	for addr, c := range r.clients {
		via := c.upstream.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		out.Clients[addr.String()] = LineCounters{via, c.line.up.Counters(), c.line.down.Counters()}
	}
	return out
}

// linesLocked are all pairs of links.
func (r *Relay) linesLocked() func(yield func(*line) bool) {
	return func(yield func(*line) bool) {
		if r.shared != nil {
			yield(r.shared)
			return
		}
		for _, c := range r.clients {
			if !yield(c.line) {
				return
			}
		}
	}
}

func (r *Relay) newLineLocked() (*line, error) {
	r.lines++
	now := time.Now()
	up, err := NewLink[datagram](r.up, r.cfg.Seed+2*r.lines, now)
	if err != nil {
		return nil, err
	}
	down, err := NewLink[datagram](r.down, r.cfg.Seed+2*r.lines+1, now)
	return &line{up, down}, err
}
