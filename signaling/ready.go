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

// joined runs fn in the room's loop for this connection's participant, and
// refuses when there is none.
func (s *session) joined(id string, fn func(r *room, p *participant)) {
	if s.room == nil {
		s.refuse(id, notJoined())
		return
	}
	s.room.do(func() {
		if p := s.self; p.conn == s { // else taken over or ended: the connection is being closed
			fn(s.room, p)
		}
	})
}

// inCall is joined for what only those in the call may do.
func (s *session) inCall(id string, fn func(r *room, p *participant)) {
	s.joined(id, func(r *room, p *participant) {
		if p.stage != inCall {
			s.refuse(id, notJoined())
			return
		}
		fn(r, p)
	})
}
