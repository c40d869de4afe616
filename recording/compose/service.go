package compose

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/journal"
)

// Records keeps recordings.
type Records interface {
	Recording(ctx context.Context, sc consult.Scope, id string) (*consult.Recording, error)
	// ChangeRecording locks the row, calls change and stores the result with its
	// events; without any it stores nothing.
	ChangeRecording(ctx context.Context, sc consult.Scope, id string,
		change func(*consult.Recording) ([]consult.Event, error)) (*consult.Recording, error)
	// UpdateRecording stores all of r, with its events or none.
	UpdateRecording(ctx context.Context, r *consult.Recording, ev []consult.Event) error
	// UncomposedRecordings lists at most limit that the server may compose and has
	// not, oldest first, in all scopes.
	UncomposedRecordings(ctx context.Context, limit int) ([]consult.Recording, error)
}

// Blobs keeps objects.
type Blobs interface {
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	Open(ctx context.Context, key string) (io.ReadSeekCloser, int64, error)
	Delete(ctx context.Context, key string) error
}

// ServiceConfig is what an operator may set.
type ServiceConfig struct {
	Config
	QueueConfig
	// LookEvery is how often recordings are looked for that were never composed: a
	// minute.
	LookEvery time.Duration
	// Attempts is how often a composition is tried that may succeed later: 3.
	Attempts int
}

// Deps is what a Service works with.
type Deps struct {
	Records Records
	Blobs   Blobs
	// Identities open the segments, Recipient is whom the files are encrypted to.
	Identities []age.Identity
	Recipient  age.Recipient
	// Claim makes this node the only one that composes a recording until release,
	// and reports false while another does; nil: there is no other node.
	Claim   func(ctx context.Context, recordingID string) (release func(), ok bool)
	Now     func() time.Time
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Service composes the recordings that the server holds the key of, one at a
// time, and lists the files in their rows.
type Service struct {
	cfg   ServiceConfig
	deps  Deps
	queue *Queue
	done  *prometheus.CounterVec
	took  prometheus.Histogram

	mu    sync.Mutex
	known map[string]*task // by recording
}

// task is a recording that is to be composed.
type task struct {
	scope    consult.Scope
	attempts int
}

const (
	callTimeout   = 10 * time.Second
	progressEvery = 5 * time.Second
	lookLimit     = 100
)

// NewService removes what a crash left and starts the queue. Run and Close belong
// to it.
func NewService(cfg ServiceConfig, deps Deps) (*Service, error) {
	cfg.Config = cfg.withDefaults()
	if cfg.LookEvery <= 0 {
		cfg.LookEvery = time.Minute
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = 3
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("compose: %w", err)
	}
	if err := Sweep(cfg.Dir); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, deps: deps, known: map[string]*task{}}
	s.done = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "chatmed", Subsystem: "compose", Name: "jobs_total", Help: "Compositions, by what came of them.",
	}, []string{"result"})
	s.took = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "chatmed", Subsystem: "compose", Name: "seconds", Help: "Time a composition took.", Buckets: prometheus.ExponentialBuckets(1, 3, 9),
	})
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "chatmed", Subsystem: "compose", Name: "queue", Help: "Compositions that wait or are at work.",
	}, func() float64 { return float64(s.queue.Len()) })
	s.queue = NewQueue(cfg.QueueConfig, s.do)
	for _, c := range []prometheus.Collector{s.done, s.took, waiting} {
		if err := deps.Metrics.Register(c); err != nil {
			s.queue.cancel()
			return nil, fmt.Errorf("compose: metrics: %w", err)
		}
	}
	return s, nil
}

// Queue has a stored recording composed. It does not block; what finds no room is
// found by Run later.
func (s *Service) Queue(sc consult.Scope, recordingID string) {
	s.mu.Lock()
	if s.known[recordingID] == nil {
		s.known[recordingID] = &task{scope: sc}
	}
	s.mu.Unlock()
	if err := s.queue.Add(recordingID); err != nil {
		s.forget(recordingID)
	}
}

// Cancel ends the composition of a recording, which was deleted.
func (s *Service) Cancel(recordingID string) { s.queue.Cancel(recordingID) }

// Run looks for what was never composed, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(s.cfg.LookEvery)
	defer tick.Stop()
	for {
		s.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Service) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := s.deps.Records.UncomposedRecordings(ctx, lookLimit)
	if err != nil {
		s.deps.Log.Warn("recordings to compose not looked for, tried again soon", "err", err)
		return
	}
	for i := range list {
		s.Queue(list[i].Scope, list[i].ID)
	}
}

// Close ends what is at work, which is composed again after the next start.
func (s *Service) Close(ctx context.Context) error { return s.queue.Close(ctx) }

func (s *Service) forget(id string) {
	s.mu.Lock()
	delete(s.known, id)
	s.mu.Unlock()
}

// errGone: there is nothing to be composed any more.
var errGone = errors.New("compose: the recording is gone")

// do composes one recording.
func (s *Service) do(ctx context.Context, id string) {
	s.mu.Lock()
	t := s.known[id]
	s.mu.Unlock()
	if t == nil {
		return
	}
	if s.deps.Claim != nil {
		release, ok := s.deps.Claim(ctx, id)
		if !ok {
			s.forget(id)
			return
		}
		defer release()
	}
	began := s.deps.Now()
	err := s.compose(ctx, t.scope, id)
	result := "ok"
	switch {
	case err == nil:
		s.took.Observe(s.deps.Now().Sub(began).Seconds())
	case errors.Is(err, errGone):
		result = "gone"
	case errors.Is(err, context.Canceled): // closing, or cancelled
		result = "cancelled"
	default:
		t.attempts++
		result = "error"
		s.deps.Log.Error("recording not composed", "recording_id", id, "attempt", t.attempts, "err", err)
		if !final(err) && t.attempts < s.cfg.Attempts {
			s.done.WithLabelValues(result).Inc()
			return // Run finds it again
		}
		s.fail(t.scope, id)
	}
	s.done.WithLabelValues(result).Inc()
	s.forget(id)
}

// final reports whether trying again cannot help.
func final(err error) bool {
	for _, e := range []error{ErrEmpty, ErrMixed, journal.ErrCorrupt, journal.ErrKey} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (s *Service) event(r *consult.Recording, typ consult.EventType) consult.Event {
	data, _ := json.Marshal(map[string]any{"recording_id": r.ID, "state": r.State, "reason": r.Reason, "files": len(r.Files)}) // strings and a number
	return consult.Event{
		ID: consult.NewID(consult.PrefixEvent), Type: typ, Scope: r.Scope, Actor: consult.System,
		SessionID: r.SessionID, DoctorID: r.DoctorID, At: s.deps.Now().UTC(), Data: data,
	}
}

// fail ends in order what cannot be composed: its segments stay.
func (s *Service) fail(sc consult.Scope, id string) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	_, err := s.deps.Records.ChangeRecording(ctx, sc, id, func(r *consult.Recording) ([]consult.Event, error) {
		if r.State != consult.RecordingComposing && r.State != consult.RecordingStored {
			return nil, nil
		}
		r.State, r.Reason, r.Progress = consult.RecordingFailed, consult.RecordingComposed, 0
		return []consult.Event{s.event(r, consult.EventRecordingFailed)}, nil
	})
	if err != nil {
		s.deps.Log.Error("failed composition not noted", "recording_id", id, "err", err)
	}
}

// compose makes the files of a recording and lists them.
func (s *Service) compose(ctx context.Context, sc consult.Scope, id string) error {
	row, err := s.progress(ctx, sc, id, 0)
	if err != nil {
		return err
	}
	var files []consult.RecordingFile
	opt := Options{WebM: true, MP4: true, Tracks: true}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	last := s.deps.Now()
	opt.Progress = func(done float64) {
		if now := s.deps.Now(); now.Sub(last) >= progressEvery {
			last = now
			if _, err := s.progress(ctx, sc, id, done); errors.Is(err, errGone) {
				cancel(err)
			}
		}
	}
	in := Input{Identities: s.deps.Identities}
	for _, g := range row.Segments {
		in.Segments = append(in.Segments, func(ctx context.Context) (io.ReadCloser, error) {
			r, _, err := s.deps.Blobs.Open(ctx, g.Key)
			return r, err
		})
	}
	report, err := Compose(ctx, s.cfg.Config, in, opt, func(ctx context.Context, f File, r io.Reader) error {
		file, err := s.store(ctx, id, f, r)
		if err == nil {
			files = append(files, file)
		}
		return err
	})
	if err == nil {
		for _, w := range report.Warnings {
			s.deps.Log.Warn("composed with something missing", "recording_id", id, "what", w)
		}
		err = s.finish(ctx, sc, id, files)
	}
	if err != nil {
		s.discard(files)
		if cause := context.Cause(ctx); errors.Is(cause, errGone) {
			return errGone
		}
	}
	return err
}

// progress notes how far a composition is.
func (s *Service) progress(ctx context.Context, sc consult.Scope, id string, done float64) (*consult.Recording, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	row, err := s.deps.Records.Recording(ctx, sc, id)
	if consult.HasCode(err, consult.NotFound) {
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	if row.State != consult.RecordingComposing && row.State != consult.RecordingStored {
		return nil, errGone
	}
	row.State, row.Progress = consult.RecordingComposing, done
	if err := s.deps.Records.UpdateRecording(ctx, row, nil); err != nil {
		if consult.HasCode(err, consult.Conflict) {
			return nil, errGone
		}
		return nil, err
	}
	return row, nil
}

// store encrypts a file into the blob store. The key is always the same, so that
// another try takes its place.
func (s *Service) store(ctx context.Context, id string, f File, plain io.Reader) (out consult.RecordingFile, err error) {
	sealed, err := os.CreateTemp(s.cfg.Dir, dirPrefix+"*.age")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, sealed.Close(), os.Remove(sealed.Name())) }()
	sum := sha256.New()
	if err := Encrypt(io.MultiWriter(sealed, sum), plain, s.deps.Recipient); err != nil {
		return out, err
	}
	size, err := sealed.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = sealed.Seek(0, io.SeekStart)
	}
	if err != nil {
		return out, err
	}
	key := "recordings/" + id + "/" + f.ID + f.Ext + ".age"
	if err := s.deps.Blobs.Put(ctx, key, sealed, size); err != nil {
		return out, err
	}
	return consult.RecordingFile{
		ID: f.ID, Type: f.Type, PlainSize: f.Size, Duration: f.Duration,
		Object: consult.RecordingObject{Key: key, Bytes: size, SHA256: hex.EncodeToString(sum.Sum(nil))},
	}, nil
}

// Encrypt writes an age file of plain.
func Encrypt(w io.Writer, plain io.Reader, to ...age.Recipient) error {
	enc, err := age.Encrypt(w, to...)
	if err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	if _, err := io.Copy(enc, plain); err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	if err := enc.Close(); err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	return nil
}

func (s *Service) finish(ctx context.Context, sc consult.Scope, id string, files []consult.RecordingFile) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	gone := false
	_, err := s.deps.Records.ChangeRecording(ctx, sc, id, func(r *consult.Recording) ([]consult.Event, error) {
		if gone = r.State != consult.RecordingComposing && r.State != consult.RecordingStored; gone {
			return nil, nil
		}
		r.State, r.Files, r.Progress = consult.RecordingReady, files, 1
		return []consult.Event{s.event(r, consult.EventRecordingReady)}, nil
	})
	if gone || consult.HasCode(err, consult.NotFound) {
		return errGone
	}
	return err
}

// discard removes files that no row lists.
func (s *Service) discard(files []consult.RecordingFile) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, f := range files {
		if err := s.deps.Blobs.Delete(ctx, f.Object.Key); err != nil {
			s.deps.Log.Error("file of an unfinished composition left in the store", "key", filepath.Base(f.Object.Key), "err", err)
		}
	}
}
