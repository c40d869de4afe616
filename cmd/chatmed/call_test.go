package main

import (
	"bytes"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"github.com/chatmed/chatmed/internal/consult"
)

// call is a PeerConnection: microphone and camera out, one pair of slots in.
// What a packet carries is the name of who sent it and by what.
type call struct {
	t        *testing.T
	name     string
	pc       *webrtc.PeerConnection
	mic, cam *webrtc.TrackLocalStaticSample
	stop     chan struct{}
	work     sync.WaitGroup
	// sent is the number of the newest frame.
	sent atomic.Int64

	mu    sync.Mutex
	heard map[string]int // packets by what they carry
}

func newCall(t *testing.T, name string) *call {
	t.Helper()
	var se webrtc.SettingEngine
	se.SetIncludeLoopbackCandidate(true)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	se.SetIPFilter(net.IP.IsLoopback)
	c := &call{t: t, name: name, stop: make(chan struct{}), heard: map[string]int{}}
	var err error
	c.pc, err = webrtc.NewAPI(webrtc.WithSettingEngine(se)).NewPeerConnection(webrtc.Configuration{})
	must(t, err)
	c.mic = c.track(webrtc.MimeTypeOpus)
	c.cam = c.track(webrtc.MimeTypeVP8)
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		_, err := c.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		must(t, err)
	}
	c.pc.OnTrack(func(tr *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { c.listen(tr) })
	return c
}

func (c *call) track(mime string) *webrtc.TrackLocalStaticSample {
	c.t.Helper()
	tr, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: mime}, mime, c.name)
	must(c.t, err)
	x, err := c.pc.AddTransceiverFromTrack(tr, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	must(c.t, err)
	c.work.Go(func() { // reports and requests for key frames, which come often enough anyway
		buf := make([]byte, 1500)
		for {
			if _, _, err := x.Sender().Read(buf); err != nil {
				return
			}
		}
	})
	return tr
}

// listen notes what arrives in one slot, until the connection is closed.
func (c *call) listen(tr *webrtc.TrackRemote) {
	for {
		p, _, err := tr.ReadRTP()
		if err != nil {
			return
		}
		_, text, ok := bytes.Cut(p.Payload, []byte("<"))
		if !ok {
			continue
		}
		text, _, _ = bytes.Cut(text, []byte(">"))
		c.mu.Lock()
		c.heard[string(text)]++
		c.mu.Unlock()
	}
}

// offer makes the offer with all candidates, and says what its m-lines carry.
func (c *call) offer() (string, []map[string]any) {
	c.t.Helper()
	offer, err := c.pc.CreateOffer(nil)
	must(c.t, err)
	gathered := webrtc.GatheringCompletePromise(c.pc)
	must(c.t, c.pc.SetLocalDescription(offer))
	<-gathered
	lines := c.pc.GetTransceivers()
	return c.pc.LocalDescription().SDP, []map[string]any{
		{"mid": lines[0].Mid(), "source": consult.SourceMicrophone},
		{"mid": lines[1].Mid(), "source": consult.SourceCamera},
	}
}

// apply takes the answer and begins to send.
func (c *call) apply(sdp string) {
	c.t.Helper()
	must(c.t, c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}))
	c.work.Go(c.talk)
}

// talk sends 50 audio and 25 video frames a second, numbered behind what they say.
func (c *call) talk() {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		c.sent.Store(int64(n))
		number := strconv.Itoa(n)
		// Errors say that the connection is closed, which stop says too.
		_ = c.mic.WriteSample(media.Sample{Data: []byte("\xf8<" + c.name + " audio>" + number), Duration: 20 * time.Millisecond})
		if n%2 == 0 {
			_ = c.cam.WriteSample(media.Sample{Data: frame(n%20 == 0, "<"+c.name+" video>"+number), Duration: 40 * time.Millisecond})
		}
	}
}

// frame is a VP8 frame tag (RFC 6386 section 9.1) and text.
func frame(key bool, text string) []byte {
	head := []byte{0x31, 0, 0}
	if key {
		head = []byte{0x30, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 64, 0}
	}
	return append(head, text...)
}

// count is how many packets said what.
func (c *call) count(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard[what]
}

// awaitMore waits until more audio and video of someone has arrived.
func (c *call) awaitMore(name string) {
	c.t.Helper()
	const more = 5
	for _, kind := range []string{" audio", " video"} {
		before := c.count(name + kind)
		eventually(c.t, c.name+" gets "+name+kind, func() bool { return c.count(name+kind) >= before+more })
	}
}

func (c *call) close() {
	close(c.stop)
	if err := c.pc.GracefulClose(); err != nil {
		c.t.Error(err)
	}
	c.work.Wait()
}
