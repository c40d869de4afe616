package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/blob"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording"
	"github.com/chatmed/chatmed/recording/vault"
	"github.com/chatmed/chatmed/recording/wording"
)

// anyStore is a store that a test may exchange for another.
type anyStore struct{ blob.Store }

// files reads recordings as cmd does.
type files struct {
	blobs *anyStore
	vault *vault.Vault
}

func (f files) Holds(fingerprint string) bool { return f.vault.Holds(fingerprint) }

func (f files) Stored(ctx context.Context, key string) (io.ReadSeekCloser, int64, error) {
	return f.blobs.Open(ctx, key)
}

func (f files) Plain(ctx context.Context, key string) (io.ReadSeekCloser, int64, error) {
	r, size, err := f.blobs.Open(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	return blob.Plain(r, size, f.vault.Identities()...)
}

// fakeComposer notes what is to be composed.
type fakeComposer struct {
	mu     sync.Mutex
	queued []string
}

func (f *fakeComposer) Queue(_ consult.Scope, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queued = append(f.queued, id)
}

func (f *fakeComposer) list() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.queued...)
}

type recipients struct{ vault *vault.Vault }

func (r recipients) Recipient() string                 { return r.vault.Recipient().String() }
func (recipients) Fingerprint(recipient string) string { return vault.Fingerprint(recipient) }

// recordingClock is the test's time with the machine's timers.
type recordingClock struct{ *clock }

func (c recordingClock) Now() time.Time { return c.now() }

func (recordingClock) AfterFunc(d time.Duration, f func()) (stop func()) {
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}

// openRecordings makes the recorder, whose rooms are all elsewhere.
func (w *world) openRecordings(secrets *auth.Secrets) {
	w.t.Helper()
	keys, err := secrets.Derive(auth.PurposeVault)
	must(w.t, err)
	w.vault, err = vault.New(keys)
	must(w.t, err)
	w.composer = &fakeComposer{}
	cfg := recording.DefaultConfig(w.t.TempDir())
	cfg.Alone = true
	w.recorder, err = recording.New(cfg, recording.Deps{
		Store: w.store, Consultations: w.consults, Bus: w.redis.Bus(), Blobs: w.blobs, Vault: recipients{w.vault},
		Wordings: wording.All, Clock: recordingClock{w.clock}, Log: slog.New(slog.DiscardHandler), Metrics: w.registry,
	})
	must(w.t, err)
	w.t.Cleanup(func() { _ = w.recorder.Close(context.Background()) })
}

// runRetention lets the recorder look once for what is over.
func (w *world) runRetention() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 500*time.Millisecond)
	defer cancel()
	w.recorder.Run(ctx)
}

// recorded makes a recording that is over, with a segment and a playable file of
// composedFile's bytes in the store.
func (w *world) recorded(session, patient string, change ...func(*consult.Recording)) *consult.Recording {
	w.t.Helper()
	now := w.clock.now()
	r := &consult.Recording{
		ID: consult.NewID(consult.PrefixRecording), Scope: w.apiKey.Scope, SessionID: session, DoctorID: "doc_1", PatientID: patient,
		State: consult.RecordingReady, StartedAt: now, StoppedAt: &now, Duration: 90*time.Second + 250*time.Millisecond,
		Recipient: vault.Fingerprint(w.vault.Recipient().String()), ServerKey: true, Progress: 1,
		Tracks: []consult.RecordingTrack{{ID: 1, ParticipantID: "prt_1", Role: consult.Doctor, Source: "microphone", Codec: "opus", Packets: 10, Bytes: 1000, Lost: 1}},
		Gaps:   []consult.RecordingGap{{From: time.Second, To: 2 * time.Second, Reason: "consent"}, {Track: 1, From: 3 * time.Second, To: 4 * time.Second, Reason: "loss"}},
	}
	r.Segments = []consult.RecordingObject{w.store1("recordings/"+r.ID+"/seg_1.journal", w.seal([]byte("what was captured")))}
	r.Files = []consult.RecordingFile{{
		ID: "composed-webm", Type: "video/webm", PlainSize: int64(len(composedFile)), Duration: 89 * time.Second,
		Object: w.store1("recordings/"+r.ID+"/composed-webm", w.seal(composedFile)),
	}}
	for _, f := range change {
		f(r)
	}
	must(w.t, w.store.CreateRecording(w.t.Context(), r, nil))
	return r
}

// composedFile is more than two of age's chunks, each byte telling where it is.
var composedFile = func() []byte {
	b := make([]byte, 150_000)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}()

func (w *world) seal(plain []byte) []byte {
	w.t.Helper()
	var buf bytes.Buffer
	e, err := age.Encrypt(&buf, w.vault.Recipient())
	must(w.t, err)
	_, err = e.Write(plain)
	must(w.t, err)
	must(w.t, e.Close())
	return buf.Bytes()
}

func (w *world) store1(key string, data []byte) consult.RecordingObject {
	w.t.Helper()
	must(w.t, w.blobs.Put(w.t.Context(), key, bytes.NewReader(data), int64(len(data))))
	sum := sha256.Sum256(data)
	return consult.RecordingObject{Key: key, Bytes: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
}
