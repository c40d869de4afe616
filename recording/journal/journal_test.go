package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"filippo.io/age"
)

func newKey(t testing.TB) *age.X25519Identity {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var header = Header{RecordingID: "rec_1", SessionID: "vid_1", StartedAt: time.Unix(1_700_000_000, 0).UTC(), RecordingStartedAt: time.Unix(1_700_000_000, 0).UTC()}

// every has an entry of each kind.
func every() []Entry {
	return []Entry{
		Track{ID: 1, ParticipantID: "prt_a", Role: "doctor", Name: "Dr. Adams", Source: "microphone", Kind: "audio"},
		Track{ID: 2, ParticipantID: "prt_b", Role: "patient", Name: "منى", Source: "camera", Kind: "video"},
		Stream{ID: 1, Track: 1, ClockRate: 48000},
		Stream{ID: 1<<32 - 1, Track: 2, Layer: 3, ClockRate: 90000},
		Gate{At: time.Second, Open: true},
		&Packet{Stream: 1, At: time.Second, ExtSeq: 1 << 16, Timestamp: 1<<32 - 1, Codec: Opus, Orientation: -1, Payload: []byte("sound")},
		&Packet{Stream: 1<<32 - 1, At: time.Hour, ExtSeq: 1<<64 - 1, Marker: true, KeyFrame: true, Codec: AV1, Orientation: 15, Payload: bytes.Repeat([]byte{7}, 300)},
		&Packet{Stream: 1, At: 2 * time.Second, ExtSeq: 3, Codec: "", Orientation: -1, Payload: []byte{}},
		Report{Stream: 1, At: -4 * time.Second, NTP: 1<<64 - 1, RTP: 5},
		Muted{Track: 1, At: 3 * time.Second, Muted: true},
		Dropped{Track: 2, From: time.Second, To: 2 * time.Second, Packets: 9},
		Gate{At: 4 * time.Second, Reason: "consent"},
		End{At: 5 * time.Second, Reason: "stopped"},
	}
}

// build writes a segment with so many entries to a frame, and says where its
// frames begin.
func build(t testing.TB, entries []Entry, perFrame int, to ...age.Recipient) (raw []byte, frames []int) {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, header, to...)
	if err != nil {
		t.Fatal(err)
	}
	frames = []int{len(magic)}
	for i, e := range entries {
		if err := w.Append(e); err != nil {
			t.Fatal(err)
		}
		if (i+1)%perFrame == 0 || i == len(entries)-1 {
			frames = append(frames, out.Len())
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), frames
}

func read(raw []byte, ids ...age.Identity) (got []Entry, end error) {
	r := NewReader(bytes.NewReader(raw), ids...)
	for {
		e, err := r.Next()
		if err != nil {
			if _, again := r.Next(); again != err {
				return got, errors.New("another error the second time")
			}
			return got, err
		}
		got = append(got, e)
	}
}

func TestRoundTrip(t *testing.T) {
	key, other := newKey(t), newKey(t)
	for _, perFrame := range []int{1, 3, 100} {
		raw, _ := build(t, every(), perFrame, key.Recipient(), other.Recipient())
		for _, id := range []age.Identity{key, other} {
			got, end := read(raw, newKey(t), id)
			if end != io.EOF || !reflect.DeepEqual(got, append([]Entry{header}, every()...)) {
				t.Errorf("%d to a frame: %v, %v", perFrame, got, end)
			}
		}
		if bytes.Contains(raw, []byte("Adams")) || bytes.Contains(raw, []byte("sound")) {
			t.Error("in clear")
		}
		if _, end := read(raw, newKey(t)); end != ErrKey {
			t.Errorf("another key: %v", end)
		}
	}
}

// A frame is an age file that anything else that speaks age can open.
func TestFramesAreAgeFiles(t *testing.T) {
	key := newKey(t)
	raw, frames := build(t, every(), 4, key.Recipient())
	for _, at := range frames {
		size := binary.BigEndian.Uint32(raw[at:])
		dec, err := age.Decrypt(bytes.NewReader(raw[at+4:at+4+int(size)]), key)
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := io.ReadAll(dec); err != nil || len(plain) <= linkSize {
			t.Error(len(plain), err)
		}
	}
}

// Cut off anywhere, a segment says that it is truncated and gives every whole
// frame.
func TestTruncation(t *testing.T) {
	key := newKey(t)
	raw, frames := build(t, every(), 3, key.Recipient())
	whole := func(n int) (k int) {
		for _, at := range frames {
			if at+4 <= len(raw) && at+4+int(binary.BigEndian.Uint32(raw[at:])) <= n {
				k++
			}
		}
		return k
	}
	for n := 0; n < len(raw); n += 1 + n%7 {
		got, end := read(raw[:n], key)
		want := 0
		if k := whole(n); k > 0 {
			want = 1 + 3*(k-1)
		}
		if end != ErrTruncated || len(got) != want {
			t.Fatalf("%d of %d bytes: %d entries, want %d: %v", n, len(raw), len(got), want, end)
		}
		// What a power cut leaves of the rest is zeros.
		zeros := append(bytes.Clone(raw[:n]), make([]byte, len(raw)-n+5000)...)
		if end := frameEnd(frames, len(raw), n); n >= len(magic) && end-n >= tornZeros {
			if _, end := read(zeros, key); end != ErrTruncated {
				t.Fatalf("%d of %d bytes, then zeros: %v", n, len(raw), end)
			}
		}
	}
}

// frameEnd is where the frame ends that byte n is of.
func frameEnd(frames []int, size, n int) int {
	for _, at := range frames {
		if at > n {
			return at
		}
	}
	return size
}

// A byte changed anywhere is found out, and nothing of its frame is given.
func TestEveryChangeIsFound(t *testing.T) {
	key := newKey(t)
	raw, _ := build(t, every(), 3, key.Recipient())
	all, _ := read(raw, key)
	for i := 0; i < len(raw); i += 1 + i%5 {
		bad := bytes.Clone(raw)
		bad[i] ^= 0x41
		got, end := read(bad, key)
		ok := errors.Is(end, ErrCorrupt) || end == ErrTruncated || end == ErrKey // a length may now reach beyond the end
		if !ok || !reflect.DeepEqual(got, all[:len(got)]) && len(got) > 0 {
			t.Fatalf("byte %d: %v after %d entries", i, end, len(got))
		}
	}
}

func TestFramesLeftOutMovedOrExchanged(t *testing.T) {
	key := newKey(t)
	raw, frames := build(t, every(), 3, key.Recipient())
	other, otherFrames := build(t, every(), 3, key.Recipient())
	part := func(b []byte, at []int, i int) []byte {
		if i+1 < len(at) {
			return b[at[i]:at[i+1]]
		}
		return b[at[i]:]
	}
	join := func(parts ...[]byte) []byte { return append([]byte(magic), bytes.Join(parts, nil)...) }
	f := func(i int) []byte { return part(raw, frames, i) }
	for what, bad := range map[string][]byte{
		"left out":           join(f(0), f(2), f(3), f(4)),
		"first left out":     join(f(1), f(2)),
		"moved":              join(f(0), f(2), f(1), f(3)),
		"twice":              join(f(0), f(1), f(1), f(2)),
		"exchanged":          join(f(0), part(other, otherFrames, 1), f(2)),
		"another's first":    join(part(other, otherFrames, 0), f(1), f(2)),
		"more after the end": join(f(0), f(1), f(2), f(3), f(4), f(5), f(1)),
	} {
		if _, end := read(bad, key); !errors.Is(end, ErrCorrupt) {
			t.Errorf("%s: %v", what, end)
		}
	}
	if _, end := read(join(f(0), f(1), f(2), f(3), f(4), f(5)), key); end != io.EOF {
		t.Error(end)
	}
}

// Entries that make no sense are refused even where their frame is whole.
func TestEntriesOutOfPlace(t *testing.T) {
	key := newKey(t)
	for what, entries := range map[string][]Entry{
		"a second header":      {header},
		"stream without track": {Stream{ID: 1, Track: 1}},
		"packet of no stream":  {&Packet{Stream: 1}},
		"report of no stream":  {Report{Stream: 1}},
		"muted of no track":    {Muted{Track: 4}},
		"dropped of no track":  {Dropped{Track: 4}},
		"after the end":        {End{}, Gate{}},
	} {
		raw, _ := build(t, entries, 10, key.Recipient())
		if _, end := read(raw, key); !errors.Is(end, ErrCorrupt) {
			t.Errorf("%s: %v", what, end)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	if _, err := NewWriter(io.Discard, header); err == nil {
		t.Error("wrote for nobody")
	}
	w, err := NewWriter(io.Discard, header, newKey(t).Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if w.Append(&Packet{Codec: "mp3"}) == nil || w.Append(&Packet{Payload: make([]byte, maxEntry)}) == nil || w.Append(nil) == nil {
		t.Error("took nonsense")
	}
	if w.Pending() != 0 || w.Flush() != nil {
		t.Error("nonsense is left behind")
	}
}

type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errors.New("full")
	}
	return len(p), nil
}

func TestWriterStaysFailed(t *testing.T) {
	w, err := NewWriter(&failing{600}, header, newKey(t).Recipient())
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Append(Gate{Reason: fmt.Sprintf("%500d", 1)})
	if w.Flush() == nil || w.Append(Gate{}) == nil || w.Flush() == nil {
		t.Error("went on")
	}
	if _, err := NewWriter(&failing{10}, header, newKey(t).Recipient()); err == nil {
		t.Error("began")
	}
}

// Random entries come back as they were.
func TestRandomEntries(t *testing.T) {
	key := newKey(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	entries := []Entry{Track{ID: 1}, Stream{ID: 7, Track: 1}}
	for range 2000 {
		p := &Packet{
			Stream: 7, At: time.Duration(rnd.Int64() - rnd.Int64()), ExtSeq: rnd.Uint64() >> rnd.IntN(64), Timestamp: rnd.Uint32(),
			Marker: rnd.IntN(2) == 0, KeyFrame: rnd.IntN(2) == 0, Codec: codecs[rnd.IntN(len(codecs))], Orientation: int8(rnd.IntN(17) - 1),
			Payload: make([]byte, rnd.IntN(1500)),
		}
		for i := range p.Payload {
			p.Payload[i] = byte(rnd.Uint32())
		}
		entries = append(entries, p)
	}
	entries = append(entries, End{})
	raw, _ := build(t, entries, 70, key.Recipient())
	got, end := read(raw, key)
	if end != io.EOF || !reflect.DeepEqual(got[1:], entries) {
		t.Errorf("%d of %d entries: %v", len(got), len(entries)+1, end)
	}
}

// FuzzReader gives the reader anything: it neither panics nor takes it for a
// closed segment.
func FuzzReader(f *testing.F) {
	key := newKey(f)
	raw, frames := build(f, every(), 3, key.Recipient())
	f.Add(raw)
	f.Add(raw[:frames[2]])
	f.Add([]byte(magic + "\x00\x00\x00\x00"))
	f.Add([]byte(magic + "\x0f\xff\xff\xffage-encryption.org/v1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, end := read(b, key)
		if end == io.EOF && !bytes.Equal(b, raw) {
			t.Fatal("taken for whole")
		}
		if end != io.EOF && end != ErrTruncated && end != ErrKey && !errors.Is(end, ErrCorrupt) {
			t.Fatal(end)
		}
	})
}

// FuzzEntries gives the reader frames that are whole with anything in them.
func FuzzEntries(f *testing.F) {
	key := newKey(f)
	var plain []byte
	for _, e := range append([]Entry{header}, every()...) {
		plain, _ = appendEntry(plain, e)
	}
	f.Add(plain)
	f.Add([]byte{kindPacket, 1, 0})
	f.Add([]byte{kindReport, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(nil), key)
		r.plain, r.number = b, 1
		var got []Entry
		var end error
		for end == nil {
			var e Entry
			if e, end = r.Next(); end == nil {
				got = append(got, e)
			}
		}
		if end != io.EOF && end != ErrTruncated && !errors.Is(end, ErrCorrupt) {
			t.Fatal(end)
		}
		for _, e := range got { // whatever was read can be written
			if out, err := appendEntry(nil, e); err != nil || len(out) == 0 {
				t.Fatalf("%#v: %v", e, err)
			}
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	w, err := NewWriter(io.Discard, header, newKey(b).Recipient())
	if err != nil {
		b.Fatal(err)
	}
	p := &Packet{Stream: 1, Codec: VP8, Payload: make([]byte, 1100)}
	b.SetBytes(1100)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := w.Append(p); err != nil {
			b.Fatal(err)
		}
		if i%150 == 0 {
			if err := w.Flush(); err != nil {
				b.Fatal(err)
			}
		}
	}
}
