package compose

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/journal"
)

// rows is a store of one recording.
type rows struct {
	mu     sync.Mutex
	row    consult.Recording
	events []consult.EventType
	change chan consult.RecordingState
	most   float64 // progress
}

func (r *rows) Recording(context.Context, consult.Scope, string) (*consult.Recording, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	row := r.row
	return &row, nil
}

func (r *rows) ChangeRecording(_ context.Context, _ consult.Scope, _ string, change func(*consult.Recording) ([]consult.Event, error)) (*consult.Recording, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	row := r.row
	ev, err := change(&row)
	if err != nil {
		return nil, err
	}
	if len(ev) > 0 {
		r.row = row
		for _, e := range ev {
			r.events = append(r.events, e.Type)
		}
		r.change <- row.State
	}
	return &row, nil
}

func (r *rows) UpdateRecording(_ context.Context, row *consult.Recording, _ []consult.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.row.State == consult.RecordingDeleted {
		return consult.Errorf(consult.Conflict, consult.ReasonRecordingDeleted, "gone")
	}
	r.row = *row
	r.most = max(r.most, row.Progress)
	return nil
}

func (r *rows) UncomposedRecordings(context.Context, int) ([]consult.Recording, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.row.State == consult.RecordingStored || r.row.State == consult.RecordingComposing {
		return []consult.Recording{r.row}, nil
	}
	return nil, nil
}

// objects keeps blobs in memory.
type objects struct {
	mu   sync.Mutex
	m    map[string][]byte
	fail int // puts
	put  func()
}

func (o *objects) Put(_ context.Context, key string, r io.Reader, size int64) error {
	b, err := io.ReadAll(r)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.put != nil {
		o.put()
	}
	if o.fail > 0 {
		o.fail--
		return errors.New("no store")
	}
	if int64(len(b)) != size {
		return errors.New("wrong size")
	}
	o.m[key] = b
	return err
}

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

func (o *objects) Open(_ context.Context, key string) (io.ReadSeekCloser, int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, ok := o.m[key]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return memory{bytes.NewReader(b)}, int64(len(b)), nil
}

func (o *objects) Delete(_ context.Context, key string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.m, key)
	return nil
}

// stage is a Service with a recording of two seconds.
func stage(t *testing.T) (*Service, *rows, *objects, *age.X25519Identity) {
	t.Helper()
	key := newKey(t)
	tp := tape{key: key, end: 2 * time.Second, senders: []*sender{
		{Track: doctorTrack("microphone", "audio"), clip: audio(t, "sine=frequency=440:sample_rate=48000", 2)},
		{Track: doctorTrack("camera", "video"), clip: video(t, journal.VP8, "color=c=red:s=320x180:r=30", 2)},
	}}
	r := &rows{change: make(chan consult.RecordingState, 10), row: consult.Recording{
		ID: "rec_1", State: consult.RecordingStored, Segments: []consult.RecordingObject{{Key: "recordings/rec_1/seg"}},
	}}
	o := &objects{m: map[string][]byte{"recordings/rec_1/seg": tp.record(t)}}
	s, err := NewService(ServiceConfig{Config: Config{Dir: t.TempDir(), Width: 320, Height: 180}, LookEvery: 10 * time.Millisecond}, Deps{
		Records: r, Blobs: o, Identities: []age.Identity{key}, Recipient: key.Recipient(), Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(s.cfg.Dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	})
	return s, r, o, key
}

func TestServiceComposes(t *testing.T) {
	t.Parallel()
	s, r, o, key := stage(t)
	s.Queue(consult.Scope{}, "rec_1")
	if got := <-r.change; got != consult.RecordingReady {
		t.Fatalf("it is %s", got)
	}
	if len(r.row.Files) != 4 || r.row.Progress != 1 {
		t.Fatalf("%+v", r.row)
	}
	for _, f := range r.row.Files {
		sealed := o.m[f.Object.Key]
		sum := sha256.Sum256(sealed)
		if hex.EncodeToString(sum[:]) != f.Object.SHA256 || int64(len(sealed)) != f.Object.Bytes || f.Duration < 1900*time.Millisecond {
			t.Errorf("%+v", f)
		}
		dec, err := age.Decrypt(bytes.NewReader(sealed), key)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, dec); err != nil || n != f.PlainSize {
			t.Errorf("%s: %d bytes of %d: %v", f.ID, n, f.PlainSize, err)
		}
	}
}

// TestServiceTriesAgain has a store that fails once, and a server that starts with
// work left.
func TestServiceTriesAgain(t *testing.T) {
	t.Parallel()
	s, r, o, _ := stage(t)
	o.fail = 1
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { s.Run(ctx) })
	if got := <-r.change; got != consult.RecordingReady || len(r.row.Files) != 4 {
		t.Errorf("it is %s with %d files", got, len(r.row.Files))
	}
	cancel()
	run.Wait()
}

func TestServiceGivesUp(t *testing.T) {
	t.Parallel()
	s, r, o, _ := stage(t)
	b := o.m["recordings/rec_1/seg"]
	b[len(b)/2] ^= 1
	s.Queue(consult.Scope{}, "rec_1")
	if got := <-r.change; got != consult.RecordingFailed || r.row.Reason != consult.RecordingComposed {
		t.Errorf("it is %s for %s", got, r.row.Reason)
	}
	if len(o.m) != 1 {
		t.Errorf("%d objects", len(o.m))
	}
}

// TestServiceLeavesWhatWasDeleted deletes the recording while it is composed.
func TestServiceLeavesWhatWasDeleted(t *testing.T) {
	t.Parallel()
	s, r, o, _ := stage(t)
	put := make(chan struct{}, 10)
	o.put = func() {
		r.mu.Lock()
		r.row.State = consult.RecordingDeleted
		r.mu.Unlock()
		put <- struct{}{}
	}
	s.Queue(consult.Scope{}, "rec_1")
	for range 4 {
		<-put
	}
	if err := s.queue.Close(t.Context()); err == nil { // awaits the job, or ends it
		o.mu.Lock()
		defer o.mu.Unlock()
	}
	if len(o.m) != 1 || len(r.events) != 0 {
		t.Errorf("%d objects left, events %v", len(o.m), r.events)
	}
}
