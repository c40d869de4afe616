package relay

import (
	"crypto/tls"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v4"
)

const (
	// behindLimit is how old a packet may be when it is written: what comes
	// later than that is of no use to a call, and would make all that follows
	// late too.
	behindLimit  = 200 * time.Millisecond
	queueLimit   = 256 << 10 // bytes
	writeSize    = 16 << 10  // of one write, one TLS record
	writeTimeout = 10 * time.Second

	// firstTimeout is how long a connection may take to prove itself, idle
	// how long one that has may be silent: TURN refreshes before its lifetime
	// is over, ICE checks its consent every few seconds.
	firstTimeout = 15 * time.Second
	idleTURN     = defaultLifetime + time.Minute
	idleFramed   = time.Minute

	unprovenAnswers = 32
)

// transactionID need not be secret in an indication.
func transactionID() (id [stun.TransactionIDSize]byte) {
	a, b := rand.Uint64(), rand.Uint32()
	for i := range 8 {
		id[i] = byte(a >> (8 * i))
	}
	for i := range 4 {
		id[8+i] = byte(b >> (8 * i))
	}
	return id
}

// packet waits to be written. It is whole: framing included.
type packet struct {
	buf     *[]byte
	since   time.Time
	control bool // a response, which is not dropped for its age
}

// stream is the writing half of a connection. Packets wait in a bounded queue
// for the one goroutine that writes; those that have waited too long are dropped
// whole, so that a slow socket lowers quality and does not add delay.
type stream struct {
	s    *Server
	conn net.Conn
	wake chan struct{} // holds one
	// single writes each message alone: some clients, coturn's among them, take
	// a TLS record for a message.
	single bool
	done   chan struct{} // closed by close

	isProven atomic.Bool  // the client has shown that it is one of ours
	last     atomic.Int64 // Unix nanoseconds of the newest put

	// What follows is under mu.
	mu      sync.Mutex
	queue   []packet
	bytes   int
	closed  bool
	answers int
}

func newStream(s *Server, conn net.Conn) *stream {
	_, tls := conn.(interface{ ConnectionState() tls.ConnectionState })
	return &stream{s: s, conn: conn, wake: make(chan struct{}, 1), done: make(chan struct{}), single: tls}
}

// put queues a copy of p; false when it was dropped.
func (w *stream) put(p []byte, control bool) bool {
	now := w.s.cfg.Now()
	w.last.Store(now.UnixNano())
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		w.s.metrics.drop(dropClosed)
		return false
	}
	w.dropOldLocked(now)
	if w.bytes+len(p) > queueLimit {
		w.mu.Unlock()
		w.s.metrics.drop(dropFull)
		return false
	}
	buf := w.s.buffers.Get().(*[]byte)
	*buf = append((*buf)[:0], p...)
	w.queue = append(w.queue, packet{buf, now, control})
	w.bytes += len(p)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default: // the writer is awake
	}
	return true
}

// dropOldLocked drops what has waited too long, and keeps the order of the rest.
func (w *stream) dropOldLocked(now time.Time) {
	kept := w.queue[:0]
	for i, p := range w.queue {
		if now.Sub(p.since) <= behindLimit {
			if len(kept) == i { // nothing dropped, and none older follows
				return
			}
			kept = append(kept, w.queue[i:]...)
			break
		}
		if p.control {
			kept = append(kept, p)
			continue
		}
		w.bytes -= len(*p.buf)
		w.s.buffers.Put(p.buf)
		w.s.metrics.drop(dropBehind)
	}
	clear(w.queue[len(kept):])
	w.queue = kept
}

// take moves what is to be written next into out.
func (w *stream) take(out []byte) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropOldLocked(w.s.cfg.Now())
	n := 0
	for ; n < len(w.queue) && (n == 0 || !w.single) && len(out)+len(*w.queue[n].buf) <= writeSize; n++ {
		out = append(out, *w.queue[n].buf...)
		w.s.buffers.Put(w.queue[n].buf)
	}
	rest := copy(w.queue, w.queue[n:])
	clear(w.queue[rest:])
	w.queue = w.queue[:rest]
	w.bytes -= len(out)
	return out
}

// write runs until the connection fails or is closed.
func (w *stream) write() {
	defer w.close()
	var out []byte // grows to what this connection needs
	for {
		select {
		case <-w.done:
			return
		case <-w.wake:
		}
		for out = w.take(out[:0]); len(out) > 0; out = w.take(out[:0]) {
			if w.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
				return
			}
			if _, err := w.conn.Write(out); err != nil {
				return
			}
		}
	}
}

// close ends both halves. What waits is dropped.
func (w *stream) close() {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.closed = true
	for _, p := range w.queue {
		w.s.buffers.Put(p.buf)
	}
	w.queue, w.bytes = nil, 0
	w.mu.Unlock()
	close(w.done)
	hardClose(w.conn)
}

// hardClose closes a connection without TLS's goodbye, which may wait for a
// socket that is full.
func hardClose(conn net.Conn) {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn()
	}
	_ = conn.Close()
}

// mayAnswer counts answers to who has proven nothing.
func (w *stream) mayAnswer() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers++
	return w.answers <= unprovenAnswers
}
