package udpmux

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// gsoFailureLimit is how many segmented messages in a row must be refused
// before segmentation is given up: refusals of one route among others that work
// are no reason, a machine whose every route goes through a tunnel is.
const gsoFailureLimit = 16

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// segmentControl is the control message that asks for segmentation.
type segmentControl struct {
	hdr  unix.Cmsghdr
	size uint16
	_    [6]byte
}

// vector is a queue's messages as the kernel wants them. Its pointers are set
// once.
type vector struct {
	headers  [maxMessages]mmsghdr
	iovecs   [maxMessages]unix.Iovec
	addrs    [maxMessages]sockaddr
	dsts     [maxMessages]netip.AddrPort // what addrs holds
	controls [maxMessages]segmentControl
}

func (s *socket) prepare(q *queue) {
	v := &vector{}
	for i := range v.headers {
		h := &v.headers[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&v.addrs[i]))
		h.Iov = &v.iovecs[i]
		h.SetIovlen(1)
		c := &v.controls[i]
		c.hdr.Level, c.hdr.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		c.hdr.SetLen(unix.CmsgLen(2))
	}
	q.vec = v
}

// address makes addrs[i] say where message i of q goes.
func (s *socket) address(q *queue, i int) {
	v, m := q.vec, &q.msgs[i]
	if v.dsts[i] != m.dst {
		v.headers[i].hdr.Namelen = encode(&v.addrs[i], m.dst, s.family, s.zones)
		v.dsts[i] = m.dst
	}
}

// fill makes headers[i] say message i of q.
func (s *socket) fill(q *queue, i int) {
	v, m := q.vec, &q.msgs[i]
	h := &v.headers[i].hdr
	s.address(q, i)
	v.iovecs[i].Base = &q.arena[min(m.off, len(q.arena)-1)] // an empty packet may end the arena
	v.iovecs[i].SetLen(m.len)
	if m.packets > 1 {
		v.controls[i].size = uint16(m.size)
		h.Control = (*byte)(unsafe.Pointer(&v.controls[i]))
		h.SetControllen(unix.CmsgSpace(2))
	} else {
		h.Control = nil
		h.SetControllen(0)
	}
}

func (s *socket) send(q *queue) {
	if len(q.msgs) == 1 && q.msgs[0].packets == 1 {
		s.sendSingle(q)
		return
	}
	s.sendAll(q)
}

// sendSingle sends the one packet of q, as small rooms have it most of the
// time, without the headers that sendmmsg makes the kernel read.
func (s *socket) sendSingle(q *queue) {
	s.address(q, 0)
	_ = s.write(q.data(&q.msgs[0]), &q.vec.addrs[0], q.vec.headers[0].hdr.Namelen) // counted
}

func (s *socket) sendAll(q *queue) {
	for i := range q.msgs {
		s.fill(q, i)
	}
	for done := 0; done < len(q.msgs); {
		n, errno := s.sendmmsg(q, done)
		switch {
		case errno == unix.EINTR:
		case errno == 0 && n > 0:
			s.count(q.msgs[done : done+n])
			done += n
		default: // it is about the first message; those before have left
			s.handleRefusal(q, done, errno)
			done++
		}
	}
}

// count notes the messages of one successful call.
func (s *socket) count(msgs []message) {
	packets, bytes, messages, segments := 0, 0, 0, 0
	for i := range msgs {
		packets += msgs[i].packets
		bytes += msgs[i].len
		if msgs[i].packets > 1 {
			messages++
			segments += msgs[i].packets
		}
	}
	s.stats.sent(packets, bytes)
	if messages > 0 {
		s.stats.segmented.Add(uint64(messages))
		s.stats.segments.Add(uint64(segments))
		if s.gsoFailures.Load() != 0 {
			s.gsoFailures.Store(0)
		}
	}
}

// handleRefusal drops message i or, where it may be the segmentation that was
// refused, sends its packets one by one: EIO is a device without checksum
// offload, EINVAL and EMSGSIZE a path that doesn't take the segment size.
func (s *socket) handleRefusal(q *queue, i int, errno syscall.Errno) {
	m := &q.msgs[i]
	if m.packets == 1 || (errno != unix.EIO && errno != unix.EINVAL && errno != unix.EMSGSIZE) {
		s.stats.drop(reasonOfErrno(errno), m.packets)
		return
	}
	s.stats.segmentFailures.Add(1)
	left := 0
	for data := q.data(m); len(data) > 0; {
		n := min(m.size, len(data))
		if s.write(data[:n], &q.vec.addrs[i], q.vec.headers[i].hdr.Namelen) == 0 {
			left++
		}
		data = data[n:]
	}
	// Only if they leave this way was it the segmentation.
	if left > 0 && s.gsoFailures.Add(1) == gsoFailureLimit {
		s.limits.segments.Store(1)
		s.log.Warn("udp: segmentation refused again and again, given up", "error", errno)
	}
}

func (s *socket) sendOne(p []byte, dst netip.AddrPort) error {
	var to sockaddr
	errno := s.write(p, &to, encode(&to, dst, s.family, s.zones))
	if errno == 0 || reasonOfErrno(errno) == dropSendBuffer {
		return nil
	}
	return &net.OpError{Op: "write", Net: "udp", Source: s.udp.LocalAddr(), Addr: net.UDPAddrFromAddrPort(dst), Err: os.NewSyscallError("sendto", errno)}
}

// write sends one packet and counts it, sent or lost.
func (s *socket) write(p []byte, to *sockaddr, toLen uint32) syscall.Errno {
	errno := s.sendto(p, to, toLen)
	for errno == unix.EINTR {
		errno = s.sendto(p, to, toLen)
	}
	if errno == 0 {
		s.stats.sent(1, len(p))
	} else {
		s.stats.drop(reasonOfErrno(errno), 1)
	}
	return errno
}

// sendmmsg sends the messages from first on and returns how many were taken.
// The call is raw, without telling the scheduler: it doesn't block and carries
// one queue at most, and the hand-over costs more than it gives.
func (s *socket) sendmmsg(q *queue, first int) (int, syscall.Errno) {
	count := len(q.msgs) - first
	if s.refuse != nil {
		if errno := s.refuse(q.msgs[first].packets); errno != 0 {
			return 0, errno
		}
		count = 1
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.tx), uintptr(unsafe.Pointer(&q.vec.headers[first])),
		uintptr(count), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

func (s *socket) sendto(p []byte, to *sockaddr, toLen uint32) syscall.Errno {
	if s.refuse != nil {
		if errno := s.refuse(1); errno != 0 {
			return errno
		}
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.tx), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)), unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(to)), uintptr(toLen))
	return errno
}
