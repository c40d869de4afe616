package api

import (
	"context"

	"github.com/chatmed/chatmed/internal/consult"
)

// fakeRoom notes who was ejected.
type fakeRoom struct{ ejected []string }

func (f *fakeRoom) Eject(_ context.Context, _ consult.Scope, _, participantID string, _ consult.Actor) error {
	f.ejected = append(f.ejected, participantID)
	return nil
}

// fakePatients knows the patients of one account and mode.
type fakePatients struct {
	scope consult.Scope
	ids   map[string]bool
}

func (f *fakePatients) ExportPatient(_ context.Context, sc consult.Scope, id string) (any, error) {
	if sc != f.scope || !f.ids[id] {
		return nil, consult.Errorf(consult.NotFound, "", "There is no such patient.")
	}
	return map[string]any{"patient_id": id, "tables": map[string]any{}}, nil
}

func (f *fakePatients) ErasePatient(ctx context.Context, sc consult.Scope, id string, _ consult.Actor) (any, error) {
	return f.ExportPatient(ctx, sc, id)
}
