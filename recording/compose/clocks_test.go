package compose

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/chatmed/chatmed/recording/journal"
)

// hour is a clip of an hour that nobody need decode.
func hour(codec string, lasts time.Duration) clip {
	c := clip{codec: codec, rate: 48000}
	every, data := 20*time.Millisecond, silence
	if codec == journal.VP8 {
		// A key frame's header, 320 by 180, and nothing of a picture.
		c.rate, every, data = 90000, time.Second/15, []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00, 0, 0}
	}
	for at := time.Duration(0); at < lasts; at += every {
		c.pts = append(c.pts, at)
		c.data = append(c.data, data)
		c.key = append(c.key, codec == journal.VP8)
	}
	return c
}

// jitter is a network's: mostly fast, sometimes slow, with a bad quarter of an
// hour and a route that gets 60 ms longer for good.
func jitter(seed uint64, base time.Duration, per time.Duration) func(int) time.Duration {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(i int) time.Duration {
		at := time.Duration(i) * per
		d := base + time.Duration(r.ExpFloat64()*float64(8*time.Millisecond))
		if at > 20*time.Minute && at < 35*time.Minute {
			d += time.Duration(r.ExpFloat64() * float64(120*time.Millisecond))
		}
		if at > 50*time.Minute {
			d += 60 * time.Millisecond
		}
		return min(d, base+time.Second)
	}
}

// drift is the greatest distance of what a stream's packets are mapped to from
// when they were sent, after the constant delay of the network.
func drift(st *stream, s *sender, base time.Duration, each func(i int, off time.Duration)) (worst time.Duration) {
	seen := map[int64]bool{}
	for i := range st.packets {
		if seen[st.ext[i]] {
			continue
		}
		seen[st.ext[i]] = true
		pub := s.pts[len(seen)-1]
		sent := s.start + time.Duration(float64(pub)/(1+s.skew))
		off := st.when(i) - sent - base
		if each != nil {
			each(i, off)
		}
		worst = max(worst, off.Abs())
	}
	return worst
}

// TestDriftOverAnHour has clocks that are wrong by up to 200 ppm, in both
// directions, of the wall and of the sound card.
func TestDriftOverAnHour(t *testing.T) {
	key := newKey(t)
	for _, c := range []struct {
		skew, sample float64
		silent       bool
	}{{200e-6, -200e-6, false}, {-200e-6, 150e-6, false}, {0, 200e-6, true}} {
		t.Run(fmt.Sprintf("%+.0f/%+.0f ppm", c.skew*1e6, c.sample*1e6), func(t *testing.T) {
			t.Parallel()
			const base = 30 * time.Millisecond
			mic := &sender{Track: patientTrack("microphone", "audio"), clip: hour(journal.Opus, time.Hour), skew: c.skew, sample: c.sample, ntp: 90 * time.Minute,
				rtp: 1 << 31, delay: jitter(1, base, 20*time.Millisecond), silent: c.silent}
			cam := &sender{Track: patientTrack("camera", "video"), clip: hour(journal.VP8, time.Hour), skew: c.skew, ntp: 90 * time.Minute,
				rtp: 1<<32 - 5, delay: jitter(2, base+25*time.Millisecond, time.Second/15), silent: c.silent}
			src, err := newSource(filepath.Join(t.TempDir(), "spool"))
			if err != nil {
				t.Fatal(err)
			}
			defer src.close()
			tp := tape{key: key, end: time.Hour + time.Second, senders: []*sender{mic, cam}}
			in := Input{Identities: []age.Identity{key}}
			in.Segments = append(in.Segments, opener(tp.record(t)))
			if err := src.readAll(t.Context(), in, false); err != nil {
				t.Fatal(err)
			}
			a, v := src.tracks[0].streams[0], src.tracks[1].streams[0]
			setClocks([]*stream{a, v})
			allowed := 40 * time.Millisecond
			sound := drift(a, mic, base, nil)
			var offs []float64
			picture := drift(v, cam, base, func(_ int, off time.Duration) { offs = append(offs, float64(off)) })
			t.Logf("sound within %s, pictures within %s, pictures' median %s", sound, picture, time.Duration(median(offs)))
			if sound > allowed {
				t.Errorf("sound is off by %s", sound)
			}
			if !c.silent && picture > allowed { // without reports the picture is as late as it came
				t.Errorf("pictures are off by %s", picture)
			}
		})
	}
}

func TestClockThatWasSet(t *testing.T) {
	// The publisher's machine slept: its clock stands still for ten minutes.
	st := &stream{rate: 48000}
	for i := range 60_000 {
		at := time.Duration(i) * 20 * time.Millisecond
		seconds := at.Seconds()
		if at > 10*time.Minute {
			seconds -= 600
			seconds += 0.5
		}
		if at > 10*time.Minute && at < 10*time.Minute+time.Second {
			continue
		}
		ts := uint32(i) * 960
		st.packets = append(st.packets, packet{at: at + 30*time.Millisecond, seq: uint64(i), ts: ts, size: 1})
		if i%50 == 0 {
			st.reports = append(st.reports, senderReport{at, uint64(1)<<40 + uint64(int64((seconds+1000)*(1<<32))), ts})
		}
	}
	setClocks([]*stream{st})
	worst := time.Duration(0)
	for i := range st.packets {
		worst = max(worst, (st.when(i) - st.packets[i].at).Abs())
	}
	if worst > 500*time.Millisecond {
		t.Errorf("off by %s", worst)
	}
}
