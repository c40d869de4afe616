package store

import (
	"context"
	"slices"

	"github.com/chatmed/chatmed/internal/consult"
)

// ArrangeTicket locks the ticket, its consultation and the other open tickets
// of its doctor, which change gets in their order. change alters the ticket and
// the consultation, and the Rank of any of the others; everything is stored
// with the events. change returning no event and no error stores nothing. It
// may run more than once and must not use the store.
//
// The tickets whose rank changed are returned as stored, without t itself.
func (s *Store) ArrangeTicket(ctx context.Context, sc consult.Scope, id string,
	change func(t *consult.Ticket, c *consult.Consultation, others []consult.Ticket) ([]consult.Event, error),
) (t *consult.Ticket, moved []consult.Ticket, err error) {
	err = s.write(ctx, func(ctx context.Context, q *querier) error {
		first, err := q.ticket(ctx, sc, id, "")
		if err != nil {
			return err
		}
		t, _, err = q.updateTicket(ctx, sc, id, func(t *consult.Ticket, c *consult.Consultation) (events []consult.Event, err error) {
			if t.DoctorID != first.DoctorID {
				return nil, errRetry
			}
			before, err := q.otherTickets(ctx, t)
			if err != nil {
				return nil, err
			}
			after := slices.Clone(before)
			if events, err = change(t, c, after); err != nil || len(events) == 0 {
				return nil, err
			}
			// Here and not after: the audit chain is locked last.
			moved, err = q.storeRanks(ctx, before, after, events[0])
			return events, err
		})
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return t, moved, nil
}

// storeRanks writes the tickets whose rank changed and returns them.
func (q *querier) storeRanks(ctx context.Context, before, after []consult.Ticket, cause consult.Event) ([]consult.Ticket, error) {
	var moved []consult.Ticket
	for i := range after {
		if after[i].Rank == before[i].Rank {
			continue
		}
		row := before[i]
		row.Rank, row.UpdatedAt = after[i].Rank, cause.At
		if err := q.storeTicket(ctx, &before[i], &row); err != nil {
			return nil, err
		}
		moved = append(moved, row)
	}
	return moved, nil
}

// otherTickets are the open tickets of t's doctor but t, in order. They are not
// locked: storeTicket notices by version whoever was faster.
func (q *querier) otherTickets(ctx context.Context, t *consult.Ticket) ([]consult.Ticket, error) {
	return list(ctx, q, scanTicket, `SELECT `+ticketColumns+` FROM tickets
		WHERE account_id = $1 AND mode = $2 AND doctor_id = $3 AND id <> $4 AND status IN ('queued', 'ready', 'away')
		ORDER BY rank, id`, t.Scope.AccountID, t.Scope.Mode, t.DoctorID, t.ID)
}

// TransferTicket hands a ticket on. change gets the ticket and its consultation,
// both locked, closes the one, moves the other to the new doctor, and returns
// the ticket that takes the place there; everything is stored with the events.
// change returning no event and no error stores nothing, and next is nil. The
// tokens of the consultation's doctor until now, as far as they were issued up
// to the first event, are revoked in the same transaction. A patient who has an
// open ticket, or an open consultation, with the new doctor already is a
// Conflict.
func (s *Store) TransferTicket(ctx context.Context, sc consult.Scope, id string,
	change func(*consult.Ticket, *consult.Consultation) (*consult.Ticket, []consult.Event, error),
) (old, next *consult.Ticket, c *consult.Consultation, err error) {
	err = s.write(ctx, func(ctx context.Context, q *querier) error {
		var err error
		old, c, err = q.updateTicket(ctx, sc, id, func(t *consult.Ticket, c *consult.Consultation) ([]consult.Event, error) {
			was := c.DoctorID
			to, events, err := change(t, c)
			next = nil
			if err != nil || len(events) == 0 {
				return nil, err
			}
			row := *to
			storableTicket(&row)
			if err := q.insertTicket(ctx, &row); err != nil {
				return nil, err
			}
			next = &row
			if c.DoctorID == was {
				return events, nil
			}
			return events, q.revokePerson(ctx, sc, c.ID, consult.Doctor, was, events[0].At)
		})
		if err != nil && s.dialect.failure(err) == failureDuplicate {
			return &consult.Error{
				Code: consult.Conflict, Reason: consult.ReasonOpenConsultation, Message: "The patient waits for this doctor already.", Err: err,
			}
		}
		return err
	})
	if err != nil {
		return nil, nil, nil, err
	}
	return old, next, c, nil
}

func (q *querier) insertTicket(ctx context.Context, t *consult.Ticket) error {
	values, err := insertValues(t)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, ticketInsert, values...)
	return err
}

// AdmittedTickets returns the doctor's patients who were admitted and whose
// call has not begun, in the order of admission.
func (s *Store) AdmittedTickets(ctx context.Context, sc consult.Scope, doctorID string) ([]consult.Ticket, error) {
	all, err := s.tickets(ctx, `SELECT `+ticketColumns+` FROM tickets
		WHERE account_id = $1 AND mode = $2 AND status = 'admitted' AND session_id IN (
			SELECT id FROM consultations
			WHERE account_id = $1 AND mode = $2 AND doctor_id = $3 AND status = 'waiting' AND admitted_at IS NOT NULL)
		ORDER BY admitted_at, id`, sc.AccountID, sc.Mode, doctorID)
	return slices.DeleteFunc(all, func(t consult.Ticket) bool { return t.DoctorID != doctorID }), err
}
