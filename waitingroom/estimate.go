package waitingroom

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	// samplesWanted is how many consultation lengths are looked at: enough for
	// tails, few enough to follow a doctor whose day changes.
	samplesWanted = 30
	// samplesNeeded is how many it takes to say anything.
	samplesNeeded = 5
	// drawsPerForecast is how many futures are drawn. The lower quantile of 400
	// has a standard error of 1.4 points of coverage.
	drawsPerForecast = 400
	// tail is left out at each end of the range. Together with the smoothing it
	// makes the range hold the true wait in 75 to 90% of cases; see the
	// simulation in estimate_test.go.
	tail = 0.085
	// recency halves the weight of a length every so many consultations.
	recency = 15.0
	// placesForecast bounds the work; further back the estimate is unknown.
	placesForecast = 200
)

// outlook is what is known of a doctor's pace.
type outlook struct {
	lengths []time.Duration // ended consultations, start to end, newest first
	// pickups is how long the free doctor took to admit a waiting patient,
	// newest first.
	pickups []time.Duration
	busy    bool          // a consultation is going on
	running time.Duration // for how long
}

// forecast estimates the wait until admission for positions 1 to places.
//
// It draws futures: the rest of the running consultation, then a pickup and a
// whole consultation for every patient ahead, and a last pickup. Sums of draws
// keep what a normal approximation loses: skew, and two kinds of consultations.
// Each future draws from its own resample of the lengths, which brings in that
// a few samples say little about the true distribution (Efron and Tibshirani,
// An Introduction to the Bootstrap, ch. 16), and smooths it on the log scale.
//
// Fewer than samplesNeeded lengths: unknown. The first in the queue of a free
// doctor waits for nothing but the doctor's habit of admitting: unknown until
// enough pickups have been seen.
func forecast(in outlook, places int, seed uint64) []consult.Estimate {
	out := make([]consult.Estimate, places)
	n := min(places, placesForecast)
	if n == 0 {
		return out
	}
	rng := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	lengths, pickups := newSampler(in.lengths, rng), newSampler(in.pickups, rng)
	if lengths == nil && (in.busy || n > 1) {
		n = 1
	}
	futures := make([][]float64, n) // by position, seconds
	for i := range futures {
		futures[i] = make([]float64, drawsPerForecast)
	}
	var rooms [2][samplesWanted]float64
	for d := range drawsPerForecast {
		l, p := lengths.resample(rng, rooms[0][:]), pickups.resample(rng, rooms[1][:])
		wait := 0.0
		if in.busy {
			wait = l.rest(rng, in.running.Seconds())
		}
		for i := range n {
			if i > 0 {
				wait += l.draw(rng)
			}
			wait += p.draw(rng)
			futures[i][d] = wait
		}
	}
	for i := range n {
		if lengths == nil && (in.busy || i > 0) || pickups == nil && !in.busy && i == 0 {
			continue
		}
		slices.Sort(futures[i])
		out[i] = consult.Estimate{
			Known: true, Expected: quantile(futures[i], 0.5),
			Low: quantile(futures[i], tail), High: quantile(futures[i], 1-tail),
		}
	}
	return out
}

func quantile(sorted []float64, p float64) time.Duration {
	at := p * float64(len(sorted)-1)
	i := int(at)
	v := sorted[i]
	if i+1 < len(sorted) {
		v += (at - float64(i)) * (sorted[i+1] - v)
	}
	return time.Duration(v * float64(time.Second)).Round(time.Second)
}

// noises is how many factors of the smoothing a sampler keeps ready.
const noises = 256

// sampler draws durations like those observed. Nil stands for too few and draws
// zeros.
type sampler struct {
	values []float64 // seconds, newest first, outliers drawn in
	deck   []int     // indexes of values, the recent ones more often
	noise  []float64 // factors of the smoothing
	width  float64   // of the smoothing, on the log scale
	doubt  float64   // how far the whole distribution may lie off, on the log scale
}

// newSampler is nil under samplesNeeded samples.
func newSampler(samples []time.Duration, rng *rand.Rand) *sampler {
	n := min(len(samples), samplesWanted)
	if n < samplesNeeded {
		return nil
	}
	s := &sampler{values: make([]float64, n), noise: make([]float64, noises)}
	logs := make([]float64, n)
	for i, d := range samples[:n] {
		logs[i] = math.Log(max(d.Seconds(), 1))
	}
	sorted := slices.Sorted(slices.Values(logs))
	at := func(p float64) float64 { return sorted[int(p*float64(n-1)+0.5)] }
	iqr := at(0.75) - at(0.25)
	// A call left open overnight must not speak for the next one: Tukey's outer
	// fences on the log scale, never nearer than four times the median.
	reach := max(3*iqr, math.Log(4))
	low, high := min(at(0.25)-reach, at(0.5)-reach), max(at(0.75)+reach, at(0.5)+reach)
	var mean, sq float64
	for i := range logs {
		logs[i] = min(max(logs[i], low), high)
		mean += logs[i] / float64(n)
	}
	for _, x := range logs {
		sq += (x - mean) * (x - mean) / float64(n-1)
	}
	spread := math.Sqrt(sq)
	if iqr > 0 {
		spread = min(spread, iqr/1.349)
	}
	// Silverman's rule of thumb for a kernel's width.
	s.width = 0.9 * spread * math.Pow(float64(n), -0.2)
	// Resampling a few values understates how far their mean may be off, as
	// Student's t against the normal distribution; this adds it back.
	s.doubt = 2.5 * math.Sqrt(sq) / float64(n)
	for i := range s.noise {
		s.noise[i] = math.Exp(s.width * rng.NormFloat64())
	}
	for i := range n {
		s.values[i] = math.Exp(logs[i])
		for range int(math.Round(8 * math.Exp2(-float64(i)/recency))) {
			s.deck = append(s.deck, i)
		}
	}
	return s
}

// resampled is one possible truth behind the samples.
type resampled struct {
	values []float64
	noise  []float64
	width  float64
}

// resample draws one, into room if that is large enough.
func (s *sampler) resample(rng *rand.Rand, room []float64) resampled {
	if s == nil {
		return resampled{}
	}
	r := resampled{values: room[:0], noise: s.noise, width: s.width}
	shift := math.Exp(s.doubt * rng.NormFloat64())
	for range s.values {
		r.values = append(r.values, s.values[s.deck[rng.IntN(len(s.deck))]]*shift)
	}
	return r
}

// draw returns seconds.
func (r resampled) draw(rng *rand.Rand) float64 {
	if len(r.values) == 0 {
		return 0
	}
	return r.values[rng.IntN(len(r.values))] * r.noise[rng.IntN(noises)]
}

// rest draws what remains of a consultation that has run for so many seconds:
// only lengths beyond that are possible. When none is, it has outlived all
// experience, and what remains is taken in proportion to what has passed.
func (r resampled) rest(rng *rand.Rand, running float64) float64 {
	if len(r.values) == 0 {
		return 0
	}
	const tries = 30
	for range tries {
		if l := r.draw(rng); l > running {
			return l - running
		}
	}
	return running * math.Expm1(max(r.width, 0.25)*math.Abs(rng.NormFloat64()))
}
