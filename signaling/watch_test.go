package signaling

import (
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
)

func (w *world) dashboard(doctor string) string {
	return w.tokens.put("board-"+doctor, auth.Claims{
		Kind: auth.KindDashboard, Scope: w.scope, KeyID: "key_one", DoctorID: doctor, Role: consult.Doctor,
		Name: "Dr. Ada", ExpiresAt: w.clock.Now().Add(12 * time.Hour),
	})
}

func tickets(n int) func(obj) bool {
	return func(m obj) bool { return len(m["tickets"].([]any)) == n }
}

// A doctor's dashboard sees the whole queue, and admits from it.
func TestDashboard(t *testing.T) {
	w := newWorld(t)
	first, second := w.create("pat_1", nil), w.create("pat_2", nil)
	patient, _ := w.wait(first, consult.Patient, "pat_1")

	board, stranger := w.dial(), w.dial()
	m := board.request(obj{"type": "watch", "protocol": 1, "token": w.dashboard("doc_1")}, "watching")
	if m["doctor_id"] != "doc_1" || m["doctor_name"] != "Dr. Ada" || !tickets(1)(m) {
		t.Fatalf("watching: %v", m)
	}
	stranger.request(obj{"type": "watch", "protocol": 1, "token": w.dashboard("doc_2")}, "watching")
	_, _ = w.wait(second, consult.Patient, "pat_2")
	m = board.await("queue", func(m obj) bool {
		return tickets(2)(m) && m["tickets"].([]any)[1].(obj)["status"] == "ready"
	})
	one, two := m["tickets"].([]any)[0].(obj), m["tickets"].([]any)[1].(obj)
	if one["position"] != 1.0 || two["position"] != 2.0 || two["patient_id"] != "pat_2" {
		t.Fatalf("queue: %v", m)
	}
	w.eventually("the second ticket known as shown", func() bool {
		q, err := w.queue.Get(t.Context(), w.scope, two["ticket_id"].(string))
		return err == nil && q.DoctorNotified
	})
	stranger.refused(obj{"type": "admit", "ticket_id": one["ticket_id"]}, consult.NotFound, "")
	stranger.quiet()

	var ack obj
	board.send(obj{"type": "admit", "ticket_id": one["ticket_id"]})
	board.awaitAll(map[string]func(obj) bool{
		"ack":   func(m obj) bool { ack = m; return true },
		"queue": tickets(1),
	})
	patient.await("admitted")
	patient.send(obj{"type": "ready"})
	url, _ := ack["doctor_join_url"].(string)
	token, ok := strings.CutPrefix(url, "http://rooms.test/room/"+first.ID+"?role=doctor#token=")
	if !ok {
		t.Fatalf("ack: %v", ack)
	}
	doctor := w.dial()
	doctor.request(joinMessage(first, token, "d1"), "joined")
	doctor.send(obj{"type": "ready"})
	patient.await("session", func(m obj) bool { return m["session"].(obj)["status"] == "active" })
	board.refused(obj{"type": "admit", "ticket_id": one["ticket_id"]}, consult.NotFound, "")
	board.refused(obj{"type": "chat", "text": "x"}, consult.Conflict, consult.ReasonNotJoined)
	board.refused(obj{"type": "watch", "protocol": 1, "token": "x"}, consult.BadRequest, consult.ReasonBadMessage)

	// A revoked token admits nobody, though its page is open.
	w.tokens.refuse("board-doc_1", consult.Errorf(consult.Unauthorized, consult.ReasonTokenRevoked, "revoked"))
	board.refused(obj{"type": "admit", "ticket_id": two["ticket_id"]}, consult.Unauthorized, consult.ReasonTokenRevoked)
	board.closed(1008)
	if w.ticket(second).Status != consult.TicketReady {
		t.Fatalf("ticket is %s", w.ticket(second).Status)
	}
}

func TestDashboardRefusals(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	for _, tt := range []struct {
		message obj
		code    consult.Code
		reason  string
	}{
		{obj{"token": "nonsense"}, consult.Unauthorized, consult.ReasonTokenMalformed},
		{obj{"token": w.token(c, consult.Doctor, "doc_1")}, consult.Forbidden, consult.ReasonTokenWrongRole},
		{obj{"protocol": 3}, consult.BadRequest, consult.ReasonProtocol},
	} {
		cl := w.dial()
		cl.refused(with(obj{"type": "watch", "protocol": 1, "token": w.dashboard("doc_1")}, tt.message), tt.code, tt.reason)
		cl.closed(1008)
	}
}

// A dashboard is open no longer than its token is valid.
func TestDashboardExpires(t *testing.T) {
	w := newWorld(t)
	board := w.dial()
	board.request(obj{"type": "watch", "protocol": 1, "token": w.dashboard("doc_1")}, "watching")
	w.clock.armed(t, 12*time.Hour, 1)
	w.clock.advance(12 * time.Hour)
	if e := board.await("error"); e["reason"] != consult.ReasonTokenExpired || e["fatal"] != true {
		t.Fatalf("error: %v", e)
	}
	board.closed(1008)
}
