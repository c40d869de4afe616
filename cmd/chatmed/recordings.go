package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/blob"
	"github.com/chatmed/chatmed/internal/config"
	"github.com/chatmed/chatmed/recording"
	"github.com/chatmed/chatmed/recording/capture"
	"github.com/chatmed/chatmed/recording/vault"
	"github.com/chatmed/chatmed/recording/wording"
	"github.com/chatmed/chatmed/sfu"
)

// recordingsDir is where recordings are written, in the data directory, until
// they are handed over.
const recordingsDir = "recordings"

// objectsDir is where they are then, unless that is a bucket.
const objectsDir = "objects"

// openBlobs makes the store of recordings and files. A bucket is not asked: a
// server starts while it does not answer.
func openBlobs(cfg *config.Config) (blob.Store, error) {
	if cfg.StorageURL == "" {
		disk, err := blob.NewDisk(filepath.Join(cfg.DataDir, objectsDir))
		if err != nil {
			return nil, err // not a nil *Disk in an interface
		}
		return disk, nil
	}
	remote, err := blob.ParseURL(cfg.StorageURL, os.Getenv)
	if err != nil {
		return nil, fmt.Errorf("CHATMED_STORAGE_URL %w", err)
	}
	s3, err := blob.NewS3(remote)
	if err != nil {
		return nil, err
	}
	return s3, nil
}

// openRecordings makes the recording of consultations. The key they are encrypted
// to comes from the secret and is nowhere on the disk.
func (a *app) openRecordings() error {
	secrets, err := auth.NewSecrets([]byte(a.cfg.Secret), []byte(a.cfg.SecretPrevious))
	if err != nil {
		return err
	}
	keys, err := secrets.Derive(auth.PurposeVault)
	if err != nil {
		return err
	}
	if a.vault, err = vault.New(keys); err != nil {
		return err
	}
	if a.blobs, err = openBlobs(a.cfg); err != nil {
		return err
	}
	if err = a.openComposer(); err != nil {
		return err
	}
	cfg := recording.DefaultConfig(filepath.Join(a.cfg.DataDir, recordingsDir))
	cfg.Alone = a.cfg.RedisURL == ""
	a.recordings, err = recording.New(cfg, recording.Deps{
		Store: a.store, Consultations: a.consultations, Bus: a.redis.Bus(),
		Blobs: a.blobs, Composer: a.composer, Vault: recipients{a.vault},
		Capturer: recorders{media: a.media, identities: a.vault.Identities(), log: a.log, metrics: capture.NewMetrics(a.registry)},
		Wordings: wording.All, Clock: clock{now: a.now}, Log: a.log, Metrics: a.registry,
	})
	return err
}

// recipients says whom recordings are encrypted to.
type recipients struct{ vault *vault.Vault }

func (r recipients) Recipient() string                 { return r.vault.Recipient().String() }
func (recipients) Fingerprint(recipient string) string { return vault.Fingerprint(recipient) }

// recorders captures rooms of the SFU.
type recorders struct {
	media      *sfu.SFU
	identities []age.Identity
	log        *slog.Logger
	metrics    *capture.Metrics
}

func (r recorders) Capture(s recording.Segment) (recording.Capture, error) {
	to, err := vault.ParseRecipient(s.Recipient)
	if err != nil {
		return nil, err
	}
	rec, err := capture.Start(capture.Config{
		Path: s.Path, Header: s.Header, Recipients: []age.Recipient{to},
		Tap:    func(sink sfu.Sink) capture.Tap { return r.media.Tap(s.RoomID, sink) },
		OnFail: s.OnFail, Log: r.log, Metrics: r.metrics,
	})
	if err != nil {
		return nil, err // not a nil *Recorder in an interface
	}
	return recorder{rec}, nil
}

func (r recorders) Inspect(ctx context.Context, path string) (recording.Summary, error) {
	return recording.Inspect(ctx, path, r.identities)
}

// recorder is a segment being written.
type recorder struct{ *capture.Recorder }

func (r recorder) Open(people []recording.Member) bool {
	known := make([]capture.Person, 0, len(people))
	for _, p := range people {
		known = append(known, capture.Person(p))
	}
	return r.Recorder.Open(known) == nil
}

func (r recorder) Close(ctx context.Context, reason string) (recording.Summary, error) {
	sum, err := r.Recorder.Close(ctx, reason)
	return summary(sum), err
}

func (r recorder) Summary() recording.Summary { return summary(r.Recorder.Summary()) }

func summary(s capture.Summary) recording.Summary {
	return recording.Summary{Bytes: s.Bytes, SHA256: s.SHA256, Duration: s.Duration, Tracks: s.Tracks, Gaps: s.Gaps}
}
