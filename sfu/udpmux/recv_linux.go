package udpmux

import (
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// A slot takes what Pion takes (8 KiB) or, where the kernel merges, as
	// much as it merges. Only the pages written to cost memory.
	slotSize          = 8 << 10
	coalescedSlotSize = 1 << 16
	slots             = 32
)

// coalescedControl is the control message that gives the size of the datagrams
// merged.
type coalescedControl struct {
	hdr  unix.Cmsghdr
	size int32
	_    [4]byte
}

// reader takes datagrams off the socket in batches. Owned by the one goroutine
// that reads.
type reader struct {
	raw      syscall.RawConn
	zones    *zones
	stats    *stats
	merged   bool // ask for coalescedControl
	slotSize int

	headers  []mmsghdr
	iovecs   []unix.Iovec
	addrs    []sockaddr
	controls []coalescedControl
	buf      []byte
	cut      [slots]bool // larger than the slot

	count   int // messages of the last call
	next    int // the message to take up next
	rest    []byte
	size    int // of the datagrams in rest but the last
	from    netip.AddrPort
	pending int // datagrams in hand

	// fetchOnce, waiting and not; made once: a closure per read would allocate.
	fetch, once func(fd uintptr) bool
	n           int
	errno       syscall.Errno
}

func newReader(raw syscall.RawConn, merged bool, z *zones, st *stats) *reader {
	r := &reader{raw: raw, zones: z, stats: st, merged: merged, slotSize: slotSize,
		headers: make([]mmsghdr, slots), iovecs: make([]unix.Iovec, slots), addrs: make([]sockaddr, slots),
		controls: make([]coalescedControl, slots)}
	if merged {
		r.slotSize = coalescedSlotSize
	}
	r.buf = make([]byte, slots*r.slotSize)
	for i := range r.headers {
		r.iovecs[i].Base = &r.buf[i*r.slotSize]
		r.iovecs[i].SetLen(r.slotSize)
		h := &r.headers[i].hdr
		h.Iov = &r.iovecs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&r.addrs[i]))
		r.rearm(i)
	}
	r.fetch = r.fetchOnce
	r.once = func(fd uintptr) bool {
		r.fetchOnce(fd)
		return true
	}
	return r
}

// rearm resets what the kernel overwrites.
func (r *reader) rearm(i int) {
	h := &r.headers[i].hdr
	h.Namelen = unix.SizeofSockaddrInet6
	h.Flags = 0
	if r.merged {
		h.Control = (*byte)(unsafe.Pointer(&r.controls[i]))
		h.SetControllen(int(unsafe.Sizeof(r.controls[i])))
	}
}

// fetchOnce is called when the socket may be readable; false waits for it.
func (r *reader) fetchOnce(fd uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.headers[0])), slots, unix.MSG_DONTWAIT, 0, 0)
	r.n, r.errno = int(n), errno
	return errno != unix.EAGAIN
}

func (s *socket) buffered() int { return s.read.pending }

func (s *socket) poll() int {
	r := s.read
	if r.pending > 0 {
		return r.pending
	}
	r.clear()
	// Whether there was something or not, that is all: true ends the call.
	if err := r.raw.Read(r.once); err == nil && r.errno == 0 {
		r.accept()
	}
	return r.pending
}

func (s *socket) readFrom(p []byte) (int, netip.AddrPort, error) {
	r := s.read
	for {
		for r.pending == 0 {
			if err := r.refill(); err != nil {
				return 0, netip.AddrPort{}, err
			}
		}
		packet := r.take()
		if len(packet) > len(p) {
			r.stats.drop(dropTruncated, 1)
			continue
		}
		return copy(p, packet), r.from, nil
	}
}

// clear forgets what the last call brought.
func (r *reader) clear() {
	for i := range r.count {
		r.rearm(i)
	}
	r.count, r.next, r.pending = 0, 0, 0
}

// refill waits for datagrams. Errors that say something about one peer or one
// moment must not end the socket for all.
func (r *reader) refill() error {
	r.clear()
	for failures := 0; ; {
		if err := r.raw.Read(r.fetch); err != nil {
			return err
		}
		switch {
		case r.errno == 0:
			r.accept()
			return nil
		case r.errno == unix.EINTR:
			continue
		case r.errno == unix.EBADF || r.errno == unix.ENOTSOCK || failures >= receiveRetries:
			return os.NewSyscallError("recvmmsg", r.errno)
		}
		failures++
		r.stats.receiveErrors.Add(1)
	}
}

// accept counts what a call has brought. What was larger than its slot is
// skipped.
func (r *reader) accept() {
	r.count = r.n
	packets, bytes := 0, 0
	for i := range r.count {
		r.cut[i] = r.headers[i].hdr.Flags&unix.MSG_TRUNC != 0
		if r.cut[i] {
			r.stats.drop(dropTruncated, 1)
			continue
		}
		bytes += int(r.headers[i].n)
		packets += datagrams(int(r.headers[i].n), r.segmentSize(i))
	}
	r.pending = packets
	r.stats.received(packets, bytes)
}

// datagrams is how many of size bytes make up length; size 0 means not merged.
func datagrams(length, size int) int {
	if size <= 0 || length <= size {
		return 1
	}
	return (length + size - 1) / size
}

// segmentSize is the size of the datagrams merged in message i, or 0.
func (r *reader) segmentSize(i int) int {
	h, c := &r.headers[i].hdr, &r.controls[i]
	if !r.merged || int(h.Controllen) < unix.CmsgLen(4) || c.hdr.Level != unix.SOL_UDP || c.hdr.Type != unix.UDP_GRO || c.size <= 0 {
		return 0
	}
	return int(c.size)
}

// take returns the next datagram in hand, valid until the next refill, and sets from.
func (r *reader) take() []byte {
	if len(r.rest) == 0 {
		for r.cut[r.next] {
			r.next++
		}
		i := r.next
		r.next++
		r.rest = r.buf[i*r.slotSize:][:r.headers[i].n]
		r.size = r.segmentSize(i)
		r.from = decode(&r.addrs[i], r.zones)
	}
	r.pending--
	n := len(r.rest)
	if r.size > 0 {
		n = min(n, r.size)
	}
	packet := r.rest[:n]
	r.rest = r.rest[n:]
	return packet
}
