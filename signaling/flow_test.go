package signaling

import (
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu"
)

func participantsAre(want ...string) func(obj) bool {
	return func(m obj) bool {
		var got []string
		for _, v := range m["participants"].([]any) {
			p := v.(obj)
			got = append(got, p["role"].(string)+" "+p["state"].(string))
		}
		return strings.Join(got, ", ") == strings.Join(want, ", ")
	}
}

// The whole of a consultation: wait, admit, talk, end.
func TestConsultation(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)

	patient := w.dial()
	wait := patient.request(joinMessage(c, w.token(c, consult.Patient, "pat_1"), "p1"), "waiting")
	ticket := wait["waiting"].(obj)
	if ticket["why"] != "queue" || ticket["position"] != 1.0 || ticket["estimate"] != nil {
		t.Fatalf("waiting: %v", ticket)
	}
	if wait["role"] != "patient" || wait["session"].(obj)["status"] != "waiting" {
		t.Fatalf("waiting: %v", wait)
	}
	if w.ticket(c).Status != consult.TicketReady {
		t.Fatalf("ticket is %s", w.ticket(c).Status)
	}

	doctor := w.dial()
	in := doctor.request(joinMessage(c, w.token(c, consult.Doctor, "doc_1"), "d1"), "joined")
	if in["answer"] != "answer to offer of d1" || !participantsAre("doctor connected")(in) {
		t.Fatalf("joined: %v", in)
	}
	q := in["queue"].([]any)[0].(obj)
	if q["ticket_id"] != ticket["ticket_id"] || q["patient_name"] != "Pat pat_1" || q["status"] != "ready" || q["waiting_since"] == nil {
		t.Fatalf("queue: %v", q)
	}
	doctor.send(obj{"type": "ready"})
	w.clock.advance(time.Second)
	if all, _ := w.media.count(); all != 1 {
		t.Fatalf("%d media legs before admission, want the doctor's alone", all)
	}
	patient.refused(obj{"type": "chat", "text": "hello?"}, consult.Conflict, consult.ReasonNotJoined)
	patient.refused(obj{"type": "offer", "offer": "early"}, consult.Conflict, consult.ReasonNotJoined)

	doctor.request(obj{"type": "admit", "ticket_id": q["ticket_id"]}, "ack")
	admitted := patient.await("admitted")
	if admitted["answer"] != "answer to offer of p1" || !participantsAre("doctor connected", "patient connected")(admitted) {
		t.Fatalf("admitted: %v", admitted)
	}
	doctor.awaitAll(map[string]func(obj) bool{
		"participants": participantsAre("doctor connected", "patient connected"),
		"queue":        func(m obj) bool { return len(m["tickets"].([]any)) == 0 },
	})
	if w.read(c).Status != consult.Waiting {
		t.Fatal("active before the patient's media is connected")
	}
	patient.send(obj{"type": "ready"})
	active := func(m obj) bool {
		return m["session"].(obj)["status"] == "active" && m["session"].(obj)["started_at"] != nil
	}
	doctor.await("session", active)
	patient.await("session", active)

	ack := patient.request(obj{"type": "chat", "text": "I have <b>pain</b>"}, "ack")
	said := doctor.await("chat")["message"].(obj)
	if said["id"] != ack["message_id"] || said["text"] != "I have <b>pain</b>" || said["participant_id"] != patient.id || said["role"] != "patient" {
		t.Fatalf("chat: %v", said)
	}
	patient.await("chat")

	patient.send(obj{"type": "media", "source": "microphone", "muted": true})
	doctor.await("participants", func(m obj) bool {
		for _, v := range m["participants"].([]any) {
			if p := v.(obj); p["id"] == patient.id {
				return p["sources"].(obj)["microphone"].(obj)["muted"] == true && p["self"] == false
			}
		}
		return false
	})
	w.media.until(t, "mute at the SFU", func() bool { return w.media.of(patient.id).muted["microphone"] })

	w.media.mu.Lock()
	leg := w.media.of(patient.id)
	w.media.mu.Unlock()
	leg.show(doctor.id)
	patient.await("slots", func(m obj) bool {
		s := m["slots"].([]any)[0].(obj)
		return s["participant_id"] == doctor.id && s["source"] == "camera" && s["audio_mid"] == "2"
	})

	patient.refused(obj{"type": "end"}, consult.Forbidden, consult.ReasonNoGrant)
	doctor.request(obj{"type": "end"}, "ack")
	for _, cl := range []*client{doctor, patient} {
		if e := cl.await("ended"); e["reason"] != "doctor" {
			t.Fatalf("ended: %v", e)
		}
		cl.closed(1000)
	}
	got := w.read(c)
	if got.Status != consult.Ended || got.Reason != consult.EndedByDoctor {
		t.Fatalf("%s %s", got.Status, got.Reason)
	}
	all, err := w.store.Participations(t.Context(), w.scope, c.ID)
	must(t, err)
	if len(all) != 2 || all[0].LeftAt == nil || all[1].LeftAt == nil || all[0].ID != doctor.id {
		t.Fatalf("participations: %+v", all)
	}
	w.eventually("room and media closed", func() bool {
		_, open := w.media.count()
		return w.rooms() == 0 && open == 0
	})
	for _, secret := range []string{"pain", "Pat pat_1", "tok-", patient.secret} {
		if strings.Contains(w.logs.String(), secret) {
			t.Fatalf("%q is in the log", secret)
		}
	}
}

func TestOfferAgain(t *testing.T) {
	w := newWorld(t)
	_, doctor, patient := w.call()
	more := obj{
		"type": "offer", "offer": "second", "replace": true,
		"publications": []obj{{"mid": "0", "source": "microphone"}, {"mid": "4", "source": "screen", "muted": true}},
	}
	a := doctor.request(more, "answer")
	if a["answer"] != "answer to second" || len(a["slots"].([]any)) != 1 {
		t.Fatalf("answer: %v", a)
	}
	w.media.until(t, "offer at the SFU", func() bool {
		l := w.media.of(doctor.id)
		return l.replaced && len(l.intents) == 2 && l.intents[1] == sfu.Intent{Mid: "4", Source: "screen", Muted: true}
	})
	patient.await("participants", func(m obj) bool {
		s := m["participants"].([]any)[0].(obj)["sources"].(obj)
		return s["screen"] != nil && s["camera"] == nil
	})
	doctor.refused(obj{"type": "offer", "offer": "bad"}, consult.BadRequest, consult.ReasonBadOffer)
	twice := []obj{{"mid": "0", "source": "microphone"}, {"mid": "1", "source": "microphone"}}
	doctor.refused(obj{"type": "offer", "offer": "x", "publications": twice}, consult.BadRequest, consult.ReasonBadOffer)
	doctor.refused(obj{"type": "media", "source": "camera", "muted": true}, consult.BadRequest, consult.ReasonBadMessage)
	doctor.quiet("participants")
}

// Muting holds, wherever the participant is on the way into the call.
func TestMuteOnTheWay(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	patient, _ := w.wait(c, consult.Patient, "pat_1")
	patient.send(obj{"type": "media", "source": "camera", "muted": true})
	patient.refused(obj{"type": "media", "source": "screen", "muted": true}, consult.BadRequest, consult.ReasonBadMessage)
	_, err := w.queue.Admit(t.Context(), w.scope, consult.System, w.ticket(c).ID)
	must(t, err)
	muted := func(m obj) obj { return m["participants"].([]any)[0].(obj)["sources"].(obj) }
	if s := muted(patient.await("admitted")); s["camera"].(obj)["muted"] != true || s["microphone"].(obj)["muted"] != false {
		t.Fatalf("sources: %v", s)
	}
	// The offer's publications are older than a mute that comes while it is answered.
	id := patient.send(obj{"type": "offer", "offer": "held", "publications": []obj{
		{"mid": "0", "source": "microphone"}, {"mid": "4", "source": "screen"},
	}})
	patient.send(obj{"type": "media", "source": "microphone", "muted": true})
	patient.send(obj{"type": "media", "source": "screen", "muted": true})
	patient.request(obj{"type": "ping"}, "pong")
	close(w.media.gate)
	patient.await("answer", func(m obj) bool { return m["id"] == id })
	s := muted(patient.await("participants", func(m obj) bool { return muted(m)["screen"] != nil }))
	if s["microphone"].(obj)["muted"] != true || s["screen"].(obj)["muted"] != true {
		t.Fatalf("sources: %v", s)
	}
	w.media.until(t, "muted at the SFU", func() bool {
		l := w.media.of(patient.id)
		return l.muted["microphone"] && l.muted["screen"]
	})
}

func TestChatOnlyThenMedia(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	doctor := w.dial()
	m := with(joinMessage(c, w.token(c, consult.Doctor, "doc_1"), "d1"), obj{"offer": nil, "publications": nil})
	in := doctor.request(m, "joined")
	if _, ok := in["answer"]; ok || len(in["slots"].([]any)) != 0 {
		t.Fatalf("joined: %v", in)
	}
	patient := w.dial()
	m = with(joinMessage(c, w.token(c, consult.Patient, "pat_1"), "p1"), obj{"offer": nil, "publications": nil})
	wait := patient.request(m, "waiting")
	doctor.request(obj{"type": "admit", "ticket_id": wait["waiting"].(obj)["ticket_id"]}, "ack")
	patient.await("admitted")
	doctor.await("session", func(m obj) bool { return m["session"].(obj)["status"] == "active" })
	doctor.refused(obj{"type": "offer", "offer": "bad"}, consult.BadRequest, consult.ReasonBadOffer)
	a := doctor.request(obj{"type": "offer", "offer": "now", "publications": []obj{{"mid": "0", "source": "camera"}}}, "answer")
	if a["answer"] != "answer to now" {
		t.Fatalf("answer: %v", a)
	}
	patient.await("participants", func(m obj) bool {
		return m["participants"].([]any)[0].(obj)["sources"].(obj)["camera"] != nil
	})
}

func TestHistory(t *testing.T) {
	w := newWorld(t)
	c, doctor, patient := w.call()
	for _, text := range []string{"one", "two"} {
		doctor.request(obj{"type": "chat", "text": text}, "ack")
		w.clock.advance(time.Millisecond) // messages of one moment have no order
	}
	doctor.refused(obj{"type": "chat", "text": "  \n "}, consult.BadRequest, consult.ReasonBadMessage)
	doctor.refused(obj{"type": "chat", "text": strings.Repeat("x", 4001)}, consult.ValidationError, consult.ReasonBadMessage)
	patient.send(obj{"type": "leave"})
	patient.closed(1000)
	doctor.await("participants", participantsAre("doctor connected"))
	again := w.dial()
	in := again.request(joinMessage(c, w.token(c, consult.Patient, "pat_1"), "p2"), "joined")
	chat := in["chat"].([]any)
	if len(chat) != 2 || chat[0].(obj)["text"] != "one" || chat[1].(obj)["text"] != "two" {
		t.Fatalf("history: %v", chat)
	}
	if again.id == patient.id {
		t.Fatal("a stay that was left is continued")
	}
}

// Grants are what the server goes by, whatever the page sends.
func TestGrants(t *testing.T) {
	w := newWorld(t)
	c, doctor, patient := w.call()
	observer := w.dial()
	observer.request(joinMessage(c, w.token(c, consult.Observer, "obs_1"), "o1"), "joined")
	w.media.until(t, "observer's leg without publications", func() bool {
		l := w.media.of(observer.id)
		return l != nil && len(l.request.Intents) == 0 && l.request.Grants.Subscribe
	})
	observer.refused(obj{"type": "media", "source": "camera", "muted": false}, consult.Forbidden, consult.ReasonNoGrant)
	observer.refused(obj{"type": "admit", "ticket_id": w.ticket(c).ID}, consult.Forbidden, consult.ReasonNoGrant)
	patient.refused(obj{"type": "admit", "ticket_id": w.ticket(c).ID}, consult.Forbidden, consult.ReasonNoGrant)
	doctor.refused(obj{"type": "admit", "ticket_id": "wt_other"}, consult.NotFound, "")

	mute := w.token(c, consult.Guest, "gst_1")
	w.tokens.mu.Lock()
	claims := w.tokens.claims[mute]
	claims.Grants = consult.Grants{Subscribe: true}
	w.tokens.claims[mute] = claims
	w.tokens.mu.Unlock()
	guest := w.dial()
	guest.request(joinMessage(c, mute, "g1"), "joined")
	guest.refused(obj{"type": "chat", "text": "hi"}, consult.Forbidden, consult.ReasonNoGrant)
}

func TestEndBeforeStart(t *testing.T) {
	w := newWorld(t)
	doctor := w.enter(w.create("pat_1", nil), consult.Doctor, "doc_1")
	doctor.refused(obj{"type": "end"}, consult.Conflict, consult.ReasonNotActive)
}
