package relay

import (
	"crypto/tls"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestKernelKeepsLittle: the option reaches the socket through what the splitter
// wraps it in.
func TestKernelKeepsLittle(t *testing.T) {
	cert, roots := certificate(t)
	limit := make(chan int, 1)
	s, _ := split(t, SplitConfig{
		TLS: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		Relay: func(c net.Conn, _ Kind) {
			smallUnsent(c)
			for {
				inner, ok := c.(interface{ NetConn() net.Conn })
				if !ok {
					break
				}
				c = inner.NetConn()
			}
			raw, err := c.(*net.TCPConn).SyscallConn()
			if err != nil {
				limit <- -1
				return
			}
			_ = raw.Control(func(fd uintptr) {
				n, _ := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT)
				limit <- n
			})
		},
	})
	plain, err := net.Dial("tcp4", s.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	secure, err := tls.Dial("tcp4", s.ln.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{plain, secure} {
		write(t, c, binding())
		if n := <-limit; n != unsentLimit {
			t.Errorf("%T: %d bytes may wait unsent", c, n)
		}
		_ = c.Close()
	}
}
