package udpmux

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func init() {
	if to := os.Getenv("ZZ_TO"); to != "" {
		c, _ := net.Dial("udp", to)
		n, gap := 500, 2*time.Millisecond
		p := make([]byte, 1116)
		for range n {
			c.Write(p)
			ts := unix.NsecToTimespec(int64(gap))
			unix.Nanosleep(&ts, nil)
		}
		p[0] = 1
		c.Write(p)
		os.Exit(0)
	}
}

func selfCPU() int64 {
	var ru unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &ru)
	return ru.Utime.Nano() + ru.Stime.Nano()
}

func TestZPaced(t *testing.T) {
	s, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.SetReadBuffer(64 << 10)
	to := s.LocalAddr().(*net.UDPAddr).AddrPort()
	retries := map[string]int{}
	res := map[string][]float64{}
	for round := range 8 {
		for i := range 4 {
			v := []string{"netpoll", "blocking", "ppoll", "goconn"}[(i+round)%4]
			_ = round
			c, err := Listen(Config{Addr: "127.0.0.1:0", Disable: Disable{Coalescing: v == "goconn"}}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			local := c.LocalAddr().String()
			batch := c.NewBatch()
			buf := make([]byte, 8192)
			k := c.backend.(*socket)
			var fd int
			if v != "netpoll" && v != "goconn" {
				f, _ := c.udp.File()
				fd = int(f.Fd())
				unix.SetNonblock(fd, false)
				defer f.Close()
				c.udp.Close()
			}
			evfd, _ := unix.Eventfd(0, 0)
			pfd := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(evfd), Events: unix.POLLIN}}
			r := k.read
			read := func() int {
				switch v {
				case "netpoll":
					n, _, _ := c.ReadFromAddrPort(buf)
					return n
				case "goconn":
					n, _, _ := c.udp.ReadFromUDPAddrPort(buf)
					return n
				}
				if r.pending > 0 {
					return copy(buf, r.take())
				}
				for i := range r.count {
					r.rearm(i)
				}
				r.count, r.next = 0, 0
			again:
				if v == "ppoll" {
					unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&pfd[0])), 2, 0, 0, 0, 0)
					r.fetchOnce(uintptr(fd))
				} else {
					n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.headers[0])), slots, unix.MSG_WAITFORONE, 0, 0)
					r.n, r.errno = int(n), errno
				}
				if r.errno == unix.EAGAIN || r.errno == unix.EINTR {
					retries[v]++
					r.n, r.count = 0, 0
					goto again
				}
				if r.errno != 0 {
					t.Fatal(r.errno)
				}
				r.accept()
				return copy(buf, r.take())
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "ZZ_TO="+local)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			read() // first
			t0 := selfCPU()
			got := 0
			for {
				n := read()
				got++
				if buf[0] == 1 {
					break
				}
				_, _ = batch.WriteTo(buf[:n], to)
				_ = batch.Flush()
			}
			d := selfCPU() - t0
			cmd.Wait()
			res[v] = append(res[v], float64(d)/float64(got))
			if v == "netpoll" || v == "goconn" {
				c.Close()
			}
		}
	}
	fmt.Println(retries)
	for v, x := range res {
		slices.Sort(x)
		fmt.Printf("%-10s min %6.0f med %6.0f max %6.0f\n", v, x[0], x[len(x)/2], x[len(x)-1])
	}
}
