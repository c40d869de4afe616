package loadtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
)

const (
	mimeRED = "audio/red"
	uriMid  = "urn:ietf:params:rtp-hdrext:sdes:mid"
	uriRID  = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
)

// newAPI is the one factory of all connections. It has no interceptors: on
// loopback nothing is lost that is not to be counted as lost, and reports would
// only cost the generator time. Feedback is offered nevertheless, so that
// servers keep what they keep for browsers.
func newAPI(o *Options, p profile) (*webrtc.API, error) {
	media := &webrtc.MediaEngine{}
	video := []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}}
	err := error(nil)
	register := func(kind webrtc.RTPCodecType, pt webrtc.PayloadType, c webrtc.RTPCodecCapability) {
		err = errors.Join(err, media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: pt}, kind))
	}
	if p.red {
		register(webrtc.RTPCodecTypeAudio, payloadRED, webrtc.RTPCodecCapability{
			MimeType: mimeRED, ClockRate: 48000, Channels: 2, SDPFmtpLine: fmt.Sprintf("%d/%[1]d", payloadOpus),
		})
	}
	register(webrtc.RTPCodecTypeAudio, payloadOpus, webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1",
	})
	register(webrtc.RTPCodecTypeVideo, payloadVP8, webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: video,
	})
	if p.simulcast() {
		for _, uri := range []string{uriMid, uriRID} {
			err = errors.Join(err, media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo))
		}
	}
	if err != nil {
		return nil, err
	}
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.SetIPFilter(o.mediaFrom)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	// As browsers do: a server that is not ready for the first flight gets the
	// next one soon.
	s.SetDTLSRetransmissionInterval(50 * time.Millisecond)
	s.LoggerFactory = silent{}
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(s), webrtc.WithInterceptorRegistry(&interceptor.Registry{})), nil
}

// client is one participant of a room: what it publishes, if anything, and what
// it receives. A target connects it.
type client struct {
	api     *webrtc.API
	win     *window
	room    int
	index   int
	sources int        // publications it is to see
	pub     *publisher // nil: only receives
	recv    *receiver

	ctx  context.Context // ends the sending
	work *sync.WaitGroup // of the sending

	mu     sync.Mutex
	closed bool
	pcs    []*webrtc.PeerConnection
}

// connection makes a PeerConnection that receives, and with send also publishes
// as soon as it is up. mids names the lines of microphone and camera once there
// is an offer.
func (c *client) connection(send bool) (pc *webrtc.PeerConnection, mids func() (audio, video string), err error) {
	if pc, err = c.api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	c.pcs = append(c.pcs, pc)
	c.mu.Unlock()
	pc.OnTrack(c.recv.take)
	if !send || c.pub == nil {
		return pc, nil, nil
	}
	if mids, err = c.pub.attach(pc); err != nil {
		return nil, nil, err
	}
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if s == webrtc.PeerConnectionStateConnected && !c.closed {
			c.pub.start(c.ctx, mids, c.work)
		}
	})
	return pc, mids, nil
}

// receiveLines adds a recvonly pair for each publication to come.
func (c *client) receiveLines(pc *webrtc.PeerConnection, video bool) error {
	kinds := []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio}
	if video {
		kinds = append(kinds, webrtc.RTPCodecTypeVideo)
	}
	for range c.sources {
		for _, k := range kinds {
			if _, err := pc.AddTransceiverFromKind(k, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
				return err
			}
		}
	}
	return nil
}

// hangUp closes the connections and waits for what reads from them.
func (c *client) hangUp() error {
	c.mu.Lock()
	pcs := c.pcs
	c.pcs, c.closed = nil, true
	c.mu.Unlock()
	var err error
	for _, pc := range pcs {
		err = errors.Join(err, pc.GracefulClose())
	}
	c.recv.wait()
	if c.pub != nil {
		c.pub.readers.Wait()
	}
	return err
}

// describe makes pc's offer or answer the local description, and returns it
// with all candidates.
func describe(ctx context.Context, pc *webrtc.PeerConnection, make func() (webrtc.SessionDescription, error)) (string, error) {
	d, err := make()
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(d); err != nil {
		return "", err
	}
	select {
	case <-gathered:
		return pc.LocalDescription().SDP, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func offerOf(ctx context.Context, pc *webrtc.PeerConnection) (string, error) {
	return describe(ctx, pc, func() (webrtc.SessionDescription, error) { return pc.CreateOffer(nil) })
}

func answerTo(ctx context.Context, pc *webrtc.PeerConnection, offer string) (string, error) {
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", err
	}
	return describe(ctx, pc, func() (webrtc.SessionDescription, error) { return pc.CreateAnswer(nil) })
}

func applyAnswer(pc *webrtc.PeerConnection, sdp string) error {
	return pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp})
}

// silent drops Pion's log: hundreds of connections would drown the report.
type silent struct{}

func (silent) NewLogger(string) logging.LeveledLogger { return silentLog{} }

type silentLog struct{}

func (silentLog) Trace(string)          {}
func (silentLog) Tracef(string, ...any) {}
func (silentLog) Debug(string)          {}
func (silentLog) Debugf(string, ...any) {}
func (silentLog) Info(string)           {}
func (silentLog) Infof(string, ...any)  {}
func (silentLog) Warn(string)           {}
func (silentLog) Warnf(string, ...any)  {}
func (silentLog) Error(string)          {}
func (silentLog) Errorf(string, ...any) {}
