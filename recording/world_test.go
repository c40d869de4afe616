package recording

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// world is a Service on the real store, with a clock that stands still.
type world struct {
	t      *testing.T
	scope  consult.Scope
	dir    string
	clock  *fakeClock
	store  *flakyStore
	svc    *consult.Service
	blobs  *fakeBlobs
	takes  *fakeCapturer
	queued *fakeComposer
	vault  *fakeVault
	logs   *logs

	rec    *Service
	detach []func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, scope: consult.Scope{AccountID: "acc_one", Mode: consult.Live}, dir: t.TempDir(),
		clock: &fakeClock{now: time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)},
		blobs: &fakeBlobs{objects: map[string][]byte{}}, queued: &fakeComposer{}, vault: &fakeVault{key: "age1server"},
		logs: &logs{},
	}
	w.takes = &fakeCapturer{clock: w.clock}
	ctx := context.Background()
	inner, err := store.Open(ctx, "", t.TempDir(), slog.New(slog.DiscardHandler))
	must(t, err)
	t.Cleanup(func() { must(t, inner.Close()) })
	w.store = &flakyStore{Store: inner}
	must(t, inner.CreateKey(ctx,
		&consult.Account{ID: w.scope.AccountID, Name: "Clinic One", CreatedAt: w.clock.Now()},
		&consult.APIKey{ID: "key_one", Scope: w.scope, UserID: "usr_one", ProfileID: "prof_one", Name: "one",
			Plan: consult.PlanProfessional, Prefix: "sk_live_x", Hash: bytes.Repeat([]byte{1}, 32), CreatedAt: w.clock.Now()}, nil))
	w.svc = consult.NewService(inner, noBus{}, w.clock.Now, slog.New(slog.DiscardHandler))
	w.start()
	t.Cleanup(w.stop)
	return w
}

// start brings a Service up; stop and start are a restart.
func (w *world) start(change ...func(*Config)) {
	w.t.Helper()
	cfg := DefaultConfig(w.dir)
	cfg.Alone = true
	for _, f := range change {
		f(&cfg)
	}
	var err error
	w.rec, err = New(cfg, Deps{
		Store: w.store, Consultations: w.svc, Bus: noBus{}, Blobs: w.blobs, Composer: w.queued, Vault: w.vault, Capturer: w.takes,
		Wordings: func(keeper string, _ int) []consult.Wording {
			return []consult.Wording{wordingOf("en", "Recorded and kept by "+keeper), wordingOf("fr", "Enregistré par "+keeper)}
		},
		Clock: w.clock, Log: slog.New(slog.NewTextHandler(w.logs, nil)), Metrics: prometheus.NewRegistry(),
	})
	must(w.t, err)
}

func (w *world) stop() {
	if w.rec == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.rec.Close(ctx); err != nil {
		w.t.Error(err)
	}
	w.rec, w.detach = nil, nil
}

func wordingOf(language, text string) consult.Wording {
	sum := sha256.Sum256([]byte(text))
	return consult.Wording{ID: "recording-1", Language: language, Text: text, Hash: hex.EncodeToString(sum[:])}
}

// consultation makes one that may be recorded, with its room here.
func (w *world) consultation() *consult.Consultation {
	w.t.Helper()
	c, err := w.svc.Create(w.t.Context(), w.scope, consult.System, consult.CreateRequest{
		DoctorID: "doc_1", PatientID: "pat_1", DoctorName: "Dr. Ada", PatientName: "Pat", EnableRecording: true, KeyID: "key_one",
	})
	must(w.t, err)
	w.attach(c)
	return c
}

func (w *world) attach(c *consult.Consultation) {
	w.detach = append(w.detach, w.rec.Attach(c.Scope, c.ID, func() {}))
}

func person(role consult.Role, subject string) Person {
	return Person{ParticipantID: "prt_" + subject, Role: role, Subject: subject, Name: "Name of " + subject}
}

var (
	doctor  = person(consult.Doctor, "doc_1")
	patient = person(consult.Patient, "pat_1")
	helper  = person(consult.Interpreter, "int_1")
)

func (w *world) enter(c *consult.Consultation, people ...Person) {
	for _, p := range people {
		w.rec.Enter(w.t.Context(), c, p)
	}
}

func (w *world) say(c *consult.Consultation, p Person, d consult.ConsentDecision) error {
	return w.rec.Decide(w.t.Context(), c.ID, p.ParticipantID, Decision{Decision: d, WordingID: "recording-1", Language: "en"})
}

// recorded is a consultation that is being recorded.
func (w *world) recorded() (*consult.Consultation, *consult.Recording) {
	w.t.Helper()
	c := w.consultation()
	w.enter(c, doctor, patient)
	must(w.t, w.say(c, doctor, consult.ConsentGranted))
	must(w.t, w.say(c, patient, consult.ConsentGranted))
	r, err := w.rec.Start(w.t.Context(), w.scope, c.ID, consult.System)
	must(w.t, err)
	w.is(c, Recording)
	return c, r
}

func (w *world) is(c *consult.Consultation, want State) View {
	w.t.Helper()
	v := w.rec.State(c.ID, doctor.ParticipantID)
	if v.State != want {
		w.t.Fatalf("state is %s (%s), want %s; waits for %v", v.State, v.Reason, want, v.WaitsFor)
	}
	if open := w.takes.open(); open != (want == Recording) {
		w.t.Fatalf("captured: %v in state %s", open, want)
	}
	return v
}

func (w *world) row(id string) *consult.Recording {
	w.t.Helper()
	r, err := w.store.Recording(context.Background(), w.scope, id)
	must(w.t, err)
	return r
}

func (w *world) awaitRow(id, what string, ok func(*consult.Recording) bool) *consult.Recording {
	w.t.Helper()
	var r *consult.Recording
	w.eventually(what, func() bool { r = w.row(id); return ok(r) })
	return r
}

func inState(s consult.RecordingState) func(*consult.Recording) bool {
	return func(r *consult.Recording) bool { return r.State == s }
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			w.t.Fatalf("waited in vain: %s\n%s", what, w.logs)
		}
	}
}

// events are the types of the consultation's audit entries that begin so.
func (w *world) events(c *consult.Consultation, prefix string) []string {
	w.t.Helper()
	all, err := w.store.Audit(context.Background(), w.scope, c.ID)
	must(w.t, err)
	var out []string
	for _, e := range all {
		if typ, ok := strings.CutPrefix(string(e.Event.Type), prefix); ok {
			out = append(out, typ)
		}
	}
	return out
}

type auditEntry = store.AuditEntry

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// logs keeps what was logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type noBus struct{}

func (noBus) Publish(context.Context, string, []byte) error       { return nil }
func (noBus) Subscribe(string, func([]byte)) (unsubscribe func()) { return func() {} }
func (noBus) OnReconnect(func()) (cancel func())                  { return func() {} }

// fakeClock stands still until a test advances it.
type fakeClock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*fakeTimer
}

type fakeTimer struct {
	at time.Time
	f  func()
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) AfterFunc(d time.Duration, f func()) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &fakeTimer{c.now.Add(d), f}
	c.timers = append(c.timers, t)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.timers = slices.DeleteFunc(c.timers, func(o *fakeTimer) bool { return o == t })
	}
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	var due []*fakeTimer
	c.timers = slices.DeleteFunc(c.timers, func(t *fakeTimer) bool {
		if t.at.After(c.now) {
			return false
		}
		due = append(due, t)
		return true
	})
	c.mu.Unlock()
	for _, t := range due {
		t.f()
	}
}

// flakyStore fails where a test says so.
type flakyStore struct {
	*store.Store
	mu      sync.Mutex
	down    bool
	chain   bool                 // only the chain is down
	holding chan struct{}        // an append waits for it
	asked   chan consult.Consent // and says so here
}

var errDown = errors.New("the store is down")

func (s *flakyStore) fail(down bool) { s.mu.Lock(); s.down = down; s.mu.Unlock() }

func (s *flakyStore) failChain(down bool) { s.mu.Lock(); s.chain = down; s.mu.Unlock() }

func (s *flakyStore) check(chain bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down || (chain && s.chain) {
		return errDown
	}
	return nil
}

func (s *flakyStore) AppendConsent(ctx context.Context, c *consult.Consent, ev []consult.Event) error {
	s.mu.Lock()
	holding, asked := s.holding, s.asked
	s.mu.Unlock()
	if holding != nil && c.Decision == consult.ConsentGranted {
		asked <- *c
		<-holding
	}
	if err := s.check(true); err != nil {
		return err
	}
	return s.Store.AppendConsent(ctx, c, ev)
}

func (s *flakyStore) Consents(ctx context.Context, sc consult.Scope, id string) ([]consult.Consent, error) {
	if err := s.check(true); err != nil {
		return nil, err
	}
	return s.Store.Consents(ctx, sc, id)
}

func (s *flakyStore) ChangeRecording(ctx context.Context, sc consult.Scope, id string, change func(*consult.Recording) ([]consult.Event, error)) (*consult.Recording, error) {
	if err := s.check(false); err != nil {
		return nil, err
	}
	return s.Store.ChangeRecording(ctx, sc, id, change)
}

func (s *flakyStore) OpenRecordings(ctx context.Context) ([]consult.Recording, error) {
	if err := s.check(false); err != nil {
		return nil, err
	}
	return s.Store.OpenRecordings(ctx)
}

// fakeBlobs keeps objects in memory.
type fakeBlobs struct {
	mu      sync.Mutex
	down    bool
	objects map[string][]byte
}

func (b *fakeBlobs) Upload(_ context.Context, key, path string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return errDown
	}
	data, err := os.ReadFile(path)
	if err == nil {
		b.objects[key] = data
	}
	return err
}

func (b *fakeBlobs) Delete(_ context.Context, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return errDown
	}
	delete(b.objects, key)
	return nil
}

func (b *fakeBlobs) fail(down bool) { b.mu.Lock(); b.down = down; b.mu.Unlock() }

func (b *fakeBlobs) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.objects)
}

type fakeComposer struct {
	mu  sync.Mutex
	ids []string
}

func (c *fakeComposer) Queue(_ consult.Scope, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids = append(c.ids, id)
}

func (c *fakeComposer) Cancel(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids = slices.DeleteFunc(c.ids, func(other string) bool { return other == id })
}

func (c *fakeComposer) has(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.ids, id)
}

type fakeVault struct{ key string }

func (v *fakeVault) Recipient() string            { return v.key }
func (v *fakeVault) Fingerprint(of string) string { return "fp-" + of }

// fakeCapturer writes a line per opening into its file.
type fakeCapturer struct {
	clock *fakeClock
	mu    sync.Mutex
	full  bool // nothing can be written
	// stranger says that somebody unknown is in the room.
	stranger bool
	takes    []*fakeTake
}

type fakeTake struct {
	of     *fakeCapturer
	seg    Segment
	isOpen bool
	people []Member
	since  time.Time
	total  time.Duration
	whys   []string
	closed bool
}

func (f *fakeCapturer) Capture(s Segment) (Capture, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return nil, errors.New("no space left on device")
	}
	if err := os.WriteFile(s.Path, []byte("header\n"), 0o600); err != nil {
		return nil, err
	}
	t := &fakeTake{of: f, seg: s}
	f.takes = append(f.takes, t)
	return t, nil
}

func (f *fakeCapturer) Inspect(_ context.Context, path string) (Summary, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Summary{}, err
	}
	return Summary{Bytes: int64(len(data)), SHA256: checksum(data), Duration: time.Duration(bytes.Count(data, []byte("open"))) * time.Minute,
		Tracks: []consult.RecordingTrack{{ID: 1, ParticipantID: doctor.ParticipantID, Source: consult.SourceCamera, Packets: 10}}}, nil
}

func checksum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (f *fakeCapturer) open() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.takes, func(t *fakeTake) bool { return t.isOpen })
}

func (f *fakeCapturer) last() *fakeTake {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.takes[len(f.takes)-1]
}

func (f *fakeCapturer) set(change func()) { f.mu.Lock(); change(); f.mu.Unlock() }

func (t *fakeTake) Open(people []Member) bool {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	if t.of.stranger {
		t.isOpen = false
		return false
	}
	if !t.isOpen {
		t.since = t.of.clock.Now()
		f, err := os.OpenFile(t.seg.Path, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, _ = f.WriteString("open\n")
			_ = f.Close()
		}
	}
	t.isOpen, t.people = true, people
	return true
}

func (t *fakeTake) Shut(reason string) {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.shut(reason)
}

func (t *fakeTake) shut(reason string) {
	if t.isOpen {
		t.total += t.of.clock.Now().Sub(t.since)
		t.whys = append(t.whys, reason)
	}
	t.isOpen, t.people = false, nil
}

func (t *fakeTake) Close(_ context.Context, reason string) (Summary, error) {
	t.of.mu.Lock()
	t.shut(reason)
	t.closed = true
	t.of.mu.Unlock()
	sum := t.Summary()
	data, err := os.ReadFile(t.seg.Path)
	sum.Bytes, sum.SHA256 = int64(len(data)), checksum(data)
	return sum, err
}

func (t *fakeTake) Summary() Summary {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	s := Summary{Bytes: 7, Duration: t.total}
	if t.isOpen {
		s.Duration += t.of.clock.Now().Sub(t.since)
	}
	if s.Duration > 0 {
		s.Tracks = []consult.RecordingTrack{{ID: 1, ParticipantID: doctor.ParticipantID, Source: consult.SourceCamera, Packets: 10}}
	}
	return s
}

func (t *fakeTake) members() []string {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	var out []string
	for _, m := range t.people {
		out = append(out, m.ParticipantID)
	}
	return out
}
