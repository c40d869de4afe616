package signaling

import "github.com/chatmed/chatmed/internal/consult"

// endRequest ends the consultation for everyone.
type endRequest struct{}

func (endRequest) handle(s *session, id string) {
	s.inCall(id, func(r *room, p *participant) {
		if !p.grants.End {
			s.refuse(id, noGrant())
			return
		}
		ctx, cancel := r.call()
		defer cancel()
		if _, err := r.srv.deps.Consultations.End(ctx, r.scope, r.id, p.actor(), consult.EndedByDoctor); err != nil {
			s.refuse(id, err)
			return
		}
		s.send(ackMessage{Type: "ack", ID: id})
		r.refresh()
	})
}
