package signaling

import (
	"github.com/chatmed/chatmed/internal/consult"
)

// admitRequest lets a waiting patient in.
type admitRequest struct{ ticketID string }

func (m admitRequest) handle(s *session, id string) {
	if s.board != nil {
		s.board.admit(m.ticketID, id)
		return
	}
	s.inCall(id, func(r *room, p *participant) {
		if !p.grants.Admit {
			s.refuse(id, noGrant())
			return
		}
		ctx, cancel := r.call()
		defer cancel()
		q, err := r.srv.deps.Tickets.ForSession(ctx, r.scope, r.id)
		if err == nil && q.Ticket.ID != m.ticketID {
			err = noTicket()
		}
		if err == nil {
			_, err = r.srv.deps.Queue.Admit(ctx, r.scope, p.actor(), m.ticketID)
		}
		if err != nil {
			s.refuse(id, err)
			return
		}
		s.send(ackMessage{Type: "ack", ID: id})
		r.refreshSoon() // the bus says so too, unless it is down
	})
}

func noTicket() *consult.Error {
	return consult.Errorf(consult.NotFound, "", "No such ticket here.")
}
