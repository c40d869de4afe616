package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

func TestABackupIsConsistentWhileTheServerWrites(t *testing.T) {
	db := database{name: "sqlite", dir: t.TempDir()}
	s := db.open(t)
	must(t, s.SignAudit(t.Context(), auditKey(1)))
	sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
	addKey(t, s, sc, "one")
	first := addConsultation(t, s, sc, "doc", "pat")

	ctx, stop := context.WithCancel(t.Context())
	var g errgroup.Group
	written := make(chan struct{}, 1000)
	for range 3 {
		g.Go(func() error {
			for ctx.Err() == nil {
				c := newConsultation(sc, "doc", "pat")
				if err := s.CreateConsultation(t.Context(), c, []consult.Event{event(sc, consult.EventConsultationCreated, c.ID)}); err != nil {
					return err
				}
				select {
				case written <- struct{}{}:
				default:
				}
			}
			return nil
		})
	}
	target := t.TempDir()
	var files []string
	for i := range 3 {
		for range 5 {
			<-written
		}
		files = append(files, filepath.Join(target, string(rune('a'+i)), "chatmed.db"))
		must(t, os.Mkdir(filepath.Dir(files[i]), 0o700))
		must(t, store.Backup(t.Context(), "", db.dir, files[i]))
	}
	stop()
	must(t, g.Wait())

	last := 0
	for _, f := range files {
		info, err := os.Stat(f)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f, info.Mode())
		}
		restored := database{name: "sqlite", dir: filepath.Dir(f)}.open(t)
		must(t, restored.SignAudit(t.Context(), auditKey(1)))
		must(t, restored.VerifyAudit(t.Context(), sc)) // whole, to its signature
		_, err = restored.Consultation(t.Context(), sc, first.ID)
		must(t, err)
		pending, err := restored.PendingEvents(t.Context(), 100000)
		must(t, err)
		if len(pending) < last+5 {
			t.Errorf("%d events, after %d", len(pending), last)
		}
		last = len(pending)
		all, err := restored.UnfinishedConsultations(t.Context(), sc, "", 100000)
		must(t, err)
		if len(all) != len(pending)-1 { // and the key's
			t.Errorf("%d consultations, %d events", len(all), len(pending))
		}
		addConsultation(t, restored, sc, "doc", "pat") // it goes on from there
	}
}

func TestABackupOverwritesNothing(t *testing.T) {
	db := database{name: "sqlite", dir: t.TempDir()}
	db.open(t)
	out := filepath.Join(t.TempDir(), "backup.db")
	must(t, os.WriteFile(out, nil, 0o600)) // even an empty file
	for _, target := range []string{out, filepath.Join(db.dir, "chatmed.db")} {
		if err := store.Backup(t.Context(), "", db.dir, target); err == nil || !strings.Contains(err.Error(), "exists already") {
			t.Errorf("%s: %v", target, err)
		}
	}
	missing := filepath.Join(t.TempDir(), "x.db")
	if err := store.Backup(t.Context(), "", t.TempDir(), missing); err == nil {
		t.Error("backed up a database that is not there")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Backup(ctx, "", db.dir, missing); err == nil {
		t.Error("a cancelled backup succeeded")
	}
	if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a backup is left: %v", err)
	}
	if err := store.Backup(t.Context(), "postgres://u:secret@h/d", db.dir, missing); !errors.Is(err, store.ErrPostgresBackup) ||
		!strings.Contains(err.Error(), "pg_dump") {
		t.Errorf("PostgreSQL: %v", err)
	}
}
