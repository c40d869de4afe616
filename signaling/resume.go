package signaling

import "github.com/chatmed/chatmed/internal/consult"

// resumeRequest takes up a participant whose connection was lost.
type resumeRequest struct {
	protocol      int
	participantID string
	secret        string
}

func readResume(o object) resumeRequest {
	return resumeRequest{protocol: o.integer("protocol"), participantID: o.str("participant_id"), secret: o.str("secret")}
}

// resumedMessage is the whole state again.
type resumedMessage struct {
	Type  string `json:"type"`
	ID    string `json:"id,omitempty"`
	State string `json:"state"`
	identity
	Waiting *waitingView `json:"waiting,omitempty"`
	*inside
}

func (resumedMessage) kind() string { return "resumed" }

func (m resumeRequest) handle(s *session, id string) {
	if s.room != nil || s.board != nil {
		s.refuse(id, badMessage("This connection has joined already."))
		return
	}
	if m.protocol != protocolVersion {
		s.fatal(id, wrongProtocol())
		return
	}
	if r := s.srv.acquireFor(m.participantID); r != nil {
		r.do(func() { r.resume(s, m, id) })
		if s.self != nil {
			s.room = r
			return
		}
		s.srv.release(r)
	}
	s.refuse(id, consult.Errorf(consult.NotFound, consult.ReasonResumeUnknown, "Nothing to resume. Join again."))
}

// resume makes s the connection of the participant it proves to be. It sets
// s.self if it does.
func (r *room) resume(s *session, m resumeRequest, id string) {
	var p *participant
	for _, q := range r.people {
		if q.id == m.participantID && q.knows(m.secret) {
			p = q
		}
	}
	if p == nil || r.c == nil {
		return
	}
	var place *consult.QueuePlace
	if p.stage == waits && p.why == whyQueue {
		if place = r.waitingPlace(p); place == nil {
			return // a join finds out, or makes a new ticket
		}
	}
	if p.stage == waits && p.why == whyScheduled {
		place = r.placeBefore(p)
	}
	r.attach(p, s)
	s.self = p
	reply := resumedMessage{Type: "resumed", ID: id, State: "in_call", identity: r.identityOf(p)}
	if p.stage == inCall {
		in := r.insideFor(p)
		if !p.media.ready {
			in.Answer = p.media.answer // it may have been lost with the connection
		}
		reply.inside = &in
		s.send(reply)
		p.tellAdapted()
		r.tellParticipants()
		r.settle()
		return
	}
	reply.State = "waiting"
	view := r.waitingFor(p, place)
	reply.Waiting = &view
	s.send(reply)
	p.told = string(encode(view))
	r.reconsider(p)
}

// waitingPlace marks a waiting patient present and returns their place; nil when
// the ticket is closed.
func (r *room) waitingPlace(p *participant) *consult.QueuePlace {
	if p.ticketID == "" {
		return nil
	}
	ctx, cancel := r.call()
	defer cancel()
	return r.present(ctx, p)
}
