package relay

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun/v4"
)

// message handles one STUN message of a client and reports whether it could be
// read.
func (s *Server) message(from client, p []byte) bool {
	m := s.parsed.Get().(*stun.Message)
	defer s.parsed.Put(m)
	m.Raw = append(m.Raw[:0], p...)
	if m.Decode() != nil {
		s.metrics.drop(dropMalformed)
		return false
	}
	r := parse(m, from, s.cfg.Now())
	r.allocation = s.find(from, r.now)
	switch {
	case m.Type.Class == stun.ClassIndication && m.Type.Method == stun.MethodSend:
		s.sendIndication(r)
	case m.Type.Class == stun.ClassRequest:
		s.request(r, len(p))
	}
	return true
}

// request answers one.
func (s *Server) request(r *request, size int) {
	if r.m.Type.Method == stun.MethodBinding {
		out, code := s.binding(r), 0
		if len(r.unknown) > 0 {
			out, code = failure(r, codeUnknownAttribute, ""), codeUnknownAttribute
		}
		s.reply(r, out, code, size, false)
		return
	}
	participant, key, code := s.authenticate(r)
	if code != 0 {
		s.reply(r, failure(r, code, s.keys.nonceFor(r.from, r.now)), code, size, false)
		return
	}
	out, code := s.perform(r, participant)
	if code != 0 {
		out = failure(r, code, "")
	}
	if err := key.AddTo(out); err != nil { // there is no FINGERPRINT it could fail for
		s.log.Error("relay: sign a response", "err", err)
		return
	}
	s.reply(r, out, code, size, true)
}

// authenticate follows RFC 8489 section 9.2.4, and binds the credentials to the
// participant they were made for.
func (s *Server) authenticate(r *request) (participant string, key stun.MessageIntegrity, code int) {
	switch {
	case !r.integrity:
		return "", nil, codeUnauthenticated
	case r.username == nil || r.realm == nil || r.nonce == nil:
		return "", nil, codeBadRequest
	case !s.keys.nonceValid(string(r.nonce), r.from, r.now):
		return "", nil, codeStaleNonce
	case string(r.realm) != realm:
		return "", nil, codeUnauthenticated
	}
	name := string(r.username)
	expires, participant, ok := parseUsername(name)
	if !ok {
		return "", nil, codeUnauthenticated
	}
	key = s.keys.integrity(name)
	if key.Check(r.m) != nil {
		return "", nil, codeUnauthenticated
	}
	// The allocation's own credentials outlive their expiry with it.
	if own := r.allocation != nil && r.allocation.username == name; !own && !r.now.Before(expires) {
		return "", nil, codeUnauthenticated
	}
	return participant, key, 0
}

// perform carries out what an authenticated client asks for.
func (s *Server) perform(r *request, participant string) (*stun.Message, int) {
	a := r.allocation
	switch {
	case len(r.unknown) > 0:
		return nil, codeUnknownAttribute
	case r.malformed:
		return nil, codeBadRequest
	case r.m.Type.Method == stun.MethodAllocate:
		return s.allocate(r, participant)
	case a == nil:
		return nil, codeMismatch
	case a.username != string(r.username):
		return nil, codeWrongCredentials
	}
	switch r.m.Type.Method {
	case stun.MethodRefresh:
		return s.refresh(r)
	case stun.MethodCreatePermission:
		return s.createPermission(r)
	case stun.MethodChannelBind:
		return s.channelBind(r)
	}
	return nil, codeBadRequest
}

func (s *Server) allocate(r *request, participant string) (*stun.Message, int) {
	life := lifetime(r)
	if a := r.allocation; a != nil {
		if a.transaction != r.m.TransactionID || a.username != string(r.username) {
			return nil, codeMismatch
		}
		return allocated(r, a), 0 // the answer was lost
	}
	six := r.family == familyIPv6
	switch {
	case r.transport < 0:
		return nil, codeBadRequest
	case r.transport != protocolUDP:
		return nil, codeTransport
	case r.reservation && (r.evenPort || r.family >= 0):
		return nil, codeBadRequest
	case r.reservation, r.reserveNext: // RTP and RTCP share a port here
		return nil, codeCapacity
	case r.family >= 0 && r.family != familyIPv4 && !six, !s.hasFamily(six):
		return nil, codeFamily
	case !s.allowed(participant):
		return nil, codeForbidden
	}
	// The sweeper may not have seen yet that an earlier one expired.
	s.mu.RLock()
	old := s.allocations[r.from]
	s.mu.RUnlock()
	if old != nil {
		s.remove(old)
	}
	a := &allocation{client: r.from, participant: participant, username: string(r.username), transaction: r.m.TransactionID}
	a.extend(r.now, life)
	if code := s.add(a, six, r.evenPort); code != 0 {
		return nil, code
	}
	if r.from.stream != nil {
		r.from.stream.isProven.Store(true)
	}
	return allocated(r, a), 0
}

func allocated(r *request, a *allocation) *stun.Message {
	out := begin(r, stun.ClassSuccessResponse)
	addXorAddr(out, stun.AttrXORRelayedAddress, a.relayed)
	addUint32(out, stun.AttrLifetime, uint32(time.Unix(0, a.expires.Load()).Sub(r.now)/time.Second))
	addXorAddr(out, stun.AttrXORMappedAddress, r.from.addr)
	return out
}

// lifetime is what the client asked for, within bounds (RFC 8656 section 7.2).
func lifetime(r *request) time.Duration {
	if r.lifetime < 0 {
		return defaultLifetime
	}
	return min(max(time.Duration(r.lifetime)*time.Second, defaultLifetime), maxLifetime)
}

func (s *Server) hasFamily(six bool) bool {
	return slices.ContainsFunc(s.cfg.Peers, func(p netip.AddrPort) bool { return p.Addr().Is6() == six })
}

func (s *Server) allowed(participant string) bool {
	return s.cfg.Allowed == nil || s.cfg.Allowed(participant)
}

func (s *Server) refresh(r *request) (*stun.Message, int) {
	a := r.allocation
	if r.family >= 0 && (r.family == familyIPv6) != a.relayed.Addr().Is6() {
		return nil, codePeerFamily
	}
	life := lifetime(r)
	switch {
	case r.lifetime == 0:
		life = 0
		s.remove(a)
		if r.from.stream != nil {
			r.from.stream.isProven.Store(false)
		}
	case !s.allowed(a.participant):
		s.remove(a)
		return nil, codeForbidden
	default:
		a.extend(r.now, life)
	}
	out := begin(r, stun.ClassSuccessResponse)
	addUint32(out, stun.AttrLifetime, uint32(life/time.Second))
	return out, 0
}

// createPermission permits all peers it names or none.
func (s *Server) createPermission(r *request) (*stun.Message, int) {
	if len(r.peers) == 0 {
		return nil, codeBadRequest
	}
	for _, peer := range r.peers {
		if code := s.permittedPeer(r.allocation.relayed, peer, false); code != 0 {
			return nil, code
		}
	}
	for _, peer := range r.peers {
		r.allocation.permit(peer.Addr(), r.now)
	}
	return begin(r, stun.ClassSuccessResponse), 0
}

func (s *Server) channelBind(r *request) (*stun.Message, int) {
	if len(r.peers) != 1 || r.channel < minChannel || r.channel > maxChannel {
		return nil, codeBadRequest
	}
	if code := s.permittedPeer(r.allocation.relayed, r.peers[0], true); code != 0 {
		return nil, code
	}
	if code := r.allocation.bind(uint16(r.channel), r.peers[0], r.now); code != 0 {
		return nil, code
	}
	return begin(r, stun.ClassSuccessResponse), 0
}

// binding tells a client its address.
func (s *Server) binding(r *request) *stun.Message {
	out := begin(r, stun.ClassSuccessResponse)
	addXorAddr(out, stun.AttrXORMappedAddress, r.from.addr)
	return out
}

// reply sends an answer. Who has not proven over UDP that its address is its own
// gets no more than it has sent.
func (s *Server) reply(r *request, out *stun.Message, code, size int, proven bool) {
	c := r.from
	if c.stream != nil {
		if !proven && !c.stream.mayAnswer() {
			c.stream.close()
			return
		}
		s.metrics.response(code)
		c.stream.put(out.Raw, true)
		return
	}
	if !proven && !s.ledger.allow(c.addr.Addr(), size, len(out.Raw), r.now) {
		s.metrics.drop(dropAmplification)
		return
	}
	s.metrics.response(code)
	s.writeUDP(out.Raw, c.addr)
}
