package udpmux

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// fallbacks are the mechanisms and each of them forced off.
var fallbacks = map[string]Disable{
	"all":             {},
	"no segmentation": {Segmentation: true},
	"no merging":      {Coalescing: true},
	"one socket":      {SendSocket: true},
	"no force":        {ForcedBuffers: true},
	"no batching":     {Batching: true},
}

func TestRoundTrip(t *testing.T) {
	addrs := []struct{ name, listen, host, peer string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1", "127.0.0.1:0"},
		{"IPv4 wildcard", "0.0.0.0:0", "127.0.0.1", "127.0.0.1:0"},
		{"IPv6", "[::1]:0", "::1", "[::1]:0"},
		{"dual to IPv4", "[::]:0", "127.0.0.1", "127.0.0.1:0"},
		{"dual to mapped IPv4", "[::]:0", "::ffff:127.0.0.1", "127.0.0.1:0"},
		{"dual to IPv6", "[::]:0", "::1", "[::1]:0"},
	}
	for name, off := range fallbacks {
		for _, a := range addrs {
			t.Run(name+"/"+a.name, func(t *testing.T) {
				c := listen(t, Config{Addr: a.listen, Disable: off})
				peer := listen(t, Config{Addr: a.peer, Disable: off})
				want := payloads(40, 1200)
				// The peer writes to the socket's address in short form, the socket
				// back to what was tested.
				host := netip.MustParseAddr(a.host).Unmap().String()
				batch := peer.NewBatch()
				for _, p := range want {
					if _, err := batch.WriteTo([]byte(p), at(c, host)); err != nil {
						t.Fatal(err)
					}
				}
				if batch.Len() != len(want) {
					t.Fatalf("%d packets in the batch, want %d", batch.Len(), len(want))
				}
				if err := batch.Flush(); err != nil {
					t.Fatal(err)
				}
				if from := readAll(t, c, want); from != at(peer, host) {
					t.Fatalf("came from %v, want %v", from, at(peer, host))
				}
				for _, p := range want {
					if _, err := c.WriteToAddrPort([]byte(p), at(peer, a.host)); err != nil {
						t.Fatal(err)
					}
				}
				if from := readAll(t, peer, want); from != at(c, host) {
					t.Fatalf("came from %v, want %v", from, at(c, host))
				}
				if _, err := c.WriteTo([]byte("at once"), peer.LocalAddr()); err != nil {
					t.Fatal(err)
				}
				readAll(t, peer, []string{"at once"})
			})
		}
	}
}

func TestInfo(t *testing.T) {
	c := listen(t, Config{Disable: Disable{Batching: true}})
	if i := c.Info(); i.Batching || i.Coalescing || i.SendSocket || c.Segments() != 1 {
		t.Fatalf("plain socket says %+v, %d segments", i, c.Segments())
	}
	if c.Buffered() != 0 {
		t.Fatal("a plain socket has datagrams in hand")
	}
}

func TestPortTaken(t *testing.T) {
	for name, off := range fallbacks {
		t.Run(name, func(t *testing.T) {
			c := listen(t, Config{Disable: off})
			_, err := Listen(Config{Addr: c.LocalAddr().String(), Disable: off}, nil, nil)
			if err == nil || !strings.Contains(err.Error(), "already in use") {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestListenRefuses(t *testing.T) {
	for _, cfg := range []Config{
		{Addr: ""}, {Addr: ":7882"}, {Addr: "localhost:7882"}, {Addr: "192.0.2.1:0"},
		{Addr: "127.0.0.1:0", MaxSegments: 65}, {Addr: "127.0.0.1:0", MaxSegments: -1},
		{Addr: "127.0.0.1:0", MTU: 100}, {Addr: "127.0.0.1:0", ReadBuffer: -1},
	} {
		if c, err := Listen(cfg, nil, nil); err == nil {
			_ = c.Close()
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestOversize(t *testing.T) {
	for name, off := range fallbacks {
		t.Run(name, func(t *testing.T) {
			a, b := listen(t, Config{Disable: off}), listen(t, Config{Disable: off})
			dst := at(b, "127.0.0.1")
			huge := make([]byte, maxDatagram+1)
			if _, err := a.WriteToAddrPort(huge, dst); err == nil {
				t.Fatal("a datagram larger than any was written")
			}
			batch := a.NewBatch()
			if _, err := batch.WriteTo(huge, dst); err == nil {
				t.Fatal("a datagram larger than any was queued")
			}
			if got := a.stats.drops[dropTooLarge].Load(); got != 2 {
				t.Fatalf("%d drops counted, want 2", got)
			}
			// One larger than the reader's buffer is skipped, an empty one isn't.
			for _, n := range []int{300, 100, 0, 101, 7} {
				if _, err := batch.WriteTo(huge[:n], dst); err != nil {
					t.Fatal(err)
				}
			}
			_ = batch.Flush()
			p := make([]byte, 100)
			for _, want := range []int{100, 0, 7} {
				if n, _, err := b.ReadFromAddrPort(p); err != nil || n != want {
					t.Fatalf("read %d, %v, want %d", n, err, want)
				}
			}
			if got := b.stats.drops[dropTruncated].Load(); got != 2 {
				t.Fatalf("%d truncated, want 2", got)
			}
		})
	}
}

// Datagrams larger than what is segmented, and than a slot of the ring.
func TestLargeDatagrams(t *testing.T) {
	for name, off := range fallbacks {
		t.Run(name, func(t *testing.T) {
			a, b := listen(t, Config{Disable: off}), listen(t, Config{Disable: off})
			largest := 60000
			if !off.Batching && off.Coalescing {
				largest = 8192
			}
			var want []string
			for _, n := range []int{1452, 1453, 1453, largest, largest, 10} {
				want = append(want, strings.Repeat("x", n))
			}
			batch := a.NewBatch()
			for _, p := range want {
				if _, err := batch.WriteTo([]byte(p), at(b, "127.0.0.1")); err != nil {
					t.Fatal(err)
				}
			}
			_ = batch.Flush()
			readAll(t, b, want)
		})
	}
}

func TestBadDestinations(t *testing.T) {
	v4, v6 := listen(t, Config{}), listen(t, Config{Addr: "[::1]:0"})
	for _, bad := range []struct {
		c   *Conn
		dst netip.AddrPort
	}{
		{v4, netip.AddrPort{}},
		{v4, netip.MustParseAddrPort("127.0.0.1:0")},
		{v4, netip.MustParseAddrPort("[::1]:9")},
		{v6, netip.MustParseAddrPort("127.0.0.1:9")},
		{v6, netip.MustParseAddrPort("[::ffff:127.0.0.1]:9")},
	} {
		if _, err := bad.c.WriteToAddrPort([]byte("x"), bad.dst); err == nil {
			t.Errorf("writing to %v was accepted", bad.dst)
		}
		if _, err := bad.c.NewBatch().WriteTo([]byte("x"), bad.dst); err == nil {
			t.Errorf("queueing for %v was accepted", bad.dst)
		}
	}
	if _, err := v4.WriteTo([]byte("x"), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}); err == nil {
		t.Error("a TCP address was accepted")
	}
	if got := v4.stats.drops[dropDestination].Load(); got != 7 {
		t.Errorf("%d drops counted, want 7", got)
	}
}

func TestReadDeadline(t *testing.T) {
	for name, off := range fallbacks {
		t.Run(name, func(t *testing.T) {
			c := listen(t, Config{Disable: off})
			done := make(chan error, 1)
			if err := c.SetReadDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			go func() {
				_, _, err := c.ReadFromAddrPort(make([]byte, 10))
				done <- err
			}()
			if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
			if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) || !os.IsTimeout(err) {
				t.Fatalf("got %v", err)
			}
			// The socket is still good once the deadline is moved.
			if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.WriteTo([]byte("self"), c.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			readAll(t, c, []string{"self"})
		})
	}
}

// Close ends blocked reads and waits for what is being sent; what comes after
// is refused and counted.
func TestCloseWhileBusy(t *testing.T) {
	for name, off := range fallbacks {
		t.Run(name, func(t *testing.T) {
			c, sink := listen(t, Config{Disable: off}), listen(t, Config{})
			if err := c.SetReadDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			dst := at(sink, "127.0.0.1")
			var busy, started sync.WaitGroup
			run := func(step func() error) {
				started.Add(1)
				busy.Go(func() {
					for n := 0; ; n++ {
						err := step()
						if n == 0 {
							started.Done()
						}
						if err != nil {
							if !errors.Is(err, net.ErrClosed) {
								t.Errorf("ended with %v", err)
							}
							return
						}
					}
				})
			}
			p := make([]byte, 1200)
			for range 2 {
				run(func() error { _, err := c.WriteToAddrPort(p, dst); return err })
				batch := c.NewBatch()
				run(func() error {
					for range 20 {
						_, _ = batch.WriteTo(p, dst)
					}
					return batch.Flush()
				})
			}
			busy.Go(func() {
				if _, _, err := c.ReadFromAddrPort(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("read ended with %v", err)
				}
			})
			started.Wait()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			busy.Wait()
			if _, _, err := c.ReadFromAddrPort(p); !errors.Is(err, net.ErrClosed) {
				t.Errorf("reading a closed socket: %v", err)
			}
			if err := c.SetWriteDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
				t.Errorf("deadline of a closed socket: %v", err)
			}
			if c.stats.drops[dropClosed].Load() == 0 {
				t.Error("packets lost by closing are not counted")
			}
		})
	}
}

// Poll brings what has come without waiting for more.
func TestPoll(t *testing.T) {
	for name, off := range fallbacks {
		t.Run(name, func(t *testing.T) {
			c, peer := listen(t, Config{Disable: off}), listen(t, Config{Disable: off})
			if n := c.Poll(); n != 0 {
				t.Fatalf("%d datagrams on a new socket", n)
			}
			want := payloads(5, 1000)
			batch := peer.NewBatch()
			for _, p := range want {
				if _, err := batch.WriteTo([]byte(p), at(c, "127.0.0.1")); err != nil {
					t.Fatal(err)
				}
			}
			if err := batch.Flush(); err != nil {
				t.Fatal(err)
			}
			n := c.Poll()
			if off.Batching && n != 0 || !off.Batching && n == 0 {
				t.Fatalf("%d datagrams", n)
			}
			if again := c.Poll(); again != n {
				t.Fatalf("%d datagrams in hand, then %d", n, again)
			}
			readAll(t, c, want)
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if n := c.Poll(); n != 0 {
				t.Fatalf("%d datagrams of a closed socket", n)
			}
		})
	}
}
