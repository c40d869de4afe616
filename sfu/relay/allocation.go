package relay

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v4"
)

const (
	defaultLifetime = 10 * time.Minute
	maxLifetime     = time.Hour
	permissionLife  = 5 * time.Minute  // RFC 8656 section 9
	channelLife     = 10 * time.Minute // RFC 8656 section 12

	// RFC 8656 ends the range at 0x4FFF, so that QUIC can share a port; RFC
	// 5766's clients use all of it, and there is no QUIC on this port.
	minChannel, maxChannel = 0x4000, 0x7FFE
	maxChannels            = 16 // of one allocation, which has one peer or two
)

// client is the other end of a 5-tuple: an address on the UDP port, or a
// connection.
type client struct {
	addr   netip.AddrPort
	stream *stream // nil on UDP
}

// allocation is one client's relayed address.
type allocation struct {
	client                client
	participant, username string
	transaction           [stun.TransactionIDSize]byte // that made it
	relayed               netip.AddrPort

	expires atomic.Int64 // Unix nanoseconds

	// What follows is under mu.
	mu          sync.RWMutex
	permissions []permission
	channels    []channel
	last        netip.AddrPort // the peer written to last
}

type permission struct {
	peer  netip.Addr
	until time.Time
}

type channel struct {
	number uint16
	peer   netip.AddrPort
	until  time.Time
}

func (a *allocation) alive(now time.Time) bool { return now.UnixNano() < a.expires.Load() }

func (a *allocation) extend(now time.Time, life time.Duration) {
	a.expires.Store(now.Add(life).UnixNano())
}

// permit installs or refreshes a permission.
func (a *allocation) permit(peer netip.Addr, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.permitLocked(peer, now)
}

func (a *allocation) permitLocked(peer netip.Addr, now time.Time) {
	for i := range a.permissions {
		if a.permissions[i].peer == peer {
			a.permissions[i].until = now.Add(permissionLife)
			return
		}
	}
	a.permissions = append(a.permissions, permission{peer, now.Add(permissionLife)})
}

func (a *allocation) permittedLocked(peer netip.Addr, now time.Time) bool {
	for _, p := range a.permissions {
		if p.peer == peer {
			return now.Before(p.until)
		}
	}
	return false
}

// bind binds or refreshes a channel; false when number and peer are bound
// otherwise (RFC 8656 section 12.2). A binding installs a permission.
func (a *allocation) bind(number uint16, peer netip.AddrPort, now time.Time) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := a.channels[:0]
	for _, c := range a.channels {
		if now.Before(c.until) {
			kept = append(kept, c)
		}
	}
	a.channels = kept
	for i := range a.channels {
		c := &a.channels[i]
		if (c.number == number) != (c.peer == peer) {
			return codeBadRequest
		}
		if c.number == number {
			c.until = now.Add(channelLife)
			a.permitLocked(peer.Addr(), now)
			return 0
		}
	}
	if len(a.channels) == maxChannels {
		return codeCapacity
	}
	a.channels = append(a.channels, channel{number, peer, now.Add(channelLife)})
	a.permitLocked(peer.Addr(), now)
	return 0
}

// toPeer is where a channel leads, when it may be written to.
func (a *allocation) toPeer(number uint16, now time.Time) (netip.AddrPort, bool) {
	a.mu.RLock()
	var peer netip.AddrPort
	ok := false
	for _, c := range a.channels {
		if c.number == number && now.Before(c.until) && a.permittedLocked(c.peer.Addr(), now) {
			peer, ok = c.peer, true
			break
		}
	}
	same := a.last == peer
	a.mu.RUnlock()
	if ok && !same {
		a.wroteTo(peer)
	}
	return peer, ok
}

// permitted reports whether a datagram may go to peer.
func (a *allocation) permitted(peer netip.AddrPort, now time.Time) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.permittedLocked(peer.Addr(), now)
}

func (a *allocation) wroteTo(peer netip.AddrPort) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = peer
}

// fromPeer says as which peer the media path writes to this client, over which
// channel (0: none), and whether it may.
func (a *allocation) fromPeer(now time.Time) (peer netip.AddrPort, number uint16, ok bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if peer = a.last; !peer.IsValid() || !a.permittedLocked(peer.Addr(), now) {
		return peer, 0, false
	}
	for _, c := range a.channels {
		if c.peer == peer && now.Before(c.until) {
			return peer, c.number, true
		}
	}
	return peer, 0, true
}
