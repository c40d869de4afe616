package relay

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	ledgerSlots  = 8192
	ledgerMemory = 10 * time.Second
	ledgerCredit = 2048 // bytes
	ledgerRate   = 200  // replies a second to one source, which may be a whole hospital
	nodeRate     = 2000 // replies a second to all
)

// ledger keeps replies to sources that have proven nothing from being of use to
// somebody who forges another's address: a source never gets more bytes than
// came from it. TURN's challenge (56 bytes) is larger than the smallest Allocate
// request (28), so a client over UDP is answered at its first retransmission,
// some 200 ms later, once in a session. Over TCP the handshake proves the
// address, and nothing is kept.
//
// It is a table of fixed size: sources that fall on one slot displace each
// other, which costs them a retransmission.
type ledger struct {
	seed maphash.Seed

	mu    sync.Mutex
	all   *rate.Limiter
	slots []account
}

type account struct {
	source  netip.Addr
	credit  int
	last    time.Time
	second  int64
	replies int
}

func newLedger() *ledger {
	return &ledger{seed: maphash.MakeSeed(), all: rate.NewLimiter(nodeRate, nodeRate), slots: make([]account, ledgerSlots)}
}

// allow books a request of in bytes and reports whether a reply of out bytes
// may be sent.
func (l *ledger) allow(from netip.Addr, in, out int, now time.Time) bool {
	source := prefixOf(from)
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &l.slots[maphash.Comparable(l.seed, source)%uint64(len(l.slots))]
	if a.source != source || now.Sub(a.last) > ledgerMemory {
		*a = account{source: source}
	}
	a.last = now
	a.credit = min(a.credit+in, ledgerCredit)
	if a.second != now.Unix() {
		a.second, a.replies = now.Unix(), 0
	}
	if a.credit < out || a.replies >= ledgerRate || !l.all.AllowN(now, 1) {
		return false
	}
	a.credit -= out
	a.replies++
	return true
}
