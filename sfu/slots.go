package sfu

import (
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu/congestion"
)

// slot is a pair of receive m-lines sharing an msid, so that the browser keeps
// lips in sync. Guarded by room.mu.
type slot struct {
	owner    *Participant
	streamID string
	audio    *sender
	video    *sender

	from   *Participant // nil while free
	source string       // consult.SourceCamera or SourceScreen

	decision congestion.Decision // the last one
}

// offerOf is what a slot can show: somebody's camera with microphone, or
// screen with its audio.
type offerOf struct {
	from   *Participant
	source string
}

// mapSlotsLocked gives everyone's slots to everyone else's media. A mapping
// once made stays until its source ends; screens come before cameras, earlier
// participants before later ones.
func (r *Room) mapSlotsLocked() {
	people := r.sortedLocked()
	for _, p := range people {
		var offers []offerOf
		for _, source := range []string{consult.SourceScreen, consult.SourceCamera} {
			for _, q := range people {
				if q != p && q.offersLocked(source) {
					offers = append(offers, offerOf{q, source})
				}
			}
		}
		if assign(p.transport.media.slots, offers) {
			p.slotsDirty = true
		}
		for _, s := range p.transport.media.slots {
			s.connectLocked()
		}
	}
}

// offersLocked reports whether p has anything of that source to show. A muted
// camera or microphone keeps its slot; a muted screen is not shared any more.
func (p *Participant) offersLocked(source string) bool {
	if source == consult.SourceScreen {
		pub := p.publications[consult.SourceScreen]
		return pub != nil && !pub.muted
	}
	return p.publications[consult.SourceCamera] != nil || p.publications[consult.SourceMicrophone] != nil
}

// assign keeps what is still offered, frees the rest, and fills free slots in
// order. A screen that finds no slot takes the last camera's.
func assign(slots []*slot, offers []offerOf) (changed bool) {
	missing := append([]offerOf(nil), offers...)
	for _, s := range slots {
		if s.from == nil {
			continue
		}
		kept := false
		if !s.usable() {
			s.from, s.source, changed = nil, "", true
			continue
		}
		for i, o := range missing {
			if o.from == s.from && o.source == s.source {
				missing = append(missing[:i], missing[i+1:]...)
				kept = true
				break
			}
		}
		if !kept {
			s.from, s.source, changed = nil, "", true
		}
	}
	for _, o := range missing {
		s := freeSlot(slots, o)
		if s == nil {
			continue
		}
		s.from, s.source, changed = o.from, o.source, true
	}
	return changed
}

func freeSlot(slots []*slot, o offerOf) *slot {
	for _, s := range slots {
		if s.from == nil && s.usable() {
			return s
		}
	}
	if o.source != consult.SourceScreen {
		return nil
	}
	for i := len(slots) - 1; i >= 0; i-- {
		if slots[i].source == consult.SourceCamera {
			return slots[i]
		}
	}
	return nil
}

// line is the slot's sender of a kind, audio or video.
func (s *slot) line(kind string) **sender {
	if kind == "video" {
		return &s.video
	}
	return &s.audio
}

// usable reports whether the client still has an m-line for the slot.
func (s *slot) usable() bool { return s.audio != nil || s.video != nil }

// mapSlots copies a mapping by index, for a transport that takes over.
func (m *mediaState) mapSlots(from []*slot) {
	for i, s := range m.slots {
		if i < len(from) && s.usable() {
			s.from, s.source = from[i].from, from[i].source
		}
	}
}

// release ends all subscriptions of the client.
func (m *mediaState) release() {
	for _, s := range m.slots {
		s.releaseLocked()
	}
}

// connectLocked points the slot's senders at the publications it shows.
func (s *slot) connectLocked() {
	var audio, video *publication
	if s.from != nil {
		video = s.from.publications[s.source]
		if s.source == consult.SourceScreen {
			audio = s.from.publications[consult.SourceScreenAudio]
		} else {
			audio = s.from.publications[consult.SourceMicrophone]
		}
	}
	s.audio.subscribeLocked(audio)
	s.video.subscribeLocked(video)
}

// releaseLocked ends the slot's subscriptions.
func (s *slot) releaseLocked() {
	s.audio.subscribeLocked(nil)
	s.video.subscribeLocked(nil)
}

// forgetLocked frees every slot that shows q, who has left.
func (p *Participant) forgetLocked(q *Participant) {
	for _, t := range []*transport{p.transport, p.next} {
		if t == nil {
			continue
		}
		for _, s := range t.media.slots {
			if s.from == q {
				s.from, s.source = nil, ""
				s.releaseLocked()
				p.slotsDirty = true
			}
		}
	}
}
