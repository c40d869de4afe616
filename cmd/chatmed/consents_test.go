package main

import (
	"regexp"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
)

// The command finds a record of consent that somebody took back behind the
// server's back, and one that was signed under another secret.
func TestAuditVerifyWalksChainsOfConsent(t *testing.T) {
	srv := newServer(t)
	env := []string{"CHATMED_DATA_DIR=" + srv.cfg.DataDir}
	session := srv.create("doc", "pat").SessionID
	scopes, err := srv.store.Scopes(t.Context())
	must(t, err)
	var scope consult.Scope
	for _, sc := range scopes {
		if _, err := srv.store.Consultation(t.Context(), sc, session); err == nil {
			scope = sc
		}
	}
	const text = "May we record?"
	for _, d := range []consult.ConsentDecision{consult.ConsentGranted, consult.ConsentWithdrawn} {
		must(t, srv.store.AppendConsent(t.Context(), &consult.Consent{
			Scope: scope, SessionID: session, ParticipantID: "prt_1", Role: consult.Patient, Subject: "pat", Decision: d,
			WordingID: "recording-1", WordingHash: consult.HashWording(text), Text: text, Language: "en", At: time.Now(),
		}, nil))
	}
	if r := execute(t, env, "audit", "verify"); r.code != 0 {
		t.Fatalf("audit verify: %+v", r)
	}
	secrets, err := auth.NewSecrets([]byte(srv.cfg.Secret), nil)
	must(t, err)
	keys, err := secrets.Derive(auth.PurposeConsent)
	must(t, err)
	chain, err := srv.store.Consents(t.Context(), scope, session)
	must(t, err)
	if b := consult.VerifyConsents(chain, keys); b != nil {
		t.Errorf("the server signs otherwise: %v", b)
	}

	db := openRaw(t, srv.cfg.DataDir)
	_, err = db.ExecContext(t.Context(), `DELETE FROM consents WHERE seq = 2`) // the withdrawal
	must(t, err)
	r := execute(t, env, "audit", "verify")
	if r.code == 0 || !regexp.MustCompile(`(?m)^BROKEN acc_\w+ test consents of `+session+` at record 2: the audit log knows a record that is missing$`).MatchString(r.out) {
		t.Errorf("without the withdrawal: %+v", r)
	}
}
