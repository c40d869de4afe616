package main

import (
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/chatmed/chatmed/internal/cluster/redistest"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store/pgtest"
)

// onBoth runs a test on the embedded defaults, and on Redis and PostgreSQL.
func onBoth(t *testing.T, test func(*testing.T, *server)) {
	t.Run("embedded", func(t *testing.T) { test(t, newServer(t)) })
	t.Run("redis and postgres", func(t *testing.T) {
		test(t, newServer(t, "CHATMED_REDIS_URL="+redistest.Start(t).URL(), "CHATMED_DATABASE_URL="+pgtest.Start(t)))
	})
}

// TestConsultation is the whole way: create, waiting room, admitted, they see
// and hear each other, chat, a lost connection, a restart, the end.
func TestConsultation(t *testing.T) {
	onBoth(t, func(t *testing.T, srv *server) {
		v := srv.create("doc_1", "pat_1")
		if v.Status != consult.Waiting {
			t.Fatalf("created as %s", v.Status)
		}
		doctor, patient := srv.visitor(v.DoctorJoinURL).withMedia("doctor"), srv.visitor(v.PatientJoinURL).withMedia("patient")
		waitsTheirTurn(t, srv, patient)
		isAdmitted(t, doctor, patient)
		patient.call.awaitMore("doctor")
		doctor.call.awaitMore("patient")
		if now := srv.awaitStatus(v.SessionID, consult.Active); len(now.Participants) != 2 || now.StartedAt == "" {
			t.Errorf("active, but %+v", now)
		}
		chats(t, doctor, patient)
		losesConnection(t, doctor, patient)
		comesBackAfterRestart(t, srv, doctor, patient)
		ends(t, srv, doctor, patient)
	})
}

// waitsTheirTurn lets the patient wait behind someone who gives up.
func waitsTheirTurn(t *testing.T, srv *server, patient *person) {
	t.Helper()
	var first ticket
	srv.want(http.MethodPost, "/api/v1/consultations/waiting-room/join",
		map[string]any{"doctor_id": "doc_1", "patient_id": "pat_before"}, &first)
	w := patient.mustWait().Waiting
	if w.Why != "queue" || w.Position != 2 {
		t.Fatalf("second to come, but waits for %+v", w)
	}
	srv.want(http.MethodDelete, "/api/v1/consultations/waiting-room/"+first.TicketID, nil, nil)
	patient.await("the first place", func(m message) bool { return m.Type == "waiting" && m.Waiting.Position == 1 })
	if q := srv.queue("doc_1"); len(q) != 1 || q[0].TicketID != w.TicketID || q[0].Status != consult.TicketReady {
		t.Errorf("queue %+v", q)
	}
}

// isAdmitted lets the doctor see who waits, and admit.
func isAdmitted(t *testing.T, doctor, patient *person) {
	t.Helper()
	in := doctor.mustJoin()
	if len(in.Queue) != 1 || in.Queue[0].PatientID != "pat_1" || in.Queue[0].PatientName != "Name of pat_1" {
		t.Fatalf("the doctor sees %+v", in.Queue)
	}
	if ack := doctor.ask(map[string]any{"type": "admit", "ticket_id": in.Queue[0].TicketID}); ack.Type != "ack" {
		t.Fatalf("admit: %+v", ack)
	}
	if m := patient.awaitAdmitted(); len(m.Participants) != 2 {
		t.Errorf("admitted into %+v", m.Participants)
	}
}

func chats(t *testing.T, doctor, patient *person) {
	t.Helper()
	for _, from := range []*person{doctor, patient} {
		text := "from the " + from.role
		if ack := from.ask(map[string]any{"type": "chat", "text": text}); ack.Type != "ack" {
			t.Fatalf("chat: %+v", ack)
		}
		for _, to := range []*person{doctor, patient} {
			to.await(text, func(m message) bool { return m.Type == "chat" && m.said(t).Text == text })
		}
	}
}

// losesConnection cuts the patient's WebSocket: media goes on, and so does the
// rest after resume.
func losesConnection(t *testing.T, doctor, patient *person) {
	t.Helper()
	patient.cut()
	doctor.await("the patient away", func(m message) bool { return m.Type == "participants" && m.has(consult.Patient, "away") })
	doctor.call.awaitMore("patient")
	patient.call.awaitMore("doctor")
	back := patient.resume()
	if back.Type != "resumed" || back.State != "in_call" || back.Answer != "" || len(back.Chat) != 2 {
		t.Fatalf("resume: %+v", back)
	}
	doctor.await("the patient back", func(m message) bool { return m.Type == "participants" && m.has(consult.Patient, "connected") })
	doctor.call.awaitMore("patient")
	patient.call.awaitMore("doctor")
}

// comesBackAfterRestart stops the server under the call and starts it again:
// the same tokens lead back into it, as the same participants.
func comesBackAfterRestart(t *testing.T, srv *server, doctor, patient *person) {
	t.Helper()
	before := srv.status(doctor.session)
	srv.restart()
	for _, p := range []*person{patient, doctor} {
		if code := p.awaitClose(); code != websocket.CloseGoingAway {
			t.Errorf("%s was closed with %d", p.role, code)
		}
		id := p.participantID
		p.withoutMedia().withMedia(p.role + " again")
		if in := p.mustJoin(); in.Session.Status != consult.Active || in.ParticipantID != id || len(in.Chat) != 2 {
			t.Errorf("%s was %s and is back as %+v", p.role, id, in)
		}
	}
	patient.call.awaitMore("doctor again")
	doctor.call.awaitMore("patient again")
	now := srv.status(doctor.session)
	if now.Status != consult.Active || now.StartedAt != before.StartedAt || len(now.Participants) != 2 {
		t.Errorf("before the restart %+v, after it %+v", before, now)
	}
}

func ends(t *testing.T, srv *server, doctor, patient *person) {
	t.Helper()
	if ack := doctor.ask(map[string]any{"type": "end"}); ack.Type != "ack" {
		t.Fatalf("end: %+v", ack)
	}
	for _, p := range []*person{doctor, patient} {
		if m := p.awaitType("ended"); m.Reason != consult.EndedByDoctor {
			t.Errorf("%s: ended by %s", p.role, m.Reason)
		}
		if code := p.awaitClose(); code != websocket.CloseNormalClosure {
			t.Errorf("%s was closed with %d", p.role, code)
		}
	}
	if now := srv.status(doctor.session); now.Status != consult.Ended || now.Reason != consult.EndedByDoctor || len(now.Participants) != 0 {
		t.Errorf("ended, but %+v", now)
	}
	patient.withoutMedia()
	if m := patient.join(); m.Type != "error" || m.Reason != consult.ReasonEnded {
		t.Errorf("back into an ended consultation: %+v", m)
	}
}
