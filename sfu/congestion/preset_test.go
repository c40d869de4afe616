package congestion

import (
	"os"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/impair"
)

// overLink has packets take a link of internal/impair.
func (l *simLink) overLink(p impair.Profile, seed uint64) {
	far, err := impair.NewLink[simPacket](p, seed, simStart)
	if err != nil {
		panic(err)
	}
	l.far = far
	l.s.every(1000, l.arrive)
}

func (l *simLink) arrive() {
	for {
		p, at, ok := l.far.Pop(simTime(l.s.now))
		if !ok {
			return
		}
		p.deliver(at.Sub(simStart).Microseconds(), at.Sub(simTime(p.sent)).Microseconds()-l.far.Profile().Delay.Microseconds())
	}
}

// presetDemand is about what the three layers of the ladder take.
const presetDemand = 1_500_000

// calm leaves out the voice that an outage held up, which nobody can help.
func calm(p impair.Profile, o *sample) (waits []int64) {
	for i, at := range o.delayAt {
		if every := p.Outage.Every.Microseconds(); every > 0 {
			if r := at % every; r > every-p.Outage.For.Microseconds()-100_000 || r < 500_000 && at > every {
				continue
			}
		}
		if at > 5e6 {
			waits = append(waits, o.audioDelay[i])
		}
	}
	return waits
}

func playPreset(p impair.Profile, seed uint64) *simCall {
	return playLadder(seed, constant(float64(p.Rate)), func(l *simLink) { l.overLink(p, seed) })
}

// TestPresets: jitter that wanders and a little random loss cost neither the
// estimate nor the voice.
func TestPresets(t *testing.T) {
	for _, preset := range impair.Presets() {
		p := preset.Down
		if p.Rate == 0 {
			continue
		}
		t.Run(preset.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(seeds) {
				c := playPreset(p, seed)
				want := min(float64(p.Rate), presetDemand)
				target := 0.0
				for _, x := range c.out.targets[100:] {
					target += min(float64(x), want) / float64(len(c.out.targets)-100)
				}
				use := c.out.rate(10e6, 180e6)
				wait := percentile(calm(p, &c.out), 0.95)
				t.Logf("seed %d: uses %.0f%%, target %.0f%%, the voice waits %d ms, %d steps, padding %d kbit", seed, 100*use/want, 100*target/want, wait/1000, len(c.ladder.steps), c.out.padding/125)
				if os.Getenv("TRACE") == preset.Name && seed == 0 {
					for i := 0; i < len(c.out.targets); i += 10 {
						t.Logf("%3d s target %d received %.0f", i/10, c.out.targets[i]/1000, c.out.rate(int64(i)*1e5, int64(i+10)*1e5)/1000)
					}
				}
				if target < 0.6*want || use < 0.6*want {
					t.Errorf("seed %d: target %.0f%%, uses %.0f%%", seed, 100*target/want, 100*use/want)
				}
				if wait > (400 * time.Millisecond).Microseconds() {
					t.Errorf("seed %d: the voice waits %d ms", seed, wait/1000)
				}
			}
		})
	}
}
