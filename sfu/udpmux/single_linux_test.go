package udpmux

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The benchmarks of this file are about small rooms, where packets come one at
// a time. They compare ways within one run, in turns and by CPU time, because
// the wall clock of a shared machine says little. Metrics are CPU nanoseconds a
// packet; one operation is one round of all ways.

// way is one of the things compared.
type way struct {
	name string
	one  func()
	took []float64 // CPU ns a packet, by round
}

// compare runs the ways in turns and reports each one's median.
func compare(b *testing.B, ways ...*way) {
	b.Helper()
	const packets = 100
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for b.Loop() {
		for _, w := range ways {
			w.one() // warm
			start := threadCPU(b)
			for range packets {
				w.one()
			}
			w.took = append(w.took, float64(threadCPU(b)-start)/packets)
		}
	}
	report(b, ways)
}

func report(b *testing.B, ways []*way) {
	b.Helper()
	b.ReportMetric(0, "ns/op") // not shown
	for _, w := range ways {
		slices.Sort(w.took)
		b.ReportMetric(w.took[len(w.took)/2], w.name+"-ns")
	}
}

func threadCPU(b *testing.B) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		b.Fatal(err)
	}
	return ts.Nano()
}

func socketOf(b *testing.B, c *Conn) *socket {
	s, ok := c.backend.(*socket)
	if !ok {
		b.Fatalf("this kernel got a %T", c.backend)
	}
	return s
}

// BenchmarkSingleSend is a Batch with one packet: bare is sendto alone, single
// what Flush does, vector the same through sendmmsg.
func BenchmarkSingleSend(b *testing.B) {
	c, to := benchConn(b, Disable{}), sinks(b, 1)[0]
	s, batch, p := socketOf(b, c), c.NewBatch(), make([]byte, benchSize)
	var sa sockaddr
	saLen := encode(&sa, to, s.family, s.zones)
	compare(b,
		&way{name: "bare", one: func() { _ = s.sendto(p, &sa, saLen) }},
		&way{name: "atonce", one: func() { _, _ = c.WriteToAddrPort(p, to) }},
		&way{name: "single", one: func() {
			_, _ = batch.WriteTo(p, to)
			_ = batch.Flush()
		}},
		&way{name: "vector", one: func() {
			_, _ = batch.WriteTo(p, to)
			s.sendAll(batch.q)
			c.queues.put(batch.q)
			batch.q = nil
		}})
}

// BenchmarkSingleReceive is one packet sent and read: ring is the call of 32
// slots alone, slot the same of one, read all of ReadFromAddrPort. invain is
// the call that finds nothing, one before each wait, nothing sent.
func BenchmarkSingleReceive(b *testing.B) {
	c := benchConn(b, Disable{})
	s, p, buf := socketOf(b, c), make([]byte, benchSize), make([]byte, 8192)
	self := c.LocalAddr().(*net.UDPAddr).AddrPort()
	var sa sockaddr
	saLen := encode(&sa, self, s.family, s.zones)
	r := s.read
	take := func(count uintptr) {
		_ = s.sendto(p, &sa, saLen)
		r.rearm(0)
		_, _, _ = unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.rx), uintptr(unsafe.Pointer(&r.headers[0])), count, unix.MSG_DONTWAIT, 0, 0)
	}
	compare(b,
		&way{name: "ring", one: func() { take(slots) }},
		&way{name: "slot", one: func() { take(1) }},
		&way{name: "read", one: func() {
			_ = s.sendto(p, &sa, saLen)
			_, _, _ = c.ReadFromAddrPort(buf)
		}},
		&way{name: "invain", one: func() { r.fetchOnce(uintptr(s.rx)) }})
}

const (
	pacedTarget  = "UDPMUX_PACED_TARGET"
	pacedPackets = 250
	pacedGap     = 2 * time.Millisecond
)

// TestPacedSender is the other process of BenchmarkSinglePaced, and does
// nothing without a target.
func TestPacedSender(t *testing.T) {
	target := os.Getenv(pacedTarget)
	if target == "" {
		return
	}
	c, err := net.Dial("udp4", target)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	p, tick := make([]byte, benchSize), time.NewTicker(pacedGap)
	defer tick.Stop()
	for i := range pacedPackets {
		<-tick.C
		p[0] = byte(i)
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkSinglePaced forwards packets that come every 2 ms from another
// process, and reports the CPU time of this one, waking up included: conn is
// this package, netconn Go's own socket, blocking this package's calls by a
// goroutine that waits in the kernel instead of the network poller.
func BenchmarkSinglePaced(b *testing.B) {
	ways := []*way{{name: "conn"}, {name: "netconn"}, {name: "blocking"}}
	to := sinks(b, 1)[0]
	for b.Loop() {
		for _, w := range ways {
			w.took = append(w.took, paced(b, w.name, to))
		}
	}
	report(b, ways)
}

// paced forwards one round and returns CPU ns a packet.
func paced(b *testing.B, name string, to netip.AddrPort) float64 {
	c, err := Listen(Config{Addr: "127.0.0.1:0", Disable: Disable{Coalescing: true}}, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	target := c.LocalAddr().String()
	read, write := c.ReadFromAddrPort, c.WriteToAddrPort
	switch name {
	case "netconn":
		read, write = c.udp.ReadFromUDPAddrPort, c.udp.WriteToUDPAddrPort
	case "blocking":
		read = blockingReader(b, c)
	}
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestPacedSender$")
	child.Env = append(os.Environ(), pacedTarget+"="+target)
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	var start int64
	buf := make([]byte, 8192)
	for i := range pacedPackets {
		n, _, err := read(buf)
		if err != nil {
			b.Fatalf("packet %d: %v", i, err)
		}
		if i == 0 {
			start = processCPU(b)
		}
		_, _ = write(buf[:n], to)
	}
	took := processCPU(b) - start
	if err := child.Wait(); err != nil {
		b.Error(err)
	}
	return float64(took) / (pacedPackets - 1)
}

// blockingReader takes c's socket out of the poller.
func blockingReader(b *testing.B, c *Conn) func([]byte) (int, netip.AddrPort, error) {
	file, err := c.udp.File()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = file.Close() })
	fd := int(file.Fd())
	_ = c.udp.Close()
	wait := unix.NsecToTimeval(patience.Nanoseconds())
	for _, err := range []error{unix.SetNonblock(fd, false), unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait)} {
		if err != nil {
			b.Fatal(err)
		}
	}
	return func(p []byte) (int, netip.AddrPort, error) {
		n, _, err := unix.Recvfrom(fd, p, 0)
		for err == unix.EINTR {
			n, _, err = unix.Recvfrom(fd, p, 0)
		}
		return n, netip.AddrPort{}, err
	}
}

func processCPU(b *testing.B) int64 {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	return ru.Utime.Nano() + ru.Stime.Nano()
}
