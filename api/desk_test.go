package api

import (
	"fmt"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

func TestTheDeskByREST(t *testing.T) {
	w := newWorld(t)
	var tickets []string
	for i := range 3 {
		w.clock.advance(time.Second)
		tickets = append(tickets, w.join(fmt.Sprint("pat_", i)).str("ticket_id"))
	}
	ticket := func(i int, action string, body any) *reply {
		return w.call("POST", roomPath+"/"+tickets[i]+"/"+action, body)
	}

	if a := ticket(2, "move", map[string]any{"position": 1}); fmt.Sprint(a.ok()["position"]) != "1" {
		t.Errorf("moved %s", a.raw)
	}
	if a := ticket(2, "move", map[string]any{"position": 99}); fmt.Sprint(a.ok()["position"]) != "3" {
		t.Errorf("moved to the end %s", a.raw)
	}
	ticket(0, "message", map[string]any{"text": "Please have your medication at hand."}).ok()
	if a := w.call("POST", roomPath+"/message", map[string]any{"doctor_id": "doc_1", "text": "We are late."}); fmt.Sprint(a.ok()["recipients"]) != "3" {
		t.Errorf("told %s", a.raw)
	}
	ticket(0, "admit", nil).ok()
	if a := ticket(0, "send-back", nil); a.ok()["status"] != "queued" || fmt.Sprint(a.body["position"]) != "1" {
		t.Errorf("sent back %s", a.raw)
	}
	before := w.call("GET", roomPath+"/"+tickets[1], nil).str("session_id")
	moved := ticket(1, "transfer", map[string]any{"doctor_id": "doc_2", "doctor_name": "Dr. Moreau"})
	if moved.ok()["session_id"] != before || moved.body["patient_join_url"] == nil {
		t.Errorf("transferred %s", moved.raw)
	}
	if c := w.call("GET", videoPath+before, nil); c.ok()["doctor_id"] != "doc_2" || c.body["doctor_name"] != "Dr. Moreau" {
		t.Errorf("consultation %s", c.raw)
	}
	if a := ticket(2, "decline", map[string]any{"reason": "Please see your family doctor."}); a.ok()["status"] != "declined" {
		t.Errorf("declined %s", a.raw)
	}
	ticket(2, "message", map[string]any{"text": "x"}).refused(409, "")
	ticket(2, "move", map[string]any{"position": 1}).refused(409, "")
	for _, body := range []string{`{"text":""}`, `{"text":" \n "}`, `{}`} {
		w.call("POST", roomPath+"/"+tickets[0]+"/message", body).refused(422, "")
	}

	list := func(query string) string { return w.call("GET", roomPath+"/tickets?"+query, nil).ids("ticket_id") }
	if got := list("status=declined"); got != tickets[2] {
		t.Errorf("declined: %s", got)
	}
	if got := list("doctor_id=doc_2"); got != moved.str("ticket_id") {
		t.Errorf("doc_2: %s, want %s", got, moved.str("ticket_id"))
	}
	if got := list("patient_id=pat_0"); got != tickets[0] {
		t.Errorf("pat_0: %s", got)
	}
}

func TestPresenceByREST(t *testing.T) {
	w := newWorld(t)
	const path = "/api/v1/doctors/doc_1/presence"
	if a := w.call("GET", path, nil); a.ok()["online"] != false || a.body["updated_at"] != nil {
		t.Errorf("unknown doctor: %s", a.raw)
	}
	for _, p := range []consult.Presence{consult.Busy, consult.Away, consult.Available} {
		if a := w.call("PUT", path, map[string]any{"presence": p}); a.ok()["presence"] != string(p) {
			t.Errorf("put: %s", a.raw)
		}
		if a := w.call("GET", path, nil); a.ok()["presence"] != string(p) || a.body["updated_at"] == nil {
			t.Errorf("get: %s", a.raw)
		}
	}
	w.call("PUT", path, map[string]any{"presence": "asleep"}).refused(422, "")
}
