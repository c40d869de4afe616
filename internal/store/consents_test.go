package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

func init() {
	moreNotScoped = append(moreNotScoped, "SignConsents")
	moreReads["Consents"] = func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
		if sc == w.sc { // the probe in w's own scope must find one
			if err := s.AppendConsent(ctx, newConsent(w.c, consult.Doctor, consult.ConsentGranted), nil); err != nil {
				return false, err
			}
		}
		return list(s.Consents(ctx, sc, w.c.ID))
	}
	moreReads["AppendConsent"] = func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
		c := newConsent(w.c, consult.Patient, consult.ConsentGranted)
		c.Scope = sc
		err := s.AppendConsent(ctx, c, nil)
		return err == nil, err
	}
	moreWrites["VerifyConsents"] = func(t *testing.T, s *store.Store, sc consult.Scope, w world) {
		if n := verified(t, s, sc); n != 0 {
			t.Errorf("%d records of another scope", n)
		}
		verified(t, s, w.sc)
	}
}

const shownText = "May we record?\nKept by the clinic."

func newConsent(c *consult.Consultation, role consult.Role, d consult.ConsentDecision) *consult.Consent {
	subject := "usr_" + string(role)
	switch role {
	case consult.Doctor:
		subject = c.DoctorID
	case consult.Patient:
		subject = c.PatientID
	}
	return &consult.Consent{
		Scope: c.Scope, SessionID: c.ID, ParticipantID: "prt_" + string(role), Role: role, Subject: subject, Decision: d,
		WordingID: "recording-1", WordingHash: consult.HashWording(shownText), Text: shownText, Language: "en",
		At: base.Add(123 * time.Nanosecond),
	}
}

func addConsent(t *testing.T, s *store.Store, c *consult.Consultation, role consult.Role, d consult.ConsentDecision) *consult.Consent {
	t.Helper()
	n := newConsent(c, role, d)
	must(t, s.AppendConsent(t.Context(), n, nil))
	return n
}

// verified fails unless every chain of the scope holds, and counts its records.
func verified(t *testing.T, s *store.Store, sc consult.Scope) int64 {
	t.Helper()
	n, broken, err := s.VerifyConsents(t.Context(), sc)
	must(t, err)
	if len(broken) > 0 {
		t.Fatalf("broken: %v", &broken[0])
	}
	return n
}

func consentBroken(t *testing.T, s *store.Store, c *consult.Consultation, seq int64, why string) {
	t.Helper()
	_, broken, err := s.VerifyConsents(t.Context(), c.Scope)
	must(t, err)
	if len(broken) != 1 || broken[0].SessionID != c.ID || broken[0].Seq != seq || !strings.Contains(broken[0].Why, why) {
		t.Errorf("broken %+v, want %d: %s", broken, seq, why)
	}
}

func TestConsentsAreAChain(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		key := auditKey(7)
		must(t, s.SignConsents(t.Context(), key))
		c, other := addConsultation(t, s, sc, "doc", "pat"), addConsultation(t, s, sc, "doc", "pat")
		e := event(sc, consult.EventConsentGranted, c.ID)
		e.Data = []byte(`{"role":"patient","subject":"pat","participant_id":"prt_patient"}`)
		first := newConsent(c, consult.Patient, consult.ConsentGranted)
		must(t, s.AppendConsent(t.Context(), first, []consult.Event{e}))
		second := addConsent(t, s, c, consult.Doctor, consult.ConsentGranted)
		elsewhere := addConsent(t, s, other, consult.Guest, consult.ConsentDeclined)
		_, err := end(t.Context(), s, c, consult.Cancelled, consult.CancelledByCaller, base)
		must(t, err)
		third := addConsent(t, s, c, consult.Patient, consult.ConsentWithdrawn) // after the call too

		got, err := s.Consents(t.Context(), sc, c.ID)
		must(t, err)
		same(t, got, []consult.Consent{*first, *second, *third})
		if first.Seq != 1 || third.Seq != 3 || first.PrevHash != "" || third.PrevHash != second.Hash || elsewhere.Seq != 1 {
			t.Errorf("%+v", got)
		}
		if first.Text != shownText || !strings.HasPrefix(first.ID, "cns_") || !first.At.Equal(base) || !strings.HasPrefix(first.Alias, "pat_") ||
			third.Alias != first.Alias || second.Alias != "doc" || first.Signature != first.SignedBy(key[0]) {
			t.Errorf("%+v", first)
		}
		if b := consult.VerifyConsents(got, key); b != nil {
			t.Error(b)
		}
		same(t, verified(t, s, sc), int64(4))
		same(t, consult.Standing(got)[first.Person()].Decision, consult.ConsentWithdrawn)

		entries, err := s.Audit(t.Context(), sc, c.ID)
		must(t, err)
		var anchor struct {
			Subject, Hash, ParticipantID string
			Seq                          int64
			ID                           string `json:"consent_id"`
		}
		must(t, json.Unmarshal(entries[1].Event.Data, &anchor))
		if anchor.Hash != first.Hash || anchor.Seq != 1 || anchor.ID != first.ID || anchor.Subject != first.Alias {
			t.Errorf("the audit log says %s", entries[1].Event.Data)
		}
		if types := eventTypes(t, s, c.ID); types[1] != "consent.granted" || types[len(types)-1] != "consent.withdrawn" {
			t.Errorf("events %v", types)
		}
		must(t, s.VerifyAudit(t.Context(), sc))
	})
}

func TestConsentsThatNobodyMayWrite(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := addConsultation(t, s, sc, "doc", "pat")
		for field, change := range map[string]func(*consult.Consent){
			"decision":     func(n *consult.Consent) { n.Decision = "maybe" },
			"role":         func(n *consult.Consent) { n.Role = consult.Device },
			"subject":      func(n *consult.Consent) { n.Subject = "" },
			"wording_id":   func(n *consult.Consent) { n.WordingID = "" },
			"wording_hash": func(n *consult.Consent) { n.WordingHash = strings.Repeat("Z", 64) },
			"text":         func(n *consult.Consent) { n.Text += " " },
			"language":     func(n *consult.Consent) { n.Language = strings.Repeat("x", 36) },
			"at":           func(n *consult.Consent) { n.At = time.Time{} },
		} {
			n := newConsent(c, consult.Guest, consult.ConsentGranted)
			change(n)
			err := s.AppendConsent(t.Context(), n, nil)
			wantCode(t, err, consult.ValidationError)
			same(t, consult.AsError(err).Fields[0].Field, field)
		}
		wrong := newConsent(c, consult.Patient, consult.ConsentGranted)
		wrong.Subject = "another"
		wantCode(t, s.AppendConsent(t.Context(), wrong, nil), consult.ValidationError)
		two := []consult.Event{event(sc, consult.EventConsentGranted, c.ID), event(sc, consult.EventConsentGranted, c.ID)}
		if s.AppendConsent(t.Context(), newConsent(c, consult.Guest, consult.ConsentGranted), two) == nil {
			t.Error("two events of one consent")
		}
		same(t, verified(t, s, sc), int64(0))
	})
}

// Fifty people decide at once, on two nodes: each gets a place of its own.
func TestConsentsAtOnce(t *testing.T) {
	eachPair(t, func(t *testing.T, nodes [2]*store.Store, sc consult.Scope) {
		for _, s := range nodes {
			must(t, s.SignConsents(t.Context(), auditKey(7)))
		}
		sessions := []*consult.Consultation{addConsultation(t, nodes[0], sc, "doc", "pat"), addConsultation(t, nodes[0], sc, "doc", "pat2")}
		race(t, nodes, func(ctx context.Context, s *store.Store, i int) error {
			n := newConsent(sessions[i/2%2], consult.Guest, consult.ConsentGranted)
			n.Subject = fmt.Sprint("usr_", i)
			return s.AppendConsent(ctx, n, nil)
		})
		same(t, verified(t, nodes[1], sc), int64(racers))
		for _, c := range sessions {
			all, err := nodes[0].Consents(t.Context(), sc, c.ID)
			must(t, err)
			if n := int64(len(all)); n < racers/2-1 || all[n-1].Seq != n {
				t.Errorf("%d records, the last numbered %d", n, all[n-1].Seq)
			}
		}
	})
}

// unguardConsents lets a test do what an attacker with the database's password can.
func unguardConsents(t *testing.T, db database) func(statements ...string) {
	t.Helper()
	raw := db.raw(t)
	guard := map[string][]string{
		"sqlite":   {`DROP TRIGGER consents_no_update`, `DROP TRIGGER consents_no_replace`},
		"postgres": {`ALTER TABLE consents DISABLE TRIGGER USER`},
	}
	run(t, raw, guard[db.name]...)
	return func(statements ...string) {
		t.Helper()
		run(t, raw, statements...)
	}
}

func TestVerifyConsentsFindsTampering(t *testing.T) {
	const keep, restore = `CREATE TABLE kept AS SELECT * FROM consents`, `DELETE FROM consents`
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		must(t, s.SignConsents(t.Context(), auditKey(7)))
		sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
		addKey(t, s, sc, "one")
		c := addConsultation(t, s, sc, "doc", "pat")
		for _, d := range []consult.ConsentDecision{consult.ConsentGranted, consult.ConsentWithdrawn, consult.ConsentGranted} {
			addConsent(t, s, c, consult.Patient, d)
		}
		same(t, verified(t, s, sc), int64(3))
		tamper := unguardConsents(t, db)
		tamper(keep)
		for _, test := range []struct {
			statement string
			seq       int64
			why       string
		}{
			{`UPDATE consents SET decision = 'granted' WHERE seq = 2`, 2, "altered"},
			{`UPDATE consents SET language = 'fr' WHERE seq = 3`, 3, "altered"},
			{`UPDATE consents SET at = at + 1 WHERE seq = 1`, 1, "altered"},
			{`UPDATE consents SET signature = 'x' WHERE seq = 2`, 2, "signature"},
			{`DELETE FROM consents WHERE seq = 1`, 1, "missing"},
			{`DELETE FROM consents WHERE seq = 2`, 2, "missing"},
			{`DELETE FROM consents WHERE seq = 3`, 3, "the audit log knows a record"},
			{`DELETE FROM consents`, 1, "the audit log knows a record"},
			{`UPDATE consents SET seq = 9 - seq`, 1, "missing"},
		} {
			tamper(test.statement)
			consentBroken(t, s, c, test.seq, test.why)
			tamper(restore, `INSERT INTO consents SELECT * FROM kept`)
			same(t, verified(t, s, sc), int64(3))
		}
	})
}

// Whoever knows the program but not the secret, or not the audit log's, cannot
// make a chain that passes.
func TestAForgedConsentIsFoundOut(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		s, forger := db.open(t), db.open(t)
		must(t, s.SignConsents(t.Context(), auditKey(7)))
		must(t, s.SignAudit(t.Context(), auditKey(1)))
		sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
		addKey(t, s, sc, "one")
		c := addConsultation(t, s, sc, "doc", "pat")
		addConsent(t, s, c, consult.Patient, consult.ConsentDeclined)
		addConsent(t, forger, c, consult.Patient, consult.ConsentGranted)
		consentBroken(t, s, c, 2, "signature")
	})
}

func TestConsentsAreNeverChanged(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
		addKey(t, s, sc, "one")
		c := addConsultation(t, s, sc, "doc", "pat")
		addConsent(t, s, c, consult.Patient, consult.ConsentDeclined)
		raw := db.raw(t)
		for _, statement := range []string{
			`UPDATE consents SET decision = 'granted'`, `UPDATE consents SET at = 0`, `UPDATE consents SET hash = ''`,
			`UPDATE consent_wordings SET text = 'x'`,
		} {
			if _, err := raw.ExecContext(t.Context(), statement); err == nil || !strings.Contains(err.Error(), "not changed") {
				t.Errorf("%s: %v", statement, err)
			}
		}
	})
}

func TestConsentsOutliveRotationsOfTheSecret(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
		addKey(t, s, sc, "one")
		c, bad := addConsultation(t, s, sc, "doc", "pat"), addConsultation(t, s, sc, "doc", "pat2")
		must(t, s.SignConsents(t.Context(), auditKey(1)))
		for range 3 {
			addConsent(t, s, c, consult.Patient, consult.ConsentGranted)
		}
		addConsent(t, s, bad, consult.Patient, consult.ConsentDeclined)
		unguardConsents(t, db)(`UPDATE consents SET decision = 'granted' WHERE session_id = '` + bad.ID + `'`)
		for n := byte(2); n < 4; n++ {
			must(t, s.SignConsents(t.Context(), append(auditKey(n), auditKey(n-1)...)))
			addConsent(t, s, c, consult.Patient, consult.ConsentGranted)
		}
		must(t, s.SignConsents(t.Context(), auditKey(3)))
		consentBroken(t, s, bad, 1, "altered") // and the other chain holds
		if s.SignConsents(t.Context(), nil) == nil {
			t.Error("signs without a key")
		}
	})
}

// More consultations and records than one page of each.
func TestManyChains(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		sc := consult.Scope{AccountID: "acc_one", Mode: consult.Live}
		addKey(t, s, sc, "one")
		must(t, s.SignConsents(t.Context(), auditKey(1)))
		for range 520 {
			c := addConsultation(t, s, sc, "doc", "pat")
			addConsent(t, s, c, consult.Doctor, consult.ConsentGranted)
		}
		same(t, verified(t, s, sc), int64(520))
		must(t, s.SignConsents(t.Context(), append(auditKey(2), auditKey(1)...)))
		must(t, s.SignConsents(t.Context(), auditKey(2)))
		same(t, verified(t, s, sc), int64(520))
	})
}
