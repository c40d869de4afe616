package relay

import (
	"net/netip"
	"sync"
	"time"
)

// firstPort keeps relayed addresses clear of well-known ports, which browsers
// and firewalls may think ill of.
const firstPort = 1024

// sink is what stands behind a virtual address.
type sink interface {
	// fromMedia sends p to the client.
	fromMedia(p []byte, now time.Time) error
}

// table gives out virtual addresses. Ports go round, so that one is not used
// again before tens of thousands of others were.
type table struct {
	ip [2]netip.Addr // IPv4, IPv6

	mu    sync.RWMutex
	sinks map[netip.AddrPort]sink
	next  [2]uint16
}

func newTable(ip4, ip6 netip.Addr) *table {
	return &table{ip: [2]netip.Addr{ip4, ip6}, sinks: map[netip.AddrPort]sink{}, next: [2]uint16{firstPort, firstPort}}
}

// add gives the sink that make makes for it an address; ok is false when all
// are taken.
func (t *table) add(six, even bool, make func(netip.AddrPort) sink) (netip.AddrPort, bool) {
	f := 0
	if six {
		f = 1
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for range 1 << 16 {
		port := t.next[f]
		if t.next[f]++; t.next[f] < firstPort { // came round
			t.next[f] = firstPort
		}
		a := netip.AddrPortFrom(t.ip[f], port)
		if _, taken := t.sinks[a]; taken || even && port%2 != 0 {
			continue
		}
		t.sinks[a] = make(a)
		return a, true
	}
	return netip.AddrPort{}, false
}

func (t *table) get(a netip.AddrPort) sink {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.sinks[a]
}

func (t *table) remove(a netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sinks, a)
}
