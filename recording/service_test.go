package recording

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	granted   = consult.ConsentGranted
	declined  = consult.ConsentDeclined
	withdrawn = consult.ConsentWithdrawn
)

// The whole of a recording: nobody has granted, all have, a withdrawal, a grant
// again, the stop, the store.
func TestRecording(t *testing.T) {
	w := newWorld(t)
	c := w.consultation()
	w.enter(c, doctor, patient)
	v := w.is(c, Off)
	if len(v.WaitsFor) != 2 || len(v.Wordings) != 2 || !v.Asked || v.You != "" || !strings.Contains(v.Wordings[0].Text, "Clinic One") {
		t.Fatalf("view: %+v", v)
	}
	must(t, w.say(c, patient, granted))
	r, err := w.rec.Start(t.Context(), w.scope, c.ID, consult.System)
	must(t, err)
	v = w.is(c, Waiting)
	if !slices.Equal(v.WaitsFor, []string{doctor.ParticipantID}) || v.Others[patient.ParticipantID] != granted || v.RecordingID != r.ID {
		t.Fatalf("view: %+v", v)
	}
	if p := w.rec.State(c.ID, patient.ParticipantID); p.Others != nil || p.You != granted {
		t.Fatalf("the patient sees %+v", p)
	}
	must(t, w.say(c, doctor, granted))
	w.is(c, Recording)
	w.awaitRow(r.ID, "row recording", inState(consult.RecordingRunning))
	w.clock.advance(90 * time.Second)
	if v := w.is(c, Recording); v.Recorded != 90*time.Second {
		t.Fatalf("recorded %v", v.Recorded)
	}
	must(t, w.say(c, patient, withdrawn))
	if v := w.is(c, Paused); v.Reason != consult.RecordingNoConsent || v.Recorded != 90*time.Second {
		t.Fatalf("view: %+v", v)
	}
	w.awaitRow(r.ID, "row paused", inState(consult.RecordingPaused))
	w.clock.advance(time.Minute)
	must(t, w.say(c, patient, granted))
	w.awaitRow(r.ID, "row recording again", inState(consult.RecordingRunning))
	w.clock.advance(30 * time.Second)

	again, err := w.rec.Start(t.Context(), w.scope, c.ID, consult.System)
	if err != nil || again.ID != r.ID {
		t.Fatalf("starting twice: %v %v", again, err)
	}
	must(t, w.rec.Stop(t.Context(), w.scope, c.ID, consult.System))
	w.is(c, Off)
	got := w.awaitRow(r.ID, "row stored", inState(consult.RecordingStored))
	if got.Reason != consult.RecordingStopped || got.StoppedAt == nil || len(got.Segments) != 1 || len(got.Tracks) != 1 || got.Duration != 2*time.Minute {
		t.Fatalf("row: %+v", got)
	}
	if got.Segments[0].Bytes == 0 || len(got.Segments[0].SHA256) != 64 || w.blobs.count() != 1 {
		t.Fatalf("segments: %+v, %d objects", got.Segments, w.blobs.count())
	}
	w.eventually("composition queued", func() bool { return w.queued.has(r.ID) })
	w.eventually("the directory is empty", func() bool { left, _ := os.ReadDir(w.dir); return len(left) == 0 })
	want := []string{"started", "resumed", "paused", "resumed", "stopped", "segment_stored", "stored"}
	if got := w.events(c, "recording."); !slices.Equal(got, want) {
		t.Fatalf("events: %v", got)
	}
	want = []string{"granted", "granted", "withdrawn", "granted"}
	if got := w.events(c, "consent."); !slices.Equal(got, want) {
		t.Fatalf("consents: %v", got)
	}
	for _, secret := range []string{"Pat", "Name of", "pat_1"} {
		if strings.Contains(w.logs.String(), secret) {
			t.Fatalf("%q is in the log", secret)
		}
	}
	err = w.rec.Stop(t.Context(), w.scope, c.ID, consult.System)
	if consult.AsError(err).Reason != consult.ReasonNotRecording {
		t.Fatalf("stopping twice: %v", err)
	}
}

// A newcomer shuts the gate before Enter returns, and opens it by a grant, or by
// going again.
func TestNewcomer(t *testing.T) {
	w := newWorld(t)
	c, _ := w.recorded()
	w.enter(c, helper)
	w.is(c, Paused)
	must(t, w.say(c, helper, granted))
	w.is(c, Recording)
	if got := w.takes.last().members(); !slices.Contains(got, helper.ParticipantID) || len(got) != 3 {
		t.Fatalf("captured: %v", got)
	}
	guest := person(consult.Guest, "gst_1")
	w.enter(c, guest)
	must(t, w.say(c, guest, declined))
	w.is(c, Paused)
	w.rec.Leave(c.ID, guest.ParticipantID)
	w.is(c, Recording)
	w.enter(c, guest) // declined for this session
	w.is(c, Paused)
	w.rec.Leave(c.ID, guest.ParticipantID)

	// A person who granted and comes back, as another participant too, and a
	// device do not shut it.
	w.rec.Leave(c.ID, helper.ParticipantID)
	back := helper
	back.ParticipantID = "prt_back"
	w.enter(c, back, person(consult.Device, "dev_1"))
	w.is(c, Recording)
	if got := w.takes.last().members(); !slices.Contains(got, "prt_back") || !slices.Contains(got, "prt_dev_1") || slices.Contains(got, helper.ParticipantID) {
		t.Fatalf("captured: %v", got)
	}
	if err := w.say(c, person(consult.Device, "dev_1"), granted); consult.AsError(err).Code != consult.Forbidden {
		t.Fatalf("a device says: %v", err)
	}
	if err := w.say(c, person(consult.Guest, "nobody"), granted); consult.AsError(err).Reason != consult.ReasonNotJoined {
		t.Fatalf("nobody says: %v", err)
	}
}

func TestOnlyWhatMayBeRecorded(t *testing.T) {
	w := newWorld(t)
	c, err := w.svc.Create(t.Context(), w.scope, consult.System, consult.CreateRequest{DoctorID: "doc_1", PatientID: "pat_2", KeyID: "key_one"})
	must(t, err)
	w.attach(c)
	w.enter(c, doctor)
	if err := w.say(c, doctor, granted); consult.AsError(err).Reason != consult.ReasonRecordingDisabled {
		t.Fatalf("consent: %v", err)
	}
	if _, err := w.rec.Start(t.Context(), w.scope, c.ID, consult.System); consult.AsError(err).Reason != consult.ReasonRecordingDisabled {
		t.Fatalf("start: %v", err)
	}
	d, _ := w.recorded()
	other := consult.Scope{AccountID: "acc_two", Mode: consult.Live}
	if _, err := w.rec.Start(t.Context(), other, d.ID, consult.System); !consult.HasCode(err, consult.NotFound) {
		t.Fatalf("another account starts: %v", err)
	}
	if err := w.rec.Stop(t.Context(), other, d.ID, consult.System); consult.AsError(err).Reason != consult.ReasonNotRecording {
		t.Fatalf("another account stops: %v", err)
	}
	w.is(d, Recording)
	// Only the exact text that was shown can be agreed to; a refusal always counts.
	if err := w.rec.Decide(t.Context(), d.ID, patient.ParticipantID, Decision{granted, "recording-0", "en"}); consult.AsError(err).Code != consult.ValidationError {
		t.Fatalf("another text: %v", err)
	}
	must(t, w.rec.Decide(t.Context(), d.ID, patient.ParticipantID, Decision{withdrawn, "", ""}))
	w.is(d, Paused)
	chain, err := w.store.Consents(t.Context(), w.scope, d.ID)
	must(t, err)
	if last := chain[len(chain)-1]; last.Decision != withdrawn || last.Text == "" || last.Language != "en" {
		t.Fatalf("chain: %+v", last)
	}
}

// A grant that cannot be stored opens nothing; a withdrawal shuts all the same,
// holds, over a restart too, and is stored once the store is back.
func TestStoreFails(t *testing.T) {
	w := newWorld(t)
	c, _ := w.recorded()
	w.clock.advance(time.Second)
	w.store.failChain(true)
	err := w.say(c, patient, withdrawn)
	if consult.AsError(err).Code != consult.ServiceUnavailable {
		t.Fatalf("withdrawal: %v", err)
	}
	w.is(c, Paused)
	if err := w.say(c, patient, granted); consult.AsError(err).Code != consult.ServiceUnavailable {
		t.Fatalf("grant: %v", err)
	}
	w.is(c, Paused)
	w.stop()
	w.start()
	w.attach(c)
	w.enter(c, doctor, patient)
	if w.takes.open() {
		t.Fatal("open after the restart")
	}
	w.store.failChain(false)
	w.clock.advance(2 * time.Second)
	w.eventually("withdrawal stored", func() bool {
		all := w.events(c, "consent.")
		return all[len(all)-1] == "withdrawn"
	})
	w.rec.Sync(t.Context(), c)
	w.is(c, Paused)
	must(t, w.say(c, patient, granted))
	w.is(c, Recording)
	if got := w.events(c, "consent."); !slices.Equal(got, []string{"granted", "granted", "withdrawn", "granted"}) {
		t.Fatalf("chain: %v", got)
	}
	left, err := os.ReadDir(w.dir)
	must(t, err)
	for _, f := range left {
		if strings.HasSuffix(f.Name(), consentExt) {
			t.Fatalf("%s is left", f.Name())
		}
	}
}

// A withdrawal while the grant before it is still being stored wins.
func TestSlowGrantDoesNotUndoAWithdrawal(t *testing.T) {
	w := newWorld(t)
	c, _ := w.recorded()
	w.enter(c, helper)
	holding, asked := make(chan struct{}), make(chan consult.Consent)
	w.store.mu.Lock()
	w.store.holding, w.store.asked = holding, asked
	w.store.mu.Unlock()
	slow := make(chan error, 1)
	go func() { slow <- w.say(c, helper, granted) }()
	<-asked
	withdrawal := make(chan error, 1)
	go func() { withdrawal <- w.say(c, helper, withdrawn) }()
	w.eventually("withdrawal heard", func() bool { return w.rec.State(c.ID, helper.ParticipantID).You == withdrawn })
	close(holding)
	must(t, <-slow)
	must(t, <-withdrawal)
	w.is(c, Paused)
	if got := w.events(c, "consent."); !slices.Equal(got, []string{"granted", "granted", "granted", "withdrawn"}) {
		t.Fatalf("chain: %v", got)
	}
}

// A withdrawal does not wait for a grant of somebody else that is being stored.
func TestWithdrawalDoesNotWait(t *testing.T) {
	w := newWorld(t)
	c, _ := w.recorded()
	holding, asked := make(chan struct{}), make(chan consult.Consent)
	w.store.mu.Lock()
	w.store.holding, w.store.asked = holding, asked
	w.store.mu.Unlock()
	must(t, w.rec.Decide(t.Context(), c.ID, doctor.ParticipantID, Decision{granted, "recording-1", "en"})) // said before
	slow := make(chan error, 1)
	go func() {
		slow <- w.rec.Decide(t.Context(), c.ID, doctor.ParticipantID, Decision{granted, "recording-1", "fr"})
	}()
	<-asked
	done := make(chan error, 1)
	go func() { done <- w.say(c, patient, withdrawn) }()
	w.eventually("shut", func() bool { return !w.takes.open() })
	close(holding)
	must(t, <-slow)
	must(t, <-done)
	w.is(c, Paused)
}

// The call goes on when the storage fails; the recording ends with an event, and
// can be started again.
func TestStorageFails(t *testing.T) {
	w := newWorld(t)
	c, r := w.recorded()
	w.clock.advance(time.Minute)
	w.takes.last().seg.OnFail(consult.RecordingDisk)
	w.eventually("failed", func() bool { return w.rec.State(c.ID, doctor.ParticipantID).State == Failed })
	if v := w.is(c, Failed); v.Reason != consult.RecordingDisk {
		t.Fatalf("view: %+v", v)
	}
	got := w.awaitRow(r.ID, "row failed, segment kept", func(r *consult.Recording) bool {
		return r.State == consult.RecordingFailed && len(r.Segments) == 1
	})
	if got.Reason != consult.RecordingDisk || got.StoppedAt == nil || got.Duration != time.Minute {
		t.Fatalf("row: %+v", got)
	}
	if all := w.events(c, "recording."); !slices.Contains(all, "failed") {
		t.Fatalf("events: %v", all)
	}
	w.takes.set(func() { w.takes.full = true })
	if _, err := w.rec.Start(t.Context(), w.scope, c.ID, consult.System); consult.AsError(err).Code != consult.ServiceUnavailable {
		t.Fatalf("start on a full disk: %v", err)
	}
	w.is(c, Failed)
	w.takes.set(func() { w.takes.full = false })
	w.eventually("failed start is over", func() bool {
		open, err := w.store.OpenRecordings(t.Context())
		return err == nil && len(open) == 0
	})
	_, err := w.rec.Start(t.Context(), w.scope, c.ID, consult.System)
	must(t, err)
	w.is(c, Recording)
}

// The end of the consultation ends the recording; a person absent does not.
func TestConsultationEnds(t *testing.T) {
	w := newWorld(t)
	c, r := w.recorded()
	w.clock.advance(time.Second)
	w.rec.Leave(c.ID, patient.ParticipantID)
	w.is(c, Recording)
	w.rec.Leave(c.ID, doctor.ParticipantID)
	if w.takes.open() {
		t.Fatal("open with nobody there")
	}
	over := *c
	over.Status = consult.Ended
	w.rec.Sync(t.Context(), &over)
	got := w.awaitRow(r.ID, "stored", inState(consult.RecordingStored))
	if got.Reason != consult.RecordingCallEnded || len(got.Segments) != 1 {
		t.Fatalf("row: %+v", got)
	}
	if !w.takes.last().closed {
		t.Fatal("the segment is open")
	}
}

// A recording that was never open leaves nothing behind but its row.
func TestNeverOpen(t *testing.T) {
	w := newWorld(t)
	c := w.consultation()
	w.enter(c, doctor, patient)
	must(t, w.say(c, doctor, granted))
	must(t, w.say(c, patient, declined))
	r, err := w.rec.Start(t.Context(), w.scope, c.ID, consult.System)
	must(t, err)
	w.is(c, Waiting)
	must(t, w.rec.Stop(t.Context(), w.scope, c.ID, consult.System))
	got := w.awaitRow(r.ID, "stored", inState(consult.RecordingStored))
	if len(got.Segments) != 0 || got.Duration != 0 || w.blobs.count() != 0 || w.queued.has(r.ID) {
		t.Fatalf("row: %+v", got)
	}
}

// Somebody whose media is there unannounced keeps it shut, until they are gone.
func TestStranger(t *testing.T) {
	w := newWorld(t)
	c, _ := w.recorded()
	w.takes.set(func() { w.takes.stranger = true })
	w.enter(c, person(consult.Device, "dev_1"))
	w.is(c, Paused)
	w.takes.set(func() { w.takes.stranger = false })
	w.clock.advance(2 * time.Second)
	w.eventually("open again", w.takes.open)
	w.is(c, Recording)
}

func TestBlobStoreIsDown(t *testing.T) {
	w := newWorld(t)
	w.blobs.fail(true)
	c, r := w.recorded()
	w.clock.advance(time.Second)
	must(t, w.rec.Stop(t.Context(), w.scope, c.ID, consult.System))
	w.eventually("tried", func() bool { return strings.Contains(w.logs.String(), "segment not handed over") })
	if got := w.row(r.ID); got.State != consult.RecordingPaused || got.StoppedAt == nil {
		t.Fatalf("row: %+v", got)
	}
	w.blobs.fail(false)
	w.eventually("stored", func() bool {
		w.clock.advance(time.Second)
		return w.row(r.ID).State == consult.RecordingStored
	})
}
