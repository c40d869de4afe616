package sfu

import (
	"slices"
	"time"

	"github.com/chatmed/chatmed/sfu/forward"
)

// Sink takes what a Tap lets through. Its methods are called with the room's
// lock held: they must not block, should not allocate, call nothing of the SFU,
// and keep neither the packet nor its payload. A Stream may be kept: its address
// stands for one RTP stream.
type Sink interface {
	// Gate says that the tap has opened or shut, before the first and after the
	// last packet.
	Gate(open bool, at time.Time)
	Packet(p *Packet)
	// Report is a sender report of the stream (RFC 3550 section 6.4.1). The
	// newest before the stream's first packet is told too, with the time it came.
	Report(s *Stream, at time.Time, ntp uint64, rtp uint32)
	// Muted says whether a source is muted: at the opening, and at each change.
	Muted(participantID, source string, muted bool, at time.Time)
}

// Stream is an incoming RTP stream: one SSRC.
type Stream struct {
	ParticipantID string
	Source        string // consult.SourceMicrophone, …
	Kind          string // audio, video
	Layer         int    // simulcast rank, lowest 0
	ClockRate     uint32
}

// Packet is a packet as a Sink gets it: decrypted, each once, in the order of
// arrival.
type Packet struct {
	Stream *Stream
	At     time.Time // of arrival
	ExtSeq uint64    // extended sequence number
	// Start: a run begins. Whatever the stream had before was not to be taken,
	// so that it is no loss.
	Start       bool
	Timestamp   uint32
	Marker      bool
	KeyFrame    bool   // video: a picture can start here
	Codec       string // opus, red, vp8, h264, vp9, av1; "" when there is no payload
	Orientation int8   // of 3GPP TS 26.114, -1 when the packet has none
	Payload     []byte // empty for padding
}

// Tap passes on what people in a room publish, to be recorded. It is shut until
// Open, and counts as one more subscriber while it is open.
type Tap struct {
	sfu    *SFU
	roomID string
	sink   Sink

	// All below is written with SFU.mu and the lock of room, if any, held, and
	// read with one of them.

	room   *Room // nil while nobody is there
	closed bool
	open   bool
	wanted map[string]bool // participants it is open for
	opened uint64          // counts the openings, so that nothing of an earlier one goes on
	since  time.Time       // of the last opening

	pkt Packet // scratch
	red [16]forward.REDBlock
}

// Tap adds a tap to a room, whether anybody is in it or not. It lasts until
// Close, through times in which the room is empty.
func (s *SFU) Tap(roomID string, sink Sink) *Tap {
	t := &Tap{sfu: s, roomID: roomID, sink: sink}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taps[roomID] = append(s.taps[roomID], t)
	if r := s.rooms[roomID]; r != nil {
		r.mu.Lock()
		t.joinLocked(r)
		r.mu.Unlock()
	}
	return t
}

// joinLocked hangs the tap to a room.
func (t *Tap) joinLocked(r *Room) {
	t.room = r
	r.taps = append(r.taps, t)
}

// lock takes both locks. Lock order: SFU.mu, Room.mu.
func (t *Tap) lock() (unlock func()) {
	t.sfu.mu.Lock()
	r := t.room
	if r == nil {
		return t.sfu.mu.Unlock
	}
	r.mu.Lock()
	return func() {
		r.mu.Unlock()
		t.sfu.mu.Unlock()
	}
}

// Open has the sink get what these participants publish, from the next packet
// on. Pictures start at a key frame, which is asked for. It replaces the list of
// an Open before. While anybody else is in the room it reports false, and the
// tap is shut.
func (t *Tap) Open(participantIDs []string) bool {
	defer t.lock()()
	if t.closed {
		return false
	}
	wanted := make(map[string]bool, len(participantIDs))
	for _, id := range participantIDs {
		wanted[id] = true
	}
	if t.room != nil {
		for id := range t.room.participants {
			if !wanted[id] {
				t.shutLocked()
				return false
			}
		}
	}
	t.wanted = wanted
	if !t.open {
		t.open = true
		t.opened++
		t.since = t.sfu.now()
		t.sink.Gate(true, t.since)
	}
	if t.room != nil {
		t.room.tapLocked()
		t.room.wake()
	}
	return true
}

// Shut ends what Open began: when it has returned, nothing reaches the sink.
func (t *Tap) Shut() {
	defer t.lock()()
	t.shutLocked()
}

func (t *Tap) shutLocked() {
	if !t.open {
		return
	}
	t.open, t.wanted = false, nil
	if t.room != nil {
		for _, p := range t.room.participants {
			for _, pub := range p.publications {
				pub.untapLocked(t)
			}
		}
	}
	t.sink.Gate(false, t.sfu.now())
}

// KeyFrames asks for a key frame of every picture that is taken, as after a
// packet that the sink could not keep.
func (t *Tap) KeyFrames() {
	defer t.lock()()
	if t.room == nil || !t.open {
		return
	}
	for _, p := range t.room.participants {
		for _, pub := range p.publications {
			for _, k := range pub.taps {
				k.wantKey = k.wantKey || k.tap == t
			}
		}
	}
	t.room.wake()
}

// Close shuts the tap for good.
func (t *Tap) Close() {
	defer t.lock()()
	t.shutLocked()
	t.closed = true
	if t.room != nil {
		t.room.taps = without(t.room.taps, t)
		t.room = nil
	}
	if t.sfu.taps[t.roomID] = without(t.sfu.taps[t.roomID], t); len(t.sfu.taps[t.roomID]) == 0 {
		delete(t.sfu.taps, t.roomID)
	}
}

func without(taps []*Tap, t *Tap) []*Tap {
	return slices.DeleteFunc(taps, func(o *Tap) bool { return o == t })
}

// leaveTapsLocked is called when the room ends; its taps wait for the next one.
func (r *Room) leaveTapsLocked() {
	for _, t := range r.taps {
		t.room = nil
	}
	r.taps = nil
}

// admitLocked shuts every tap that is not open for p, who comes in now and has
// not sent anything yet. That holds whatever the caller's own gate does.
func (r *Room) admitLocked(p *Participant) {
	for _, t := range r.taps {
		if !t.wanted[p.id] {
			t.shutLocked()
		}
	}
	r.tapLocked()
}

// tapLocked has the open taps take every publication they are open for.
func (r *Room) tapLocked() {
	for _, t := range r.taps {
		if !t.open {
			continue
		}
		for _, p := range r.participants {
			if t.wanted[p.id] {
				for _, pub := range p.publications {
					pub.tapLocked(t)
				}
			}
		}
	}
}
