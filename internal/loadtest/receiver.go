package loadtest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"
)

// flow is what a receiver got of one stream of one publisher.
type flow struct {
	publisher uint32
	stream    uint8
	received  uint64 // of the window
	repeated  uint64 // of the window, that had come before
	skipped   uint64 // holes, where the layer was not changed meanwhile
	highest   uint32
	seen      uint64 // bit n: highest-n has come
}

// note takes a counter and reports whether it is new. fresh says that the
// stream begins or begins again with it: what lies before is no hole.
func (f *flow) note(counter uint32, fresh bool) bool {
	ahead := int64(counter) - int64(f.highest)
	switch {
	case f.seen == 0 || (fresh && ahead > 0):
		f.highest, f.seen = counter, 1
	case ahead > 0:
		f.skipped += uint64(ahead - 1)
		if ahead >= 64 {
			f.seen = 0
		}
		f.seen = f.seen<<uint(min(ahead, 63)) | 1
		f.highest = counter
	case ahead <= -64:
		return false
	default:
		bit := uint64(1) << uint(-ahead)
		if f.seen&bit != 0 {
			return false
		}
		f.seen |= bit
		if f.skipped > 0 {
			f.skipped--
		}
	}
	return true
}

// sink reads one remote track. All but the atomic belong to its goroutine, and
// after that has ended to whoever waited for it.
type sink struct {
	video   bool
	latency histogram
	flows   []flow
	current int
	foreign uint64 // packets of another room, or without a stamp

	received atomic.Uint64 // of the window
}

// receiver is the receiving side of one participant.
type receiver struct {
	win     *window
	room    int
	perRoom int // clients of a room: those with ids room*perRoom … belong to it

	changed chan struct{} // one token: a source is new
	reading sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	sinks   []*sink
	first   time.Duration // when the first packet came; 0: none yet
	sources map[uint32]struct{}
}

func newReceiver(win *window, room, perRoom int) *receiver {
	return &receiver{win: win, room: room, perRoom: perRoom, sources: map[uint32]struct{}{}, changed: make(chan struct{}, 1)}
}

// take reads a track until its connection is closed. It is an OnTrack handler,
// which Pion calls on a goroutine of its own.
func (r *receiver) take(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
	s := &sink{video: t.Kind() == webrtc.RTPCodecTypeVideo}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	r.sinks = append(r.sinks, s)
	r.reading.Add(1)
	r.mu.Unlock()
	defer r.reading.Done()
	buf := make([]byte, 1600)
	for {
		n, _, err := t.Read(buf)
		if err != nil {
			return
		}
		r.packet(s, buf[:n])
	}
}

// packet counts one.
func (r *receiver) packet(s *sink, b []byte) {
	now := r.win.now()
	st, ok := readStamp(b)
	if !ok || int(st.publisher)/r.perRoom != r.room {
		s.foreign++
		return
	}
	f, changed := s.flowOf(st)
	if f == nil {
		s.flows = append(s.flows, flow{publisher: st.publisher, stream: st.stream})
		s.current = len(s.flows) - 1
		f = &s.flows[s.current]
		r.heard(st, now)
	}
	isNew := f.note(st.counter, changed)
	if !r.win.has(st.sent) {
		f.skipped = 0
		return
	}
	if !isNew {
		f.repeated++
		return
	}
	f.received++
	s.received.Add(1)
	s.latency.add(now - st.sent)
}

// flowOf is the flow of a stamp, nil for a new one, and whether it is another
// than that of the packet before.
func (s *sink) flowOf(st stamp) (f *flow, changed bool) {
	if s.current < len(s.flows) {
		if f := &s.flows[s.current]; f.publisher == st.publisher && f.stream == st.stream {
			return f, false
		}
	}
	for i := range s.flows {
		if f := &s.flows[i]; f.publisher == st.publisher && f.stream == st.stream {
			s.current = i
			return f, true
		}
	}
	return nil, true
}

// heard notes the first packet of a stream. The layers of one camera are one.
func (r *receiver) heard(st stamp, now time.Duration) {
	kind := uint32(min(st.stream, streamVideo))
	r.mu.Lock()
	if r.first == 0 {
		r.first = now
	}
	r.sources[st.publisher<<1|kind] = struct{}{}
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// state is when the first packet came and how many microphones and cameras
// have been received.
func (r *receiver) state() (first time.Duration, sources int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first, len(r.sources)
}

// total is how many packets of the window have come.
func (r *receiver) total() (n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sinks {
		n += s.received.Load()
	}
	return n
}

// wait waits for the readers, whose connections are closed; no more begin.
func (r *receiver) wait() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.reading.Wait()
}
