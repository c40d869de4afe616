package recording

import (
	"context"

	"github.com/chatmed/chatmed/internal/consult"
)

// DeleteFor is Delete with the reason that the audit log names.
func (s *Service) DeleteFor(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, why string) error {
	if err := s.remove(ctx, sc, id, actor, why); err != nil {
		return err
	}
	s.PurgeSoon()
	return nil
}

// HoldFor is Hold with a note that the audit log keeps, such as the number of a
// case; "" is none.
func (s *Service) HoldFor(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, on bool, note string) (*consult.Recording, error) {
	return s.deps.Store.ChangeRecording(ctx, sc, id, func(r *consult.Recording) ([]consult.Event, error) {
		switch {
		case r.State == consult.RecordingDeleted:
			return nil, consult.Errorf(consult.Conflict, consult.ReasonRecordingDeleted, "The recording was deleted.")
		case r.LegalHold == on:
			return nil, nil
		}
		r.LegalHold = on
		typ, more := consult.EventRecordingReleased, map[string]any{}
		if on {
			typ = consult.EventRecordingHeld
		}
		if note != "" {
			more["note"] = note
		}
		return []consult.Event{s.event(r, typ, actor, more)}, nil
	})
}

// PurgeSoon has the objects of deleted recordings removed now rather than at the
// next look, after an erasure for instance. It does not wait.
func (s *Service) PurgeSoon() { s.goRun(func() { s.Purge(s.ctx) }) }
