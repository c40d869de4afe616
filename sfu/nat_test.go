package sfu

import (
	"net"
	"net/netip"
	"testing"

	"github.com/chatmed/chatmed/internal/impair"
)

// TestBehindANAT: clients are told a port that is not the SFU's own, and what
// they send there is forwarded from other addresses than they know.
func TestBehindANAT(t *testing.T) {
	free, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	told := free.LocalAddr().(*net.UDPAddr).AddrPort()
	s, _ := newTestSFUWith(t, Config{AdvertisePort: told.Port()})
	if got := s.Candidates(); len(got) != 1 || got[0] != told || s.Port() == told.Port() {
		t.Fatalf("told %v at port %d", got, s.Port())
	}
	_ = free.Close()
	nat, err := impair.NewRelay(t.Context(), impair.RelayConfig{
		Listen: told.String(), Target: netip.AddrPortFrom(told.Addr(), s.Port()),
	})
	if err != nil {
		t.Fatal("the port was taken meanwhile:", err)
	}
	t.Cleanup(func() { _ = nat.Close() })
	a, b := newClient(t, s, "anna", 2), newClient(t, s, "bert", 2)
	for _, c := range []*client{a, b} {
		c.join("r")
		c.publish()
		c.part.Ready()
	}
	a.seesAndHears("bert")
	b.seesAndHears("anna")
	all := nat.Counters()
	if len(all.Clients) < 2 {
		t.Errorf("%d clients went through: %v", len(all.Clients), all)
	}
}
