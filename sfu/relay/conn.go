package relay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxFrame is the largest message of a stream that is looked at.
const maxFrame = 4096

var errFrame = errors.New("relay: neither a STUN message nor ChannelData")

// ServeConn serves a connection until it ends: TURN where kind is STUN, ICE-TCP
// where it is Framed. It closes the connection and returns when all that it
// started has.
func (s *Server) ServeConn(conn net.Conn, kind Kind) {
	defer hardClose(conn)
	addr, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil || kind != STUN && kind != Framed {
		return
	}
	addr = netip.AddrPortFrom(addr.Addr().WithZone(""), addr.Port())
	c := client{addr: unmap(addr), stream: newStream(s, conn)}
	if !s.admit(conn, c.addr.Addr()) {
		s.metrics.drop(dropTooMany)
		return
	}
	defer s.dismiss(conn, c.addr.Addr())
	smallUnsent(conn)

	var writer sync.WaitGroup
	writer.Go(c.stream.write)
	defer writer.Wait()
	defer c.stream.close()
	if kind == STUN {
		s.serveTURN(c)
	} else {
		s.serveFramed(c)
	}
}

// admit counts a connection in, under the bounds.
func (s *Server) admit(conn net.Conn, from netip.Addr) bool {
	from = prefixOf(from)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= s.cfg.Connections || s.perAddress[from] >= s.cfg.PerAddress {
		return false
	}
	s.conns[conn] = struct{}{}
	s.perAddress[from]++
	s.wg.Add(1)
	return true
}

func (s *Server) dismiss(conn net.Conn, from netip.Addr) {
	from = prefixOf(from)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
	if s.perAddress[from]--; s.perAddress[from] <= 0 {
		delete(s.perAddress, from)
	}
	s.wg.Done()
}

// patience keeps a connection's read deadline: a fixed time for one that has
// proven nothing, and silence for one that has.
type patience struct {
	idle   time.Duration
	proven bool
	set    time.Time
}

func (p *patience) arm(c client) error {
	now := time.Now()
	proven := c.stream.isProven.Load()
	switch {
	case proven == p.proven && !p.set.IsZero() && (!proven || now.Sub(p.set) < p.idle/8):
		return nil
	case proven:
		p.proven, p.set = proven, now
		return c.stream.conn.SetReadDeadline(now.Add(p.idle))
	}
	p.proven, p.set = proven, now
	return c.stream.conn.SetReadDeadline(now.Add(firstTimeout))
}

// serveTURN reads TURN from a stream (RFC 8656 section 3.1). The allocation ends
// with its connection.
func (s *Server) serveTURN(c client) {
	defer func() {
		s.mu.RLock()
		a := s.allocations[c]
		s.mu.RUnlock()
		if a != nil {
			s.remove(a)
		}
	}()
	br := bufio.NewReaderSize(c.stream.conn, maxFrame)
	wait := patience{idle: idleTURN}
	for {
		if wait.arm(c) != nil {
			return
		}
		p, err := nextTURN(br)
		switch {
		case errors.Is(err, errTooLarge):
			s.metrics.drop(dropTooLarge)
			continue
		case errors.Is(err, errFrame):
			s.metrics.drop(dropMalformed)
			return
		case err != nil:
			return
		case p[0]&0xC0 != 0:
			s.channelData(c, p)
		case !s.message(c, p):
			return
		}
		if _, err := br.Discard(len(p)); err != nil {
			return
		}
	}
}

// nextTURN is the next message of a stream, padding included, for the caller to
// discard. One that is too large is discarded already.
func nextTURN(br *bufio.Reader) ([]byte, error) {
	h, err := br.Peek(4)
	if err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint16(h[2:]))
	switch h[0] & 0xC0 {
	case 0:
		if size%4 != 0 {
			return nil, errFrame
		}
		size += stunHeader
	case 0x40:
		size = 4 + (size+3)&^3
	default:
		return nil, errFrame
	}
	return frame(br, size)
}

// frame is the next size bytes.
func frame(br *bufio.Reader, size int) ([]byte, error) {
	if size > maxFrame {
		if _, err := br.Discard(size); err != nil {
			return nil, err
		}
		return nil, errTooLarge
	}
	return br.Peek(size)
}

// framedSink is an ICE-TCP connection as the media path sees it.
type framedSink struct {
	s *Server
	c client
}

// fromMedia sends p in a frame (RFC 4571). The media path answers only checks
// with the right password, so its first datagram is the client's proof.
func (k *framedSink) fromMedia(p []byte, _ time.Time) error {
	k.c.stream.isProven.Store(true)
	buf := k.s.buffers.Get().(*[]byte)
	defer k.s.buffers.Put(buf)
	*buf = append(binary.BigEndian.AppendUint16((*buf)[:0], uint16(len(p))), p...)
	if k.c.stream.put(*buf, false) {
		k.s.metrics.outbound(k.c, len(p))
	}
	return nil
}

// serveFramed reads ICE-TCP. The first frame must be a check.
func (s *Server) serveFramed(c client) {
	local, err := netip.ParseAddrPort(c.stream.conn.LocalAddr().String())
	if err != nil {
		return
	}
	local = unmap(local)
	br := bufio.NewReaderSize(c.stream.conn, maxFrame)
	wait := patience{idle: idleFramed}
	var from netip.AddrPort
	defer func() {
		if from.IsValid() {
			s.table.remove(from)
			s.metrics.clients.WithLabelValues("ice_tcp").Dec()
			s.cfg.Media.Gone(from)
		}
	}()
	for {
		// Whom the media path no longer writes to has left the call.
		quiet := s.cfg.Now().UnixNano() - c.stream.last.Load()
		if wait.arm(c) != nil || wait.proven && quiet > int64(idleFramed) {
			return
		}
		p, err := nextFramed(br)
		switch {
		case errors.Is(err, errTooLarge):
			s.metrics.drop(dropTooLarge)
			continue
		case err != nil:
			return
		case len(p) == 2: // empty: keeps a NAT's binding
		case !from.IsValid():
			if !isCheck(p[2:]) {
				s.metrics.drop(dropProtocol)
				return
			}
			var ok bool
			if from, ok = s.table.add(c.addr.Addr().Is6(), false, func(netip.AddrPort) sink { return &framedSink{s, c} }); !ok {
				s.metrics.drop(dropTooMany)
				return
			}
			s.metrics.clients.WithLabelValues("ice_tcp").Inc()
			s.deliverFramed(c, from, local, p[2:])
		default:
			s.deliverFramed(c, from, local, p[2:])
		}
		if _, err := br.Discard(len(p)); err != nil {
			return
		}
	}
}

// deliverFramed gives the media path what is its own, and before the first check
// was answered nothing but checks.
func (s *Server) deliverFramed(c client, from, local netip.AddrPort, p []byte) {
	switch k := ClassifyDatagram(p); {
	case k == STUN, c.stream.isProven.Load() && (k == DTLS || k == RTP || k == RTCP):
		s.metrics.inbound(c, len(p))
		s.cfg.Media.Deliver(from, local, p)
	default:
		s.metrics.drop(dropProtocol)
	}
}

// nextFramed is the next frame with its length.
func nextFramed(br *bufio.Reader) ([]byte, error) {
	h, err := br.Peek(2)
	if err != nil {
		return nil, err
	}
	return frame(br, 2+int(binary.BigEndian.Uint16(h)))
}

// isCheck reports whether p is an ICE connectivity check: a Binding request that
// names a user.
func isCheck(p []byte) bool {
	return ClassifyDatagram(p) == STUN && binary.BigEndian.Uint16(p) == 1 && hasUsername(p)
}
