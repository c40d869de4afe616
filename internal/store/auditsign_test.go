package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

func init() {
	moreNotScoped = append(moreNotScoped, "SignAudit", "SignChain", "LastEvent", "Retain", "RunRetention")
	moreWrites["VerifiedHead"] = func(t *testing.T, s *store.Store, sc consult.Scope, w world) {
		mine, err := s.VerifiedHead(t.Context(), sc)
		must(t, err)
		theirs, err := s.VerifiedHead(t.Context(), w.sc)
		must(t, err)
		if mine.Hash == theirs.Hash || mine.Scope != sc {
			t.Error("one head for two scopes")
		}
		must(t, s.AuditHolds(t.Context(), mine))
		mine.Scope = w.sc
		if err := s.AuditHolds(t.Context(), mine); err == nil {
			t.Error("another scope's head holds")
		}
	}
	moreNotScoped = append(moreNotScoped, "AuditHolds") // with VerifiedHead
}

func auditKey(b byte) [][]byte { return [][]byte{bytes.Repeat([]byte{b}, 32)} }

// unguarded lets a test do what an attacker with the database's password can.
func unguarded(t *testing.T, db database) func(statements ...string) {
	t.Helper()
	raw := db.raw(t)
	guard := map[string][]string{
		"sqlite": {
			`DROP TRIGGER audit_log_no_update`, `DROP TRIGGER audit_log_no_delete`, `DROP TRIGGER audit_log_no_replace`,
		},
		"postgres": {`ALTER TABLE audit_log DISABLE TRIGGER USER`},
	}
	run(t, raw, guard[db.name]...)
	return func(statements ...string) {
		t.Helper()
		run(t, raw, statements...)
	}
}

func broken(t *testing.T, s *store.Store, sc consult.Scope, seq int64) {
	t.Helper()
	var b *store.AuditBreak
	if err := s.VerifyAudit(t.Context(), sc); !errors.As(err, &b) || b.Seq != seq {
		t.Errorf("error is %v, want a break at %d", err, seq)
	}
}

func TestAShortenedChainIsFoundOutByItsSignature(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		must(t, s.SignAudit(t.Context(), auditKey(1)))
		sc, session := auditWorld(t, s)
		must(t, s.VerifyAudit(t.Context(), sc))
		noted, err := s.VerifiedHead(t.Context(), sc)
		must(t, err)
		tamper := unguarded(t, db)
		tamper(`CREATE TABLE scopes_copy AS SELECT * FROM scopes`)

		// The tail goes, and the head is set back with all the care there is.
		tamper(`DELETE FROM audit_log WHERE seq = 4`,
			`UPDATE scopes SET audit_seq = 3, audit_hash = (SELECT hash FROM audit_log WHERE seq = 3)`)
		broken(t, s, sc, 3)
		// Writing on does not launder it, nor does a restart.
		must(t, s.RevokeToken(t.Context(), sc, "tok_1", base, []consult.Event{event(sc, consult.EventTokensRevoked, session)}))
		broken(t, s, sc, 4)
		again := db.open(t)
		must(t, again.SignAudit(t.Context(), auditKey(1)))
		must(t, again.RevokeToken(t.Context(), sc, "tok_2", base, []consult.Event{event(sc, consult.EventTokensRevoked, session)}))
		broken(t, again, sc, 5)
		if err := s.AuditHolds(t.Context(), noted); err == nil {
			t.Error("the head noted before still holds")
		}

		// To nothing at all.
		tamper(`DELETE FROM audit_log`, `UPDATE scopes SET audit_seq = 0, audit_hash = '', audit_mac = ''`)
		broken(t, s, sc, 0)

		// An operator who has looked into it may sign the chain as it is.
		e := event(sc, consult.EventAuditSigned, "")
		must(t, s.SignChain(t.Context(), sc, e))
		must(t, s.VerifyAudit(t.Context(), sc))
		entries, err := s.Audit(t.Context(), sc, "")
		must(t, err)
		if len(entries) != 1 || entries[0].Event.Type != consult.EventAuditSigned {
			t.Errorf("entries %+v", entries)
		}
		must(t, s.SignChain(t.Context(), sc, e)) // signed already: nothing
		must(t, s.VerifyAudit(t.Context(), sc))
	})
}

func TestARewrittenChainIsFoundOutByItsSignature(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		forger := db.open(t) // knows the program, not the secret
		s := db.open(t)
		must(t, s.SignAudit(t.Context(), auditKey(1)))
		sc, session := auditWorld(t, s)
		noted, err := s.VerifiedHead(t.Context(), sc)
		must(t, err)
		unguarded(t, db)(`DELETE FROM audit_log WHERE seq > 2`,
			`UPDATE scopes SET audit_seq = 2, audit_hash = (SELECT hash FROM audit_log WHERE seq = 2)`)
		for i := range 2 {
			must(t, forger.RevokeToken(t.Context(), sc, fmt.Sprint("tok_", i), base, []consult.Event{event(sc, consult.EventTokensRevoked, session)}))
		}
		must(t, forger.VerifyAudit(t.Context(), sc)) // a whole chain again
		broken(t, s, sc, 4)                          // but not ours
		var b *store.AuditBreak
		if err := s.AuditHolds(t.Context(), noted); !errors.As(err, &b) || b.Seq != 4 {
			t.Errorf("the head noted before: %v", err)
		}
	})
}

func TestSignaturesOutliveARotationOfTheSecret(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db database) {
		s := db.open(t)
		must(t, s.SignAudit(t.Context(), auditKey(1)))
		sc, _ := auditWorld(t, s)
		must(t, s.SignAudit(t.Context(), append(auditKey(2), auditKey(1)...)))
		must(t, s.SignAudit(t.Context(), auditKey(2))) // idle chains were signed anew
		must(t, s.VerifyAudit(t.Context(), sc))
		must(t, s.SignAudit(t.Context(), auditKey(3)))
		broken(t, s, sc, 4)
		if err := s.SignAudit(context.Background(), nil); err == nil {
			t.Error("signs without a key")
		}
	})
}

func TestTheAuditLogNeverLearnsWhoAPatientIs(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := addConsultation(t, s, sc, "doc", "pat_secret")
		e := event(sc, consult.EventParticipantJoined, c.ID)
		e.Actor = consult.Actor{Kind: consult.ActorParticipant, ID: "pat_secret", Role: consult.Patient}
		e.Data = []byte(`{"role":"patient","subject":"pat_secret","patient_id":"pat_secret","n":12345678901234567890}`)
		other := event(sc, consult.EventParticipantJoined, c.ID)
		other.Data = []byte(`{"role":"guest","subject":"prt_1","patient_id":"pat_unknown"}`)
		p := newParticipation(c, consult.Patient)
		must(t, s.JoinParticipation(t.Context(), p, []consult.Event{e, other}))
		entries, err := s.Audit(t.Context(), sc, c.ID)
		must(t, err)
		got := entries[1].Event
		name := got.Actor.ID
		if len(name) < 20 || string(got.Data) != fmt.Sprintf(`{"n":12345678901234567890,"patient_id":%q,"role":"patient","subject":%q}`, name, name) {
			t.Errorf("entry %s by %s", got.Data, name)
		}
		if bytes.Contains(entries[2].Event.Data, []byte("pat_unknown")) || !bytes.Contains(entries[2].Event.Data, []byte(`"subject":"prt_1"`)) {
			t.Errorf("entry %s", entries[2].Event.Data)
		}
		// The outbox keeps the id: the integrator's webhook needs it.
		pending, err := s.PendingEvents(t.Context(), 100)
		must(t, err)
		same(t, pending[len(pending)-2].Event.Actor.ID, "pat_secret")
		must(t, s.VerifyAudit(t.Context(), sc))
	})
}
