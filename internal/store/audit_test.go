package store_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
	"github.com/chatmed/chatmed/internal/store/pgtest"
)

func onPostgres(t *testing.T) database {
	t.Helper()
	return database{name: "postgres", url: pgtest.Start(t)}
}

// raw opens the database beside the store, as its operator could.
func (d database) raw(t *testing.T) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", d.url
	if d.name == "sqlite" {
		driver, dsn = "sqlite", "file:"+filepath.Join(d.dir, "chatmed.db")+"?_pragma=busy_timeout(4000)&_pragma=secure_delete(1)"
	}
	db, err := sql.Open(driver, dsn)
	must(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func run(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// auditWorld has three entries after that of the key: seq 2, 3 and 4.
func auditWorld(t *testing.T, s *store.Store) (consult.Scope, string) {
	t.Helper()
	sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
	addKey(t, s, sc, "one")
	c := addConsultation(t, s, sc, "doc", "pat")
	addTicket(t, s, c)
	addParticipation(t, s, c, consult.Patient)
	return sc, c.ID
}

func TestAuditEntriesSayWhatHappened(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		sc, session := auditWorld(t, s)
		entries, err := s.Audit(t.Context(), sc, session)
		must(t, err)
		pending, err := s.PendingEvents(t.Context(), 100)
		must(t, err)
		if len(entries) != 3 || len(pending) != 4 {
			t.Fatalf("%d entries, %d outbox rows", len(entries), len(pending))
		}
		for i, e := range entries {
			if e.Seq != int64(i+2) {
				t.Errorf("entry %d has seq %d", i, e.Seq)
			}
			same(t, e.Event, pending[i+1].Event)
			if i > 0 && e.PrevHash != entries[i-1].Hash {
				t.Errorf("entry %d does not name the one before", i)
			}
			if pending[i+1].ID <= pending[i].ID {
				t.Errorf("outbox ids %d, %d", pending[i].ID, pending[i+1].ID)
			}
		}
		first, err := s.PendingEvents(t.Context(), 1)
		must(t, err)
		same(t, first, pending[:1])
		must(t, s.VerifyAudit(t.Context(), sc))
		wantCode(t, s.VerifyAudit(t.Context(), consult.Scope{AccountID: "acc_none", Mode: consult.Live}), consult.NotFound)
	})
}

func TestAuditLogIsAppendOnly(t *testing.T) {
	statements := map[string][]string{
		"sqlite": {
			`INSERT OR REPLACE INTO audit_log SELECT account_id, mode, seq, id, event_id, 'x', actor_kind, actor_id, actor_role,
				session_id, ticket_id, doctor_id, at, data, prev_hash, hash FROM audit_log WHERE seq = 2`,
		},
		"postgres": {`TRUNCATE audit_log`},
	}
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		sc, _ := auditWorld(t, s)
		raw := db.raw(t)
		for _, q := range append(statements[db.name], `UPDATE audit_log SET type = 'x' WHERE seq = 2`, `DELETE FROM audit_log WHERE seq = 2`) {
			if _, err := raw.ExecContext(t.Context(), q); err == nil {
				t.Errorf("accepted: %s", q)
			}
		}
		must(t, s.VerifyAudit(t.Context(), sc))
	})
}

func TestVerifyAuditFindsTampering(t *testing.T) {
	unguard := map[string][]string{
		"sqlite": {
			`DROP TRIGGER audit_log_no_update`, `DROP TRIGGER audit_log_no_delete`, `DROP TRIGGER audit_log_no_replace`,
		},
		"postgres": {`ALTER TABLE audit_log DISABLE TRIGGER USER`},
	}
	const mine = ` AND account_id = 'acc_one'` // another account's chain stays whole
	cases := []struct {
		name    string
		tamper  []string
		wantSeq int64
	}{
		{"altered", []string{`UPDATE audit_log SET actor_id = 'somebody' WHERE seq = 3`}, 3},
		{"moved time", []string{`UPDATE audit_log SET at = at + 1 WHERE seq = 2`}, 2},
		{"field boundary", []string{`UPDATE audit_log SET actor_kind = 'api_keyk', actor_id = 'ey_one' WHERE seq = 2`}, 2},
		{"removed", []string{`DELETE FROM audit_log WHERE seq = 3`}, 3},
		{"first removed", []string{`DELETE FROM audit_log WHERE seq = 1`}, 1},
		{"last removed", []string{`DELETE FROM audit_log WHERE seq = 4`}, 4},
		{"swapped", []string{
			`UPDATE audit_log SET seq = 99 WHERE seq = 2`, `UPDATE audit_log SET seq = 2 WHERE seq = 3`,
			`UPDATE audit_log SET seq = 3 WHERE seq = 99`,
		}, 2},
		{"inserted after the end", []string{
			`INSERT INTO audit_log SELECT account_id, mode, 5, 'aud_x', event_id, type, actor_kind, actor_id, actor_role,
				session_id, ticket_id, doctor_id, at, data, prev_hash, hash FROM audit_log WHERE seq = 4`,
		}, 5},
		{"last removed, counter too", []string{
			`DELETE FROM audit_log WHERE seq = 4`, `UPDATE scopes SET audit_seq = 3 WHERE audit_seq = 4`,
		}, 3},
	}
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		sc, _ := auditWorld(t, s)
		other := consult.Scope{AccountID: "acc_two", Mode: consult.Live}
		addKey(t, s, other, "two")
		raw := db.raw(t)
		run(t, raw, unguard[db.name]...)
		run(t, raw, `CREATE TABLE log_copy AS SELECT * FROM audit_log`, `CREATE TABLE scopes_copy AS SELECT * FROM scopes`)
		for _, tc := range cases {
			for _, q := range tc.tamper {
				run(t, raw, q+mine)
			}
			err := s.VerifyAudit(t.Context(), sc)
			var broken *store.AuditBreak
			if !errors.As(err, &broken) || broken.Seq != tc.wantSeq {
				t.Errorf("%s: error is %v, want a break at %d", tc.name, err, tc.wantSeq)
			}
			must(t, s.VerifyAudit(t.Context(), other))
			run(t, raw, `DELETE FROM audit_log`, `INSERT INTO audit_log SELECT * FROM log_copy`,
				`UPDATE scopes SET audit_seq = (SELECT audit_seq FROM scopes_copy c WHERE c.account_id = scopes.account_id)`)
			must(t, s.VerifyAudit(t.Context(), sc))
		}
	})
}
