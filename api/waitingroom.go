package api

import (
	"context"
	"net/http"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/waitingroom"
)

func (s *server) waitingRoomRoutes() []route {
	const room = "/api/v1/consultations/waiting-room"
	return []route{
		{http.MethodPost, room + "/join", s.joinWaitingRoom},
		{http.MethodGet, room, s.listWaitingRoom},
		{http.MethodGet, room + "/{ticket_id}", s.ticket},
		{http.MethodDelete, room + "/{ticket_id}", s.leaveWaitingRoom},
		{http.MethodPost, room + "/{ticket_id}/admit", s.admit},
	}
}

type joinBody struct {
	DoctorID    string `json:"doctor_id"`
	PatientID   string `json:"patient_id"`
	PatientName string `json:"patient_name"`
	Reason      string `json:"reason"`
	Language    string `json:"language"`
	SessionID   string `json:"session_id"`
	Country     string `json:"country"`
}

type waitRange struct {
	LowSeconds  int64 `json:"low_seconds"`
	HighSeconds int64 `json:"high_seconds"`
}

// placeBody is what every view of a ticket shows.
type placeBody struct {
	TicketID             string               `json:"ticket_id"`
	SessionID            string               `json:"session_id"`
	Status               consult.TicketStatus `json:"status"`
	Position             *int                 `json:"position"`
	EstimatedWaitSeconds *int64               `json:"estimated_wait_seconds"`
	EstimatedWaitRange   *waitRange           `json:"estimated_wait_range"`
	DoctorNotified       bool                 `json:"doctor_notified"`
	JoinedAt             string               `json:"joined_at"`
	Urgency              *string              `json:"urgency"`
}

type ticketBody struct {
	placeBody
	PatientJoinURL *string   `json:"patient_join_url"`
	Emergency      *helpBody `json:"emergency"`
}

type admittedBody struct {
	ticketBody
	DoctorJoinURL *string `json:"doctor_join_url"`
}

// queuedBody is a ticket as the doctor sees it.
type queuedBody struct {
	placeBody
	PatientID   string  `json:"patient_id"`
	PatientName *string `json:"patient_name"`
	Reason      *string `json:"reason"`
	Language    *string `json:"language"`
}

type queueBody struct {
	DoctorID string       `json:"doctor_id"`
	Tickets  []queuedBody `json:"tickets"`
}

func (s *server) joinWaitingRoom(ctx context.Context, r *request) (any, error) {
	var b joinBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	p, err := s.WaitingRoom.Join(ctx, r.key.Scope, r.actor(), waitingroom.JoinRequest{
		DoctorID: b.DoctorID, PatientID: b.PatientID, PatientName: b.PatientName,
		Reason: b.Reason, Language: b.Language, SessionID: b.SessionID, Country: b.Country,
	})
	if err != nil {
		return nil, err
	}
	return s.ticketOf(ctx, r, p)
}

func (s *server) listWaitingRoom(ctx context.Context, r *request) (any, error) {
	doctor := r.params["doctor_id"]
	places, err := s.WaitingRoom.List(ctx, r.key.Scope, doctor)
	if err != nil {
		return nil, err
	}
	out := queueBody{DoctorID: doctor, Tickets: make([]queuedBody, 0, len(places))}
	for i := range places {
		t := &places[i].Ticket
		out.Tickets = append(out.Tickets, queuedBody{
			placeBody: placeOf(&places[i]), PatientID: t.PatientID,
			PatientName: optional(t.PatientName), Reason: optional(t.Reason), Language: optional(t.Language),
		})
	}
	return out, nil
}

func (s *server) ticket(ctx context.Context, r *request) (any, error) {
	p, err := s.WaitingRoom.Get(ctx, r.key.Scope, r.params["ticket_id"])
	if err != nil {
		return nil, err
	}
	return s.ticketOf(ctx, r, p)
}

func (s *server) leaveWaitingRoom(ctx context.Context, r *request) (any, error) {
	p, err := s.WaitingRoom.Leave(ctx, r.key.Scope, r.actor(), r.params["ticket_id"])
	if err != nil {
		return nil, err
	}
	return s.ticketOf(ctx, r, p)
}

func (s *server) admit(ctx context.Context, r *request) (any, error) {
	p, err := s.WaitingRoom.Admit(ctx, r.key.Scope, r.actor(), r.params["ticket_id"])
	if err != nil {
		return nil, err
	}
	c, err := s.Consultations.Get(ctx, r.key.Scope, p.Ticket.SessionID)
	if err != nil {
		return nil, err
	}
	patient, err := s.joinURL(r, c, consult.Patient, p.Ticket.PatientName)
	if err != nil {
		return nil, err
	}
	doctor, err := s.joinURL(r, c, consult.Doctor, "")
	if err != nil {
		return nil, err
	}
	return admittedBody{
		ticketBody:    ticketBody{placeBody: placeOf(p), PatientJoinURL: patient, Emergency: s.helpFor(&p.Ticket)},
		DoctorJoinURL: doctor,
	}, nil
}

// ticketOf shows a place to the integrator, with a link for the patient.
func (s *server) ticketOf(ctx context.Context, r *request, p *consult.QueuePlace) (any, error) {
	c, err := s.Consultations.Get(ctx, r.key.Scope, p.Ticket.SessionID)
	if err != nil {
		return nil, err
	}
	link, err := s.joinURL(r, c, consult.Patient, p.Ticket.PatientName)
	if err != nil {
		return nil, err
	}
	return ticketBody{placeBody: placeOf(p), PatientJoinURL: link, Emergency: s.helpFor(&p.Ticket)}, nil
}

// joinURL is a fresh link for one side, or nil once the consultation is over.
// name stands in where the consultation knows none.
func (s *server) joinURL(r *request, c *consult.Consultation, role consult.Role, name string) (*string, error) {
	if c.Status.Final() {
		return nil, nil
	}
	p := personOf(c, role)
	if p.name == "" {
		p.name = name
	}
	token, err := s.roomToken(c, r.key.ID, p, time.Time{})
	if err != nil {
		return nil, err
	}
	link := s.Links.Join(c.ID, role, token)
	return &link, nil
}

func placeOf(p *consult.QueuePlace) placeBody {
	t := &p.Ticket
	b := placeBody{
		TicketID: t.ID, SessionID: t.SessionID, Status: t.Status,
		DoctorNotified: p.DoctorNotified, JoinedAt: rfc3339(t.JoinedAt),
		Urgency: optional(t.Screening.Urgency),
	}
	if p.Position > 0 {
		b.Position = &p.Position
	}
	if p.Estimate.Known {
		expected := wholeSeconds(p.Estimate.Expected)
		b.EstimatedWaitSeconds = &expected
		b.EstimatedWaitRange = &waitRange{wholeSeconds(p.Estimate.Low), wholeSeconds(p.Estimate.High)}
	}
	return b
}
