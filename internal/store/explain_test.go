package store_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

// manyRows fills the database with rows of one large account: doctors, patients
// and states in the proportions of a clinic that has run for years.
const manyRows = 8_000

func fillMany(t *testing.T, db database, raw *sql.DB) {
	t.Helper()
	numbers := fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) `, manyRows)
	run(t, raw,
		`INSERT INTO consultations (id, account_id, mode, key_id, doctor_id, patient_id, doctor_name, patient_name, language,
			enable_recording, status, reason, token_epoch, created_at, ended_at, expires_at)
			`+numbers+`SELECT 'vs_' || i, 'acc_one', 'live', 'key_one', 'doc_' || (i % 20), 'pat_' || (i % 4000), '', '', 'en',
			FALSE, CASE WHEN i % 50 = 0 THEN 'waiting' WHEN i % 50 = 1 THEN 'cancelled' ELSE 'ended' END, '', 0, i, i, i FROM n`,
		// References are checked by plans that should know how large the table is.
		`ANALYZE`,
		`INSERT INTO tickets (id, account_id, mode, session_id, doctor_id, patient_id, patient_name, reason, language, status, rank,
			joined_at, closed_at, updated_at, version)
			`+numbers+`SELECT 'wt_' || i, 'acc_one', 'live', 'vs_' || i, 'doc_' || (i % 20), 'pat_' || (i % 4000), '', '', 'en',
			CASE WHEN i % 50 = 1 THEN 'declined' ELSE 'admitted' END, i, i, i, i, 1 FROM n`,
		`INSERT INTO participations (id, account_id, mode, session_id, role, subject, name, joined_at)
			`+numbers+`SELECT 'prt_' || i, 'acc_one', 'live', 'vs_' || i, 'doctor', 'x', '', i FROM n`,
		`INSERT INTO recordings (id, account_id, mode, session_id, doctor_id, patient_id, state, reason, started_at, duration, recipient,
			server_key, segments, tracks, gaps, files, progress, legal_hold, retain_until, deleted_by_kind, deleted_by, deleted_by_role, purged)
			`+numbers+`SELECT 'rec_' || i, 'acc_one', 'live', 'vs_' || i, 'doc_' || (i % 20), 'pat_' || (i % 4000),
			CASE WHEN i % 400 = 0 THEN 'paused' WHEN i % 50 = 1 THEN 'deleted' ELSE 'ready' END, '', i, 0, '', TRUE, '[]', '[]', '[]', '[]',
			0, FALSE, CASE WHEN i % 2 = 0 THEN i END, '', '', '', i % 50 = 1 AND i > 100 FROM n`,
		`INSERT INTO consents (id, account_id, mode, session_id, seq, participant_id, role, subject, alias, decision, wording_id,
			wording_hash, language, at, prev_hash, hash, signature, key_id)
			`+numbers+`SELECT 'cns_' || i, 'acc_one', 'live', 'vs_' || i, 1, '', 'doctor', '', '', 'granted', '', '', '', i, '', '', '', 'k' FROM n`,
		`INSERT INTO users (id, account_id, mode, profile_id, name, email, created_at)
			`+numbers+`SELECT 'usr_' || i, CASE WHEN i % 4 = 0 THEN 'acc_two' ELSE 'acc_one' END, 'live', 'prof_' || i, '', '', i FROM n`,
		`INSERT INTO api_keys (id, account_id, mode, user_id, plan, prefix, hash, allowed_origins, created_at)
			`+numbers+`SELECT 'key_' || i, CASE WHEN i % 4 = 0 THEN 'acc_two' ELSE 'acc_one' END, 'live',
			'usr_' || i, 'starter', 'sk_live_0000', 'h' || i, '[]', i FROM n`,
		`INSERT INTO idempotency (account_id, mode, key, operation_id, body_hash, subject, owner, done, status, body, created_at, expires_at, lease_until)
			`+numbers+`SELECT 'acc_one', 'live', 'k' || i, '', '', '', '', TRUE, 200, '', i, i, i FROM n`,
	)
	if db.name == "postgres" {
		run(t, raw, `VACUUM ANALYZE`)
	} else {
		run(t, raw, `ANALYZE`)
	}
}

// plan is how the database would run the query, without what it cost.
func plan(t *testing.T, db database, raw *sql.DB, query string, args []any) string {
	t.Helper()
	explain := `EXPLAIN QUERY PLAN `
	if db.name == "postgres" {
		explain = `EXPLAIN (COSTS OFF) `
	}
	rows, err := raw.QueryContext(t.Context(), explain+query, args...)
	must(t, err)
	defer func() { must(t, rows.Close()) }()
	var lines []string
	for rows.Next() {
		var line string
		if db.name == "sqlite" {
			var id, parent, unused int
			must(t, rows.Scan(&id, &parent, &unused, &line))
		} else {
			must(t, rows.Scan(&line))
		}
		lines = append(lines, line)
	}
	must(t, rows.Err())
	return strings.Join(lines, "\n")
}

// flat reports whether a plan reads only the rows of its page, in their order.
func flat(plan string) bool {
	for _, slow := range []string{"Seq Scan", "Sort", "Bitmap", "SCAN consultations", "SCAN tickets", "SCAN participations", "SCAN recordings", "SCAN k", "TEMP B-TREE"} {
		if strings.Contains(plan, slow) {
			return false
		}
	}
	return strings.Contains(plan, "Index Scan") || strings.Contains(plan, "USING INDEX")
}

func TestListsAreFlat(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
		addKey(t, s, sc, "one")
		addKey(t, s, consult.Scope{AccountID: "acc_two", Mode: consult.Live}, "two")
		raw := db.raw(t)
		fillMany(t, db, raw)
		middle := &consult.Cursor{At: time.UnixMicro(manyRows / 2), ID: fmt.Sprint("vs_", manyRows/2)}
		from, to := time.UnixMicro(1000), time.UnixMicro(manyRows-1000)

		check := func(name, query string, args []any) {
			t.Helper()
			if p := plan(t, db, raw, query, args); !flat(p) {
				t.Errorf("%s:\n%s", name, p)
			}
		}
		for _, after := range []*consult.Cursor{nil, middle} {
			for _, f := range []consult.ConsultationFilter{
				{}, {DoctorID: "doc_3"}, {PatientID: "pat_7"}, {Status: consult.Ended}, {Status: consult.Active},
				{DoctorID: "doc_3", Status: consult.Waiting}, {DoctorID: "doc_3", Status: consult.Ended},
				{From: &from, To: &to}, {DoctorID: "doc_3", From: &from}, {Status: consult.Waiting, To: &to},
			} {
				query, args := store.ConsultationQuery(sc, f, after)
				check(fmt.Sprintf("consultations %+v after %v", f, after), query, args)
			}
			for _, f := range []consult.TicketFilter{
				{}, {DoctorID: "doc_3"}, {PatientID: "pat_7"}, {Status: consult.TicketDeclined}, {DoctorID: "doc_3", Status: consult.TicketDeclined},
				{SessionID: "vs_17"},
			} {
				query, args := store.TicketQuery(sc, f, after)
				check(fmt.Sprintf("tickets %+v after %v", f, after), query, args)
			}
			for _, f := range []consult.RecordingFilter{
				{}, {SessionID: "vs_17"}, {DoctorID: "doc_3"}, {PatientID: "pat_7"}, {State: consult.RecordingDeleted}, {From: &from, To: &to},
			} {
				query, args := store.RecordingQuery(sc, f, after)
				check(fmt.Sprintf("recordings %+v after %v", f, after), query, args)
			}
			query, args := store.ParticipationQuery(sc, "vs_17", after)
			check("participations", query, args)
			query, args = store.KeyQuery(sc.AccountID, after)
			check("keys", query, args)
		}
		// A patient has few rows, whoever else is asked for.
		for _, f := range []consult.ConsultationFilter{
			{PatientID: "pat_7", DoctorID: "doc_7"}, {PatientID: "pat_7", Status: consult.Ended}, {PatientID: "pat_7", From: &from},
		} {
			query, args := store.ConsultationQuery(sc, f, middle)
			if p := plan(t, db, raw, query, args); strings.Contains(p, "Seq Scan") || strings.Contains(p, "SCAN consultations") {
				t.Errorf("%+v:\n%s", f, p)
			}
		}
		for name, query := range map[string]string{
			"key by hash":     `SELECT id FROM api_keys WHERE hash = 'h77'`,
			"open pair":       `SELECT id FROM consultations WHERE account_id = 'acc_one' AND mode = 'live' AND doctor_id = 'doc_3' AND patient_id = 'pat_3' AND status IN ('waiting', 'active') ORDER BY created_at DESC LIMIT 1`,
			"idempotency":     `SELECT status FROM idempotency WHERE account_id = 'acc_one' AND mode = 'live' AND key = 'k77'`,
			"consents":        `SELECT id FROM consents WHERE account_id = 'acc_one' AND mode = 'live' AND session_id = 'vs_17' ORDER BY seq`,
			"open recordings": `SELECT id FROM recordings WHERE state IN ('recording', 'paused', 'composing') AND state <> 'composing' ORDER BY id`,
			"expired":         `SELECT id FROM recordings WHERE retain_until IS NOT NULL AND retain_until <= 100 AND state IN ('stored', 'ready', 'failed') AND NOT legal_hold ORDER BY retain_until, id LIMIT 10`,
			"unpurged":        `SELECT id FROM recordings WHERE state = 'deleted' AND NOT purged ORDER BY id LIMIT 10`,
			"ending calls":    `SELECT id FROM api_keys WHERE end_calls AND revoked_at >= 1`,
		} {
			p := plan(t, db, raw, query, nil)
			p = strings.ReplaceAll(p, "SCAN recordings USING INDEX recordings_", "a partial index ")
			if strings.Contains(p, "Seq Scan") || strings.Contains(p, "SCAN ") {
				t.Errorf("%s:\n%s", name, p)
			}
		}
	})
}
