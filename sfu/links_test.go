package sfu

import (
	"os"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/impair"
)

// TestTableOfLinks logs what a client behind each preset of internal/impair is
// sent, every two seconds, by the simulated clock: EVAL_LINKS=1 go test ./sfu -run
// TestTableOfLinks -v.
func TestTableOfLinks(t *testing.T) {
	if os.Getenv("EVAL_LINKS") == "" {
		t.Skip("set EVAL_LINKS=1")
	}
	for _, preset := range impair.Presets() {
		if preset.Down.Rate == 0 {
			continue
		}
		s := newSim(t)
		s.publisher("anna",
			&simEncoding{rid: "q", rate: 100_000, width: 320, height: 180},
			&simEncoding{rid: "h", rate: 250_000, width: 640, height: 360},
			&simEncoding{rid: "f", rate: 500_000, width: 1280, height: 720})
		u := s.subscriber("bert", preset.Down)
		t.Logf("%s: %d kbit/s", preset.Name, preset.Down.Rate/1000)
		for range 20 {
			s.run(2 * time.Second)
			e, n := u.v.tr.media.path.est.Estimate(), u.since()
			t.Logf("%5.0f s  %-22s target %5d kbit/s, %s, queue %v, loss %.3f (base %.3f); %d frames, %d voices, %d lost",
				s.at().Seconds(), u.plan(), e.Target/1000, e.State, e.Queue.Round(time.Millisecond), e.Loss, e.BaseLoss, n.frames, n.audio, n.lostAudio)
		}
	}
}
