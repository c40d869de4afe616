package signaling

import (
	"github.com/chatmed/chatmed/internal/consult"
)

// Line is a service that answers a telephone.
type Line struct {
	Name   string `json:"name"`
	Number string `json:"number"`
	Hours  string `json:"hours,omitempty"`
	URL    string `json:"url,omitempty"`
}

// EmergencyLines are who to ring.
type EmergencyLines struct {
	Country string   // whose numbers these are; "" where that is not known
	Numbers []string // the one to dial first before the others; never empty
	Crisis  *Line    // nil where none is known
}

// Emergencies knows who to ring.
type Emergencies interface {
	// Lines are those of a country, ISO 3166-1 alpha-2, and of the server's own
	// where it is ""; a crisis line that speaks the language comes before others.
	Lines(country, language string) EmergencyLines
}

// emergencyView is what a patient sees whose reason was found to be an
// emergency.
type emergencyView struct {
	Urgency    consult.Urgency `json:"urgency"`
	Country    *string         `json:"country"`
	Numbers    []string        `json:"numbers"`
	CrisisLine *Line           `json:"crisis_line"`
}

// emergencyFor is nil unless p is the patient of a ticket that is an emergency.
func (r *room) emergencyFor(p *participant, place *consult.QueuePlace) *emergencyView {
	if place == nil || p.role != consult.Patient || !place.Ticket.Screening.Urgency.Emergency() {
		return nil
	}
	t := &place.Ticket
	country := t.Country
	if country == "" {
		country = r.c.Country
	}
	l := r.srv.deps.Emergencies.Lines(country, p.language)
	v := &emergencyView{Urgency: t.Screening.Urgency, Numbers: l.Numbers}
	if l.Country != "" {
		v.Country = &l.Country
	}
	if t.Screening.Crisis {
		v.CrisisLine = l.Crisis
	}
	return v
}

// reasonRequest replaces the reason of the patient who waits; it is screened.
type reasonRequest struct{ text string }

func (m reasonRequest) handle(s *session, id string) {
	s.joined(id, func(r *room, p *participant) {
		if p.stage != waits || p.why != whyQueue || p.ticketID == "" {
			s.refuse(id, consult.Errorf(consult.Conflict, consult.ReasonNotWaiting, "You do not wait in the queue."))
			return
		}
		place, err := r.amend(p, m.text)
		if err != nil {
			s.refuse(id, err)
			return
		}
		// What she must see comes before the confirmation.
		r.tellWaiting(p, place)
		s.send(ackMessage{Type: "ack", ID: id})
	})
}

// amend stores a reason. A ticket that has closed meanwhile is found out by the
// next look at the queue.
func (r *room) amend(p *participant, reason string) (*consult.QueuePlace, error) {
	ctx, cancel := r.call()
	defer cancel()
	place, err := r.srv.deps.Tickets.Amend(ctx, r.scope, p.actor(), p.ticketID, reason)
	if consult.HasCode(err, consult.Conflict) {
		r.queueSoon()
	}
	return place, err
}

// placeBefore is the place of a patient who came before the room opens, and may
// have given a reason over the API.
func (r *room) placeBefore(p *participant) *consult.QueuePlace {
	if p.role != consult.Patient {
		return nil
	}
	q, err := r.place()
	if err != nil {
		r.log.Warn("place not read", "err", err)
		return nil
	}
	if q != nil && !q.Ticket.Status.Open() {
		return nil
	}
	return q
}
