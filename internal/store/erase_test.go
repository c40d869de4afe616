package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

func init() {
	moreReads["ExportPatient"] = func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
		return one(s.ExportPatient(ctx, sc, w.c.PatientID))
	}
	moreReads["ErasePatient"] = func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
		// In its own scope the patient has an open consultation: a Conflict.
		return one(s.ErasePatient(ctx, sc, w.c.PatientID, consult.System))
	}
}

const marker = "mrk_erase_me"

// neverOfPatients are tables without a patient's data, and why.
var neverOfPatients = map[string]string{
	"accounts": "the integrator", "scopes": "the integrator", "users": "the integrator", "api_keys": "the integrator",
	"consent_wordings": "the account's own text", "recording_settings": "the integrator",
	"doctor_presence": "a doctor", "revoked_tokens": "token ids", "goose_db_version": "migrations",
}

// keptColumns cannot hold a patient's datum: ids that we make, words of a fixed
// list, and what is of the doctor. The other text columns of a table get the
// marker. A new column is one of those until it is listed here.
var keptColumns = map[string][]string{
	"":                 {"account_id", "mode", "id", "session_id", "doctor_id", "doctor_name", "status", "role"},
	"people":           {"pseudonym"},
	"consultations":    {"key_id", "metadata"},
	"chat_messages":    {"participant_id"},
	"tickets":          {"urgency"},
	"waiting_messages": {"ticket_id", "kind"},
	"consents": {
		"participant_id", "alias", "decision", "wording_id", "wording_hash", "language", "prev_hash", "hash", "signature", "key_id",
	},
	"recordings":  {"state", "segments", "files", "deleted_by_kind", "deleted_by", "deleted_by_role"}, // objects are named by ids of ours
	"idempotency": {"key", "operation_id", "body_hash", "owner"},                                      // the key is a hash
	"outbox":      {"event_id", "payload"},
	"audit_log": {
		"event_id", "type", "actor_kind", "actor_id", "actor_role", "ticket_id", "data", "prev_hash", "hash",
	},
}

// textColumns are the text columns of every table of the database.
func textColumns(t *testing.T, db database, raw *sql.DB) map[string][]string {
	t.Helper()
	query := `SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND c.type NOT IN ('BIGINT', 'INTEGER', 'BOOLEAN', 'TIMESTAMP')`
	if db.name == "postgres" {
		query = `SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()
			AND data_type NOT IN ('bigint', 'integer', 'boolean', 'timestamp without time zone')`
	}
	rows, err := raw.QueryContext(t.Context(), query)
	must(t, err)
	defer func() { must(t, rows.Close()) }()
	out := map[string][]string{}
	for rows.Next() {
		var table, column string
		must(t, rows.Scan(&table, &column))
		out[table] = append(out[table], column)
	}
	must(t, rows.Err())
	if len(out) < 10 {
		t.Fatalf("found only the tables %v", slices.Sorted(maps.Keys(out)))
	}
	return out
}

// holding lists the columns of the database in which the text stands.
func holding(t *testing.T, raw *sql.DB, columns map[string][]string, text string) []string {
	t.Helper()
	var out []string
	for table, names := range columns {
		for _, column := range names {
			var n int
			must(t, raw.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM `+table+` WHERE CAST(`+column+` AS TEXT) LIKE $1`, "%"+text+"%").Scan(&n))
			if n > 0 {
				out = append(out, table+"."+column)
			}
		}
	}
	slices.Sort(out)
	return out
}

// patientWorld is a patient with something in every table, whose consultation
// is over.
func patientWorld(t *testing.T, s *store.Store, sc consult.Scope, patientID string) *consult.Consultation {
	t.Helper()
	c := newConsultation(sc, "doc", patientID)
	c.PatientName, c.Metadata = "Name "+patientID, map[string]string{"ward": patientID}
	data := fmt.Appendf(nil, `{"status":"waiting","patient_id":%q,"role":"patient","subject":%q}`, patientID, patientID)
	happened := func(typ consult.EventType) []consult.Event {
		e := event(sc, typ, c.ID)
		e.Actor, e.Data = consult.Actor{Kind: consult.ActorParticipant, ID: patientID, Role: consult.Patient}, data
		return []consult.Event{e}
	}
	must(t, s.CreateConsultation(t.Context(), c, happened(consult.EventConsultationCreated)))
	tk := newTicket(c)
	tk.Reason = "Complaint of " + patientID
	_, _, err := s.CreateTicket(t.Context(), tk, happened(consult.EventTicketQueued))
	must(t, err)
	for _, role := range []consult.Role{consult.Patient, consult.Doctor, consult.Guest} {
		p := newParticipation(c, role)
		if role == consult.Patient {
			p.Subject = patientID
		}
		must(t, s.JoinParticipation(t.Context(), p, happened(consult.EventParticipantJoined)))
	}
	must(t, s.AppendChat(t.Context(), &consult.ChatMessage{
		ID: consult.NewID(consult.PrefixMessage), Scope: sc, SessionID: c.ID, Role: consult.Patient, Text: "I am " + patientID, SentAt: base,
	}))
	must(t, s.SaveChatSession(t.Context(), &consult.ChatSession{
		Scope: sc, ID: "sess_" + c.ID, PatientID: patientID, Content: []byte("sealed " + patientID), CreatedAt: base, UpdatedAt: base,
	}))
	addConsent(t, s, c, consult.Doctor, consult.ConsentGranted)
	addConsent(t, s, c, consult.Patient, consult.ConsentGranted)
	addConsent(t, s, c, consult.Patient, consult.ConsentWithdrawn)
	must(t, s.RevokePerson(t.Context(), sc, c.ID, consult.Patient, patientID, base, nil))
	rec := record(sc, "owner")
	rec.Key, rec.Subject = "k_"+c.ID, patientID
	_, err = s.BeginIdempotent(t.Context(), rec)
	must(t, err)
	must(t, s.FinishIdempotent(t.Context(), sc, rec.Key, "owner", 200, []byte(patientID)))
	return c
}

func TestErasingAPatientLeavesNoTrace(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		must(t, s.SignAudit(t.Context(), auditKey(1)))
		sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
		addKey(t, s, sc, "one")
		must(t, s.SignConsents(t.Context(), auditKey(7)))
		c := patientWorld(t, s, sc, marker)
		recorded := addRecording(t, s, c, fullRecording)
		raw := db.raw(t)
		run(t, raw, `INSERT INTO waiting_messages (id, account_id, mode, session_id, ticket_id, doctor_name, kind, text, sent_at)
			VALUES ('msg_w', 'acc_one', 'live', '`+c.ID+`', 'wt_x', 'Dr. Ada', 'message', 'x', 1)`,
			`UPDATE outbox SET delivered_at = 1 WHERE id = (SELECT MIN(id) FROM outbox WHERE session_id <> '')`)
		_, err := s.ErasePatient(t.Context(), sc, marker, consult.System)
		wantCode(t, err, consult.Conflict) // the consultation is still open
		same(t, consult.AsError(err).Reason, consult.ReasonOpenConsultation)
		_, err = end(t.Context(), s, c, consult.Cancelled, consult.CancelledByCaller, base)
		must(t, err)

		// The marker is planted into every text column that could hold it.
		columns := textColumns(t, db, raw)
		tables := store.PatientTables()
		want := []string{"consultations.metadata", "outbox.payload", "people.id"}
		for table, names := range columns {
			if _, never := neverOfPatients[table]; never {
				continue
			}
			if !slices.Contains(tables, table) {
				t.Errorf("table %s: does it hold patients' data? It is neither exported and erased nor in neverOfPatients", table)
				continue
			}
			for _, column := range names {
				if slices.Contains(keptColumns[""], column) || slices.Contains(keptColumns[table], column) {
					continue
				}
				where := ``
				if table == "participations" || table == "people" {
					where = ` WHERE role <> 'doctor'`
				}
				run(t, raw, `UPDATE `+table+` SET `+column+` = '`+marker+`'`+where)
				want = append(want, table+"."+column)
			}
		}
		slices.Sort(want)
		same(t, holding(t, raw, columns, marker), want)

		export, err := s.ExportPatient(t.Context(), sc, marker)
		must(t, err)
		for _, table := range tables {
			if len(export.Tables[table]) == 0 {
				t.Errorf("the export has nothing of %s", table)
			}
		}
		if _, err := json.Marshal(export); err != nil {
			t.Error(err)
		}

		proof, err := s.ErasePatient(t.Context(), sc, marker, consult.Actor{Kind: consult.ActorKey, ID: "key_one"})
		must(t, err)
		if left := holding(t, raw, columns, marker); len(left) > 0 {
			t.Errorf("the marker is left in %v", left)
		}
		for _, table := range tables {
			if table != "audit_log" && proof.Tables[table] == 0 {
				t.Errorf("the proof has nothing of %s: %v", table, proof.Tables)
			}
		}
		must(t, s.VerifyAudit(t.Context(), sc))
		entries, err := s.Audit(t.Context(), sc, "")
		must(t, err)
		last := entries[len(entries)-1]
		if last.Event.Type != consult.EventPatientErased || last.Hash != proof.AuditHash || last.Seq != proof.AuditSeq ||
			!strings.Contains(string(last.Event.Data), proof.Pseudonym) {
			t.Errorf("the last entry is %+v, the proof %+v", last, proof)
		}
		for _, gone := range []func() error{
			func() error { _, err := s.ExportPatient(t.Context(), sc, marker); return err },
			func() error { _, err := s.ErasePatient(t.Context(), sc, marker, consult.System); return err },
		} {
			wantCode(t, gone(), consult.NotFound)
		}
		_, err = s.BeginIdempotent(t.Context(), func() consult.IdempotencyRecord {
			r := record(sc, "late")
			r.Key = "k_" + c.ID
			return r
		}())
		same(t, consult.AsError(err).Reason, consult.ReasonIdempotencyErased)
		// The recording is gone but for its objects, which are purged next; the
		// chain of consents holds without the person.
		unpurged, err := s.UnpurgedRecordings(t.Context(), 10)
		must(t, err)
		if len(unpurged) != 1 || unpurged[0].ID != recorded.ID || len(unpurged[0].Objects()) != 2 ||
			unpurged[0].DeletedBy.ID != "key_one" || unpurged[0].Reason != consult.RecordingErased {
			t.Errorf("to be purged: %+v", unpurged)
		}
		same(t, verified(t, s, sc), int64(3))
		// What is left is readable, and under the pseudonym of the audit log.
		got, err := s.Consultation(t.Context(), sc, c.ID)
		must(t, err)
		if got.PatientID != proof.Pseudonym || got.PatientName != "" || got.Metadata != nil {
			t.Errorf("left %+v", got)
		}
		if db.name == "sqlite" {
			leftInFiles(t, db.dir)
		}
	})
}

// leftInFiles looks for the marker in the bytes of the database's files.
func leftInFiles(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(t, err)
		if bytes.Contains(b, []byte(marker)) {
			t.Errorf("the marker is left in %s", filepath.Base(f))
		}
	}
}

func TestErasingLeavesOthersAlone(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		other := consult.Scope{AccountID: sc.AccountID, Mode: consult.Test}
		addKey(t, s, other, "two")
		mine := patientWorld(t, s, sc, "pat_a")
		neighbour := patientWorld(t, s, sc, "pat_ab")
		theirs := patientWorld(t, s, other, "pat_a")
		dump := func(c *consult.Consultation) string {
			e, err := s.ExportPatient(t.Context(), c.Scope, c.PatientID)
			must(t, err)
			b, err := json.Marshal(e.Tables)
			must(t, err)
			return string(b)
		}
		before := []string{dump(neighbour), dump(theirs)}
		_, err := end(t.Context(), s, mine, consult.Cancelled, consult.CancelledByCaller, base)
		must(t, err)
		first, err := s.ErasePatient(t.Context(), sc, "pat_a", consult.System)
		must(t, err)
		if !slices.Equal([]string{dump(neighbour), dump(theirs)}, before) {
			t.Error("another patient's data changed")
		}

		// The id may come back: it is a new patient then.
		again := patientWorld(t, s, sc, "pat_a")
		_, err = end(t.Context(), s, again, consult.Cancelled, consult.CancelledByCaller, base)
		must(t, err)
		second, err := s.ErasePatient(t.Context(), sc, "pat_a", consult.System)
		must(t, err)
		if first.Pseudonym == second.Pseudonym {
			t.Error("one pseudonym for two")
		}
	})
}

func TestRetention(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		const day = 24 * time.Hour
		old, recent, open := patientWorld(t, s, sc, "pat_old"), patientWorld(t, s, sc, "pat_new"), patientWorld(t, s, sc, "pat_open")
		for c, at := range map[*consult.Consultation]time.Time{old: base, recent: base.Add(20 * day)} {
			_, err := end(t.Context(), s, c, consult.Ended, consult.EndedByDoctor, at)
			must(t, err)
		}
		must(t, s.RevokeToken(t.Context(), sc, "tok_old", base, nil))
		now := base.Add(30 * day)
		chat := func(c *consult.Consultation) int {
			m, err := s.Chat(t.Context(), sc, c.ID, 10)
			must(t, err)
			return len(m)
		}
		got, err := s.Retain(t.Context(), now, store.DefaultRetention())
		must(t, err)
		if chat(old) != 1 || got["idempotency"] != 3 || got["revoked_tokens"] != 1 {
			t.Errorf("by default: %v", got)
		}
		got, err = s.Retain(t.Context(), now, store.Retention{Chat: 25 * day, Tickets: 25 * day})
		must(t, err)
		// pat_open's message is as old, but its consultation is not over.
		if chat(old) != 0 || chat(open) != 1 || got["chat_messages"] != 2 || got["tickets"] != 1 || got["chat_sessions"] != 3 {
			t.Errorf("messages and tickets: %v", got)
		}
		got, err = s.Retain(t.Context(), now, store.Retention{Consultations: 25 * day})
		must(t, err)
		_, err = s.Consultation(t.Context(), sc, old.ID)
		wantCode(t, err, consult.NotFound)
		_, err = s.Person(t.Context(), sc, consult.Patient, "pat_old")
		wantCode(t, err, consult.NotFound)
		for _, c := range []*consult.Consultation{recent, open} {
			_, err = s.Consultation(t.Context(), sc, c.ID)
			must(t, err)
		}
		if got["consultations"] != 1 || got["people"] != 1 || got["participations"] != 3 {
			t.Errorf("consultations: %v", got)
		}
		again, err := s.Retain(t.Context(), now, store.Retention{Consultations: 25 * day, Chat: 25 * day})
		must(t, err)
		for table, n := range again {
			if n != 0 {
				t.Errorf("again: %d of %s", n, table)
			}
		}
		entries, err := s.Audit(t.Context(), sc, "")
		must(t, err)
		var proofs []string
		for _, e := range entries {
			if e.Event.Type == consult.EventRetentionApplied {
				proofs = append(proofs, string(e.Event.Data))
			}
		}
		if len(proofs) != 4 || proofs[3] != `{"older_than":"2025-01-20T10:30:00Z","removed":{"chat_messages":0,"consents":3,"consultations":1,"participations":3,"people":1,"recordings":0,"revoked_people":1,"tickets":0,"waiting_messages":0}}` {
			t.Errorf("proofs %v", proofs)
		}
		must(t, s.VerifyAudit(t.Context(), sc))
	})
}

func TestRetentionWorksInBatches(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
		addKey(t, s, sc, "one")
		c := addConsultation(t, s, sc, "doc", "pat")
		_, err := end(t.Context(), s, c, consult.Cancelled, consult.CancelledByCaller, base)
		must(t, err)
		numbers := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) `
		run(t, db.raw(t), `INSERT INTO chat_messages (id, account_id, mode, session_id, participant_id, role, name, text, sent_at)
			`+numbers+`SELECT 'msg_' || i, 'acc_one', 'live', '`+c.ID+`', 'p', 'doctor', '', 'x', i FROM n`,
			`INSERT INTO outbox (account_id, mode, event_id, payload, delivered_at) `+numbers+`SELECT 'acc_one', 'live', 'e' || i, '{}', i FROM n`)
		got, err := s.Retain(t.Context(), base, store.Retention{Chat: time.Hour, DeliveredEvents: time.Hour})
		must(t, err)
		if got["chat_messages"] != 1200 || got["outbox"] != 1200 {
			t.Errorf("removed %v", got)
		}
		entries, err := s.Audit(t.Context(), sc, "")
		must(t, err)
		if len(entries) != 1+3+3 { // the key's, and one for each batch of 500
			t.Errorf("%d entries", len(entries))
		}
	})
}

func TestRunRetentionEndsWithItsContext(t *testing.T) {
	s := database{name: "sqlite", dir: t.TempDir()}.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.RunRetention(ctx, time.Hour, time.Now, store.DefaultRetention())
}

// Consultations that are created while their patient is erased belong to a new
// patient, or to the one that is refused to be erased; never to nobody.
func TestErasingWhileTheyCreate(t *testing.T) {
	eachPair(t, func(t *testing.T, nodes [2]*store.Store, sc consult.Scope) {
		race(t, nodes, func(ctx context.Context, s *store.Store, i int) error {
			if i%4 >= 2 {
				_, err := s.ErasePatient(ctx, sc, "pat", consult.System)
				if consult.HasCode(err, consult.NotFound) || consult.HasCode(err, consult.Conflict) {
					return nil
				}
				return err
			}
			c := newConsultation(sc, "doc", "pat")
			if err := s.CreateConsultation(ctx, c, []consult.Event{event(sc, consult.EventConsultationCreated, c.ID)}); err != nil {
				return err
			}
			_, err := end(ctx, s, c, consult.Cancelled, consult.CancelledByCaller, base)
			return err
		})
		left, _, err := nodes[0].Consultations(t.Context(), sc, consult.ConsultationFilter{PatientID: "pat"}, consult.Page{Limit: 100})
		must(t, err)
		_, err = nodes[0].Person(t.Context(), sc, consult.Patient, "pat")
		if len(left) > 0 && err != nil || len(left) == 0 && !consult.HasCode(err, consult.NotFound) {
			t.Errorf("%d consultations of the patient, whose row: %v", len(left), err)
		}
		all, _, err := nodes[0].Consultations(t.Context(), sc, consult.ConsultationFilter{}, consult.Page{Limit: 100})
		must(t, err)
		if len(all) != 26 {
			t.Errorf("%d consultations are left", len(all))
		}
	})
}

// Rows from before migration 4 have no pseudonym, no scopes and no signature.
func TestOldRowsGoOn(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
		addKey(t, s, sc, "one")
		c := addConsultation(t, s, sc, "doc", "pat")
		run(t, db.raw(t), `UPDATE people SET pseudonym = ''`, `UPDATE outbox SET session_id = ''`)
		must(t, s.SignAudit(t.Context(), auditKey(1)))
		for range 2 {
			e := event(sc, consult.EventTokenIssued, c.ID)
			e.Data = []byte(`{"patient_id":"pat"}`)
			must(t, s.RevokeToken(t.Context(), sc, e.ID, base, []consult.Event{e}))
		}
		entries, err := s.Audit(t.Context(), sc, c.ID)
		must(t, err)
		first, second := string(entries[1].Event.Data), string(entries[2].Event.Data)
		if first != second || !strings.Contains(first, "pat_") {
			t.Errorf("entries %s and %s", first, second)
		}
		broken(t, s, sc, 4) // not signed yet
		must(t, s.SignChain(t.Context(), sc, event(sc, consult.EventAuditSigned, "")))
		must(t, s.VerifyAudit(t.Context(), sc))
		_, err = end(t.Context(), s, c, consult.Cancelled, consult.CancelledByCaller, base)
		must(t, err)
		_, err = s.ErasePatient(t.Context(), sc, "pat", consult.System)
		must(t, err)
		must(t, s.VerifyAudit(t.Context(), sc))
		key, err := s.KeyByID(t.Context(), sc, "key_one")
		must(t, err)
		if !key.Has(consult.ScopeClinical) || key.Has(consult.ScopeAdmin) {
			t.Errorf("scopes %v", key.Scopes)
		}
	})
}

// A recording under legal hold outweighs a patient's erasure; one that is gone
// does not.
func TestALegalHoldRefusesAnErasure(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := patientWorld(t, s, sc, "pat")
		_, err := end(t.Context(), s, c, consult.Cancelled, consult.CancelledByCaller, base)
		must(t, err)
		r := addRecording(t, s, c, func(r *consult.Recording) { fullRecording(r); r.LegalHold = true })
		before := counts(t, s, sc)
		_, err = s.ErasePatient(t.Context(), sc, "pat", consult.System)
		wantCode(t, err, consult.Conflict)
		same(t, consult.AsError(err).Reason, consult.ReasonRecordingHeld)
		same(t, counts(t, s, sc), before)
		_, err = s.ChangeRecording(t.Context(), sc, r.ID, func(r *consult.Recording) ([]consult.Event, error) {
			r.LegalHold = false
			return []consult.Event{event(sc, consult.EventRecordingReleased, c.ID)}, nil
		})
		must(t, err)
		_, err = s.ErasePatient(t.Context(), sc, "pat", consult.System)
		must(t, err)
	})
}

// A consultation stays, with its chain of consents, until its recordings are
// purged.
func TestRetentionKeepsWhatARecordingNeeds(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := patientWorld(t, s, sc, "pat")
		_, err := end(t.Context(), s, c, consult.Cancelled, consult.CancelledByCaller, base)
		must(t, err)
		r := addRecording(t, s, c, fullRecording)
		retain := func(want int64) {
			t.Helper()
			got, err := s.Retain(t.Context(), base.Add(time.Hour), store.Retention{Consultations: time.Minute})
			must(t, err)
			same(t, got["consultations"], want)
		}
		retain(0)
		at := base
		_, err = s.ChangeRecording(t.Context(), sc, r.ID, func(r *consult.Recording) ([]consult.Event, error) {
			r.State, r.DeletedAt, r.DeletedBy = consult.RecordingDeleted, &at, consult.System
			return []consult.Event{event(sc, consult.EventRecordingDeleted, c.ID)}, nil
		})
		must(t, err)
		retain(0)
		same(t, verified(t, s, sc), int64(3))
		must(t, s.RecordingPurged(t.Context(), sc, r.ID, base))
		retain(1)
		same(t, verified(t, s, sc), int64(0)) // what went with its consultation is not missed
		must(t, s.VerifyAudit(t.Context(), sc))
	})
}
