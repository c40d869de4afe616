package relay

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// seeds are messages of every kind.
func seeds(s *Server) [][]byte {
	c := s.Credentials("p1", time.Hour)
	nonce := s.keys.nonceFor(client{addr: testClient}, s.cfg.Now())
	sign := []stun.Setter{
		stun.NewUsername(c.Username), stun.NewRealm(realm), stun.NewNonce(nonce),
		stun.NewLongTermIntegrity(c.Username, realm, c.Password), stun.Fingerprint,
	}
	build := func(method stun.Method, class stun.MessageClass, with ...stun.Setter) []byte {
		return stun.MustBuild(append([]stun.Setter{stun.TransactionID, stun.NewType(method, class)}, with...)...).Raw
	}
	return [][]byte{
		binding(), check(), build(stun.MethodAllocate, stun.ClassRequest, wantUDP),
		build(stun.MethodAllocate, stun.ClassRequest, append([]stun.Setter{wantUDP}, sign...)...),
		build(stun.MethodRefresh, stun.ClassRequest, append([]stun.Setter{attr(stun.AttrLifetime, 0, 0, 2, 88)}, sign...)...),
		build(stun.MethodCreatePermission, stun.ClassRequest, append([]stun.Setter{peerAddr(mediaPeer)}, sign...)...),
		build(stun.MethodChannelBind, stun.ClassRequest, append([]stun.Setter{attr(stun.AttrChannelNumber, 0x40, 0, 0, 0), peerAddr(mediaPeer)}, sign...)...),
		build(stun.MethodSend, stun.ClassIndication, peerAddr(mediaPeer), attr(stun.AttrData, 1, 2, 3)),
		appendChannelData(nil, 0x4000, []byte("data"), true),
	}
}

// FuzzDatagram sends datagrams to a server with an allocation: nothing reaches
// other than our media, and nobody unproven gets more than was sent.
func FuzzDatagram(f *testing.F) {
	s, media, udp := newServer(f, nil)
	for _, p := range seeds(s) {
		f.Add(p)
	}
	owner := testClient
	for _, p := range seeds(s) {
		s.HandleDatagram(p, owner)
	}
	stranger := netip.MustParseAddrPort("203.0.113.77:9")
	sent := 0
	f.Fuzz(func(t *testing.T, p []byte) {
		s.HandleDatagram(p, owner)
		for _, d := range media.seen() {
			if d.to != mediaPeer && d.to != mediaPeer6 {
				t.Fatalf("delivered to %s", d.to)
			}
		}
		media.mu.Lock()
		media.got = nil
		media.mu.Unlock()
		udp.mu.Lock()
		udp.sent = nil
		udp.mu.Unlock()
		sent += len(p)
		s.HandleDatagram(p, stranger)
		for _, out := range udp.sent {
			sent -= len(out.p)
		}
		if sent < 0 {
			t.Fatal("amplified")
		}
	})
}

// FuzzSigned is a client with credentials that asks for anything.
func FuzzSigned(f *testing.F) {
	s, media, udp := newServer(f, nil)
	all := seeds(s)
	for _, p := range all[:7] {
		s.HandleDatagram(p, testClient)
	}
	for _, p := range all[2:7] {
		f.Add(p[1], p[stunHeader:])
	}
	f.Add(byte(9), []byte{0, 0x0c, 0, 4, 0x40, 1, 0, 0, 0, 0x12, 0, 8, 0, 1, 0, 0, 1, 2, 3, 4})
	c := s.Credentials("p1", time.Hour)
	nonce := s.keys.nonceFor(client{addr: testClient}, s.cfg.Now())
	f.Fuzz(func(t *testing.T, method byte, attributes []byte) {
		m := stun.MustBuild(stun.TransactionID, stun.NewType(stun.Method(method), stun.ClassRequest))
		for len(attributes) >= 4 && len(m.Raw) < 1500 {
			n := min(int(attributes[3]), len(attributes)-4)
			kind := stun.AttrType(uint16(attributes[0])<<8 | uint16(attributes[1]))
			if kind != stun.AttrMessageIntegrity && kind != stun.AttrFingerprint {
				m.Add(kind, attributes[4:4+n])
			}
			attributes = attributes[4+n:]
		}
		for _, set := range []stun.Setter{stun.NewUsername(c.Username), stun.NewRealm(realm), stun.NewNonce(nonce), stun.NewLongTermIntegrity(c.Username, realm, c.Password)} {
			if set.AddTo(m) != nil {
				t.Skip()
			}
		}
		udp.mu.Lock()
		udp.sent = nil
		udp.mu.Unlock()
		s.HandleDatagram(m.Raw, testClient)
		if p, n := udp.last(); n > 1 || n == 1 && stun.Decode(p, new(stun.Message)) != nil {
			t.Fatalf("%d replies, %x", n, p)
		}
		a := s.find(client{addr: testClient}, s.cfg.Now())
		if a == nil {
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, p := range a.permissions {
			if p.peer != mediaPeer.Addr() && p.peer != mediaPeer6.Addr() {
				t.Fatalf("%s is permitted", p.peer)
			}
		}
		for _, ch := range a.channels {
			if ch.peer != mediaPeer && ch.peer != mediaPeer6 || ch.number < minChannel || ch.number > maxChannel {
				t.Fatalf("channel %x leads to %s", ch.number, ch.peer)
			}
		}
		if len(media.seen()) != 0 || len(a.channels) > maxChannels || len(s.allocations) > 1 {
			t.Fatal("more than was asked for")
		}
	})
}

// FuzzMessage: what parses is what the attributes say.
func FuzzMessage(f *testing.F) {
	s, _, _ := newServer(f, nil)
	for _, p := range seeds(s) {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		m := new(stun.Message)
		if stun.Decode(p, m) != nil {
			return
		}
		r := parse(m, client{addr: testClient}, s.cfg.Now())
		if len(r.peers) > maxPeers || len(r.unknown) > maxUnknown {
			t.Fatal("unbounded")
		}
		for _, peer := range r.peers {
			v := appendXorAddr(nil, peer, m.TransactionID)
			if again, ok := readXorAddr(v, m.TransactionID); !ok || again != peer {
				t.Fatalf("%s reads back as %s", peer, again)
			}
		}
		failure(r, codeUnknownAttribute, "")
	})
}

// FuzzStream reads streams: every byte is consumed or refused, and no message
// is larger than can be.
func FuzzStream(f *testing.F) {
	s, _, _ := newServer(f, nil)
	var all []byte
	for _, p := range seeds(s) {
		f.Add(p)
		all = append(all, p...)
	}
	f.Add(all)
	f.Add(framed(check()))
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, next := range []func(*bufio.Reader) ([]byte, error){nextTURN, nextFramed} {
			br := bufio.NewReaderSize(bytes.NewReader(p), maxFrame)
			for {
				m, err := next(br)
				if errors.Is(err, errTooLarge) {
					continue
				}
				if err != nil {
					break
				}
				if len(m) > maxFrame || len(m) < 2 {
					t.Fatalf("a message of %d bytes", len(m))
				}
				if _, err := br.Discard(len(m)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, kind := range []Kind{STUN, Framed} { // ends with the stream
			s.ServeConn(&fixedConn{Reader: *bytes.NewReader(p)}, kind)
		}
	})
}

// fixedConn is a connection whose other side has said its piece.
type fixedConn struct {
	bytes.Reader
	net.Conn
}

func (c *fixedConn) Read(p []byte) (int, error)       { return c.Reader.Read(p) }
func (c *fixedConn) Write(p []byte) (int, error)      { return len(p), nil }
func (c *fixedConn) Close() error                     { return nil }
func (c *fixedConn) SetReadDeadline(time.Time) error  { return nil }
func (c *fixedConn) SetWriteDeadline(time.Time) error { return nil }
func (c *fixedConn) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(testClient) }
func (c *fixedConn) LocalAddr() net.Addr              { return net.TCPAddrFromAddrPort(mediaPeer) }

// FuzzCredentials: only what was made is taken.
func FuzzCredentials(f *testing.F) {
	s, _, _ := newServer(f, nil)
	f.Add("1700000000:p1", "AAAAAAAAAAAA")
	f.Add(":", "")
	f.Fuzz(func(t *testing.T, name, nonce string) {
		if _, who, ok := parseUsername(name); ok && (who == "" || len(name) > maxUsername) {
			t.Fatalf("%q", name)
		}
		if nonce != s.keys.nonceFor(client{addr: testClient}, s.cfg.Now()) && s.keys.nonceValid(nonce, client{addr: testClient}, s.cfg.Now()) {
			t.Fatalf("%q is valid", nonce)
		}
	})
}
