package signaling

import (
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/waitingroom"
)

// waitingOf is the waiting part of a message, or the part itself.
func waitingOf(m obj) obj {
	if v, ok := m["waiting"].(obj); ok {
		return v
	}
	return m
}

// watch opens a dashboard.
func (w *world) watch(doctor string) *client {
	w.t.Helper()
	board := w.dial()
	board.request(obj{"type": "watch", "protocol": 1, "token": w.dashboard(doctor)}, "watching")
	return board
}

func texts(m obj) []string {
	out := []string{}
	list, _ := waitingOf(m)["messages"].([]any)
	for _, v := range list {
		out = append(out, v.(obj)["text"].(string))
	}
	return out
}

// The doctor writes to one, to all; the patient has it all again after a resume.
func TestMessagesToWhoWaits(t *testing.T) {
	w := newWorld(t)
	const secret = "streng geheim"
	first, second := w.create("pat_1", nil), w.create("pat_2", nil)
	one, m := w.wait(first, consult.Patient, "pat_1")
	two, _ := w.wait(second, consult.Patient, "pat_2")
	ticket := waitingOf(m)["ticket_id"]
	if _, there := waitingOf(m)["messages"]; there {
		t.Fatalf("waiting: %v", m)
	}
	board := w.watch("doc_1")
	board.request(obj{"type": "message", "ticket_id": ticket, "text": secret}, "ack")
	told := func(n int) func(obj) bool { return func(m obj) bool { return len(texts(m)) == n } }
	got := one.await("waiting", told(1))
	if texts(got)[0] != secret {
		t.Fatalf("waiting: %v", got)
	}
	w.clock.advance(time.Second)
	ack := board.request(obj{"type": "message_all", "text": "ten minutes late"}, "ack")
	if ack["count"] != 2.0 {
		t.Fatalf("ack: %v", ack)
	}
	one.await("waiting", told(2))
	two.await("waiting", told(1))

	one.drop()
	w.eventually("away", func() bool { return w.ticket(first).Status == consult.TicketAway })
	again := w.dial()
	back := again.request(obj{"type": "resume", "protocol": 1, "participant_id": one.id, "secret": one.secret}, "resumed")
	if got := texts(back); len(got) != 2 || got[1] != "ten minutes late" {
		t.Fatalf("resumed: %v", back)
	}
	// And in a page that begins anew.
	again.drop()
	w.eventually("away", func() bool { return w.ticket(first).Status == consult.TicketAway })
	_, m = w.wait(first, consult.Patient, "pat_1")
	if len(texts(m)) != 2 {
		t.Fatalf("waiting: %v", m)
	}
	if strings.Contains(w.logs.String(), secret) {
		t.Error("a log holds what the patient was told")
	}

	stranger := w.watch("doc_2")
	for _, m := range []obj{
		{"type": "message", "ticket_id": ticket, "text": "x"},
		{"type": "reorder", "ticket_id": ticket, "position": 1},
		{"type": "send_back", "ticket_id": ticket},
		{"type": "transfer", "ticket_id": ticket, "doctor_id": "doc_2"},
		{"type": "decline", "ticket_id": ticket},
		{"type": "message", "ticket_id": "wt_none", "text": "x"},
	} {
		stranger.refused(m, consult.NotFound, "")
		again := w.dial()
		again.refused(m, consult.Conflict, consult.ReasonNotJoined)
		two.refused(m, consult.Conflict, consult.ReasonNotJoined) // a patient, who waits
	}
	board.refused(obj{"type": "message", "ticket_id": ticket, "text": " \n"}, consult.ValidationError, "")
	board.refused(obj{"type": "eject", "participant_id": "prt_x"}, consult.Conflict, consult.ReasonNotJoined)
	// A revoked dashboard does nothing more.
	w.tokens.refuse("board-doc_1", consult.Errorf(consult.Unauthorized, consult.ReasonTokenRevoked, "revoked"))
	board.refused(obj{"type": "message_all", "text": "x"}, consult.Unauthorized, consult.ReasonTokenRevoked)
	board.closed(1008)
}

// In a room the doctor acts on its own patient alone.
func TestDeskInTheRoom(t *testing.T) {
	w := newWorld(t)
	c, other := w.create("pat_1", nil), w.create("pat_2", nil)
	doctor := w.enter(c, consult.Doctor, "doc_1")
	patient, m := w.wait(c, consult.Patient, "pat_1")
	_, o := w.wait(other, consult.Patient, "pat_2")
	doctor.refused(obj{"type": "message", "ticket_id": waitingOf(o)["ticket_id"], "text": "x"}, consult.NotFound, "")
	doctor.request(obj{"type": "message", "ticket_id": waitingOf(m)["ticket_id"], "text": "hello"}, "ack")
	patient.await("waiting", func(m obj) bool { return len(texts(m)) == 1 })
	doctor.request(obj{"type": "presence", "presence": "busy"}, "ack")
	patient.await("waiting", func(m obj) bool { return waitingOf(m)["doctor"].(obj)["presence"] == "busy" })
	guest := w.token(c, consult.Guest, "gst_1")
	g := w.dial()
	g.request(joinMessage(c, guest, "g1"), "waiting")
	doctor.request(obj{"type": "admit", "ticket_id": waitingOf(m)["ticket_id"]}, "ack")
	g.await("admitted")
	g.refused(obj{"type": "message_all", "text": "x"}, consult.Forbidden, consult.ReasonNoGrant)
	g.refused(obj{"type": "eject", "participant_id": patient.id}, consult.Forbidden, consult.ReasonNoGrant)
}

func TestReorderFromTheDesk(t *testing.T) {
	w := newWorld(t)
	one, _ := w.wait(w.create("pat_1", nil), consult.Patient, "pat_1")
	w.clock.advance(time.Second)
	two, m := w.wait(w.create("pat_2", nil), consult.Patient, "pat_2")
	board := w.watch("doc_1")
	board.request(obj{"type": "reorder", "ticket_id": waitingOf(m)["ticket_id"], "position": 1}, "ack")
	two.await("waiting", func(m obj) bool { return waitingOf(m)["position"] == 1.0 })
	one.await("waiting", func(m obj) bool { return waitingOf(m)["position"] == 2.0 })
}

// The patient keeps link, session and connection; the first doctor is out.
func TestTransferFromTheRoom(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	doctor := w.enter(c, consult.Doctor, "doc_1")
	patient, m := w.wait(c, consult.Patient, "pat_1")
	old, second := w.watch("doc_1"), w.watch("doc_2")
	w.clock.advance(time.Second)
	doctor.request(obj{"type": "transfer", "ticket_id": waitingOf(m)["ticket_id"], "doctor_id": "doc_2", "doctor_name": "Dr. Bo"}, "ack")
	if e := doctor.await("error"); e["reason"] != consult.ReasonTokenRevoked || e["fatal"] != true {
		t.Fatalf("the first doctor: %v", e)
	}
	doctor.closed(1008)
	w.dial().refused(joinMessage(c, w.token(c, consult.Doctor, "doc_1"), "d1"), consult.Unauthorized, consult.ReasonTokenRevoked)
	old.await("queue", tickets(0))
	q := second.await("queue", tickets(1))
	row := q["tickets"].([]any)[0].(obj)
	if row["session_id"] != c.ID || row["ticket_id"] == waitingOf(m)["ticket_id"] || row["status"] != "ready" {
		t.Fatalf("queue: %v", q)
	}
	patient.awaitAll(map[string]func(obj) bool{
		"session": func(m obj) bool { return m["session"].(obj)["doctor_name"] == "Dr. Bo" },
		"waiting": func(m obj) bool { return waitingOf(m)["ticket_id"] == row["ticket_id"] },
	})
	var link string
	second.send(obj{"type": "admit", "ticket_id": row["ticket_id"]})
	second.awaitAll(map[string]func(obj) bool{"ack": func(m obj) bool { link, _ = m["doctor_join_url"].(string); return true }})
	patient.await("admitted")
	patient.send(obj{"type": "ready"})
	_, token, _ := strings.Cut(link, "#token=")
	d2 := w.dial()
	d2.request(joinMessage(c, token, "d2"), "joined")
	d2.send(obj{"type": "ready"})
	patient.await("session", func(m obj) bool { return m["session"].(obj)["status"] == "active" })
}

// A doctor who gets the patient back needs a new link; the old one stays dead.
func TestTransferThereAndBack(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	_, m := w.wait(c, consult.Patient, "pat_1")
	token := w.token(c, consult.Doctor, "doc_1")
	w.clock.advance(time.Second)
	p, err := w.queue.Transfer(t.Context(), w.scope, consult.System, waitingOf(m)["ticket_id"].(string), "doc_2", "")
	must(t, err)
	w.clock.advance(time.Second)
	p, err = w.queue.Transfer(t.Context(), w.scope, consult.System, p.Ticket.ID, "doc_1", "")
	must(t, err)
	w.dial().refused(joinMessage(c, token, "d1"), consult.Unauthorized, consult.ReasonTokenRevoked)
	w.clock.advance(2 * time.Second)
	board := w.watch("doc_1")
	ack := board.request(obj{"type": "admit", "ticket_id": p.Ticket.ID}, "ack")
	_, fresh, _ := strings.Cut(ack["doctor_join_url"].(string), "#token=")
	w.dial().request(joinMessage(c, fresh, "d1"), "joined")
}

// Sent back before the call began: out of the call, first in the queue.
func TestSendBackFromTheDesk(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	patient, m := w.wait(c, consult.Patient, "pat_1")
	board := w.watch("doc_1")
	ticket := waitingOf(m)["ticket_id"]
	var q obj
	board.send(obj{"type": "admit", "ticket_id": ticket})
	board.awaitAll(map[string]func(obj) bool{
		"ack":   func(obj) bool { return true },
		"queue": func(m obj) bool { q = m; l, _ := m["admitted"].([]any); return len(l) == 1 },
	})
	patient.await("admitted")
	if a := q["admitted"].([]any)[0].(obj); a["ticket_id"] != ticket || a["session_id"] != c.ID {
		t.Fatalf("queue: %v", q)
	}
	// The doctor may come back to it before it begins.
	if ack := board.request(obj{"type": "admit", "ticket_id": ticket}, "ack"); ack["doctor_join_url"] == nil {
		t.Fatalf("ack: %v", ack)
	}
	board.send(obj{"type": "send_back", "ticket_id": ticket})
	board.awaitAll(map[string]func(obj) bool{
		"ack":   func(obj) bool { return true },
		"queue": func(m obj) bool { return tickets(1)(m) && len(m["admitted"].([]any)) == 0 },
	})
	patient.await("waiting", func(m obj) bool { return waitingOf(m)["position"] == 1.0 })
	w.media.until(t, "media closed", func() bool {
		leg := w.media.of(patient.id)
		return leg != nil && leg.closed
	})
	board.request(obj{"type": "admit", "ticket_id": ticket}, "ack")
	patient.await("admitted")
}

// The reason is the patient's alone, now and in a page opened later.
func TestDeclineTellsWhy(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	token := w.token(c, consult.Patient, "pat_1")
	patient, m := w.wait(c, consult.Patient, "pat_1")
	g := w.dial()
	g.request(joinMessage(c, w.token(c, consult.Guest, "gst_1"), "g1"), "waiting")
	board := w.watch("doc_1")
	const why = "Please go to the emergency department."
	board.request(obj{"type": "decline", "ticket_id": waitingOf(m)["ticket_id"], "reason": why}, "ack")
	if e := patient.await("ended"); e["reason"] != "declined" || e["note"] != why {
		t.Fatalf("ended: %v", e)
	}
	if e := g.await("ended"); e["note"] != nil {
		t.Fatalf("the guest is told: %v", e)
	}
	if e := w.dial().refused(joinMessage(c, token, "p2"), consult.Conflict, consult.ReasonCancelled); e["note"] != why {
		t.Fatalf("a later page: %v", e)
	}
	if e := w.dial().refused(joinMessage(c, w.token(c, consult.Guest, "gst_1"), "g2"), consult.Conflict, consult.ReasonCancelled); e["note"] != nil {
		t.Fatalf("the guest is told: %v", e)
	}
	if strings.Contains(w.logs.String(), why) {
		t.Error("a log holds the reason")
	}
	board.refused(obj{"type": "decline", "ticket_id": waitingOf(m)["ticket_id"], "reason": strings.Repeat("x", 501)}, consult.ValidationError, consult.ReasonBadMessage)
}

func TestPresenceForWhoWaits(t *testing.T) {
	w := newWorld(t)
	patient, m := w.wait(w.create("pat_1", nil), consult.Patient, "pat_1")
	if d := waitingOf(m)["doctor"].(obj); d["presence"] != "available" || d["online"] != false {
		t.Fatalf("waiting: %v", m)
	}
	is := func(presence string, online bool) func(obj) bool {
		return func(m obj) bool {
			d, _ := waitingOf(m)["doctor"].(obj)
			return d["presence"] == presence && d["online"] == online
		}
	}
	board, second := w.watch("doc_1"), w.watch("doc_1")
	patient.await("waiting", is("available", true))
	board.request(obj{"type": "presence", "presence": "away"}, "ack")
	patient.await("waiting", is("away", true))
	second.await("presence", func(m obj) bool { return m["presence"] == "away" })
	board.drop()
	second.drop()
	w.eventually("offline", func() bool {
		w.clock.advance(10 * time.Second)
		must(t, w.queue.Sweep(t.Context()))
		p, err := w.queue.Presence(t.Context(), w.scope, "doc_1")
		return err == nil && !p.Online
	})
	patient.await("waiting", is("away", false))
	// A doctor in the room is there too.
	c := w.create("pat_9", nil)
	w.enter(c, consult.Doctor, "doc_1")
	patient.await("waiting", is("away", true))
	board = w.dial()
	board.refused(obj{"type": "presence", "presence": "gone"}, consult.ValidationError, consult.ReasonBadMessage)
}

func TestBoundsOfTheDeskAgree(t *testing.T) {
	d := testDecoder(t)
	long := strings.Repeat("é", waitingroom.MaxMessage)
	for in, ok := range map[string]bool{
		`{"type":"message","ticket_id":"wt_1","text":"` + long + `"}`:                                             true,
		`{"type":"message","ticket_id":"wt_1","text":"` + long + `x"}`:                                            false,
		`{"type":"decline","ticket_id":"wt_1","reason":"` + strings.Repeat("x", waitingroom.MaxDecline) + `"}`:    true,
		`{"type":"decline","ticket_id":"wt_1","reason":"` + strings.Repeat("x", waitingroom.MaxDecline+1) + `"}`:  false,
		`{"type":"transfer","ticket_id":"wt_1","doctor_id":"d","doctor_name":"` + strings.Repeat("x", 121) + `"}`: false,
		`{"type":"reorder","ticket_id":"wt_1","position":0}`:                                                      false,
		`{"type":"reorder","ticket_id":"wt_1","position":1.5}`:                                                    false,
		`{"type":"reorder","ticket_id":"wt_1","position":1e99}`:                                                   false,
		`{"type":"reorder","ticket_id":"wt_1","position":2}`:                                                      true,
		`{"type":"transfer","ticket_id":"wt_1","doctor_id":"` + strings.Repeat("x", consult.MaxIDLength) + `"}`:   true,
		`{"type":"transfer","ticket_id":"wt_1","doctor_id":"` + strings.Repeat("x", consult.MaxIDLength+1) + `"}`: false,
		`{"type":"eject","participant_id":""}`:                                                                    false,
	} {
		if _, _, _, err := d.decode([]byte(in)); (err == nil) != ok {
			t.Errorf("%.70s: %v", in, err)
		}
	}
}
