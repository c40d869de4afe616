package compose

import (
	"context"
	"io"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/chatmed/chatmed/recording/journal"
)

// BenchmarkCompose is two people in 1280 by 720, both files, in seconds of work per
// second of recording.
func BenchmarkCompose(b *testing.B) {
	const lasts = 20
	key := newKey(b)
	cam := video(b, journal.VP8, "testsrc2=s=1280x720:r=30", lasts)
	mic := audio(b, "sine=frequency=440:sample_rate=48000", lasts)
	tp := tape{key: key, end: lasts * time.Second, senders: []*sender{
		{Track: doctorTrack("microphone", "audio"), clip: mic}, {Track: doctorTrack("camera", "video"), clip: cam},
		{Track: patientTrack("microphone", "audio"), clip: mic}, {Track: patientTrack("camera", "video"), clip: cam},
	}}
	in := Input{Segments: []func(context.Context) (io.ReadCloser, error){opener(tp.record(b))}, Identities: []age.Identity{key}}
	for b.Loop() {
		_, err := Compose(b.Context(), Config{Dir: b.TempDir(), Nice: -1}, in, Options{WebM: true, MP4: true}, func(context.Context, File, io.Reader) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/lasts, "s/s")
}
