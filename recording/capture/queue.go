package capture

import (
	"sync"
	"time"

	"github.com/chatmed/chatmed/sfu"
)

// limits bound what waits for the storage.
type limits struct {
	bytes  int           // of payload
	items  int           // packets and reports
	behind time.Duration // age of the oldest thing that is not on disk
	each   time.Duration // between two frames
	watch  time.Duration // between two looks at the age
}

// A consultation of four has some 6 Mbit/s, so that 16 MiB last twice as long as
// the storage may take.
const (
	maxBytes   = 16 << 20
	maxItems   = 64 << 10
	maxBehind  = 10 * time.Second
	frameEach  = 500 * time.Millisecond
	watchEvery = 500 * time.Millisecond
	maxNotes   = 1024 // of drops, in a batch
	firstBytes = 256 << 10
	firstItems = 1 << 10
	keepBytes  = 2 << 20
)

func (l limits) withDefaults() limits {
	if l.bytes == 0 {
		l.bytes = maxBytes
	}
	if l.items == 0 {
		l.items = maxItems
	}
	if l.behind == 0 {
		l.behind = maxBehind
	}
	if l.each == 0 {
		l.each = frameEach
	}
	if l.watch == 0 {
		l.watch = watchEvery
	}
	return l
}

type itemKind uint8

const (
	itemPacket itemKind = iota
	itemReport
	itemGate
	itemMuted
	itemPeople
	itemEnd
)

// item is one thing to write down.
type item struct {
	kind        itemKind
	start       bool
	marker      bool
	key         bool
	on          bool // of gate and muted
	orientation int8
	codec       string
	stream      *sfu.Stream
	at          time.Time
	ext         uint64 // of a report: its NTP time
	ts          uint32
	off, size   int    // payload, in the batch's data
	who, what   string // participant and source; the reason of a gate or the end
	people      []Person
}

// drop is a run of packets of one stream that found the queue full.
type drop struct {
	stream   *sfu.Stream
	min, max uint64 // extended sequence numbers
	start    bool
	packets  int64
	from, to time.Time
}

type batch struct {
	items []item
	data  []byte
	drops []drop // after the items
	first time.Time
}

func (b *batch) empty() bool { return len(b.items) == 0 && len(b.drops) == 0 }

func (b *batch) clear() {
	clear(b.items)
	clear(b.drops)
	b.items, b.data, b.drops, b.first = b.items[:0], b.data[:0], b.drops[:0], time.Time{}
}

// queue is between the room and the writer: two batches, one of which is filled
// while the other is written. It is the Sink of the tap. Its lock is held for a
// copy or an exchange only. Lock order: SFU.mu, Room.mu, queue.mu.
type queue struct {
	limits  limits
	metrics *Metrics
	kick    chan struct{} // half full

	mu     sync.Mutex
	in     batch
	spare  batch
	full   bool // until the next take, so that what is dropped is one piece
	over   bool // nothing is taken any more
	reason string
	inHand time.Time // of the oldest thing the writer has
}

func newQueue(l limits, m *Metrics) *queue {
	q := &queue{limits: l, metrics: m, kick: make(chan struct{}, 1)}
	for _, b := range []*batch{&q.in, &q.spare} {
		b.items, b.data = make([]item, 0, firstItems), make([]byte, 0, firstBytes)
	}
	return q
}

// Packet copies a packet.
func (q *queue) Packet(p *sfu.Packet) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := &q.in
	if q.over || q.full || len(b.items) >= q.limits.items || len(b.data)+len(p.Payload) > q.limits.bytes {
		q.full = true
		q.dropLocked(p)
		return
	}
	q.addLocked(item{
		kind: itemPacket, start: p.Start, marker: p.Marker, key: p.KeyFrame, orientation: p.Orientation,
		codec: p.Codec, stream: p.Stream, at: p.At, ext: p.ExtSeq, ts: p.Timestamp, off: len(b.data), size: len(p.Payload),
	})
	b.data = append(b.data, p.Payload...)
	if len(b.items) == q.limits.items/2 || len(b.data) >= q.limits.bytes/2 {
		select {
		case q.kick <- struct{}{}:
		default:
		}
	}
}

// addLocked appends an item. An item that is no packet is small and rare.
func (q *queue) addLocked(it item) {
	if q.over {
		return
	}
	if q.in.first.IsZero() && it.kind != itemReport { // a report may have come long before
		q.in.first = it.at
	}
	q.in.items = append(q.in.items, it)
}

func (q *queue) dropLocked(p *sfu.Packet) {
	q.metrics.drop(p.Stream.Kind, 1)
	if q.in.first.IsZero() {
		q.in.first = p.At
	}
	drops := q.in.drops
	for i := len(drops) - 1; i >= 0; i-- {
		d := &drops[i]
		if d.stream != p.Stream {
			continue
		}
		if !p.Start && (p.ExtSeq == d.max+1 || len(drops) >= maxNotes) {
			d.max, d.min = max(d.max, p.ExtSeq), min(d.min, p.ExtSeq)
			d.packets++
			d.to = p.At
			return
		}
		break
	}
	q.in.drops = append(drops, drop{stream: p.Stream, min: p.ExtSeq, max: p.ExtSeq, start: p.Start, packets: 1, from: p.At, to: p.At})
}

// Report copies a sender report.
func (q *queue) Report(s *sfu.Stream, at time.Time, ntp uint64, rtp uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.in.items) < q.limits.items {
		q.addLocked(item{kind: itemReport, stream: s, at: at, ext: ntp, ts: rtp})
	}
}

// Gate notes that the tap has opened or shut.
func (q *queue) Gate(open bool, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := item{kind: itemGate, on: open, at: at}
	if !open {
		it.what = q.reason
	}
	q.addLocked(it)
}

// Muted notes that a source is muted or not.
func (q *queue) Muted(participantID, source string, muted bool, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.in.items) < 2*q.limits.items { // a client could mute and unmute for ever
		q.addLocked(item{kind: itemMuted, who: participantID, what: source, on: muted, at: at})
	}
}

// know tells who is who, before packets of theirs.
func (q *queue) know(people []Person, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addLocked(item{kind: itemPeople, people: append([]Person(nil), people...), at: at})
}

// setReason is what the next shutting is put down to.
func (q *queue) setReason(reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reason = reason
}

// end is the last thing.
func (q *queue) end(at time.Time, reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addLocked(item{kind: itemEnd, what: reason, at: at})
	q.over = true
}

// stop has the queue take nothing more, for the storage has failed.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
}

// take exchanges the batches. The one returned is the caller's until give.
func (q *queue) take() batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.in
	q.in, q.spare = q.spare, batch{}
	q.full, q.inHand = false, b.first
	return b
}

// give returns a batch that is on disk. What a flood has made of it is let go.
func (q *queue) give(b batch) {
	if cap(b.data) > keepBytes && len(b.data) < cap(b.data)/8 {
		b.data = make([]byte, 0, firstBytes)
	}
	b.clear()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spare, q.inHand = b, time.Time{}
}

// behind is the age of the oldest thing that is not on disk.
func (q *queue) behind(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	oldest := q.inHand
	if oldest.IsZero() {
		oldest = q.in.first
	}
	if oldest.IsZero() {
		return 0
	}
	return now.Sub(oldest)
}
