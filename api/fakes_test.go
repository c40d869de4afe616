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

// fakeDesk does nothing to the tickets it finds.
type fakeDesk struct{ WaitingRoom }

func (f fakeDesk) Message(ctx context.Context, sc consult.Scope, _ consult.Actor, id, _ string) (*consult.QueuePlace, error) {
	return f.Get(ctx, sc, id)
}

func (f fakeDesk) MessageAll(ctx context.Context, sc consult.Scope, _ consult.Actor, doctorID, _ string) (int, error) {
	all, err := f.List(ctx, sc, doctorID)
	return len(all), err
}

func (f fakeDesk) Move(ctx context.Context, sc consult.Scope, _ consult.Actor, id string, _ int) (*consult.QueuePlace, error) {
	return f.Get(ctx, sc, id)
}

func (f fakeDesk) SendBack(ctx context.Context, sc consult.Scope, _ consult.Actor, id string) (*consult.QueuePlace, error) {
	return f.Get(ctx, sc, id)
}

func (f fakeDesk) Transfer(ctx context.Context, sc consult.Scope, _ consult.Actor, id, _, _ string) (*consult.QueuePlace, error) {
	return f.Get(ctx, sc, id)
}

func (f fakeDesk) Decline(ctx context.Context, sc consult.Scope, _ consult.Actor, id, _ string) (*consult.QueuePlace, error) {
	return f.Get(ctx, sc, id)
}

// fakePresence remembers per scope and doctor.
type fakePresence map[string]consult.DoctorPresence

func (f fakePresence) Presence(_ context.Context, sc consult.Scope, doctorID string) (consult.DoctorPresence, error) {
	if p, ok := f[sc.AccountID+string(sc.Mode)+doctorID]; ok {
		return p, nil
	}
	return consult.DoctorPresence{DoctorID: doctorID, Presence: consult.Away}, nil
}

func (f fakePresence) SetPresence(_ context.Context, sc consult.Scope, _ consult.Actor, doctorID string, p consult.Presence) (consult.DoctorPresence, error) {
	v := consult.DoctorPresence{DoctorID: doctorID, Presence: p}
	f[sc.AccountID+string(sc.Mode)+doctorID] = v
	return v, nil
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
