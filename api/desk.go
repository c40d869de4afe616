package api

import (
	"context"
	"net/http"

	"github.com/chatmed/chatmed/internal/consult"
)

// deskRoutes are what a doctor's own system does with the queue, and the
// doctor's presence.
func (s *server) deskRoutes() []route {
	const (
		room     = "/api/v1/consultations/waiting-room"
		ticket   = room + "/{ticket_id}"
		presence = "/api/v1/doctors/{doctor_id}/presence"
	)
	return []route{
		{http.MethodGet, room + "/tickets", s.listTickets},
		{http.MethodPost, room + "/message", s.messageQueue},
		{http.MethodPost, ticket + "/message", s.messageTicket},
		{http.MethodPost, ticket + "/move", s.moveTicket},
		{http.MethodPost, ticket + "/send-back", s.sendBack},
		{http.MethodPost, ticket + "/transfer", s.transferTicket},
		{http.MethodPost, ticket + "/decline", s.declineTicket},
		{http.MethodGet, presence, s.presence},
		{http.MethodPut, presence, s.setPresence},
	}
}

// ticketItem is a ticket in a list that outlives the queue: it has no place.
type ticketItem struct {
	TicketID    string               `json:"ticket_id"`
	SessionID   string               `json:"session_id"`
	DoctorID    string               `json:"doctor_id"`
	PatientID   string               `json:"patient_id"`
	PatientName *string              `json:"patient_name"`
	Reason      *string              `json:"reason"`
	Language    *string              `json:"language"`
	Status      consult.TicketStatus `json:"status"`
	JoinedAt    string               `json:"joined_at"`
	ReadyAt     *string              `json:"ready_at"`
	AdmittedAt  *string              `json:"admitted_at"`
	ClosedAt    *string              `json:"closed_at"`
	Urgency     *string              `json:"urgency"`
}

func ticketItemOf(t *consult.Ticket) ticketItem {
	return ticketItem{
		TicketID: t.ID, SessionID: t.SessionID, DoctorID: t.DoctorID, PatientID: t.PatientID,
		PatientName: optional(t.PatientName), Reason: optional(t.Reason), Language: optional(t.Language), Status: t.Status,
		JoinedAt: rfc3339(t.JoinedAt), ReadyAt: optionalTime(t.ReadyAt), AdmittedAt: optionalTime(t.AdmittedAt),
		ClosedAt: optionalTime(t.ClosedAt), Urgency: optional(t.Screening.Urgency),
	}
}

func (s *server) listTickets(ctx context.Context, r *request) (any, error) {
	p, err := s.page(r)
	if err != nil {
		return nil, err
	}
	items, next, err := s.Tickets.Tickets(ctx, r.key.Scope, consult.TicketFilter{
		DoctorID: r.params["doctor_id"], PatientID: r.params["patient_id"], SessionID: r.params["session_id"],
		Status: consult.TicketStatus(r.params["status"]),
	}, p)
	if err != nil {
		return nil, err
	}
	return pageOf(s, r, items, next, ticketItemOf), nil
}

type messageBody struct {
	DoctorID string `json:"doctor_id"`
	Text     string `json:"text"`
}

type messagedBody struct {
	DoctorID   string `json:"doctor_id"`
	Recipients int    `json:"recipients"`
}

func (s *server) messageQueue(ctx context.Context, r *request) (any, error) {
	var b messageBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	n, err := s.Desk.MessageAll(ctx, r.key.Scope, r.actor(), b.DoctorID, b.Text)
	if err != nil {
		return nil, err
	}
	return messagedBody{DoctorID: b.DoctorID, Recipients: n}, nil
}

func (s *server) messageTicket(ctx context.Context, r *request) (any, error) {
	var b messageBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	p, err := s.Desk.Message(ctx, r.key.Scope, r.actor(), r.params["ticket_id"], b.Text)
	if err != nil {
		return nil, err
	}
	return s.ticketOf(ctx, r, p)
}

type moveBody struct {
	Position int `json:"position"`
}

func (s *server) moveTicket(ctx context.Context, r *request) (any, error) {
	var b moveBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	p, err := s.Desk.Move(ctx, r.key.Scope, r.actor(), r.params["ticket_id"], b.Position)
	if err != nil {
		return nil, err
	}
	return s.ticketOf(ctx, r, p)
}

func (s *server) sendBack(ctx context.Context, r *request) (any, error) {
	p, err := s.Desk.SendBack(ctx, r.key.Scope, r.actor(), r.params["ticket_id"])
	if err != nil {
		return nil, err
	}
	return s.ticketOf(ctx, r, p)
}

type transferBody struct {
	DoctorID   string `json:"doctor_id"`
	DoctorName string `json:"doctor_name"`
}

// transferTicket hands the patient to another doctor: same consultation, same
// patient's link; the first doctor's links end.
func (s *server) transferTicket(ctx context.Context, r *request) (any, error) {
	var b transferBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	p, err := s.Desk.Transfer(ctx, r.key.Scope, r.actor(), r.params["ticket_id"], b.DoctorID, b.DoctorName)
	if err != nil {
		return nil, err
	}
	return s.ticketOf(ctx, r, p)
}

type declineBody struct {
	Reason string `json:"reason"`
}

func (s *server) declineTicket(ctx context.Context, r *request) (any, error) {
	var b declineBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	p, err := s.Desk.Decline(ctx, r.key.Scope, r.actor(), r.params["ticket_id"], b.Reason)
	if err != nil {
		return nil, err
	}
	return s.ticketOf(ctx, r, p)
}

type presenceBody struct {
	DoctorID  string           `json:"doctor_id"`
	Presence  consult.Presence `json:"presence"`
	Online    bool             `json:"online"`
	UpdatedAt *string          `json:"updated_at"`
}

func presenceOf(p consult.DoctorPresence) presenceBody {
	b := presenceBody{DoctorID: p.DoctorID, Presence: p.Presence, Online: p.Online}
	if !p.UpdatedAt.IsZero() {
		b.UpdatedAt = optionalTime(&p.UpdatedAt)
	}
	return b
}

func (s *server) presence(ctx context.Context, r *request) (any, error) {
	p, err := s.Presence.Presence(ctx, r.key.Scope, r.params["doctor_id"])
	if err != nil {
		return nil, err
	}
	return presenceOf(p), nil
}

type setPresenceBody struct {
	Presence consult.Presence `json:"presence"`
}

func (s *server) setPresence(ctx context.Context, r *request) (any, error) {
	var b setPresenceBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	p, err := s.Presence.SetPresence(ctx, r.key.Scope, r.actor(), r.params["doctor_id"], b.Presence)
	if err != nil {
		return nil, err
	}
	return presenceOf(p), nil
}
