package sfu

import (
	"net/netip"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtp"

	"github.com/chatmed/chatmed/sfu/forward"
	"github.com/chatmed/chatmed/sfu/negotiate"
	"github.com/chatmed/chatmed/sfu/srtp"
)

const (
	maxStreams       = 24
	maxSSRCs         = 256 // that a client may use on a transport in its life
	maxPayloadTypes  = 128
	videoRingPackets = 512
	audioRingPackets = 128
)

// mediaState is the media of one transport. Guarded by room.mu.
type mediaState struct {
	in    *inSRTP  // nil until DTLS is done, and after the end
	out   *outSRTP // likewise
	ended bool     // run has returned
	dst   netip.AddrPort

	lines     map[string]*inbound       // own m-lines of the client, by mid
	announced map[uint32]*inbound       // SSRC → line, from the offer
	repairs   map[uint32]uint32         // RTX SSRC → SSRC it repairs
	streams   map[uint32]*stream        // by SSRC, as packets came
	ssrcs     map[uint32]*srtp.Incoming // that have SRTP state, at most maxSSRCs
	spare     *srtp.Incoming
	codecs    [maxPayloadTypes]codecInfo
	ext       extensionIDs

	path path // what is known of the way to the client

	slots   []*slot
	senders map[uint32]*sender // by outgoing SSRC, also the RTX one

	rtcpSSRC uint32 // our own, in feedback
	twcc     *twcc.Recorder
	rtt      rttEstimate

	header  rtp.Header // scratch of receive
	outHead rtp.Header // scratch of encryption by Pion
	scratch []byte     // scratch of RTCP decryption
}

func (m *mediaState) init() {
	m.lines = map[string]*inbound{}
	m.announced = map[uint32]*inbound{}
	m.repairs = map[uint32]uint32{}
	m.streams = map[uint32]*stream{}
	m.ssrcs = map[uint32]*srtp.Incoming{}
	m.senders = map[uint32]*sender{}
	m.rtcpSSRC = newSSRC()
	m.twcc = twcc.NewRecorder(m.rtcpSSRC)
}

// codecInfo is what a payload type means on a transport.
type codecInfo struct {
	codec codecID
	apt   uint8 // rtx: the payload type it repairs
	known bool
}

// codecID is a codec with the parameters that must match between a publisher
// and a receiver.
type codecID struct {
	codec   forward.Codec
	profile string
	rtx     bool
}

// codecOf reduces an SDP codec to what matters: H.264 level asymmetry is
// allowed everywhere, so only profile_idc and the constraint flags count
// (RFC 6184 section 8.1); VP9 and AV1 by profile.
func codecOf(c negotiate.Codec) codecID {
	switch c.Name {
	case "rtx":
		return codecID{rtx: true}
	case "h264":
		id := fmtpValue(c.Fmtp, "profile-level-id")
		if len(id) >= 4 {
			id = id[:4]
		}
		return codecID{codec: forward.CodecH264, profile: id}
	case "vp9":
		return codecID{codec: forward.CodecVP9, profile: orZero(fmtpValue(c.Fmtp, "profile-id"))}
	case "av1":
		return codecID{codec: forward.CodecAV1, profile: orZero(fmtpValue(c.Fmtp, "profile"))}
	case "vp8":
		return codecID{codec: forward.CodecVP8}
	case "opus":
		return codecID{codec: forward.CodecOpus}
	case "red":
		return codecID{codec: forward.CodecRED}
	}
	return codecID{}
}

// inbound is one of the client's own m-lines.
type inbound struct {
	mid, kind, source string
	muted             bool
	nack              bool // it repeats what is asked for
	rids              []string
	pub               *publication
	retired           []uint32 // SSRCs that a newer one has replaced
	gone              bool     // a later offer has it no more
}

// stream is one incoming SSRC.
type stream struct {
	ssrc   uint32
	line   *inbound
	layer  *layer
	srtp   *srtp.Incoming
	repair bool // RTX: restores packets of layer
}

// gone reports whether the SSRC has lost its place: the line is not offered any
// more, or another SSRC is its layer now.
func (s *stream) gone() bool { return s.line.gone || s.layer.gone }

// extensionIDs are a transport's header extension ids; 0 is not negotiated.
type extensionIDs struct {
	mid, rid, repairedRID, twcc, audioLevel, orientation uint8
}

func (e *extensionIDs) learn(uri string, id uint8) {
	switch uri {
	case negotiate.ExtMid:
		e.mid = id
	case negotiate.ExtRID:
		e.rid = id
	case negotiate.ExtRepairedRID:
		e.repairedRID = id
	case negotiate.ExtTWCC:
		e.twcc = id
	case negotiate.ExtAudioLevel:
		e.audioLevel = id
	case negotiate.ExtOrientation:
		e.orientation = id
	}
}

// extension returns the payload of a header extension, nil when absent.
func extension(h *rtp.Header, id uint8) []byte {
	if id == 0 || !h.Extension {
		return nil
	}
	return h.GetExtension(id)
}
