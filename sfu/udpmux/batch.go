package udpmux

import (
	"net"
	"net/netip"
)

// heldQueues is how many full queues (of 128 KiB) a Batch holds before it sends
// ahead of Flush.
const heldQueues = 8

// Batch gathers the packets of one burst. It belongs to one goroutine, or to
// whoever holds the lock its owner guards it with; different Batches of one
// Conn may be used at the same time. An idle Batch holds no memory and needs no
// closing.
//
// Reserve, Commit and WriteTo make no system call until 1 MiB is queued, so
// they may be called under a lock; Flush should be called after releasing it.
type Batch struct {
	conn *Conn
	q    *queue // being filled; nil when nothing is queued
	full [heldQueues]*queue
	held int
}

// NewBatch returns an empty Batch.
func (c *Conn) NewBatch() *Batch { return &Batch{conn: c} }

// Reserve returns room for a packet of n bytes, to be filled and committed, or
// given up by calling Reserve again. It returns nil when n is negative or larger than any
// UDP datagram.
func (b *Batch) Reserve(n int) []byte {
	if n < 0 || n > maxDatagram {
		return nil
	}
	if b.q != nil {
		if p := b.q.reserve(n); p != nil {
			return p
		}
		if b.held == heldQueues {
			_ = b.Flush() // what is lost is counted
		} else {
			b.full[b.held] = b.q
			b.held++
			b.q = nil
		}
	}
	if b.q == nil {
		b.q = b.conn.queues.get()
	}
	return b.q.reserve(n)
}

// Commit queues the first n bytes of the room reserved last for dst. After an
// error the room is still reserved.
func (b *Batch) Commit(n int, dst netip.AddrPort) error {
	c := b.conn
	dst, err := c.destination(dst)
	if err != nil {
		return err
	}
	if b.q == nil || n < 0 || b.q.used+n > len(b.q.arena) {
		return errReserve
	}
	b.q.commit(n, dst, int(c.limits.segments.Load()), c.limits.size)
	return nil
}

// WriteTo queues a copy of p for dst.
func (b *Batch) WriteTo(p []byte, dst netip.AddrPort) (int, error) {
	room := b.Reserve(len(p))
	if room == nil {
		b.conn.stats.drop(dropTooLarge, 1)
		return 0, errTooLarge
	}
	if err := b.Commit(copy(room, p), dst); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Len is the number of packets queued.
func (b *Batch) Len() int {
	n := 0
	for _, q := range b.full[:b.held] {
		n += q.packets()
	}
	if b.q != nil {
		n += b.q.packets()
	}
	return n
}

// Flush sends what is queued. Packets the kernel has no room for are dropped
// and counted; after Conn.Close all are, and Flush returns net.ErrClosed.
func (b *Batch) Flush() error {
	if b.q == nil && b.held == 0 {
		return nil
	}
	ok := true
	for i, q := range b.full[:b.held] {
		ok = b.conn.transmit(q) && ok
		b.conn.queues.put(q)
		b.full[i] = nil
	}
	b.held = 0
	if b.q != nil {
		ok = b.conn.transmit(b.q) && ok
		b.conn.queues.put(b.q)
		b.q = nil
	}
	if !ok {
		return net.ErrClosed
	}
	return nil
}
