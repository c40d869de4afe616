package relay

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v4"
)

var testClient = netip.MustParseAddrPort("198.51.100.4:4000")

// talker is a client over UDP whose messages are made by hand.
type talker struct {
	t     *testing.T
	s     *Server
	udp   *udpWriter
	addr  netip.AddrPort
	creds Credentials
	nonce string
}

func newTalker(t *testing.T, s *Server, udp *udpWriter, participant string, addr netip.AddrPort) *talker {
	return &talker{t: t, s: s, udp: udp, addr: addr, creds: s.Credentials(participant, time.Hour), nonce: s.keys.nonceFor(client{addr: addr}, s.cfg.Now())}
}

func attr(t stun.AttrType, v ...byte) stun.Setter { return stun.RawAttribute{Type: t, Value: v} }

type peerAddr netip.AddrPort

func (p peerAddr) AddTo(m *stun.Message) error {
	addXorAddr(m, stun.AttrXORPeerAddress, netip.AddrPort(p))
	return nil
}

func peerOf(s string) peerAddr { return peerAddr(netip.MustParseAddrPort(s)) }

var wantUDP = attr(stun.AttrRequestedTransport, protocolUDP, 0, 0, 0)

// send sends a request with valid credentials; the reply is nil when none came.
func (k *talker) send(method stun.Method, with ...stun.Setter) *stun.Message {
	k.t.Helper()
	setters := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, with...)
	setters = append(setters, stun.NewUsername(k.creds.Username), stun.NewRealm(realm), stun.NewNonce(k.nonce),
		stun.NewLongTermIntegrity(k.creds.Username, realm, k.creds.Password), stun.Fingerprint)
	return k.raw(stun.MustBuild(setters...).Raw)
}

func (k *talker) raw(p []byte) *stun.Message {
	k.t.Helper()
	_, before := k.udp.last()
	k.s.HandleDatagram(p, k.addr)
	answer, after := k.udp.last()
	if after == before {
		return nil
	}
	m := new(stun.Message)
	if err := stun.Decode(answer, m); err != nil {
		k.t.Fatal(err)
	}
	return m
}

// code is a response's: 0 for success, -1 for none.
func code(m *stun.Message) int {
	if m == nil {
		return -1
	}
	if m.Type.Class == stun.ClassSuccessResponse {
		return 0
	}
	var c stun.ErrorCodeAttribute
	if c.GetFrom(m) != nil {
		return -2
	}
	return int(c.Code)
}

func (k *talker) expect(want int, what string, m *stun.Message) {
	k.t.Helper()
	if got := code(m); got != want {
		k.t.Errorf("%s: %d, want %d", what, got, want)
	}
}

func TestRequests(t *testing.T) {
	s, _, udp := newServer(t, func(c *Config) {
		c.PerParticipant = 2
		c.Allowed = func(p string) bool { return p != "ejected" }
	})
	k := newTalker(t, s, udp, "p1", testClient)
	k.expect(codeMismatch, "refresh without allocation", k.send(stun.MethodRefresh))
	k.expect(codeBadRequest, "no transport", k.send(stun.MethodAllocate))
	k.expect(codeTransport, "TCP", k.send(stun.MethodAllocate, attr(stun.AttrRequestedTransport, 6, 0, 0, 0)))
	k.expect(codeFamily, "family 3", k.send(stun.MethodAllocate, wantUDP, attr(stun.AttrRequestedAddressFamily, 3, 0, 0, 0)))
	k.expect(codeCapacity, "a pair of ports", k.send(stun.MethodAllocate, wantUDP, attr(stun.AttrEvenPort, 0x80)))
	k.expect(codeCapacity, "a reservation", k.send(stun.MethodAllocate, wantUDP, attr(stun.AttrReservationToken, 1, 2, 3, 4, 5, 6, 7, 8)))
	m := k.send(stun.MethodAllocate, wantUDP, attr(0x7abc, 1, 2, 3, 4))
	k.expect(codeUnknownAttribute, "unknown attribute", m)
	if v, err := m.Get(stun.AttrUnknownAttributes); err != nil || len(v) != 2 || v[0] != 0x7a || v[1] != 0xbc {
		t.Errorf("unknown attributes %x, %v", v, err)
	}
	k.expect(0, "allocate", k.send(stun.MethodAllocate, wantUDP, attr(stun.AttrDontFragment), attr(stun.AttrEvenPort, 0)))
	k.expect(codeMismatch, "allocate again", k.send(stun.MethodAllocate, wantUDP))

	const ours = "127.0.0.1:7882"
	k.expect(codeBadRequest, "no peer", k.send(stun.MethodCreatePermission))
	k.expect(0, "our peer", k.send(stun.MethodCreatePermission, peerOf(ours)))
	k.expect(codeForbidden, "ours and a foreign one", k.send(stun.MethodCreatePermission, peerOf(ours), peerOf("8.8.8.8:53")))
	k.expect(codePeerFamily, "ours, other family", k.send(stun.MethodCreatePermission, peerOf("[2001:db8::7]:7882")))
	for _, p := range append(foreignPeers, "127.0.0.1:22", "[::1]:7882", "[fe80::1]:80", "[fd00::1]:80", "[2001:4860:4860::8888]:53", "[::ffff:8.8.8.8]:53", "[::]:80") {
		if p != "127.0.0.1:22" {
			k.expect(codeForbidden, "permission for "+p, k.send(stun.MethodCreatePermission, peerOf(p)))
		}
		k.expect(codeForbidden, "channel to "+p, k.send(stun.MethodChannelBind, attr(stun.AttrChannelNumber, 0x40, 1, 0, 0), peerOf(p)))
	}
	k.expect(codeBadRequest, "channel too low", k.send(stun.MethodChannelBind, attr(stun.AttrChannelNumber, 0x3F, 255, 0, 0), peerOf(ours)))
	k.expect(codeBadRequest, "channel too high", k.send(stun.MethodChannelBind, attr(stun.AttrChannelNumber, 0x7F, 0xFF, 0, 0), peerOf(ours)))
	k.expect(0, "channel", k.send(stun.MethodChannelBind, attr(stun.AttrChannelNumber, 0x40, 0, 0, 0), peerOf(ours)))
	k.expect(0, "channel again", k.send(stun.MethodChannelBind, attr(stun.AttrChannelNumber, 0x40, 0, 0, 0), peerOf(ours)))
	k.expect(codeBadRequest, "peer on a second channel", k.send(stun.MethodChannelBind, attr(stun.AttrChannelNumber, 0x40, 1, 0, 0), peerOf(ours)))

	six := newTalker(t, s, udp, "p1", netip.MustParseAddrPort("198.51.100.4:4001"))
	k.expect(0, "IPv6", six.send(stun.MethodAllocate, wantUDP, attr(stun.AttrRequestedAddressFamily, familyIPv6, 0, 0, 0)))
	k.expect(0, "IPv6 peer", six.send(stun.MethodCreatePermission, peerOf("[2001:db8::7]:7882")))
	k.expect(codePeerFamily, "IPv4 peer", six.send(stun.MethodCreatePermission, peerOf(ours)))
	third := newTalker(t, s, udp, "p1", netip.MustParseAddrPort("198.51.100.4:4002"))
	k.expect(codeQuota, "quota", third.send(stun.MethodAllocate, wantUDP))
	third.creds = s.Credentials("ejected", time.Hour)
	k.expect(codeForbidden, "ejected", third.send(stun.MethodAllocate, wantUDP))
	third.addr, third.nonce = k.addr, k.nonce
	third.creds = s.Credentials("p2", time.Hour)
	k.expect(codeWrongCredentials, "somebody else's allocation", third.send(stun.MethodRefresh))

	k.expect(0, "end", k.send(stun.MethodRefresh, attr(stun.AttrLifetime, 0, 0, 0, 0)))
	k.expect(codeMismatch, "after the end", k.send(stun.MethodRefresh))
	s.Revoke("p1")
	k.expect(codeMismatch, "after revocation", six.send(stun.MethodRefresh))
}

func TestNodeQuotaAndReplay(t *testing.T) {
	s, _, udp := newServer(t, func(c *Config) { c.PerNode = 1 })
	k := newTalker(t, s, udp, "p1", testClient)
	setters := []stun.Setter{
		stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), wantUDP, stun.NewUsername(k.creds.Username),
		stun.NewRealm(realm), stun.NewNonce(k.nonce), stun.NewLongTermIntegrity(k.creds.Username, realm, k.creds.Password),
	}
	p := stun.MustBuild(setters...).Raw
	k.expect(0, "allocate", k.raw(p))
	k.expect(0, "the same, sent again", k.raw(p))
	other := newTalker(t, s, udp, "p2", netip.MustParseAddrPort("198.51.100.5:4000"))
	k.expect(codeCapacity, "node quota", other.send(stun.MethodAllocate, wantUDP))
	// Captured elsewhere: the nonce is bound to the address.
	other.creds = k.creds
	k.expect(codeStaleNonce, "replayed from another address", other.raw(p))
}

func TestCredentialsAreChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, udp := newServer(t, nil)
		defer closed(t, s)
		k := newTalker(t, s, udp, "p1", testClient)
		bad := *k
		bad.creds.Password += "x"
		k.expect(codeUnauthenticated, "wrong password", bad.send(stun.MethodAllocate, wantUDP))
		bad.creds = Credentials{Username: k.creds.Username + "9", Password: k.creds.Password}
		k.expect(codeUnauthenticated, "another participant's name", bad.send(stun.MethodAllocate, wantUDP))
		bad = *k
		bad.nonce = "AAAAAAAAAAAA"
		m := bad.send(stun.MethodAllocate, wantUDP)
		k.expect(codeStaleNonce, "forged nonce", m)
		var nonce stun.Nonce
		if nonce.GetFrom(m) != nil || !s.keys.nonceValid(nonce.String(), client{addr: testClient}, time.Now()) {
			t.Error("no good nonce in the 438")
		}

		k.expect(0, "allocate", k.send(stun.MethodAllocate, wantUDP))
		for range 20 { // the call is longer than the credentials last
			time.Sleep(5 * time.Minute) //nolint:forbidigo // synctest's clock
			k.nonce = s.keys.nonceFor(client{addr: testClient}, time.Now())
			k.expect(0, "refresh", k.send(stun.MethodRefresh))
		}
		late := newTalker(t, s, udp, "p1", netip.MustParseAddrPort("198.51.100.4:4009"))
		late.creds = k.creds
		k.expect(codeUnauthenticated, "expired credentials", late.send(stun.MethodAllocate, wantUDP))
		k.nonce = s.keys.nonceFor(client{addr: testClient}, time.Now().Add(-nonceLife-time.Second))
		k.expect(codeStaleNonce, "old nonce", k.send(stun.MethodRefresh))
	})
}

func TestLifetimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, media, udp := newServer(t, nil)
		defer closed(t, s)
		k := newTalker(t, s, udp, "p1", testClient)
		k.expect(0, "allocate", k.send(stun.MethodAllocate, wantUDP))
		k.expect(0, "channel", k.send(stun.MethodChannelBind, attr(stun.AttrChannelNumber, 0x40, 0, 0, 0), peerOf("127.0.0.1:7882")))
		data := appendChannelData(nil, 0x4000, []byte("rtp"), false)
		s.HandleDatagram(data, testClient)
		if got, _ := udp.last(); len(media.seen()) != 1 || string(got) != string(data) {
			t.Fatalf("echo %q of %v", got, media.seen())
		}
		time.Sleep(permissionLife + time.Second) //nolint:forbidigo // synctest's clock
		s.HandleDatagram(data, testClient)
		if len(media.seen()) != 1 || dropped(s, dropNoPermission) != 1 {
			t.Error("a permission outlives its five minutes")
		}
		k.nonce = s.keys.nonceFor(client{addr: testClient}, time.Now())
		k.expect(0, "permission", k.send(stun.MethodCreatePermission, peerOf("127.0.0.1:1")))
		s.HandleDatagram(data, testClient)
		if len(media.seen()) != 2 {
			t.Error("a new permission does not open the channel again")
		}
		time.Sleep(defaultLifetime - permissionLife) //nolint:forbidigo // synctest's clock
		synctest.Wait()
		if media.departed() != 1 || len(s.perUser) != 0 {
			t.Error("the allocation outlives its ten minutes")
		}
	})
}

// TestAttributesAfterIntegrity: what is appended to a signed request is nothing.
func TestAttributesAfterIntegrity(t *testing.T) {
	s, _, udp := newServer(t, nil)
	k := newTalker(t, s, udp, "p1", testClient)
	m := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest),
		stun.NewUsername(k.creds.Username), stun.NewRealm(realm), stun.NewNonce(k.nonce),
		stun.NewLongTermIntegrity(k.creds.Username, realm, k.creds.Password))
	m.Add(stun.AttrRequestedTransport, []byte{protocolUDP, 0, 0, 0})
	k.expect(codeBadRequest, "transport outside the signature", k.raw(m.Raw))
}
