package sfu

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu/congestion"
)

const waitLimit = 15 * time.Second

func newTestSFU(t *testing.T) *SFU {
	t.Helper()
	s, _ := newTestSFUWith(t, Config{})
	return s
}

func newTestSFUWith(t *testing.T, cfg Config) (*SFU, *prometheus.Registry) {
	t.Helper()
	cfg.Addr = "127.0.0.1:0"
	if cfg.Estimate == (congestion.Config{}) { // a busy machine is no bad link
		cfg.Estimate = congestion.Config{Min: 20_000_000, Start: 20_000_000}
	}
	reg := prometheus.NewRegistry()
	s, err := New(cfg, slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s, reg
}

// client is a browser's part, played by Pion: own sendonly lines, receive slots.
type client struct {
	t     *testing.T
	sfu   *SFU
	name  string
	pc    *webrtc.PeerConnection
	part  *Participant
	cam   *webrtc.TrackLocalStaticSample
	mic   *webrtc.TrackLocalStaticSample
	codec webrtc.RTPCodecCapability
	rids  []string                     // simulcast, lowest first
	loss  interceptor.Factory          // nil: none
	sock  net.PacketConn               // nil: Pion's own
	srtp  []dtls.SRTPProtectionProfile // nil: Pion's
	cams  map[string]*ridTrack

	mu      sync.Mutex
	cond    *sync.Cond
	slots   []Slot
	states  []string
	sending map[string][]SendLayer
	quality []Quality
	tracks  map[string]*webrtc.TrackRemote // by mid
	got     map[string][]*rtp.Packet       // by mid
}

type clientOption func(*client)

func withCodec(codec webrtc.RTPCodecCapability) clientOption {
	return func(c *client) { c.codec = codec }
}

// withLoss puts an interceptor next to the wire.
func withLoss(f interceptor.Factory) clientOption { return func(c *client) { c.loss = f } }

func withSRTP(p ...dtls.SRTPProtectionProfile) clientOption { return func(c *client) { c.srtp = p } }

// withSocket makes the client use a socket of the test's.
func withSocket(sock net.PacketConn) clientOption { return func(c *client) { c.sock = sock } }

func withSimulcast(rids ...string) clientOption { return func(c *client) { c.rids = rids } }

func newClient(t *testing.T, s *SFU, name string, slots int, opts ...clientOption) *client {
	t.Helper()
	c := &client{
		t: t, sfu: s, name: name, codec: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000},
		tracks: map[string]*webrtc.TrackRemote{}, got: map[string][]*rtp.Packet{},
	}
	c.cond = sync.NewCond(&c.mu)
	for _, o := range opts {
		o(c)
	}
	c.connectPC(slots)
	return c
}

func (c *client) connectPC(slots int) {
	c.t.Helper()
	var se webrtc.SettingEngine
	se.SetIncludeLoopbackCandidate(true)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	se.SetIPFilter(isLoopback)
	se.SetSRTPProtectionProfiles(c.srtp...)
	if c.sock != nil {
		mux := webrtc.NewICEUDPMux(nil, c.sock)
		c.t.Cleanup(func() { _ = mux.Close() })
		se.SetICEUDPMux(mux)
	}
	var me webrtc.MediaEngine
	c.must(me.RegisterDefaultCodecs())
	var chain interceptor.Registry
	if c.loss != nil {
		chain.Add(c.loss)
	}
	c.must(webrtc.RegisterDefaultInterceptors(&me, &chain))
	api := webrtc.NewAPI(webrtc.WithSettingEngine(se), webrtc.WithMediaEngine(&me), webrtc.WithInterceptorRegistry(&chain))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	c.must(err)
	c.t.Cleanup(func() { _ = pc.Close() })
	c.pc = pc
	if len(c.rids) == 0 {
		c.cam, err = webrtc.NewTrackLocalStaticSample(c.codec, "cam", c.name)
		c.must(err)
	}
	c.mic, err = webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "mic", c.name)
	c.must(err)
	tracks := []webrtc.TrackLocal{c.mic}
	if c.cam != nil {
		tracks = append(tracks, c.cam)
	}
	for _, tr := range tracks {
		x, err := pc.AddTransceiverFromTrack(tr, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		c.must(err)
		go drainRTCP(x.Sender())
	}
	if len(c.rids) > 0 {
		c.addSimulcast()
	}
	for range slots {
		for _, k := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
			_, err := pc.AddTransceiverFromKind(k, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
			c.must(err)
		}
	}
	pc.OnTrack(func(tr *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
		mid := r.RTPTransceiver().Mid()
		c.mu.Lock()
		c.tracks[mid] = tr
		c.mu.Unlock()
		for {
			p, _, err := tr.ReadRTP()
			if err != nil {
				return
			}
			c.mu.Lock()
			c.got[mid] = append(c.got[mid], p)
			c.cond.Broadcast()
			c.mu.Unlock()
		}
	})
}

func drainRTCP(s *webrtc.RTPSender) {
	buf := make([]byte, 1500)
	for {
		if _, _, err := s.Read(buf); err != nil {
			return
		}
	}
}

func (c *client) offer() (string, []Intent) {
	c.t.Helper()
	offer, err := c.pc.CreateOffer(nil)
	c.must(err)
	gathered := webrtc.GatheringCompletePromise(c.pc)
	c.must(c.pc.SetLocalDescription(offer))
	<-gathered
	return c.intents()
}

// intents is the local description with what its own lines carry.
func (c *client) intents() (string, []Intent) {
	trs := c.pc.GetTransceivers()
	return c.pc.LocalDescription().SDP, []Intent{
		{Mid: trs[0].Mid(), Source: consult.SourceMicrophone},
		{Mid: trs[1].Mid(), Source: consult.SourceCamera},
	}
}

func (c *client) join(room string) Answer {
	c.t.Helper()
	sdp, intents := c.offer()
	p, ans, err := c.sfu.Join(c.t.Context(), JoinRequest{
		RoomID: room, ParticipantID: c.name, Grants: consult.DefaultGrants(consult.Doctor),
		OfferSDP: sdp, Intents: intents, Observer: c,
	})
	c.must(err)
	c.part = p
	c.t.Cleanup(p.Close)
	c.apply(ans)
	return ans
}

func (c *client) apply(a Answer) {
	c.t.Helper()
	c.must(c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: a.SDP}))
	c.SlotsChanged(a.Slots)
}

// publish sends numbered frames until the test ends.
func (c *client) publish() {
	ctx := c.t.Context()
	var wg sync.WaitGroup
	c.t.Cleanup(wg.Wait)
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			_ = c.mic.WriteSample(media.Sample{Data: []byte(fmt.Sprintf("\xf8%s-audio-%d", c.name, n)), Duration: 20 * time.Millisecond})
			if n%2 == 0 {
				_ = c.cam.WriteSample(media.Sample{Data: vp8Frame(n%20 == 0, fmt.Sprintf("%s-video-%d", c.name, n)), Duration: 40 * time.Millisecond})
			}
		}
	})
}

// vp8Frame is a frame tag (RFC 6386 section 9.1) and text.
func vp8Frame(key bool, text string) []byte {
	head := []byte{0x31, 0, 0}
	if key {
		head = []byte{0x30, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 64, 0}
	}
	return append(head, text...)
}

// await waits until ok holds, with the client's lock held while it is asked.
func (c *client) await(what string, ok func() bool) {
	c.t.Helper()
	timer := time.AfterFunc(waitLimit, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.cond.Broadcast()
	})
	defer timer.Stop()
	deadline := time.Now().Add(waitLimit)
	c.mu.Lock()
	defer c.mu.Unlock()
	for !ok() {
		if time.Now().After(deadline) {
			c.t.Fatalf("%s waited in vain for %s; slots %+v states %v", c.name, what, c.slots, c.states)
		}
		c.cond.Wait()
	}
}

// slotOf is the slot showing a participant, with c.mu held.
func (c *client) slotOf(id string) *Slot {
	for i := range c.slots {
		if c.slots[i].ParticipantID == id {
			return &c.slots[i]
		}
	}
	return nil
}

func (c *client) SlotsChanged(s []Slot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slots = s
	c.cond.Broadcast()
}

func (c *client) SpeakerChanged(string)   {}
func (c *client) StalledChanged([]string) {}

func (c *client) QualityChanged(q Quality) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quality = append(c.quality, q)
	c.cond.Broadcast()
}

func (c *client) SendChanged(s map[string][]SendLayer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sending = s
	c.cond.Broadcast()
}

func (c *client) MediaChanged(state string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states = append(c.states, state)
	c.cond.Broadcast()
}

func (c *client) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%s: %v", c.name, err)
	}
}

func (c *client) addSlot() {
	c.t.Helper()
	for _, k := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		_, err := c.pc.AddTransceiverFromKind(k, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		c.must(err)
	}
}

// ridTrack is one simulcast encoding. Pion leaves it to the sender to name mid
// and rid in every packet.
type ridTrack struct {
	*webrtc.TrackLocalStaticRTP
	packetizer rtp.Packetizer
	sender     *webrtc.RTPSender
	mid        func() string
}

func (c *client) addSimulcast() {
	c.t.Helper()
	c.cams = map[string]*ridTrack{}
	var x *webrtc.RTPTransceiver
	for _, rid := range c.rids {
		tr, err := webrtc.NewTrackLocalStaticRTP(c.codec, "cam", c.name, webrtc.WithRTPStreamID(rid))
		c.must(err)
		if x == nil {
			x, err = c.pc.AddTransceiverFromTrack(tr, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
			c.must(err)
		} else {
			c.must(x.Sender().AddEncoding(tr))
		}
		c.cams[rid] = &ridTrack{
			TrackLocalStaticRTP: tr, sender: x.Sender(), mid: x.Mid,
			packetizer: rtp.NewPacketizer(1100, 0, 0, &codecs.VP8Payloader{EnablePictureID: true}, rtp.NewRandomSequencer(), 90000),
		}
	}
	for _, rid := range c.rids {
		go func() {
			buf := make([]byte, 1500)
			for {
				if _, _, err := x.Sender().ReadSimulcast(buf, rid); err != nil {
					return
				}
			}
		}()
	}
}

// WriteSample sends one frame under its mid and rid.
func (r *ridTrack) WriteSample(s media.Sample) error {
	for _, p := range r.packetizer.Packetize(s.Data, uint32(s.Duration.Seconds()*90000)) {
		for _, x := range r.sender.GetParameters().HeaderExtensions {
			value := ""
			switch x.URI {
			case sdp.SDESMidURI:
				value = r.mid()
			case sdp.SDESRTPStreamIDURI:
				value = r.RID()
			default:
				continue
			}
			if err := p.SetExtension(uint8(x.ID), []byte(value)); err != nil {
				return err
			}
		}
		if err := r.WriteRTP(p); err != nil {
			return err
		}
	}
	return nil
}
