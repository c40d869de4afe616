package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

const recordingColumns = `id, account_id, mode, session_id, doctor_id, patient_id, state, reason, started_at, stopped_at,
	duration, recipient, server_key, segments, tracks, gaps, files, progress, legal_hold, retain_until,
	deleted_at, deleted_by_kind, deleted_by, deleted_by_role, purged`

// progressUnit is what a stored progress counts: millionths.
const progressUnit = 1e6

// emptyList is how a list without entries is stored.
const emptyList = `[]`

func scanRecording(r scanner, v *consult.Recording) error {
	var lists [4]string
	var duration, progress int64
	err := r.Scan(&v.ID, &v.Scope.AccountID, &v.Scope.Mode, &v.SessionID, &v.DoctorID, &v.PatientID, &v.State, &v.Reason,
		scanTime{&v.StartedAt}, scanTimePtr{&v.StoppedAt}, &duration, &v.Recipient, &v.ServerKey,
		&lists[0], &lists[1], &lists[2], &lists[3], &progress, &v.LegalHold, scanTimePtr{&v.RetainUntil},
		scanTimePtr{&v.DeletedAt}, &v.DeletedBy.Kind, &v.DeletedBy.ID, &v.DeletedBy.Role, &v.Purged)
	if err != nil {
		return err
	}
	v.Duration = time.Duration(duration) * time.Microsecond
	v.Progress = float64(progress) / progressUnit
	for i, to := range []any{&v.Segments, &v.Tracks, &v.Gaps, &v.Files} {
		if lists[i] == emptyList {
			continue
		}
		if err := json.Unmarshal([]byte(lists[i]), to); err != nil {
			return fmt.Errorf("recording %s: %w", v.ID, err)
		}
	}
	return nil
}

// recordingValues are v's columns in their order, and makes v what it will be
// when read back.
func recordingValues(v *consult.Recording) ([]any, error) {
	v.Reason = clean(v.Reason)
	v.StartedAt, v.Duration = truncated(v.StartedAt), v.Duration.Truncate(time.Microsecond)
	for _, t := range []**time.Time{&v.StoppedAt, &v.RetainUntil, &v.DeletedAt} {
		*t = truncatedPtr(*t)
	}
	progress := int64(math.Round(min(max(v.Progress, 0), 1) * progressUnit))
	v.Progress = float64(progress) / progressUnit
	lists := make([]string, 0, 4)
	for _, l := range []struct {
		n int
		v any
	}{{len(v.Segments), v.Segments}, {len(v.Tracks), v.Tracks}, {len(v.Gaps), v.Gaps}, {len(v.Files), v.Files}} {
		if l.n == 0 {
			lists = append(lists, emptyList)
			continue
		}
		b, err := json.Marshal(l.v)
		if err != nil {
			return nil, fmt.Errorf("recording %s: %w", v.ID, err)
		}
		lists = append(lists, string(b))
	}
	return []any{
		v.ID, v.Scope.AccountID, v.Scope.Mode, v.SessionID, v.DoctorID, v.PatientID, v.State, v.Reason,
		micros(v.StartedAt), microsPtr(v.StoppedAt), v.Duration.Microseconds(), v.Recipient, v.ServerKey,
		lists[0], lists[1], lists[2], lists[3], progress, v.LegalHold, microsPtr(v.RetainUntil),
		microsPtr(v.DeletedAt), v.DeletedBy.Kind, v.DeletedBy.ID, v.DeletedBy.Role, v.Purged,
	}, nil
}

// CreateRecording inserts v, of a consultation of its scope. v is changed to
// what was stored.
func (s *Store) CreateRecording(ctx context.Context, v *consult.Recording, events []consult.Event) error {
	stored := *v
	args, err := recordingValues(&stored)
	if err != nil {
		return err
	}
	err = s.write(ctx, func(ctx context.Context, q *querier) error {
		if _, err := q.consultation(ctx, v.Scope, v.SessionID, q.dialect.lockRow); err != nil {
			return err
		}
		if _, err := q.exec(ctx, `INSERT INTO recordings (`+recordingColumns+`) VALUES (`+holders(1, len(args))+`)`, args...); err != nil {
			return err
		}
		return q.record(ctx, v.Scope, events)
	})
	if err != nil {
		return err
	}
	*v = stored
	return nil
}

// UpdateRecording stores what capturing and composing know: state, reason, times,
// tracks, objects, files, progress. Legal hold and deletion stay as they are
// stored, and so does the term unless v has one, so that a copy read earlier
// undoes none of them; v is changed to what is stored. A recording that was
// deleted meanwhile is a Conflict (recording_deleted).
func (s *Store) UpdateRecording(ctx context.Context, v *consult.Recording, events []consult.Event) error {
	if v.State == consult.RecordingDeleted {
		return consult.Errorf(consult.InternalError, "", "A recording is deleted by ChangeRecording.")
	}
	var out *consult.Recording
	err := s.write(ctx, func(ctx context.Context, q *querier) error {
		var err error
		out, err = q.changeRecording(ctx, v.Scope, v.ID, func(old *consult.Recording) ([]consult.Event, error) {
			if old.State == consult.RecordingDeleted {
				return nil, consult.Errorf(consult.Conflict, consult.ReasonRecordingDeleted, "The recording was deleted.")
			}
			term := old.RetainUntil
			if v.RetainUntil != nil {
				term = v.RetainUntil
			}
			kept := *old
			*old = *v
			old.LegalHold, old.RetainUntil = kept.LegalHold, term
			old.DeletedAt, old.DeletedBy, old.Purged = kept.DeletedAt, kept.DeletedBy, kept.Purged
			return events, nil
		}, true)
		return err
	})
	if err != nil {
		return err
	}
	*v = *out
	return nil
}

// ChangeRecording locks the row, calls change, and stores everything of the
// result with its events; change returning no event and no error stores nothing.
// change runs inside the transaction, possibly more than once, and must not use
// the store. It cannot change the id, the scope, the consultation and its people.
func (s *Store) ChangeRecording(ctx context.Context, sc consult.Scope, id string,
	change func(*consult.Recording) ([]consult.Event, error),
) (*consult.Recording, error) {
	var out *consult.Recording
	err := s.write(ctx, func(ctx context.Context, q *querier) error {
		var err error
		out, err = q.changeRecording(ctx, sc, id, change, false)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// changeRecording is ChangeRecording; silent stores a change without events too.
func (q *querier) changeRecording(ctx context.Context, sc consult.Scope, id string,
	change func(*consult.Recording) ([]consult.Event, error), silent bool,
) (*consult.Recording, error) {
	before, err := q.recording(ctx, sc, id, q.dialect.lockRow)
	if err != nil {
		return nil, err
	}
	after := *before
	events, err := change(&after)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 && !silent {
		return before, nil
	}
	after.ID, after.Scope, after.SessionID = before.ID, before.Scope, before.SessionID
	after.DoctorID, after.PatientID = before.DoctorID, before.PatientID
	args, err := recordingValues(&after)
	if err != nil {
		return nil, err
	}
	_, err = q.exec(ctx, `UPDATE recordings SET state = $1, reason = $2, started_at = $3, stopped_at = $4, duration = $5, recipient = $6,
			server_key = $7, segments = $8, tracks = $9, gaps = $10, files = $11, progress = $12, legal_hold = $13, retain_until = $14,
			deleted_at = $15, deleted_by_kind = $16, deleted_by = $17, deleted_by_role = $18, purged = $19
		WHERE account_id = $20 AND mode = $21 AND id = $22`,
		append(args[6:len(args):len(args)], sc.AccountID, sc.Mode, id)...)
	if err != nil {
		return nil, err
	}
	return &after, q.record(ctx, sc, events)
}

// Recording returns the recording of that id, a deleted one too.
func (s *Store) Recording(ctx context.Context, sc consult.Scope, id string) (*consult.Recording, error) {
	var v *consult.Recording
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		v, err = q.recording(ctx, sc, id, "")
		return err
	})
	return v, err
}

func (q *querier) recording(ctx context.Context, sc consult.Scope, id, lock string) (*consult.Recording, error) {
	return one(ctx, q, "recording", scanRecording, `SELECT `+recordingColumns+` FROM recordings
		WHERE account_id = $1 AND mode = $2 AND id = $3`+lock, sc.AccountID, sc.Mode, id)
}

// Recordings lists recordings, newest first, deleted ones too, and the cursor of
// the next page.
func (s *Store) Recordings(ctx context.Context, sc consult.Scope, rf consult.RecordingFilter, p consult.Page) (items []consult.Recording, next string, err error) {
	return keyset(ctx, s, p, recordingFilter(sc, rf), `SELECT `+recordingColumns+` FROM recordings`,
		`started_at`, `id`, descending, scanRecording,
		func(v *consult.Recording) consult.Cursor { return consult.Cursor{At: v.StartedAt, ID: v.ID} })
}

func recordingFilter(sc consult.Scope, rf consult.RecordingFilter) *filter {
	f := scoped(sc)
	f.addText(`session_id = `, rf.SessionID)
	f.addText(`doctor_id = `, rf.DoctorID)
	f.addText(`patient_id = `, rf.PatientID)
	f.addText(`state = `, string(rf.State))
	if rf.From != nil {
		f.add(`started_at >= `, micros(*rf.From))
	}
	if rf.To != nil {
		f.add(`started_at < `, micros(*rf.To))
	}
	return f
}

// workingRecordings is the index's condition, word for word, for SQLite uses a
// partial index for no other.
const workingRecordings = `state IN ('recording', 'paused', 'composing')`

// OpenRecordings returns those that are not over, oldest first: what a server
// that starts goes on with or closes. System: all scopes.
func (s *Store) OpenRecordings(ctx context.Context) ([]consult.Recording, error) {
	return s.recordingsWhere(ctx, workingRecordings+` AND state <> 'composing' ORDER BY id`)
}

// ComposingRecordings returns those whose composition has begun and not ended,
// oldest first: what a server that starts composes again. System: all scopes.
func (s *Store) ComposingRecordings(ctx context.Context) ([]consult.Recording, error) {
	return s.recordingsWhere(ctx, workingRecordings+` AND state = 'composing' ORDER BY id`)
}

// UncomposedRecordings returns at most limit that the server holds the key of and
// has not composed, or not to the end, oldest first. System: all scopes.
func (s *Store) UncomposedRecordings(ctx context.Context, limit int) ([]consult.Recording, error) {
	return s.recordingsWhere(ctx, `state IN ('stored', 'composing') AND server_key AND segments <> '[]' ORDER BY id LIMIT $1`, limit)
}

// ExpiredRecordings returns at most limit recordings whose term is over at now
// and that nothing holds, the longest overdue first. One that is being composed
// waits until that is over. System: all scopes.
func (s *Store) ExpiredRecordings(ctx context.Context, now time.Time, limit int) ([]consult.Recording, error) {
	return s.recordingsWhere(ctx, `retain_until IS NOT NULL AND retain_until <= $1
		AND state IN ('stored', 'ready', 'failed') AND NOT legal_hold ORDER BY retain_until, id LIMIT $2`, micros(now), limit)
}

// UnpurgedRecordings returns at most limit deleted recordings whose objects may
// still lie in the blob store, oldest first: remove Objects, then call
// RecordingPurged. An erasure leaves its recordings here. System: all scopes.
func (s *Store) UnpurgedRecordings(ctx context.Context, limit int) ([]consult.Recording, error) {
	return s.recordingsWhere(ctx, `state = 'deleted' AND NOT purged ORDER BY id LIMIT $1`, limit)
}

func (s *Store) recordingsWhere(ctx context.Context, where string, args ...any) (out []consult.Recording, err error) {
	err = s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		out, err = list(ctx, q, scanRecording, `SELECT `+recordingColumns+` FROM recordings WHERE `+where, args...)
		return err
	})
	return out, err
}

// RecordingPurged notes that a deleted recording's objects are gone, and forgets
// their names. The audit log gets an entry; nobody's webhook does.
func (s *Store) RecordingPurged(ctx context.Context, sc consult.Scope, id string, at time.Time) error {
	return s.write(ctx, func(ctx context.Context, q *querier) error {
		v, err := q.recording(ctx, sc, id, q.dialect.lockRow)
		if err != nil || v.Purged {
			return err
		}
		if v.State != consult.RecordingDeleted {
			return consult.Errorf(consult.Conflict, "", "The recording is not deleted.")
		}
		_, err = q.exec(ctx, `UPDATE recordings SET purged = TRUE, segments = '[]', files = '[]', tracks = '[]', gaps = '[]'
			WHERE account_id = $1 AND mode = $2 AND id = $3`, sc.AccountID, sc.Mode, id)
		if err != nil {
			return err
		}
		data, err := json.Marshal(map[string]any{"recording_id": id, "objects": len(v.Objects())})
		if err != nil {
			return err
		}
		_, err = q.note(ctx, sc, consult.Event{
			ID: consult.NewID(consult.PrefixEvent), Type: consult.EventRecordingPurged, Scope: sc, Actor: consult.System,
			SessionID: v.SessionID, At: at, Data: data,
		})
		return err
	})
}
