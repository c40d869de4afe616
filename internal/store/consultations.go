package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

const consultationColumns = `id, account_id, mode, key_id, doctor_id, patient_id, doctor_name, patient_name,
	language, country, enable_recording, status, reason, metadata, token_epoch,
	created_at, scheduled_at, admitted_at, started_at, ended_at, expires_at`

func scanConsultation(r scanner, c *consult.Consultation) error {
	var metadata string
	err := r.Scan(&c.ID, &c.Scope.AccountID, &c.Scope.Mode, &c.KeyID, &c.DoctorID, &c.PatientID, &c.DoctorName, &c.PatientName,
		&c.Language, &c.Country, &c.EnableRecording, &c.Status, &c.Reason, &metadata, &c.TokenEpoch,
		scanTime{&c.CreatedAt}, scanTimePtr{&c.ScheduledAt}, scanTimePtr{&c.AdmittedAt},
		scanTimePtr{&c.StartedAt}, scanTimePtr{&c.EndedAt}, scanTime{&c.ExpiresAt})
	if err != nil || metadata == noMetadata {
		return err
	}
	if err := json.Unmarshal([]byte(metadata), &c.Metadata); err != nil {
		return fmt.Errorf("consultation %s: metadata: %w", c.ID, err)
	}
	return nil
}

// noMetadata is how a consultation without metadata is stored.
const noMetadata = `{}`

// metadataOf is c's metadata as it is stored.
func metadataOf(c *consult.Consultation) (string, error) {
	if len(c.Metadata) == 0 {
		return noMetadata, nil
	}
	b, err := json.Marshal(c.Metadata)
	if err != nil {
		return "", fmt.Errorf("consultation %s: metadata: %w", c.ID, err)
	}
	return string(b), nil
}

// storable makes c what it will be when read back.
func storable(c *consult.Consultation) {
	c.DoctorName, c.PatientName = clean(c.DoctorName), clean(c.PatientName)
	c.Language, c.Country, c.Reason = clean(c.Language), clean(c.Country), clean(c.Reason)
	c.CreatedAt, c.ExpiresAt = truncated(c.CreatedAt), truncated(c.ExpiresAt)
	if len(c.Metadata) == 0 {
		c.Metadata = nil
	} else {
		m := make(map[string]string, len(c.Metadata))
		for k, v := range c.Metadata {
			m[clean(k)] = clean(v)
		}
		c.Metadata = m
	}
	for _, t := range []**time.Time{&c.ScheduledAt, &c.AdmittedAt, &c.StartedAt, &c.EndedAt} {
		*t = truncatedPtr(*t)
	}
}

// CreateConsultation inserts c and, on first use, its doctor and patient. A
// name that c leaves empty is taken from the person, and c is changed to what
// was stored: times have microseconds.
func (s *Store) CreateConsultation(ctx context.Context, c *consult.Consultation, events []consult.Event) error {
	var stored consult.Consultation
	err := s.write(ctx, func(ctx context.Context, q *querier) error {
		stored = *c
		storable(&stored)
		if err := q.upsertPeople(ctx, &stored, stored.CreatedAt); err != nil {
			return err
		}
		if err := q.insertConsultation(ctx, &stored); err != nil {
			return err
		}
		return q.record(ctx, stored.Scope, events)
	})
	if err != nil {
		return err
	}
	*c = stored
	return nil
}

func (q *querier) insertConsultation(ctx context.Context, c *consult.Consultation) error {
	metadata, err := metadataOf(c)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `INSERT INTO consultations (`+consultationColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`,
		c.ID, c.Scope.AccountID, c.Scope.Mode, c.KeyID, c.DoctorID, c.PatientID,
		c.DoctorName, c.PatientName, c.Language, c.Country, c.EnableRecording, c.Status, c.Reason, metadata,
		c.TokenEpoch, micros(c.CreatedAt), microsPtr(c.ScheduledAt), microsPtr(c.AdmittedAt),
		microsPtr(c.StartedAt), microsPtr(c.EndedAt), micros(c.ExpiresAt))
	return err
}

// Consultation returns the consultation of that id.
func (s *Store) Consultation(ctx context.Context, sc consult.Scope, id string) (*consult.Consultation, error) {
	var c *consult.Consultation
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		c, err = q.consultation(ctx, sc, id, "")
		return err
	})
	return c, err
}

func (q *querier) consultation(ctx context.Context, sc consult.Scope, id, lock string) (*consult.Consultation, error) {
	return one(ctx, q, "consultation", scanConsultation, `SELECT `+consultationColumns+` FROM consultations
		WHERE account_id = $1 AND mode = $2 AND id = $3`+lock, sc.AccountID, sc.Mode, id)
}

// openConsultation locks a consultation that people still come to.
func (q *querier) openConsultation(ctx context.Context, sc consult.Scope, id string) (*consult.Consultation, error) {
	c, err := q.consultation(ctx, sc, id, q.dialect.lockRow)
	switch {
	case err != nil:
		return nil, err
	case c.Status == consult.Ended:
		return nil, consult.Errorf(consult.Conflict, consult.ReasonEnded, "The consultation has ended.")
	case c.Status == consult.Cancelled:
		return nil, consult.Errorf(consult.Conflict, consult.ReasonCancelled, "The consultation was cancelled.")
	}
	return c, nil
}

// UpdateConsultation locks the row, calls change, and stores the result with
// its events; change returning no event and no error stores nothing. change
// runs inside the transaction, possibly more than once, and must not use the
// store. It cannot change the id, the scope and the creation time.
//
// When the status becomes final, open tickets and participations are closed in
// the same transaction, and each writes its own event after those of change,
// by the same actor.
func (s *Store) UpdateConsultation(ctx context.Context, sc consult.Scope, id string,
	change func(*consult.Consultation) ([]consult.Event, error),
) (*consult.Consultation, error) {
	var out *consult.Consultation
	err := s.write(ctx, func(ctx context.Context, q *querier) error {
		before, err := q.consultation(ctx, sc, id, q.dialect.lockRow)
		if err != nil {
			return err
		}
		after := *before
		events, err := change(&after)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			out = before
			return nil
		}
		if events, err = q.storeConsultation(ctx, before, &after, events); err != nil {
			return err
		}
		out = &after
		return q.record(ctx, sc, events)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// storeConsultation writes after over before, which is locked, and returns
// events with those of everything that closed because of it.
func (q *querier) storeConsultation(ctx context.Context, before, after *consult.Consultation, events []consult.Event) ([]consult.Event, error) {
	after.ID, after.Scope, after.CreatedAt = before.ID, before.Scope, before.CreatedAt
	storable(after)
	if after.DoctorID != before.DoctorID || after.PatientID != before.PatientID ||
		after.DoctorName != before.DoctorName || after.PatientName != before.PatientName {
		if err := q.upsertPeople(ctx, after, truncated(events[0].At)); err != nil {
			return nil, err
		}
	}
	metadata, err := metadataOf(after)
	if err != nil {
		return nil, err
	}
	_, err = q.exec(ctx, `UPDATE consultations SET key_id = $1, doctor_id = $2, patient_id = $3, doctor_name = $4,
			patient_name = $5, language = $6, enable_recording = $7, status = $8, reason = $9, token_epoch = $10,
			scheduled_at = $11, admitted_at = $12, started_at = $13, ended_at = $14, expires_at = $15,
			metadata = $16, country = $17
		WHERE account_id = $18 AND mode = $19 AND id = $20`,
		after.KeyID, after.DoctorID, after.PatientID, after.DoctorName, after.PatientName, after.Language,
		after.EnableRecording, after.Status, after.Reason, after.TokenEpoch, microsPtr(after.ScheduledAt),
		microsPtr(after.AdmittedAt), microsPtr(after.StartedAt), microsPtr(after.EndedAt), micros(after.ExpiresAt),
		metadata, after.Country, after.Scope.AccountID, after.Scope.Mode, after.ID)
	if err != nil {
		return nil, err
	}
	if before.Status.Final() || !after.Status.Final() {
		return events, nil
	}
	closed, err := q.closeSession(ctx, after, events[0])
	if err != nil {
		return nil, err
	}
	return slices.Concat(events, closed), nil
}

// FindOpenConsultation returns the newest waiting or active consultation of
// that doctor and patient that has not expired at now, or NotFound. An active
// one never expires.
func (s *Store) FindOpenConsultation(ctx context.Context, sc consult.Scope, doctorID, patientID string, now time.Time) (*consult.Consultation, error) {
	var c *consult.Consultation
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		c, err = q.findOpen(ctx, sc, doctorID, patientID, now)
		return err
	})
	return c, err
}

func (q *querier) findOpen(ctx context.Context, sc consult.Scope, doctorID, patientID string, now time.Time) (*consult.Consultation, error) {
	return one(ctx, q, "consultation", scanConsultation, `SELECT `+consultationColumns+` FROM consultations
		WHERE account_id = $1 AND mode = $2 AND doctor_id = $3 AND patient_id = $4
			AND status IN ('waiting', 'active') AND (status = 'active' OR expires_at > $5)
		ORDER BY created_at DESC, id DESC LIMIT 1`,
		sc.AccountID, sc.Mode, doctorID, patientID, micros(now))
}

// FindOrCreateConsultation is FindOpenConsultation for c's doctor and patient,
// or CreateConsultation; created says which, and c itself is left alone. The
// rows of the two people are the lock: of calls at the same time, on any node,
// one inserts and the others find its consultation.
func (s *Store) FindOrCreateConsultation(ctx context.Context, c *consult.Consultation, now time.Time, events []consult.Event) (got *consult.Consultation, created bool, err error) {
	got, err = s.FindOpenConsultation(ctx, c.Scope, c.DoctorID, c.PatientID, now)
	if !consult.HasCode(err, consult.NotFound) {
		return got, false, err
	}
	err = s.write(ctx, func(ctx context.Context, q *querier) error {
		stored := *c
		storable(&stored)
		if err := q.upsertPeople(ctx, &stored, stored.CreatedAt); err != nil {
			return err
		}
		var err error
		got, err = q.findOpen(ctx, c.Scope, c.DoctorID, c.PatientID, now)
		created = consult.HasCode(err, consult.NotFound)
		if !created {
			return err
		}
		got = &stored
		if err := q.insertConsultation(ctx, &stored); err != nil {
			return err
		}
		return q.record(ctx, stored.Scope, events)
	})
	if err != nil {
		return nil, false, err
	}
	return got, created, nil
}

// UnfinishedConsultations lists waiting and active ones after the id of the
// last page ("" for the first), oldest first: ids sort by creation.
func (s *Store) UnfinishedConsultations(ctx context.Context, sc consult.Scope, after string, limit int) ([]consult.Consultation, error) {
	var out []consult.Consultation
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		out, err = list(ctx, q, scanConsultation, `SELECT `+consultationColumns+` FROM consultations
			WHERE account_id = $1 AND mode = $2 AND status IN ('waiting', 'active') AND id > $3
			ORDER BY id LIMIT $4`, sc.AccountID, sc.Mode, after, limit)
		return err
	})
	return out, err
}

// ConsultationLengths returns how long the doctor's newest ended consultations
// lasted, from start to end, newest first.
func (s *Store) ConsultationLengths(ctx context.Context, sc consult.Scope, doctorID string, limit int) ([]time.Duration, error) {
	var out []time.Duration
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		out, err = list(ctx, q, func(r scanner, d *time.Duration) error {
			var length int64
			err := r.Scan(&length)
			*d = time.Duration(length) * time.Microsecond
			return err
		}, `SELECT ended_at - started_at FROM consultations
			WHERE account_id = $1 AND mode = $2 AND doctor_id = $3 AND status = 'ended'
				AND started_at IS NOT NULL AND ended_at IS NOT NULL
			ORDER BY ended_at DESC, id DESC LIMIT $4`, sc.AccountID, sc.Mode, doctorID, limit)
		return err
	})
	return out, err
}
