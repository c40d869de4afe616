package relay

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// TestNoAmplification sends what needs no credentials, from forged addresses,
// and adds up: no address gets more bytes than came from it, at any moment.
func TestNoAmplification(t *testing.T) {
	s, _, udp := newServer(t, nil)
	methods := []stun.Method{stun.MethodBinding, stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind, stun.MethodSend, stun.MethodData, 0x0ab}
	rng := rand.New(rand.NewPCG(1, 2))
	var victims []netip.AddrPort
	for i := range 40 {
		victims = append(victims, netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), uint16(1000+i)))
	}
	in, out, answered := map[netip.Addr]int{}, map[netip.Addr]int{}, 0
	for range 20000 {
		setters := []stun.Setter{stun.TransactionID, stun.NewType(methods[rng.IntN(len(methods))], stun.MessageClass(rng.IntN(2)))}
		if rng.IntN(2) == 0 {
			setters = append(setters, wantUDP)
		}
		if rng.IntN(3) == 0 {
			setters = append(setters, attr(stun.AttrType(rng.IntN(0x40)), make([]byte, rng.IntN(12))...))
		}
		if rng.IntN(4) == 0 {
			setters = append(setters, stun.NewUsername("1:x"), stun.NewRealm(realm), stun.NewNonce("AAAAAAAAAAAA"), stun.NewShortTermIntegrity("guess"))
		}
		m := new(stun.Message)
		if m.Build(setters...) != nil {
			continue
		}
		from := victims[rng.IntN(len(victims))]
		from = netip.AddrPortFrom(from.Addr(), uint16(rng.IntN(1<<16-1)+1))
		in[from.Addr()] += len(m.Raw)
		_, before := udp.last()
		s.HandleDatagram(m.Raw, from)
		if p, after := udp.last(); after > before {
			answered++
			out[from.Addr()] += len(p)
		}
		if out[from.Addr()] > in[from.Addr()] {
			t.Fatalf("%s sent %d bytes and got %d", from, in[from.Addr()], out[from.Addr()])
		}
	}
	if answered == 0 || dropped(s, dropAmplification) == 0 {
		t.Fatalf("%d answers, %d withheld: the test tests nothing", answered, dropped(s, dropAmplification))
	}
}

// TestChallengeNeedsTwoRequests: the smallest Allocate that there is, as
// browsers send it, is answered when it comes again.
func TestChallengeNeedsTwoRequests(t *testing.T) {
	s, _, udp := newServer(t, nil)
	p := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), wantUDP).Raw
	if len(p) != 28 {
		t.Fatalf("the smallest Allocate has %d bytes", len(p))
	}
	s.HandleDatagram(p, testClient)
	if _, n := udp.last(); n != 0 {
		t.Fatal("answered at once")
	}
	s.HandleDatagram(p, testClient)
	if got, n := udp.last(); n != 1 || len(got) != 56 {
		t.Fatalf("%d answers, the last of %d bytes", n, len(got))
	}
}

func TestErrorRepliesAreRateLimited(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := newLedger()
	sent := 0
	for range 1000 {
		if l.allow(testClient.Addr(), 100, 60, now) {
			sent++
		}
	}
	if sent != ledgerRate {
		t.Errorf("%d replies a second to one source, want %d", sent, ledgerRate)
	}
	sent = 0
	for i := range 100000 {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], uint32(i)+1<<24)
		if l.allow(netip.AddrFrom4(a), 100, 60, now) {
			sent++
		}
	}
	if sent > nodeRate {
		t.Errorf("%d replies a second to all, want %d", sent, nodeRate)
	}
	// One site is one source.
	now = now.Add(time.Hour)
	if l.allow(netip.MustParseAddr("2001:db8::1"), 30, 56, now) || !l.allow(netip.MustParseAddr("2001:db8::2"), 30, 56, now) {
		t.Error("a /64 is not one source")
	}
}

// TestUnaskedIsSilent: what is no request gets no reply at all.
func TestUnaskedIsSilent(t *testing.T) {
	s, media, udp := newServer(t, nil)
	for _, p := range [][]byte{
		appendChannelData(nil, 0x4000, []byte("x"), false),
		appendDataIndication(nil, mediaPeer, transactionID(), []byte("x")),
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication), peerAddr(mediaPeer), attr(stun.AttrData, 1)).Raw,
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassErrorResponse)).Raw,
	} {
		for range 10 {
			s.HandleDatagram(p, testClient)
		}
	}
	if _, n := udp.last(); n != 0 || len(media.seen()) != 0 {
		t.Errorf("%d replies, %d deliveries", n, len(media.seen()))
	}
}
