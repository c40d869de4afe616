package capture

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/journal"
	"github.com/chatmed/chatmed/sfu"
)

// fakeTap is a room's part: it lets packets through while it is open.
type fakeTap struct {
	sink   sfu.Sink
	mu     sync.Mutex // the room's
	open   bool
	refuse bool
	keys   int
	calls  []string
	now    func() time.Time
}

func (f *fakeTap) Open(ids []string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprint("open ", ids))
	if f.refuse {
		f.shut()
		return false
	}
	if !f.open {
		f.open = true
		f.sink.Gate(true, f.now())
	}
	return true
}

func (f *fakeTap) isOpen() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open
}

func (f *fakeTap) shut() {
	if f.open {
		f.open = false
		f.sink.Gate(false, f.now())
	}
}

func (f *fakeTap) Shut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, "shut")
	f.shut()
}

func (f *fakeTap) KeyFrames() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys++
}

func (f *fakeTap) Close() { f.Shut() }

// send is a packet from the room. It reports whether the tap let it through.
func (f *fakeTap) send(s *sfu.Stream, ext uint64, start bool, payload string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.open {
		return false
	}
	p := &sfu.Packet{Stream: s, At: f.now(), ExtSeq: ext, Start: start, Timestamp: uint32(ext) * 960, Codec: "opus", Orientation: -1, Payload: []byte(payload)}
	if s.Kind == "video" {
		p.Codec, p.KeyFrame = "vp8", start
	}
	f.sink.Packet(p)
	clear(p.Payload) // nobody may keep it
	return true
}

var (
	people = []Person{{"prt_a", consult.Doctor, "Dr. Adams"}, {"prt_b", consult.Patient, "Ms. Brown"}}
)

func mic(who string) *sfu.Stream {
	return &sfu.Stream{ParticipantID: who, Source: consult.SourceMicrophone, Kind: "audio", ClockRate: 48000}
}

func cam(who string) *sfu.Stream {
	return &sfu.Stream{ParticipantID: who, Source: consult.SourceCamera, Kind: "video", Layer: 1, ClockRate: 90000}
}

// pass lets the bubble's clock go on.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // the bubble's clock

// rig is a recorder with a fake room.
type rig struct {
	t *testing.T
	*Recorder
	tap   *fakeTap
	path  string
	key   *age.X25519Identity
	reg   *prometheus.Registry
	fails chan string
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, tap: &fakeTap{now: time.Now}, path: filepath.Join(t.TempDir(), "segment"), key: key, reg: prometheus.NewRegistry(), fails: make(chan string, 10)}
	cfg := Config{
		Path: r.path, Header: journal.Header{RecordingID: "rec_1", SessionID: "vid_1"}, Recipients: []age.Recipient{key.Recipient()},
		Tap:    func(s sfu.Sink) Tap { r.tap.sink = s; return r.tap },
		OnFail: func(reason string) { r.fails <- reason }, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(r.reg),
	}
	if change != nil {
		change(&cfg)
	}
	if r.Recorder, err = Start(cfg); err != nil {
		t.Fatal(err)
	}
	return r
}

// counter is the value of a counter with one label.
func (r *rig) counter(name, label string) float64 {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "chatmed_recording_"+name && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func (r *rig) open() {
	r.t.Helper()
	if err := r.Open(people); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) close() Summary {
	r.t.Helper()
	s, err := r.Close(r.t.Context(), consult.RecordingStopped)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// read reads the segment back, and compares it with the summary's sum.
func (r *rig) read(s Summary) (entries []journal.Entry, end error) {
	r.t.Helper()
	raw, err := os.ReadFile(r.path)
	if err != nil {
		r.t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	if s.SHA256 != hex.EncodeToString(sum[:]) || s.Bytes != int64(len(raw)) {
		r.t.Errorf("the summary speaks of %d bytes with sum %.8s, the file has %d with %.8s", s.Bytes, s.SHA256, len(raw), hex.EncodeToString(sum[:]))
	}
	return readAll(bytes.NewReader(raw), r.key)
}

func readAll(in io.Reader, key age.Identity) (entries []journal.Entry, end error) {
	jr := journal.NewReader(in, key)
	for {
		e, err := jr.Next()
		if err != nil {
			return entries, err
		}
		entries = append(entries, e)
	}
}

// strip leaves out the times and turns pointers into values, to compare.
func strip(entries []journal.Entry) (out []string) {
	for _, e := range entries {
		switch e := e.(type) {
		case *journal.Packet:
			out = append(out, fmt.Sprintf("%d:%d:%s:%s", e.Stream, e.ExtSeq, e.Codec, e.Payload))
		case journal.Header:
			out = append(out, "header")
		case journal.Track:
			out = append(out, fmt.Sprintf("track %d %s %s %s %s %s", e.ID, e.ParticipantID, e.Role, e.Name, e.Source, e.Kind))
		case journal.Stream:
			out = append(out, fmt.Sprintf("stream %d of %d layer %d %d", e.ID, e.Track, e.Layer, e.ClockRate))
		case journal.Gate:
			out = append(out, fmt.Sprintf("gate %t %s", e.Open, e.Reason))
		case journal.Muted:
			out = append(out, fmt.Sprintf("muted %d %t", e.Track, e.Muted))
		case journal.Report:
			out = append(out, fmt.Sprintf("report %d %d %d", e.Stream, e.NTP, e.RTP))
		case journal.Dropped:
			out = append(out, fmt.Sprintf("dropped %d %d", e.Track, e.Packets))
		case journal.End:
			out = append(out, "end "+e.Reason)
		}
	}
	return out
}

func TestCaptureWritesWhatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		a, b := mic("prt_a"), cam("prt_b")
		pass(2 * time.Second)
		r.tap.send(a, 1, true, "before")
		r.open()
		r.tap.sink.Muted("prt_a", consult.SourceMicrophone, false, time.Now())
		r.tap.sink.Muted("prt_b", consult.SourceMicrophone, true, time.Now())
		r.tap.sink.Report(a, time.Now(), 9, 8)
		r.tap.send(a, 2, true, "two")
		r.tap.send(b, 100, true, "key")
		pass(3 * time.Second)
		r.Shut(consult.RecordingNoConsent)
		r.tap.send(a, 3, false, "not")
		pass(time.Second)
		people := slices.Clone(people)
		people[1].Name = "Mrs. Brown"
		if err := r.Open(people); err != nil {
			t.Fatal(err)
		}
		r.tap.send(a, 4, true, "four")
		pass(time.Second)
		s := r.close()
		entries, end := r.read(s)
		if end != io.EOF {
			t.Fatal(end)
		}
		want := []string{
			"header", "gate true ", "track 1 prt_b patient Ms. Brown microphone audio", "muted 1 true",
			"track 2 prt_a doctor Dr. Adams microphone audio", "stream 1 of 2 layer 0 48000", "report 1 9 8", "1:2:opus:two",
			"track 3 prt_b patient Ms. Brown camera video", "stream 2 of 3 layer 1 90000", "2:100:vp8:key",
			"gate false consent", "track 1 prt_b patient Mrs. Brown microphone audio", "track 3 prt_b patient Mrs. Brown camera video",
			"gate true ", "1:4:opus:four", "gate false stopped", "end stopped",
		}
		if got := strip(entries); !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if s.Duration != 4*time.Second {
			t.Errorf("open for %v", s.Duration)
		}
		gaps := []consult.RecordingGap{{From: 0, To: 2 * time.Second, Reason: "consent"}, {From: 5 * time.Second, To: 6 * time.Second, Reason: "consent"}}
		if !slices.Equal(s.Gaps, gaps) {
			t.Errorf("gaps %+v", s.Gaps)
		}
		tracks := []consult.RecordingTrack{
			{ID: 2, ParticipantID: "prt_a", Role: consult.Doctor, Source: "microphone", Codec: "opus", Packets: 2, Bytes: 7},
			{ID: 3, ParticipantID: "prt_b", Role: consult.Patient, Source: "camera", Codec: "vp8", Packets: 1, Bytes: 3},
		}
		if !slices.Equal(s.Tracks, tracks) {
			t.Errorf("tracks %+v", s.Tracks)
		}
		for _, e := range entries {
			if p, ok := e.(*journal.Packet); ok && p.ExtSeq == 4 && p.At != 6*time.Second {
				t.Errorf("at %v", p.At)
			}
		}
		again, err := r.Close(t.Context(), "again")
		if err != nil || again.SHA256 != s.SHA256 {
			t.Error("closing again", err)
		}
		if r.Open(people) != ErrOver {
			t.Error("opened after the end")
		}
	})
}

// A later segment's gaps count from the recording's start.
func TestLaterSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		pass(time.Minute)
		r := newRig(t, func(c *Config) {
			c.Header.Segment, c.Header.RecordingStartedAt, c.Header.StartedAt = 1, began, time.Now().Add(-time.Second).UTC()
		})
		pass(time.Second)
		r.open()
		pass(time.Second)
		s := r.close()
		if want := []consult.RecordingGap{{From: 59 * time.Second, To: 61 * time.Second, Reason: "consent"}}; !slices.Equal(s.Gaps, want) {
			t.Errorf("gaps %+v", s.Gaps)
		}
	})
}

func TestOpenWithAStranger(t *testing.T) {
	r := newRig(t, nil)
	r.open()
	r.tap.mu.Lock()
	r.tap.refuse = true
	r.tap.mu.Unlock()
	if err := r.Open(people[:1]); err != ErrStranger {
		t.Error(err)
	}
	s := r.close()
	entries, _ := r.read(s)
	if got := strip(entries); !slices.Contains(got, "gate false consent") {
		t.Errorf("got %q", got)
	}
}

// What is captured is on disk within a second.
func TestFramesAreOnDiskSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.open()
		a := mic("prt_a")
		for n := range uint64(150) {
			r.tap.send(a, n, n == 0, fmt.Sprint(n))
			pass(20 * time.Millisecond)
			synctest.Wait()
			raw, err := os.ReadFile(r.path)
			if err != nil {
				t.Fatal(err)
			}
			entries, end := readAll(bytes.NewReader(raw), r.key)
			if end != journal.ErrTruncated {
				t.Fatal(end)
			}
			have := 0
			for _, e := range entries {
				if _, ok := e.(*journal.Packet); ok {
					have++
				}
			}
			if behind := time.Duration(int(n)+1-have) * 20 * time.Millisecond; behind > time.Second {
				t.Fatalf("%v behind", behind)
			}
		}
		r.close()
	})
}

// A file that is there already is left alone.
func TestStartDoesNotOverwrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(path, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Config{Path: path}); err == nil {
		t.Error("began")
	}
	if b, _ := os.ReadFile(path); string(b) != "another" {
		t.Error("overwritten")
	}
	missing := filepath.Join(t.TempDir(), "no", "segment")
	if _, err := Start(Config{Path: missing}); err == nil {
		t.Error("began without a folder")
	}
	nobody := filepath.Join(t.TempDir(), "segment")
	if _, err := Start(Config{Path: nobody}); err == nil {
		t.Error("began without a recipient")
	}
	if _, err := os.Stat(nobody); err == nil {
		t.Error("left a file behind")
	}
}

// A queue takes packets without allocating once it has its size.
func TestQueueAllocatesNothing(t *testing.T) {
	q := newQueue(limits{}.withDefaults(), nil)
	p := &sfu.Packet{Stream: mic("a"), At: time.Now(), Payload: make([]byte, 1100), Codec: "vp8"}
	for range 2 {
		for range 2000 {
			q.Packet(p)
		}
		q.give(q.take())
	}
	if n := testing.AllocsPerRun(1000, func() { q.Packet(p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkQueue(b *testing.B) {
	q := newQueue(limits{}.withDefaults(), nil)
	p := &sfu.Packet{Stream: mic("a"), At: time.Now(), Payload: make([]byte, 1100), Codec: "vp8"}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%1000 == 0 {
			q.give(q.take())
		}
		q.Packet(p)
	}
}
