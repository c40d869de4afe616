package main

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// TestKilledWhileRecording kills the server, as kill -9 does, under a recorded
// call: at most two seconds of it are lost, and the recording goes on by itself.
func TestKilledWhileRecording(t *testing.T) {
	srv := newServer(t)
	srv.halt() // it has made the data, the key and the ports
	cmd := program(t, srv.env, "serve")
	var log strings.Builder
	cmd.Stderr = &log
	must(t, cmd.Start())
	killed := false
	kill := func() {
		if !killed {
			killed = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it says that it was killed
		}
	}
	t.Cleanup(kill)
	eventually(t, "the program answers", func() bool {
		conn, err := net.DialTimeout("tcp", srv.addr(), time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	doctor, patient := inRecordableCall(t, srv)
	patient.says("granted")
	doctor.says("granted")
	doctor.ask(map[string]any{"type": "record", "on": true})
	id := patient.awaitRecording("recording").RecordingID
	hear(doctor, patient)
	sent := map[string]int64{"doctor": doctor.call.sent.Load(), "patient": patient.call.sent.Load()}
	kill()

	srv.run(time.Now)
	for _, p := range []*person{doctor, patient} {
		p.awaitClose()
		p.withoutMedia().withMedia(p.role + " again")
		if m := p.mustJoin(); m.Recording.State != "recording" {
			t.Fatalf("after the crash, %s: %+v\n%s", p.role, m.Recording, log.String())
		}
	}
	doctor.call.awaitMore("patient again")
	patient.call.awaitMore("doctor again")
	if ack := doctor.ask(map[string]any{"type": "record", "on": false}); ack.Type != "ack" {
		t.Fatalf("record: %+v", ack)
	}
	r := awaitStored(t, srv, id)
	frames, _ := recordedFrames(t, srv, r)
	for name, n := range sent {
		got := frames[name+" audio"]
		if len(got) == 0 || len(frames[name+" again audio"]) == 0 {
			t.Fatalf("%s: %d frames before and %d after the crash", name, len(got), len(frames[name+" again audio"]))
		}
		lost := time.Duration(n-slices.Max(got)) * 20 * time.Millisecond
		t.Logf("%s: %v lost", name, lost)
		if lost > 2*time.Second {
			t.Errorf("%s: %v lost", name, lost)
		}
	}
	lost := slices.ContainsFunc(r.Gaps, func(g consult.RecordingGap) bool { return g.Track == 0 && g.Reason == consult.RecordingLost })
	if len(r.Segments) != 2 || len(r.Tracks) != 4 || !lost {
		t.Errorf("recording: %+v", r)
	}
	if r.Duration < 2*time.Second {
		t.Errorf("duration: %v", r.Duration)
	}
}
