package signaling

import (
	"github.com/gorilla/websocket"

	"github.com/chatmed/chatmed/internal/consult"
)

// leaveRequest ends the participant's own stay, and gives up a place in the queue.
type leaveRequest struct{}

func (leaveRequest) handle(s *session, _ string) {
	if s.room != nil {
		s.room.do(func() {
			if p := s.self; p.conn == s {
				s.room.leave(p)
			}
		})
	}
	s.close(websocket.CloseNormalClosure, "left")
}

func (r *room) leave(p *participant) {
	p.conn = nil
	if p.stage == waits && p.ticketID != "" {
		ctx, cancel := r.call()
		_, err := r.srv.deps.Tickets.Leave(ctx, r.scope, p.actor(), p.ticketID)
		cancel()
		if err != nil && !consult.HasCode(err, consult.Conflict) {
			r.log.Error("ticket not given up", "ticket_id", p.ticketID, "err", err)
			r.setAway(p) // then its grace period ends it
		}
	}
	r.remove(p)
}
