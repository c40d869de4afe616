package sfu

import (
	"net/netip"
	"sort"
	"sync"
	"time"

	"github.com/chatmed/chatmed/sfu/udpmux"
)

const (
	// tick is how often a room repairs and reports by itself. Packets repair
	// what is missing as they come, and whatever must not wait wakes the room:
	// each tick of an idle worker costs as much as several packets.
	tick          = 200 * time.Millisecond
	feedbackEvery = 100 * time.Millisecond
	reportEvery   = time.Second
)

// Room is the media of one consultation.
type Room struct {
	id  string
	sfu *SFU

	// kick wakes the worker: there is something to send or to tell.
	kick chan struct{}
	stop chan struct{} // closed when the last participant has left
	done chan struct{}

	joining int // Joins under way; guarded by sfu.mu

	mu           sync.Mutex
	participants map[string]*Participant
	joined       uint64 // order of joining
	taps         []*Tap
	speaker      speaker
	closed       bool
}

// room returns the room, making it when needed. It stays open until the caller
// has called leave for the join it announces.
func (s *SFU) room(id string) (*Room, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosing
	}
	if r := s.rooms[id]; r != nil {
		r.joining++
		return r, nil
	}
	r := &Room{
		joining: 1, id: id, sfu: s, participants: map[string]*Participant{},
		kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	s.rooms[id] = r
	for _, t := range s.taps[id] {
		t.joinLocked(r) // nobody else has the room yet
	}
	s.workers.Go(r.work)
	return r, nil
}

// add inserts p, replacing one of the same id, which the caller closes. Lock
// order: SFU.mu, Room.mu.
func (r *Room) add(p *Participant) (old *Participant, err error) {
	r.sfu.mu.Lock()
	defer r.sfu.mu.Unlock()
	if r.sfu.closed {
		return nil, errClosing
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old = r.participants[p.id]
	if old == nil && len(r.participants) >= maxParticipants {
		return nil, errRoomFull
	}
	r.joined++
	p.order = r.joined
	r.participants[p.id] = p
	r.admitLocked(p)
	r.mapSlotsLocked()
	p.answered, p.slotsDirty = p.slotsLocked(), false
	p.speakerDirty = r.speaker.id != ""
	r.wake()
	return old, nil
}

// remove takes p out, everyone's slots off it, and its own off everyone.
func (r *Room) remove(p *Participant) {
	r.mu.Lock()
	for _, t := range []*transport{p.transport, p.next} {
		if t != nil {
			t.media.release()
		}
	}
	if r.participants[p.id] == p {
		delete(r.participants, p.id)
	}
	for _, pub := range p.publications {
		pub.taps = nil
	}
	for _, q := range r.participants {
		q.forgetLocked(p)
	}
	r.mapSlotsLocked()
	r.mu.Unlock()
	r.wake()
}

// end closes the room when nobody is in it or on the way in. joined says that
// a join announced by SFU.room is over. Lock order: SFU.mu, Room.mu.
func (r *Room) end(joined bool) {
	r.sfu.mu.Lock()
	if joined {
		r.joining--
	}
	r.mu.Lock()
	last := r.joining == 0 && len(r.participants) == 0 && !r.closed
	if last {
		r.closed = true
		r.leaveTapsLocked()
		delete(r.sfu.rooms, r.id)
		r.sfu.idleLocked()
	}
	r.mu.Unlock()
	r.sfu.mu.Unlock()
	if last {
		close(r.stop)
		<-r.done
	}
}

func (r *Room) list() []*Participant {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sortedLocked()
}

// sortedLocked are the participants in the order they joined.
func (r *Room) sortedLocked() []*Participant {
	out := make([]*Participant, 0, len(r.participants))
	for _, p := range r.participants {
		out = append(out, p)
	}
	sort.Slice(out, func(a, b int) bool { return out[a].order < out[b].order })
	return out
}

func (r *Room) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// work repairs, reports, and tells observers, until the room is empty.
func (r *Room) work() {
	defer close(r.done)
	out := r.sfu.conn.NewBatch()
	t := time.NewTimer(tick)
	defer t.Stop()
	var last time.Time // when everything was done
	for {
		full := true
		select {
		case <-r.stop:
			r.tell()
			return
		case <-r.kick:
		case <-t.C:
			full = r.sfu.now().Sub(last) >= tick-probeStep
		}
		r.mu.Lock()
		now := r.sfu.now()
		if full {
			last = now
		}
		r.tickLocked(now, full, out)
		next := max(tick-now.Sub(last), probeStep)
		if r.probingLocked() {
			next = probeStep
		}
		r.mu.Unlock()
		out.Flush()
		if full {
			r.tell()
		}
		t.Reset(next)
	}
}

// tickLocked does what is due for everyone; without full only what is due of the
// probes under way.
func (r *Room) tickLocked(now time.Time, full bool, out *udpmux.Batch) {
	if full && r.speakLocked(now) {
		for _, p := range r.participants {
			p.speakerDirty = true
		}
	}
	for _, p := range r.participants {
		if full {
			p.tickLocked(now, out)
		} else {
			p.transport.probeLocked(now, out)
		}
	}
}

// tell calls the observers, without the lock.
func (r *Room) tell() {
	var all []news
	r.mu.Lock()
	for _, p := range r.participants {
		if n, some := p.newsLocked(); some {
			all = append(all, n)
		}
	}
	r.mu.Unlock()
	for i := range all {
		all[i].tell()
	}
}

// news is what one observer is to be told.
type news struct {
	p       *Participant
	slots   []Slot
	states  []string
	sending map[string][]SendLayer
	speaker *string
	quality *Quality
	stalled []string // nil: nothing to tell
}

func (p *Participant) newsLocked() (n news, some bool) {
	some = p.slotsDirty || len(p.states) > 0 || p.sendingDirty || p.speakerDirty || p.stalledDirty || p.leg.dirty
	n = news{p: p, states: p.states}
	if p.slotsDirty {
		n.slots = p.slotsLocked()
	}
	if p.sendingDirty {
		n.sending = p.sending
	}
	if p.speakerDirty {
		id := p.room.speaker.id
		n.speaker = &id
	}
	if p.leg.dirty {
		q := p.leg.quality
		n.quality = &q
	}
	if p.stalledDirty {
		n.stalled = append([]string{}, p.stalled...)
	}
	p.slotsDirty, p.states, p.sendingDirty, p.speakerDirty, p.stalledDirty, p.leg.dirty = false, nil, false, false, false, false
	return n, some
}

func (n *news) tell() {
	for _, s := range n.states {
		n.p.observer.MediaChanged(s)
	}
	if n.slots != nil {
		n.p.observer.SlotsChanged(n.slots)
	}
	if n.sending != nil {
		n.p.observer.SendChanged(n.sending)
	}
	if n.speaker != nil {
		n.p.observer.SpeakerChanged(*n.speaker)
	}
	if n.quality != nil {
		n.p.observer.QualityChanged(*n.quality)
	}
	if n.stalled != nil {
		n.p.observer.StalledChanged(n.stalled)
	}
}

// transportUp opens SRTP on t; rtt is 0 while unknown.
func (r *Room) transportUp(t *transport, in *inSRTP, out *outSRTP, rtt time.Duration) {
	r.mu.Lock()
	if rtt > 0 {
		t.media.rtt.add(rtt)
	}
	t.media.in, t.media.out = in, out
	t.openPathLocked(r.sfu.now())
	if t == t.owner.transport {
		t.owner.renewKeyFramesLocked()
	}
	r.mu.Unlock()
	r.mediaState(t, "connected")
}

// remoteChanged follows ICE to another address.
func (r *Room) remoteChanged(t *transport, addr netip.AddrPort) {
	r.mu.Lock()
	t.media.dst = addr
	r.mu.Unlock()
}

func (r *Room) mediaState(t *transport, state string) {
	r.mu.Lock()
	if t.owner.transport == t {
		t.owner.states = append(t.owner.states, state)
	}
	r.mu.Unlock()
	r.wake()
}

// transportClosed notes that t has ended by itself or by close. Nothing flows
// through it any more, and nothing is asked of anybody for its sake.
func (r *Room) transportClosed(t *transport) {
	r.mu.Lock()
	t.media.in, t.media.out, t.media.ended = nil, nil, true
	p := t.owner
	if p.transport == t && !p.closed {
		p.states = append(p.states, "failed")
	}
	r.mu.Unlock()
	r.wake()
}
