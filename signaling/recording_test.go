package signaling

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu"
)

func consentMessage(decision string) obj {
	return obj{"type": "consent", "decision": decision, "wording_id": "recording-1", "language": "en"}
}

func recordingIs(state string) func(obj) bool {
	return func(m obj) bool { return m["state"] == state }
}

// recordable is call in a consultation that may be recorded.
func (w *world) recordable() (c *consult.Consultation, doctor, patient *client) {
	w.t.Helper()
	c, err := w.svc.Create(w.t.Context(), w.scope, consult.System, consult.CreateRequest{
		DoctorID: "doc_1", PatientID: "pat_1", DoctorName: "Dr. Ada", PatientName: "Pat pat_1", KeyID: "key_one", EnableRecording: true,
	})
	must(w.t, err)
	doctor = w.enter(c, consult.Doctor, "doc_1")
	w.clock.advance(time.Second)
	patient = w.dial()
	wait := patient.request(joinMessage(c, w.token(c, consult.Patient, "pat_1"), "page-pat_1"), "waiting")
	doctor.request(obj{"type": "admit", "ticket_id": wait["waiting"].(obj)["ticket_id"]}, "ack")
	patient.await("admitted")
	patient.send(obj{"type": "ready"})
	patient.await("session", func(m obj) bool { return m["session"].(obj)["status"] == "active" })
	return c, doctor, patient
}

// recorded is a call that is being recorded.
func (w *world) recorded() (c *consult.Consultation, doctor, patient *client) {
	w.t.Helper()
	c, doctor, patient = w.recordable()
	patient.request(consentMessage("granted"), "ack")
	doctor.request(consentMessage("granted"), "ack")
	doctor.request(obj{"type": "record", "on": true}, "ack")
	doctor.await("recording", recordingIs("recording"))
	patient.await("recording", recordingIs("recording"))
	return c, doctor, patient
}

func (w *world) captured(want bool) {
	w.t.Helper()
	if got := w.takes.open(); (got != nil) != want {
		w.t.Fatalf("captured: %v, want %v", got, want)
	}
}

func TestRecordingProtocol(t *testing.T) {
	w := newWorld(t)
	c, doctor, patient := w.recordable()
	first := w.enter(c, consult.Interpreter, "int_0") // is told all of it with joined
	first.send(obj{"type": "leave"})
	first.closed(1000)

	again := w.dial()
	in := again.request(with(joinMessage(c, w.token(c, consult.Patient, "pat_1"), "page-pat_1"), nil), "joined")
	v := in["recording"].(obj)
	if v["state"] != "off" || v["you"].(obj)["decision"] != nil || v["others"] != nil || len(v["wordings"].([]any)) != 1 {
		t.Fatalf("recording: %v", v)
	}
	if text := v["wordings"].([]any)[0].(obj)["text"]; text != "Kept by one" {
		t.Fatalf("wording: %v", text)
	}
	patient.closed(closeMoved)
	again.send(obj{"type": "ready"})

	again.request(consentMessage("granted"), "ack")
	m := doctor.await("recording", func(m obj) bool { return m["others"].(obj)[again.id] == "granted" })
	if m["wordings"] != nil || !slices.Equal(m["waiting_for"].([]any), []any{doctor.id}) {
		t.Fatalf("recording: %v", m)
	}
	again.refused(obj{"type": "record", "on": true}, consult.Forbidden, consult.ReasonNoGrant)
	doctor.request(obj{"type": "record", "on": true}, "ack")
	m = again.await("recording", recordingIs("waiting"))
	if m["recording_id"] == nil || m["started_at"] == nil || m["recorded_seconds"] != 0.0 {
		t.Fatalf("recording: %v", m)
	}
	w.captured(false) // to start is not to agree
	doctor.request(consentMessage("granted"), "ack")
	again.await("recording", recordingIs("recording"))
	w.captured(true)
	doctor.request(obj{"type": "record", "on": true}, "ack") // changes nothing

	again.request(consentMessage("withdrawn"), "ack")
	w.captured(false)
	again.await("recording", recordingIs("paused"))
	doctor.await("recording", func(m obj) bool { return m["others"].(obj)[again.id] == "withdrawn" })
	again.request(consentMessage("granted"), "ack")
	w.captured(true)
	doctor.request(obj{"type": "record", "on": false}, "ack")
	w.captured(false)
	again.await("recording", recordingIs("off"))
	doctor.request(obj{"type": "record", "on": false}, "ack")

	again.refused(obj{"type": "consent", "decision": "granted"}, consult.ValidationError, consult.ReasonBadMessage)
	again.refused(with(consentMessage("granted"), obj{"wording_id": "recording-0"}), consult.ValidationError, consult.ReasonBadMessage)
	again.refused(obj{"type": "consent", "decision": "maybe"}, consult.ValidationError, consult.ReasonBadMessage)
	again.request(obj{"type": "consent", "decision": "declined"}, "ack")
}

func TestNoRecordingWithoutPermission(t *testing.T) {
	w := newWorld(t)
	_, doctor, patient := w.call()
	doctor.refused(obj{"type": "record", "on": true}, consult.Forbidden, consult.ReasonRecordingDisabled)
	patient.refused(consentMessage("granted"), consult.Forbidden, consult.ReasonRecordingDisabled)
	doctor.quiet("participants")
}

// A newcomer shuts the gate before there is a media path, keeps it shut by
// declining, and opens it by leaving or by a grant.
func TestNewcomerPausesTheRecording(t *testing.T) {
	w := newWorld(t)
	c, doctor, patient := w.recorded()
	w.clock.advance(time.Second)
	shut := make(chan bool, 8)
	w.media.mu.Lock()
	w.media.joining = func(r sfu.JoinRequest) { shut <- w.takes.open() == nil }
	w.media.mu.Unlock()
	for _, role := range []consult.Role{consult.Interpreter, consult.Guest, consult.Observer} {
		other := w.dial()
		in := other.request(joinMessage(c, w.token(c, role, "other-"+string(role)), "page-"+string(role)), "joined")
		if !<-shut {
			t.Fatalf("%s has media while it is recorded", role)
		}
		if v := in["recording"].(obj); v["state"] != "paused" || v["wordings"] == nil {
			t.Fatalf("recording: %v", v)
		}
		other.send(obj{"type": "ready"})
		doctor.await("recording", func(m obj) bool { return m["state"] == "paused" && m["waiting_for"].([]any)[0] == other.id })
		other.request(consentMessage("declined"), "ack")
		w.captured(false)
		if role == consult.Guest {
			other.send(obj{"type": "leave"})
			other.closed(1000)
		} else {
			other.request(consentMessage("granted"), "ack")
		}
		doctor.await("recording", recordingIs("recording"))
		w.captured(true)
		patient.await("recording", recordingIs("recording"))
	}
	if n := len(w.takes.open()); n != 4 {
		t.Fatalf("%d are captured, want 4", n)
	}
}

// One who is away counts as there until the grace is over, and resumes with the
// grant; a reload and another device keep it too.
func TestGrantsOutliveConnections(t *testing.T) {
	w := newWorld(t)
	c, doctor, patient := w.recorded()
	patient.drop()
	doctor.await("participants", participantsAre("doctor connected", "patient away"))
	w.captured(true)
	back := w.dial()
	r := back.request(obj{"type": "resume", "protocol": 1, "participant_id": patient.id, "secret": patient.secret}, "resumed")
	if v := r["recording"].(obj); v["state"] != "recording" || v["you"].(obj)["decision"] != "granted" || v["wordings"] == nil {
		t.Fatalf("resumed: %v", v)
	}
	w.captured(true)
	other := w.dial()
	in := other.request(with(joinMessage(c, w.token(c, consult.Patient, "pat_1"), "another device"), obj{"take_over": true}), "joined")
	if v := in["recording"].(obj); v["state"] != "recording" || v["you"].(obj)["decision"] != "granted" {
		t.Fatalf("taken over: %v", v)
	}
	back.closed(closeMoved)
	other.send(obj{"type": "ready"})
	w.captured(true)

	// One who has not granted, and is away, keeps it shut until they are removed.
	guest := w.enter(c, consult.Guest, "gst_1")
	doctor.await("recording", recordingIs("paused"))
	guest.drop()
	doctor.await("participants", participantsAre("doctor connected", "patient connected", "guest away"))
	w.captured(false)
	w.clock.armed(t, w.cfg.ResumeGrace, 1)
	w.clock.advance(w.cfg.ResumeGrace)
	doctor.await("recording", recordingIs("recording"))
	w.captured(true)
}

// A withdrawal that cannot be stored is an error, and in force; a grant that
// cannot be stored is an error, and is not.
func TestConsentIsNotStored(t *testing.T) {
	w := newWorld(t)
	_, doctor, patient := w.recorded()
	w.chain.fail(true)
	patient.refused(consentMessage("withdrawn"), consult.ServiceUnavailable, consult.ReasonDependency)
	w.captured(false)
	doctor.await("recording", recordingIs("paused"))
	patient.refused(consentMessage("granted"), consult.ServiceUnavailable, consult.ReasonDependency)
	w.captured(false)
	w.chain.fail(false)
	patient.request(consentMessage("granted"), "ack")
	w.captured(true)
}

// The storage fails: the call goes on.
func TestRecordingFails(t *testing.T) {
	w := newWorld(t)
	_, doctor, patient := w.recorded()
	w.takes.last().seg.OnFail(consult.RecordingDisk)
	m := patient.await("recording", recordingIs("failed"))
	if m["reason"] != consult.RecordingDisk {
		t.Fatalf("recording: %v", m)
	}
	w.captured(false)
	patient.request(obj{"type": "chat", "text": "still here"}, "ack")
	doctor.await("chat")
	doctor.request(obj{"type": "record", "on": true}, "ack")
	patient.await("recording", recordingIs("recording"))
}

// A restart goes on with the recording by itself, for who granted before.
func TestRecordingGoesOnAfterARestart(t *testing.T) {
	w := newWorld(t)
	c, _, _ := w.recorded()
	w.clock.advance(time.Minute)
	w.stop()
	w.captured(false)
	w.start()
	doctor := w.enter(c, consult.Doctor, "doc_1")
	w.captured(true)
	patient := w.dial()
	in := patient.request(joinMessage(c, w.token(c, consult.Patient, "pat_1"), "p1"), "joined")
	if v := in["recording"].(obj); v["state"] != "recording" || v["you"].(obj)["decision"] != "granted" || v["recorded_seconds"] != 60.0 {
		t.Fatalf("recording: %v", v)
	}
	w.clock.advance(time.Second)
	doctor.request(obj{"type": "end"}, "ack")
	doctor.await("ended")
	w.captured(false)
	w.eventually("stored", func() bool {
		open, err := w.store.OpenRecordings(t.Context())
		return err == nil && len(open) == 0
	})
	all, _, err := w.store.Recordings(t.Context(), w.scope, consult.RecordingFilter{SessionID: c.ID}, consult.Page{Limit: 10})
	must(t, err)
	if len(all) != 1 || all[0].State != consult.RecordingStored || len(all[0].Segments) != 2 || all[0].Reason != consult.RecordingCallEnded {
		t.Fatalf("recordings: %+v", all)
	}
	for _, secret := range []string{"Pat pat_1", "Dr. Ada", "tok-"} {
		if strings.Contains(w.logs.String(), secret) {
			t.Fatalf("%q is in the log", secret)
		}
	}
}

// Over the API, from whatever node: the row says it, the bus announces it.
func TestRecordingOverTheAPI(t *testing.T) {
	w := newWorld(t)
	c, doctor, patient := w.recordable()
	patient.request(consentMessage("granted"), "ack")
	doctor.request(consentMessage("granted"), "ack")
	actor := consult.Actor{Kind: consult.ActorKey, ID: "key_one"}
	_, err := w.rec.Start(t.Context(), w.scope, c.ID, actor)
	must(t, err)
	patient.await("recording", recordingIs("recording"))
	must(t, w.rec.Stop(t.Context(), w.scope, c.ID, actor))
	patient.await("recording", recordingIs("off"))
	w.captured(false)
}

// Somebody sent out of the call does not keep the gate shut.
func TestEjectedAndSentBack(t *testing.T) {
	w := newWorld(t)
	c, doctor, _ := w.recorded()
	guest := w.enter(c, consult.Guest, "gst_1")
	doctor.await("recording", recordingIs("paused"))
	doctor.request(obj{"type": "eject", "participant_id": guest.id}, "ack")
	doctor.await("recording", recordingIs("recording"))
	w.captured(true)
	// An offer that is still being answered when its sender is put out.
	late := w.dial()
	late.send(with(joinMessage(c, w.token(c, consult.Guest, "gst_2"), "late"), obj{"offer": "held"}))
	doctor.await("recording", recordingIs("paused"))
	w.media.until(t, "the offer is being answered", func() bool { return w.media.holding == 1 })
	late.drop()
	w.captured(false)
	w.clock.armed(t, w.cfg.ResumeGrace, 1)
	w.clock.advance(w.cfg.ResumeGrace)
	doctor.request(obj{"type": "ping"}, "pong")
	w.captured(false) // media may still come of it
	close(w.media.gate)
	doctor.await("recording", recordingIs("recording"))
	w.captured(true)
}

// A request reaches the node that holds the call, whether it hears of it or not.
func TestRecordingReachesEveryNode(t *testing.T) {
	n := newTwoNodes(t)
	n.recordable = true
	n.hearing(t, func(t *testing.T, limit time.Duration) {
		c, doctor, patient := n.startCall(t)
		actor := consult.Actor{Kind: consult.ActorKey, ID: "key_one"}
		doctor.request(consentMessage("granted"), "ack")
		patient.request(consentMessage("granted"), "ack")
		within(t, limit, "the start", func() {
			_, err := n.nodes[0].rec.Start(t.Context(), n.scope, c.ID, actor)
			must(t, err)
			patient.await("recording", recordingIs("recording"))
		})
		n.nodes[1].captured(true)
		n.nodes[0].captured(false)
		within(t, limit, "the stop", func() {
			must(t, n.nodes[0].rec.Stop(t.Context(), n.scope, c.ID, actor))
			patient.await("recording", recordingIs("off"))
		})
		n.nodes[1].captured(false)
		n.nodes[1].eventually("stored", func() bool {
			open, err := n.store.OpenRecordings(t.Context())
			return err == nil && len(open) == 0
		})
	})
}
