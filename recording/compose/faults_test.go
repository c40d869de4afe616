package compose

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/chatmed/chatmed/recording/journal"
)

// TestLostKeyFrame loses part of a key frame at 2 s: the green picture that came
// with it, and all that is built upon it, must not be shown smeared; the one of
// 3 s is shown again.
func TestLostKeyFrame(t *testing.T) {
	for _, codec := range []string{journal.VP8, journal.H264} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			key := newKey(t)
			noise := "color=c=blue:s=320x180:r=30,drawbox=x=0:y=0:w=iw:h=ih:color=0x00c000:t=fill:enable='gte(t,2)',noise=alls=30:allf=t"
			tp := tape{key: key, end: 5 * time.Second, senders: []*sender{
				{Track: doctorTrack("camera", "video"), clip: video(t, codec, noise, 5), lose: func(i, k, of int) bool {
					return i == 60 && k == of/2
				}},
			}}
			report, paths := composeAll(t, Options{MP4: true, Tracks: true}, key, tp.record(t))
			if report.Losses.Pictures != 30 {
				t.Errorf("%d pictures left out, want the 30 until the next key frame", report.Losses.Pictures)
			}
			px := pixels(t, paths["composed-mp4"], "60:60:290:150")
			bluish := func(c [3]int) bool { return c[2] > c[1]+60 }
			greenish := func(c [3]int) bool { return c[1] > c[2]+60 }
			for i, c := range px[5 : len(px)-2] {
				i += 5
				if i < 90 && !bluish(c) {
					t.Fatalf("picture %d is %v: not what was there before the loss", i, c)
				}
				if i > 93 && !greenish(c) {
					t.Fatalf("picture %d is %v: not what came after it", i, c)
				}
			}
			name := "track-1"
			if d := duration(t, paths[name]); d < 4.9 || d > 5.1 {
				t.Errorf("the track alone lasts %.2f s", d)
			}
		})
	}
}

// TestPauses shuts the gate for two seconds and restarts the server for one more.
func TestPauses(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	mic := func(from float64, ntp time.Duration) *sender {
		return &sender{Track: doctorTrack("microphone", "audio"), clip: audio(t, "sine=frequency=440:sample_rate=48000", 5), ntp: ntp}
	}
	cam := &sender{Track: doctorTrack("camera", "video"), clip: video(t, journal.VP8, "color=c=red:s=320x180:r=30", 5)}
	one := tape{key: key, end: 5 * time.Second, senders: []*sender{mic(0, 0), cam}, torn: true,
		gates: []journal.Gate{{At: 0, Open: true}, {At: time.Second, Open: false, Reason: "consent"}, {At: 3 * time.Second, Open: true}}}
	two := tape{key: key, number: 1, offset: 6 * time.Second, end: 2 * time.Second, senders: []*sender{mic(0, time.Hour)}}
	first, second := one.record(t), two.record(t)
	report, paths := composeAll(t, Options{WebM: true, MP4: true}, key, second, first)
	if report.Duration < 7800*time.Millisecond || report.Duration > 8050*time.Millisecond {
		t.Errorf("lasts %s, want 8 s", report.Duration)
	}
	if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "not ended in order") {
		t.Errorf("warnings: %v", report.Warnings)
	}
	for id, path := range paths {
		if d := duration(t, path); d < 7.8 || d > 8.1 {
			t.Errorf("%s lasts %.2f s", id, d)
		}
		for _, c := range []struct {
			from float64
			tone bool
		}{{0.3, true}, {1.3, false}, {2.3, false}, {3.4, true}, {4.3, true}, {5.2, false}, {6.4, true}, {7.2, true}} {
			if p := power(samples(t, path, c.from, 0.4), 440); (p > 0.03) != c.tone || (p < 0.01) == c.tone {
				t.Errorf("%s at %.1f s: %.3f of 440 Hz, wanted %v", id, c.from, p, c.tone)
			}
		}
		px := pixels(t, path, "60:40:290:250") // above the card's text, within the picture
		if !near(px[15], red) || !near(px[60], [3]int{}) || !near(px[165], [3]int{}) {
			t.Errorf("%s: %v, paused %v, interrupted %v", id, px[15], px[60], px[165])
		}
		if card := pixels(t, path, "400:30:120:165"); card[60] == px[60] {
			t.Errorf("%s: no text on the card", id)
		}
	}
	report, _ = composeAll(t, Options{MP4: true, Compact: true}, key, first, second)
	if d := report.Duration; d < 7800*time.Millisecond || d > 8050*time.Millisecond {
		t.Errorf("compact: %s: pauses of two seconds and less stay", d)
	}
}

// TestCompact shortens a pause of ten seconds to a card of two.
func TestCompact(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	tp := tape{key: key, end: 13 * time.Second, senders: []*sender{
		{Track: doctorTrack("microphone", "audio"), clip: audio(t, beep(1000), 13)},
		{Track: doctorTrack("camera", "video"), clip: video(t, journal.VP8, flash("red"), 13)},
	}, gates: []journal.Gate{{At: 0, Open: true}, {At: 2 * time.Second, Reason: "consent"}, {At: 12 * time.Second, Open: true}}}
	report, paths := composeAll(t, Options{MP4: true, Compact: true}, key, tp.record(t))
	if d := duration(t, paths["composed-mp4"]); d < 4.9 || d > 5.1 || report.Duration.Round(100*time.Millisecond) != 5*time.Second {
		t.Errorf("lasts %.2f s", d)
	}
}

// TestRotation turns the telephone after two seconds: first upright by one quarter
// turn, then as it is.
func TestRotation(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	// The left half red, the right half blue: turned clockwise, red is on top.
	halves := "color=c=red:s=320x180:r=30,drawbox=x=160:y=0:w=160:h=180:color=blue:t=fill"
	send := func(orient func(int) int8) *sender {
		return &sender{Track: patientTrack("camera", "video"), clip: video(t, journal.VP8, halves, 4), orient: orient}
	}
	changing := tape{key: key, end: 4 * time.Second, senders: []*sender{send(func(i int) int8 {
		if i < 60 {
			return 1
		}
		return 8 // the back camera, upright
	})}}
	report, paths := composeAll(t, Options{MP4: true, Tracks: true}, key, changing.record(t))
	for id, path := range paths {
		top, bottom, left := pixels(t, path, "40:40:300:60"), pixels(t, path, "40:40:300:260"), pixels(t, path, "40:40:60:150")
		if !near(top[30], red) || !near(bottom[30], blue) || near(left[30], red) {
			t.Errorf("%s turned: top %v, bottom %v, left %v", id, top[30], bottom[30], left[30])
		}
		if mixed := [3]int{127, 0, 127}; !near(left[90], red) || !near(top[90], mixed) || !near(bottom[90], mixed) {
			t.Errorf("%s as it is: top %v, bottom %v, left %v", id, top[90], bottom[90], left[90])
		}
	}
	if f := report.Files[1]; !f.Transcoded {
		t.Errorf("a track that turns on the way is encoded anew: %+v", f)
	}
	steady := tape{key: key, end: 4 * time.Second, senders: []*sender{send(func(int) int8 { return 1 })}}
	report, _ = composeAll(t, Options{Tracks: true}, key, steady.record(t))
	if f := report.Files[0]; f.Transcoded {
		t.Errorf("a track that is turned all the time says so: %+v", f)
	}
}

// TestLayersAndCodecs has the better layer fall away and come back, and the codec
// change on the way.
func TestLayersAndCodecs(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	cam := doctorTrack("camera", "video")
	cam.ID = 1
	tp := tape{key: key, end: 6 * time.Second, senders: []*sender{
		{Track: cam, stream: 1, layer: 1, clip: video(t, journal.VP8, "color=c=red:s=640x360:r=30", 6), lose: func(i, _, _ int) bool { return i >= 60 && i < 120 }},
		{Track: cam, stream: 2, layer: 0, clip: video(t, journal.VP8, "color=c=blue:s=320x180:r=30", 4)},
		{Track: cam, stream: 3, layer: 1, clip: video(t, journal.H264, "color=c=green:s=640x360:r=30", 1), start: 5 * time.Second},
	}}
	tp.senders[0].lose = func(i, _, _ int) bool { return (i >= 60 && i < 120) || i >= 150 }
	report, paths := composeAll(t, Options{WebM: true, Tracks: true}, key, tp.record(t))
	for id, path := range paths {
		px := pixels(t, path, "100:100:260:120")
		if !near(px[30], red) || !near(px[90], blue) || !near(px[135], red) || px[165][1] < 100 || px[165][0] > 60 {
			t.Errorf("%s: %v, low layer %v, again %v, other codec %v", id, px[30], px[90], px[135], px[165])
		}
	}
	if !report.Files[1].Transcoded {
		t.Error("a track of two codecs fits into no file as it is")
	}
}

// TestScreenAndMute shares a screen, large, and turns the camera off.
func TestScreenAndMute(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	tp := tape{key: key, end: 6 * time.Second, senders: []*sender{
		{Track: doctorTrack("camera", "video"), clip: video(t, journal.VP8, "color=c=red:s=320x180:r=30", 6)},
		{Track: patientTrack("microphone", "audio"), clip: audio(t, "sine=frequency=440:sample_rate=48000", 6)},
		{Track: doctorTrack("screen", "video"), clip: video(t, journal.VP8, "color=c=white:s=640x400:r=30", 2), start: 2 * time.Second},
	}, more: []journal.Entry{journal.Muted{Track: 1, At: 5 * time.Second, Muted: true}, journal.Muted{Track: 3, At: 4 * time.Second, Muted: true}}}
	_, paths := composeAll(t, Options{MP4: true}, key, tp.record(t))
	path := paths["composed-mp4"]
	main, side := pixels(t, path, "40:40:130:150"), pixels(t, path, "30:20:545:110")
	if !near(main[30], red) {
		t.Errorf("before the screen, the doctor on the left: %v", main[30])
	}
	if !near(main[90], white) || !near(side[90], red) {
		t.Errorf("screen large %v, doctor small beside it %v", main[90], side[90])
	}
	if !near(main[140], red) || near(main[165], red) {
		t.Errorf("after the screen %v, camera off %v", main[140], main[165])
	}
}

// TestBrokenSegments gives what cannot be read, or not to its end.
func TestBrokenSegments(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	tp := tape{key: key, end: 4 * time.Second, senders: []*sender{
		{Track: doctorTrack("microphone", "audio"), clip: audio(t, "sine=frequency=440:sample_rate=48000", 4)},
	}}
	whole := tp.record(t)
	changed := bytes.Clone(whole)
	changed[len(changed)*3/4] ^= 1
	never := tape{key: key, end: time.Second, gates: []journal.Gate{{At: 0, Reason: "consent"}}}
	other := tape{key: key, number: 0, end: 2 * time.Second, senders: tp.senders}
	for _, c := range []struct {
		name     string
		segments [][]byte
		key      *age.X25519Identity
		salvage  bool
		want     error
		atLeast  time.Duration
	}{
		{"wrong key", [][]byte{whole}, newKey(t), false, journal.ErrKey, 0},
		{"changed", [][]byte{changed}, key, false, journal.ErrCorrupt, 0},
		{"changed, salvaged", [][]byte{changed}, key, true, nil, time.Second},
		{"torn", [][]byte{whole[:len(whole)*3/4]}, key, false, nil, time.Second},
		{"no segment", [][]byte{[]byte("something else altogether")}, key, false, journal.ErrCorrupt, 0},
		{"empty file", [][]byte{nil}, key, false, journal.ErrTruncated, 0},
		{"never open", [][]byte{never.record(t)}, key, false, ErrEmpty, 0},
		{"twice", [][]byte{whole, other.record(t)}, key, false, ErrMixed, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{Identities: []age.Identity{c.key}}
			for _, b := range c.segments {
				in.Segments = append(in.Segments, opener(b))
			}
			dir := t.TempDir()
			report, err := Compose(t.Context(), Config{Dir: dir, Width: 320, Height: 180}, in, Options{WebM: true, Salvage: c.salvage}, func(_ context.Context, _ File, r io.Reader) error {
				_, err := io.Copy(io.Discard, r)
				return err
			})
			if !errors.Is(err, c.want) || (c.want == nil && err != nil) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if c.want == nil && (report.Duration < c.atLeast || len(report.Warnings) != 1) {
				t.Errorf("%s, warnings %v", report.Duration, report.Warnings)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}

// TestCancelled ends a composition in its middle.
func TestCancelled(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	tp := tape{key: key, end: 20 * time.Second, senders: []*sender{
		{Track: doctorTrack("camera", "video"), clip: video(t, journal.VP8, "testsrc=s=640x360:r=30", 20)},
	}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := t.TempDir()
	var told []float64
	_, err := Compose(ctx, Config{Dir: dir, Width: 640, Height: 360}, Input{Segments: []func(context.Context) (io.ReadCloser, error){opener(tp.record(t))}, Identities: []age.Identity{key}},
		Options{MP4: true, WebM: true, Progress: func(p float64) {
			told = append(told, p)
			if p > 0.15 {
				cancel()
			}
		}}, func(context.Context, File, io.Reader) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	for i := range told {
		if i > 0 && told[i] <= told[i-1] {
			t.Errorf("progress %v", told)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
