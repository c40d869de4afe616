package signaling

import (
	"context"

	"github.com/chatmed/chatmed/internal/consult"
)

// What a doctor may do with the queue, from a dashboard with every patient of
// theirs, from a room with its own.

// messageRequest tells a waiting patient something.
type messageRequest struct{ ticketID, text string }

// messageAllRequest tells everyone who waits for the doctor something.
type messageAllRequest struct{ text string }

// reorderRequest gives a ticket another position, from 1.
type reorderRequest struct {
	ticketID string
	position int
}

// sendBackRequest undoes an admission while the call has not begun.
type sendBackRequest struct{ ticketID string }

// transferRequest hands a patient to another doctor.
type transferRequest struct{ ticketID, doctorID, doctorName string }

// declineRequest refuses a patient; the reason is for them.
type declineRequest struct{ ticketID, reason string }

// presenceRequest says whether the doctor can see patients.
type presenceRequest struct{ presence consult.Presence }

func readTransfer(o object) transferRequest {
	return transferRequest{ticketID: o.str("ticket_id"), doctorID: o.str("doctor_id"), doctorName: o.str("doctor_name")}
}

func (m messageRequest) handle(s *session, id string) {
	s.atDesk(id, m.ticketID, func(ctx context.Context, d deskHolder) (ackMessage, error) {
		_, err := s.srv.deps.Queue.Message(ctx, d.scope, d.actor, m.ticketID, m.text)
		return ackMessage{}, err
	})
}

func (m messageAllRequest) handle(s *session, id string) {
	s.atDesk(id, "", func(ctx context.Context, d deskHolder) (ackMessage, error) {
		n, err := s.srv.deps.Queue.MessageAll(ctx, d.scope, d.actor, d.doctorID, m.text)
		return ackMessage{Count: &n}, err
	})
}

func (m reorderRequest) handle(s *session, id string) {
	s.atDesk(id, m.ticketID, func(ctx context.Context, d deskHolder) (ackMessage, error) {
		_, err := s.srv.deps.Queue.Move(ctx, d.scope, d.actor, m.ticketID, m.position)
		return ackMessage{}, err
	})
}

func (m sendBackRequest) handle(s *session, id string) {
	s.atDesk(id, m.ticketID, func(ctx context.Context, d deskHolder) (ackMessage, error) {
		_, err := s.srv.deps.Queue.SendBack(ctx, d.scope, d.actor, m.ticketID)
		return ackMessage{}, err
	})
}

func (m transferRequest) handle(s *session, id string) {
	s.atDesk(id, m.ticketID, func(ctx context.Context, d deskHolder) (ackMessage, error) {
		_, err := s.srv.deps.Queue.Transfer(ctx, d.scope, d.actor, m.ticketID, m.doctorID, cleanName(m.doctorName))
		return ackMessage{}, err
	})
}

func (m declineRequest) handle(s *session, id string) {
	s.atDesk(id, m.ticketID, func(ctx context.Context, d deskHolder) (ackMessage, error) {
		_, err := s.srv.deps.Queue.Decline(ctx, d.scope, d.actor, m.ticketID, m.reason)
		return ackMessage{}, err
	})
}

func (m presenceRequest) handle(s *session, id string) {
	s.atDesk(id, "", func(ctx context.Context, d deskHolder) (ackMessage, error) {
		_, err := s.srv.deps.Queue.SetPresence(ctx, d.scope, d.actor, d.doctorID, m.presence)
		return ackMessage{}, err
	})
}

// deskHolder is a doctor who acts on a queue.
type deskHolder struct {
	scope    consult.Scope
	doctorID string
	actor    consult.Actor
}

// atDesk runs do for the doctor behind this connection, and answers. A ticket
// must be of that doctor; in a room, of that consultation.
func (s *session) atDesk(id, ticketID string, do func(context.Context, deskHolder) (ackMessage, error)) {
	if s.board != nil {
		s.board.act(id, ticketID, do)
		return
	}
	s.inCall(id, func(r *room, p *participant) {
		if !p.grants.Admit {
			s.refuse(id, noGrant())
			return
		}
		ctx, cancel := r.call()
		defer cancel()
		d := deskHolder{scope: r.scope, doctorID: r.c.DoctorID, actor: p.actor()}
		err := s.srv.ownTicket(ctx, d, ticketID, r.id)
		var ack ackMessage
		if err == nil {
			ack, err = do(ctx, d)
		}
		s.answerDesk(id, ack, err)
		r.refreshSoon() // the bus says so too, unless it is down
	})
}

func (s *session) answerDesk(id string, ack ackMessage, err error) {
	if err != nil {
		s.refuse(id, err)
		return
	}
	ack.Type, ack.ID = "ack", id
	s.send(ack)
}

// ownTicket refuses a ticket of another doctor, or, with a session, of another
// session, as if there were none.
func (s *Server) ownTicket(ctx context.Context, d deskHolder, ticketID, sessionID string) error {
	if ticketID == "" {
		return nil
	}
	q, err := s.deps.Queue.Get(ctx, d.scope, ticketID)
	if consult.HasCode(err, consult.NotFound) {
		return noTicket()
	}
	if err != nil {
		return err
	}
	if q.Ticket.DoctorID != d.doctorID || (sessionID != "" && q.Ticket.SessionID != sessionID) {
		return noTicket()
	}
	return nil
}

// act runs do for the dashboard's doctor. The token is checked again: it may
// have been revoked.
func (b *dashboard) act(id, ticketID string, do func(context.Context, deskHolder) (ackMessage, error)) {
	ctx, cancel := context.WithTimeout(b.ctx, callTimeout)
	defer cancel()
	claims, err := b.s.dashboardClaims(ctx, b.token)
	if err != nil {
		b.s.fatal(id, err)
		return
	}
	d := deskHolder{scope: b.scope, doctorID: b.doctorID, actor: claims.Actor()}
	var ack ackMessage
	if err = b.s.srv.ownTicket(ctx, d, ticketID, ""); err == nil {
		ack, err = do(ctx, d)
	}
	b.s.answerDesk(id, ack, err)
	b.notice() // the bus says so too, unless it is down
}
