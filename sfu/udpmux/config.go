package udpmux

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

const (
	defaultBuffer      = 4 << 20
	defaultMaxSegments = 16
	// segmentLimit is UDP_MAX_SEGMENTS of the oldest kernels that segment.
	segmentLimit = 64
	defaultMTU   = 1500
	// headers is the room of an IPv6 and a UDP header, the larger of the two
	// families, so that one bound serves both.
	headers = 40 + 8
)

// Config says where and how to listen.
type Config struct {
	// Addr is "0.0.0.0:7882" (IPv4), "[::]:7882" (IPv4 and IPv6) or one
	// address. Port 0 picks a free port.
	Addr string

	// ReadBuffer and WriteBuffer are socket buffer sizes in bytes; 0 means
	// 4 MiB.
	ReadBuffer  int
	WriteBuffer int

	// MaxSegments caps the packets one segmented message carries, from 1 to 64;
	// 0 means 16. It bounds the train one receiver gets without a gap.
	MaxSegments int

	// MTU bounds what may be segmented, in bytes with IP and UDP headers;
	// 0 means 1500. Larger packets are sent alone.
	MTU int

	Disable Disable
}

// Disable switches single mechanisms off, to force each fallback.
type Disable struct {
	Batching      bool // sendmmsg and recvmmsg: the path of other systems
	Segmentation  bool // UDP_SEGMENT
	Coalescing    bool // UDP_GRO
	SendSocket    bool // the second socket outside the poller
	ForcedBuffers bool // raising buffers past net.core.*mem_max with CAP_NET_ADMIN
}

func (cfg Config) withDefaults() (Config, error) {
	if cfg.ReadBuffer == 0 {
		cfg.ReadBuffer = defaultBuffer
	}
	if cfg.WriteBuffer == 0 {
		cfg.WriteBuffer = defaultBuffer
	}
	if cfg.MaxSegments == 0 {
		cfg.MaxSegments = defaultMaxSegments
	}
	if cfg.MTU == 0 {
		cfg.MTU = defaultMTU
	}
	switch {
	case cfg.ReadBuffer < 0 || cfg.WriteBuffer < 0:
		return cfg, errors.New("udpmux: socket buffer sizes must not be negative")
	case cfg.MaxSegments < 1 || cfg.MaxSegments > segmentLimit:
		return cfg, fmt.Errorf("udpmux: segments per message must be between 1 and %d, not %d", segmentLimit, cfg.MaxSegments)
	case cfg.MTU < 576 || cfg.MTU > 1<<16-1:
		return cfg, fmt.Errorf("udpmux: the MTU must be between 576 and 65535, not %d", cfg.MTU)
	}
	return cfg, nil
}

// family says which destinations a socket reaches.
type family int

const (
	familyIPv4 family = iota
	familyIPv6
	familyDual
)

// parseAddr reads Config.Addr. The network is what net.Listen wants: Go opens
// a dual-stack socket for "udp" even where the address is 0.0.0.0.
func parseAddr(s string) (addr netip.AddrPort, network string, fam family, err error) {
	addr, err = netip.ParseAddrPort(s)
	if err != nil {
		return addr, "", 0, fmt.Errorf("udpmux: %q is no listen address; write 0.0.0.0:7882, [::]:7882 or ADDRESS:PORT", s)
	}
	ip := addr.Addr().Unmap()
	addr = netip.AddrPortFrom(ip, addr.Port())
	switch {
	case ip.Is4():
		return addr, "udp4", familyIPv4, nil
	case ip.IsUnspecified():
		return addr, "udp", familyDual, nil
	default:
		return addr, "udp6", familyIPv6, nil
	}
}

// explain turns a failure to listen into a sentence that says how to mend it.
func explain(addr netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("udpmux: UDP port %d is already in use; stop the other process or choose another port: %w", addr.Port(), err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("udpmux: UDP port %d needs the capability CAP_NET_BIND_SERVICE or a port above 1023: %w", addr.Port(), err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("udpmux: this machine does not have the address %s: %w", addr.Addr(), err)
	case errors.Is(err, syscall.EAFNOSUPPORT):
		return fmt.Errorf("udpmux: this machine has no such address family; listen on 0.0.0.0 where IPv6 is off: %w", err)
	default:
		return fmt.Errorf("udpmux: listen on %s: %w", addr, err)
	}
}
