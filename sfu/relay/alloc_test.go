package relay

import (
	"net/netip"
	"testing"

	"github.com/pion/stun/v4"
)

// bounce is a media path that answers, and a socket that takes, at no cost.
type bounce struct{ s *Server }

func (b *bounce) Deliver(from, _ netip.AddrPort, p []byte) { _, _ = b.s.WriteToAddrPort(p, from) }
func (b *bounce) Gone(netip.AddrPort)                      {}
func (b *bounce) WriteToAddrPort(p []byte, _ netip.AddrPort) (int, error) {
	return len(p), nil
}

// bound is a server whose client at testClient has a channel to our media.
func bound(t testing.TB) *Server {
	t.Helper()
	s, _, udp := newServer(t, nil)
	for _, p := range seeds(s)[:7] {
		s.HandleDatagram(p, testClient)
	}
	if _, n := udp.last(); n < 4 || s.find(client{addr: testClient}, s.cfg.Now()) == nil {
		t.Fatal("no channel")
	}
	b := &bounce{s}
	s.cfg.Media, s.cfg.UDP = b, b
	return s
}

// TestNoAllocation: a packet in and one out over a channel allocate nothing.
func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	s := bound(t)
	p := appendChannelData(nil, 0x4000, make([]byte, 1200), false)
	if n := testing.AllocsPerRun(1000, func() { s.HandleDatagram(p, testClient) }); n != 0 {
		t.Errorf("%v allocations for a packet each way", n)
	}
}

func BenchmarkChannelEcho(b *testing.B) {
	s := bound(b)
	p := appendChannelData(nil, 0x4000, make([]byte, 1200), false)
	b.ReportAllocs()
	for b.Loop() {
		s.HandleDatagram(p, testClient)
	}
}

func BenchmarkSendIndication(b *testing.B) {
	s := bound(b)
	p := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication), peerAddr(mediaPeer), stun.RawAttribute{Type: stun.AttrData, Value: make([]byte, 1200)}).Raw
	b.ReportAllocs()
	for b.Loop() {
		s.HandleDatagram(p, testClient)
	}
}

// BenchmarkForged is what a request from nobody costs.
func BenchmarkForged(b *testing.B) {
	s := bound(b)
	p := seeds(s)[3]
	from := netip.AddrPortFrom(testClient.Addr(), 9)
	b.ReportAllocs()
	for b.Loop() {
		s.HandleDatagram(p, from)
	}
}
