package relay

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

const (
	secretSize            = 32
	defaultPerParticipant = 16
	defaultPerNode        = 4096
	defaultConnections    = 4096
	defaultPerAddress     = 1024
)

// Media is the path that the datagrams of relayed clients take.
type Media interface {
	// Deliver takes a datagram as if it had come from "from", a relayed
	// address, to "to", one of ours. p is the caller's again on return. It is
	// called by many goroutines and must not wait.
	Deliver(from, to netip.AddrPort, p []byte)

	// Gone says that nobody is behind a relayed address any more.
	Gone(from netip.AddrPort)
}

// PacketWriter is the shared UDP socket.
type PacketWriter interface {
	WriteToAddrPort(p []byte, dst netip.AddrPort) (int, error)
}

// Config says what a Server needs.
type Config struct {
	// Secret is 32 bytes that all nodes share; the keys come from it by HKDF.
	Secret []byte

	// Peers are our own media addresses as clients see them in candidates, and
	// the only ones that can be reached. Where a family has several, what the
	// media path sends appears to come from the one the client wrote to last.
	Peers []netip.AddrPort

	Media Media

	// UDP sends to clients of TURN over UDP; nil where there are none.
	UDP PacketWriter

	// Allowed says whether a participant may still have a relay, beyond
	// credentials that are valid; nil means yes. It is asked at Allocate and
	// Refresh, and must not wait.
	Allowed func(participant string) bool

	// PerParticipant and PerNode bound allocations; 0 means 16 and 4096. A
	// browser makes one for each URL and each network interface, twice while it
	// changes networks.
	PerParticipant, PerNode int

	// Connections and PerAddress bound TCP connections, of all and of one
	// client address, which may be a whole hospital; 0 means 4096 and 1024.
	Connections, PerAddress int

	// Virtual4 and Virtual6 are the addresses of relayed transport addresses.
	// No packet from outside may ever carry them. Zero means 192.0.0.8, the
	// dummy address of RFC 7600, and 100::8 of the discard prefix (RFC 6666).
	Virtual4, Virtual6 netip.Addr

	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (cfg Config) withDefaults() (Config, error) {
	for field, standard := range map[*int]int{
		&cfg.PerParticipant: defaultPerParticipant, &cfg.PerNode: defaultPerNode,
		&cfg.Connections: defaultConnections, &cfg.PerAddress: defaultPerAddress,
	} {
		if *field < 0 {
			return cfg, errors.New("relay: limits must not be negative")
		}
		if *field == 0 {
			*field = standard
		}
	}
	if !cfg.Virtual4.IsValid() {
		cfg.Virtual4 = netip.AddrFrom4([4]byte{192, 0, 0, 8})
	}
	if !cfg.Virtual6.IsValid() {
		cfg.Virtual6 = netip.AddrFrom16([16]byte{0: 1, 15: 8})
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	switch {
	case len(cfg.Secret) != secretSize:
		return cfg, fmt.Errorf("relay: the secret must be %d bytes, not %d", secretSize, len(cfg.Secret))
	case cfg.Media == nil:
		return cfg, errors.New("relay: no media path given")
	case len(cfg.Peers) == 0:
		return cfg, errors.New("relay: no media address given; nothing could be reached")
	case !cfg.Virtual4.Is4(), !cfg.Virtual6.Is6() || cfg.Virtual6.Is4In6():
		return cfg, errors.New("relay: the virtual addresses must be one of IPv4 and one of IPv6")
	}
	cfg.Peers = slices.Clone(cfg.Peers)
	for i, p := range cfg.Peers {
		p = unmap(p)
		cfg.Peers[i] = p
		if !p.IsValid() || p.Port() == 0 || p.Addr().IsUnspecified() || p.Addr().Zone() != "" {
			return cfg, fmt.Errorf("relay: %s is no address that a client could reach", p)
		}
		if a := p.Addr(); a == cfg.Virtual4 || a == cfg.Virtual6 {
			return cfg, fmt.Errorf("relay: %s is both a media address and virtual", p)
		}
	}
	return cfg, nil
}

// keys are what comes from the secret.
type keys struct{ password, nonce []byte }

func newKeys(secret []byte) (keys, error) {
	var k keys
	for label, key := range map[string]*[]byte{"chatmed turn password": &k.password, "chatmed turn nonce": &k.nonce} {
		b, err := hkdf.Key(sha256.New, secret, nil, label, sha256.Size)
		if err != nil {
			return k, fmt.Errorf("relay: derive keys: %w", err)
		}
		*key = b
	}
	return k, nil
}

func unmap(a netip.AddrPort) netip.AddrPort {
	if a.Addr().Is4In6() {
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return a
}
