package signaling

import (
	"context"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu"
)

// offerRequest is a new offer: more slots, other tracks, a restart of ICE, or a
// new PeerConnection.
type offerRequest struct {
	offer   offered
	replace bool
}

func readOffer(o object) offerRequest {
	return offerRequest{offer: offered{sdp: o.str("offer"), intents: readIntents(o)}, replace: o.boolean("replace")}
}

// answerMessage answers an offer.
type answerMessage struct {
	Type   string     `json:"type"`
	ID     string     `json:"id,omitempty"`
	Answer string     `json:"answer"`
	Slots  []slotView `json:"slots"`
}

func (answerMessage) kind() string { return "answer" }

func (m offerRequest) handle(s *session, id string) {
	s.inCall(id, func(r *room, p *participant) {
		intents, err := granted(m.offer.intents, p.grants)
		if err == nil && p.media.open >= jobQueue {
			err = consult.Errorf(consult.RateLimitExceeded, consult.ReasonTooFast, "Earlier offers are still being answered.")
		}
		if err != nil {
			s.refuse(id, err)
			return
		}
		o := offered{sdp: m.offer.sdp, intents: intents}
		if p.media.leg == nil { // chat only until now
			r.joinMedia(p, &o, func(a sfu.Answer, err error) { r.answer(s, p, id, &o, a, err) })
			return
		}
		r.startMedia(p, func(ctx context.Context, leg Leg) (Leg, sfu.Answer, error) {
			if leg == nil {
				return nil, sfu.Answer{}, notJoined()
			}
			a, err := leg.Offer(ctx, o.sdp, o.intents, m.replace)
			return leg, a, err
		}, func(_ Leg, a sfu.Answer, err error) { r.answer(s, p, id, &o, a, err) })
	})
}

// answer passes the SFU's answer on. An offer that failed leaves the media as
// it was; one that made the first media leaves the participant to chat.
func (r *room) answer(s *session, p *participant, id string, o *offered, a sfu.Answer, err error) {
	if err != nil {
		if p.media.leg == nil {
			p.media.sources = nil
		}
		s.refuse(id, err)
		return
	}
	p.media.answer, p.media.ready = a.SDP, false
	p.publishes(o)
	s.send(answerMessage{Type: "answer", ID: id, Answer: a.SDP, Slots: slotViews(a.Slots)})
	r.tellParticipants()
	r.settle()
}
