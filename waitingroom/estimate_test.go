package waitingroom

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// world is a way in which consultations take their time. length returns the
// i-th consultation's seconds; i grows over the doctor's day.
type world struct {
	name   string
	length func(rng *rand.Rand, i int) float64
}

func worlds() []world {
	logNormal := func(median, sigma float64) func(*rand.Rand) float64 {
		return func(rng *rand.Rand) float64 { return median * math.Exp(sigma*rng.NormFloat64()) }
	}
	usual, narrow, wide := logNormal(720, 0.5), logNormal(600, 0.2), logNormal(600, 0.9)
	short, long := logNormal(300, 0.25), logNormal(1800, 0.25)
	return []world{
		{"log-normal", func(rng *rand.Rand, _ int) float64 { return usual(rng) }},
		{"narrow", func(rng *rand.Rand, _ int) float64 { return narrow(rng) }},
		{"wide", func(rng *rand.Rand, _ int) float64 { return wide(rng) }},
		{"bimodal", func(rng *rand.Rand, _ int) float64 {
			if rng.Float64() < 0.3 {
				return long(rng)
			}
			return short(rng)
		}},
		{"drifting", func(rng *rand.Rand, i int) float64 { return usual(rng) * math.Exp(0.01*float64(i)) }},
		{"exponential", func(rng *rand.Rand, _ int) float64 { return 600 * rng.ExpFloat64() }},
		{"left open", func(rng *rand.Rand, _ int) float64 { // one call in forty lasts all night
			return usual(rng)
		}},
	}
}

func seconds(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }

// TestForecastHoldsTheTrueWait simulates doctors and counts how often the range
// holds what then happens.
func TestForecastHoldsTheTrueWait(t *testing.T) {
	// With 1,500 trials every cell lies between 74 and 90%. 100, which take
	// seconds under the race detector, have a standard error of 4 points: a cell
	// may be three of them off, the whole less.
	const trials = 100
	positions := []int{1, 2, 6}
	for _, w := range worlds() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			inside, total := 0, 0
			for _, n := range []int{5, 30} {
				for _, busy := range []bool{true, false} {
					hits := make(map[int]int)
					for trial := range trials {
						rng := rand.New(rand.NewPCG(uint64(trial), uint64(n)))
						in, waits := simulate(rng, w, n, busy, positions[len(positions)-1])
						got := forecast(in, len(waits), uint64(trial))
						for _, p := range positions {
							e := got[p-1]
							if !e.Known {
								t.Fatalf("position %d with %d samples is unknown", p, n)
							}
							if e.Low > e.Expected || e.Expected > e.High {
								t.Fatalf("range out of order: %+v", e)
							}
							if wait := seconds(waits[p-1]); wait >= e.Low && wait <= e.High {
								hits[p]++
							}
						}
					}
					line := fmt.Sprintf("%2d samples, busy %-5v", n, busy)
					for _, p := range positions {
						c := float64(hits[p]) / trials
						line += fmt.Sprintf("  #%d %.0f%%", p, 100*c)
						if c < 0.62 {
							t.Errorf("%d samples, busy %v, position %d: coverage %.2f", n, busy, p, c)
						}
						inside += hits[p]
						total += trials
					}
					t.Log(line)
				}
			}
			c := float64(inside) / float64(total)
			t.Logf("coverage over all: %.1f%%", 100*c)
			if c < 0.75 || c > 0.90 {
				t.Errorf("coverage %.3f, want 0.75 to 0.90", c)
			}
		})
	}
}

// simulate draws a doctor's past, and then the true wait of each position.
func simulate(rng *rand.Rand, w world, n int, busy bool, places int) (outlook, []float64) {
	pickup := func() float64 { return 45 * math.Exp(0.6*rng.NormFloat64()) }
	var in outlook
	for i := range n {
		in.lengths = append([]time.Duration{seconds(w.length(rng, i))}, in.lengths...)
		in.pickups = append([]time.Duration{seconds(pickup())}, in.pickups...)
	}
	if w.name == "left open" && n > samplesNeeded {
		in.lengths[rng.IntN(n)] = 9 * time.Hour
	}
	next, wait := n, 0.0
	if busy {
		// The patient looks at a moment spread evenly over a consultation, which
		// is therefore long more often than not.
		for {
			l := w.length(rng, next)
			if rng.Float64() < l/20_000 {
				in.busy, in.running = true, seconds(l*rng.Float64())
				wait = l - in.running.Seconds()
				break
			}
		}
		next++
	}
	waits := make([]float64, places)
	for p := range waits {
		if p > 0 {
			wait += w.length(rng, next)
			next++
		}
		wait += pickup()
		waits[p] = wait
	}
	return in, waits
}

func TestForecastSaysWhatItDoesNotKnow(t *testing.T) {
	five := []time.Duration{10 * time.Minute, 12 * time.Minute, 8 * time.Minute, 11 * time.Minute, 9 * time.Minute}
	quick := []time.Duration{time.Minute, 30 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute}
	tests := []struct {
		name  string
		in    outlook
		known []bool
	}{
		{"nothing", outlook{}, []bool{false, false, false}},
		{"four samples", outlook{lengths: five[:4], busy: true}, []bool{false, false, false}},
		{"five samples, free doctor, no habit", outlook{lengths: five}, []bool{false, true, true}},
		{"five samples, busy doctor", outlook{lengths: five, busy: true}, []bool{true, true, true}},
		{"five samples and habit", outlook{lengths: five, pickups: quick}, []bool{true, true, true}},
		{"habit alone", outlook{pickups: quick}, []bool{true, false, false}},
		{"habit alone, busy doctor", outlook{pickups: quick, busy: true}, []bool{false, false, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i, e := range forecast(tt.in, 3, 1) {
				if e.Known != tt.known[i] {
					t.Errorf("position %d: known %v, want %v", i+1, e.Known, tt.known[i])
				}
			}
		})
	}
	if got := forecast(outlook{}, 0, 1); len(got) != 0 {
		t.Errorf("no places: %v", got)
	}
}

func TestForecastFollowsWhatItIsTold(t *testing.T) {
	var lengths []time.Duration
	for i := range 20 {
		lengths = append(lengths, time.Duration(8+i%5)*time.Minute)
	}
	free := forecast(outlook{lengths: lengths}, 5, 1)
	for i := 2; i < len(free); i++ {
		if free[i].Expected <= free[i-1].Expected {
			t.Errorf("position %d waits no longer than %d", i+1, i)
		}
	}
	fresh := forecast(outlook{lengths: lengths, busy: true}, 1, 1)[0]
	nearlyDone := forecast(outlook{lengths: lengths, busy: true, running: 9 * time.Minute}, 1, 1)[0]
	if nearlyDone.Expected >= fresh.Expected {
		t.Errorf("after nine minutes %v, at the start %v", nearlyDone.Expected, fresh.Expected)
	}
	overdue := forecast(outlook{lengths: lengths, busy: true, running: 3 * time.Hour}, 1, 1)[0]
	if !overdue.Known || overdue.High <= 0 {
		t.Errorf("overdue consultation: %+v", overdue)
	}
	outlier := append([]time.Duration{9 * time.Hour}, lengths...)
	if got := forecast(outlook{lengths: outlier}, 2, 1)[1]; got.High > 2*free[1].High {
		t.Errorf("one call left open moves the range from %v to %v", free[1].High, got.High)
	}
	again := forecast(outlook{lengths: lengths}, 5, 1)
	for i := range free {
		if free[i] != again[i] {
			t.Errorf("position %d differs between equal calls", i+1)
		}
	}
	if far := forecast(outlook{lengths: lengths}, placesForecast+1, 1); far[placesForecast].Known || !far[placesForecast-1].Known {
		t.Error("the bound on places is off")
	}
}

func BenchmarkForecast(b *testing.B) {
	var in outlook
	for i := range samplesWanted {
		in.lengths = append(in.lengths, time.Duration(5+i)*time.Minute)
	}
	for b.Loop() {
		forecast(in, 30, 1)
	}
}
