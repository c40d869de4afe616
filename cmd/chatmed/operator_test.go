package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

func TestAKeyIsRotatedAndItsCallsEnd(t *testing.T) {
	srv := newServer(t)
	env := []string{"CHATMED_DATA_DIR=" + srv.cfg.DataDir}
	made := execute(t, env, "keys", "create", "--name", "Clinic", "--plan=enterprise", "--mode=test",
		"--scopes=consultations", "--origins=https://a.example", "--addresses=127.0.0.0/8,::1")
	if made.code != 0 {
		t.Fatalf("keys create: %+v", made)
	}
	old, id := made.last(), regexp.MustCompile(`key_\w+`).FindString(made.out)
	other := execute(t, env, "keys", "create", "--name=Elsewhere", "--account=Clinic", "--mode=test", "--addresses=192.0.2.1")
	srv.key = other.last()
	if code := srv.request(http.MethodGet, "/api/v1/users/me", nil, nil); code != http.StatusForbidden {
		t.Errorf("from a foreign address: %d", code)
	}

	rotated := execute(t, env, "keys", "rotate", id, "--overlap=1h")
	if rotated.code != 0 || !regexp.MustCompile(`^sk_test_\w+$`).MatchString(rotated.last()) {
		t.Fatalf("keys rotate: %+v", rotated)
	}
	for _, key := range []string{old, rotated.last()} {
		srv.key = key
		srv.want(http.MethodGet, "/api/v1/users/me", nil, nil)
	}
	if l := execute(t, env, "keys", "list"); !strings.Contains(l.out, "until 2") || !strings.Contains(l.out, "consultations") {
		t.Errorf("keys list: %+v", l)
	}
	if again := execute(t, env, "keys", "rotate", id); again.code == 0 || !strings.Contains(again.complaint, "rotated already") {
		t.Errorf("rotating twice: %+v", again)
	}

	// Revoking in another process, without Redis, ends what the key began.
	srv.key = old
	ends := srv.create("doc", "pat")
	srv.key = rotated.last()
	goesOn := srv.create("doc", "pat_2")
	if r := execute(t, env, "keys", "revoke", id, "--end-calls"); r.code != 0 {
		t.Fatalf("keys revoke: %+v", r)
	}
	srv.awaitStatus(ends.SessionID, consult.Cancelled)
	srv.awaitStatus(goesOn.SessionID, consult.Waiting)
}

func TestAuditVerifyFindsTampering(t *testing.T) {
	srv := newServer(t)
	env := []string{"CHATMED_DATA_DIR=" + srv.cfg.DataDir}
	srv.create("doc", "pat")
	whole := execute(t, env, "audit", "verify")
	if whole.code != 0 || !regexp.MustCompile(`(?m)^acc_\w+ test \d+ [0-9a-f]{64}$`).MatchString(whole.out) {
		t.Fatalf("audit verify: %+v", whole)
	}
	noted := filepath.Join(t.TempDir(), "heads")
	must(t, os.WriteFile(noted, []byte(whole.out), 0o600))
	srv.create("doc", "pat_2")
	if r := execute(t, env, "audit", "verify", "--known", noted); r.code != 0 {
		t.Errorf("with what was noted: %+v", r)
	}
	if r := execute(t, env, "audit", "verify", "--known", filepath.Join(srv.cfg.DataDir, "chatmed.db")); r.code == 0 {
		t.Errorf("a file of something else: %+v", r)
	}

	db := openRaw(t, srv.cfg.DataDir)
	for _, q := range []string{
		`DROP TRIGGER audit_log_no_delete`, `DELETE FROM audit_log WHERE seq = (SELECT MAX(seq) FROM audit_log)`,
		`UPDATE scopes SET audit_seq = (SELECT MAX(seq) FROM audit_log),
			audit_hash = (SELECT hash FROM audit_log ORDER BY seq DESC LIMIT 1)`,
	} {
		_, err := db.ExecContext(t.Context(), q)
		must(t, err)
	}
	r := execute(t, env, "audit", "verify")
	if r.code == 0 || !regexp.MustCompile(`(?m)^BROKEN acc_\w+ test at entry \d+: .*signature`).MatchString(r.out) {
		t.Errorf("after the tail was cut: %+v", r)
	}
	if r := execute(t, env, "audit", "sign"); r.code != 0 {
		t.Errorf("audit sign: %+v", r)
	}
	if r := execute(t, env, "audit", "verify"); r.code != 0 || !strings.Contains(r.out, " test ") {
		t.Errorf("after signing: %+v", r)
	}
}

// openRaw opens a server's database beside it, as its operator could.
func openRaw(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "chatmed.db")+"?_pragma=busy_timeout(4000)")
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

func TestBackupAndRestore(t *testing.T) {
	srv := newServer(t)
	v := srv.create("doc", "pat")
	dir := t.TempDir()
	file := filepath.Join(dir, "chatmed.db")
	env := []string{"CHATMED_DATA_DIR=" + srv.cfg.DataDir}
	if r := execute(t, env, "backup", "--out", file); r.code != 0 {
		t.Fatalf("backup: %+v", r)
	}
	if r := execute(t, env, "backup", "--out", file); r.code == 0 || !strings.Contains(r.complaint, "exists already") {
		t.Errorf("over a backup: %+v", r)
	}
	pg := append(env, "CHATMED_DATABASE_URL=postgres://u:hidden@127.0.0.1:1/x")
	if r := execute(t, pg, "backup", "--out", filepath.Join(dir, "x")); r.code == 0 || !strings.Contains(r.complaint, "pg_dump") ||
		strings.Contains(r.complaint, "hidden") {
		t.Errorf("of PostgreSQL: %+v", r)
	}

	// With the same secret the copy is the same clinic.
	secret := string(srv.cfg.Secret)
	restored := newServer(t, "CHATMED_DATA_DIR="+dir, "CHATMED_SECRET="+secret)
	restored.key = srv.key
	if got := restored.status(v.SessionID); got.Status != consult.Waiting {
		t.Errorf("restored: %+v", got)
	}
	if r := execute(t, []string{"CHATMED_DATA_DIR=" + dir, "CHATMED_SECRET=" + secret}, "audit", "verify"); r.code != 0 {
		t.Errorf("audit verify of the copy: %+v", r)
	}
}

func TestAPatientIsExportedAndErased(t *testing.T) {
	srv := newServer(t)
	env := []string{"CHATMED_DATA_DIR=" + srv.cfg.DataDir}
	const id = "pat_marker_77"
	var tk ticket
	srv.want(http.MethodPost, "/api/v1/consultations/waiting-room/join", map[string]any{
		"doctor_id": "doc", "patient_id": id, "patient_name": "Marker77", "reason": "marker77 cough",
	}, &tk)
	of := []string{"--account=test", "--mode=test", "--patient=" + id}
	file := filepath.Join(t.TempDir(), "export.json")
	if r := execute(t, env, append([]string{"patient", "export", "--out", file}, of...)...); r.code != 0 {
		t.Fatalf("patient export: %+v", r)
	}
	b, err := os.ReadFile(file)
	must(t, err)
	var export store.PatientExport
	must(t, json.Unmarshal(b, &export))
	if len(export.Tables["tickets"]) != 1 || export.Tables["tickets"][0]["reason"] != "marker77 cough" || len(export.Tables["audit_log"]) == 0 {
		t.Errorf("export %s", b)
	}

	erase := append([]string{"patient", "erase"}, of...)
	if r := execute(t, env, erase...); r.code == 0 || !strings.Contains(r.complaint, "--yes") {
		t.Errorf("without --yes: %+v", r)
	}
	erase = append(erase, "--yes")
	if r := execute(t, env, erase...); r.code == 0 || !strings.Contains(r.complaint, "not over") {
		t.Errorf("while the consultation is open: %+v", r)
	}
	srv.want(http.MethodPost, "/api/v1/consultations/video/"+tk.SessionID+"/cancel", map[string]any{}, nil)
	done := execute(t, env, erase...)
	var proof store.ErasureProof
	if done.code != 0 || json.Unmarshal([]byte(done.out), &proof) != nil || proof.Tables["tickets"] != 1 || len(proof.AuditHash) != 64 {
		t.Fatalf("patient erase: %+v", done)
	}
	if r := execute(t, env, "audit", "verify"); r.code != 0 || !strings.Contains(r.out, proof.AuditHash) {
		t.Errorf("audit verify: %+v", r)
	}
	if r := execute(t, env, erase...); r.code == 0 {
		t.Errorf("erasing twice: %+v", r)
	}
	srv.halt() // the log is in the file now
	must(t, filepath.WalkDir(srv.env[0][len("CHATMED_DATA_DIR="):], func(f string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(f)
		must(t, err)
		for _, text := range []string{id, "Marker77", "marker77"} {
			if bytes.Contains(b, []byte(text)) {
				t.Errorf("%s still has %s", filepath.Base(f), text)
			}
		}
		return nil
	}))
}

func TestTheServerForgetsWhatIsOldEnough(t *testing.T) {
	srv := newServer(t, "CHATMED_RETENTION_CONSULTATIONS=1d")
	v := srv.create("doc", "pat")
	srv.want(http.MethodPost, "/api/v1/consultations/video/"+v.SessionID+"/cancel", map[string]any{}, nil)
	srv.restart()
	srv.status(v.SessionID) // not old yet
	_, err := openRaw(t, srv.cfg.DataDir).ExecContext(t.Context(), `UPDATE consultations SET ended_at = 1`)
	must(t, err)
	srv.restart()
	eventually(t, "the consultation is removed", func() bool {
		return srv.request(http.MethodGet, "/api/v1/consultations/video/"+v.SessionID+"/status", nil, nil) == http.StatusNotFound
	})
}

func TestWrongOperatorArguments(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"audit alone":         {[]string{"audit"}, "audit verify or audit sign"},
		"audit unknown":       {[]string{"audit", "x"}, "verify or sign"},
		"audit known missing": {[]string{"audit", "verify", "--known=nowhere"}, "nowhere"},
		"backup alone":        {[]string{"backup"}, "--out FILE"},
		"patient alone":       {[]string{"patient"}, "patient export"},
		"patient unknown":     {[]string{"patient", "x"}, "patient erase"},
		"nobody":              {[]string{"patient", "erase", "--yes"}, "--patient ID"},
		"no account":          {[]string{"patient", "erase", "--yes", "--patient=p"}, "--account"},
		"unknown account":     {[]string{"patient", "erase", "--yes", "--patient=p", "--account=a"}, `no account "a"`},
		"no file":             {[]string{"patient", "export", "--patient=p"}, "--out FILE"},
		"bad address":         {[]string{"keys", "create", "--name=N", "--addresses=x"}, "allowed_addresses"},
		"bad scope":           {[]string{"keys", "create", "--name=N", "--scopes=all"}, "scopes must be some of"},
		"overlap too long":    {[]string{"keys", "rotate", "key_0", "--overlap=1000h"}, "There is no key"},
		"rotate nothing":      {[]string{"keys", "rotate"}, "keys rotate takes one key id"},
	} {
		t.Run(name, func(t *testing.T) {
			if r := execute(t, nil, c.args...); r.code != 1 || !strings.Contains(r.complaint, c.want) {
				t.Errorf("%+v", r)
			}
		})
	}
}
