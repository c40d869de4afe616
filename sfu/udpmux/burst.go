package udpmux

import (
	"encoding/binary"
	"math/bits"
	"net"
	"net/netip"
	"runtime"
	"sync"
)

const (
	// maxShards is the width of the bitmap of shards that hold packets.
	maxShards = 64
	// maxRounds is how often a token's holder sends for others before the next
	// who asks waits to take the token over. Otherwise a holder could be kept
	// from its own work for as long as others write.
	maxRounds = 4
)

// shard gathers what is written while a burst is declared, for the
// destinations that hash to it.
type shard struct {
	mu      sync.Mutex
	changed *sync.Cond // sending fell, or the full queue was taken
	fill    *queue     // nil when nothing is queued
	sending bool       // the token: one goroutine sends for this shard
	again   bool       // the holder must look at fill again
	rounds  int        // queues the holder has sent
	waiters int        // for changed
}

// burstState is the write side that WriteToAddrPort and Burst share.
type burstState struct {
	shards []shard
	shift  int // 64 - log2(len(shards))
}

func newBurstState() burstState {
	// Four to a core, so that two goroutines seldom meet in one.
	n := min(max(4*runtime.GOMAXPROCS(0), 8), maxShards)
	log2 := bits.Len(uint(n - 1))
	s := burstState{shards: make([]shard, 1<<log2), shift: 64 - log2}
	for i := range s.shards {
		s.shards[i].changed = sync.NewCond(&s.shards[i].mu)
	}
	return s
}

// index spreads destinations over the shards (Fibonacci hashing).
func (s *burstState) index(dst netip.AddrPort) int {
	a := dst.Addr().As16()
	x := binary.LittleEndian.Uint64(a[:8]) ^ binary.LittleEndian.Uint64(a[8:])
	x ^= uint64(dst.Port()) << 16
	return int((x * 0x9E3779B97F4A7C15) >> s.shift)
}

// Burst is a stretch of writes that should leave together.
type Burst struct{ conn *Conn }

// Begin declares a burst: until its End, packets written by any goroutine may
// be held back. Bursts may overlap and nest.
func (c *Conn) Begin() Burst {
	c.bursts.Add(1)
	return Burst{conn: c}
}

// End sends what has been gathered. A second End does nothing.
func (b *Burst) End() {
	c := b.conn
	if c == nil {
		return
	}
	b.conn = nil
	c.bursts.Add(-1)
	c.Flush()
}

// Flush sends what has been gathered so far, in the midst of a burst.
func (c *Conn) Flush() {
	for set := c.dirty.Load(); set != 0; set &= set - 1 {
		c.flushShard(bits.TrailingZeros64(set))
	}
}

func (c *Conn) flushShard(i int) {
	s := &c.burst.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	c.flushLocked(i)
}

// flushLocked sends what the shard holds or leaves it to the token's holder.
func (c *Conn) flushLocked(i int) {
	s := &c.burst.shards[i]
	for s.sending && s.fill != nil {
		s.again = true
		if s.rounds < maxRounds {
			return
		}
		s.waitLocked()
	}
	if s.fill != nil {
		c.drainLocked(i)
	}
}

// waitLocked waits for the token's holder: for its system call, which doesn't
// block, not for the network.
func (s *shard) waitLocked() {
	s.waiters++
	s.changed.Wait()
	s.waiters--
}

// WriteToAddrPort sends p to dst, or queues a copy while a burst is declared.
// It never waits for room in the socket: a packet that finds none is dropped,
// counted, and reported as sent.
func (c *Conn) WriteToAddrPort(p []byte, dst netip.AddrPort) (int, error) {
	dst, err := c.destination(dst)
	if err != nil {
		return 0, err
	}
	if len(p) > maxDatagram {
		c.stats.drop(dropTooLarge, 1)
		return 0, errTooLarge
	}
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	i := c.burst.index(dst)
	s := &c.burst.shards[i]
	s.mu.Lock()
	if c.bursts.Load() == 0 && !s.sending && s.fill == nil {
		err = c.sendOneLocked(i, p, dst)
	} else {
		c.enqueueLocked(i, p, dst)
	}
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// sendOneLocked sends p from the caller's buffer. It holds the token, so what is
// written to the shard meanwhile follows p.
func (c *Conn) sendOneLocked(i int, p []byte, dst netip.AddrPort) error {
	s := &c.burst.shards[i]
	s.sending, s.rounds = true, 0
	s.mu.Unlock()
	err := net.ErrClosed
	if c.gate.enter() {
		err = c.backend.sendOne(p, dst)
		c.gate.leave()
	}
	s.mu.Lock()
	s.sending = false
	if s.again && s.fill != nil {
		c.drainLocked(i)
	} else if s.waiters > 0 {
		s.changed.Broadcast()
	}
	return err
}

func (c *Conn) enqueueLocked(i int, p []byte, dst netip.AddrPort) {
	s := &c.burst.shards[i]
	var room []byte
	for {
		if s.fill == nil {
			s.fill = c.queues.get()
		}
		if room = s.fill.reserve(len(p)); room != nil {
			break
		}
		if !s.sending {
			c.drainLocked(i)
			continue
		}
		s.again = true
		s.waitLocked()
	}
	s.fill.commit(copy(room, p), dst, int(c.limits.segments.Load()), c.limits.size)
	// The bit is set before bursts is read again, and End lowers bursts before
	// it reads the bits: either End sees the packet or we see that it is over.
	if bit := uint64(1) << i; c.dirty.Load()&bit == 0 {
		c.dirty.Or(bit)
	}
	if c.bursts.Load() == 0 || s.again {
		c.flushLocked(i)
	}
}

// drainLocked takes the token and sends the queue, and once more whenever
// somebody asked for it meanwhile. The lock is free during each system call.
func (c *Conn) drainLocked(i int) {
	s := &c.burst.shards[i]
	s.sending = true
	for s.rounds = 1; ; s.rounds++ {
		q := s.fill
		s.fill, s.again = nil, false
		c.dirty.And(^(uint64(1) << i))
		if s.waiters > 0 {
			s.changed.Broadcast()
		}
		s.mu.Unlock()
		c.transmit(q)
		c.queues.put(q)
		s.mu.Lock()
		if !s.again || s.fill == nil {
			s.again = false
			break
		}
		if s.rounds >= maxRounds && s.waiters > 0 {
			break // again stays set: a waiter takes over
		}
	}
	s.sending = false
	if s.waiters > 0 {
		s.changed.Broadcast()
	}
}

// drainShards sends everything and waits until nobody sends.
func (c *Conn) drainShards() {
	for i := range c.burst.shards {
		s := &c.burst.shards[i]
		s.mu.Lock()
		for s.sending {
			s.waitLocked()
		}
		if s.fill != nil {
			c.drainLocked(i)
		}
		s.mu.Unlock()
	}
}
