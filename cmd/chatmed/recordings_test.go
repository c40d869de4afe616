package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/journal"
)

// inRecordableCall is inCall where recording is allowed.
func inRecordableCall(t *testing.T, srv *server) (doctor, patient *person) {
	t.Helper()
	var v video
	srv.want(http.MethodPost, "/api/v1/consultations/video/create", map[string]any{
		"doctor_id": "doc_rec", "patient_id": "pat_rec", "doctor_name": "Dr. Ada", "patient_name": "Pat", "enable_recording": true,
	}, &v)
	doctor = srv.visitor(v.DoctorJoinURL).withMedia("doctor")
	patient = srv.visitor(v.PatientJoinURL).withMedia("patient")
	ticketID := patient.mustWait().Waiting.TicketID
	doctor.mustJoin()
	if ack := doctor.ask(map[string]any{"type": "admit", "ticket_id": ticketID}); ack.Type != "ack" {
		t.Fatalf("admit: %+v", ack)
	}
	in := patient.awaitAdmitted()
	if len(in.Recording.Wordings) != 3 || in.Recording.State != "off" {
		t.Fatalf("recording: %+v", in.Recording)
	}
	srv.awaitStatus(v.SessionID, consult.Active)
	patient.call.awaitMore("doctor")
	doctor.call.awaitMore("patient")
	return doctor, patient
}

func (p *person) says(decision string) {
	p.t.Helper()
	m := map[string]any{"type": "consent", "decision": decision, "wording_id": "recording-1", "language": "fr"}
	if ack := p.ask(m); ack.Type != "ack" {
		p.t.Fatalf("%s %s: %+v", p.role, decision, ack)
	}
}

func (p *person) awaitRecording(state string) message {
	p.t.Helper()
	return p.await("recording "+state, func(m message) bool { return m.Type == "recording" && m.State == state })
}

// span is the frames a caller sent between two moments: [from, to).
type span struct{ from, to int64 }

func (s span) has(n int64) bool { return s.from <= n && n < s.to }

// recordedFrames reads what the journals hold: the numbers of the frames by what they
// say, and the tracks.
func recordedFrames(t *testing.T, srv *server, r *consult.Recording) (frames map[string][]int64, tracks map[string]journal.Track) {
	t.Helper()
	frames, tracks = map[string][]int64{}, map[string]journal.Track{}
	for _, s := range r.Segments {
		f, size, err := srv.blobs.Open(t.Context(), s.Key)
		must(t, err)
		if size != s.Bytes {
			t.Errorf("%d bytes stored, %d listed", size, s.Bytes)
		}
		in := journal.NewReader(f, srv.vault.Identities()...)
		for {
			e, err := in.Next()
			if errors.Is(err, io.EOF) || errors.Is(err, journal.ErrTruncated) { // the latter after a crash
				break
			}
			must(t, err)
			switch e := e.(type) {
			case journal.Track:
				tracks[e.Role+" "+e.Source] = e
			case *journal.Packet:
				_, text, _ := bytes.Cut(e.Payload, []byte("<"))
				text, number, ok := bytes.Cut(text, []byte(">"))
				if !ok {
					continue
				}
				n, err := strconv.ParseInt(string(number), 10, 64)
				must(t, err)
				frames[string(text)] = append(frames[string(text)], n)
			}
		}
		must(t, f.Close())
	}
	return frames, tracks
}

// TestRecordedCall records a call of two clients, opens what is stored with the
// vault's key, and finds nothing in it that came without everybody's consent.
func TestRecordedCall(t *testing.T) {
	onBoth(t, func(t *testing.T, srv *server) {
		doctor, patient := inRecordableCall(t, srv)
		callers := map[string]*call{"doctor": doctor.call, "patient": patient.call}
		allowed, forbidden := map[string][]span{}, map[string][]span{}
		mark := map[string]int64{}
		// now notes what was sent since the last mark: what a caller has sent by a
		// moment has arrived a little later, so a frame at the border is neither.
		now := func(into map[string][]span) {
			const border = 5
			for name, c := range callers {
				n := c.sent.Load()
				into[name] = append(into[name], span{mark[name] + border, n - border})
				mark[name] = n
			}
		}
		patient.says("granted")
		if ack := doctor.ask(map[string]any{"type": "record", "on": true}); ack.Type != "ack" {
			t.Fatalf("record: %+v", ack)
		}
		patient.awaitRecording("waiting")
		patient.call.awaitMore("doctor")
		now(forbidden)
		doctor.says("granted")
		id := patient.awaitRecording("recording").RecordingID
		hear(doctor, patient)
		now(allowed)
		patient.says("withdrawn")
		// From the acknowledgement on there is no border: nothing may be there.
		after := map[string]int64{}
		for name, c := range callers {
			after[name] = c.sent.Load() + 1
		}
		hear(doctor, patient)
		for name, c := range callers {
			forbidden[name] = append(forbidden[name], span{after[name], c.sent.Load() - 5})
			mark[name] = c.sent.Load()
		}
		patient.says("granted")
		doctor.awaitRecording("recording")
		hear(doctor, patient)
		now(allowed)
		if ack := doctor.ask(map[string]any{"type": "record", "on": false}); ack.Type != "ack" {
			t.Fatalf("record: %+v", ack)
		}
		patient.awaitRecording("off")
		r := awaitStored(t, srv, id)
		frames, tracks := recordedFrames(t, srv, r)
		for name := range callers {
			for _, kind := range []string{" audio", " video"} {
				checkFrames(t, name+kind, frames[name+kind], allowed[name], forbidden[name])
			}
		}
		if got := tracks["patient camera"]; got.Name != "Pat" || len(tracks) != 4 {
			t.Errorf("tracks: %+v", slices.Collect(maps.Keys(tracks)))
		}
		if len(r.Tracks) != 4 || r.Duration < time.Second || !r.ServerKey || r.SessionID != doctor.session {
			t.Errorf("recording: %+v", r)
		}
		records, broken, err := srv.store.VerifyConsents(t.Context(), scopeOf(t, srv))
		if err != nil || records != 4 || len(broken) > 0 {
			t.Errorf("chain of consent: %d records, %v, %v", records, broken, err)
		}
	})
}

// hear lets both hear each other for a while.
func hear(doctor, patient *person) {
	for range 3 {
		doctor.call.awaitMore("patient")
		patient.call.awaitMore("doctor")
	}
}

// checkFrames finds no frame of a forbidden span, and audio of the allowed ones whole;
// pictures begin with a key frame.
func checkFrames(t *testing.T, what string, got []int64, allowed, forbidden []span) {
	t.Helper()
	slices.Sort(got)
	for i, n := range got {
		if i > 0 && got[i-1] == n {
			t.Errorf("%s: frame %d twice", what, n)
		}
		for _, s := range forbidden {
			if s.has(n) {
				t.Errorf("%s: frame %d was sent while not everybody agreed (%v)", what, n, s)
			}
		}
	}
	for _, s := range allowed {
		found := 0
		for _, n := range got {
			if s.has(n) {
				found++
			}
		}
		if want := int(s.to-s.from) / 4; found < want {
			t.Errorf("%s: %d frames of %v, want %d", what, found, s, want)
		}
	}
}

func awaitStored(t *testing.T, srv *server, id string) *consult.Recording {
	t.Helper()
	var r *consult.Recording
	eventually(t, "recording stored", func() bool {
		var err error
		r, err = srv.store.Recording(t.Context(), scopeOf(t, srv), id)
		must(t, err)
		return r.State.Over() // whatever is made of it then: these pictures show nothing
	})
	return r
}

// TestRecordingGoesOnAfterARestart stops the server under a recorded call: the
// recording goes on by itself, as a further segment.
func TestRecordingGoesOnAfterARestart(t *testing.T) {
	srv := newServer(t)
	doctor, patient := inRecordableCall(t, srv)
	patient.says("granted")
	doctor.says("granted")
	doctor.ask(map[string]any{"type": "record", "on": true})
	id := patient.awaitRecording("recording").RecordingID
	hear(doctor, patient)
	srv.restart()
	for i, p := range []*person{doctor, patient} {
		p.awaitClose()
		p.withoutMedia().withMedia(p.role + " again")
		if m := p.mustJoin(); m.Recording.State != "recording" {
			t.Fatalf("after the restart, %s (%d): %+v", p.role, i, m.Recording)
		}
	}
	hear2 := func() { doctor.call.awaitMore("patient again"); patient.call.awaitMore("doctor again") }
	hear2()
	hear2()
	if ack := doctor.ask(map[string]any{"type": "end"}); ack.Type != "ack" {
		t.Fatalf("end: %+v", ack)
	}
	r := awaitStored(t, srv, id)
	frames, _ := recordedFrames(t, srv, r)
	for _, name := range []string{"doctor", "patient"} {
		for _, what := range []string{name + " audio", name + " video", name + " again audio", name + " again video"} {
			if len(frames[what]) == 0 {
				t.Errorf("nothing of %s", what)
			}
		}
	}
	if len(r.Segments) != 2 || r.Reason != consult.RecordingCallEnded || len(r.Tracks) != 4 {
		t.Errorf("recording: %+v", r)
	}
	left, err := os.ReadDir(filepath.Join(srv.cfg.DataDir, recordingsDir))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left behind: %s", fmt.Sprint(left))
	}
}
