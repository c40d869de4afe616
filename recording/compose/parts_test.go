package compose

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/chatmed/chatmed/recording/journal"
)

// load reads segments as Compose does.
func load(t *testing.T, key age.Identity, segments ...[]byte) *source {
	t.Helper()
	src, err := newSource(filepath.Join(t.TempDir(), "spool"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(src.close)
	in := Input{Identities: []age.Identity{key}}
	for _, b := range segments {
		in.Segments = append(in.Segments, opener(b))
	}
	if err := src.readAll(t.Context(), in, false); err != nil {
		t.Fatal(err)
	}
	return src
}

// TestRedundancyKeepsToConsent has the gate shut between two packets, the second of
// which carries a copy of what was said meanwhile.
func TestRedundancyKeepsToConsent(t *testing.T) {
	key := newKey(t)
	secret := []byte{0xf8, 1, 2, 3}
	c := clip{codec: journal.Opus, rate: 48000}
	for i := range 100 {
		data := silence
		if i >= 20 && i < 40 {
			data = secret
		}
		c.pts = append(c.pts, time.Duration(i)*20*time.Millisecond)
		c.data = append(c.data, data)
		c.key = append(c.key, false)
	}
	mic := &sender{Track: doctorTrack("microphone", "audio"), clip: c, red: true, lose: func(i, _, _ int) bool { return i == 60 },
		delay: func(int) time.Duration { return 0 }}
	// Packet 20 comes at 400 ms, 39 at 780 ms.
	tp := tape{key: key, end: 3 * time.Second, senders: []*sender{mic}, gates: []journal.Gate{
		{At: 0, Open: true}, {At: 399 * time.Millisecond, Reason: "consent"}, {At: 799 * time.Millisecond, Open: true},
	}}
	src := load(t, key, tp.record(t))
	st := src.tracks[0].streams[0]
	setClocks([]*stream{st})
	var lost Losses
	sounds, err := src.soundsOf(st, &lost)
	if err != nil {
		t.Fatal(err)
	}
	if len(sounds) != 80 || lost.Recovered != 1 || lost.Sound != 0 {
		t.Errorf("%d packets, %+v", len(sounds), lost)
	}
	for _, s := range sounds {
		b, err := src.payload(&packet{off: s.off, size: s.size})
		if err != nil || bytes.Equal(b, secret) {
			t.Fatalf("at %s is what was said while the gate was shut (%v)", s.pts, err)
		}
	}
}

// vp8Layered is a VP8 payload with temporal layer, TL0PICIDX and layer sync.
func vp8Layered(key bool, tid, tl0 byte, sync bool) []byte {
	y := byte(0)
	if sync {
		y = 0x20
	}
	b := []byte{0x90, 0x60, tl0, tid<<6 | y}
	if key {
		return append(b, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00)
	}
	return append(b, 0x11, 0, 0, 1, 2, 3)
}

// TestTemporalLayers loses pictures that others are built upon, and some that none
// are.
func TestTemporalLayers(t *testing.T) {
	type pic struct {
		tid, tl0 byte
		sync     bool
	}
	// 0 2 1 2, the usual pattern of three layers.
	pattern := []pic{{0, 0, false}, {2, 0, true}, {1, 0, true}, {2, 0, false}}
	for _, c := range []struct {
		lose []int
		want string // of 16 pictures: shown or not
	}{
		{nil, "################"},
		{[]int{5}, "#####.##########"},          // of the highest layer: TL1 is in sync
		{[]int{6}, "######..########"},          // TL1: the one above it goes too
		{[]int{4}, "####............"},          // the base: nothing until a key frame
		{[]int{7, 9}, "#######.#.######"},       // each alone
		{[]int{0}, "................"},          // the key frame
		{[]int{5, 6, 7, 8}, "#####..........."}, // a base layer among them
	} {
		st := &stream{rate: 90000}
		var spool bytes.Buffer
		for i := range 16 {
			p := pattern[i%4]
			p.tl0 = byte(i / 4)
			data := vp8Layered(i == 0, p.tid, p.tl0, p.sync)
			if !slices.Contains(c.lose, i) {
				st.packets = append(st.packets, packet{at: time.Duration(i) * 33 * time.Millisecond, seq: uint64(i), off: int64(spool.Len()), ts: uint32(i) * 3000,
					size: uint32(len(data)), codec: journal.VP8, marker: true, key: i == 0, orient: -1})
			}
			spool.Write(data)
		}
		src, err := newSource(filepath.Join(t.TempDir(), "spool"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := src.spool.Write(spool.Bytes()); err != nil {
			t.Fatal(err)
		}
		setClocks([]*stream{st})
		lost := 0
		gops, err := src.gopsOf(st, &lost)
		src.close()
		if err != nil {
			t.Fatal(err)
		}
		got := []byte(strings.Repeat(".", 16))
		for _, g := range gops {
			for _, f := range g.frames {
				got[st.packets[f.first].ts/3000] = '#'
			}
		}
		if string(got) != c.want {
			t.Errorf("lost %v: shown %s, want %s", c.lose, got, c.want)
		}
	}
}

func TestLayout(t *testing.T) {
	people := func(n int) []tile { return make([]tile, n) }
	inside := func(tiles []tile) {
		t.Helper()
		for i, a := range tiles {
			if a.x < 0 || a.y < 0 || a.x+a.w > 1280 || a.y+a.h > 720 || a.w < 64 || a.h < 36 || (a.x|a.y|a.w|a.h)&1 != 0 {
				t.Errorf("%d of %d at %+v", i, len(tiles), a.rect)
			}
			for _, b := range tiles[:i] {
				if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
					t.Errorf("%+v lies over %+v", a.rect, b.rect)
				}
			}
		}
	}
	for n := range 12 {
		inside(arrangeTiles(nil, people(n), 1280, 720))
		inside(arrangeTiles(people(1), people(n), 1280, 720))
	}
	if two := arrangeTiles(nil, people(2), 1280, 720); two[0].rect != (rect{0, 0, 640, 720}) || two[1].rect != (rect{640, 0, 640, 720}) {
		t.Errorf("two are not side by side: %+v", two)
	}
}

// TestCaptionsSayNothingButText tries to reach libass's commands by a name.
func TestCaptionsSayNothingButText(t *testing.T) {
	for in, want := range map[string]string{
		`{\an5\fs200}X`: `｛＼an5＼fs200｝X`, "a\nDialogue: 0": "a Dialogue: 0", `a\Nb`: "a＼Nb", "مريم": "مريم", "a\u202eb": "a b",
		strings.Repeat("x", 500): strings.Repeat("x", 120) + "…",
	} {
		if got := assText(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestScaler(t *testing.T) {
	var s scaler
	for _, c := range [][2]int{{1280, 640}, {320, 640}, {641, 333}, {2, 900}, {900, 2}, {7, 7}} {
		for _, tp := range s.taps(c[0], c[1]) {
			sum := int32(0)
			for _, w := range tp.weights {
				sum += w
			}
			if sum != 1<<tapBits || tp.first < 0 || tp.first+len(tp.weights) > c[0] {
				t.Fatalf("%v: %+v", c, tp)
			}
		}
	}
	src := over(bytes.Repeat([]byte{77}, pictureBytes(33, 17)), 33, 17)
	dst := over(make([]byte, pictureBytes(100, 100)), 100, 100)
	s.draw(dst, src, black)
	if dst[0].b[50*100+50] != 77 || dst[0].b[0] != 16 {
		t.Errorf("middle %d, corner %d", dst[0].b[5050], dst[0].b[0])
	}
}

func TestTurned(t *testing.T) {
	// 4 by 2: 1 top left.
	b := make([]byte, pictureBytes(4, 2))
	b[0] = 1
	for orient, want := range map[int8]int{0: 0, 1: 1, 2: 7, 3: 6, 4: 3, 8: 0} {
		p, _ := over(b, 4, 2).turned(orient, nil)
		if got := bytes.IndexByte(p[0].b, 1); got != want {
			t.Errorf("turned by %d it is at %d, want %d", orient, got, want)
		}
	}
}

func TestChoose(t *testing.T) {
	low, high := &stream{layer: 0}, &stream{layer: 1}
	g := func(st *stream, from, to int) gop {
		out := gop{st: st, from: time.Duration(from) * time.Second, to: time.Duration(to) * time.Second}
		for at := out.from; at < out.to; at += 100 * time.Millisecond {
			out.frames = append(out.frames, frame{st: st, pts: at})
		}
		return out
	}
	for _, c := range []struct {
		in   []gop
		want string
	}{
		{[]gop{g(high, 0, 10), g(low, 0, 10)}, "1:0-10"},
		{[]gop{g(high, 0, 2), g(low, 0, 10)}, "0:0-10"},
		{[]gop{g(high, 0, 5), g(low, 4, 10), g(high, 8, 12)}, "1:0-4 0:4-8 1:8-12"},
		{[]gop{g(low, 0, 3), g(low, 3, 6), g(high, 2, 6)}, "0:0-2 1:2-6"},
		{[]gop{g(low, 0, 3), g(low, 200, 210)}, "0:0-3 0:200-210"},
		{nil, ""},
	} {
		var got []string
		for _, x := range choose(c.in) {
			got = append(got, fmt.Sprintf("%d:%.0f-%.0f", x.st.layer, x.from.Seconds(), x.to.Seconds()))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s, want %s", s, c.want)
		}
	}
}

func TestOpusDuration(t *testing.T) {
	for _, c := range []struct {
		head []byte
		want time.Duration
	}{
		{silence, 20 * time.Millisecond},
		{shortSilence, 2500 * time.Microsecond},
		{[]byte{0x00}, 10 * time.Millisecond},
		{[]byte{0x18}, 60 * time.Millisecond},
		{[]byte{0x61}, 20 * time.Millisecond},
		{[]byte{0xfb, 3}, 60 * time.Millisecond},
		{[]byte{0xfb}, 0},
		{nil, 0},
	} {
		if got := opusDuration(c.head); got != c.want {
			t.Errorf("%x lasts %s, want %s", c.head, got, c.want)
		}
	}
}

func FuzzSplitRED(f *testing.F) {
	f.Add([]byte{0x80 | 111, 15, 0, 3, 111, 1, 2, 3, 4, 5})
	f.Add([]byte{111})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, k := range splitRED(b) {
			if k.at < 0 || k.size < 0 || k.at+k.size > len(b) {
				t.Fatalf("%+v of %d bytes", k, len(b))
			}
		}
	})
}

func FuzzBitstreams(f *testing.F) {
	f.Add(vp8Layered(true, 0, 0, false)[4:])
	f.Add([]byte{0, 0, 0, 5, 0x67, 0x42, 0xc0, 0x1f, 0xda, 0, 0, 0, 1, 0x68, 0, 0, 0, 1, 0x65})
	f.Add([]byte{0x0a, 0x0b, 0, 0, 0, 0x42, 0xa7, 0xbf, 0xe4, 0x60, 0x0d, 0, 0x40})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, read := range []func([]byte) (dims, []byte, error){h264Private, av1Private, func(b []byte) (dims, []byte, error) {
			d, err := vp8Size(b)
			return d, nil, err
		}} {
			if d, _, err := read(b); err == nil && (d.w < 0 || d.h < 0 || d.w > 1<<16 || d.h > 1<<16) {
				t.Fatalf("%+v", d)
			}
		}
		for _, codec := range []string{journal.VP8, journal.VP9, journal.AV1} {
			readLayers(codec, b)
		}
	})
}

func FuzzMKVReader(f *testing.F) {
	var b bytes.Buffer
	m, err := streamMKV(&b, mkvTrack{codec: journal.VP8, size: dims{320, 180}})
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		if err := m.write(time.Duration(i)*time.Second, true, []byte{1, 2, 3}); err != nil {
			f.Fatal(err)
		}
	}
	if err := m.close(0); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		r := mkvReader{r: bufio.NewReader(io.LimitReader(bytes.NewReader(b), 1<<16))}
		var buf []byte
		for range 1000 {
			var err error
			if _, buf, err = r.next(buf); err != nil {
				return
			}
		}
	})
}

func FuzzCaptions(f *testing.F) {
	f.Add(`{\pos(1,1)}\N`)
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(assText(s), "{}\\\n\r\x00") {
			t.Errorf("%q", assText(s))
		}
	})
}
