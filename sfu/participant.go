package sfu

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu/forward"
	"github.com/chatmed/chatmed/sfu/negotiate"
	"github.com/chatmed/chatmed/sfu/udpmux"
)

var (
	errClosing  = consult.Errorf(consult.ServiceUnavailable, consult.ReasonDraining, "The server is stopping.")
	errRoomFull = consult.Errorf(consult.Conflict, consult.ReasonRoomFull, "The room is full.")
	errGone     = consult.Errorf(consult.Conflict, consult.ReasonNotJoined, "The participant has left.")
)

func badOffer(err error) error {
	return &consult.Error{Code: consult.BadRequest, Reason: consult.ReasonBadOffer, Message: "The offer can't be used.", Err: err}
}

// Participant is one person's media in a room.
type Participant struct {
	id       string
	room     *Room
	sfu      *SFU
	grants   consult.Grants
	observer Observer

	// op serialises Offer and Close, which wait for ICE.
	op      sync.Mutex
	version uint64         // of the answers; guarded by op
	closing sync.WaitGroup // transports that were replaced

	// All below is guarded by room.mu.

	order        uint64
	transport    *transport
	next         *transport // a replacement that has not sent media yet
	publications map[string]*publication
	ready        bool // the client has applied the last answer
	nextReady    bool // and that of next
	inCall       bool // Join has succeeded
	closed       bool
	slotsDirty   bool
	states       []string
	answered     []Slot // what the last answer said
	lastReport   time.Time
	lastFeedback time.Time
	clock        forward.ClockMap
	views        []View // by slot, as the client says it shows them
	// news are what the observer is to be told.
	sending      map[string][]SendLayer
	sendingDirty bool
	speakerDirty bool
	stalled      []string
	stalledDirty bool
	leg          leg
}

// Join lets a participant in and answers its offer. Media flows to it after
// Ready. Joining with an id that is in the room replaces it.
func (s *SFU) Join(ctx context.Context, req JoinRequest) (*Participant, Answer, error) {
	offer, err := negotiate.Parse(req.OfferSDP)
	if err != nil {
		return nil, Answer{}, badOffer(err)
	}
	r, err := s.room(req.RoomID)
	if err != nil {
		return nil, Answer{}, err
	}
	defer r.end(true)
	p := &Participant{
		id: req.ParticipantID, room: r, sfu: s, grants: req.Grants, observer: req.Observer,
		publications: map[string]*publication{},
	}
	ans, err := p.join(offer, req.Intents)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		p.Close()
		return nil, Answer{}, err
	}
	r.mu.Lock()
	p.inCall = true
	r.mu.Unlock()
	s.metrics.joins.Inc()
	return p, ans, nil
}

// join opens the first transport. After an error the caller closes p.
func (p *Participant) join(offer *negotiate.Offer, intents []Intent) (Answer, error) {
	p.op.Lock()
	defer p.op.Unlock()
	t, err := p.sfu.newTransport(p)
	if err != nil {
		return Answer{}, err
	}
	p.transport = t
	lines, err := t.apply(offer, intents)
	if err != nil {
		return Answer{}, badOffer(err)
	}
	old, err := p.room.add(p)
	if err != nil {
		return Answer{}, err
	}
	if old != nil {
		old.Close()
	}
	if err := t.start(offer); err != nil {
		return Answer{}, err
	}
	return Answer{SDP: p.answer(t, offer, lines), Slots: p.answered}, nil
}

// Offer answers a further offer of the client: more m-lines, an ICE restart,
// or, with replace, a new PeerConnection that takes over from the old one at
// its first packet. An offer with another certificate can only be a new
// PeerConnection's, and one for a transport that has ended needs a new one.
// Media flows to m-lines that are new after Ready. A refused offer changes
// nothing.
func (p *Participant) Offer(_ context.Context, sdp string, intents []Intent, replace bool) (Answer, error) {
	offer, err := negotiate.Parse(sdp)
	if err != nil {
		return Answer{}, badOffer(err)
	}
	p.op.Lock()
	defer p.op.Unlock()
	p.room.mu.Lock()
	t, closed := p.transport, p.closed
	if n := p.next; n != nil && offer.Fingerprint == n.fingerprint {
		t = n // its PeerConnection is the client's current one already
	}
	ended := t.media.ended
	p.room.mu.Unlock()
	if closed {
		return Answer{}, errGone
	}
	if replace || ended || offer.Fingerprint != t.fingerprint {
		return p.replace(offer, intents)
	}
	lines, err := t.apply(offer, intents)
	if err != nil {
		return Answer{}, badOffer(err)
	}
	if err := t.restartIfAsked(offer); err != nil {
		return Answer{}, err
	}
	p.room.mu.Lock()
	p.room.mapSlotsLocked()
	if t == p.transport {
		p.ready = false
	} else {
		p.nextReady = false
		t.media.mapSlots(p.transport.media.slots)
	}
	slots := describe(t.media.slots)
	p.answered = slots
	p.room.mu.Unlock()
	p.room.wake()
	return Answer{SDP: p.answer(t, offer, lines), Slots: slots}, nil
}

func (p *Participant) replace(offer *negotiate.Offer, intents []Intent) (Answer, error) {
	t, err := p.sfu.newTransport(p)
	if err != nil {
		return Answer{}, err
	}
	lines, err := t.apply(offer, intents)
	if err != nil {
		t.close()
		return Answer{}, badOffer(err)
	}
	p.room.mu.Lock()
	stale := p.next
	p.next, p.nextReady = t, false
	t.media.mapSlots(p.transport.media.slots)
	slots := describe(t.media.slots)
	p.room.mu.Unlock()
	if stale != nil {
		stale.close()
	}
	if err := t.start(offer); err != nil {
		return Answer{}, err
	}
	p.sfu.metrics.replacements.Inc()
	return Answer{SDP: p.answer(t, offer, lines), Slots: slots}, nil
}

// currentLocked reports whether t is the participant's transport. A replacement
// becomes it with the first packet it receives.
func (p *Participant) currentLocked(t *transport) bool {
	if p.next == t && !p.closed {
		p.takeOverLocked(t)
	}
	return p.transport == t && !p.closed
}

// takeOverLocked makes the replacement the participant's transport.
func (p *Participant) takeOverLocked(t *transport) {
	old := p.transport
	p.transport, p.next = t, nil
	old.media.release()
	for _, pub := range p.publications {
		pub.moved()
	}
	p.ready = true // its answer was applied, or it would not have sent
	p.syncPublicationsLocked()
	p.room.mapSlotsLocked()
	p.states = append(p.states, "connected")
	p.slotsDirty = true
	p.closing.Add(1)
	go func() {
		defer p.closing.Done()
		old.close()
	}()
	p.room.wake()
}

func (p *Participant) answer(t *transport, o *negotiate.Offer, lines map[string]negotiate.Line) string {
	p.version++
	return o.Answer(negotiate.Params{
		Ufrag: t.ufrag, Pwd: t.pwd, Fingerprint: p.sfu.fingerprint,
		Candidates: p.sfu.candidates, SessionID: uint64(t.media.rtcpSSRC), Version: p.version,
		Accept: lines,
	})
}

// Ready says that the client has applied the last answer: what was held since
// the last key frame may flow. A mapping that changed after the answer was
// written is told again, for the first notice may have overtaken the answer.
func (p *Participant) Ready() {
	p.room.mu.Lock()
	if n := p.next; n != nil && !n.media.ended {
		p.nextReady = true
	} else {
		p.ready = true
		p.slotsDirty = p.slotsDirty || !slices.Equal(p.answered, p.slotsLocked())
	}
	p.room.mu.Unlock()
	p.room.wake()
}

// SetMuted notes that the client has muted or unmuted a source. A muted screen
// gives up its slots.
func (p *Participant) SetMuted(source string, muted bool) {
	p.room.mu.Lock()
	for _, t := range []*transport{p.transport, p.next} {
		if t != nil {
			t.media.mute(source, muted)
		}
	}
	if pub := p.publications[source]; pub != nil && pub.muted != muted {
		pub.setMutedLocked(muted)
		pub.since = p.sfu.now()
		p.room.mapSlotsLocked()
		if !muted {
			pub.wantKeyFrames()
		}
	}
	p.room.mu.Unlock()
	p.room.wake()
}

// Slots is the current mapping.
func (p *Participant) Slots() []Slot {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	return p.slotsLocked()
}

// Close takes the participant out of the room and waits until its media has
// ended. Closing twice is allowed.
func (p *Participant) Close() {
	p.op.Lock()
	defer p.op.Unlock()
	p.room.mu.Lock()
	if p.closed {
		p.room.mu.Unlock()
		return
	}
	p.closed = true
	inCall := p.inCall
	ts := []*transport{p.transport, p.next}
	p.room.mu.Unlock()
	p.room.remove(p)
	for _, t := range ts {
		if t != nil {
			t.close()
		}
	}
	p.closing.Wait()
	p.room.end(false)
	if inCall {
		p.sfu.metrics.leaves.Inc()
	}
}

func (p *Participant) slotsLocked() []Slot { return describe(p.transport.media.slots) }

func describe(slots []*slot) []Slot {
	out := make([]Slot, len(slots))
	for i, s := range slots {
		out[i] = Slot{Index: i, Source: s.source}
		if s.from != nil {
			out[i].ParticipantID = s.from.id
		}
		if s.audio != nil {
			out[i].AudioMid = s.audio.mid
		}
		if s.video != nil {
			out[i].VideoMid = s.video.mid
		}
	}
	return out
}

// feedbackLocked reports arrival times when it is time to.
func (p *Participant) feedbackLocked(now time.Time, out *udpmux.Batch) {
	if now.Sub(p.lastFeedback) >= feedbackEvery {
		p.lastFeedback = now
		p.transport.feedbackLocked(out)
	}
}

// tickLocked repairs and reports for p's transport.
func (p *Participant) tickLocked(now time.Time, out *udpmux.Batch) {
	if n := p.next; n != nil && p.nextReady && n.media.in != nil {
		p.takeOverLocked(n) // it has nothing to send, so no packet announces it
	}
	t := p.transport
	if t.media.in == nil {
		return
	}
	t.allocateLocked(now)
	for _, s := range t.media.slots {
		s.startLocked(p.ready, now, out)
		s.audio.renewReportLocked(now, out)
		s.video.renewReportLocked(now, out)
	}
	t.repairLocked(now, out)
	p.feedbackLocked(now, out)
	if now.Sub(p.lastReport) >= reportEvery {
		p.lastReport = now
		t.reportLocked(now, out)
		p.gradeLocked(now)
	}
	p.stalledLocked(now)
	t.probeLocked(now, out)
	p.followLocked(now)
}
