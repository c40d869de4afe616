package signaling

import (
	"context"

	"github.com/chatmed/chatmed/internal/consult"
)

// maxTickets bounds a list of tickets, so that one message stays well within
// the outgoing queue.
const maxTickets = 200

// ticketView is a waiting patient as the doctor sees them.
type ticketView struct {
	TicketID     string               `json:"ticket_id"`
	SessionID    string               `json:"session_id"`
	PatientID    string               `json:"patient_id"`
	PatientName  string               `json:"patient_name"`
	Reason       string               `json:"reason"`
	Language     string               `json:"language"`
	Status       consult.TicketStatus `json:"status"`
	Position     int                  `json:"position"`
	JoinedAt     instant              `json:"joined_at"`
	WaitingSince instant              `json:"waiting_since"`
	Urgency      *consult.Urgency     `json:"urgency"`
}

// queueMessage lists open tickets.
type queueMessage struct {
	Type    string       `json:"type"`
	Tickets []ticketView `json:"tickets"`
	// Admitted is for dashboards.
	Admitted *[]admittedView `json:"admitted,omitempty"`
}

// admittedView is a patient who was admitted and whose call has not begun.
type admittedView struct {
	TicketID    string  `json:"ticket_id"`
	SessionID   string  `json:"session_id"`
	PatientName string  `json:"patient_name"`
	AdmittedAt  instant `json:"admitted_at"`
}

func admittedViews(tickets []consult.Ticket) []admittedView {
	out := []admittedView{}
	for i := range tickets {
		if t := &tickets[i]; len(out) < maxTickets {
			out = append(out, admittedView{
				TicketID: t.ID, SessionID: t.SessionID, PatientName: t.PatientName, AdmittedAt: maybeAt(t.AdmittedAt),
			})
		}
	}
	return out
}

func (queueMessage) kind() string { return "queue" }

func newTicketView(q *consult.QueuePlace) ticketView {
	t := &q.Ticket
	v := ticketView{
		TicketID: t.ID, SessionID: t.SessionID, PatientID: t.PatientID, PatientName: t.PatientName,
		Reason: t.Reason, Language: t.Language, Status: t.Status, Position: max(q.Position, 1),
		JoinedAt: at(t.JoinedAt), WaitingSince: maybeAt(t.ReadyAt),
	}
	if u := t.Screening.Urgency; u != "" {
		v.Urgency = &u
	}
	return v
}

// ticketViews keeps the open tickets, first ones first.
func ticketViews(places []consult.QueuePlace) []ticketView {
	out := []ticketView{}
	for i := range places {
		if places[i].Ticket.Status.Open() && len(out) < maxTickets {
			out = append(out, newTicketView(&places[i]))
		}
	}
	return out
}

// place reads this session's place in the queue; nil when it has none.
func (r *room) place() (*consult.QueuePlace, error) {
	ctx, cancel := r.call()
	defer cancel()
	q, err := r.srv.deps.Tickets.ForSession(ctx, r.scope, r.id)
	if consult.HasCode(err, consult.NotFound) {
		return nil, nil
	}
	return q, err
}

// tickets is this session's open ticket, as a list.
func (r *room) tickets() []ticketView {
	q, err := r.place()
	if err != nil {
		r.log.Error("queue not read", "err", err)
		r.retry()
	}
	return openTicket(q)
}

func openTicket(q *consult.QueuePlace) []ticketView {
	if q == nil {
		return []ticketView{}
	}
	return ticketViews([]consult.QueuePlace{*q})
}

// refreshQueue tells the patient their place and the doctor the ticket, as far
// as they have changed.
func (r *room) refreshQueue() {
	if r.c == nil || r.c.Status.Final() || len(r.people) == 0 {
		return
	}
	q, err := r.place()
	if err != nil {
		r.log.Error("queue not read", "err", err)
		r.retry()
		return
	}
	r.lookForDoctor()
	for _, p := range r.everyone() {
		if p.role == consult.Patient && p.stage == waits && p.ticketID != "" {
			if q != nil && q.Ticket.Status.Open() {
				p.ticketID = q.Ticket.ID // another one after a transfer
			}
			r.refreshPlace(p, q)
		}
		if p.role == consult.Patient && p.stage == waits && p.why == whyScheduled && p.ticketID == "" && q != nil && q.Ticket.Status.Open() {
			r.tellWaiting(p, q) // a reason given over the API before the room opens
		}
	}
	tickets := openTicket(q)
	told := string(encode(tickets))
	for _, p := range r.people {
		if p.role != consult.Doctor || p.stage != inCall || p.conn == nil {
			continue
		}
		if p.told != told {
			p.told = told
			p.push(queueMessage{Type: "queue", Tickets: tickets})
		}
		if q != nil {
			ctx, cancel := r.call()
			r.srv.shown(ctx, r.scope, []consult.QueuePlace{*q})
			cancel()
		}
	}
}

// shown notes that a doctor has these tickets on the screen.
func (s *Server) shown(ctx context.Context, sc consult.Scope, places []consult.QueuePlace) {
	for i := range places {
		if q := &places[i]; q.Ticket.Status.Open() && !q.DoctorNotified {
			if err := s.deps.Queue.NotifiedDoctor(ctx, sc, q.Ticket.ID); err != nil {
				s.log.Warn("notification not noted", "ticket", q.Ticket.ID, "err", err)
			}
		}
	}
}

// refreshPlace acts on the state of a waiting patient's ticket.
func (r *room) refreshPlace(p *participant, q *consult.QueuePlace) {
	switch {
	case q != nil && q.Ticket.Status == consult.TicketAdmitted:
		r.refreshSoon() // the consultation says so too
	case q == nil || !q.Ticket.Status.Open():
		r.refresh() // declined ends the consultation, with a better reason
		if p.stage == waits && r.find(p.role, p.subject) == p {
			r.eject(p, consult.Errorf(consult.Conflict, consult.ReasonTicketClosed, "Your place in the queue was given up."))
		}
	case p.conn != nil && q.Ticket.Status != consult.TicketReady:
		// The page is open whatever the ticket says, as after a restart. The
		// change brings us here again.
		ctx, cancel := r.call()
		defer cancel()
		r.present(ctx, p)
	default:
		r.tellWaiting(p, q)
	}
}
