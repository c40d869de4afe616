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
	Rejected   bool   // offered with port 0 and not bundled
	Direction  Direction
	Codecs     []Codec
	Extensions map[string]uint8 // URI → id
	RIDs       []string         // send rids, in the order of a=simulcast
	SSRCs      []uint32         // in order of appearance
	Repairs    map[uint32]uint32
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
	o := &Offer{}
	_, o.AllowMixed = d.Attribute("extmap-allow-mixed")
	if fp, ok := d.Attribute("fingerprint"); ok {
		o.Fingerprint = fp
	}
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
		o.Media = append(o.Media, *m)
		if !m.Rejected {
			o.transport(&d, md)
		}
	}
	group, _ := d.Attribute("group")
	if !strings.HasPrefix(group, "BUNDLE") {
		return nil, refuse("no BUNDLE group")
	}
	if o.Ufrag == "" || o.Pwd == "" {
		return nil, refuse("no ICE credentials")
	}
	if len(o.Ufrag) > 256 || len(o.Pwd) > 256 {
		return nil, refuse("ICE credentials too long")
	}
	if alg, val, _ := strings.Cut(o.Fingerprint, " "); !strings.EqualFold(alg, "sha-256") || len(val) != 95 {
		return nil, refuse("no sha-256 fingerprint")
	}
	if o.Setup == "passive" {
		return nil, refuse("setup:passive; the server is the DTLS server")
	}
	return o, nil
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
		if fp := get("fingerprint"); fp != "" {
			o.Fingerprint = fp
		}
	}
	if _, ok := md.Attribute("extmap-allow-mixed"); ok {
		o.AllowMixed = true
	}
}

func parseMedia(md *sdp.MediaDescription) (*Media, error) {
	m := &Media{Kind: md.MediaName.Media, Direction: SendRecv, Extensions: map[string]uint8{}, Repairs: map[uint32]uint32{}}
	mid, ok := md.Attribute("mid")
	if !ok || mid == "" || len(mid) > 32 || strings.ContainsAny(mid, " \t\r\n") {
		return nil, refuse("m-line without a usable mid")
	}
	m.Mid = mid
	_, bundleOnly := md.Attribute("bundle-only")
	m.Rejected = md.MediaName.Port.Value == 0 && !bundleOnly
	if m.Kind != "audio" && m.Kind != "video" {
		return m, nil
	}
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

type mediaParser struct {
	m         *Media
	byPT      map[uint8]int
	simulcast []string
}

func (p *mediaParser) attribute(key, val string) error {
	switch key {
	case "sendonly", "recvonly", "sendrecv", "inactive":
		p.m.Direction = Direction(key)
	case "rtpmap":
		p.rtpmap(val)
	case "fmtp":
		if c, rest := p.codec(val); c != nil {
			c.Fmtp = rest
			if apt, ok := strings.CutPrefix(rest, "apt="); ok {
				n, _ := strconv.ParseUint(apt, 10, 7)
				c.APT = uint8(n)
			}
		}
	case "rtcp-fb":
		if all, ok := strings.CutPrefix(val, "* "); ok {
			for i := range p.m.Codecs {
				p.m.Codecs[i].Feedback = append(p.m.Codecs[i].Feedback, all)
			}
		} else if c, rest := p.codec(val); c != nil && len(c.Feedback) < 16 {
			c.Feedback = append(c.Feedback, rest)
		}
	case "extmap":
		return p.extmap(val)
	case "rid":
		id, dir, _ := strings.Cut(val, " ")
		dir, _, _ = strings.Cut(dir, " ")
		if dir == "send" && validRID(id) && len(p.m.RIDs) < maxRIDs {
			p.m.RIDs = append(p.m.RIDs, id)
		}
	case "simulcast":
		if rest, ok := strings.CutPrefix(val, "send "); ok {
			rest, _, _ = strings.Cut(rest, " ")
			p.simulcast = strings.FieldsFunc(rest, func(r rune) bool { return r == ';' || r == ',' })
		}
	case "ssrc":
		id, _, _ := strings.Cut(val, " ")
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			p.ssrc(uint32(n))
		}
	case "ssrc-group":
		f := strings.Fields(val)
		if len(f) == 3 && f[0] == "FID" {
			a, err1 := strconv.ParseUint(f[1], 10, 32)
			b, err2 := strconv.ParseUint(f[2], 10, 32)
			if err1 == nil && err2 == nil && len(p.m.Repairs) < maxSSRCs {
				p.m.Repairs[uint32(b)] = uint32(a)
			}
		}
	}
	return nil
}

func (p *mediaParser) ssrc(n uint32) {
	for _, s := range p.m.SSRCs {
		if s == n {
			return
		}
	}
	if len(p.m.SSRCs) < maxSSRCs {
		p.m.SSRCs = append(p.m.SSRCs, n)
	}
}

// codec splits "<pt> <rest>" and finds the codec of pt.
func (p *mediaParser) codec(val string) (*Codec, string) {
	head, rest, _ := strings.Cut(val, " ")
	pt, err := strconv.ParseUint(head, 10, 7)
	if err != nil {
		return nil, ""
	}
	i, ok := p.byPT[uint8(pt)]
	if !ok {
		return nil, ""
	}
	return &p.m.Codecs[i], rest
}

func (p *mediaParser) rtpmap(val string) {
	c, rest := p.codec(val)
	if c == nil {
		return
	}
	parts := strings.Split(rest, "/")
	c.Name = strings.ToLower(parts[0])
	if len(parts) > 1 {
		n, _ := strconv.ParseUint(parts[1], 10, 32)
		c.Clock = uint32(n)
	}
	if len(parts) > 2 {
		n, _ := strconv.ParseUint(parts[2], 10, 16)
		c.Channels = uint16(n)
	}
}

func (p *mediaParser) extmap(val string) error {
	f := strings.Fields(val)
	if len(f) < 2 {
		return nil
	}
	num, _, _ := strings.Cut(f[0], "/")
	id, _ := strconv.ParseUint(num, 10, 8) // 0 when it is no number
	if id == 0 || id == 15 {
		return nil // RFC 8285: 0 is padding, 15 is reserved
	}
	if len(p.m.Extensions) >= maxExt {
		return refuse("too many header extensions")
	}
	p.m.Extensions[f[1]] = uint8(id)
	return nil
}

// orderRIDs puts the rids in the order of a=simulcast, lowest first by our
// protocol, and drops those it doesn't name.
func (p *mediaParser) orderRIDs() {
	if len(p.simulcast) == 0 {
		return
	}
	var out []string
	for _, s := range p.simulcast {
		s = strings.TrimPrefix(s, "~")
		for _, r := range p.m.RIDs {
			if r == s {
				out = append(out, r)
			}
		}
	}
	p.m.RIDs = out
}

func validRID(s string) bool {
	if s == "" || len(s) > 16 {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return false
		}
	}
	return true
}
