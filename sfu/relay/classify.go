package relay

import "encoding/binary"

// Kind is what first bytes, or a datagram, say.
type Kind uint8

// The kinds. More and Unknown are no protocol: More asks for more bytes of a
// stream, Unknown says that no more bytes would help.
const (
	Unknown Kind = iota
	More
	HTTP        // stream: a request line
	TLS         // stream: a ClientHello
	STUN        // stream or datagram: a STUN or TURN message
	Framed      // stream: ICE-TCP, a STUN message in the framing of RFC 4571
	ChannelData // datagram: TURN's short form
	DTLS        // datagram
	RTP         // datagram
	RTCP        // datagram
	ZRTP        // datagram
	QUIC        // datagram
)

// String is the metrics' label.
func (k Kind) String() string {
	switch k {
	case More:
		return "more"
	case HTTP:
		return "http"
	case TLS:
		return "tls"
	case STUN:
		return "stun"
	case Framed:
		return "framed"
	case ChannelData:
		return "channel_data"
	case DTLS:
		return "dtls"
	case RTP:
		return "rtp"
	case RTCP:
		return "rtcp"
	case ZRTP:
		return "zrtp"
	case QUIC:
		return "quic"
	}
	return "unknown"
}

const (
	cookie     = 0x2112A442 // RFC 8489 section 5
	stunHeader = 20
	// peekSize is how many bytes of a stream always suffice for Classify.
	peekSize = 10
)

// Classify tells what a stream carries from its first bytes, or More when it
// takes more of them. What it has once said of a stream it says of every
// longer beginning.
//
// A stream can't begin with ChannelData, as a channel is bound first, so a
// letter is always HTTP. A STUN message and one in a frame (RFC 4571) have
// their magic cookie two bytes apart, and no bytes fit both.
func Classify(p []byte) Kind {
	if len(p) == 0 {
		return More
	}
	switch {
	case p[0] >= 'A' && p[0] <= 'Z':
		return classifyHTTP(p)
	case p[0] == 22:
		if k := classifyTLS(p); k != Unknown {
			return k
		}
		// A frame of 0x1603 = 5635 bytes begins so too; no client's first
		// check is that large.
		return Unknown
	}
	stun, framed := classifySTUN(p), classifyFramed(p)
	switch {
	case stun == STUN || framed == Unknown:
		return stun
	case framed == Framed || stun == Unknown:
		return framed
	}
	return More
}

// classifyHTTP wants three capital letters: every method has them, HTTP/2's
// preface (PRI) too.
func classifyHTTP(p []byte) Kind {
	for i := range min(3, len(p)) {
		if p[i] < 'A' || p[i] > 'Z' {
			return Unknown
		}
	}
	if len(p) < 3 {
		return More
	}
	return HTTP
}

// classifyTLS wants a handshake record of TLS (RFC 8446 section 5.1) that holds
// a ClientHello.
func classifyTLS(p []byte) Kind {
	switch {
	case len(p) > 1 && p[1] != 3, len(p) > 2 && p[2] > 4, len(p) > 5 && p[5] != 1:
		return Unknown
	case len(p) > 4 && (binary.BigEndian.Uint16(p[3:]) < 4 || binary.BigEndian.Uint16(p[3:]) > 1<<14):
		return Unknown
	case len(p) < 6:
		return More
	}
	return TLS
}

// classifySTUN wants the two zero bits, a length of whole words and the cookie.
func classifySTUN(p []byte) Kind {
	if len(p) > 0 && p[0]&0xC0 != 0 || len(p) > 3 && p[3]&3 != 0 {
		return Unknown
	}
	return hasCookie(p, 4, STUN)
}

// classifyFramed wants a frame that holds exactly one STUN message.
func classifyFramed(p []byte) Kind {
	if len(p) > 0 && p[0] > maxFrame>>8 || len(p) > 2 && p[2]&0xC0 != 0 {
		return Unknown
	}
	if len(p) > 1 && (binary.BigEndian.Uint16(p) < stunHeader || binary.BigEndian.Uint16(p) > maxFrame) {
		return Unknown
	}
	if len(p) > 5 && int(binary.BigEndian.Uint16(p)) != stunHeader+int(binary.BigEndian.Uint16(p[4:])) {
		return Unknown
	}
	return hasCookie(p, 6, Framed)
}

// hasCookie compares as much of the cookie as is there.
func hasCookie(p []byte, at int, yes Kind) Kind {
	want := [4]byte{cookie >> 24, cookie >> 16 & 0xFF, cookie >> 8 & 0xFF, cookie & 0xFF}
	for i := range want {
		switch {
		case at+i >= len(p):
			return More
		case p[at+i] != want[i]:
			return Unknown
		}
	}
	return yes
}

// ClassifyDatagram tells the protocols of the media port apart (RFC 9443
// section 3, which updates RFC 7983; RFC 8656 section 12 for channels; RFC 5761
// section 4 for RTCP). It looks no further than the header.
func ClassifyDatagram(p []byte) Kind {
	if len(p) == 0 {
		return Unknown
	}
	switch b := p[0]; {
	case b <= 3:
		if len(p) >= stunHeader && hasCookie(p, 4, STUN) == STUN && p[3]&3 == 0 &&
			stunHeader+int(binary.BigEndian.Uint16(p[2:])) == len(p) {
			return STUN
		}
	case b >= 16 && b <= 19:
		return ZRTP
	case b >= 20 && b <= 63:
		return DTLS
	case b >= 64 && b <= 79:
		// UDP may pad it (RFC 8656 section 12.5).
		if len(p) >= 4 && 4+int(binary.BigEndian.Uint16(p[2:])) <= len(p) {
			return ChannelData
		}
	case b >= 80 && b <= 127, b >= 192:
		return QUIC
	case b >= 128:
		switch {
		case len(p) < 8:
		case p[1] >= 192 && p[1] <= 223:
			return RTCP
		case len(p) >= 12:
			return RTP
		}
	}
	return Unknown
}

// forTURN reports whether a STUN message is for a TURN server and not for an
// ICE agent on the same port: TURN's requests and indications by their method,
// and a Binding request that names no user, which no agent would answer.
func forTURN(p []byte) bool {
	switch binary.BigEndian.Uint16(p) {
	case 0x0003, 0x0004, 0x0008, 0x0009: // Allocate, Refresh, CreatePermission, ChannelBind
		return true
	case 0x0016: // Send indication
		return true
	case 0x0001:
		return !hasUsername(p)
	}
	return false
}

// hasUsername looks for USERNAME among a message's attributes.
func hasUsername(p []byte) bool {
	for p = p[stunHeader:]; len(p) >= 4; {
		if binary.BigEndian.Uint16(p) == 0x0006 {
			return true
		}
		size := 4 + (int(binary.BigEndian.Uint16(p[2:]))+3)&^3
		if size > len(p) {
			return false
		}
		p = p[size:]
	}
	return false
}
