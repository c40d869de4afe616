package udpmux

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func dst(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), 9)
}

// describe gives a message as destination:packets×size/length.
func describe(q *queue) string {
	var out []string
	for _, m := range q.msgs {
		out = append(out, fmt.Sprintf("%d:%dx%d/%d", m.dst.Addr().As4()[3], m.packets, m.size, m.len))
	}
	return strings.Join(out, " ")
}

func TestQueueMerges(t *testing.T) {
	type packet struct{ dst, size int }
	same := func(dst, size, n int) (p []packet) {
		for range n {
			p = append(p, packet{dst, size})
		}
		return p
	}
	for _, c := range []struct {
		name     string
		segments int
		packets  []packet
		want     string
	}{
		{"equal sizes", 8, same(1, 100, 3), "1:3x100/300"},
		{"shorter last", 8, []packet{{1, 100}, {1, 100}, {1, 40}}, "1:3x100/240"},
		{"shorter ends the run", 8, []packet{{1, 100}, {1, 40}, {1, 40}}, "1:2x100/140 1:1x40/40"},
		{"larger starts another", 8, []packet{{1, 100}, {1, 200}, {1, 200}}, "1:1x100/100 1:2x200/400"},
		{"other destination", 8, []packet{{1, 100}, {2, 100}, {1, 100}}, "1:1x100/100 2:1x100/100 1:1x100/100"},
		{"cap", 2, same(1, 100, 5), "1:2x100/200 1:2x100/200 1:1x100/100"},
		{"off", 1, same(1, 100, 2), "1:1x100/100 1:1x100/100"},
		{"too large to segment", 8, same(1, 1500, 2), "1:1x1500/1500 1:1x1500/1500"},
		{"empty packets stay alone", 8, []packet{{1, 0}, {1, 0}, {1, 100}, {1, 0}}, "1:1x0/0 1:1x0/0 1:1x100/100 1:1x0/0"},
		{"datagram's size", 64, same(1, 1400, 48), "1:46x1400/64400 1:2x1400/2800"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newQueue()
			for _, p := range c.packets {
				if room := q.reserve(p.size); len(room) != p.size || cap(room) != p.size {
					t.Fatalf("room for %d of %d", len(room), p.size)
				}
				q.commit(p.size, dst(p.dst), c.segments, 1452)
			}
			if got := describe(q); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if q.packets() != len(c.packets) {
				t.Errorf("%d packets, want %d", q.packets(), len(c.packets))
			}
		})
	}
}

// A key frame for two receivers leaves in turns, each receiver's packets in
// order.
func TestQueueInterleaves(t *testing.T) {
	q := newQueue()
	add := func(to, n int) {
		for range n {
			q.reserve(100)
			q.commit(100, dst(to), 4, 1452)
		}
	}
	add(1, 10) // three messages
	add(2, 6)  // two
	add(3, 1)
	add(1, 4) // again the first: behind its others
	q.interleave()
	want := "1:4x100/400 2:4x100/400 3:1x100/100 1:4x100/400 2:2x100/200 1:2x100/200 1:4x100/400"
	if got := describe(q); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var offs []int
	for _, m := range q.msgs {
		if m.dst == dst(1) {
			offs = append(offs, m.off)
		}
	}
	if !slices.IsSorted(offs) {
		t.Errorf("receiver 1 gets its packets out of order: %v", offs)
	}
	q.reset()
	add(1, 3)
	if q.capped {
		t.Error("a reset queue remembers the cap")
	}
}

func TestQueueFull(t *testing.T) {
	q := newQueue()
	for i := range maxMessages {
		if q.reserve(10) == nil {
			t.Fatalf("full after %d messages", i)
		}
		q.commit(10, dst(i), 8, 1452)
	}
	if q.reserve(1) != nil {
		t.Error("room for one message too many")
	}
	q.reset()
	if q.reserve(maxDatagram) == nil {
		t.Error("an empty queue has no room for the largest datagram")
	}
	q.commit(maxDatagram, dst(1), 8, 1452)
	if q.reserve(arenaSize-maxDatagram+1) != nil {
		t.Error("more room than the arena has")
	}
}
