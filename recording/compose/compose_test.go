package compose

import (
	"fmt"
	"testing"
	"time"

	"github.com/chatmed/chatmed/recording/journal"
)

func flash(colour string) string {
	return "color=c=" + colour + ":s=320x180:r=30,drawbox=x=0:y=0:w=iw:h=ih:color=white:t=fill:enable='between(mod(t,2),1,1.0999)'"
}

func beep(hz int) string {
	return fmt.Sprintf("aevalsrc='if(between(mod(t,2),1,1.1),0.5*sin(2*PI*%d*t),0)':s=48000", hz)
}

func doctorTrack(source, kind string) journal.Track {
	return journal.Track{ParticipantID: "prt_a", Role: "doctor", Name: "Dr. Élodie Adams", Source: source, Kind: kind}
}

func patientTrack(source, kind string) journal.Track {
	return journal.Track{ParticipantID: "prt_b", Role: "patient", Name: "مريم الهاشمي", Source: source, Kind: kind}
}

// TestConsultation composes two people with every codec, and looks and listens.
func TestConsultation(t *testing.T) {
	for _, codec := range []string{journal.VP8, journal.H264, journal.VP9, journal.AV1} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			key := newKey(t)
			tp := tape{key: key, end: 6 * time.Second, senders: []*sender{
				{Track: doctorTrack("microphone", "audio"), clip: audio(t, beep(1000), 6), ntp: time.Hour, rtp: 1 << 31, skew: 100e-6},
				{Track: doctorTrack("camera", "video"), clip: video(t, codec, flash("red"), 6), ntp: time.Hour, rtp: 1<<32 - 4000, skew: 100e-6,
					delay: func(i int) time.Duration { return time.Duration(90+i*37%50) * time.Millisecond }},
				{Track: patientTrack("microphone", "audio"), clip: audio(t, "sine=frequency=440:sample_rate=48000", 6), red: true,
					lose: func(i, _, _ int) bool { return i%10 == 5 }},
				{Track: patientTrack("camera", "video"), clip: video(t, codec, "color=c=blue:s=320x240:r=30", 6)},
			}}
			first := codec == journal.VP8 // what comes of the others is the same
			report, paths := composeAll(t, Options{WebM: first, MP4: true, Tracks: true}, key, tp.record(t))
			t.Logf("%+v", report)
			if report.Losses.Recovered < 25 || report.Losses.Sound > 3 || report.Losses.Pictures != 0 {
				t.Errorf("losses: %+v", report.Losses)
			}
			for _, id := range []string{"composed-webm", "composed-mp4"} {
				path := paths[id]
				if path == "" && !first {
					continue
				}
				if d := duration(t, path); d < 5.9 || d > 6.1 {
					t.Errorf("%s lasts %.2f s", id, d)
				}
				left, right := pixels(t, path, "40:40:140:150"), pixels(t, path, "40:40:460:150")
				if !near(left[60+15], red) || !near(right[75], blue) {
					t.Errorf("%s: left is %v, right is %v", id, left[75], right[75])
				}
				checkSync(t, id, path, left)
				if s := samples(t, path, 2.2, 0.6); power(s, 440) < 0.05 || power(s, 1000) > 0.02 {
					t.Errorf("%s: 440 Hz %.3f, 1000 Hz %.3f between the beeps", id, power(s, 440), power(s, 1000))
				}
			}
			for i := 1; i <= 4; i++ {
				path := paths[fmt.Sprint("track-", i)]
				if d := duration(t, path); d < 5.9 || d > 6.1 {
					t.Errorf("track %d lasts %.2f s", i, d)
				}
			}
			if px := pixels(t, paths["track-4"], "100:100:100:60"); len(px) < 170 || !near(px[100], blue) {
				t.Errorf("the patient's camera alone: %d pictures, %v", len(px), px)
			}
		})
	}
}

// checkSync finds each flash and the beep to it.
func checkSync(t *testing.T, id, path string, left [][3]int) {
	t.Helper()
	n := 0
	for i := 1; i < len(left); i++ {
		if !near(left[i], white) || near(left[i-1], white) {
			continue
		}
		n++
		at := float64(i) / fps
		heard := -1.0
		s := samples(t, path, max(0, at-0.3), 0.6)
		for k := 0; k+240 <= len(s); k += 48 {
			if power(s[k:k+240], 1000) > 0.2 {
				heard = max(0, at-0.3) + float64(k+120)/48000
				break
			}
		}
		if d := heard - at; d < -0.06 || d > 0.06 {
			t.Errorf("%s: flash at %.3f s, beep at %.3f s", id, at, heard)
		} else {
			t.Logf("%s: flash at %.3f s, beep %+.0f ms", id, at, d*1000)
		}
	}
	if n < 2 {
		t.Errorf("%s: %d flashes", id, n)
	}
}
