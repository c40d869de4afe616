package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	// eraseTimeout bounds an erasure whose context has no deadline.
	eraseTimeout   = 30 * time.Second
	compactTimeout = 30 * time.Second
	// anyLanguage is BCP 47 for a language that is not known.
	anyLanguage = "und"
)

// ErasureProof is what an erasure did. It is all that still links the patient's
// id to the pseudonym, and is stored nowhere.
type ErasureProof struct {
	AccountID string       `json:"account_id"`
	Mode      consult.Mode `json:"mode"`
	PatientID string       `json:"patient_id"`
	// Pseudonym stands in place of the patient's id from now on.
	Pseudonym string    `json:"pseudonym"`
	ErasedAt  time.Time `json:"erased_at"`
	// Tables counts the rows that were removed or made anonymous.
	Tables map[string]int64 `json:"tables"`
	// AuditSeq and AuditHash are the entry of the audit log that says so.
	AuditSeq  int64  `json:"audit_seq"`
	AuditHash string `json:"audit_hash"`
}

// ErasePatient takes the patient out of every table, in one transaction. The
// person, what was written in chat and waiting room, and events that were
// delivered are removed. Consultations, tickets and participations stay without
// names, complaints and metadata, under a random pseudonym, so that the doctor's
// and the account's history keeps its shape. Recordings become deleted ones
// (UnpurgedRecordings); the chains of consent, which prove that they were lawful,
// stay under the pseudonym and hold. The audit log, which has only ever known the
// pseudonym, stays as it is, and nothing is left that says whose pseudonym it was.
//
// A patient with a consultation that is not over is a Conflict
// (open_consultation): end or cancel it first; so is one with a recording under
// legal hold (legal_hold). One of whom nothing is stored is NotFound. Backups and
// the database's own log files keep what they have.
func (s *Store) ErasePatient(ctx context.Context, sc consult.Scope, patientID string, actor consult.Actor) (*ErasureProof, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, eraseTimeout)
		defer cancel()
	}
	var proof *ErasureProof
	err := s.write(ctx, func(ctx context.Context, q *querier) error {
		e := erasure{q: q, sc: sc, patient: patientID, actor: actor, args: []any{sc.AccountID, sc.Mode, patientID}, counts: make(map[string]int64)}
		at := truncated(time.Now())
		if err := e.run(ctx, at); err != nil {
			return err
		}
		data, err := json.Marshal(map[string]any{"pseudonym": e.pseudonym, "tables": e.counts})
		if err != nil {
			return err
		}
		head, err := q.note(ctx, sc, consult.Event{
			ID: consult.NewID(consult.PrefixEvent), Type: consult.EventPatientErased, Scope: sc, Actor: actor, At: at, Data: data,
		})
		proof = &ErasureProof{
			AccountID: sc.AccountID, Mode: sc.Mode, PatientID: patientID, Pseudonym: e.pseudonym, ErasedAt: at, Tables: e.counts,
			AuditSeq: head.seq, AuditHash: head.hash,
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.compact(context.WithoutCancel(ctx))
	return proof, nil
}

// erasure is one run of ErasePatient inside its transaction.
type erasure struct {
	q         *querier
	sc        consult.Scope
	patient   string
	actor     consult.Actor
	pseudonym string
	args      []any // account, mode, patient
	counts    map[string]int64
}

func (e *erasure) run(ctx context.Context, at time.Time) error {
	// Whoever creates a consultation for the patient waits for this row, and
	// then makes a new patient.
	err := scanOne(e.q.row(ctx, `SELECT pseudonym FROM people WHERE account_id = $1 AND mode = $2 AND role = 'patient' AND id = $3`+
		e.q.dialect.lockRow, e.args...), "patient", &e.pseudonym)
	if err != nil {
		return err
	}
	if e.pseudonym == "" {
		e.pseudonym = newPseudonym()
	}
	// Who appends a consent or a recording holds its consultation's row.
	states, err := list(ctx, e.q, func(r scanner, s *consult.Status) error { return r.Scan(s) }, `SELECT status FROM consultations
		WHERE account_id = $1 AND mode = $2 AND patient_id = $3 ORDER BY id`+e.q.dialect.lockRow, e.args...)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(states, func(s consult.Status) bool { return !s.Final() }) {
		return consult.Errorf(consult.Conflict, consult.ReasonOpenConsultation,
			"The patient has a consultation that is not over; end or cancel it first.")
	}
	if err := e.recordings(ctx, at); err != nil {
		return err
	}
	if err := e.events(ctx); err != nil {
		return err
	}
	for _, step := range e.steps() {
		args := e.args
		if step.renames {
			args = append(args[:len(args):len(args)], e.pseudonym)
		}
		n, err := e.q.exec(ctx, step.statement, args...)
		if err != nil {
			return fmt.Errorf("erase %s: %w", step.table, err)
		}
		e.counts[step.table] += n
	}
	return nil
}

type eraseStep struct {
	table     string
	renames   bool // $4 is the pseudonym
	statement string
}

// steps are in an order that finds the patient's sessions to the last:
// consultations lose the patient's id at the end.
func (e *erasure) steps() []eraseStep {
	const scope = ` WHERE account_id = $1 AND mode = $2 AND `
	return []eraseStep{
		{"chat_messages", false, `DELETE FROM chat_messages` + scope + inSessions},
		{"chat_sessions", false, `DELETE FROM chat_sessions` + scope + ofChat},
		{"waiting_messages", false, `DELETE FROM waiting_messages` + scope + inSessions},
		{"revoked_people", false, `DELETE FROM revoked_people` + scope + inSessions},
		{"consents", false, `UPDATE consents SET subject = alias` + scope + inSessions},
		// Families and interpreters are named in the patient's consultation too.
		{"participations", true, `UPDATE participations SET name = '', quality = '',
			subject = CASE WHEN role = 'patient' OR subject = $3 THEN $4 ELSE subject END` + scope + `role <> 'doctor' AND ` + inSessions},
		{"tickets", true, `UPDATE tickets SET patient_id = $4, patient_name = '', reason = '', language = '` + anyLanguage + `',
			country = '', urgency = '', rule_version = '', red_flags = '` + noFlags + `', crisis = FALSE` + scope +
			`(patient_id = $3 OR ` + inSessions + `)`},
		{"idempotency", false, `UPDATE idempotency SET body = '', subject = '', erased = done` + scope + `(subject = $3 OR subject = '' AND done)`},
		{"consultations", true, `UPDATE consultations SET patient_id = $4, patient_name = '', language = '` + anyLanguage + `', country = '', metadata = '{}',
			reason = CASE WHEN reason IN ('cancelled', 'expired', 'declined', 'doctor', 'api', 'nobody_present') THEN reason ELSE '' END` +
			scope + `patient_id = $3`},
		{"people", false, `DELETE FROM people` + scope + `role = 'patient' AND id = $3`},
	}
}

// events removes delivered events of the patient's sessions, and puts the
// pseudonym into those that are still to be delivered.
func (e *erasure) events(ctx context.Context) error {
	// Rows from before the outbox knew the session are told by their text.
	const mine = ` FROM outbox WHERE account_id = $1 AND mode = $2 AND (` + inSessions + `
		OR session_id = '' AND payload LIKE '%' || $3 || '%')`
	type row struct {
		id        int64
		delivered bool
		payload   string
	}
	rows, err := list(ctx, e.q, func(r scanner, v *row) error { return r.Scan(&v.id, &v.delivered, &v.payload) },
		`SELECT id, delivered_at IS NOT NULL, payload`+mine+` ORDER BY id`, e.args...)
	if err != nil {
		return fmt.Errorf("erase outbox: %w", err)
	}
	for _, r := range rows {
		e.counts["outbox"]++
		if r.delivered {
			if _, err := e.q.exec(ctx, `DELETE FROM outbox WHERE account_id = $1 AND mode = $2 AND id = $3`, e.sc.AccountID, e.sc.Mode, r.id); err != nil {
				return fmt.Errorf("erase outbox: %w", err)
			}
			continue
		}
		var ev consult.Event
		if err := json.Unmarshal([]byte(r.payload), &ev); err != nil {
			return fmt.Errorf("erase outbox: %w", err)
		}
		masked, err := mask(ev, func(string) (string, error) { return e.pseudonym, nil })
		if err != nil {
			return fmt.Errorf("erase outbox: %w", err)
		}
		payload, err := json.Marshal(masked)
		if err != nil {
			return fmt.Errorf("erase outbox: %w", err)
		}
		if _, err := e.q.exec(ctx, `UPDATE outbox SET payload = $1 WHERE account_id = $2 AND mode = $3 AND id = $4`,
			string(payload), e.sc.AccountID, e.sc.Mode, r.id); err != nil {
			return fmt.Errorf("erase outbox: %w", err)
		}
	}
	return nil
}

// recordings deletes the patient's recordings, unless one is held; their objects
// go when the blob store is purged. Each deletion stands in the audit log.
func (e *erasure) recordings(ctx context.Context, at time.Time) error {
	all, err := list(ctx, e.q, func(r scanner, v *consult.Recording) error {
		return r.Scan(&v.ID, &v.SessionID, &v.DoctorID, &v.State, &v.LegalHold)
	}, `SELECT id, session_id, doctor_id, state, legal_hold FROM recordings
		WHERE account_id = $1 AND mode = $2 AND `+inSessions+` ORDER BY id`+e.q.dialect.lockRow, e.args...)
	if err != nil {
		return fmt.Errorf("erase recordings: %w", err)
	}
	for i := range all {
		r := &all[i]
		if r.LegalHold && r.State != consult.RecordingDeleted {
			return consult.Errorf(consult.Conflict, consult.ReasonRecordingHeld,
				"A recording of the patient is under legal hold; release it first.")
		}
	}
	for i := range all {
		if err := e.recording(ctx, &all[i], at); err != nil {
			return fmt.Errorf("erase recordings: %w", err)
		}
		e.counts["recordings"]++
	}
	return nil
}

func (e *erasure) recording(ctx context.Context, r *consult.Recording, at time.Time) error {
	if r.State == consult.RecordingDeleted {
		_, err := e.q.exec(ctx, `UPDATE recordings SET patient_id = $1, reason = $2, recipient = '', tracks = '[]', gaps = '[]'
			WHERE account_id = $3 AND mode = $4 AND id = $5`,
			e.pseudonym, consult.RecordingErased, e.sc.AccountID, e.sc.Mode, r.ID)
		return err
	}
	_, err := e.q.exec(ctx, `UPDATE recordings SET patient_id = $1, state = 'deleted', reason = $2, recipient = '', tracks = '[]', gaps = '[]',
			deleted_at = $3, deleted_by_kind = $4, deleted_by = $5, deleted_by_role = $6, purged = FALSE
		WHERE account_id = $7 AND mode = $8 AND id = $9`,
		e.pseudonym, consult.RecordingErased, micros(at), e.actor.Kind, e.actor.ID, e.actor.Role,
		e.sc.AccountID, e.sc.Mode, r.ID)
	if err != nil {
		return err
	}
	data, err := json.Marshal(map[string]string{"recording_id": r.ID, "reason": consult.RecordingErased})
	if err != nil {
		return err
	}
	_, err = e.q.note(ctx, e.sc, consult.Event{
		ID: consult.NewID(consult.PrefixEvent), Type: consult.EventRecordingDeleted, Scope: e.sc, Actor: e.actor,
		SessionID: r.SessionID, DoctorID: r.DoctorID, At: at, Data: data,
	})
	return err
}

// compact has the database's files forget what rows had held. SQLite overwrites
// it (secure_delete) once its log is copied into the file; PostgreSQL drops old
// row versions. It is done as far as others' transactions allow: the database
// does the rest by itself later.
func (s *Store) compact(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, compactTimeout)
	defer cancel()
	for _, statement := range s.dialect.compact {
		if _, err := s.writer.ExecContext(ctx, statement); err != nil {
			s.log.Warn("old row versions not removed yet", "err", err)
		}
	}
}
