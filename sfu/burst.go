package sfu

import (
	"time"

	"github.com/chatmed/chatmed/sfu/forward"
	"github.com/chatmed/chatmed/sfu/udpmux"
)

// Bounds of what a publication holds back within a burst: packets, and bytes of
// them, well below what its ring may overwrite meanwhile.
const (
	maxHeld      = 32
	maxHeldVideo = 48 << 10
	maxHeldAudio = 8 << 10
)

// burst is what one goroutine reads from its socket at a time. Packets for
// several subscribers wait for its end and go out subscriber by subscriber:
// the socket can segment only what is consecutive for one destination, which
// costs less than half as much a packet. The end comes when the socket has
// nothing more to read, never by a timer. Owned by that goroutine.
type burst struct {
	*udpmux.Batch
	held []*publication // that hold packets back
	// partial: the last picture packet forwarded was not the last of its frame.
	partial bool
	linger  linger
}

func newBurst(c *udpmux.Conn) *burst { return &burst{Batch: c.NewBatch()} }

// end sends everything.
func (b *burst) end() {
	b.partial = false
	for i, pub := range b.held {
		r := pub.owner.room
		r.mu.Lock()
		pub.releaseLocked(b)
		r.mu.Unlock()
		b.held[i] = nil
	}
	b.held = b.held[:0]
	b.Flush()
}

// heldPacket is a packet that waits for the end of the burst. It points into
// its layer's ring.
type heldPacket struct {
	packet
	layer *layer
	live  forward.Layers
	now   time.Time
}

// fanOutLocked gives a packet to the subscribers: to a single one at once, to
// several at the end of the burst, for which pkt must point into the ring.
func (pub *publication) fanOutLocked(l *layer, live forward.Layers, pkt *packet, now time.Time, b *burst) {
	if len(pub.held) == 0 {
		if len(pub.subs) <= 1 {
			for _, s := range pub.subs {
				s.takeLocked(l, live, pkt, now, b.Batch)
			}
			return
		}
		b.held = append(b.held, pub)
	}
	pub.held = append(pub.held, heldPacket{packet: *pkt, layer: l, live: live, now: now})
	pub.heldBytes += pkt.Size
	limit := maxHeldVideo
	if pub.kind == "audio" {
		limit = maxHeldAudio
	}
	if len(pub.held) >= maxHeld || pub.heldBytes >= limit {
		pub.releaseLocked(b)
	}
}

// releaseLocked sends what was held back, a subscriber at a time.
func (pub *publication) releaseLocked(b *burst) {
	for _, s := range pub.subs {
		for i := range pub.held {
			h := &pub.held[i]
			s.takeLocked(h.layer, h.live, &h.packet, h.now, b.Batch)
		}
	}
	clear(pub.held)
	pub.held, pub.heldBytes = pub.held[:0], 0
}

// linger decides whether to look at the socket once more before a burst is sent
// that ends in the middle of a frame. Senders write a frame's packets within
// microseconds, and a reader that is woken by the first would send it alone to
// everybody. Looking costs a system call, so it is done only where it pays:
// where frames come spread out, one look in lookRarely is left to notice a
// change. Nothing waits: the socket has the packet or the burst ends.
type linger struct {
	score int // grows with each look that brought something
	since int // looks left out in a row
}

const (
	maxLinger  = 64
	lookRarely = 16
)

// due reports whether to look now.
func (l *linger) due() bool {
	if l.score > maxLinger/4 || l.since >= lookRarely {
		l.since = 0
		return true
	}
	l.since++
	return false
}

// result notes what a look has brought.
func (l *linger) result(found bool) {
	if found {
		l.score = min(l.score+4, maxLinger)
	} else {
		l.score = max(l.score-1, 0)
	}
}
