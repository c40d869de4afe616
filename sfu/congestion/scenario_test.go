package congestion

import (
	"math"
	"math/rand/v2"
)

// scenario is a path and who shares it.
type scenario struct {
	name   string
	rate   func(int64) float64
	queue  int // ms at the rate at the start
	path   func(*simLink)
	call   func(*simCall)
	second int64 // a second call starts then
	other  func(*sim, *simLink)
	length int64
	loses  float64 // at random: the share that can't arrive
	want   expect
}

// expect is what an estimate must reach from 5 s on, whatever the seed.
type expect struct {
	use        float64 // share of the link, padding left out
	converged  float64 // s until 85% of what the link carries, over 2 s
	voiceLoss  float64
	voiceDelay int64 // ms, the queue's, 95th percentile
	share      float64
}

func lossy(l *simLink)   { l.loss = 0.1 }
func jittery(l *simLink) { l.jitter = 200_000 }

// scenarios are the paths of the tests and of the comparison. Where a path loses
// a tenth at random, the most that can be used is 90%.
func scenarios() []scenario {
	return []scenario{
		{name: "30 kbit/s, voice alone fits", rate: constant(30e3), queue: 1000,
			want: expect{use: 0.6, converged: 5, voiceLoss: 0.01, voiceDelay: 100}},
		{name: "100 kbit/s", rate: constant(100e3), queue: 1000,
			want: expect{use: 0.85, converged: 5, voiceLoss: 0.01, voiceDelay: 300}},
		{name: "300 kbit/s", rate: constant(300e3), queue: 500,
			want: expect{use: 0.85, converged: 5, voiceLoss: 0.01, voiceDelay: 150}},
		{name: "1 Mbit/s", rate: constant(1e6), queue: 300,
			want: expect{use: 0.85, converged: 5, voiceLoss: 0.01, voiceDelay: 100}},
		{name: "5 Mbit/s", rate: constant(5e6), queue: 300,
			want: expect{use: 0.85, converged: 5, voiceLoss: 0.01, voiceDelay: 100}},
		{name: "300, 100 from 20 s, 300 from 40 s", rate: dropAndReturn, queue: 500,
			want: expect{use: 0.85, converged: 5, voiceLoss: 0.02, voiceDelay: 500}},
		{name: "300, 10% random loss", rate: constant(300e3), queue: 500, path: lossy, loses: 0.1,
			want: expect{use: 0.7, converged: 5, voiceLoss: 0.15, voiceDelay: 300}},
		{name: "300, 10% loss in bursts of 4", rate: constant(300e3), queue: 500,
			path: func(l *simLink) { l.loss, l.burst = 0.1, 4 }, loses: 0.1,
			want: expect{use: 0.7, voiceLoss: 0.15, voiceDelay: 500}},
		{name: "300, 200 ms jitter", rate: constant(300e3), queue: 500, path: jittery,
			want: expect{use: 0.7, converged: 5, voiceLoss: 0.03, voiceDelay: 500}},
		{name: "300, 200 ms jitter that reorders", rate: constant(300e3), queue: 500,
			path: func(l *simLink) { jittery(l); l.reorder = true },
			want: expect{use: 0.7, converged: 6, voiceLoss: 0.03, voiceDelay: 500}},
		{name: "300, 10% loss and 200 ms jitter", rate: constant(300e3), queue: 500,
			path: func(l *simLink) { lossy(l); jittery(l) }, loses: 0.1,
			want: expect{use: 0.7, voiceLoss: 0.15, voiceDelay: 500}},
		{name: "1000, 10% loss and 200 ms jitter", rate: constant(1e6), queue: 500,
			path: func(l *simLink) { lossy(l); jittery(l) }, loses: 0.1,
			want: expect{use: 0.65, voiceLoss: 0.15, voiceDelay: 300}},
		{name: "300, queue of 2 s", rate: constant(300e3), queue: 2000,
			want: expect{use: 0.85, converged: 5, voiceLoss: 0.01, voiceDelay: 150}},
		{name: "300, queue of 50 ms (policer)", rate: constant(300e3), queue: 50,
			want: expect{use: 0.85, converged: 5, voiceLoss: 0.1, voiceDelay: 60}},
		{name: "300, outage of 3 s", rate: outageAt20, queue: 500,
			want: expect{use: 0.85, converged: 5, voiceLoss: 0.05, voiceDelay: 300}},
		{name: "300, sender without pacing", rate: constant(300e3), queue: 500,
			call: func(c *simCall) { c.noPacing = true },
			want: expect{use: 0.85, converged: 5, voiceLoss: 0.01, voiceDelay: 350}},
		{name: "300, feedback late and lossy", rate: constant(300e3), queue: 500,
			call: func(c *simCall) { c.fbDelay, c.fbLoss, c.fbInterval = 150_000, 0.2, 100_000 },
			want: expect{use: 0.75, voiceLoss: 0.05, voiceDelay: 400}},
		{name: "cellular, 0.1–3 Mbit/s", rate: cellular(1, 100e3, 3e6), queue: 500, length: 120e6,
			want: expect{use: 0.7, converged: 10, voiceLoss: 0.01, voiceDelay: 400}},
		{name: "300, two calls, 20 s apart", rate: constant(300e3), queue: 500, second: 20e6, length: 120e6,
			want: expect{use: 0.85, voiceLoss: 0.02, voiceDelay: 400, share: 0.8}},
		{name: "1000, two calls, 20 s apart", rate: constant(1e6), queue: 300, second: 20e6, length: 120e6,
			want: expect{use: 0.85, voiceLoss: 0.01, voiceDelay: 200, share: 0.8}},
		// A weak spot: each call takes the other's losses for the link's.
		{name: "300, two calls, queue of 60 ms", rate: constant(300e3), queue: 60, second: 20e6, length: 120e6,
			want: expect{use: 0.85, voiceLoss: 0.25, voiceDelay: 100, share: 0.3}},
		{name: "1000, with a TCP transfer", rate: constant(1e6), queue: 300,
			other: func(s *sim, l *simLink) { (&simTCP{s: s, link: l}).start(0, 1e9) },
			want:  expect{use: 0.1, voiceLoss: 0.02, voiceDelay: 350}},
		{name: "1000, 600 of it taken", rate: constant(1e6), queue: 300,
			other: func(s *sim, l *simLink) { simCBR(s, l, 600e3, 0, 1e9) },
			want:  expect{use: 0.28, voiceLoss: 0.01, voiceDelay: 300}},
	}
}

func dropAndReturn(t int64) float64 {
	if t >= 20e6 && t < 40e6 {
		return 100e3
	}
	return 300e3
}

func outageAt20(t int64) float64 {
	if t >= 20e6 && t < 23e6 {
		return 0
	}
	return 300e3
}

// cellular is a walk on the logarithm of the rate, a step each 200 ms.
func cellular(seed uint64, from, to float64) func(int64) float64 {
	rnd := rand.New(rand.NewPCG(seed, 3))
	v := make([]float64, 2000)
	x := math.Log(math.Sqrt(from * to))
	for i := range v {
		x = min(max(x+rnd.NormFloat64()*0.12, math.Log(from)), math.Log(to))
		v[i] = math.Exp(x)
	}
	return func(t int64) float64 { return v[int(t/200_000)%len(v)] }
}

// play runs a scenario and returns its calls.
func (sc *scenario) play(seed uint64, wait func(int64), make func() controller) []*simCall {
	s := newSim(seed)
	s.wait = wait
	l := &simLink{s: s, rate: sc.rate, delay: 25_000, queue: max(int(sc.rate(0)*float64(sc.queue)/8000), 2500)}
	if sc.path != nil {
		sc.path(l)
	}
	calls := []*simCall{newCall(s, l, make())}
	if sc.call != nil {
		sc.call(calls[0])
	}
	calls[0].start(0)
	if sc.second > 0 {
		calls = append(calls, newCall(s, l, make()))
		calls[1].start(sc.second)
	}
	if sc.other != nil {
		sc.other(s, l)
	}
	s.run(sc.duration())
	return calls
}

func (sc *scenario) playOurs(seed uint64, cfg Config) []*simCall {
	return sc.play(seed, nil, func() controller { return newOurs(cfg) })
}

func (sc *scenario) duration() int64 {
	if sc.length > 0 {
		return sc.length
	}
	return 60e6
}

// figures are what a run comes to.
type figures struct {
	use, voiceLoss, share float64
	converged             int64
	delay, voiceDelay     int64 // 95th percentile, µs
	lost                  float64
}

func (sc *scenario) measure(calls []*simCall) (f figures) {
	from, to := int64(5e6), sc.duration()
	if sc.second > 0 {
		from = sc.second + 20e6
	}
	sum := 0.0
	f.share = 1
	for i, c := range calls {
		r := c.out.rate(from, to)
		sum += r
		if i > 0 {
			other := calls[0].out.rate(from, to)
			f.share = min(r, other) / max(r, other)
		}
	}
	o := &calls[0].out
	f.use = sum / mean(sc.rate, from, to)
	f.converged = o.converged(0, to, sc.rate, 0.85*(1-sc.loses))
	f.delay = percentile(o.queueDelays, 0.95)
	f.lost = float64(o.droppedN) / float64(o.sentN)
	f.voiceLoss, f.voiceDelay = o.voice(5e6, to)
	return f
}
