package udpmux

import (
	"net"
	"net/netip"
	"testing"
)

const (
	benchReceivers = 50
	benchBurst     = 8
	benchSize      = 1116
)

// sinks opens sockets nobody reads.
func sinks(b *testing.B, n int) []netip.AddrPort {
	b.Helper()
	var to []netip.AddrPort
	for range n {
		s, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.Close() })
		_ = s.SetReadBuffer(64 << 10)
		to = append(to, s.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	return to
}

func benchConn(b *testing.B, off Disable) *Conn {
	b.Helper()
	c, err := Listen(Config{Addr: "127.0.0.1:0", Disable: off}, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	return c
}

// BenchmarkSend compares the ways to send bursts of 8 packets to 50 receivers,
// a receiver at a time or, in the last, a packet at a time, which leaves nothing
// to segment. One operation is one packet.
func BenchmarkSend(b *testing.B) {
	ways := []struct {
		name  string
		off   Disable
		batch bool
		outer bool // a packet to all, then the next
	}{
		{"plain", Disable{Batching: true}, false, false},
		{"one socket, at once", Disable{SendSocket: true}, false, false},
		{"send socket, at once", Disable{}, false, false},
		{"batch", Disable{Segmentation: true}, true, false},
		{"batch, segmented", Disable{}, true, false},
		{"batch, a packet at a time", Disable{}, true, true},
	}
	for _, w := range ways {
		b.Run(w.name, func(b *testing.B) {
			c := benchConn(b, w.off)
			to := sinks(b, benchReceivers)
			p := make([]byte, benchSize)
			batch := c.NewBatch()
			b.ReportAllocs()
			for sent := 0; b.Loop(); sent++ {
				i := sent % (benchReceivers * benchBurst)
				dst := to[i/benchBurst]
				if w.outer {
					dst = to[i%benchReceivers]
				}
				if !w.batch {
					_, _ = c.WriteToAddrPort(p, dst)
					continue
				}
				_, _ = batch.WriteTo(p, dst)
				if i == benchReceivers*benchBurst-1 {
					_ = batch.Flush()
				}
			}
		})
	}
}

// BenchmarkReceive reads what arrives in bursts of 32. One operation is one
// packet, its sending included.
func BenchmarkReceive(b *testing.B) {
	ways := []struct {
		name          string
		off           Disable
		senderSegment bool
	}{
		{"plain", Disable{Batching: true}, false},
		{"batch", Disable{Coalescing: true}, false},
		{"batch, merging", Disable{}, false},
		{"batch, segmented sender", Disable{Coalescing: true}, true},
		{"batch, merging, segmented sender", Disable{}, true},
	}
	for _, w := range ways {
		b.Run(w.name, func(b *testing.B) {
			c := benchConn(b, w.off)
			from := benchConn(b, Disable{Segmentation: !w.senderSegment})
			dst := c.LocalAddr().(*net.UDPAddr).AddrPort()
			p, buf := make([]byte, benchSize), make([]byte, 8192)
			batch := from.NewBatch()
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%32 == 0 {
					for range 32 {
						_, _ = batch.WriteTo(p, dst)
					}
					_ = batch.Flush()
				}
				if _, _, err := c.ReadFromAddrPort(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
