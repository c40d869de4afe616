package main

import (
	"context"

	"github.com/chatmed/chatmed/api"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

// patients gives the store's exports and proofs to the API, which writes them
// as JSON and knows no more of them.
type patients struct {
	store *store.Store
	purge func() // removes the objects of what was erased, soon
}

func (p patients) ExportPatient(ctx context.Context, sc consult.Scope, patientID string) (any, error) {
	return p.store.ExportPatient(ctx, sc, patientID)
}

func (p patients) ErasePatient(ctx context.Context, sc consult.Scope, patientID string, actor consult.Actor) (any, error) {
	proof, err := p.store.ErasePatient(ctx, sc, patientID, actor)
	if err == nil {
		p.purge()
	}
	return proof, err
}

// auditOfStore gives the store's audit log to the API.
type auditOfStore struct{ store *store.Store }

func (a auditOfStore) Audit(ctx context.Context, sc consult.Scope, sessionID string) ([]api.AuditEntry, error) {
	entries, err := a.store.Audit(ctx, sc, sessionID)
	out := make([]api.AuditEntry, 0, len(entries))
	for _, e := range entries {
		out = append(out, api.AuditEntry{Seq: e.Seq, Event: e.Event, Hash: e.Hash})
	}
	return out, err
}
