package consult

import (
	"context"
	"encoding/json"
	"time"
)

// TokenIssued notes in the audit log that a room token jti for role was made,
// and returns the consultation the token is for. A consultation that is over
// gets none: Conflict.
func (s *Service) TokenIssued(ctx context.Context, sc Scope, id string, actor Actor, jti string, role Role) (*Consultation, error) {
	if _, err := s.Get(ctx, sc, id); err != nil { // cancels what has expired
		return nil, err
	}
	return s.store.UpdateConsultation(ctx, sc, id, func(c *Consultation) ([]Event, error) {
		if c.Status.Final() {
			return nil, c.finalError()
		}
		data, err := json.Marshal(map[string]any{"token_id": jti, "role": role})
		if err != nil {
			return nil, err
		}
		return []Event{{
			ID: NewID(PrefixEvent), Type: EventTokenIssued, Scope: c.Scope, Actor: actor,
			SessionID: c.ID, DoctorID: c.DoctorID, At: s.now().UTC().Truncate(time.Microsecond), Data: data,
		}}, nil
	})
}
