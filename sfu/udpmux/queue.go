package udpmux

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

const (
	// maxDatagram is the largest UDP payload over IPv4.
	maxDatagram = 65507
	// arenaSize holds one largest datagram at least, and about 110 packets of
	// video.
	arenaSize   = 128 << 10
	maxMessages = 64
	// keptQueues bounds the queues kept for reuse.
	keptQueues = 32
)

// message is a run of packets to one destination, contiguous in the arena.
type message struct {
	dst      netip.AddrPort
	off, len int
	size     int // of every packet but the last, which may be shorter
	packets  int
}

// queue holds packets to be sent together. It has one owner at a time.
type queue struct {
	arena  []byte
	used   int
	msgs   []message
	open   bool // the last message may take another packet
	capped bool // a run was cut because it had reached the cap
	vec    *vector
}

func newQueue() *queue {
	return &queue{arena: make([]byte, arenaSize), msgs: make([]message, 0, maxMessages)}
}

// reserve returns room for a packet of n bytes, nil when the queue must be sent
// first. An empty queue has room for any datagram.
func (q *queue) reserve(n int) []byte {
	if len(q.msgs) == maxMessages || q.used+n > len(q.arena) {
		return nil
	}
	return q.arena[q.used : q.used+n : q.used+n]
}

// commit queues the first n bytes of the room reserved last.
func (q *queue) commit(n int, dst netip.AddrPort, segments, maxSize int) {
	same := false
	if last := len(q.msgs) - 1; q.open && q.msgs[last].dst == dst {
		m := &q.msgs[last]
		fits := n > 0 && n <= m.size && m.len+n <= maxDatagram
		if fits && m.packets < segments {
			m.len += n
			m.packets++
			q.used += n
			q.open = n == m.size
			return
		}
		same = fits
	}
	q.capped = q.capped || same
	q.msgs = append(q.msgs, message{dst: dst, off: q.used, len: n, size: n, packets: 1})
	q.used += n
	q.open = segments > 1 && n > 0 && n <= maxSize
}

// packets counts what is queued.
func (q *queue) packets() int {
	n := 0
	for i := range q.msgs {
		n += q.msgs[i].packets
	}
	return n
}

// data is the payload of m, its packets one after another.
func (q *queue) data(m *message) []byte { return q.arena[m.off : m.off+m.len] }

// interleave deals the messages out in turns: the first of each destination,
// then the second of each, and so on. It keeps the order of each destination.
func (q *queue) interleave() {
	if !q.capped {
		return
	}
	var rank [maxMessages]int
	for i := range q.msgs {
		for j := i - 1; j >= 0; j-- {
			if q.msgs[j].dst == q.msgs[i].dst {
				rank[i] = rank[j] + 1
				break
			}
		}
	}
	for i := 1; i < len(q.msgs); i++ { // a stable sort that allocates nothing
		m, r := q.msgs[i], rank[i]
		j := i
		for ; j > 0 && rank[j-1] > r; j-- {
			q.msgs[j], rank[j] = q.msgs[j-1], rank[j-1]
		}
		q.msgs[j], rank[j] = m, r
	}
}

func (q *queue) reset() {
	q.msgs = q.msgs[:0]
	q.used, q.open, q.capped = 0, false, false
}

// queuePool lends queues, so that a Batch costs memory only while it holds
// packets. sync.Pool would lose them to each collection.
type queuePool struct {
	prepare func(*queue)
	last    atomic.Pointer[queue] // returned last; spares the lock

	mu   sync.Mutex
	free []*queue
}

func (p *queuePool) get() *queue {
	if q := p.last.Swap(nil); q != nil {
		return q
	}
	p.mu.Lock()
	if n := len(p.free); n > 0 {
		q := p.free[n-1]
		p.free = p.free[:n-1]
		p.mu.Unlock()
		return q
	}
	p.mu.Unlock()
	q := newQueue()
	p.prepare(q)
	return q
}

func (p *queuePool) put(q *queue) {
	q.reset()
	if p.last.CompareAndSwap(nil, q) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < keptQueues {
		p.free = append(p.free, q)
	}
}
