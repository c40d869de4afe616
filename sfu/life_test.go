package sfu

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatmed/chatmed/internal/consult"
)

// silent is an Observer that keeps nothing.
type silent struct{}

func (silent) SlotsChanged([]Slot)                {}
func (silent) MediaChanged(string)                {}
func (silent) SendChanged(map[string][]SendLayer) {}
func (silent) QualityChanged(Quality)             {}
func (silent) StalledChanged([]string)            {}
func (silent) SpeakerChanged(string)              {}

func listen(t *testing.T) net.PacketConn {
	t.Helper()
	sock, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sock.Close() })
	return sock
}

func (s *SFU) empty(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rooms) != 0 {
		t.Errorf("%d rooms left", len(s.rooms))
	}
	s.conn.mu.RLock()
	defer s.conn.mu.RUnlock()
	if len(s.conn.routes) != 0 {
		t.Errorf("%d routes left", len(s.conn.routes))
	}
}

// TestStorm joins, offers again in every way, replaces and leaves from 100
// goroutines, in one room and in many.
func TestStorm(t *testing.T) {
	for name, rooms := range map[string]int{"one room": 1, "many rooms": 25} {
		t.Run(name, func(t *testing.T) {
			s := newTestSFU(t)
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					id := fmt.Sprintf("p%d", i%90) // some join twice and push the other out
					o := usual(1 + i%4)
					sdp, intents := o.sdp()
					p, ans, err := s.Join(t.Context(), JoinRequest{
						RoomID: fmt.Sprintf("r%d", i%rooms), ParticipantID: id, Grants: consult.DefaultGrants(consult.Doctor),
						OfferSDP: sdp, Intents: intents, Observer: silent{},
					})
					if err != nil {
						t.Error(err)
						return
					}
					defer p.Close()
					if len(ans.Slots) != o.slots {
						t.Errorf("%d slots of %d", len(ans.Slots), o.slots)
					}
					p.Ready()
					p.SetMuted(consult.SourceCamera, i%2 == 0)
					for _, change := range []func(){
						func() { o.slots++ },
						func() { o.unique = "again" },
						func() { o.own[1].source = consult.SourceScreen },
						func() { o.cert = "another" },
					} {
						change()
						sdp, intents := o.sdp()
						if _, err := p.Offer(t.Context(), sdp, intents, false); err != nil && !consult.HasCode(err, consult.Conflict) {
							t.Error(err)
						}
						p.Slots()
					}
				})
			}
			wg.Wait()
			s.empty(t)
		})
	}
}

// TestCloseWhileJoining: nothing that joins while the server stops survives it.
func TestCloseWhileJoining(t *testing.T) {
	s, err := New(Config{Addr: "127.0.0.1:0"}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	begun := make(chan struct{}, 100)
	for i := range 40 {
		wg.Go(func() {
			sdp, intents := usual(1).sdp()
			begun <- struct{}{}
			_, _, err := s.Join(t.Context(), JoinRequest{
				RoomID: fmt.Sprintf("r%d", i%3), ParticipantID: fmt.Sprint(i), Grants: consult.DefaultGrants(consult.Doctor),
				OfferSDP: sdp, Intents: intents, Observer: silent{},
			})
			if err != nil && !consult.HasCode(err, consult.ServiceUnavailable) {
				t.Error(err)
			}
		})
	}
	for range 20 {
		<-begun
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	wg.Wait()
	s.empty(t)
	if err := s.Close(ctx); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

// TestCloseEndsCalls: calls under way end in time, and the port is free again.
func TestCloseEndsCalls(t *testing.T) {
	s := newTestSFU(t)
	a, b := newClient(t, s, "anna", 1), newClient(t, s, "bert", 1)
	for _, c := range []*client{a, b} {
		c.join("r")
		c.publish()
		c.part.Ready()
	}
	a.seesAndHears("bert")
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	s.empty(t)
	sock, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(s.Candidates()[0]))
	if err != nil {
		t.Fatal(err)
	}
	_ = sock.Close()
	if _, err := a.part.Offer(t.Context(), "", nil, false); !consult.HasCode(err, consult.BadRequest) {
		t.Errorf("an offer after the end: %v", err)
	}
}

// TestVanishedClient: a client whose network is gone is told about as
// disconnected, then as failed, and its place can be taken again.
func TestVanishedClient(t *testing.T) {
	s, _ := newTestSFUWith(t, Config{DisconnectedAfter: 400 * time.Millisecond, FailedAfter: 400 * time.Millisecond})
	sock := listen(t)
	a, b := newClient(t, s, "anna", 1, withSocket(sock)), newClient(t, s, "bert", 1)
	a.join("r")
	b.join("r")
	a.publish()
	a.part.Ready()
	b.part.Ready()
	b.seesAndHears("anna")
	_ = sock.Close()
	a.await("the end", func() bool {
		return slices.Equal(a.states, []string{"connected", "disconnected", "failed"})
	})
	if got := b.part.Slots()[0].ParticipantID; got != "anna" {
		t.Errorf("the slot of one who may come back shows %q", got)
	}
	again := newClient(t, s, "anna", 1)
	sdp, intents := again.offer()
	ans, err := a.part.Offer(t.Context(), sdp, intents, false) // the page need not know
	a.must(err)
	again.apply(ans)
	again.publish()
	b.mu.Lock()
	clear(b.got)
	b.mu.Unlock()
	b.seesAndHears("anna")
}

// TestICERestart: new credentials on the same PeerConnection, media goes on.
func TestICERestart(t *testing.T) {
	s := newTestSFU(t)
	a, b := newClient(t, s, "anna", 1), newClient(t, s, "bert", 1)
	for _, c := range []*client{a, b} {
		c.join("r")
		c.publish()
		c.part.Ready()
	}
	b.seesAndHears("anna")
	offer, err := a.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	a.must(err)
	gathered := webrtc.GatheringCompletePromise(a.pc)
	a.must(a.pc.SetLocalDescription(offer))
	<-gathered
	_, intents := a.intents()
	before := a.part.transport
	ans, err := a.part.Offer(t.Context(), a.pc.LocalDescription().SDP, intents, false)
	a.must(err)
	a.apply(ans)
	a.part.Ready()
	if a.part.transport != before {
		t.Error("another transport")
	}
	for _, c := range []*client{a, b} {
		c.mu.Lock()
		clear(c.got)
		c.mu.Unlock()
	}
	b.seesAndHears("anna")
	a.seesAndHears("bert")
	a.await("the connection", func() bool { return a.pc.ICEConnectionState() == webrtc.ICEConnectionStateConnected })
}

// TestWhoSendsNothingMovesToo: a replacement of one who publishes nothing takes
// over once it is ready, though no packet announces it.
func TestWhoSendsNothingMovesToo(t *testing.T) {
	s := newTestSFU(t)
	a, b := newClient(t, s, "anna", 1), newClient(t, s, "bert", 1)
	a.join("r")
	b.join("r")
	b.publish()
	a.part.Ready()
	a.seesAndHears("bert")
	again := newClient(t, s, "anna", 1)
	sdp, intents := again.offer()
	ans, err := a.part.Offer(t.Context(), sdp, intents, true)
	a.must(err)
	again.apply(ans)
	a.part.Ready()
	again.seesAndHears("bert")
	a.await("the old connection's end", func() bool { return a.pc.ConnectionState() != webrtc.PeerConnectionStateConnected })
	s.conn.mu.RLock()
	defer s.conn.mu.RUnlock()
	if n := len(s.conn.routes); n > 2 {
		t.Errorf("%d routes for two people", n)
	}
}

// TestHostileDatagrams sends nonsense from strangers' addresses and from a
// participant's own, while the call goes on.
func TestHostileDatagrams(t *testing.T) {
	s := newTestSFU(t)
	sock := listen(t)
	a, b := newClient(t, s, "anna", 1, withSocket(sock)), newClient(t, s, "bert", 1)
	for _, c := range []*client{a, b} {
		c.join("r")
		c.publish()
		c.part.Ready()
	}
	b.seesAndHears("anna")
	stranger := listen(t)
	to := net.UDPAddrFromAddrPort(s.Candidates()[0])
	r := rand.New(rand.NewPCG(3, 4))
	// First bytes of STUN, ZRTP, DTLS, TURN channels, RTP, and whatever.
	first := []byte{0, 1, 16, 20, 22, 23, 63, 64, 79, 128, 129, 191, 192, 255}
	for n := range 3000 {
		packet := make([]byte, r.IntN(200))
		for i := range packet {
			packet[i] = byte(r.Uint32())
		}
		if len(packet) > 1 {
			packet[0] = first[n%len(first)]
			if n%2 == 0 {
				packet[1] = 200 + byte(n%8) // RTCP
			}
		}
		if len(packet) > 20 && packet[0] < 2 {
			copy(packet[4:], "\x21\x12\xa4\x42") // STUN's magic cookie
			packet[2], packet[3] = 0, byte(len(packet)-20)
		}
		for _, from := range []net.PacketConn{stranger, sock} {
			if from == sock && len(packet) > 0 && packet[0] >= 20 && packet[0] < 64 {
				continue // a client may break its own DTLS
			}
			if _, err := from.WriteTo(packet, to); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.mu.Lock()
	clear(b.got)
	b.mu.Unlock()
	b.seesAndHears("anna")
	a.seesAndHears("bert")
}
