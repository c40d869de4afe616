package store

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

const ticketColumns = `id, account_id, mode, session_id, doctor_id, patient_id, patient_name, reason, language,
	status, rank, joined_at, ready_at, away_at, admitted_at, closed_at, updated_at, version,
	country, urgency, rule_version, red_flags, crisis`

const ticketInsert = `INSERT INTO tickets (` + ticketColumns + `)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)`

func scanTicket(r scanner, t *consult.Ticket) error {
	var flags string
	err := r.Scan(&t.ID, &t.Scope.AccountID, &t.Scope.Mode, &t.SessionID, &t.DoctorID, &t.PatientID, &t.PatientName,
		&t.Reason, &t.Language, &t.Status, &t.Rank, scanTime{&t.JoinedAt}, scanTimePtr{&t.ReadyAt}, scanTimePtr{&t.AwayAt},
		scanTimePtr{&t.AdmittedAt}, scanTimePtr{&t.ClosedAt}, scanTime{&t.UpdatedAt}, &t.Version,
		&t.Country, &t.Screening.Urgency, &t.Screening.RuleVersion, &flags, &t.Screening.Crisis)
	if err != nil || flags == noFlags {
		return err
	}
	if err := json.Unmarshal([]byte(flags), &t.Screening.Rules); err != nil {
		return fmt.Errorf("ticket %s: red flags: %w", t.ID, err)
	}
	return nil
}

// noFlags is how a ticket without red flags is stored.
const noFlags = `[]`

// flagsOf is t's red flags as they are stored.
func flagsOf(t *consult.Ticket) (string, error) {
	if len(t.Screening.Rules) == 0 {
		return noFlags, nil
	}
	b, err := json.Marshal(t.Screening.Rules)
	if err != nil {
		return "", fmt.Errorf("ticket %s: red flags: %w", t.ID, err)
	}
	return string(b), nil
}

// insertValues are t's columns, in their order.
func insertValues(t *consult.Ticket) ([]any, error) {
	flags, err := flagsOf(t)
	if err != nil {
		return nil, err
	}
	return []any{
		t.ID, t.Scope.AccountID, t.Scope.Mode, t.SessionID, t.DoctorID, t.PatientID, t.PatientName, t.Reason, t.Language,
		t.Status, t.Rank, micros(t.JoinedAt), microsPtr(t.ReadyAt), microsPtr(t.AwayAt), microsPtr(t.AdmittedAt),
		microsPtr(t.ClosedAt), micros(t.UpdatedAt), t.Version,
		t.Country, t.Screening.Urgency, t.Screening.RuleVersion, flags, t.Screening.Crisis,
	}, nil
}

// storableTicket makes t what it will be when read back.
func storableTicket(t *consult.Ticket) {
	t.PatientName, t.Reason, t.Language = clean(t.PatientName), clean(t.Reason), clean(t.Language)
	t.Country, t.Screening.RuleVersion = clean(t.Country), clean(t.Screening.RuleVersion)
	if len(t.Screening.Rules) == 0 {
		t.Screening.Rules = nil
	} else {
		rules := make([]string, len(t.Screening.Rules)) // never change the caller's
		for i, r := range t.Screening.Rules {
			rules[i] = clean(r)
		}
		t.Screening.Rules = rules
	}
	t.JoinedAt, t.UpdatedAt = truncated(t.JoinedAt), truncated(t.UpdatedAt)
	for _, p := range []**time.Time{&t.ReadyAt, &t.AwayAt, &t.AdmittedAt, &t.ClosedAt} {
		*p = truncatedPtr(*p)
	}
}

// CreateTicket inserts t. When the patient has an open ticket for that doctor
// already, that one is returned with created false and nothing is written. A
// final consultation takes no ticket (Conflict). A Rank of 0 becomes one more
// than the highest the doctor's queue has had; equal ranks, given to tickets
// that arrive at the same moment, are ordered by id.
func (s *Store) CreateTicket(ctx context.Context, t *consult.Ticket, events []consult.Event) (got *consult.Ticket, created bool, err error) {
	err = s.write(ctx, func(ctx context.Context, q *querier) error {
		var err error
		got, created, err = q.createTicket(ctx, *t, events)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return got, created, nil
}

func (q *querier) createTicket(ctx context.Context, t consult.Ticket, events []consult.Event) (*consult.Ticket, bool, error) {
	open, err := q.openTicket(ctx, &t)
	if !consult.HasCode(err, consult.NotFound) {
		return open, false, err
	}
	if _, err := q.openConsultation(ctx, t.Scope, t.SessionID); err != nil {
		return nil, false, err
	}
	storableTicket(&t)
	if t.Rank == 0 {
		err := q.row(ctx, `SELECT COALESCE(MAX(rank), 0) + 1 FROM tickets
			WHERE account_id = $1 AND mode = $2 AND doctor_id = $3`, t.Scope.AccountID, t.Scope.Mode, t.DoctorID).Scan(&t.Rank)
		if err != nil {
			return nil, false, err
		}
	}
	values, err := insertValues(&t)
	if err != nil {
		return nil, false, err
	}
	n, err := q.exec(ctx, ticketInsert+`
		ON CONFLICT (account_id, mode, doctor_id, patient_id) WHERE status IN ('queued', 'ready', 'away') DO NOTHING`, values...)
	if err != nil {
		return nil, false, err
	}
	if n == 0 { // another transaction was faster; its ticket is committed now
		open, err := q.openTicket(ctx, &t)
		if consult.HasCode(err, consult.NotFound) { // and closed again
			return nil, false, errRetry
		}
		return open, false, err
	}
	err = q.upsertPerson(ctx, &consult.Person{
		ID: t.PatientID, Scope: t.Scope, Role: consult.Patient, Name: t.PatientName, CreatedAt: t.JoinedAt,
	})
	if err != nil {
		return nil, false, err
	}
	return &t, true, q.record(ctx, t.Scope, events)
}

// openTicket returns the open ticket of t's patient for t's doctor.
func (q *querier) openTicket(ctx context.Context, t *consult.Ticket) (*consult.Ticket, error) {
	return one(ctx, q, "ticket", scanTicket, `SELECT `+ticketColumns+` FROM tickets
		WHERE account_id = $1 AND mode = $2 AND doctor_id = $3 AND patient_id = $4 AND status IN ('queued', 'ready', 'away')`,
		t.Scope.AccountID, t.Scope.Mode, t.DoctorID, t.PatientID)
}

// UpdateTicket locks the ticket and its consultation, calls change, and stores
// both with the events; change returning no event and no error stores nothing.
// Version grows by one, and UpdatedAt is the first event's time unless change
// set it. change runs inside the transaction, possibly more than once, and
// must not use the store. A ticket keeps its id and scope; it may move to
// another consultation that is not final (else Conflict), and change is given
// the one it comes from. When that one's status becomes final, it closes as
// UpdateConsultation says.
func (s *Store) UpdateTicket(ctx context.Context, sc consult.Scope, id string,
	change func(*consult.Ticket, *consult.Consultation) ([]consult.Event, error),
) (*consult.Ticket, *consult.Consultation, error) {
	var (
		t *consult.Ticket
		c *consult.Consultation
	)
	err := s.write(ctx, func(ctx context.Context, q *querier) error {
		var err error
		t, c, err = q.updateTicket(ctx, sc, id, change)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return t, c, nil
}

func (q *querier) updateTicket(ctx context.Context, sc consult.Scope, id string,
	change func(*consult.Ticket, *consult.Consultation) ([]consult.Event, error),
) (*consult.Ticket, *consult.Consultation, error) {
	// The consultation is locked before its ticket, as everywhere, so the ticket
	// is first read without a lock.
	t, err := q.ticket(ctx, sc, id, "")
	if err != nil {
		return nil, nil, err
	}
	cBefore, err := q.consultation(ctx, sc, t.SessionID, q.dialect.lockRow)
	if err != nil {
		return nil, nil, err
	}
	tBefore, err := q.ticket(ctx, sc, id, q.dialect.lockRow)
	if err != nil {
		return nil, nil, err
	}
	if tBefore.SessionID != t.SessionID { // it moved between the two reads
		return nil, nil, errRetry
	}
	tAfter, cAfter := *tBefore, *cBefore
	events, err := change(&tAfter, &cAfter)
	if err != nil {
		return nil, nil, err
	}
	if len(events) == 0 {
		return tBefore, cBefore, nil
	}
	if tAfter.UpdatedAt.Equal(tBefore.UpdatedAt) {
		tAfter.UpdatedAt = events[0].At
	}
	if tAfter.SessionID != tBefore.SessionID {
		if _, err := q.openConsultation(ctx, sc, tAfter.SessionID); err != nil {
			return nil, nil, err
		}
	}
	if err := q.storeTicket(ctx, tBefore, &tAfter); err != nil {
		return nil, nil, err
	}
	if !reflect.DeepEqual(cAfter, *cBefore) {
		if events, err = q.storeConsultation(ctx, cBefore, &cAfter, events); err != nil {
			return nil, nil, err
		}
	}
	if err := q.record(ctx, sc, events); err != nil {
		return nil, nil, err
	}
	// Closing the session closes this ticket too, if change left it open.
	stored, err := q.ticket(ctx, sc, id, "")
	return stored, &cAfter, err
}

// storeTicket writes after over before, which is locked.
func (q *querier) storeTicket(ctx context.Context, before, after *consult.Ticket) error {
	after.ID, after.Scope = before.ID, before.Scope
	after.Version = before.Version + 1
	storableTicket(after)
	flags, err := flagsOf(after)
	if err != nil {
		return err
	}
	n, err := q.exec(ctx, `UPDATE tickets SET session_id = $1, doctor_id = $2, patient_id = $3, patient_name = $4,
			reason = $5, language = $6, status = $7, rank = $8, joined_at = $9, ready_at = $10, away_at = $11,
			admitted_at = $12, closed_at = $13, updated_at = $14, version = $15,
			country = $16, urgency = $17, rule_version = $18, red_flags = $19, crisis = $20
		WHERE account_id = $21 AND mode = $22 AND id = $23 AND version = $24`,
		after.SessionID, after.DoctorID, after.PatientID, after.PatientName, after.Reason, after.Language, after.Status, after.Rank,
		micros(after.JoinedAt), microsPtr(after.ReadyAt), microsPtr(after.AwayAt), microsPtr(after.AdmittedAt),
		microsPtr(after.ClosedAt), micros(after.UpdatedAt), after.Version,
		after.Country, after.Screening.Urgency, after.Screening.RuleVersion, flags, after.Screening.Crisis,
		after.Scope.AccountID, after.Scope.Mode, after.ID, before.Version)
	if err == nil && n != 1 {
		err = errRetry
	}
	return err
}

// Ticket returns the ticket of that id.
func (s *Store) Ticket(ctx context.Context, sc consult.Scope, id string) (*consult.Ticket, error) {
	var t *consult.Ticket
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		t, err = q.ticket(ctx, sc, id, "")
		return err
	})
	return t, err
}

func (q *querier) ticket(ctx context.Context, sc consult.Scope, id, lock string) (*consult.Ticket, error) {
	return one(ctx, q, "ticket", scanTicket, `SELECT `+ticketColumns+` FROM tickets
		WHERE account_id = $1 AND mode = $2 AND id = $3`+lock, sc.AccountID, sc.Mode, id)
}

// TicketBySession returns the consultation's newest ticket, open or not.
func (s *Store) TicketBySession(ctx context.Context, sc consult.Scope, sessionID string) (*consult.Ticket, error) {
	var t *consult.Ticket
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		t, err = one(ctx, q, "ticket", scanTicket, `SELECT `+ticketColumns+` FROM tickets
			WHERE account_id = $1 AND mode = $2 AND session_id = $3
			ORDER BY joined_at DESC, id DESC LIMIT 1`, sc.AccountID, sc.Mode, sessionID)
		return err
	})
	return t, err
}

// OpenTickets returns the doctor's queue in its order: rank, then id.
func (s *Store) OpenTickets(ctx context.Context, sc consult.Scope, doctorID string) ([]consult.Ticket, error) {
	return s.tickets(ctx, `SELECT `+ticketColumns+` FROM tickets
		WHERE account_id = $1 AND mode = $2 AND doctor_id = $3 AND status IN ('queued', 'ready', 'away')
		ORDER BY rank, id`, sc.AccountID, sc.Mode, doctorID)
}

// AwayTickets returns the tickets away since before or longer, longest first.
func (s *Store) AwayTickets(ctx context.Context, sc consult.Scope, before time.Time) ([]consult.Ticket, error) {
	return s.tickets(ctx, `SELECT `+ticketColumns+` FROM tickets
		WHERE account_id = $1 AND mode = $2 AND status = 'away' AND away_at <= $3
		ORDER BY away_at, id`, sc.AccountID, sc.Mode, micros(before))
}

func (s *Store) tickets(ctx context.Context, query string, args ...any) ([]consult.Ticket, error) {
	var out []consult.Ticket
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		out, err = list(ctx, q, scanTicket, query, args...)
		return err
	})
	return out, err
}
