package forward

import "time"

// Origin says which incoming packet an outgoing one was made of.
type Origin struct {
	Source SourceID
	ExtSeq uint64
	// Sent: the packet has gone out and Header says how. Otherwise it never came
	// this way (lost before us, or reordered around a switch): fetch it from the
	// source's buffer and pass it through Rewriter.Forward or Skip.
	Sent bool
}

// history remembers recent outgoing packets by their extended sequence number.
// Its length is a power of two.
type history []sent

type sent struct {
	in     uint64
	out    uint32 // low bits; neighbours in the ring differ by its length
	source SourceID
	ts     uint32
	again  uint32 // milliseconds from the rewriter's epoch when last repeated
	patch  Patch
	flags  uint8
}

const (
	sentUsed uint8 = 1 << iota
	sentMarker
	sentEmpty
	sentAgain // again is set
)

func (h history) at(out uint64) *sent { return &h[out&uint64(len(h)-1)] }

func (e *sent) holds(out uint64) bool { return e.flags&sentUsed != 0 && e.out == uint32(out) }

func (e *sent) header() Header {
	return Header{
		Sequence: uint16(e.out), Timestamp: e.ts,
		Marker: e.flags&sentMarker != 0, Empty: e.flags&sentEmpty != 0, Patch: e.patch,
	}
}

// repeat reports whether the packet may be repeated now, not having been within
// the last spacing, and notes that it is.
func (e *sent) repeat(at, spacing time.Duration) bool {
	ms := uint32(at / time.Millisecond)
	if e.flags&sentAgain != 0 && time.Duration(ms-e.again)*time.Millisecond < spacing {
		return false
	}
	e.again = ms
	e.flags |= sentAgain
	return true
}

// segmentCount bounds how many places where packets were left out are remembered
// for late packets. Dropping every other frame at 30 per second makes 15 a second.
const segmentCount = 32

// segments is the mapping of the current source: from each segment's start on,
// its offsets hold, up to the next one. The run of skipped numbers right before
// start maps to nothing.
type segments struct {
	ring [segmentCount]segment
	last int // index of the newest
	size int
}

type segment struct {
	start   uint64 // first incoming number
	skipped uint64 // how many numbers right before start were left out
	delta   uint64 // outgoing = incoming + delta, modulo 2^64
	pic     uint16 // picture id, the same way, modulo its width

	// The first and the last picture of the run before start whose id was taken
	// out. Others of it cannot have packets outside the run.
	goneFirst, goneLast uint16
	gone                bool
}

// took reports whether the run before start took this picture's id out.
func (s *segment) took(pic uint16) bool {
	return s.gone && (pic == s.goneFirst || pic == s.goneLast)
}

func (s *segments) reset(first segment) {
	s.ring[0], s.last, s.size = first, 0, 1
}

func (s *segments) newest() *segment { return &s.ring[s.last] }

func (s *segments) push(next segment) {
	s.last = (s.last + 1) % segmentCount
	s.ring[s.last] = next
	s.size = min(s.size+1, segmentCount)
}

// skip leaves out the incoming number in, the highest so far.
func (s *segments) skip(in uint64) *segment {
	cur := s.newest()
	if cur.start == in {
		// Nothing lies between this one and those left out before.
		cur.start++
		cur.skipped++
		cur.delta--
		return cur
	}
	s.push(segment{start: in + 1, skipped: 1, delta: cur.delta - 1, pic: cur.pic})
	return s.newest()
}

// take takes a picture's id out from this segment on.
func (s *segment) take(pic uint16) {
	s.pic--
	if !s.gone {
		s.gone, s.goneFirst = true, pic
	}
	s.goneLast = pic
}

// find returns the segment of an incoming number and the one after it, if any.
// seg is nil when the number was left out or is too old to know.
func (s *segments) find(in uint64) (seg, next *segment) {
	for i := range s.size {
		seg = &s.ring[(s.last-i+segmentCount)%segmentCount]
		if in >= seg.start {
			return seg, next
		}
		if in >= seg.start-seg.skipped {
			return nil, nil
		}
		next = seg
	}
	return nil, nil
}

// invert returns the incoming number that out stands for.
func (s *segments) invert(out uint64) (in uint64, ok bool) {
	for i := range s.size {
		seg := &s.ring[(s.last-i+segmentCount)%segmentCount]
		if in = out - seg.delta; in-seg.start < 1<<63 {
			return in, true
		}
	}
	return 0, false
}
