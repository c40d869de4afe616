package signaling

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
)

// With the tokens of internal/auth: what is revoked, and what the holder hears.
func TestRealTokens(t *testing.T) {
	w := newWorld(t)
	w.stop()
	secrets, err := auth.NewSecrets(bytes.Repeat([]byte("s"), auth.MinSecret), nil)
	must(t, err)
	keys, err := auth.NewKeys(w.store, secrets, w.clock.Now, slog.New(slog.DiscardHandler))
	must(t, err)
	tokens, err := auth.NewTokens(secrets, w.store, keys, w.clock.Now)
	must(t, err)
	w.verifier = tokens
	w.start()

	c := w.create("pat_1", nil)
	issue := func(role consult.Role, subject string) string {
		raw, err := tokens.Issue(auth.Claims{
			Kind: auth.KindRoom, Scope: w.scope, KeyID: "key_one", SessionID: c.ID, DoctorID: c.DoctorID, Role: role,
			Subject: subject, Grants: consult.DefaultGrants(role), ExpiresAt: w.clock.Now().Add(time.Hour),
		})
		must(t, err)
		return raw
	}
	doctor := w.dial()
	doctorToken := issue(consult.Doctor, "doc_1")
	doctor.request(joinMessage(c, doctorToken, "d1"), "joined")

	guest := issue(consult.Guest, "gst_1")
	claims, err := tokens.Verify(t.Context(), guest)
	must(t, err)
	must(t, tokens.Revoke(t.Context(), claims, consult.System))
	w.dial().refused(joinMessage(c, guest, "g1"), consult.Unauthorized, consult.ReasonTokenRevoked)
	forged := []byte(guest)
	i := bytes.LastIndexByte(forged, '.') + 1
	if forged[i] == 'A' { // another letter of base64
		forged[i] = 'B'
	} else {
		forged[i] = 'A'
	}
	w.dial().refused(joinMessage(c, string(forged), "g1"), consult.Unauthorized, consult.ReasonTokenSignature)
	w.dial().refused(joinMessage(c, "", "g1"), consult.Unauthorized, consult.ReasonTokenMissing)

	board, err := tokens.Issue(auth.Claims{
		Kind: auth.KindDashboard, Scope: w.scope, KeyID: "key_one", DoctorID: "doc_1", Subject: "doc_1",
		Role: consult.Doctor, ExpiresAt: w.clock.Now().Add(time.Hour),
	})
	must(t, err)
	patient := w.dial()
	m := patient.request(joinMessage(c, issue(consult.Patient, "pat_1"), "p1"), "waiting")
	dashboard := w.dial()
	dashboard.request(obj{"type": "watch", "protocol": 1, "token": board}, "watching")
	ack := dashboard.request(obj{"type": "admit", "ticket_id": m["waiting"].(obj)["ticket_id"]}, "ack")
	if ack["doctor_join_url"] == nil {
		t.Fatalf("ack: %v", ack)
	}
	patient.await("admitted")

	_, err = w.svc.Cancel(t.Context(), w.scope, c.ID, consult.System, consult.CancelledByCaller)
	must(t, err)
	doctor.await("ended")
	patient.await("ended")
	w.dial().refused(joinMessage(c, doctorToken, "d1"), consult.Conflict, consult.ReasonCancelled)
}
