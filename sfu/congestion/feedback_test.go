package congestion

import (
	"slices"
	"testing"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
)

// recorded is what Pion's receiver says of packets that came at these times
// (µs; below 0: not at all), from number base on.
func recorded(t testing.TB, base uint16, at ...int64) (raw [][]byte) {
	t.Helper()
	r := twcc.NewRecorder(1)
	for i, a := range at {
		if a >= 0 {
			r.Record(1, base+uint16(i), a)
		}
	}
	for _, p := range r.BuildFeedbackPacket() {
		b, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, b)
	}
	return raw
}

func TestFeedbackTimes(t *testing.T) {
	at := []int64{1_000_000, 1_005_000, -1, 1_004_750, -1, -1, 1_100_000, 1_400_000, 1_400_250}
	got := map[uint16]int64{}
	var lostN int
	for _, raw := range recorded(t, 65_533, at...) {
		var f Feedback
		if err := f.Parse(raw); err != nil {
			t.Fatal(err)
		}
		for _, a := range f.arrivals {
			if !a.received {
				lostN++
				continue
			}
			got[a.sequence] = f.reference*64_000 + a.offset
		}
	}
	for i, want := range at {
		seq := uint16(65_533 + i)
		if g, ok := got[seq]; ok != (want >= 0) || ok && g != want {
			t.Errorf("packet %d: came at %d (%v), want %d", seq, g, ok, want)
		}
	}
	if lostN != 3 {
		t.Errorf("%d lost, want 3", lostN)
	}
}

func TestFeedbackRefusesNonsense(t *testing.T) {
	good := rawFeedback(7, 9, 3)
	var f Feedback
	for n := range len(good) {
		if err := f.Parse(good[:n]); err == nil {
			t.Errorf("the first %d bytes pass", n)
		}
		if f.Packets() != 0 {
			t.Errorf("the first %d bytes leave %d packets", n, f.Packets())
		}
	}
	for name, spoil := range map[string]func(b []byte){
		"version":      func(b []byte) { b[0] = 0x4f },
		"format":       func(b []byte) { b[0] = 0x81 },
		"type":         func(b []byte) { b[1] = 206 },
		"too long":     func(b []byte) { b[3]++ },
		"more packets": func(b []byte) { b[15] = 40 },
		"far too many": func(b []byte) { b[14], b[15] = 0xff, 0xff },
		"padding":      func(b []byte) { b[len(b)-1] = 200 },
	} {
		b := slices.Clone(good)
		spoil(b)
		if err := f.Parse(b); err == nil {
			t.Errorf("%s: passes", name)
		}
	}
}

func TestReferenceTimeWraps(t *testing.T) {
	var u unwrapper
	if got := u.unwrap(0xfffffe); got != 0xfffffe*64_000 {
		t.Fatal(got)
	}
	if got := u.unwrap(3); got != 0x1000003*64_000 {
		t.Errorf("after the wrap: %d", got/64_000)
	}
	if got := u.unwrap(0xffffff); got != 0xffffff*64_000 {
		t.Errorf("a late one from before: %d", got/64_000)
	}
}

// FuzzFeedback: what we read is what Pion reads, and an estimator takes anything.
func FuzzFeedback(f *testing.F) {
	f.Add(rawFeedback(0, 10, 0))
	for _, raw := range recorded(f, 65_000, 64_000, 64_250, -1, 90_000, 63_000, -1, -1, 5_000_000) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var a, b Feedback
		errA := a.Parse(raw)
		if errA == nil && a.Packets() > maxStatuses {
			t.Fatalf("%d packets", a.Packets())
		}
		var p rtcp.TransportLayerCC
		if err := p.Unmarshal(raw); err == nil {
			errB := b.FromRTCP(&p)
			if errA == nil && errB == nil && !slices.Equal(a.arrivals, b.arrivals) {
				t.Fatalf("%v\nPion: %v", a.arrivals, b.arrivals)
			}
		}
		e := New(Config{}, simStart)
		for i := range 300 {
			e.Sent(Sent{Sequence: uint16(i - 50), Size: 500, Kind: Video}, simTime(int64(i)*2_000))
		}
		for i, fb := range []*Feedback{&a, &b, &a} {
			e.Feedback(fb, simTime(700_000+int64(i)*50_000))
		}
		check(t, e, e.cfg)
	})
}
