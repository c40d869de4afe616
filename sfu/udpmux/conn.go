package udpmux

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	errTooLarge    = errors.New("udpmux: larger than a UDP datagram")
	errDestination = errors.New("udpmux: destination without address or port")
	errFamily      = errors.New("udpmux: the socket does not reach the destination's address family")
	errReserve     = errors.New("udpmux: commit without room reserved")
)

// backend is a way to move datagrams. All methods but readFrom, buffered and
// poll may be called by many goroutines; those by the reader.
type backend interface {
	// readFrom returns one datagram, its source unmapped.
	readFrom(p []byte) (int, netip.AddrPort, error)
	// buffered is how many datagrams readFrom has in hand.
	buffered() int
	// poll fills what readFrom has in hand, without waiting, and returns it.
	poll() int
	// prepare gives a new queue what send needs.
	prepare(q *queue)
	// send sends all of q and counts what is lost.
	send(q *queue)
	// sendOne sends one packet. No room in the socket is no error.
	sendOne(p []byte, dst netip.AddrPort) error
	// kernelDrops is how many datagrams found the receive buffer full.
	kernelDrops() uint64
	// close ends a blocked readFrom. No send is in progress or follows.
	close() error
}

// limits bounds what a queue may merge.
type limits struct {
	segments atomic.Int32 // packets in a message; 1 when nothing is segmented
	size     int          // of a packet that may be segmented
}

// Info says what Listen found on this machine.
type Info struct {
	Batching    bool // sendmmsg and recvmmsg
	Coalescing  bool // UDP_GRO
	SendSocket  bool // own socket for sending
	ReadBuffer  int  // bytes granted, 0 when unknown
	WriteBuffer int  // bytes granted, 0 when unknown
}

// Conn is the shared UDP socket. All methods may be called by several
// goroutines at once; reads are served one after another.
type Conn struct {
	udp     *net.UDPConn
	family  family
	info    Info
	backend backend
	stats   *stats
	limits  *limits
	reg     prometheus.Registerer

	closed    atomic.Bool
	closeOnce sync.Once
	closeErr  error
	gate      *gate
	queues    queuePool

	readMu sync.Mutex // the one reader's
}

// Listen opens the socket. It fails when the port is taken, also by another
// process that shares ports. The metrics are registered with reg until Close;
// log and reg may be nil.
func Listen(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Conn, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	addr, network, fam, err := parseAddr(cfg.Addr)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(context.Background(), network, addr.String())
	if err != nil {
		return nil, explain(addr, err)
	}
	udp, ok := pc.(*net.UDPConn)
	if !ok {
		_ = pc.Close()
		return nil, fmt.Errorf("udpmux: listening gave a %T", pc)
	}
	c := &Conn{udp: udp, family: fam, reg: reg, gate: newGate(), stats: &stats{}}
	c.limits = &limits{size: cfg.MTU - headers}
	c.limits.segments.Store(1)
	c.backend, c.info, err = open(udp, fam, cfg, c.stats, c.limits, log)
	if err != nil {
		_ = udp.Close()
		return nil, fmt.Errorf("udpmux: %w", err)
	}
	c.queues.prepare = c.backend.prepare
	if reg != nil {
		if err := reg.Register((*collector)(c)); err != nil {
			_ = c.backend.close()
			return nil, fmt.Errorf("udpmux: register metrics: %w", err)
		}
	}
	c.report(cfg, log)
	return c, nil
}

// report logs what was found, and how to mend small buffers.
func (c *Conn) report(cfg Config, log *slog.Logger) {
	i := c.info
	log.Info("udp socket listening", "addr", c.LocalAddr().String(), "batching", i.Batching,
		"segments", c.limits.segments.Load(), "coalescing", i.Coalescing, "send_socket", i.SendSocket,
		"read_buffer", i.ReadBuffer, "write_buffer", i.WriteBuffer)
	if i.ReadBuffer > 0 && i.ReadBuffer < cfg.ReadBuffer {
		log.Warn("udp receive buffer smaller than asked for: bursts may be lost; raise it with sysctl",
			"bytes", i.ReadBuffer, "wanted", cfg.ReadBuffer, "command", fmt.Sprintf("sysctl -w net.core.rmem_max=%d", cfg.ReadBuffer))
	}
	if i.WriteBuffer > 0 && i.WriteBuffer < cfg.WriteBuffer {
		log.Warn("udp send buffer smaller than asked for: bursts may be lost; raise it with sysctl",
			"bytes", i.WriteBuffer, "wanted", cfg.WriteBuffer, "command", fmt.Sprintf("sysctl -w net.core.wmem_max=%d", cfg.WriteBuffer))
	}
}

// Info says which mechanisms are in use and how large the buffers are.
func (c *Conn) Info() Info { return c.info }

// Segments is the packets one message may carry at present: 1 when nothing is
// segmented, because the kernel can't or because the routes keep refusing.
func (c *Conn) Segments() int { return int(c.limits.segments.Load()) }

// destination checks dst and brings an IPv4 address into its short form.
func (c *Conn) destination(dst netip.AddrPort) (netip.AddrPort, error) {
	ip := dst.Addr()
	if !ip.IsValid() || dst.Port() == 0 {
		c.stats.drop(dropDestination, 1)
		return dst, errDestination
	}
	if ip.Is4In6() {
		dst = netip.AddrPortFrom(ip.Unmap(), dst.Port())
	}
	if c.family != familyDual && dst.Addr().Is4() != (c.family == familyIPv4) {
		c.stats.drop(dropDestination, 1)
		return dst, errFamily
	}
	return dst, nil
}

// transmit sends q; it reports false when the socket is closed.
func (c *Conn) transmit(q *queue) bool {
	if !c.gate.enter() {
		c.stats.drop(dropClosed, q.packets())
		return false
	}
	defer c.gate.leave()
	q.interleave()
	c.backend.send(q)
	return true
}

// ReadFromAddrPort reads one datagram. IPv4 sources are in short form on every
// kind of socket. A datagram larger than p is dropped and counted, never handed
// over in part. Datagrams already taken from the kernel are returned before an
// expired deadline is noticed.
func (c *Conn) ReadFromAddrPort(p []byte) (int, netip.AddrPort, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	if c.closed.Load() {
		return 0, netip.AddrPort{}, net.ErrClosed
	}
	return c.backend.readFrom(p)
}

// Buffered is how many datagrams can be read before the kernel must be asked:
// 0 means that the burst read so far is used up. Only the goroutine that reads
// may call it.
func (c *Conn) Buffered() int { return c.backend.buffered() }

// Poll takes what the kernel has at this moment, without waiting, and is then
// as Buffered: how many datagrams can be read. It does nothing while there are
// some in hand, and on a socket that reads one at a time. Only the goroutine
// that reads may call it; an error shows at the next read.
func (c *Conn) Poll() int {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	if c.closed.Load() {
		return 0
	}
	return c.backend.poll()
}

// ReadFrom is ReadFromAddrPort for net.PacketConn; it allocates the address.
func (c *Conn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, addr, err := c.ReadFromAddrPort(p)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(addr), nil
}

// WriteToAddrPort sends p to dst at once. It never waits for room in the
// socket: a packet that finds none is dropped, counted, and reported as sent.
func (c *Conn) WriteToAddrPort(p []byte, dst netip.AddrPort) (int, error) {
	dst, err := c.destination(dst)
	if err != nil {
		return 0, err
	}
	if len(p) > maxDatagram {
		c.stats.drop(dropTooLarge, 1)
		return 0, errTooLarge
	}
	if !c.gate.enter() {
		c.stats.drop(dropClosed, 1)
		return 0, net.ErrClosed
	}
	defer c.gate.leave()
	if err := c.backend.sendOne(p, dst); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteTo is WriteToAddrPort for net.PacketConn; addr must be a *net.UDPAddr.
func (c *Conn) WriteTo(p []byte, addr net.Addr) (int, error) {
	udp, ok := addr.(*net.UDPAddr)
	if !ok || udp == nil {
		c.stats.drop(dropDestination, 1)
		return 0, errDestination
	}
	return c.WriteToAddrPort(p, udp.AddrPort())
}

// LocalAddr is the *net.UDPAddr listened on.
func (c *Conn) LocalAddr() net.Addr { return c.udp.LocalAddr() }

// SetDeadline sets the read deadline.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline ends blocked and later reads at t with os.ErrDeadlineExceeded.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.udp.SetReadDeadline(t) }

// SetWriteDeadline has no effect: writes don't wait.
func (c *Conn) SetWriteDeadline(time.Time) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	return nil
}

// Close ends blocked reads, waits for every system call in progress and closes
// the socket. What a Batch holds is lost. Each call returns once the socket is
// closed.
func (c *Conn) Close() error {
	c.closeOnce.Do(func() {
		c.closed.Store(true)
		c.gate.close()
		if c.reg != nil { // its values are read from the socket
			c.reg.Unregister((*collector)(c))
		}
		c.closeErr = c.backend.close()
		// Whoever still reads comes out: the socket is closed. Waiting for the
		// lock is waiting for it.
		c.readMu.Lock()
		defer c.readMu.Unlock()
	})
	return c.closeErr
}
