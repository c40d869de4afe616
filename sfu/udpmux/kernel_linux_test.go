package udpmux

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func kernelOf(t *testing.T, c *Conn) *socket {
	t.Helper()
	s, ok := c.backend.(*socket)
	if !ok {
		t.Fatalf("this kernel got a %T", c.backend)
	}
	return s
}

func sendBatch(t *testing.T, c, to *Conn, packets []string) {
	t.Helper()
	batch := c.NewBatch()
	for _, p := range packets {
		if _, err := batch.WriteTo([]byte(p), at(to, "127.0.0.1")); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestEverythingInUse(t *testing.T) {
	c := listen(t, Config{})
	if i := c.Info(); !i.Batching || !i.Coalescing || !i.SendSocket || i.ReadBuffer <= 0 || i.WriteBuffer <= 0 {
		t.Errorf("got %+v", i)
	}
	if c.Segments() != defaultMaxSegments {
		t.Errorf("%d segments a message, want %d", c.Segments(), defaultMaxSegments)
	}
}

func TestSegmentsAreSentAndMerged(t *testing.T) {
	c, sink := listen(t, Config{MaxSegments: 4}), listen(t, Config{})
	want := payloads(10, 1200)
	sendBatch(t, c, sink, want)
	if got := c.stats.segmented.Load(); got != 3 {
		t.Errorf("%d segmented messages, want 3", got)
	}
	if got := c.stats.segments.Load(); got != 10 {
		t.Errorf("%d segments, want 10", got)
	}
	read(t, sink)
	if got := sink.Buffered(); got != 9 {
		t.Errorf("%d datagrams in hand, want 9", got)
	}
	readAll(t, sink, want[1:])
	if got := sink.stats.recvCalls[4].Load(); got != 1 {
		t.Errorf("%d calls brought 9 to 16 datagrams, want 1", got)
	}
}

// Segmented messages that the kernel refuses are sent again packet by packet;
// after enough refusals in a row nothing is segmented any more.
func TestSegmentationRefused(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.EIO, unix.EINVAL, unix.EMSGSIZE} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			var log captured
			c, err := Listen(Config{Addr: "127.0.0.1:0"}, log.logger(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			sink := listen(t, Config{})
			var refused int
			kernelOf(t, c).refuse = func(packets int) syscall.Errno {
				if packets > 1 {
					refused++
					return errno
				}
				return 0
			}
			want := payloads(8, 1200)
			for range gsoFailureLimit + 5 {
				sendBatch(t, c, sink, want)
				readAll(t, sink, want)
			}
			if refused != gsoFailureLimit {
				t.Errorf("%d segmented messages tried, want %d", refused, gsoFailureLimit)
			}
			if c.Segments() != 1 {
				t.Errorf("still %d segments a message", c.Segments())
			}
			if got := c.stats.segmentFailures.Load(); got != gsoFailureLimit {
				t.Errorf("%d failures counted, want %d", got, gsoFailureLimit)
			}
			if n := strings.Count(log.String(), "segmentation refused"); n != 1 {
				t.Errorf("%d warnings, want 1", n)
			}
		})
	}
}

// One route that refuses among others that don't is no reason to give up.
func TestSegmentationRefusedNowAndThen(t *testing.T) {
	c, sink := listen(t, Config{}), listen(t, Config{})
	tries := 0
	kernelOf(t, c).refuse = func(packets int) syscall.Errno {
		if packets > 1 {
			if tries++; tries%2 == 1 {
				return unix.EIO
			}
		}
		return 0
	}
	want := payloads(8, 1200)
	for range 4 * gsoFailureLimit {
		sendBatch(t, c, sink, want)
		readAll(t, sink, want)
	}
	if c.Segments() == 1 {
		t.Error("segmentation was given up")
	}
}

// The kernel's own refusal: it segments nothing for a socket without checksums.
func TestKernelRefusesSegmentation(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::]:0"} {
		t.Run(addr, func(t *testing.T) {
			c, sink := listen(t, Config{Addr: addr}), listen(t, Config{})
			if err := unix.SetsockoptInt(kernelOf(t, c).tx, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
				t.Fatal(err)
			}
			want := payloads(8, 1200)
			sendBatch(t, c, sink, want)
			readAll(t, sink, want)
			if got := c.stats.segmentFailures.Load(); got != 1 {
				t.Errorf("%d failures counted, want 1", got)
			}
		})
	}
}

// A destination that can't be reached in either way says nothing about
// segmentation.
func TestUnreachableIsNoSegmentationFailure(t *testing.T) {
	c, sink := listen(t, Config{}), listen(t, Config{})
	kernelOf(t, c).refuse = func(int) syscall.Errno { return unix.EINVAL }
	for range gsoFailureLimit + 1 {
		sendBatch(t, c, sink, payloads(4, 1200))
	}
	if c.Segments() == 1 {
		t.Error("segmentation was given up")
	}
	if got := c.stats.drops[dropSendError].Load(); got != 4*(gsoFailureLimit+1) {
		t.Errorf("%d drops counted", got)
	}
}

// A full buffer loses the packet, blocks nobody and is no error to the writer.
func TestNoRoom(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.EAGAIN, unix.ENOBUFS} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			c, sink := listen(t, Config{}), listen(t, Config{})
			var full atomic.Bool
			full.Store(true)
			kernelOf(t, c).refuse = func(int) syscall.Errno {
				if full.Load() {
					return errno
				}
				return 0
			}
			if n, err := c.WriteToAddrPort([]byte("lost"), at(sink, "127.0.0.1")); n != 4 || err != nil {
				t.Fatalf("at once: %d, %v", n, err)
			}
			sendBatch(t, c, sink, payloads(9, 1200))
			if got := c.stats.drops[dropSendBuffer].Load(); got != 10 {
				t.Errorf("%d drops counted, want 10", got)
			}
			full.Store(false)
			sendBatch(t, c, sink, []string{"arrives"})
			readAll(t, sink, []string{"arrives"})
		})
	}
}

func TestDropReasons(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		unix.EAGAIN: "send_buffer", unix.ENOBUFS: "send_buffer", unix.ENETUNREACH: "unreachable",
		unix.EPERM: "forbidden", unix.EMSGSIZE: "too_large", unix.EIO: "send_error",
	} {
		c, sink := listen(t, Config{}), listen(t, Config{})
		kernelOf(t, c).refuse = func(int) syscall.Errno { return errno }
		_, err := c.WriteToAddrPort([]byte("lost"), at(sink, "127.0.0.1"))
		if (want == "send_buffer") != (err == nil) || (err != nil && !errors.Is(err, errno)) {
			t.Errorf("%v: the writer got %v", errno, err)
		}
		for _, packets := range []int{1, 3} { // alone, and by sendmmsg
			sendBatch(t, c, sink, payloads(packets, 2000))
		}
		for r := range dropReasons {
			if n := c.stats.drops[r].Load(); (n != 0 || r.String() == want) && (n != 5 || r.String() != want) {
				t.Errorf("%v counted %d times as %v, want 5 as %s", errno, n, r, want)
			}
		}
	}
	if got := reasonOf(errors.New("other")); got != dropSendError {
		t.Errorf("an unknown error is %v", got)
	}
	if got := reasonOf(&net.OpError{Err: syscall.ENOBUFS}); got != dropSendBuffer {
		t.Errorf("a wrapped ENOBUFS is %v", got)
	}
}

// The sending socket must never get a datagram, whatever its source.
func TestSendSocketReceivesNothing(t *testing.T) {
	for _, listenAddr := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0"} {
		t.Run(listenAddr, func(t *testing.T) {
			c := listen(t, Config{Addr: listenAddr})
			if !c.Info().SendSocket {
				t.Fatal("no send socket")
			}
			for range 100 {
				peer, err := net.Dial("udp", at(c, "127.0.0.1").String())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := peer.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
				_ = peer.Close()
			}
			for range 100 {
				read(t, c)
			}
			_, _, err := unix.Recvfrom(kernelOf(t, c).tx, make([]byte, 1), unix.MSG_DONTWAIT)
			if !errors.Is(err, unix.EAGAIN) {
				t.Errorf("the sending socket had a datagram: %v", err)
			}
		})
	}
}

// Two of our sockets share the port, so another process of the same user can
// join it; it must not take a share of the datagrams. We join nobody's.
func TestWhoJoinsGetsNothing(t *testing.T) {
	c := listen(t, Config{})
	join := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		return errors.Join(raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}), err)
	}}
	if other, err := join.ListenPacket(context.Background(), "udp4", c.LocalAddr().String()); err == nil {
		defer func() { _ = other.Close() }()
	}
	for range 100 {
		peer, err := net.Dial("udp", c.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		_ = peer.Close()
	}
	for range 100 {
		read(t, c)
	}
	other, err := join.ListenPacket(context.Background(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if c, err := Listen(Config{Addr: other.LocalAddr().String()}, nil, nil); err == nil {
		_ = c.Close()
		t.Fatal("joined another's port")
	}
}

// Where the second socket can't be had, the first is left as it was.
func TestNoSecondSocket(t *testing.T) {
	c := listen(t, Config{Disable: Disable{SendSocket: true}})
	s := kernelOf(t, c)
	elsewhere := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9} // not this machine's
	if fd, err := openSender(s.rx, elsewhere, familyIPv4, s.zones); err == nil || fd != -1 {
		t.Fatalf("got descriptor %d, %v", fd, err)
	}
	if on, err := unix.GetsockoptInt(s.rx, unix.SOL_SOCKET, unix.SO_REUSEPORT); on != 0 || err != nil {
		t.Errorf("the socket still shares its port: %d, %v", on, err)
	}
	sendBatch(t, c, c, []string{"one socket"})
	readAll(t, c, []string{"one socket"})
}

func TestSmallBuffersAreReported(t *testing.T) {
	var log captured
	const size = 256 << 20
	c, err := Listen(Config{Addr: "127.0.0.1:0", ReadBuffer: size, WriteBuffer: size, Disable: Disable{ForcedBuffers: true}}, log.logger(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if i := c.Info(); i.ReadBuffer <= 0 || i.ReadBuffer >= size || i.WriteBuffer <= 0 || i.WriteBuffer >= size {
		t.Errorf("buffers are %+v", i)
	}
	for _, want := range []string{"sysctl -w net.core.rmem_max=268435456", "sysctl -w net.core.wmem_max=268435456"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in %s", want, log.String())
		}
	}
}

// Link-local addresses carry their interface, by name or by number.
func TestZones(t *testing.T) {
	z := newZones()
	lo, err := net.InterfaceByIndex(1)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // looked up, then remembered
		if z.name(1) != lo.Name || z.id(lo.Name) != 1 || z.id("1") != 1 {
			t.Errorf("interface 1 is %q, %q is %d", z.name(1), lo.Name, z.id(lo.Name))
		}
	}
	if z.id("nosuch0") != 0 || z.id("") != 0 || z.name(999999) != "999999" {
		t.Error("unknown interfaces")
	}
	var sa sockaddr
	addr := dst(1)
	encode(&sa, addr, familyDual, z)
	if got := decode(&sa, z); got != addr {
		t.Errorf("mapped address came back as %v", got)
	}
	scoped := at6("fe80::1%"+lo.Name, 9)
	encode(&sa, scoped, familyIPv6, z)
	if got := decode(&sa, z); got != scoped {
		t.Errorf("scoped address came back as %v", got)
	}
}
