package udpmux

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
)

// While a burst is declared nothing leaves, and at its end all of it has.
func TestBurstHoldsAndEnds(t *testing.T) {
	c, sink := listen(t, Config{}), listen(t, Config{})
	to := at(sink, "127.0.0.1")
	outer := c.Begin()
	inner := c.Begin()
	write := func(p string) {
		t.Helper()
		if _, err := c.WriteToAddrPort([]byte(p), to); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	if n := c.stats.packetsOut.Load(); n != 0 {
		t.Fatalf("%d packets left during the burst", n)
	}
	// The end of any burst flushes what was written during it.
	inner.End()
	if n := c.stats.packetsOut.Load(); n != 1 {
		t.Fatalf("%d packets left at the inner end, want 1", n)
	}
	write("two")
	c.Flush()
	if n := c.stats.packetsOut.Load(); n != 2 {
		t.Fatalf("%d packets left after Flush, want 2", n)
	}
	write("three")
	outer.End()
	if n := c.stats.packetsOut.Load(); n != 3 {
		t.Fatalf("%d packets left at the end, want 3", n)
	}
	write("four")
	if n := c.stats.packetsOut.Load(); n != 4 {
		t.Fatalf("%d packets left without a burst, want 4", n)
	}
	readAll(t, sink, []string{"one", "two", "three", "four"})
	if c.dirty.Load() != 0 {
		t.Error("a shard is marked without packets")
	}
}

// A burst larger than a queue leaves as it fills.
func TestBurstLargerThanQueue(t *testing.T) {
	for name, off := range fallbacks {
		t.Run(name, func(t *testing.T) {
			c, sink := listen(t, Config{Disable: off}), listen(t, Config{})
			want := payloads(1000, 1200)
			burst := c.Begin()
			for _, p := range want {
				if _, err := c.WriteToAddrPort([]byte(p), at(sink, "127.0.0.1")); err != nil {
					t.Fatal(err)
				}
			}
			burst.End()
			readAll(t, sink, want)
		})
	}
}

// A Batch keeps order across all its queues, and beyond them.
func TestBatchLargerThanQueues(t *testing.T) {
	c, sink := listen(t, Config{}), listen(t, Config{})
	want := payloads(1200, 1200) // 1.4 MB: more than a Batch holds
	done := make(chan struct{})
	go func() {
		defer close(done)
		batch := c.NewBatch()
		for _, p := range want {
			room := batch.Reserve(1500)
			if err := batch.Commit(copy(room, p), at(sink, "127.0.0.1")); err != nil {
				t.Error(err)
			}
		}
		if err := batch.Flush(); err != nil {
			t.Error(err)
		}
		if batch.Len() != 0 || batch.Reserve(-1) != nil || batch.Reserve(maxDatagram+1) != nil {
			t.Error("a flushed batch is not as new")
		}
		if err := batch.Commit(10, at(sink, "127.0.0.1")); err == nil {
			t.Error("committed without room")
		}
	}()
	readAll(t, sink, want)
	<-done
}

// Many goroutines, each the only writer to its destination, in bursts that
// overlap and outside any: each destination gets everything in order, and
// nothing stays behind.
func TestOrderUnderConcurrentBursts(t *testing.T) {
	for name, off := range fallbacks {
		t.Run(name, func(t *testing.T) {
			const writers, rounds, perRound, size = 12, 60, 7, 400
			c := listen(t, Config{Addr: "[::]:0", Disable: off, MaxSegments: 3})
			var wg sync.WaitGroup
			for w := range writers {
				addr, host := "127.0.0.1:0", "127.0.0.1"
				if w%2 == 1 {
					addr, host = "[::1]:0", "::1"
				}
				sink := listen(t, Config{Addr: addr})
				to := at(sink, host)
				wg.Go(func() { writeRounds(t, c, to, w, rounds, perRound, size) })
				wg.Go(func() {
					buf := make([]byte, size)
					for want := range uint32(rounds * perRound) {
						n, _, err := sink.ReadFromAddrPort(buf)
						if err != nil {
							t.Errorf("writer %d, packet %d: %v", w, want, err)
							return
						}
						if got := binary.BigEndian.Uint32(buf); got != want || n < 4 {
							t.Errorf("writer %d: packet %d where %d was due", w, got, want)
							return
						}
					}
				})
			}
			wg.Wait()
			if c.bursts.Load() != 0 || c.dirty.Load() != 0 {
				t.Errorf("%d bursts, shards %b left", c.bursts.Load(), c.dirty.Load())
			}
			if got := c.stats.packetsOut.Load(); got != writers*rounds*perRound {
				t.Errorf("%d packets left, want %d", got, writers*rounds*perRound)
			}
		})
	}
}

// writeRounds numbers its packets; two rounds of three are bursts.
func writeRounds(t *testing.T, c *Conn, to netip.AddrPort, writer, rounds, perRound, size int) {
	p := make([]byte, size)
	for round := range rounds {
		var burst Burst
		if (writer+round)%3 != 0 {
			burst = c.Begin()
		}
		for i := range perRound {
			binary.BigEndian.PutUint32(p, uint32(round*perRound+i))
			if _, err := c.WriteToAddrPort(p[:size-i%2], to); err != nil {
				t.Error(err)
			}
		}
		burst.End()
	}
}

// All destinations in one shard: the token and the lock are fought over.
func TestOneShardContended(t *testing.T) {
	const writers, packets = 8, 400
	c, sink := listen(t, Config{}), listen(t, Config{})
	c.burst.shards = c.burst.shards[:1]
	c.burst.shift = 64
	to := at(sink, "127.0.0.1")
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			p := make([]byte, 1300)
			p[0] = byte(w)
			var burst Burst
			for i := range uint32(packets) {
				if w%2 == 0 && i%20 == 0 {
					burst.End()
					burst = c.Begin()
				}
				binary.BigEndian.PutUint32(p[1:], i)
				if _, err := c.WriteToAddrPort(p, to); err != nil {
					t.Error(err)
				}
			}
			burst.End()
		})
	}
	var next [writers]uint32
	buf := make([]byte, 1500)
	for range writers * packets {
		if _, _, err := sink.ReadFromAddrPort(buf); err != nil {
			t.Fatal(err)
		}
		w, got := buf[0], binary.BigEndian.Uint32(buf[1:])
		if got != next[w] {
			t.Fatalf("writer %d: packet %d where %d was due", w, got, next[w])
		}
		next[w]++
	}
	wg.Wait()
	if s := &c.burst.shards[0]; s.fill != nil || s.sending || s.waiters != 0 {
		t.Errorf("shard left with packets %v, sending %v, %d waiters", s.fill != nil, s.sending, s.waiters)
	}
}
