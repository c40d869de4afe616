package relay

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pion/stun/v4"
)

const (
	// realm is short because a challenge that names it must weigh no more than
	// two of the smallest Allocate requests (see ledger).
	realm = "chatmed"

	// nonceLife is how long a nonce is good; clients get a new one by 438.
	nonceLife = time.Hour
	nonceTime = 3 // bytes: seconds, modulo half a year
	nonceMAC  = 6 // bytes
	nonceRaw  = nonceTime + nonceMAC
	nonceText = nonceRaw * 4 / 3

	maxUsername = 128
)

// Credentials are what a client's RTCIceServer needs.
type Credentials struct {
	Username, Password string
	Expires            time.Time
}

// Credentials are made for one participant, and good for making allocations
// until ttl from now. An allocation made in time may be refreshed later, as
// browsers can't change the credentials of a running call; Revoke and
// Config.Allowed end it. participant must not be empty nor have a colon.
func (s *Server) Credentials(participant string, ttl time.Duration) Credentials {
	expires := s.cfg.Now().Add(ttl)
	name := strconv.FormatInt(expires.Unix(), 10) + ":" + participant
	return Credentials{Username: name, Password: s.keys.passwordOf(name), Expires: time.Unix(expires.Unix(), 0)}
}

// passwordOf is opaque to clients, so no more than HMAC-SHA-1 is asked of them,
// in MESSAGE-INTEGRITY, which is all that browsers can.
func (k keys) passwordOf(username string) string {
	mac := hmac.New(sha256.New, k.password)
	mac.Write([]byte(username))
	return base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
}

// integrity is the key of MESSAGE-INTEGRITY (RFC 8489 section 9.2.2).
func (k keys) integrity(username string) stun.MessageIntegrity {
	return stun.NewLongTermIntegrity(username, realm, k.passwordOf(username))
}

// parseUsername reads "<expiry>:<participant>".
func parseUsername(name string) (expires time.Time, participant string, ok bool) {
	stamp, participant, found := strings.Cut(name, ":")
	if !found || participant == "" || strings.Contains(participant, ":") || len(name) > maxUsername {
		return time.Time{}, "", false
	}
	sec, err := strconv.ParseUint(stamp, 10, 40)
	if err != nil || stamp[0] == '+' {
		return time.Time{}, "", false
	}
	return time.Unix(int64(sec), 0), participant, true
}

// nonceFor makes a nonce that only this client can use, and nothing is kept of
// it: its time and a MAC over the time and the client's address.
func (k keys) nonceFor(c client, now time.Time) string {
	var raw [nonceRaw]byte
	sec := uint32(now.Unix())
	raw[0], raw[1], raw[2] = byte(sec>>16), byte(sec>>8), byte(sec)
	k.sealNonce(raw[nonceTime:], raw[:nonceTime], c)
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

func (k keys) nonceValid(nonce string, c client, now time.Time) bool {
	if len(nonce) != nonceText {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil {
		return false
	}
	var want [nonceMAC]byte
	k.sealNonce(want[:], raw[:nonceTime], c)
	if !hmac.Equal(want[:], raw[nonceTime:]) {
		return false
	}
	made := uint32(raw[0])<<16 | uint32(raw[1])<<8 | uint32(raw[2])
	age := (uint32(now.Unix()) - made) & 0xFFFFFF
	return age <= uint32(nonceLife/time.Second)
}

func (k keys) sealNonce(out, stamp []byte, c client) {
	var in [nonceTime + 1 + 16 + 2]byte
	copy(in[:], stamp)
	if c.stream != nil {
		in[nonceTime] = 1
	}
	a := c.addr.Addr().As16()
	copy(in[nonceTime+1:], a[:])
	binary.BigEndian.PutUint16(in[nonceTime+17:], c.addr.Port())
	mac := hmac.New(sha256.New, k.nonce)
	mac.Write(in[:])
	copy(out, mac.Sum(nil))
}

// prefixOf is what counts as one source: an IPv4 address, or the /64 that one
// site has at least.
func prefixOf(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
