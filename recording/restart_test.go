package recording

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// After a restart the recording goes on by itself as a further segment, once
// people are back, for their grants are in the store.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	c, r := w.recorded()
	w.awaitRow(r.ID, "row recording", inState(consult.RecordingRunning))
	w.clock.advance(time.Minute)
	w.stop()
	got := w.row(r.ID)
	if got.State != consult.RecordingPaused || got.Reason != consult.RecordingLost || got.StoppedAt != nil || got.Duration != time.Minute {
		t.Fatalf("row after the stop: %+v", got)
	}
	if !w.takes.last().closed {
		t.Fatal("the segment is open")
	}
	w.clock.advance(10 * time.Second)
	w.start()
	w.attach(c)
	w.enter(c, patient)
	w.is(c, Recording)
	w.enter(c, helper)
	w.is(c, Paused)
	must(t, w.say(c, helper, granted))
	w.enter(c, doctor)
	if v := w.is(c, Recording); v.RecordingID != r.ID || v.Recorded != time.Minute {
		t.Fatalf("view: %+v", v)
	}
	if got := w.takes.last().seg.Header; got.Segment != 1 || !got.RecordingStartedAt.Equal(r.StartedAt) {
		t.Fatalf("header: %+v", got)
	}
	w.clock.advance(time.Minute)
	must(t, w.rec.Stop(t.Context(), w.scope, c.ID, consult.System))
	got = w.awaitRow(r.ID, "stored", inState(consult.RecordingStored))
	if len(got.Segments) != 2 || got.Duration != 2*time.Minute || len(got.Tracks) != 1 || got.Tracks[0].Packets != 20 {
		t.Fatalf("row: %+v", got)
	}
	gap := consult.RecordingGap{From: time.Minute, To: 70 * time.Second, Reason: consult.RecordingLost}
	if !slices.Equal(got.Gaps, []consult.RecordingGap{gap}) {
		t.Fatalf("gaps: %+v", got.Gaps)
	}
}

// kill leaves things as a crash does: the Service is cut off from the disk.
func (w *world) kill() {
	w.t.Helper()
	old := w.dir
	w.dir = w.t.TempDir()
	left, err := os.ReadDir(old)
	must(w.t, err)
	for _, f := range left {
		data, err := os.ReadFile(filepath.Join(old, f.Name()))
		must(w.t, err)
		must(w.t, os.WriteFile(filepath.Join(w.dir, f.Name()), data, 0o600))
	}
	w.store.fail(true) // what it still says on the way down goes nowhere
	w.blobs.fail(true)
	w.stop()
	w.store.fail(false)
	w.blobs.fail(false)
}

func TestCrash(t *testing.T) {
	w := newWorld(t)
	c, r := w.recorded()
	w.awaitRow(r.ID, "row recording", inState(consult.RecordingRunning))
	w.clock.advance(40 * time.Second)
	w.kill()
	w.clock.advance(20 * time.Second)
	w.start()
	w.attach(c)
	w.enter(c, doctor, patient)
	w.is(c, Recording)
	w.clock.advance(time.Minute)
	must(t, w.rec.Stop(t.Context(), w.scope, c.ID, consult.System))
	got := w.awaitRow(r.ID, "stored", inState(consult.RecordingStored))
	if len(got.Segments) != 2 || got.Duration != 2*time.Minute { // the crashed one holds a minute, as it was read
		t.Fatalf("row: %+v", got)
	}
	i := slices.IndexFunc(got.Gaps, func(g consult.RecordingGap) bool { return g.Reason == consult.RecordingLost })
	if i < 0 || got.Gaps[i].To != time.Minute {
		t.Fatalf("gaps: %+v", got.Gaps)
	}
}

// The call does not go on after a crash: what was captured is stored.
func TestCrashAndTheCallIsOver(t *testing.T) {
	w := newWorld(t)
	c, r := w.recorded()
	w.awaitRow(r.ID, "row recording", inState(consult.RecordingRunning))
	w.kill()
	_, err := w.svc.Cancel(t.Context(), w.scope, c.ID, consult.System, consult.CancelledByCaller)
	must(t, err)
	w.start()
	w.running()
	w.eventually("stored", func() bool {
		w.clock.advance(10 * time.Second)
		return w.row(r.ID).State == consult.RecordingStored
	})
	if got := w.row(r.ID); len(got.Segments) != 1 || got.Reason != consult.RecordingCallEnded {
		t.Fatalf("row: %+v", got)
	}
}

// running runs the Service's own rounds until the test is over.
func (w *world) running() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.rec.Run(ctx)
	}()
	w.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// The room goes away and comes back, as when everybody leaves for a while.
func TestRoomGoesAndComesBack(t *testing.T) {
	w := newWorld(t)
	c, r := w.recorded()
	w.clock.advance(time.Second)
	w.rec.Leave(c.ID, doctor.ParticipantID)
	w.rec.Leave(c.ID, patient.ParticipantID)
	w.detach[0]()
	w.eventually("segment ended", func() bool { w.takes.mu.Lock(); defer w.takes.mu.Unlock(); return w.takes.takes[0].closed })
	w.attach(c)
	w.enter(c, doctor, patient)
	if v := w.is(c, Recording); v.RecordingID != r.ID {
		t.Fatalf("view: %+v", v)
	}
}

// Another node starts and stops: the row is what counts.
func TestStartedElsewhere(t *testing.T) {
	w := newWorld(t)
	c := w.consultation()
	w.enter(c, doctor, patient)
	must(t, w.say(c, doctor, granted))
	must(t, w.say(c, patient, granted))

	elsewhere := &world{
		t: t, scope: w.scope, dir: t.TempDir(), clock: w.clock, store: w.store, svc: w.svc, blobs: w.blobs,
		takes: &fakeCapturer{clock: w.clock}, queued: w.queued, vault: w.vault, logs: w.logs,
	}
	elsewhere.start(func(c *Config) { c.Alone = false })
	t.Cleanup(elsewhere.stop)
	actor := consult.Actor{Kind: consult.ActorKey, ID: "key_one"}
	r, err := elsewhere.rec.Start(t.Context(), w.scope, c.ID, actor)
	must(t, err)
	w.is(c, Off)
	w.rec.Sync(t.Context(), c) // as the bus has the room do
	w.is(c, Recording)
	w.clock.advance(time.Second)
	must(t, elsewhere.rec.Stop(t.Context(), w.scope, c.ID, actor))
	if got := w.row(r.ID); got.StoppedAt == nil || got.State != consult.RecordingPaused {
		t.Fatalf("row: %+v", got)
	}
	w.rec.Sync(t.Context(), c)
	w.is(c, Off)
	got := w.awaitRow(r.ID, "stored", inState(consult.RecordingStored))
	if len(got.Segments) != 1 || got.Reason != consult.RecordingStopped {
		t.Fatalf("row: %+v", got)
	}
	if n := strings.Count(strings.Join(w.events(c, "recording."), " "), "stopped"); n != 1 {
		t.Fatalf("stopped %d times", n)
	}
}

// The account's key changes while the server is down: what follows does not go
// to another key under the same recording.
func TestKeyChanges(t *testing.T) {
	w := newWorld(t)
	now := w.clock.Now()
	set := &consult.RecordingSettings{Scope: w.scope, Recipient: "age1clinic", UpdatedAt: &now}
	must(t, w.store.SetRecordingSettings(t.Context(), set, nil))
	c, r := w.recorded()
	if r.ServerKey || r.Recipient != "fp-age1clinic" || w.takes.last().seg.Recipient != "age1clinic" {
		t.Fatalf("row: %+v", r)
	}
	w.clock.advance(time.Second)
	w.stop()
	set.Recipient = "age1other"
	must(t, w.store.SetRecordingSettings(t.Context(), set, nil))
	w.start()
	w.attach(c)
	w.enter(c, doctor, patient)
	w.is(c, Off)
	got := w.awaitRow(r.ID, "stored", inState(consult.RecordingStored))
	if got.Reason != consult.RecordingLost || w.queued.has(r.ID) {
		t.Fatalf("row: %+v", got)
	}
}

// What is kept for days goes after them, with proof, unless it is held.
func TestRetention(t *testing.T) {
	w := newWorld(t)
	now := w.clock.Now()
	must(t, w.store.SetRecordingSettings(t.Context(), &consult.RecordingSettings{Scope: w.scope, RetentionDays: 30, UpdatedAt: &now}, nil))
	c, r := w.recorded()
	w.clock.advance(time.Second)
	if err := w.rec.Delete(t.Context(), w.scope, r.ID, consult.System); !consult.HasCode(err, consult.Conflict) {
		t.Fatalf("deleting what goes on: %v", err)
	}
	must(t, w.rec.Stop(t.Context(), w.scope, c.ID, consult.System))
	got := w.awaitRow(r.ID, "stored", inState(consult.RecordingStored))
	if got.RetainUntil == nil || !got.RetainUntil.Equal(got.StoppedAt.Add(30*24*time.Hour)) {
		t.Fatalf("row: %+v", got)
	}
	actor := consult.Actor{Kind: consult.ActorKey, ID: "key_one"}
	_, err := w.rec.Hold(t.Context(), w.scope, r.ID, actor, true)
	must(t, err)
	if err := w.rec.Delete(t.Context(), w.scope, r.ID, actor); consult.AsError(err).Reason != consult.ReasonRecordingHeld {
		t.Fatalf("deleting what is held: %v", err)
	}
	w.clock.advance(31 * 24 * time.Hour)
	w.rec.retain(t.Context())
	if w.blobs.count() != 1 {
		t.Fatal("deleted under legal hold")
	}
	_, err = w.rec.Hold(t.Context(), w.scope, r.ID, actor, false)
	must(t, err)
	w.blobs.fail(true)
	w.rec.retain(t.Context())
	if got := w.row(r.ID); got.State != consult.RecordingDeleted || got.Purged || w.blobs.count() != 1 {
		t.Fatalf("row: %+v", got)
	}
	if w.queued.has(r.ID) {
		t.Fatal("what is deleted is still to be composed")
	}
	w.blobs.fail(false)
	w.rec.retain(t.Context())
	if got := w.row(r.ID); !got.Purged || w.blobs.count() != 0 {
		t.Fatalf("row: %+v", got)
	}
	all := w.events(c, "recording.")
	if !slices.Equal(all[len(all)-4:], []string{"held", "released", "deleted", "purged"}) {
		t.Fatalf("events: %v", all)
	}
	entries, err := w.store.Audit(t.Context(), w.scope, c.ID)
	must(t, err)
	i := slices.IndexFunc(entries, func(e auditEntry) bool { return e.Event.Type == consult.EventRecordingDeleted })
	if proof := string(entries[i].Event.Data); !strings.Contains(proof, got.Segments[0].SHA256) || !strings.Contains(proof, `"why":"retention"`) {
		t.Fatalf("proof: %s", proof)
	}
}
