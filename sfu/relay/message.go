package relay

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/pion/stun/v4"
)

// Error codes of RFC 8489 section 14.8 and RFC 8656 section 19.
const (
	codeBadRequest       = 400
	codeUnauthenticated  = 401
	codeForbidden        = 403
	codeMismatch         = 437
	codeUnknownAttribute = 420
	codeStaleNonce       = 438
	codeFamily           = 440
	codeWrongCredentials = 441
	codeTransport        = 442
	codePeerFamily       = 443
	codeQuota            = 486
	codeCapacity         = 508
)

const (
	familyIPv4  = 1
	familyIPv6  = 2
	protocolUDP = 17

	maxPeers   = 16 // in one CreatePermission
	maxUnknown = 8  // attributes named in a 420
)

// request is a STUN message as this server understands it. Everything in it
// points into the message.
type request struct {
	from client
	now  time.Time
	m    *stun.Message

	username, realm, nonce []byte
	integrity              bool
	unknown                []uint16
	malformed              bool // an attribute of ours that can't be read

	transport, family, channel int // -1 when absent
	lifetime                   int64
	peers                      []netip.AddrPort
	data                       []byte
	evenPort, reserveNext      bool
	reservation                bool

	allocation *allocation // of this client, if any
}

// parse reads the attributes up to MESSAGE-INTEGRITY: what follows it is
// protected by nothing and is ignored (RFC 8489 section 14.5).
func parse(m *stun.Message, from client, now time.Time) *request {
	r := &request{from: from, now: now, m: m, transport: -1, family: -1, channel: -1, lifetime: -1}
	for _, a := range m.Attributes {
		if r.attribute(a) {
			break
		}
	}
	return r
}

// attribute takes one in, and reports whether it was the last that counts. Of
// several of a kind the first counts (RFC 8489 section 14), but peers.
func (r *request) attribute(a stun.RawAttribute) (last bool) {
	v := a.Value
	sized := func(n int) bool {
		r.malformed = r.malformed || len(v) != n
		return len(v) == n
	}
	switch a.Type {
	case stun.AttrMessageIntegrity:
		r.integrity = sized(20)
		return true
	case stun.AttrUsername:
		first(&r.username, v)
	case stun.AttrRealm:
		first(&r.realm, v)
	case stun.AttrNonce:
		first(&r.nonce, v)
	case stun.AttrData:
		first(&r.data, v)
	case stun.AttrRequestedTransport:
		if sized(4) && r.transport < 0 {
			r.transport = int(v[0])
		}
	case stun.AttrRequestedAddressFamily:
		if sized(4) && r.family < 0 {
			r.family = int(v[0])
		}
	case stun.AttrChannelNumber:
		if sized(4) && r.channel < 0 {
			r.channel = int(binary.BigEndian.Uint16(v))
		}
	case stun.AttrLifetime:
		if sized(4) && r.lifetime < 0 {
			r.lifetime = int64(binary.BigEndian.Uint32(v))
		}
	case stun.AttrEvenPort:
		if sized(1) {
			r.evenPort, r.reserveNext = true, v[0]&0x80 != 0
		}
	case stun.AttrReservationToken:
		r.reservation = sized(8)
	case stun.AttrXORPeerAddress:
		peer, ok := readXorAddr(v, r.m.TransactionID)
		if !ok || len(r.peers) == maxPeers {
			r.malformed = true
			break
		}
		r.peers = append(r.peers, peer)
	case stun.AttrDontFragment: // nothing here fragments
	default:
		if a.Type.Required() && len(r.unknown) < maxUnknown {
			r.unknown = append(r.unknown, uint16(a.Type))
		}
	}
	return false
}

func first(field *[]byte, v []byte) {
	if *field == nil {
		*field = v
	}
}

// readXorAddr reads an XOR-*-ADDRESS (RFC 8489 section 14.2).
func readXorAddr(v []byte, id [stun.TransactionIDSize]byte) (netip.AddrPort, bool) {
	if len(v) < 8 {
		return netip.AddrPort{}, false
	}
	mask := xorMask(id)
	port := binary.BigEndian.Uint16(v[2:]) ^ uint16(cookie>>16)
	switch {
	case v[1] == familyIPv4 && len(v) == 8:
		var a [4]byte
		for i := range a {
			a[i] = v[4+i] ^ mask[i]
		}
		return netip.AddrPortFrom(netip.AddrFrom4(a), port), true
	case v[1] == familyIPv6 && len(v) == 20:
		var a [16]byte
		for i := range a {
			a[i] = v[4+i] ^ mask[i]
		}
		// An IPv4 address in IPv6's clothes is judged as what it is.
		return netip.AddrPortFrom(netip.AddrFrom16(a).Unmap(), port), true
	}
	return netip.AddrPort{}, false
}

// appendXorAddr appends the value of an XOR-*-ADDRESS.
func appendXorAddr(out []byte, a netip.AddrPort, id [stun.TransactionIDSize]byte) []byte {
	mask := xorMask(id)
	port := a.Port() ^ uint16(cookie>>16)
	ip := a.Addr().Unmap()
	if ip.Is4() {
		out = append(out, 0, familyIPv4, byte(port>>8), byte(port))
		for i, b := range ip.As4() {
			out = append(out, b^mask[i])
		}
		return out
	}
	out = append(out, 0, familyIPv6, byte(port>>8), byte(port))
	for i, b := range ip.As16() {
		out = append(out, b^mask[i])
	}
	return out
}

func xorMask(id [stun.TransactionIDSize]byte) (mask [16]byte) {
	binary.BigEndian.PutUint32(mask[:], cookie)
	copy(mask[4:], id[:])
	return mask
}

func addXorAddr(m *stun.Message, t stun.AttrType, a netip.AddrPort) {
	var room [20]byte
	m.Add(t, appendXorAddr(room[:0], a, m.TransactionID))
}

func addUint32(m *stun.Message, t stun.AttrType, v uint32) {
	m.Add(t, binary.BigEndian.AppendUint32(nil, v))
}

// begin starts the answer to r.
func begin(r *request, class stun.MessageClass) *stun.Message {
	out := &stun.Message{Type: stun.NewType(r.m.Type.Method, class), TransactionID: r.m.TransactionID, Raw: make([]byte, 0, 128)}
	out.WriteHeader()
	return out
}

// failure builds an error response. It has no reason phrase, no SOFTWARE and no
// FINGERPRINT, all optional: who has proven nothing gets as few bytes as there
// can be.
func failure(r *request, code int, nonce string) *stun.Message {
	out := begin(r, stun.ClassErrorResponse)
	out.Add(stun.AttrErrorCode, []byte{0, 0, byte(code / 100), byte(code % 100)})
	switch code {
	case codeUnauthenticated, codeStaleNonce:
		out.Add(stun.AttrRealm, []byte(realm))
		out.Add(stun.AttrNonce, []byte(nonce))
	case codeUnknownAttribute:
		var list []byte
		for _, t := range r.unknown {
			list = binary.BigEndian.AppendUint16(list, t)
		}
		out.Add(stun.AttrUnknownAttributes, list)
	}
	return out
}

// appendDataIndication appends a Data indication (RFC 8656 section 11.6) that
// carries p from peer.
func appendDataIndication(out []byte, peer netip.AddrPort, id [stun.TransactionIDSize]byte, p []byte) []byte {
	start := len(out)
	out = binary.BigEndian.AppendUint16(out, 0x0017)
	out = append(out, 0, 0)
	out = binary.BigEndian.AppendUint32(out, cookie)
	out = append(out, id[:]...)
	out = binary.BigEndian.AppendUint16(out, uint16(stun.AttrXORPeerAddress))
	size := uint16(8)
	if !peer.Addr().Unmap().Is4() {
		size = 20
	}
	out = binary.BigEndian.AppendUint16(out, size)
	out = appendXorAddr(out, peer, id)
	out = binary.BigEndian.AppendUint16(out, uint16(stun.AttrData))
	out = binary.BigEndian.AppendUint16(out, uint16(len(p)))
	out = append(out, p...)
	for len(out)%4 != start%4 {
		out = append(out, 0)
	}
	binary.BigEndian.PutUint16(out[start+2:], uint16(len(out)-start-stunHeader))
	return out
}

// appendChannelData appends ChannelData, padded as streams need it (RFC 8656
// section 12.5) when pad is set.
func appendChannelData(out []byte, channel uint16, p []byte, pad bool) []byte {
	out = binary.BigEndian.AppendUint16(out, channel)
	out = binary.BigEndian.AppendUint16(out, uint16(len(p)))
	out = append(out, p...)
	for n := len(p); pad && n%4 != 0; n++ {
		out = append(out, 0)
	}
	return out
}
