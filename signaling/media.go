package signaling

import "github.com/chatmed/chatmed/sfu"

// mediaRequest mutes or unmutes a source.
type mediaRequest struct {
	source string
	muted  bool
}

func readMedia(o object) mediaRequest {
	return mediaRequest{source: o.str("source"), muted: o.boolean("muted")}
}

func (m mediaRequest) handle(s *session, id string) {
	s.joined(id, func(r *room, p *participant) {
		if !p.grants.CanPublish(m.source) {
			s.refuse(id, noGrant())
			return
		}
		if !r.mute(p, m) {
			s.refuse(id, badMessage("This source is not in your offer."))
		}
	})
}

// mute notes that a source is muted or not, wherever p is on the way into the
// call, and reports whether there is such a source.
func (r *room) mute(p *participant, m mediaRequest) bool {
	if p.stage == waits {
		return p.held.mute(m)
	}
	was, published := p.media.sources[m.source]
	if p.media.open > 0 {
		if p.media.later == nil {
			p.media.later = map[string]bool{}
		}
		p.media.later[m.source] = m.muted
	}
	if !published || was == m.muted {
		return published || p.media.open > 0
	}
	p.media.sources[m.source] = m.muted
	if p.media.leg != nil {
		p.media.leg.SetMuted(m.source, m.muted)
	}
	r.tellParticipants()
	return true
}

// mute changes an offer that is held for somebody who waits.
func (o *offered) mute(m mediaRequest) bool {
	if o == nil {
		return false
	}
	intents := append([]sfu.Intent(nil), o.intents...)
	for i := range intents {
		if intents[i].Source == m.source {
			intents[i].Muted = m.muted
			o.intents = intents
			return true
		}
	}
	return false
}
