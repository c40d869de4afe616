// Package negotiate reads a client's SDP offer and writes the server's answer
// (RFC 8829, RFC 8839, RFC 8842, RFC 8843, RFC 8853). It is pure: no sockets,
// no state. The client always offers, so only these two directions exist.
//
// Own m-lines of the client are sendonly, slots are recvonly.
package negotiate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// Bounds of an acceptable offer.
const (
	MaxOfferSize = 200 << 10
	MaxMedia     = 64
	maxCodecs    = 64
	maxExt       = 32
	maxRIDs      = 4
	maxSSRCs     = 16
	maxFeedback  = 16
)

// Direction of an m-line as the offer says it.
type Direction string

// The four directions of RFC 8866 section 6.7.
const (
	SendOnly Direction = "sendonly"
	RecvOnly Direction = "recvonly"
	SendRecv Direction = "sendrecv"
	Inactive Direction = "inactive"
)

// Codec is one rtpmap of an m-line, with its parameters.
type Codec struct {
	PT       uint8
	Name     string // lower case: opus, red, vp8, h264, vp9, av1, rtx
	Clock    uint32
	Channels uint16
	Fmtp     string
	Feedback []string // "nack", "nack pli", "transport-cc", …
	APT      uint8    // rtx: the payload type it repairs
}

// Media is one m-line of the offer.
type Media struct {
	Mid        string
	Kind       string // audio, video, application
	Rejected   bool   // offered with port 0, outside the bundle, or not over DTLS-SRTP
	Direction  Direction
	Codecs     []Codec
	Extensions map[string]uint8 // URI → id
	RIDs       []string         // send rids, in the order of a=simulcast
	SSRCs      []uint32         // in order of appearance
	Repairs    map[uint32]uint32

	proto, formats string // as offered, for a refusal
}

// Offer is what the server needs of a client's offer.
type Offer struct {
	Ufrag, Pwd  string
	Fingerprint string // "sha-256 AB:CD…"
	Setup       string
	AllowMixed  bool
	Media       []Media
}

// ErrOffer is wrapped by every refusal of an offer.
var ErrOffer = errors.New("unusable offer")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrOffer, fmt.Sprintf(format, args...))
}

// Parse reads an offer. It refuses what the server could not answer: no
// BUNDLE, no rtcp-mux, no fingerprint, no ICE credentials, too much of anything.
// Every error wraps ErrOffer.
func Parse(raw string) (*Offer, error) {
	if len(raw) > MaxOfferSize {
		return nil, refuse("larger than %d bytes", MaxOfferSize)
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(raw); err != nil {
		return nil, refuse("not SDP")
	}
	if len(d.MediaDescriptions) == 0 || len(d.MediaDescriptions) > MaxMedia {
		return nil, refuse("%d m-lines", len(d.MediaDescriptions))
	}
	bundled, err := bundle(&d)
	if err != nil {
		return nil, err
	}
	o := &Offer{}
	_, o.AllowMixed = d.Attribute("extmap-allow-mixed")
	mids := map[string]bool{}
	for _, md := range d.MediaDescriptions {
		m, err := parseMedia(md)
		if err != nil {
			return nil, err
		}
		if mids[m.Mid] {
			return nil, refuse("mid %q twice", m.Mid)
		}
		mids[m.Mid] = true
		m.Rejected = m.Rejected || !bundled[m.Mid]
		o.Media = append(o.Media, *m)
		if !m.Rejected {
			o.transport(&d, md)
		}
	}
	return o, o.usable()
}

// bundle returns the mids of the BUNDLE group. There is one transport: an m-line
// outside of it is rejected (RFC 9143 section 7.3.3).
func bundle(d *sdp.SessionDescription) (map[string]bool, error) {
	for _, a := range d.Attributes {
		f := strings.Fields(a.Value)
		if a.Key != "group" || len(f) == 0 || f[0] != "BUNDLE" {
			continue
		}
		mids := map[string]bool{}
		for _, mid := range f[1:] {
			mids[mid] = true
		}
		return mids, nil
	}
	return nil, refuse("no BUNDLE group")
}

// usable checks what all m-lines share.
func (o *Offer) usable() error {
	if !iceChars(o.Ufrag, 4) || !iceChars(o.Pwd, 22) {
		return refuse("no usable ICE credentials")
	}
	if !sha256Fingerprint(o.Fingerprint) {
		return refuse("no sha-256 fingerprint")
	}
	if o.Setup != "" && o.Setup != "actpass" && o.Setup != "active" {
		return refuse("setup %q; the server is the DTLS server", o.Setup)
	}
	return nil
}

// iceChars reports whether s is at least least and at most 256 ice-chars (RFC
// 8839 section 5.4).
func iceChars(s string, least int) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '+' && c != '/' {
			return false
		}
	}
	return len(s) >= least && len(s) <= 256
}

// sha256Fingerprint reports whether s has the form of RFC 8122 section 5.
func sha256Fingerprint(s string) bool {
	alg, val, _ := strings.Cut(s, " ")
	if !strings.EqualFold(alg, "sha-256") || len(val) != 95 {
		return false
	}
	for i := range len(val) {
		c := val[i] | 0x20
		if colon := i%3 == 2; colon != (val[i] == ':') || !colon && (c < 'a' || c > 'f') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// transport takes the first m-line's transport attributes; under BUNDLE all
// m-lines share them.
func (o *Offer) transport(d *sdp.SessionDescription, md *sdp.MediaDescription) {
	get := func(key string) string {
		if v, ok := md.Attribute(key); ok {
			return v
		}
		v, _ := d.Attribute(key)
		return v
	}
	if o.Ufrag == "" {
		o.Ufrag, o.Pwd, o.Setup = get("ice-ufrag"), get("ice-pwd"), get("setup")
		o.Fingerprint = fingerprint(md.Attributes)
		if o.Fingerprint == "" {
			o.Fingerprint = fingerprint(d.Attributes)
		}
	}
	if _, ok := md.Attribute("extmap-allow-mixed"); ok {
		o.AllowMixed = true
	}
}

// fingerprint is the first one by SHA-256, of which a client may name several
// kinds.
func fingerprint(attributes []sdp.Attribute) string {
	for _, a := range attributes {
		if a.Key == "fingerprint" && sha256Fingerprint(a.Value) {
			return a.Value
		}
	}
	return ""
}

func parseMedia(md *sdp.MediaDescription) (*Media, error) {
	m := &Media{Kind: md.MediaName.Media, Direction: SendRecv, Extensions: map[string]uint8{}, Repairs: map[uint32]uint32{}}
	mid, ok := md.Attribute("mid")
	if !ok || len(mid) > 32 || !token(mid) {
		return nil, refuse("m-line without a usable mid")
	}
	m.Mid = mid
	m.proto, m.formats = strings.Join(md.MediaName.Protos, "/"), strings.Join(md.MediaName.Formats, " ")
	_, bundleOnly := md.Attribute("bundle-only")
	m.Rejected = md.MediaName.Port.Value == 0 && !bundleOnly
	if m.Kind != "audio" && m.Kind != "video" {
		return m, nil
	}
	m.Rejected = m.Rejected || !strings.HasSuffix(m.proto, "TLS/RTP/SAVPF")
	if _, ok := md.Attribute("rtcp-mux"); !ok && !m.Rejected {
		return nil, refuse("mid %s without rtcp-mux", mid)
	}
	byPT := map[uint8]int{}
	for _, f := range md.MediaName.Formats {
		pt, err := strconv.ParseUint(f, 10, 7)
		if err != nil {
			return nil, refuse("payload type %q", f)
		}
		if _, twice := byPT[uint8(pt)]; twice || len(m.Codecs) >= maxCodecs {
			return nil, refuse("payload types of mid %s", mid)
		}
		byPT[uint8(pt)] = len(m.Codecs)
		m.Codecs = append(m.Codecs, Codec{PT: uint8(pt)})
	}
	p := mediaParser{m: m, byPT: byPT}
	for _, a := range md.Attributes {
		if err := p.attribute(a.Key, a.Value); err != nil {
			return nil, err
		}
	}
	p.orderRIDs()
	return m, nil
}
