package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

func TestReopeningKeepsEverything(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		s, err := store.Open(t.Context(), db.url, db.dir, quiet())
		must(t, err)
		sc, session := auditWorld(t, s)
		dump := func(s *store.Store) []any {
			var all []any
			add := func(v any, err error) {
				must(t, err)
				all = append(all, v)
			}
			add(s.Consultation(t.Context(), sc, session))
			add(s.TicketBySession(t.Context(), sc, session))
			add(s.Participations(t.Context(), sc, session))
			add(s.Keys(t.Context()))
			add(s.Audit(t.Context(), sc, session))
			add(s.PendingEvents(t.Context(), 100))
			return all
		}
		before := dump(s)
		must(t, s.Close())
		wantCode(t, s.Ping(t.Context()), consult.ServiceUnavailable)
		s = db.open(t) // migrates again, which changes nothing
		must(t, s.Ping(t.Context()))
		same(t, dump(s), before)
		must(t, s.VerifyAudit(t.Context(), sc))
	})
}

func TestServersStartingAtOnceMigrateOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		var g errgroup.Group
		stores := make([]*store.Store, 4)
		for i := range stores {
			g.Go(func() (err error) {
				stores[i], err = store.Open(t.Context(), db.url, db.dir, quiet())
				return err
			})
		}
		must(t, g.Wait())
		for _, s := range stores {
			must(t, s.Ping(t.Context()))
			must(t, s.Close())
		}
	})
}

func TestANewerSchemaIsRefused(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		raw := db.raw(t)
		insert := map[string]string{
			"sqlite":   `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`,
			"postgres": `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, TRUE)`,
		}
		run(t, raw, insert[db.name])
		_, err := store.Open(t.Context(), db.url, db.dir, quiet())
		if err == nil || !strings.Contains(err.Error(), "newer version") {
			t.Errorf("opened a database from the future: %v", err)
		}
		must(t, s.Ping(t.Context()))
	})
}

func TestOpenRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, url := range []string{"mysql://root:secret@db/x", "postgres://u:secret@[bad/x", "postgres://u:secret@db/x?pool_max_conns=none"} {
		_, err := store.Open(t.Context(), url, t.TempDir(), quiet())
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error is %v", url, err)
		}
	}
}

func TestSQLiteFileIsPrivateAndItsPathArbitrary(t *testing.T) {
	db := database{name: "sqlite", dir: filepath.Join(t.TempDir(), "new", "a b?c#d%41")}
	s := db.open(t)
	addKey(t, s, consult.Scope{AccountID: "acc_one", Mode: consult.Live}, "one")
	files, err := os.ReadDir(db.dir)
	must(t, err)
	if len(files) == 0 {
		t.Fatal("the database is not in its directory")
	}
	for _, f := range files {
		info, err := f.Info()
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f.Name(), info.Mode())
		}
	}
}

func TestPoolSizeOfTheURL(t *testing.T) {
	db := onPostgres(t)
	db.url += "&pool_max_conns=1"
	s := db.open(t)
	auditWorld(t, s) // one connection is enough for every method
}

func TestABusyDatabaseIsUnavailable(t *testing.T) {
	db := database{name: "sqlite", dir: t.TempDir()}
	s := db.open(t)
	sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
	addKey(t, s, sc, "one")
	c := addConsultation(t, s, sc, "doc", "pat")
	conn, err := db.raw(t).Conn(t.Context())
	must(t, err)
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	_, err = conn.ExecContext(t.Context(), `BEGIN IMMEDIATE`)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = end(ctx, s, c, consult.Cancelled, consult.CancelledByCaller, base)
	wantCode(t, err, consult.ServiceUnavailable)
	if _, err := s.Consultation(t.Context(), sc, c.ID); err != nil {
		t.Errorf("reading waits for the writer: %v", err)
	}
	_, err = conn.ExecContext(t.Context(), `ROLLBACK`)
	must(t, err)
	_, err = end(t.Context(), s, c, consult.Cancelled, consult.CancelledByCaller, base)
	must(t, err)
}

func TestALostConnectionIsUnavailable(t *testing.T) {
	db := onPostgres(t)
	s := db.open(t)
	sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
	addKey(t, s, sc, "one")
	c := addConsultation(t, s, sc, "doc", "pat")
	raw := db.raw(t)
	_, err := s.UpdateConsultation(t.Context(), sc, c.ID, func(c *consult.Consultation) ([]consult.Event, error) {
		_, err := raw.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		c.Language = "fr"
		return []consult.Event{event(sc, consult.EventTokensRevoked, c.ID)}, err
	})
	wantCode(t, err, consult.ServiceUnavailable)
	got, err := s.Consultation(t.Context(), sc, c.ID)
	must(t, err)
	same(t, got, c)
}

func TestACancelledCallIsUnavailable(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.Consultation(ctx, sc, "vs_x")
		wantCode(t, err, consult.ServiceUnavailable)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the cause is lost: %v", err)
		}
		err = s.AppendChat(ctx, &consult.ChatMessage{ID: "msg_x", Scope: sc})
		wantCode(t, err, consult.ServiceUnavailable)
	})
}
