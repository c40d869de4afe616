package signaling

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
	"github.com/chatmed/chatmed/recording"
)

type noBlobs struct{}

func (noBlobs) Upload(context.Context, string, string) error { return nil }
func (noBlobs) Delete(context.Context, string) error         { return nil }

type fakeVault struct{}

func (fakeVault) Recipient() string            { return "age1server" }
func (fakeVault) Fingerprint(of string) string { return "fp-" + of }

func fakeWordings(keeper string, _ int) []consult.Wording {
	text := "Kept by " + keeper
	sum := sha256.Sum256([]byte(text))
	return []consult.Wording{{ID: "recording-1", Language: "en", Text: text, Hash: hex.EncodeToString(sum[:])}}
}

// record makes the world's recording service.
func (w *world) record(clock recording.Clock, bus recording.Bus, alone bool) {
	w.t.Helper()
	if w.takes == nil {
		w.takes, w.dir, w.chain = &fakeCapturer{now: clock.Now, media: w.media}, w.t.TempDir(), &flakyChain{Store: w.store}
	}
	cfg := recording.DefaultConfig(w.dir)
	cfg.Alone = alone
	var err error
	w.rec, err = recording.New(cfg, recording.Deps{
		Store: w.chain, Consultations: w.svc, Bus: bus, Blobs: noBlobs{}, Vault: fakeVault{}, Capturer: w.takes,
		Wordings: fakeWordings, Clock: clock, Log: slog.New(slog.NewTextHandler(w.logs, nil)), Metrics: w.metrics,
	})
	must(w.t, err)
}

// flakyChain takes no decisions while it is down.
type flakyChain struct {
	*store.Store
	mu   sync.Mutex
	down bool
}

func (s *flakyChain) fail(down bool) { s.mu.Lock(); s.down = down; s.mu.Unlock() }

func (s *flakyChain) AppendConsent(ctx context.Context, c *consult.Consent, ev []consult.Event) error {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if down {
		return errors.New("the store is down")
	}
	return s.Store.AppendConsent(ctx, c, ev)
}

// fakeCapturer refuses, as the SFU does, while somebody it is not opened for has
// media.
type fakeCapturer struct {
	now   func() time.Time
	media *fakeMedia
	mu    sync.Mutex
	takes []*fakeTake
}

type fakeTake struct {
	of     *fakeCapturer
	seg    recording.Segment
	isOpen bool
	people []string
	since  time.Time
	total  time.Duration
}

func (f *fakeCapturer) Capture(s recording.Segment) (recording.Capture, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := os.WriteFile(s.Path, []byte("x"), 0o600); err != nil {
		return nil, err
	}
	t := &fakeTake{of: f, seg: s}
	f.takes = append(f.takes, t)
	return t, nil
}

func (f *fakeCapturer) Inspect(context.Context, string) (recording.Summary, error) {
	return recording.Summary{}, nil
}

// open lists whom it is open for; nil: shut.
func (f *fakeCapturer) open() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.takes {
		if t.isOpen {
			return slices.Clone(t.people)
		}
	}
	return nil
}

func (f *fakeCapturer) last() *fakeTake {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.takes[len(f.takes)-1]
}

func (t *fakeTake) Open(people []recording.Member) bool {
	ids := make([]string, 0, len(people))
	for _, p := range people {
		ids = append(ids, p.ParticipantID)
	}
	t.of.media.mu.Lock()
	stranger := slices.ContainsFunc(t.of.media.legs, func(l *fakeLeg) bool {
		return !l.closed && l.request.RoomID == t.seg.RoomID && !slices.Contains(ids, l.request.ParticipantID)
	})
	t.of.media.mu.Unlock()
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	if stranger {
		t.shutLocked()
		return false
	}
	if !t.isOpen {
		t.since = t.of.now()
	}
	t.isOpen, t.people = true, ids
	return true
}

func (t *fakeTake) Shut(string) {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.shutLocked()
}

func (t *fakeTake) shutLocked() {
	if t.isOpen {
		t.total += t.of.now().Sub(t.since)
	}
	t.isOpen, t.people = false, nil
}

func (t *fakeTake) Close(context.Context, string) (recording.Summary, error) {
	t.Shut("")
	return t.Summary(), nil
}

func (t *fakeTake) Summary() recording.Summary {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	s := recording.Summary{Bytes: 1, Duration: t.total, SHA256: "00"}
	if t.isOpen {
		s.Duration += t.of.now().Sub(t.since)
	}
	return s
}
