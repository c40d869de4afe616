package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/chatmed/chatmed/internal/consult"
)

// AddQuality adds a stay to the summary of a participation.
func (s *Store) AddQuality(ctx context.Context, sc consult.Scope, participationID string, stay consult.QualitySummary) error {
	return s.write(ctx, func(ctx context.Context, q *querier) error {
		raw, err := one(ctx, q, "participant", func(r scanner, v *string) error { return r.Scan(v) },
			`SELECT quality FROM participations WHERE account_id = $1 AND mode = $2 AND id = $3`+q.dialect.lockRow,
			sc.AccountID, sc.Mode, participationID)
		if err != nil {
			return err
		}
		sum, err := readQuality(*raw)
		if err != nil {
			return err
		}
		sum.Add(stay)
		b, err := json.Marshal(sum)
		if err != nil {
			return fmt.Errorf("store: quality: %w", err)
		}
		_, err = q.exec(ctx, `UPDATE participations SET quality = $1 WHERE account_id = $2 AND mode = $3 AND id = $4`,
			string(b), sc.AccountID, sc.Mode, participationID)
		return err
	})
}

type qualityRow struct{ id, raw string }

// Qualities are the summaries of a consultation's participations, by their ids;
// those without media are left out.
func (s *Store) Qualities(ctx context.Context, sc consult.Scope, sessionID string) (map[string]consult.QualitySummary, error) {
	out := map[string]consult.QualitySummary{}
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		rows, err := list(ctx, q, func(r scanner, v *qualityRow) error { return r.Scan(&v.id, &v.raw) },
			`SELECT id, quality FROM participations WHERE account_id = $1 AND mode = $2 AND session_id = $3 AND quality <> ''`,
			sc.AccountID, sc.Mode, sessionID)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if out[row.id], err = readQuality(row.raw); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func readQuality(raw string) (sum consult.QualitySummary, err error) {
	if raw == "" {
		return sum, nil
	}
	if err := json.Unmarshal([]byte(raw), &sum); err != nil {
		return sum, fmt.Errorf("store: quality: %w", err)
	}
	return sum, nil
}
