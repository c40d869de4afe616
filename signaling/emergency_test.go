package signaling

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/waitingroom"
)

// fakeScreen finds an emergency by a few words, in the place of the engine.
func fakeScreen(reason string) consult.Screening {
	s := consult.Screening{Urgency: consult.UrgencyLow, RuleVersion: "1"}
	if strings.Contains(reason, "chest pain") {
		s.Urgency, s.Rules = consult.UrgencyCritical, []string{"acs"}
	}
	if strings.Contains(reason, "end it") {
		s.Urgency, s.Rules, s.Crisis = consult.UrgencyHigh, []string{"suicide"}, true
	}
	return s
}

// fakeLines know France.
type fakeLines struct{}

func (fakeLines) Lines(country, language string) EmergencyLines {
	if country == "FR" {
		return EmergencyLines{Country: "FR", Numbers: []string{"15", "112"}, Crisis: &Line{Name: "3114 " + language, Number: "3114"}}
	}
	return EmergencyLines{Numbers: []string{"112", "911"}}
}

func red(m obj) bool { return m["waiting"].(obj)["emergency"] != nil }

func urgency(want any) func(obj) bool {
	return func(m obj) bool {
		all := m["tickets"].([]any)
		return len(all) == 1 && all[0].(obj)["urgency"] == want
	}
}

// The patient types why she comes, and sees the number before anything else is
// confirmed; her doctor sees red, on the desk and in the room.
func TestAReasonThatIsAnEmergency(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	board := w.watch("doc_1")
	doctor := w.enter(c, consult.Doctor, "doc_1")
	patient, place := w.wait(c, consult.Patient, "pat_1")
	if place["emergency"] != nil || place["reason"] != nil {
		t.Fatalf("waiting: %v", place)
	}
	board.await("queue", urgency(nil))

	patient.request(obj{"type": "reason", "text": "a cold"}, "ack")
	board.await("queue", urgency("low"))
	patient.send(obj{"type": "reason", "id": "r1", "text": "bad chest pain"})
	m := patient.await("waiting", red)["waiting"].(obj)
	e := m["emergency"].(obj)
	if e["urgency"] != "critical" || e["country"] != nil || !slices.Equal(e["numbers"].([]any), []any{"112", "911"}) || e["crisis_line"] != nil {
		t.Errorf("emergency %v", e)
	}
	if m["reason"] != "bad chest pain" || m["position"] != 1.0 {
		t.Errorf("waiting %v", m)
	}
	patient.await("ack", func(m obj) bool { return m["id"] == "r1" })
	board.await("queue", urgency("critical"))
	doctor.await("queue", urgency("critical"))

	// It stays when she takes it back, and over a reload.
	patient.request(obj{"type": "reason", "text": ""}, "ack")
	if tk := w.ticket(c); tk.Reason != "" || tk.Screening.Urgency != consult.UrgencyCritical {
		t.Errorf("ticket %+v", tk)
	}
	patient.drop()
	_, place = w.wait(c, consult.Patient, "pat_1")
	if place["emergency"] == nil {
		t.Errorf("after a reload: %v", place)
	}
	if log := w.logs.String(); strings.Contains(log, "chest") {
		t.Errorf("log: %s", log)
	}
}

// The reason may come with the join, and the country with the consultation.
func TestAReasonWithTheJoin(t *testing.T) {
	w := newWorld(t)
	c, err := w.svc.Create(t.Context(), w.scope, consult.System, consult.CreateRequest{DoctorID: "doc_1", PatientID: "pat_1", Country: "FR", KeyID: "key_one"})
	must(t, err)
	patient := w.dial()
	m := joinMessage(c, w.token(c, consult.Patient, "pat_1"), "page")
	m["reason"], m["language"] = "I want to end it\u0000", "fr"
	place := patient.request(m, "waiting")["waiting"].(obj)
	e, _ := place["emergency"].(obj)
	line, _ := e["crisis_line"].(obj)
	if e["urgency"] != "high" || e["country"] != "FR" || !slices.Equal(e["numbers"].([]any), []any{"15", "112"}) || line["name"] != "3114 fr" {
		t.Errorf("emergency %v", e)
	}
	if place["reason"] != "I want to end it" {
		t.Errorf("reason %q", place["reason"])
	}
}

// A reason given over the API, before the room opens and while the page waits.
func TestAReasonOverTheAPI(t *testing.T) {
	w := newWorld(t)
	start := w.clock.Now().Add(time.Hour)
	c := w.create("pat_1", &start)
	patient, place := w.wait(c, consult.Patient, "pat_1")
	if place["emergency"] != nil {
		t.Fatalf("waiting: %v", place)
	}
	_, err := w.queue.Join(t.Context(), w.scope, consult.System, waitingroom.JoinRequest{SessionID: c.ID, Reason: "chest pain", Country: "FR"})
	must(t, err)
	m := patient.await("waiting", red)["waiting"].(obj)
	if m["why"] != "scheduled" || m["emergency"].(obj)["country"] != "FR" {
		t.Errorf("waiting %v", m)
	}
	patient.refused(obj{"type": "reason", "text": "x"}, consult.Conflict, consult.ReasonNotWaiting)
	w.clock.armed(t, 45*time.Minute, 1)
	w.clock.advance(45 * time.Minute)
	if m = patient.await("waiting", why("queue")); !red(m) {
		t.Errorf("in the queue: %v", m)
	}
}

// Only who waits in the queue has a reason.
func TestWhoHasAReason(t *testing.T) {
	w := newWorld(t)
	stranger := w.dial()
	stranger.refused(obj{"type": "reason", "text": "x"}, consult.Conflict, consult.ReasonNotJoined)
	_, doctor, patient := w.call()
	for _, cl := range []*client{doctor, patient} {
		cl.refused(obj{"type": "reason", "text": "chest pain"}, consult.Conflict, consult.ReasonNotWaiting)
	}
	patient.refused(obj{"type": "reason", "text": strings.Repeat("x", 2001)}, consult.ValidationError, consult.ReasonBadMessage)
	c := w.create("pat_2", nil)
	guest, place := w.wait(c, consult.Guest, "gst_1")
	guest.refused(obj{"type": "reason", "text": "x"}, consult.Conflict, consult.ReasonNotWaiting)
	if place["emergency"] != nil {
		t.Errorf("a guest sees %v", place)
	}
}
