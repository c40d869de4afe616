package signaling

import (
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

func resumeOf(c *client) obj {
	return obj{"type": "resume", "protocol": 1, "participant_id": c.id, "secret": c.secret}
}

// A lost WebSocket does not touch the media.
func TestResume(t *testing.T) {
	w := newWorld(t)
	c, doctor, patient := w.call()
	patient.drop()
	doctor.await("participants", participantsAre("doctor connected", "patient away"))
	again := w.dial()
	wrong := resumeOf(patient)
	wrong["secret"] = doctor.secret
	again.refused(wrong, consult.NotFound, consult.ReasonResumeUnknown)
	m := again.request(resumeOf(patient), "resumed")
	if _, ok := m["answer"]; ok || m["state"] != "in_call" || !participantsAre("doctor connected", "patient connected")(m) || len(m["slots"].([]any)) != 1 {
		t.Fatalf("resumed: %v", m)
	}
	doctor.await("participants", participantsAre("doctor connected", "patient connected"))
	if all, open := w.media.count(); all != 2 || open != 2 {
		t.Fatalf("%d legs, %d open", all, open)
	}
	// Resumed while the server still believes in the old connection.
	third := w.dial()
	third.request(resumeOf(again), "resumed")
	again.closed(4001)
	third.request(obj{"type": "chat", "text": "here"}, "ack")

	third.drop()
	w.clock.armed(t, w.cfg.ResumeGrace, 1)
	w.clock.advance(w.cfg.ResumeGrace)
	doctor.await("participants", participantsAre("doctor connected"))
	w.eventually("patient left", func() bool {
		all, err := w.store.Participations(t.Context(), w.scope, c.ID)
		must(t, err)
		return all[1].LeftAt != nil && all[0].LeftAt == nil
	})
	w.media.until(t, "patient's media closed", func() bool { return w.media.of(patient.id).closed })
	if w.read(c).Status != consult.Active {
		t.Fatal("not active any more")
	}
}

// An answer lost with the connection comes again.
func TestResumeBeforeReady(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	doctor := w.dial()
	doctor.request(joinMessage(c, w.token(c, consult.Doctor, "doc_1"), "d1"), "joined")
	doctor.drop()
	w.clock.armed(t, w.cfg.ResumeGrace, 1)
	again := w.dial()
	if m := again.request(resumeOf(doctor), "resumed"); m["answer"] != "answer to offer of d1" || m["queue"] == nil {
		t.Fatalf("resumed: %v", m)
	}
	again.send(obj{"type": "ready"})
	again.drop()
	w.clock.armed(t, w.cfg.ResumeGrace, 1)
	third := w.dial()
	if m := third.request(resumeOf(doctor), "resumed"); m["answer"] != nil {
		t.Fatalf("resumed: %v", m)
	}
}

// What the API does acts at once on everyone connected.
func TestAPI(t *testing.T) {
	w := newWorld(t)
	c, doctor, patient := w.call()
	_, err := w.svc.End(t.Context(), w.scope, c.ID, consult.Actor{Kind: consult.ActorKey, ID: "key_one"}, consult.EndedByAPI)
	must(t, err)
	for _, cl := range []*client{doctor, patient} {
		if e := cl.await("ended"); e["reason"] != "api" {
			t.Fatalf("ended: %v", e)
		}
		cl.closed(1000)
	}
	late := w.dial()
	late.refused(joinMessage(c, w.token(c, consult.Doctor, "doc_1"), "d"), consult.Conflict, consult.ReasonEnded)

	c = w.create("pat_2", nil)
	waiting, _ := w.wait(c, consult.Patient, "pat_2")
	guest, _ := w.wait(c, consult.Guest, "gst_1")
	_, err = w.svc.Cancel(t.Context(), w.scope, c.ID, consult.System, consult.CancelledByCaller)
	must(t, err)
	for _, cl := range []*client{waiting, guest} {
		if e := cl.await("ended"); e["reason"] != "cancelled" {
			t.Fatalf("ended: %v", e)
		}
		cl.closed(1000)
	}
}

func TestExpiry(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	patient, _ := w.wait(c, consult.Patient, "pat_1")
	w.clock.advance(consult.DefaultLifetime)
	must(t, w.svc.Sweep(t.Context()))
	if e := patient.await("ended"); e["reason"] != "expired" {
		t.Fatalf("ended: %v", e)
	}
}

// Both leave: the consultation ends after the grace period, not before.
func TestEmptyGrace(t *testing.T) {
	w := newWorld(t)
	c, doctor, patient := w.call()
	guest := w.dial()
	guest.request(joinMessage(c, w.token(c, consult.Guest, "gst_1"), "g1"), "joined")
	doctor.send(obj{"type": "leave"})
	doctor.closed(1000)
	patient.send(obj{"type": "leave"})
	patient.closed(1000)
	w.clock.armed(t, w.cfg.EmptyGrace, 1)
	back := w.enter(c, consult.Patient, "pat_1")
	w.clock.armed(t, w.cfg.EmptyGrace, 0)
	back.send(obj{"type": "leave"})
	back.closed(1000)
	w.clock.armed(t, w.cfg.EmptyGrace, 1)
	w.clock.advance(w.cfg.EmptyGrace - time.Second)
	if w.read(c).Status != consult.Active {
		t.Fatal("ended too early")
	}
	w.clock.advance(time.Second)
	if e := guest.await("ended"); e["reason"] != "nobody_present" {
		t.Fatalf("ended: %v", e)
	}
	if got := w.read(c); got.Status != consult.Ended || got.Reason != consult.EndedByAbsence {
		t.Fatalf("%s %s", got.Status, got.Reason)
	}
}

// After a restart people are back where they were, with the same token.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	c, doctor, patient := w.call()
	queued := w.create("pat_2", nil)
	waiting, _ := w.wait(queued, consult.Patient, "pat_2")
	before := w.ticket(queued)
	w.stop()
	for _, cl := range []*client{doctor, patient, waiting} {
		cl.closed(1001)
	}
	if _, open := w.media.count(); open != 0 {
		t.Fatalf("%d legs open after the stop", open)
	}
	all, err := w.store.Participations(t.Context(), w.scope, c.ID)
	must(t, err)
	if all[0].LeftAt != nil || all[1].LeftAt != nil || w.ticket(queued).Status != consult.TicketReady {
		t.Fatal("the stop changed rows")
	}

	w.start()
	w.clock.armed(t, w.cfg.EmptyGrace, 1)
	w.eventually("away until back", func() bool { return w.ticket(queued).Status == consult.TicketAway })
	d2 := w.enter(c, consult.Doctor, "doc_1")
	w.clock.armed(t, w.cfg.EmptyGrace, 0)
	if d2.id != doctor.id {
		t.Fatal("the doctor's stay is not continued")
	}
	w2, place := w.wait(queued, consult.Patient, "pat_2")
	if place["ticket_id"] != before.ID || w.ticket(queued).Status != consult.TicketReady {
		t.Fatalf("waiting: %v", place)
	}
	w2.quiet("waiting")
	// The patient does not come back.
	w.clock.armed(t, w.cfg.ResumeGrace, 1)
	w.clock.advance(w.cfg.ResumeGrace)
	w.eventually("the patient's stay is over", func() bool {
		all, err := w.store.Participations(t.Context(), w.scope, c.ID)
		must(t, err)
		return len(all) == 2 && all[0].LeftAt == nil && all[1].LeftAt != nil
	})
	if w.read(c).Status != consult.Active {
		t.Fatal("not active any more")
	}
}

func TestRestartWithNobodyBack(t *testing.T) {
	w := newWorld(t)
	c, _, _ := w.call()
	w.stop()
	w.start()
	w.clock.armed(t, w.cfg.EmptyGrace, 1)
	w.clock.advance(w.cfg.EmptyGrace)
	w.eventually("ended", func() bool { return w.read(c).Status == consult.Ended })
	w.eventually("room gone", func() bool { return w.rooms() == 0 })
}

// Many come and go: nothing stays behind.
func TestCycles(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	token := w.token(c, consult.Doctor, "doc_1")
	for range 100 {
		cl := w.dial()
		cl.request(joinMessage(c, token, "d1"), "joined")
		cl.send(obj{"type": "leave"})
		cl.closed(1000)
	}
	w.eventually("nothing left", func() bool {
		w.srv.mu.Lock()
		defer w.srv.mu.Unlock()
		_, open := w.media.count()
		return open == 0 && len(w.srv.rooms) == 0 && len(w.srv.people) == 0 && len(w.srv.sessions) == 0
	})
	w.clock.mu.Lock()
	defer w.clock.mu.Unlock()
	if n := len(w.clock.timers); n != 1 { // the server's own, for its next look at the store
		t.Fatalf("%d timers left", n-1)
	}
}
