package negotiate

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"
)

// Header extensions the server understands or passes on.
const (
	ExtMid         = "urn:ietf:params:rtp-hdrext:sdes:mid"
	ExtRID         = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	ExtRepairedRID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
	ExtTWCC        = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
	ExtAudioLevel  = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
	ExtOrientation = "urn:3gpp:video-orientation"
)

var extensions = map[string][]string{
	"audio": {ExtMid, ExtTWCC, ExtAudioLevel},
	"video": {ExtMid, ExtRID, ExtRepairedRID, ExtTWCC, ExtOrientation},
}

// Params is what the server puts into an answer.
type Params struct {
	Ufrag, Pwd  string
	Fingerprint string // "sha-256 AB:CD…"
	Candidates  []netip.AddrPort
	SessionID   uint64
	// Version is the o= line's, one more with each answer of a connection.
	Version uint64
	// Accept says, by mid, what each usable m-line becomes; one it does not
	// name is answered inactive.
	Accept map[string]Line
}

// Line is the server's side of one m-line: either it receives the client's
// track, or it sends a slot.
type Line struct {
	Receive bool
	// For a slot: the msid shared by its pair, and the outgoing SSRCs. RTX is 0
	// where the m-line has none.
	StreamID, TrackID string
	SSRC, RTX         uint32
}

// supported reports whether the server forwards a codec. RTX, RED and every
// codec of RFC 7742 and RFC 7874 that a browser sends; telephone events,
// comfort noise and forward error correction payloads are left out, and so are
// payload types that look like RTCP once the marker bit is set (RFC 5761
// section 4).
func supported(kind string, c Codec) bool {
	if c.PT >= 64 && c.PT <= 95 || strings.ContainsAny(c.Fmtp, "\r\n") {
		return false
	}
	if kind == "audio" {
		return (c.Name == "opus" || c.Name == "red") && c.Clock == 48000 && c.Channels == 2 || c.Name == "rtx" && c.Clock == 48000
	}
	switch c.Name {
	case "vp8", "vp9", "av1", "rtx":
		return c.Clock == 90000
	case "h264":
		return c.Clock == 90000 && strings.Contains(c.Fmtp, "packetization-mode=1")
	}
	return false
}

// Forwardable reports whether the server can carry m: audio or video, not
// rejected, with at least one codec it forwards.
func (m *Media) Forwardable() bool {
	return !m.Rejected && (m.Kind == "audio" || m.Kind == "video") && len(m.Usable()) > 0
}

// Asks reports whether the codec was offered with a kind of feedback.
func (c Codec) Asks(feedback string) bool { return slices.Contains(c.Feedback, feedback) }

// Usable returns the codecs of m the server forwards, in the offer's order; an
// rtx only where what it repairs is there too.
func (m *Media) Usable() []Codec {
	have := map[uint8]bool{}
	for _, c := range m.Codecs {
		if supported(m.Kind, c) && c.Name != "rtx" {
			have[c.PT] = true
		}
	}
	var out []Codec
	for _, c := range m.Codecs {
		if have[c.PT] || (c.Name == "rtx" && supported(m.Kind, c) && have[c.APT]) {
			out = append(out, c)
		}
	}
	return out
}

// keepFeedback reports whether the server acts on a kind of feedback. A sound that
// we send is sent again over RTX only (a packet is never sealed twice under one
// number); without it redundancy is all there is. repeats says that the m-line has
// RTX, or is the client's own.
func keepFeedback(kind, fb string, repeats bool) bool {
	switch fb {
	case "transport-cc":
		return true
	case "nack":
		return kind == "video" || repeats
	case "nack pli", "ccm fir":
		return kind == "video"
	}
	return false
}

// repeats reports whether a NACK on the line can be answered by the other side.
func (m *Media) repeats(codecs []Codec, l Line) bool {
	for _, c := range codecs {
		if c.Name == "rtx" {
			return true
		}
	}
	return l.Receive
}

// Answer writes the answer to o.
func (o *Offer) Answer(p Params) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("v=0")
	line("o=- %d %d IN IP4 0.0.0.0", p.SessionID, p.Version)
	line("s=-")
	line("t=0 0")
	var mids []string
	for i := range o.Media {
		if o.Media[i].Forwardable() {
			mids = append(mids, o.Media[i].Mid)
		}
	}
	line("%s", strings.TrimSpace("a=group:BUNDLE "+strings.Join(mids, " ")))
	if o.AllowMixed {
		line("a=extmap-allow-mixed")
	}
	line("a=msid-semantic: WMS *")
	for i := range o.Media {
		o.writeMedia(line, i, p)
		if len(mids) > 0 && o.Media[i].Mid == mids[0] {
			// The others share its transport (RFC 9143 section 7.1.3).
			writeCandidates(line, p.Candidates)
		}
	}
	return b.String()
}

func (o *Offer) writeMedia(line func(string, ...any), i int, p Params) {
	m := &o.Media[i]
	if !m.Forwardable() {
		line("m=%s 0 %s %s", m.Kind, m.proto, m.formats)
		line("c=IN IP4 0.0.0.0")
		line("a=inactive")
		line("a=mid:%s", m.Mid)
		return
	}
	codecs := m.Usable()
	pts := make([]string, len(codecs))
	for i, c := range codecs {
		pts[i] = fmt.Sprint(c.PT)
	}
	line("m=%s 9 %s %s", m.Kind, m.proto, strings.Join(pts, " "))
	line("c=IN IP4 0.0.0.0")
	line("a=rtcp:9 IN IP4 0.0.0.0")
	line("a=ice-ufrag:%s", p.Ufrag)
	line("a=ice-pwd:%s", p.Pwd)
	line("a=fingerprint:%s", p.Fingerprint)
	line("a=setup:passive")
	line("a=mid:%s", m.Mid)
	line("a=rtcp-mux")
	line("a=rtcp-rsize")
	writeCodecs(line, m.Kind, codecs, m.repeats(codecs, p.Accept[m.Mid]))
	o.writeExtensions(line, m)
	writeLine(line, m, p.Accept[m.Mid])
}

func writeCodecs(line func(string, ...any), kind string, codecs []Codec, repeats bool) {
	for _, c := range codecs {
		name := c.Name
		switch name {
		case "vp8", "vp9", "h264", "av1":
			name = strings.ToUpper(name)
		}
		if c.Channels > 1 {
			line("a=rtpmap:%d %s/%d/%d", c.PT, name, c.Clock, c.Channels)
		} else {
			line("a=rtpmap:%d %s/%d", c.PT, name, c.Clock)
		}
		if c.Fmtp != "" {
			line("a=fmtp:%d %s", c.PT, c.Fmtp)
		}
		for _, fb := range c.Feedback {
			if keepFeedback(kind, fb, repeats) {
				line("a=rtcp-fb:%d %s", c.PT, fb)
			}
		}
	}
}

func (o *Offer) writeExtensions(line func(string, ...any), m *Media) {
	type ext struct {
		id  uint8
		uri string
	}
	var out []ext
	for _, uri := range extensions[m.Kind] {
		if id, ok := m.Extensions[uri]; ok {
			out = append(out, ext{id, uri})
		}
	}
	sort.Slice(out, func(a, b int) bool { return out[a].id < out[b].id })
	for _, e := range out {
		line("a=extmap:%d %s", e.id, e.uri)
	}
}

// writeLine writes the direction, which must fit the offered one (RFC 3264
// section 6.1), and what goes with it.
func writeLine(line func(string, ...any), m *Media, l Line) {
	sends := m.Direction == SendOnly || m.Direction == SendRecv
	takes := m.Direction == RecvOnly || m.Direction == SendRecv
	switch {
	case l.Receive && sends:
		line("a=recvonly")
		for _, r := range m.RIDs {
			line("a=rid:%s recv", r)
		}
		if len(m.RIDs) > 0 {
			line("a=simulcast:recv %s", strings.Join(m.RIDs, ";"))
		}
	case l.SSRC != 0 && takes:
		line("a=sendonly")
		line("a=msid:%s %s", l.StreamID, l.TrackID)
		if l.RTX != 0 {
			line("a=ssrc-group:FID %d %d", l.SSRC, l.RTX)
		}
		line("a=ssrc:%d cname:%s", l.SSRC, l.StreamID)
		if l.RTX != 0 {
			line("a=ssrc:%d cname:%s", l.RTX, l.StreamID)
		}
	default:
		line("a=inactive")
	}
}

// writeCandidates lists the server's host candidates (RFC 8839 section 5.1).
// The type preference is 126, IPv6 before IPv4 as RFC 8421 recommends.
func writeCandidates(line func(string, ...any), cands []netip.AddrPort) {
	for i, c := range cands {
		local := uint32(65535 - i*256)
		if c.Addr().Is4() {
			local -= 16384
		}
		prio := uint32(126)<<24 | local<<8 | 255
		line("a=candidate:%d 1 udp %d %s %d typ host", i+1, prio, c.Addr(), c.Port())
	}
	line("a=end-of-candidates")
}
