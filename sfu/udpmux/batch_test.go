package udpmux

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
)

// A Batch keeps order across all its queues, and beyond them.
func TestBatchLargerThanQueues(t *testing.T) {
	for name, off := range fallbacks {
		t.Run(name, func(t *testing.T) {
			c, sink := listen(t, Config{Disable: off}), listen(t, Config{})
			want := payloads(1200, 1200) // 1.4 MB: more than a Batch holds
			done := make(chan struct{})
			go func() {
				defer close(done)
				fillAndFlush(t, c.NewBatch(), want, at(sink, "127.0.0.1"))
			}()
			readAll(t, sink, want)
			<-done
		})
	}
}

func fillAndFlush(t *testing.T, batch *Batch, packets []string, to netip.AddrPort) {
	for _, p := range packets {
		room := batch.Reserve(1500)
		if err := batch.Commit(copy(room, p), to); err != nil {
			t.Error(err)
		}
	}
	if err := batch.Flush(); err != nil {
		t.Error(err)
	}
	if batch.Len() != 0 || batch.Reserve(-1) != nil || batch.Reserve(maxDatagram+1) != nil {
		t.Error("a flushed batch is not as new")
	}
	if err := batch.Commit(10, to); err == nil {
		t.Error("committed without room")
	}
}

// A batch that holds nothing flushes nothing, also when room was reserved.
func TestEmptyBatch(t *testing.T) {
	c := listen(t, Config{})
	batch := c.NewBatch()
	for range 2 {
		if err := batch.Flush(); err != nil {
			t.Error(err)
		}
		batch.Reserve(100)
	}
	if err := batch.Flush(); err != nil {
		t.Error(err)
	}
	if n := c.stats.packetsOut.Load(); n != 0 {
		t.Errorf("%d packets left", n)
	}
}

// Many goroutines with a Batch each, each the only writer to its destination,
// in bursts and packet by packet: each destination gets everything in order.
func TestOrderUnderConcurrentBatches(t *testing.T) {
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
				wg.Go(func() { readNumbered(t, sink, rounds*perRound) })
			}
			wg.Wait()
			if got := c.stats.packetsOut.Load(); got != writers*rounds*perRound {
				t.Errorf("%d packets left, want %d", got, writers*rounds*perRound)
			}
		})
	}
}

// writeRounds numbers its packets; one round of three goes out packet by
// packet, and one of those without a Batch.
func writeRounds(t *testing.T, c *Conn, to netip.AddrPort, writer, rounds, perRound, size int) {
	p := make([]byte, size)
	batch := c.NewBatch()
	for round := range rounds {
		kind := (writer + round) % 6
		for i := range perRound {
			binary.BigEndian.PutUint32(p, uint32(round*perRound+i))
			var err error
			if kind == 0 {
				_, err = c.WriteToAddrPort(p[:size-i%2], to)
			} else if _, err = batch.WriteTo(p[:size-i%2], to); err == nil && kind == 3 {
				err = batch.Flush()
			}
			if err != nil {
				t.Error(err)
			}
		}
		if err := batch.Flush(); err != nil {
			t.Error(err)
		}
	}
}

func readNumbered(t *testing.T, c *Conn, packets int) {
	buf := make([]byte, 2000)
	for want := range uint32(packets) {
		n, _, err := c.ReadFromAddrPort(buf)
		if err != nil || n < 4 {
			t.Errorf("packet %d: %d bytes, %v", want, n, err)
			return
		}
		if got := binary.BigEndian.Uint32(buf); got != want {
			t.Errorf("packet %d where %d was due", got, want)
			return
		}
	}
}

// Many Batches write to one destination: each one's packets stay in order.
func TestManyBatchesOneDestination(t *testing.T) {
	const writers, packets = 8, 400
	c, sink := listen(t, Config{}), listen(t, Config{})
	to := at(sink, "127.0.0.1")
	var wg sync.WaitGroup
	defer wg.Wait()
	for w := range writers {
		wg.Go(func() {
			batch := c.NewBatch()
			p := make([]byte, 1300)
			p[0] = byte(w)
			for i := range uint32(packets) {
				binary.BigEndian.PutUint32(p[1:], i)
				if _, err := batch.WriteTo(p, to); err != nil {
					t.Error(err)
				}
				if i%uint32(w+1) == 0 || i == packets-1 {
					if err := batch.Flush(); err != nil {
						t.Error(err)
					}
				}
			}
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
}

// A key frame of 60 packets to each of several receivers: no message carries
// more than MaxSegments, receivers get theirs in turns, and each gets all of it
// in order.
func TestKeyFrameIsCutAndInterleaved(t *testing.T) {
	const packets, size, segments, receivers = 60, 500, 16, 3
	c := listen(t, Config{MaxSegments: segments})
	var sinks []*Conn
	for range receivers {
		sinks = append(sinks, listen(t, Config{}))
	}
	want := payloads(packets, size)
	batch := c.NewBatch()
	for _, sink := range sinks {
		for _, p := range want {
			if _, err := batch.WriteTo([]byte(p), at(sink, "127.0.0.1")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if batch.held != 0 {
		t.Fatal("the key frames fill more than one queue")
	}
	batch.q.interleave()
	for i, m := range batch.q.msgs {
		if m.packets > segments {
			t.Errorf("message %d carries %d packets", i, m.packets)
		}
		if to := at(sinks[i%receivers], "127.0.0.1"); m.dst != to {
			t.Errorf("message %d goes to %v, not to %v whose turn it is", i, m.dst, to)
		}
	}
	if got, want := len(batch.q.msgs), receivers*((packets+segments-1)/segments); got != want {
		t.Errorf("%d messages, want %d", got, want)
	}
	if err := batch.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, sink := range sinks {
		readAll(t, sink, want)
	}
}

// The same for a single receiver: nobody to take turns with, and still no
// message beyond the cap, whatever the cap.
func TestKeyFrameToOne(t *testing.T) {
	for _, segments := range []int{1, 7, 16, segmentLimit} {
		c, sink := listen(t, Config{MaxSegments: segments}), listen(t, Config{})
		want := payloads(60, 1200)
		batch := c.NewBatch()
		for _, p := range want {
			if _, err := batch.WriteTo([]byte(p), at(sink, "127.0.0.1")); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range batch.q.msgs {
			if m.packets > segments || m.len > maxDatagram {
				t.Errorf("a message of %d packets, %d bytes with a cap of %d", m.packets, m.len, segments)
			}
		}
		if err := batch.Flush(); err != nil {
			t.Fatal(err)
		}
		readAll(t, sink, want)
	}
}
