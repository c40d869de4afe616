package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/chatmed/chatmed/internal/consult"
)

// closeSession closes what is still open of c, whose status has just become
// final through the event cause, and returns one event for each.
func (q *querier) closeSession(ctx context.Context, c *consult.Consultation, cause consult.Event) ([]consult.Event, error) {
	at := truncated(cause.At)
	if c.EndedAt != nil {
		at = *c.EndedAt
	}
	base := consult.Event{Scope: c.Scope, Actor: cause.Actor, SessionID: c.ID, DoctorID: c.DoctorID, At: at}
	tickets, err := q.closeTickets(ctx, c, base)
	if err != nil {
		return nil, err
	}
	participations, err := q.closeParticipations(ctx, c, base)
	if err != nil {
		return nil, err
	}
	return append(tickets, participations...), nil
}

// closedAs is what becomes of an open ticket when its consultation is over.
func closedAs(c *consult.Consultation) consult.TicketStatus {
	switch {
	case c.Status == consult.Ended: // only an admitted patient's consultation can end
		return consult.TicketAdmitted
	case c.Reason == consult.CancelledByExpiry:
		return consult.TicketExpired
	case c.Reason == consult.CancelledByDecline:
		return consult.TicketDeclined
	}
	return consult.TicketLeft
}

func (q *querier) closeTickets(ctx context.Context, c *consult.Consultation, base consult.Event) ([]consult.Event, error) {
	open, err := list(ctx, q, scanTicket, `SELECT `+ticketColumns+` FROM tickets
		WHERE account_id = $1 AND mode = $2 AND session_id = $3 AND status IN ('queued', 'ready', 'away')
		ORDER BY id`+q.dialect.lockRow, c.Scope.AccountID, c.Scope.Mode, c.ID)
	if err != nil {
		return nil, err
	}
	var events []consult.Event
	for i := range open {
		before := open[i]
		after := before
		after.Status, after.ClosedAt, after.AwayAt, after.UpdatedAt = closedAs(c), &base.At, nil, base.At
		if after.Status == consult.TicketAdmitted && after.AdmittedAt == nil {
			after.AdmittedAt = c.AdmittedAt
		}
		if err := q.storeTicket(ctx, &before, &after); err != nil {
			return nil, err
		}
		e, err := derived(base, consult.TicketEvent(after.Status), map[string]any{
			"status": after.Status, "reason": c.Reason, "patient_id": after.PatientID,
		})
		if err != nil {
			return nil, err
		}
		e.TicketID, e.DoctorID = after.ID, after.DoctorID
		events = append(events, e)
	}
	return events, nil
}

func (q *querier) closeParticipations(ctx context.Context, c *consult.Consultation, base consult.Event) ([]consult.Event, error) {
	open, err := list(ctx, q, scanParticipation, `SELECT `+participationColumns+` FROM participations
		WHERE account_id = $1 AND mode = $2 AND session_id = $3 AND left_at IS NULL
		ORDER BY id`+q.dialect.lockRow, c.Scope.AccountID, c.Scope.Mode, c.ID)
	if err != nil || len(open) == 0 {
		return nil, err
	}
	_, err = q.exec(ctx, `UPDATE participations SET left_at = $1
		WHERE account_id = $2 AND mode = $3 AND session_id = $4 AND left_at IS NULL`,
		micros(base.At), c.Scope.AccountID, c.Scope.Mode, c.ID)
	if err != nil {
		return nil, err
	}
	var events []consult.Event
	for i := range open {
		e, err := derived(base, consult.EventParticipantLeft, map[string]any{
			"participant_id": open[i].ID, "role": open[i].Role, "reason": c.Reason,
		})
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// derived is an event that follows from another: ids, states and times only.
func derived(base consult.Event, typ consult.EventType, data map[string]any) (consult.Event, error) {
	b, err := json.Marshal(data)
	if err != nil {
		return base, fmt.Errorf("event %s: %w", typ, err)
	}
	base.ID, base.Type, base.Data = consult.NewID(consult.PrefixEvent), typ, b
	return base, nil
}
