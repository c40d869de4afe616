package relay

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v4"
)

// serve runs ServeConn on one end of a pipe and gives the other.
func serve(t *testing.T, s *Server, kind Kind) (far net.Conn, done chan struct{}) {
	t.Helper()
	near, far := pipe()
	done = make(chan struct{})
	go func() {
		defer close(done)
		s.ServeConn(near, kind)
	}()
	return far, done
}

func write(t *testing.T, c net.Conn, p []byte) {
	t.Helper()
	_ = c.SetWriteDeadline(time.Now().Add(waitFor))
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
}

func readFrame(t *testing.T, c net.Conn) []byte {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(waitFor))
	var h [2]byte
	if _, err := io.ReadFull(c, h[:]); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, binary.BigEndian.Uint16(h[:]))
	if _, err := io.ReadFull(c, p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFramed(t *testing.T) {
	s, media, _ := newServer(t, nil)
	c, done := serve(t, s, Framed)
	hello := check()
	rtp := append([]byte{0x80, 111}, bytes.Repeat([]byte{5}, 1200)...)
	dtls := []byte{22, 254, 253, 0, 0}
	for _, p := range [][]byte{hello, rtp, dtls} {
		write(t, c, framed(p))
		if got := readFrame(t, c); !bytes.Equal(got, p) {
			t.Fatalf("%d bytes came back as %d", len(p), len(got))
		}
	}
	if dropped(s, dropProtocol) != 0 {
		t.Error("media was dropped")
	}
	write(t, c, framed(nil))                      // keeps a NAT open
	write(t, c, framed([]byte{0x50, 1, 2, 3}))    // QUIC
	write(t, c, framed(make([]byte, 2*maxFrame))) // too large
	write(t, c, framed(dtls))
	readFrame(t, c)
	seen := media.seen()
	if len(seen) != 4 || !s.Owns(seen[0].from) || seen[0].to != netip.MustParseAddrPort("127.0.0.1:443") {
		t.Errorf("delivered %d, first from %s to %s", len(seen), seen[0].from, seen[0].to)
	}
	if dropped(s, dropProtocol) != 1 || dropped(s, dropTooLarge) != 1 {
		t.Error("what was dropped is not counted")
	}
	if _, ok := s.Participant(seen[0].from); ok {
		t.Error("a connection without credentials has a participant")
	}
	_ = c.Close()
	<-done
	if media.departed() != 1 {
		t.Error("the media path was not told")
	}
}

func TestFramedMustBeginWithACheck(t *testing.T) {
	for name, p := range map[string][]byte{"dtls": {22, 254, 253, 0, 0}, "no user": binding(), "rtp": append([]byte{0x80, 111}, make([]byte, 20)...)} {
		s, media, _ := newServer(t, nil)
		c, done := serve(t, s, Framed)
		write(t, c, framed(p))
		<-done
		if len(media.seen()) != 0 {
			t.Errorf("%s: delivered", name)
		}
	}
}

// TestUnprovenConnectionsEnd: the media path never answers.
func TestUnprovenConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, media, _ := newServer(t, nil)
		defer closed(t, s)
		media.mute = true
		for kind, hello := range map[Kind][]byte{Framed: framed(check()), STUN: nil} {
			c, done := serve(t, s, kind)
			start := time.Now()
			if hello != nil {
				write(t, c, hello)
			}
			<-done
			if took := time.Since(start); took != firstTimeout {
				t.Errorf("%v: closed after %v", kind, took)
			}
		}
	})
}

// TestLeftTheCall: the client sends on, the media path no longer does.
func TestLeftTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, media, _ := newServer(t, nil)
		defer closed(t, s)
		c, done := serve(t, s, Framed)
		write(t, c, framed(check()))
		readFrame(t, c)
		media.mu.Lock()
		media.mute = true
		media.mu.Unlock()
		start := time.Now()
		_ = c.SetDeadline(time.Time{})
		for ended := false; !ended; {
			_, err := c.Write(framed(check()))
			ended = err != nil
			time.Sleep(time.Second) //nolint:forbidigo // synctest's clock
		}
		<-done
		if took := time.Since(start); took > idleFramed+5*time.Second || took < idleFramed {
			t.Errorf("closed after %v", took)
		}
	})
}

// TestBehind stops reading: packets that have waited for more than 200 ms are
// dropped whole, and what follows is in step.
func TestBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, media, _ := newServer(t, nil)
		defer closed(t, s)
		media.mute = true
		c, done := serve(t, s, Framed)
		write(t, c, framed(check()))
		synctest.Wait()
		to := media.seen()[0].from
		packet := func(i int) []byte { return []byte(fmt.Sprintf("%06d%s", i, strings.Repeat("v", 1000+i%7))) }
		const every, n = 10 * time.Millisecond, 100
		for i := range n { // a second, unread; the first is in the socket's hands
			if _, err := s.WriteToAddrPort(packet(i), to); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			time.Sleep(every) //nolint:forbidigo // synctest's clock
		}
		var got []int
		for len(got) == 0 || got[len(got)-1] != n-1 {
			p := readFrame(t, c)
			var i int
			if _, err := fmt.Sscanf(string(p[:6]), "%d", &i); err != nil || !bytes.Equal(p, packet(i)) {
				t.Fatalf("a packet is not whole: %.10q, %v", p, err)
			}
			got = append(got, i)
		}
		keep := int(behindLimit / every)
		if got[0] != 0 || len(got) < keep || len(got) > keep+2 || got[1] < n-keep-1 {
			t.Errorf("received %v", got)
		}
		if d := dropped(s, dropBehind); d != n-len(got) {
			t.Errorf("%d counted as dropped, %d missing", d, n-len(got))
		}
		_ = c.Close()
		<-done
	})
}

// TestQueueIsBounded: within 200 ms no more than queueLimit waits.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, media, _ := newServer(t, nil)
		defer closed(t, s)
		media.mute = true
		c, done := serve(t, s, Framed)
		write(t, c, framed(check()))
		synctest.Wait()
		p := make([]byte, 1200)
		for range 1000 {
			if _, err := s.WriteToAddrPort(p, media.seen()[0].from); err != nil {
				t.Fatal(err)
			}
		}
		if d := dropped(s, dropFull); d < 1000-(queueLimit+writeSize)/1200-1 {
			t.Errorf("%d dropped", d)
		}
		start := time.Now()
		<-done // the writer gives up
		if took := time.Since(start); took != writeTimeout {
			t.Errorf("a connection that takes nothing was kept for %v", took)
		}
		_ = c.Close()
	})
}

func TestRevokeClosesTheConnection(t *testing.T) {
	s, media, _ := newServer(t, nil)
	c, done := serve(t, s, STUN)
	k := streamTalker(t, s, c)
	if got := k.send(stun.MethodAllocate, wantUDP); code(got) != 0 {
		t.Fatalf("allocate: %d", code(got))
	}
	s.Revoke("p1")
	<-done
	if media.departed() != 1 {
		t.Error("the media path was not told")
	}
}

// streamTalker speaks TURN over a connection, first learning its nonce.
func streamTalker(t *testing.T, s *Server, c net.Conn) *streamClient {
	k := &streamClient{t: t, c: c, br: bufio.NewReader(c), creds: s.Credentials("p1", time.Hour)}
	write(t, c, stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), wantUDP).Raw)
	var nonce stun.Nonce
	if m := k.read(); code(m) != codeUnauthenticated || nonce.GetFrom(m) != nil {
		t.Fatalf("no challenge: %v", m)
	}
	k.nonce = nonce.String()
	return k
}

type streamClient struct {
	t     *testing.T
	c     net.Conn
	br    *bufio.Reader
	creds Credentials
	nonce string
}

func (k *streamClient) read() *stun.Message {
	k.t.Helper()
	_ = k.c.SetReadDeadline(time.Now().Add(waitFor))
	p, err := nextTURN(k.br)
	if err != nil {
		k.t.Fatal(err)
	}
	m := new(stun.Message)
	if err := stun.Decode(p, m); err != nil {
		k.t.Fatal(err)
	}
	_, _ = k.br.Discard(len(p))
	return m
}

func (k *streamClient) send(method stun.Method, with ...stun.Setter) *stun.Message {
	k.t.Helper()
	setters := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, with...)
	setters = append(setters, stun.NewUsername(k.creds.Username), stun.NewRealm(realm), stun.NewNonce(k.nonce),
		stun.NewLongTermIntegrity(k.creds.Username, realm, k.creds.Password))
	write(k.t, k.c, stun.MustBuild(setters...).Raw)
	return k.read()
}

// TestGuessingEndsTheConnection: a connection gets so many refusals.
func TestGuessingEndsTheConnection(t *testing.T) {
	s, _, _ := newServer(t, nil)
	c, done := serve(t, s, STUN)
	k := streamTalker(t, s, c)
	k.creds.Password = "guess"
	for range unprovenAnswers - 1 {
		if got := k.send(stun.MethodAllocate, wantUDP); code(got) != codeUnauthenticated {
			t.Fatalf("%d", code(got))
		}
	}
	write(t, c, stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw)
	<-done
	_ = c.Close()
}

func TestConnectionsAreBounded(t *testing.T) {
	s, _, _ := newServer(t, func(c *Config) { c.PerAddress = 2 })
	var open []net.Conn
	var ended sync.WaitGroup
	for range 2 {
		c, done := serve(t, s, STUN)
		ended.Go(func() { <-done })
		streamTalker(t, s, c)
		open = append(open, c)
	}
	_, done := serve(t, s, STUN)
	<-done
	if dropped(s, dropTooMany) != 1 {
		t.Error("not counted")
	}
	for _, c := range open {
		_ = c.Close()
	}
	ended.Wait()
	if len(s.conns) != 0 || len(s.perAddress) != 0 {
		t.Error("connections that ended are still counted")
	}
}
