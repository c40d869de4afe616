package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// ofPatient are the tables that hold something of a patient, and which rows: $1
// is the account, $2 the mode, $3 the patient. A test holds every text column
// of every table against them.
var ofPatient = []struct{ table, where, order string }{
	{"people", `role = 'patient' AND id = $3`, `id`},
	{"consultations", `patient_id = $3`, `created_at, id`},
	{"tickets", `patient_id = $3`, `joined_at, id`},
	{"participations", inSessions, `joined_at, id`},
	{"chat_messages", inSessions, `sent_at, id`},
	{"waiting_messages", inSessions, `sent_at, id`},
	{"chat_sessions", ofChat, `created_at, session_id`},
	{"consents", inSessions, `session_id, seq`},
	{"recordings", inSessions, `started_at, id`},
	{"revoked_people", inSessions, `session_id, role, subject`},
	{"idempotency", `subject = $3`, `created_at, key`},
	{"outbox", inSessions, `id`},
	{"audit_log", inSessions, `seq`},
}

// ofChat are conversations of the patient's own, and those that bear the id of one
// of their consultations.
const ofChat = `(patient_id = $3 OR ` + inSessions + `)`

const inSessions = `session_id IN (SELECT id FROM consultations WHERE account_id = $1 AND mode = $2 AND patient_id = $3)`

// PatientExport is everything the database holds of a patient, table by table,
// each row with its columns' names. Times are RFC 3339. The audit log knows the
// patient by the pseudonym of the row in people.
type PatientExport struct {
	AccountID  string                      `json:"account_id"`
	Mode       consult.Mode                `json:"mode"`
	PatientID  string                      `json:"patient_id"`
	ExportedAt time.Time                   `json:"exported_at"`
	Tables     map[string][]map[string]any `json:"tables"`
}

// ExportPatient returns everything stored of the patient, as it is at one
// moment. A patient of whom nothing is stored is NotFound.
func (s *Store) ExportPatient(ctx context.Context, sc consult.Scope, patientID string) (*PatientExport, error) {
	out := &PatientExport{AccountID: sc.AccountID, Mode: sc.Mode, PatientID: patientID}
	err := s.snapshot(ctx, func(ctx context.Context, q *querier) error {
		out.ExportedAt, out.Tables = time.Now().UTC(), make(map[string][]map[string]any)
		for _, t := range ofPatient {
			rows, err := q.maps(ctx, `SELECT * FROM `+t.table+` WHERE account_id = $1 AND mode = $2 AND `+t.where+` ORDER BY `+t.order,
				sc.AccountID, sc.Mode, patientID)
			if err != nil {
				return err
			}
			if len(rows) > 0 {
				out.Tables[t.table] = rows
			}
		}
		if len(out.Tables) == 0 {
			return notFound("patient")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// snapshot runs fn so that all its queries see one state of the database.
func (s *Store) snapshot(ctx context.Context, fn func(context.Context, *querier) error) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	tx, err := s.reader.BeginTx(ctx, s.dialect.snapshot)
	if err != nil {
		return s.public(err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return s.public(fn(ctx, s.on(tx)))
}

// maps reads every row of the query as its columns' names and values.
func (q *querier) maps(ctx context.Context, query string, args ...any) (out []map[string]any, err error) {
	rows, err := q.on.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make(map[string]any, len(columns))
		for i, name := range columns {
			row[name] = readable(name, values[i])
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// readable is a column's value as people read it.
func readable(column string, v any) any {
	switch v := v.(type) {
	case []byte:
		return readable(column, string(v))
	case int64:
		if column == "at" || strings.HasSuffix(column, "_at") || strings.HasSuffix(column, "_until") || column == "issued_before" {
			return time.UnixMicro(v).UTC().Format(time.RFC3339Nano)
		}
	case string:
		switch column {
		case "metadata", "payload", "data", "segments", "tracks", "gaps", "files":
			if json.Valid([]byte(v)) {
				return json.RawMessage(v)
			}
		}
	}
	return v
}

// postgresSnapshot is what a snapshot takes there; SQLite's transactions are
// snapshots by themselves.
var postgresSnapshot = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
