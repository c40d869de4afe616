package relay

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"
)

// maxDatagram bounds what is relayed: more than any path's MTU that media uses.
const maxDatagram = 2048

var errTooLarge = errors.New("relay: larger than a datagram of the media path")

// HandleDatagram takes a datagram of the shared UDP port. False means that it is
// not for the relay and goes on to the media path. p is the caller's again on
// return.
func (s *Server) HandleDatagram(p []byte, from netip.AddrPort) bool {
	switch ClassifyDatagram(p) {
	case ChannelData:
		s.channelData(client{addr: unmap(from)}, p)
		return true
	case QUIC:
		if p[0] >= 0x80 || len(p) < 4 { // no channel of RFC 5766 either
			return false
		}
		s.channelData(client{addr: unmap(from)}, p)
		return true
	case STUN:
		if !forTURN(p) {
			return false
		}
		s.message(client{addr: unmap(from)}, p)
		return true
	}
	return false
}

// channelData takes ChannelData (RFC 8656 section 12.6).
func (s *Server) channelData(from client, p []byte) {
	size := int(binary.BigEndian.Uint16(p[2:]))
	if 4+size > len(p) {
		s.metrics.drop(dropMalformed)
		return
	}
	now := s.cfg.Now()
	a := s.find(from, now)
	if a == nil {
		s.metrics.drop(dropNoAllocation)
		return
	}
	peer, ok := a.toPeer(binary.BigEndian.Uint16(p), now)
	if !ok {
		s.metrics.drop(dropNoPermission)
		return
	}
	s.metrics.inbound(from, size)
	s.cfg.Media.Deliver(a.relayed, peer, p[4:4+size])
}

// sendIndication takes a Send indication (RFC 8656 section 11.3). Indications
// are not authenticated, and never answered.
func (s *Server) sendIndication(r *request) {
	a := r.allocation
	switch {
	case a == nil:
		s.metrics.drop(dropNoAllocation)
	case r.malformed || len(r.unknown) > 0 || len(r.peers) != 1 || r.data == nil:
		s.metrics.drop(dropMalformed)
	case s.permittedPeer(a.relayed, r.peers[0], true) != 0:
		s.metrics.drop(dropForbidden)
	case !a.permitted(r.peers[0], r.now):
		s.metrics.drop(dropNoPermission)
	default:
		a.wroteTo(r.peers[0])
		s.metrics.inbound(r.from, len(r.data))
		s.cfg.Media.Deliver(a.relayed, r.peers[0], r.data)
	}
}

// allocationSink is an allocation as the media path sees it.
type allocationSink struct {
	s *Server
	*allocation
}

// fromMedia sends p as ChannelData where a channel is bound, else as a Data
// indication.
func (k *allocationSink) fromMedia(p []byte, now time.Time) error {
	s, a := k.s, k.allocation
	if !a.alive(now) {
		s.metrics.drop(dropClosed)
		return net.ErrClosed
	}
	peer, number, ok := a.fromPeer(now)
	if !ok {
		s.metrics.drop(dropNoPermission)
		return nil
	}
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	if number != 0 {
		*buf = appendChannelData((*buf)[:0], number, p, a.client.stream != nil)
	} else {
		*buf = appendDataIndication((*buf)[:0], peer, transactionID(), p)
	}
	if a.client.stream != nil {
		if a.client.stream.put(*buf, false) {
			s.metrics.outbound(a.client, len(p))
		}
		return nil
	}
	s.metrics.outbound(a.client, len(p))
	s.writeUDP(*buf, a.client.addr)
	return nil
}

func (s *Server) writeUDP(p []byte, to netip.AddrPort) {
	if s.cfg.UDP == nil {
		s.metrics.drop(dropUDP)
		return
	}
	if _, err := s.cfg.UDP.WriteToAddrPort(p, to); err != nil {
		s.metrics.drop(dropUDP)
	}
}
