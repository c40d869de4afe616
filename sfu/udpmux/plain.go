package udpmux

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

const (
	// plainWait and plainTries bound how long a plain write waits for room,
	// because net.UDPConn has no write that doesn't wait.
	plainWait  = 20 * time.Millisecond
	plainTries = 3
	// receiveRetries bounds the errors in a row that a reader survives.
	receiveRetries = 64
)

// plainSocket is the backend of other systems, and of kernels that lack
// sendmmsg: one call a packet.
type plainSocket struct {
	udp   *net.UDPConn
	stats *stats
	buf   []byte // the reader's
}

func newPlainSocket(udp *net.UDPConn, st *stats) *plainSocket {
	_ = udp.SetWriteDeadline(time.Now().Add(plainWait)) // fails only on a closed socket
	return &plainSocket{udp: udp, stats: st, buf: make([]byte, 1<<16)}
}

func (s *plainSocket) prepare(*queue)      {}
func (s *plainSocket) buffered() int       { return 0 }
func (s *plainSocket) poll() int           { return 0 }
func (s *plainSocket) kernelDrops() uint64 { return 0 }
func (s *plainSocket) close() error        { return s.udp.Close() }

// readFrom reads into a buffer that holds any datagram first: where p is too
// small some systems cut the datagram without a word and others fail.
func (s *plainSocket) readFrom(p []byte) (int, netip.AddrPort, error) {
	for failures := 0; ; {
		n, addr, err := s.udp.ReadFromUDPAddrPort(s.buf)
		switch {
		case err == nil && n <= len(p):
			s.stats.received(1, n)
			return copy(p, s.buf[:n]), netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), nil
		case err == nil:
			s.stats.drop(dropTruncated, 1)
		case errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded):
			return 0, netip.AddrPort{}, err
		default:
			// Windows reports a peer's "port unreachable" here (WSAECONNRESET);
			// one peer's absence must not end the socket for all.
			s.stats.receiveErrors.Add(1)
			if failures++; failures > receiveRetries {
				return 0, netip.AddrPort{}, err
			}
		}
	}
}

func (s *plainSocket) send(q *queue) {
	for i := range q.msgs {
		m := &q.msgs[i]
		for data := q.data(m); ; {
			n := min(m.size, len(data))
			_ = s.write(data[:n], m.dst) // counted
			if data = data[n:]; len(data) == 0 {
				break
			}
		}
	}
}

func (s *plainSocket) sendOne(p []byte, dst netip.AddrPort) error {
	return s.write(p, dst)
}

// write sends one packet and counts it, sent or lost. The write deadline, which
// all writers share, is moved only once it has expired, so that it costs
// nothing per packet; an expired one therefore means a full socket only after
// it was moved and expired again.
func (s *plainSocket) write(p []byte, dst netip.AddrPort) error {
	n, err := s.udp.WriteToUDPAddrPort(p, dst)
	for try := 1; try < plainTries && errors.Is(err, os.ErrDeadlineExceeded); try++ {
		_ = s.udp.SetWriteDeadline(time.Now().Add(plainWait))
		n, err = s.udp.WriteToUDPAddrPort(p, dst)
	}
	if err == nil {
		s.stats.sent(1, n)
		return nil
	}
	r := reasonOf(err)
	s.stats.drop(r, 1)
	if r == dropSendBuffer {
		return nil
	}
	return err
}
