package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// queue is the patients of doc_1's queue as the list shows them.
func (w *world) queue() []string {
	w.t.Helper()
	list, _ := w.call("GET", roomPath+"?doctor_id=doc_1", nil).ok()["tickets"].([]any)
	out := []string{}
	for i, v := range list {
		m, _ := v.(map[string]any)
		if n, _ := m["position"].(json.Number); n.String() != fmt.Sprint(i+1) {
			w.t.Errorf("position %v at place %d", m["position"], i+1)
		}
		id, _ := m["patient_id"].(string)
		out = append(out, id)
	}
	return out
}

func TestWaitingRoomFromJoinToAdmit(t *testing.T) {
	w := newWorld(t)
	if q := w.queue(); len(q) != 0 {
		t.Fatalf("queue %v", q)
	}
	first, second := w.join("pat_1"), w.join("pat_2")
	if first.str("status") != "queued" || first.body["position"] != json.Number("1") || second.body["position"] != json.Number("2") ||
		first.body["estimated_wait_seconds"] != nil || first.body["estimated_wait_range"] != nil ||
		first.body["doctor_notified"] != false || first.str("joined_at") != "2025-01-15T10:30:00Z" {
		t.Errorf("joined: %s", first.raw)
	}
	c := w.claimsOf(first.str("patient_join_url"))
	if c.Role != consult.Patient || c.Subject != "pat_1" || c.SessionID != first.str("session_id") || c.Name != "Name of pat_1" {
		t.Errorf("claims %+v", c)
	}
	if again := w.join("pat_1"); again.str("ticket_id") != first.str("ticket_id") || again.body["position"] != json.Number("1") {
		t.Errorf("joined again: %s", again.raw)
	}
	if q := fmt.Sprint(w.queue()); q != "[pat_1 pat_2]" {
		t.Errorf("queue %s", q)
	}
	ticket := roomPath + "/" + first.str("ticket_id")
	if got := w.call("GET", ticket, nil); got.ok()["session_id"] != first.str("session_id") {
		t.Errorf("ticket: %s", got.raw)
	}
	a := w.call("POST", ticket+"/admit", nil)
	a.ok()
	doctor, patient := w.claimsOf(a.str("doctor_join_url")), w.claimsOf(a.str("patient_join_url"))
	if a.str("status") != "admitted" || a.body["position"] != nil || doctor.Role != consult.Doctor || patient.Role != consult.Patient {
		t.Errorf("admitted: %s", a.raw)
	}
	w.call("POST", ticket+"/admit", nil).ok() // again changes nothing
	if q := fmt.Sprint(w.queue()); q != "[pat_2]" {
		t.Errorf("queue %s", q)
	}
	d := w.call("GET", videoPath+first.str("session_id"), nil)
	if d.ok(); d.body["admitted_at"] == nil || d.str("status") != "waiting" {
		t.Errorf("consultation: %s", d.raw)
	}
}

func TestLeavingTheWaitingRoom(t *testing.T) {
	w := newWorld(t)
	j := w.join("pat_1")
	ticket := roomPath + "/" + j.str("ticket_id")
	a := w.call("DELETE", ticket, nil)
	if a.ok(); a.str("status") != "left" || a.body["position"] != nil {
		t.Errorf("left: %s", a.raw)
	}
	w.call("POST", ticket+"/admit", nil).refused(409, consult.ReasonTicketClosed)
	if q := w.queue(); len(q) != 0 {
		t.Errorf("queue %v", q)
	}
	if again := w.join("pat_1"); again.str("ticket_id") == j.str("ticket_id") || again.str("session_id") != j.str("session_id") {
		t.Errorf("joined again: %s", again.raw)
	}
	_, admitted := w.active()
	w.call("DELETE", roomPath+"/"+admitted, nil).refused(409, "")
}

func TestACancelledConsultationLeavesTheQueue(t *testing.T) {
	w := newWorld(t)
	j := w.join("pat_1")
	w.join("pat_2")
	w.call("POST", videoPath+j.str("session_id")+"/cancel", nil).ok()
	if q := fmt.Sprint(w.queue()); q != "[pat_2]" {
		t.Errorf("queue %s", q)
	}
	a := w.call("GET", roomPath+"/"+j.str("ticket_id"), nil)
	if a.ok(); a.body["patient_join_url"] != nil || a.body["position"] != nil {
		t.Errorf("ticket of a cancelled consultation: %s", a.raw)
	}
	w.call("POST", roomPath+"/join", map[string]any{
		"doctor_id": "doc_1", "patient_id": "pat_1", "session_id": j.str("session_id"),
	}).refused(409, consult.ReasonCancelled)
}

func TestJoiningAGivenConsultation(t *testing.T) {
	w := newWorld(t)
	nameless := w.call("POST", videoPath+"create", `{"doctor_id":"doc_1","patient_id":"pat_1"}`)
	id := nameless.str("session_id")
	body := map[string]any{"doctor_id": "doc_1", "patient_id": "pat_1", "session_id": id, "patient_name": "Amina"}
	a := w.call("POST", roomPath+"/join", body)
	if a.ok(); a.str("session_id") != id || w.claimsOf(a.str("patient_join_url")).Name != "Amina" {
		t.Errorf("joined %s", a.raw)
	}
	body["patient_id"] = "pat_2"
	f := w.call("POST", roomPath+"/join", body)
	if f.refused(422, ""); f.fields()["session_id"] == "" {
		t.Errorf("another's session: %s", f.raw)
	}
	body["session_id"] = "vs_unknown"
	w.call("POST", roomPath+"/join", body).refused(404, "")
}

func TestPlaceWithAnEstimate(t *testing.T) {
	b := placeOf(&consult.QueuePlace{
		Ticket: consult.Ticket{ID: "wt_1"}, Position: 2, DoctorNotified: true,
		Estimate: consult.Estimate{Known: true, Expected: 90*time.Second + 1, Low: -time.Second, High: 3 * time.Minute},
	})
	got, err := json.Marshal(b)
	must(t, err)
	want := `"position":2,"estimated_wait_seconds":91,"estimated_wait_range":{"low_seconds":0,"high_seconds":180},"doctor_notified":true`
	if !strings.Contains(string(got), want) {
		t.Errorf("%s, want %s", got, want)
	}
}
