package api

import (
	"context"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
	"github.com/chatmed/chatmed/recording/vault"
)

// fakeRoom notes who was ejected.
type fakeRoom struct{ ejected []string }

func (f *fakeRoom) Eject(_ context.Context, _ consult.Scope, _, participantID string, _ consult.Actor) error {
	f.ejected = append(f.ejected, participantID)
	return nil
}

// patients is the store with results that any service could give.
type patients struct{ *store.Store }

func (p patients) ExportPatient(ctx context.Context, sc consult.Scope, id string) (any, error) {
	return p.Store.ExportPatient(ctx, sc, id)
}

func (p patients) ErasePatient(ctx context.Context, sc consult.Scope, id string, actor consult.Actor) (any, error) {
	return p.Store.ErasePatient(ctx, sc, id, actor)
}

// auditLog is the store's audit log as cmd gives it.
type auditLog struct{ *store.Store }

func (a auditLog) Audit(ctx context.Context, sc consult.Scope, sessionID string) ([]AuditEntry, error) {
	entries, err := a.Store.Audit(ctx, sc, sessionID)
	var out []AuditEntry
	for _, e := range entries {
		out = append(out, AuditEntry{Seq: e.Seq, Event: e.Event, Hash: e.Hash})
	}
	return out, err
}

// ageKeys reads age public keys as cmd does.
type ageKeys struct{}

func (ageKeys) Recipient(given string) (recipient, fingerprint string, err error) {
	r, err := vault.ParseRecipient(given)
	if err != nil {
		return "", "", err
	}
	return r.String(), vault.Fingerprint(r.String()), nil
}
