package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/chatmed/chatmed/internal/consult"
)

func (s *server) auditRoutes() []route {
	return []route{{http.MethodGet, "/api/v1/consultations/video/{session_id}/audit", s.audit}}
}

type auditBody struct {
	ID       string            `json:"id"`
	Seq      int64             `json:"seq"`
	Type     consult.EventType `json:"type"`
	Actor    actorBody         `json:"actor"`
	TicketID *string           `json:"ticket_id"`
	DoctorID *string           `json:"doctor_id"`
	At       string            `json:"at"`
	Data     json.RawMessage   `json:"data"`
	Hash     string            `json:"hash"`
}

type actorBody struct {
	Kind consult.ActorKind `json:"kind"`
	ID   string            `json:"id"`
	Role *string           `json:"role"`
}

func auditOf(e *AuditEntry) auditBody {
	b := auditBody{
		ID: e.Event.ID, Seq: e.Seq, Type: e.Event.Type, TicketID: optional(e.Event.TicketID), DoctorID: optional(e.Event.DoctorID),
		Actor: actorBody{Kind: e.Event.Actor.Kind, ID: e.Event.Actor.ID, Role: optional(e.Event.Actor.Role)},
		At:    rfc3339(e.Event.At), Data: e.Event.Data, Hash: e.Hash,
	}
	if len(b.Data) == 0 {
		b.Data = json.RawMessage("{}")
	}
	return b
}

// audit is what the audit log says of a consultation, oldest first. The log
// names the patient by a pseudonym.
func (s *server) audit(ctx context.Context, r *request) (any, error) {
	p, err := s.page(r)
	if err != nil {
		return nil, err
	}
	c, err := s.Consultations.Get(ctx, r.key.Scope, r.params["session_id"])
	if err != nil {
		return nil, err
	}
	all, err := s.Audit.Audit(ctx, c.Scope, c.ID)
	if err != nil {
		return nil, err
	}
	items, next, err := cut(all, p, func(e *AuditEntry) string { return strconv.FormatInt(e.Seq, 10) })
	if err != nil {
		return nil, err
	}
	return pageOf(s, r, items, next, auditOf), nil
}
