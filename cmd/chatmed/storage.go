package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/chatmed/chatmed/internal/blob"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/vault"
)

// checkStorage refuses a bucket that is not there, or not ours. One that does not
// answer now refuses nothing: calls go on without it, and /readyz tells.
func (a *app) checkStorage(ctx context.Context) error {
	switch err := a.blobs.Ping(ctx); {
	case errors.Is(err, blob.ErrNoBucket):
		return errors.New("CHATMED_STORAGE_URL names a bucket that is not there; create it, or name another")
	case errors.Is(err, blob.ErrDenied):
		return fmt.Errorf("CHATMED_STORAGE_URL is refused by the store; check its key, its secret, and what they may do: %w", err)
	case err != nil:
		a.log.Warn("storage of recordings does not answer, tried again", "err", err)
	}
	return nil
}

// recordingFiles reads what is stored of recordings.
type recordingFiles struct {
	blobs blob.Store
	vault *vault.Vault
}

func (f recordingFiles) Holds(fingerprint string) bool { return f.vault.Holds(fingerprint) }

func (f recordingFiles) Stored(ctx context.Context, key string) (io.ReadSeekCloser, int64, error) {
	r, size, err := f.blobs.Open(ctx, key)
	return r, size, storageDown(err)
}

func (f recordingFiles) Plain(ctx context.Context, key string) (io.ReadSeekCloser, int64, error) {
	r, size, err := f.blobs.Open(ctx, key)
	if err != nil {
		return nil, 0, storageDown(err)
	}
	plain, n, err := blob.Plain(r, size, f.vault.Identities()...)
	if err != nil {
		return nil, 0, errors.Join(err, r.Close())
	}
	return plain, n, nil
}

// storageDown words an error of the storage for callers.
func storageDown(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, blob.ErrNotFound):
		return &consult.Error{Code: consult.NotFound, Message: "The file is not in the storage.", Err: err}
	}
	return &consult.Error{
		Code: consult.ServiceUnavailable, Reason: consult.ReasonDependency, Err: err,
		Message: "The storage of recordings does not answer. Retry with exponential backoff.",
	}
}
