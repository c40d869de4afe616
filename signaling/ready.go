package signaling

// readyRequest says that the answer is applied: media may flow.
type readyRequest struct{}

func (readyRequest) handle(s *session, id string) {
	s.inCall(id, func(_ *room, p *participant) {
		p.media.ready = true
		if p.media.leg != nil {
			p.media.leg.Ready()
		}
	})
}

// inCall runs fn in the room's loop if this connection's participant is in the
// call, and refuses otherwise.
func (s *session) inCall(id string, fn func(r *room, p *participant)) {
	if s.room == nil {
		s.refuse(id, notJoined())
		return
	}
	s.room.do(func() {
		p := s.self
		if p.conn != s {
			return // taken over or ended: the connection is being closed
		}
		if p.stage != inCall {
			s.refuse(id, notJoined())
			return
		}
		fn(s.room, p)
	})
}
