package impair

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var start = time.Unix(1_700_000_000, 0)

const ms = time.Millisecond

// arrival is a packet that came out, at a time since start.
type arrival struct {
	n  int // the number it was pushed with
	in time.Duration
	at time.Duration
}

// sim drives a link with a simulated clock.
type sim struct {
	t    testing.TB
	link *Link[arrival]
	now  time.Duration
	n    int
	out  []arrival
}

func newSim(t testing.TB, p Profile, seed uint64) *sim {
	t.Helper()
	l, err := NewLink[arrival](p, seed, start)
	if err != nil {
		t.Fatal(err)
	}
	return &sim{t: t, link: l}
}

// until lets the clock run, from one time the link names to the next.
func (s *sim) until(end time.Duration) {
	for {
		next, ok := s.link.Next()
		if !ok || next.Sub(start) > end {
			break
		}
		if next.Sub(start) < s.now {
			s.t.Fatalf("the link wants to be asked at %v, before now, %v", next.Sub(start), s.now)
		}
		s.now = next.Sub(start)
		s.take()
	}
	s.now = end
	s.take()
}

func (s *sim) take() {
	for {
		a, at, ok := s.link.Pop(start.Add(s.now))
		if !ok {
			return
		}
		if a.at = at.Sub(start); a.at != s.now {
			s.t.Fatalf("packet %d of %v came out at %v, but was due at %v", a.n, a.in, s.now, a.at)
		}
		s.out = append(s.out, a)
	}
}

func (s *sim) push(size int) bool {
	s.n++
	return s.link.Push(start.Add(s.now), arrival{n: s.n - 1, in: s.now}, size)
}

// flow pushes a packet every step, for as long as said.
func (s *sim) flow(size int, step, long time.Duration) {
	for end := s.now + long; s.now < end; s.until(s.now + step) {
		s.push(size)
	}
}

// rest lets everything come out.
func (s *sim) rest() { s.until(s.now + 2*time.Hour) }

func (s *sim) set(p Profile) {
	s.t.Helper()
	if err := s.link.Set(start.Add(s.now), p); err != nil {
		s.t.Fatal(err)
	}
}

// rate is what came out between two times, in bit/s.
func (s *sim) rate(size int, from, to time.Duration) float64 {
	var bits int
	for _, a := range s.out {
		if a.at > from && a.at <= to {
			bits += 8 * size
		}
	}
	return float64(bits) / (to - from).Seconds()
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s: %v, want %v ± %v", what, got, want, tolerance)
	}
}

func TestRateWithinTwoPercent(t *testing.T) {
	for _, rate := range []int{30_000, 300_000, 2_000_000, 50_000_000} {
		s := newSim(t, Profile{Rate: rate, Queue: 20_000, Delay: 50 * ms}, 1)
		step := time.Duration(8 * 1000 * 1e9 / (2 * float64(rate))) // twice the rate
		s.flow(1000, step, max(2000*step, time.Second))
		long := s.now
		s.rest()
		near(t, "bit/s", s.rate(1000, long/4, long), float64(rate), 0.02*float64(rate))
	}
}

// TestRateChangesAtOnce: what waits already is sent at the new rate.
func TestRateChangesAtOnce(t *testing.T) {
	s := newSim(t, Profile{Rate: 300_000, Queue: 60_000}, 1)
	for _, rate := range []int{300_000, 100_000, 1_000_000, 300_000} {
		p := s.link.Profile()
		p.Rate = rate
		s.set(p)
		from := s.now
		s.flow(500, 2*ms, 4*time.Second) // 2 Mbit/s: there is always a queue
		for second := range 4 {
			begin := from + time.Duration(second)*time.Second
			near(t, "bit/s", s.rate(500, begin, begin+time.Second), float64(rate), 0.02*float64(rate)+8*500)
		}
	}
	// Even of the packet that is being sent: half at the old rate, half at the new.
	s = newSim(t, Profile{Rate: 8000, Queue: 5000}, 1)
	s.push(1000)
	s.until(500 * ms)
	s.set(Profile{Rate: 4000, Queue: 5000})
	s.rest()
	if got := s.out[0].at; got != 1500*ms {
		t.Errorf("sent after %v", got)
	}
}

func TestQueueIsBounded(t *testing.T) {
	s := newSim(t, Profile{Rate: 400_000, Queue: 25_000}, 1) // half a second
	s.flow(1000, 5*ms, 10*time.Second)                       // four times too much
	s.rest()
	var longest time.Duration
	for _, a := range s.out {
		longest = max(longest, a.at-a.in)
	}
	if longest > 500*ms || longest < 470*ms {
		t.Errorf("the longest wait is %v", longest)
	}
	c := s.link.Counters()
	if c.MaxQueued != 25_000 || c.Drops.Queue != c.In-c.Out || c.Drops.Total() != c.Drops.Queue || c.Queued != 0 {
		t.Errorf("%+v", c)
	}
	// An idle link takes a packet larger than its queue.
	s = newSim(t, Profile{Rate: 8000, Queue: 100}, 1)
	if !s.push(1000) || s.push(50) {
		t.Error("a large packet and one behind it")
	}
}

// TestLossWithinItsConfidenceInterval: 99.9% of a binomial distribution.
func TestLossWithinItsConfidenceInterval(t *testing.T) {
	for _, loss := range []float64{0, 0.002, 0.01, 0.1, 0.5, 1} {
		for seed := range uint64(3) {
			s := newSim(t, Profile{Loss: loss}, seed)
			const n = 20_000
			s.flow(100, ms, n*ms)
			c := s.link.Counters()
			near(t, "lost", float64(c.Drops.Loss)/n, loss, 3.29*math.Sqrt(loss*(1-loss)/n))
			if len(s.out) != int(c.Out) || c.Out+c.Drops.Total() != c.In || c.In != n {
				t.Errorf("%d came out, %+v", len(s.out), c)
			}
		}
	}
}

// TestBursts: how much is lost, and in runs of which length. Neighbours are
// correlated by 1-Enter-Leave, which widens the interval.
func TestBursts(t *testing.T) {
	for _, b := range []Burst{{Enter: 0.01, Leave: 0.2, Loss: 1}, {Enter: 0.002, Leave: 0.15, Loss: 0.7}} {
		p := Profile{Burst: b, Loss: 0}
		s := newSim(t, p, 7)
		const n = 100_000
		s.flow(100, ms, n*ms)
		mean, keep := p.MeanLoss(), 1-b.Enter-b.Leave
		near(t, "lost", float64(s.link.Counters().Drops.Burst)/n, mean, 3.29*math.Sqrt(mean*(1-mean)/n*(1+keep)/(1-keep)))
		var runs, lost int
		for i, next := 0, 0; i < len(s.out); i++ {
			if s.out[i].n > next {
				runs++
				lost += s.out[i].n - next
			}
			next = s.out[i].n + 1
		}
		if b.Loss == 1 {
			near(t, "length of a burst", float64(lost)/float64(runs), 1/b.Leave, 0.05/b.Leave)
		}
	}
	p := Profile{Loss: 0.1, Burst: Burst{Enter: 0.1, Leave: 0.1, Loss: 1}}
	near(t, "mean of both kinds", p.MeanLoss(), 0.55, 1e-9)
}

func TestDelayWithoutJitterIsExact(t *testing.T) {
	s := newSim(t, Profile{Delay: 80 * ms, Rate: 1_000_000, Queue: 10_000}, 1)
	s.flow(125, 10*ms, time.Second)
	s.rest()
	for _, a := range s.out {
		if a.at-a.in != 81*ms { // 125 bytes take 1 ms
			t.Fatalf("packet %d took %v", a.n, a.at-a.in)
		}
	}
}

// TestJitterDistribution checks mean, deviation and quantiles of a normal
// distribution, and how long the jitter remembers.
func TestJitterDistribution(t *testing.T) {
	const delay, jitter, n = 400.0, 50.0, 30_000
	for _, memory := range []time.Duration{0, 100 * ms} {
		s := newSim(t, Profile{Delay: delay * ms, Jitter: jitter * ms, JitterTime: memory, Reorder: true}, 3)
		s.flow(100, 20*ms, n*20*ms)
		s.rest()
		took := make([]float64, n)
		for _, a := range s.out {
			took[a.n] = float64(a.at-a.in) / float64(ms)
		}
		wide := 1.0 // fewer independent samples with a memory
		if memory > 0 {
			wide = math.Sqrt(10)
		}
		mean, dev, lagged := moments(took, 5)
		near(t, "mean", mean, delay, wide*4*jitter/math.Sqrt(n))
		near(t, "deviation", dev, jitter, wide*0.01*jitter)
		if memory > 0 {
			near(t, "correlation after its time", lagged, 1/math.E, 0.05)
		} else {
			near(t, "correlation", lagged, 0, 0.02)
		}
		slices.Sort(took)
		for q, z := range map[float64]float64{0.025: -1.96, 0.1587: -1, 0.5: 0, 0.8413: 1, 0.975: 1.96} {
			near(t, "quantile", took[int(q*n)], delay+z*jitter, wide*0.03*jitter)
		}
	}
}

// moments are the mean, the deviation and the correlation at a lag.
func moments(x []float64, lag int) (mean, dev, lagged float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	var square, cross float64
	for i, v := range x {
		square += (v - mean) * (v - mean)
		if i >= lag {
			cross += (v - mean) * (x[i-lag] - mean)
		}
	}
	return mean, math.Sqrt(square / float64(len(x))), cross / square
}

func TestOrder(t *testing.T) {
	p := Profile{Delay: 200 * ms, Jitter: 60 * ms}
	for _, reorder := range []bool{false, true} {
		p.Reorder = reorder
		s := newSim(t, p, 5)
		s.flow(100, 20*ms, time.Minute)
		s.rest()
		var behind uint64
		highest := -1
		for _, a := range s.out {
			if a.n < highest {
				behind++
			}
			highest = max(highest, a.n)
		}
		if (behind > 0) != reorder || behind != s.link.Counters().Overtaken || len(s.out) != 3000 {
			t.Errorf("reorder %v: %d of %d overtaken, %d counted", reorder, behind, len(s.out), s.link.Counters().Overtaken)
		}
	}
}

func TestOutages(t *testing.T) {
	o := Outage{Every: 10 * time.Second, For: 2 * time.Second}
	for name, p := range map[string]Profile{
		"lost": {Outage: o}, "held": {Outage: Outage{o.Every, o.For, true}, Queue: 1_000_000},
		"held at a rate":      {Outage: Outage{o.Every, o.For, true}, Rate: 800_000, Queue: 1_000_000},
		"held in a small one": {Outage: Outage{o.Every, o.For, true}, Rate: 800_000, Queue: 10_000},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, p, 1)
			s.until(5 * time.Millisecond)
			s.flow(100, 10*ms, 30*time.Second)
			s.rest()
			for _, a := range s.out {
				if in := a.at % o.Every; in > 8*time.Second {
					t.Fatalf("packet %d came out at %v", a.n, a.at)
				}
			}
			c := s.link.Counters()
			const within = 3 * 200
			switch {
			case !p.Outage.Hold && (c.Drops.Outage != within || c.Out != 3000-within):
				t.Errorf("lost: %+v", c)
			case p.Queue == 1_000_000 && c.Out != 3000:
				t.Errorf("held: %+v", c)
			case p.Queue == 10_000 && (c.Drops.Queue != 3*100 || c.Out != 3000-3*100):
				t.Errorf("held in a small queue: %+v", c)
			}
		})
	}
	s := newSim(t, Profile{}, 1)
	s.flow(100, 10*ms, time.Second)
	s.set(Profile{Cut: true})
	s.flow(100, 10*ms, time.Second)
	s.set(Profile{})
	s.flow(100, 10*ms, time.Second)
	if c := s.link.Counters(); c.Out != 200 || c.Drops.Outage != 100 {
		t.Errorf("cut: %+v", c)
	}
}

// TestOutageArithmetic compares with counting millisecond by millisecond.
func TestOutageArithmetic(t *testing.T) {
	o := Outage{Every: 10, For: 3} // nanoseconds
	var worked int64
	for at := range int64(100) {
		if got := o.worked(at); got != worked {
			t.Fatalf("%d worked before %d, want %d", got, at, worked)
		}
		for work := range time.Duration(25) {
			done, left := at, int64(work)
			for left > 0 || work == 0 && done%10 >= 7 {
				if done%10 < 7 {
					left--
				}
				done++
			}
			if got := o.after(at, work); got != done {
				t.Fatalf("%d of work at %d is done at %d, want %d", work, at, got, done)
			}
		}
		if at%10 < 7 {
			worked++
		}
	}
}

// TestNothingIsInventedOrForgotten: under any profiles and traffic the counters
// add up, a packet comes out once and after it went in.
func TestNothingIsInventedOrForgotten(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 9))
		s := newSim(t, anyProfile(r), seed)
		for range 300 {
			s.until(s.now + time.Duration(r.Int64N(int64(30*ms))))
			s.push(1 + r.IntN(1500))
			if r.IntN(40) == 0 {
				s.set(anyProfile(r))
			}
			c := s.link.Counters()
			if c.In != c.Out+c.Drops.Total()+c.Inside || c.Queued < 0 || int(c.Out) != len(s.out) {
				t.Fatalf("seed %d: %+v with %d out", seed, c, len(s.out))
			}
		}
		s.rest()
		if c := s.link.Counters(); c.Inside != 0 || c.Queued != 0 || c.Out+c.Drops.Total() != 300 {
			t.Fatalf("seed %d: %+v", seed, c)
		}
		seen := map[int]bool{}
		for _, a := range s.out {
			if seen[a.n] || a.at < a.in {
				t.Fatalf("seed %d: %+v", seed, a)
			}
			seen[a.n] = true
		}
	}
}

func anyProfile(r *rand.Rand) Profile {
	d := func(most time.Duration) time.Duration {
		if r.IntN(2) == 0 {
			return 0
		}
		return time.Duration(r.Int64N(int64(most)))
	}
	p := Profile{
		Queue: 1 + r.IntN(50_000), Delay: d(time.Second), Jitter: d(200 * ms), JitterTime: d(time.Second),
		Reorder: r.IntN(2) == 0, Loss: r.Float64() * r.Float64(), Cut: r.IntN(10) == 0,
	}
	if r.IntN(4) > 0 {
		p.Rate = 10_000 + r.IntN(3_000_000)
	}
	if r.IntN(2) == 0 {
		p.Burst = Burst{Enter: r.Float64(), Leave: 0.01 + 0.99*r.Float64(), Loss: r.Float64()}
	}
	if r.IntN(2) == 0 {
		p.Outage = Outage{Every: time.Second + d(time.Second), For: d(time.Second), Hold: r.IntN(2) == 0}
	}
	return p
}

func TestTheSeedDecides(t *testing.T) {
	p, _ := PresetNamed("rural-3g")
	run := func(seed uint64) []arrival {
		s := newSim(t, p.Up, seed)
		s.flow(700, 17*ms, 20*time.Second)
		s.rest()
		return s.out
	}
	if !slices.Equal(run(1), run(1)) {
		t.Error("the same seed gave another fate")
	}
	if slices.Equal(run(1), run(2)) {
		t.Error("another seed gave the same fate")
	}
}

func TestTimeNeverRunsBackwards(t *testing.T) {
	s := newSim(t, Profile{Delay: 10 * ms}, 1)
	s.until(time.Second)
	s.link.Push(start, arrival{in: time.Second}, 10)
	s.rest()
	if len(s.out) != 1 || s.out[0].at != time.Second+10*ms {
		t.Errorf("%v", s.out)
	}
}

func TestBadProfiles(t *testing.T) {
	for name, p := range map[string]Profile{
		"rate": {Rate: -1}, "rate without queue": {Rate: 1}, "queue": {Queue: maxQueue + 1}, "delay": {Delay: -1},
		"jitter": {Jitter: 2 * time.Hour}, "loss": {Loss: 1.1}, "no number": {Loss: math.NaN()},
		"endless burst": {Burst: Burst{Enter: 0.1}}, "endless outage": {Outage: Outage{Every: 1, For: 1}},
		"hold without queue": {Outage: Outage{Every: 2, For: 1, Hold: true}},
	} {
		if _, err := NewLink[int](p, 1, start); err == nil {
			t.Errorf("%s is accepted", name)
		}
		s := newSim(t, Profile{}, 1)
		if s.link.Set(start, p) == nil || s.link.Profile() != (Profile{}) {
			t.Errorf("%s is set", name)
		}
	}
	for _, p := range Presets() {
		if err := p.Up.Check(); err != nil {
			t.Error(p.Name, err)
		}
		if err := p.Down.Check(); err != nil {
			t.Error(p.Name, err)
		}
	}
}

func TestAllocations(t *testing.T) {
	p, _ := PresetNamed("commuter-train")
	l, err := NewLink[int](p.Down, 1, start)
	if err != nil {
		t.Fatal(err)
	}
	now := start
	step := func() {
		now = now.Add(ms)
		l.Push(now, 1, 1000)
		for {
			if _, _, ok := l.Pop(now); !ok {
				return
			}
		}
	}
	for range 60_000 { // through outages, until the memory is there
		step()
	}
	if n := testing.AllocsPerRun(20_000, step); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}
