package signaling

// mediaRequest mutes or unmutes a source.
type mediaRequest struct {
	source string
	muted  bool
}

func readMedia(o object) mediaRequest {
	return mediaRequest{source: o.str("source"), muted: o.boolean("muted")}
}

func (m mediaRequest) handle(s *session, id string) {
	s.inCall(id, func(r *room, p *participant) {
		if !p.grants.CanPublish(m.source) {
			s.refuse(id, noGrant())
			return
		}
		was, published := p.media.sources[m.source]
		if !published {
			s.refuse(id, badMessage("This source is not in your offer."))
			return
		}
		if was == m.muted {
			return
		}
		p.media.sources[m.source] = m.muted
		if p.media.leg != nil {
			p.media.leg.SetMuted(m.source, m.muted)
		}
		r.tellParticipants()
	})
}
