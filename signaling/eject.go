package signaling

import (
	"context"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// ejectRequest puts somebody out of the consultation, for good.
type ejectRequest struct{ participantID string }

func (m ejectRequest) handle(s *session, id string) {
	s.inCall(id, func(r *room, p *participant) {
		if !p.grants.End {
			s.refuse(id, noGrant())
			return
		}
		ctx, cancel := r.call()
		defer cancel()
		err := noPerson()
		for _, q := range r.people {
			if q.id != m.participantID || q == p {
				continue
			}
			if err := r.srv.expel(ctx, r.scope, r.id, r.c.DoctorID, q.person(), p.actor()); err != nil {
				s.refuse(id, err)
				return
			}
			err = nil
			break
		}
		if err != nil {
			s.refuse(id, err)
			return
		}
		s.send(ackMessage{Type: "ack", ID: id})
		r.refresh()
	})
}

func noPerson() *consult.Error {
	return consult.Errorf(consult.NotFound, "", "No such participant here.")
}

// person is who a participant is, whatever token they came with.
type person struct {
	participantID string
	role          consult.Role
	subject       string
}

func (p *participant) person() person { return person{p.id, p.role, p.subject} }

// Eject puts a participant out of a consultation, on whatever node they are:
// every token of that person for it is revoked, and their connections are closed
// within a second. It returns NotFound for a consultation of another scope and
// for somebody who was never in it, Conflict when it is over. Ejecting twice
// changes nothing.
func (s *Server) Eject(ctx context.Context, sc consult.Scope, sessionID, participantID string, actor consult.Actor) error {
	c, err := s.deps.Consultations.Get(ctx, sc, sessionID)
	if err != nil {
		return err
	}
	if err := over(c); err != nil {
		return err
	}
	who, err := s.findPerson(ctx, sc, sessionID, participantID)
	if err != nil {
		return err
	}
	return s.expel(ctx, sc, sessionID, c.DoctorID, who, actor)
}

// findPerson looks in this node's room, where people who wait are too, and in
// the store, where everyone is who was ever in the call.
func (s *Server) findPerson(ctx context.Context, sc consult.Scope, sessionID, participantID string) (person, error) {
	var who person
	if r := s.peek(sessionID); r != nil && r.scope == sc {
		r.do(func() {
			for _, p := range r.people {
				if p.id == participantID {
					who = p.person()
				}
			}
		})
	}
	if who.role != "" {
		return who, nil
	}
	all, err := s.deps.Store.Participations(ctx, sc, sessionID)
	if err != nil {
		return who, err
	}
	for _, p := range all {
		if p.ID == participantID {
			return person{p.ID, p.Role, p.Subject}, nil
		}
	}
	return who, noPerson()
}

// expel revokes the person's tokens and tells every node. The store holds it, so
// a node that does not hear of it sees it when it looks (see poll).
func (s *Server) expel(ctx context.Context, sc consult.Scope, sessionID, doctorID string, who person, actor consult.Actor) error {
	now := s.deps.Clock.Now().UTC().Truncate(time.Microsecond)
	e := consult.Event{
		ID: consult.NewID(consult.PrefixEvent), Type: consult.EventTokensRevoked, Scope: sc, Actor: actor,
		SessionID: sessionID, DoctorID: doctorID, At: now,
		Data: encode(struct {
			ParticipantID string       `json:"participant_id"`
			Role          consult.Role `json:"role"`
		}{who.participantID, who.role}),
	}
	if err := s.deps.Store.RevokePerson(ctx, sc, sessionID, who.role, who.subject, now, []consult.Event{e}); err != nil {
		return err
	}
	if err := s.deps.Bus.Publish(ctx, consult.SessionTopic(sessionID), encode(e)); err != nil {
		s.log.Warn("ejection not announced, the nodes look for it", "session_id", sessionID, "err", err)
		if r := s.peek(sessionID); r != nil {
			r.refreshSoon()
		}
	}
	return nil
}
