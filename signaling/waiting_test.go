package signaling

import (
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

func TestWaitReason(t *testing.T) {
	now := time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)
	soon, later := now.Add(consult.OpensBefore), now.Add(consult.OpensBefore+time.Second)
	plain := consult.Consultation{CreatedAt: now}
	scheduled := consult.Consultation{CreatedAt: now, ScheduledAt: &later}
	opened := consult.Consultation{CreatedAt: now, ScheduledAt: &soon}
	admitted := consult.Consultation{CreatedAt: now, ScheduledAt: &later, AdmittedAt: &now}
	for _, tt := range []struct {
		name string
		c    consult.Consultation
		role consult.Role
		want string
	}{
		{"doctor", plain, consult.Doctor, ""},
		{"doctor early", scheduled, consult.Doctor, ""},
		{"patient", plain, consult.Patient, whyQueue},
		{"patient early", scheduled, consult.Patient, whyScheduled},
		{"patient when it opens", opened, consult.Patient, whyQueue},
		{"patient admitted", admitted, consult.Patient, ""},
		{"guest", plain, consult.Guest, whyNotStarted},
		{"interpreter early", scheduled, consult.Interpreter, whyScheduled},
		{"observer admitted", admitted, consult.Observer, ""},
		{"device", plain, consult.Device, whyNotStarted},
	} {
		if got := waitReason(&tt.c, tt.role, now); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func (w *world) wait(c *consult.Consultation, role consult.Role, subject string) (*client, obj) {
	w.t.Helper()
	cl := w.dial()
	m := cl.request(joinMessage(c, w.token(c, role, subject), "page-"+subject), "waiting")
	return cl, m["waiting"].(obj)
}

func why(want string) func(obj) bool {
	return func(m obj) bool { return m["waiting"].(obj)["why"] == want }
}

func TestPositionsArePushed(t *testing.T) {
	w := newWorld(t)
	first, second := w.create("pat_1", nil), w.create("pat_2", nil)
	one, _ := w.wait(first, consult.Patient, "pat_1")
	two, place := w.wait(second, consult.Patient, "pat_2")
	if place["position"] != 2.0 {
		t.Fatalf("waiting: %v", place)
	}
	_, err := w.queue.Admit(t.Context(), w.scope, consult.System, w.ticket(first).ID)
	must(t, err)
	one.await("admitted")
	two.await("waiting", func(m obj) bool { return m["waiting"].(obj)["position"] == 1.0 })
	if all, _ := w.media.count(); all != 1 {
		t.Fatalf("%d media legs, want the admitted patient's alone", all)
	}
}

// An early visitor gets a countdown that goes on by itself.
func TestScheduled(t *testing.T) {
	w := newWorld(t)
	start := w.clock.Now().Add(time.Hour)
	c := w.create("pat_1", &start)
	patient, place := w.wait(c, consult.Patient, "pat_1")
	if place["why"] != "scheduled" || place["opens_at"] != start.Add(-consult.OpensBefore).Format(time.RFC3339Nano) {
		t.Fatalf("waiting: %v", place)
	}
	guest, place := w.wait(c, consult.Guest, "gst_1")
	if place["why"] != "scheduled" {
		t.Fatalf("waiting: %v", place)
	}
	if _, err := w.store.TicketBySession(t.Context(), w.scope, c.ID); !consult.HasCode(err, consult.NotFound) {
		t.Fatalf("a ticket before the room opens: %v", err)
	}
	w.clock.armed(t, 45*time.Minute, 1)
	w.clock.advance(45 * time.Minute)
	m := patient.await("waiting", why("queue"))
	if m["waiting"].(obj)["position"] != 1.0 {
		t.Fatalf("waiting: %v", m)
	}
	guest.await("waiting", why("not_started"))
	doctor := w.enter(c, consult.Doctor, "doc_1")
	doctor.request(obj{"type": "admit", "ticket_id": w.ticket(c).ID}, "ack")
	patient.await("admitted")
	guest.await("admitted")
	patient.send(obj{"type": "ready"})
	doctor.await("session", func(m obj) bool { return m["session"].(obj)["status"] == "active" })
}

func TestNotStarted(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	for _, role := range []consult.Role{consult.Interpreter, consult.Guest, consult.Observer, consult.Device} {
		if _, place := w.wait(c, role, "sub_"+string(role)); place["why"] != "not_started" {
			t.Fatalf("%s: %v", role, place)
		}
	}
	if all, _ := w.media.count(); all != 0 {
		t.Fatal("media before admission")
	}
}

// A patient whose page drops keeps the place for the grace period.
func TestWaitingDrop(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	patient, place := w.wait(c, consult.Patient, "pat_1")
	patient.drop()
	w.eventually("away", func() bool { return w.ticket(c).Status == consult.TicketAway })
	w.clock.armed(t, w.cfg.WaitingGrace, 1)

	again := w.dial()
	m := again.request(obj{"type": "resume", "protocol": 1, "participant_id": patient.id, "secret": patient.secret}, "resumed")
	if m["state"] != "waiting" || m["waiting"].(obj)["ticket_id"] != place["ticket_id"] || again.secret != patient.secret {
		t.Fatalf("resumed: %v", m)
	}
	if w.ticket(c).Status != consult.TicketReady {
		t.Fatalf("ticket is %s", w.ticket(c).Status)
	}
	w.clock.armed(t, w.cfg.WaitingGrace, 0)

	again.drop()
	w.clock.armed(t, w.cfg.WaitingGrace, 1)
	w.clock.advance(w.cfg.WaitingGrace)
	w.eventually("the room is empty", func() bool { return w.rooms() == 0 })
	must(t, w.queue.Sweep(t.Context()))
	late := w.dial()
	late.refused(obj{"type": "resume", "protocol": 1, "participant_id": patient.id, "secret": patient.secret}, consult.NotFound, consult.ReasonResumeUnknown)
	// A new place, and the same connection may be used.
	m = late.request(joinMessage(c, w.token(c, consult.Patient, "pat_1"), "late"), "waiting")
	if m["waiting"].(obj)["ticket_id"] == place["ticket_id"] {
		t.Fatal("the expired ticket came back")
	}
}

// Admitted while the connection was lost: the answer comes after resume.
func TestAdmittedWhileAway(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	patient, _ := w.wait(c, consult.Patient, "pat_1")
	patient.drop()
	w.eventually("away", func() bool { return w.ticket(c).Status == consult.TicketAway })
	_, err := w.queue.Admit(t.Context(), w.scope, consult.System, w.ticket(c).ID)
	must(t, err)
	again := w.dial()
	again.request(obj{"type": "resume", "protocol": 1, "participant_id": patient.id, "secret": patient.secret}, "resumed")
	if m := again.await("admitted"); m["answer"] != "answer to offer of page-pat_1" {
		t.Fatalf("admitted: %v", m)
	}
}

func TestWaitingLeave(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	patient, _ := w.wait(c, consult.Patient, "pat_1")
	patient.send(obj{"type": "leave"})
	patient.closed(1000)
	w.eventually("left", func() bool { return w.ticket(c).Status == consult.TicketLeft })
	w.eventually("room gone", func() bool { return w.rooms() == 0 })
}

// A place given up through the API, and a request the doctor declines.
func TestTicketClosed(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	patient, _ := w.wait(c, consult.Patient, "pat_1")
	_, err := w.queue.Leave(t.Context(), w.scope, consult.System, w.ticket(c).ID)
	must(t, err)
	if e := patient.await("error"); e["reason"] != consult.ReasonTicketClosed || e["fatal"] != true {
		t.Fatalf("error: %v", e)
	}
	patient.closed(1008)

	patient, _ = w.wait(c, consult.Patient, "pat_1")
	_, err = w.queue.Decline(t.Context(), w.scope, consult.System, w.ticket(c).ID, "")
	must(t, err)
	if e := patient.await("ended"); e["reason"] != "declined" {
		t.Fatalf("ended: %v", e)
	}
	patient.closed(1000)
}
