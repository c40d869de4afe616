package sfu

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/ice/v4"

	"github.com/chatmed/chatmed/sfu/udpmux"
)

// muxConn is the socket Pion's UDP mux reads from. RTP and RTCP of connected
// participants never reach Pion: they are decrypted, forwarded and written on
// the goroutine that read them (run to completion); STUN and DTLS go on to
// Pion. RFC 7983 tells them apart by the first byte.
//
// ReadFromAddrPort is called by one goroutine only, Pion's mux worker, which
// therefore owns burst.
type muxConn struct {
	*udpmux.Conn
	burst *burst
	now   func() time.Time

	mu     sync.RWMutex
	routes map[netip.AddrPort]*transport
}

func newMuxConn(c *udpmux.Conn, now func() time.Time) *muxConn {
	return &muxConn{Conn: c, burst: newBurst(c), now: now, routes: map[netip.AddrPort]*transport{}}
}

// isRTP reports whether a datagram is RTP or RTCP (RFC 7983 section 7).
func isRTP(p []byte) bool { return len(p) > 1 && p[0] >= 128 && p[0] <= 191 }

// isRTCP tells RTCP from RTP on a muxed port (RFC 5761 section 4).
func isRTCP(p []byte) bool { return p[1] >= 192 && p[1] <= 223 }

// ReadFromAddrPort hands Pion the next datagram that is not media. Packets
// queued by the media before are flushed when the socket's burst is used up.
func (m *muxConn) ReadFromAddrPort(p []byte) (int, netip.AddrPort, error) {
	for {
		if m.Buffered() == 0 && !m.more() {
			m.burst.end()
		}
		n, addr, err := m.Conn.ReadFromAddrPort(p)
		if err != nil || !isRTP(p[:n]) {
			return n, addr, err
		}
		t := m.route(addr)
		if t == nil {
			return n, addr, nil
		}
		t.receive(p[:n], m.now(), m.burst)
	}
}

// more looks for the rest of a frame, and reports whether some of it is there.
func (m *muxConn) more() bool {
	b := m.burst
	if !b.partial || !b.linger.due() {
		return false
	}
	found := m.Poll() > 0
	b.linger.result(found)
	return found
}

func (m *muxConn) route(addr netip.AddrPort) *transport {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.routes[unmap(addr)]
}

// setRoute sends media from addr to t. An address belongs to the transport
// that authenticated it last.
func (m *muxConn) setRoute(addr netip.AddrPort, t *transport) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.routes[unmap(addr)] = t
}

func (m *muxConn) dropRoute(addr netip.AddrPort, t *transport) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.routes[unmap(addr)] == t {
		delete(m.routes, unmap(addr))
	}
}

func unmap(a netip.AddrPort) netip.AddrPort {
	if a.Addr().Is4In6() {
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return a
}

// agentMux tells an ICE agent one local address per family. All addresses of
// the machine lead to the one socket; an agent that knew several would pair
// each with the client and credit checks to the wrong pair, which costs one
// join in ten 200 ms.
type agentMux struct {
	*ice.UDPMuxDefault
	addrs []net.Addr
}

func newAgentMux(m *ice.UDPMuxDefault, candidates []netip.AddrPort) agentMux {
	a := agentMux{UDPMuxDefault: m}
	var four, six bool
	for _, c := range candidates {
		known := &four
		if c.Addr().Is6() {
			known = &six
		}
		if !*known {
			*known = true
			a.addrs = append(a.addrs, net.UDPAddrFromAddrPort(c))
		}
	}
	return a
}

// GetListenAddresses is what the agent gathers its host candidates from.
func (a agentMux) GetListenAddresses() []net.Addr { return a.addrs }
