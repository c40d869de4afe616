package udpmux

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// socket is the backend that batches.
type socket struct {
	udp    *net.UDPConn
	family family
	stats  *stats
	limits *limits
	log    *slog.Logger
	zones  *zones
	// refuse answers for the kernel in tests that force errors; it is told how
	// many packets the message carries. nil otherwise.
	refuse func(packets int) syscall.Errno

	rx   int // udp's descriptor; open while the Conn's gate is
	tx   int // where packets leave; rx when there is no second socket
	read *reader

	gsoFailures atomic.Int32 // segmented messages refused in a row
}

// open sizes the buffers and picks the backend.
func open(udp *net.UDPConn, fam family, cfg Config, st *stats, lim *limits, log *slog.Logger) (backend, Info, error) {
	raw, err := udp.SyscallConn()
	if err != nil {
		return nil, Info{}, err
	}
	rx := -1
	if err := raw.Control(func(fd uintptr) { rx = int(fd) }); err != nil {
		return nil, Info{}, err
	}
	var info Info
	if info.ReadBuffer, err = setBuffer(rx, unix.SO_RCVBUF, unix.SO_RCVBUFFORCE, cfg.ReadBuffer, cfg.Disable.ForcedBuffers); err != nil {
		return nil, Info{}, fmt.Errorf("receive buffer: %w", err)
	}
	if info.WriteBuffer, err = setBuffer(rx, unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, cfg.WriteBuffer, cfg.Disable.ForcedBuffers); err != nil {
		return nil, Info{}, fmt.Errorf("send buffer: %w", err)
	}
	if cfg.Disable.Batching || !batchingWorks(rx) {
		return newPlainSocket(udp, st), info, nil
	}
	info.Batching = true
	s := &socket{udp: udp, family: fam, stats: st, limits: lim, log: log, zones: newZones(), rx: rx, tx: rx}
	if !cfg.Disable.SendSocket {
		if tx, err := openSender(rx, udp.LocalAddr(), fam, s.zones); err != nil {
			log.Warn("udp: no second socket for sending; each packet sent wakes the poller", "error", err)
		} else {
			s.tx, info.SendSocket = tx, true
			if info.WriteBuffer, err = setBuffer(tx, unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, cfg.WriteBuffer, cfg.Disable.ForcedBuffers); err != nil {
				_ = unix.Close(tx)
				return nil, Info{}, fmt.Errorf("send buffer: %w", err)
			}
		}
	}
	if _, err := unix.GetsockoptInt(s.tx, unix.SOL_UDP, unix.UDP_SEGMENT); err == nil && !cfg.Disable.Segmentation {
		lim.segments.Store(int32(cfg.MaxSegments))
	}
	info.Coalescing = !cfg.Disable.Coalescing && unix.SetsockoptInt(rx, unix.SOL_UDP, unix.UDP_GRO, 1) == nil
	s.read = newReader(raw, info.Coalescing, s.zones, st)
	return s, info, nil
}

// setBuffer asks for size bytes and returns what was granted. The kernel
// doubles the number for its own bookkeeping and caps it at net.core.*mem_max,
// unless the process may force it.
func setBuffer(fd, option, force, size int, neverForce bool) (int, error) {
	if neverForce || unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, size); err != nil {
			return 0, err
		}
	}
	got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
	return got / 2, err
}

// batchingWorks asks for no messages at all; a sandbox without the calls
// answers with an error.
func batchingWorks(fd int) bool {
	var none mmsghdr
	_, _, sendErr := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&none)), 0, unix.MSG_DONTWAIT, 0, 0)
	_, _, recvErr := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&none)), 0, unix.MSG_DONTWAIT, 0, 0)
	return sendErr == 0 && (recvErr == 0 || recvErr == unix.EAGAIN)
}

// openSender opens the second socket at rx's address. rx was bound without
// SO_REUSEPORT, so a port in use was noticed, shared or not; it gets the option
// afterwards. Who joins the port later gets no datagram either.
func openSender(rx int, local net.Addr, fam family, z *zones) (fd int, err error) {
	udp, ok := local.(*net.UDPAddr)
	if !ok {
		return -1, fmt.Errorf("local address is a %T", local)
	}
	domain := unix.AF_INET6
	if fam == familyIPv4 {
		domain = unix.AF_INET
	}
	fd, err = unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
			err = errors.Join(err, unix.SetsockoptInt(rx, unix.SOL_SOCKET, unix.SO_REUSEPORT, 0))
			fd = -1
		}
	}()
	if domain == unix.AF_INET6 {
		only := 0
		if fam == familyIPv6 {
			only = 1
		}
		if err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return fd, fmt.Errorf("IPV6_V6ONLY: %w", err)
		}
	}
	for _, s := range []int{rx, fd} {
		if err = unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return fd, fmt.Errorf("SO_REUSEPORT: %w", err)
		}
	}
	if err = unix.Bind(fd, bindAddr(udp, fam, z)); err != nil {
		return fd, fmt.Errorf("bind: %w", err)
	}
	return fd, receiveNothing(rx)
}

// receiveNothing makes every datagram go to the first socket of rx's reuseport
// group, which is rx.
func receiveNothing(rx int) error {
	prog, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	if err != nil {
		return err
	}
	filter := []unix.SockFilter{{Code: prog[0].Op, K: prog[0].K}}
	fprog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(rx, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &fprog); err != nil {
		return fmt.Errorf("SO_ATTACH_REUSEPORT_CBPF: %w", err)
	}
	return nil
}

func bindAddr(a *net.UDPAddr, fam family, z *zones) unix.Sockaddr {
	if fam == familyIPv4 {
		sa := &unix.SockaddrInet4{Port: a.Port}
		copy(sa.Addr[:], a.IP.To4())
		return sa
	}
	sa := &unix.SockaddrInet6{Port: a.Port, ZoneId: z.id(a.Zone)}
	copy(sa.Addr[:], a.IP.To16())
	return sa
}

// kernelDrops reads the socket's own counter.
func (s *socket) kernelDrops() uint64 {
	var info [unix.SK_MEMINFO_VARS]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.rx), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0
	}
	return uint64(info[unix.SK_MEMINFO_DROPS])
}

func (s *socket) close() error {
	err := s.udp.Close()
	if s.tx != s.rx {
		err = errors.Join(err, unix.Close(s.tx))
	}
	return err
}
