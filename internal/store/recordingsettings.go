package store

import (
	"context"
	"database/sql"

	"github.com/chatmed/chatmed/internal/consult"
)

// RecordingSettings returns the account's settings for the mode; what was never
// set is kept by the account, without a term, for the server's vault.
func (s *Store) RecordingSettings(ctx context.Context, sc consult.Scope) (*consult.RecordingSettings, error) {
	var out *consult.RecordingSettings
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		out, err = q.recordingSettings(ctx, sc)
		return err
	})
	return out, err
}

func (q *querier) recordingSettings(ctx context.Context, sc consult.Scope) (*consult.RecordingSettings, error) {
	return one(ctx, q, "account", func(r scanner, v *consult.RecordingSettings) error {
		var keeper, recipient sql.NullString
		var days sql.NullInt64
		v.Scope = sc
		err := r.Scan(&v.AccountName, &keeper, &days, &recipient, scanTimePtr{&v.UpdatedAt})
		v.Keeper, v.RetentionDays, v.Recipient = keeper.String, int(days.Int64), recipient.String
		return err
	}, `SELECT a.name, r.keeper, r.retention_days, r.recipient, r.updated_at
		FROM scopes s JOIN accounts a ON a.id = s.account_id
		LEFT JOIN recording_settings r ON r.account_id = s.account_id AND r.mode = s.mode
		WHERE s.account_id = $1 AND s.mode = $2`, sc.AccountID, sc.Mode)
}

// SetRecordingSettings stores the settings of v's scope with the events. Setting
// what is set already writes nothing. They are for recordings that begin later:
// no term of an earlier one changes.
func (s *Store) SetRecordingSettings(ctx context.Context, v *consult.RecordingSettings, events []consult.Event) error {
	if v.UpdatedAt == nil {
		return consult.Errorf(consult.InternalError, "", "Settings need the time at which they are set.")
	}
	at := truncated(*v.UpdatedAt)
	return s.write(ctx, func(ctx context.Context, q *querier) error {
		n, err := q.exec(ctx, `INSERT INTO recording_settings (account_id, mode, keeper, retention_days, recipient, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (account_id, mode) DO UPDATE SET keeper = excluded.keeper, retention_days = excluded.retention_days,
				recipient = excluded.recipient, updated_at = excluded.updated_at
			WHERE recording_settings.keeper <> excluded.keeper OR recording_settings.retention_days <> excluded.retention_days
				OR recording_settings.recipient <> excluded.recipient`,
			v.Scope.AccountID, v.Scope.Mode, clean(v.Keeper), v.RetentionDays, clean(v.Recipient), micros(at))
		if err != nil || n == 0 {
			return err
		}
		return q.record(ctx, v.Scope, events)
	})
}
