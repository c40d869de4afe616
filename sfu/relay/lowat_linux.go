package relay

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsentLimit is what the kernel takes before it says that the socket is full:
// about 60 ms at 2 Mbit/s. Without it whole seconds wait where no one can drop
// them.
const unsentLimit = 16 << 10

// smallUnsent bounds what waits unsent in the kernel, where it can.
func smallUnsent(conn net.Conn) {
	for {
		t, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = t.NetConn()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLimit)
	})
}
