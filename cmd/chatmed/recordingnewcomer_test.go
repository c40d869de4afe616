package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
)

// TestNewcomerIsNotRecorded has an interpreter come into a recorded call: until
// they grant there is nothing of anybody in the recording, and after it there is.
func TestNewcomerIsNotRecorded(t *testing.T) {
	srv := newServer(t)
	doctor, patient := inRecordableCall(t, srv)
	patient.says("granted")
	doctor.says("granted")
	doctor.ask(map[string]any{"type": "record", "on": true})
	id := patient.awaitRecording("recording").RecordingID
	hear(doctor, patient)

	key, err := srv.keys.Authenticate(t.Context(), srv.key, netip.Addr{})
	must(t, err)
	token, err := srv.tokens.Issue(auth.Claims{
		Kind: auth.KindRoom, Scope: key.Scope, KeyID: key.ID, SessionID: doctor.session, DoctorID: "doc_rec", Role: consult.Interpreter,
		Subject: "int_1", Name: "Ines", Grants: consult.DefaultGrants(consult.Interpreter), ExpiresAt: time.Now().Add(time.Hour),
	})
	must(t, err)
	interpreter := srv.visitor(srv.links.Join(doctor.session, consult.Interpreter, token)).withMedia("interpreter")
	if in := interpreter.mustJoin(); in.Recording.State != "paused" {
		t.Fatalf("the interpreter comes in and finds %+v", in.Recording)
	}
	// From here on nothing may be taken, until the grant.
	callers := map[string]*call{"doctor": doctor.call, "patient": patient.call, "interpreter": interpreter.call}
	forbidden := map[string]span{"interpreter": {}}
	for _, name := range []string{"doctor", "patient"} {
		forbidden[name] = span{from: callers[name].sent.Load() + 1}
	}
	hear(doctor, patient)
	for name, c := range callers {
		s := forbidden[name]
		s.to = c.sent.Load() - 5 // what is on its way when they grant may be taken
		forbidden[name] = s
	}
	interpreter.says("granted")
	doctor.awaitRecording("recording")
	hear(doctor, patient)
	if ack := doctor.ask(map[string]any{"type": "record", "on": false}); ack.Type != "ack" {
		t.Fatalf("record: %+v", ack)
	}
	frames, tracks := recordedFrames(t, srv, awaitStored(t, srv, id))
	for name := range callers {
		for _, kind := range []string{" audio", " video"} {
			checkFrames(t, name+kind, frames[name+kind], nil, []span{forbidden[name]})
			if len(frames[name+kind]) == 0 {
				t.Errorf("nothing of %s%s", name, kind)
			}
		}
	}
	if len(tracks) != 6 {
		t.Errorf("tracks: %+v", tracks)
	}
}
