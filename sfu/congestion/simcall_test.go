package congestion

import (
	"slices"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
)

// controller is what a call asks about its rate: ours, or Pion's to compare.
type controller interface {
	sent(p Sent, now int64)
	feedback(raw []byte, now int64)
	tick(now int64)
	target() int
	pacing() int
	probe(now int64) (Cluster, bool)
}

// ours is an Estimator as a controller.
type ours struct {
	*Estimator
	fb Feedback
}

var simStart = time.Unix(1_700_000_000, 0)

func simTime(now int64) time.Time { return simStart.Add(time.Duration(now) * time.Microsecond) }

func newOurs(cfg Config) *ours { return &ours{Estimator: New(cfg, simStart)} }

func (o *ours) sent(p Sent, now int64) { o.Sent(p, simTime(now)) }
func (o *ours) feedback(raw []byte, now int64) {
	if err := o.fb.Parse(raw); err != nil {
		panic(err)
	}
	o.Feedback(&o.fb, simTime(now))
}
func (o *ours) tick(now int64)                  { o.Tick(simTime(now)) }
func (o *ours) target() int                     { return o.Estimate().Target }
func (o *ours) pacing() int                     { return o.Estimate().Pacing }
func (o *ours) probe(now int64) (Cluster, bool) { return o.Probe(simTime(now)) }

const (
	wireExtra = 28
	rtpExtra  = 12 + 8 + 16 // header, extensions, SRTP tag
)

// simCall is a sender and its receiver: 50 voice packets a second with RED where
// there is room, 30 pictures a second whose encoder follows the target, a pacer,
// and transport-wide feedback.
type simCall struct {
	s    *sim
	link *simLink
	c    controller

	videoMax    int   // bit/s, 0: as much as the target
	noVideo     bool  // voice only
	silentFrom  int64 // nothing at all is sent from here
	silentTo    int64
	noPacing    bool
	layers      []int // video rates to choose from, instead of any
	ladder      *simLadder
	coarse      bool // as a server without a timer does it: probes leave in one go, ticks are 200 ms apart
	fbDelay     int64
	fbLoss      float64
	fbInterval  int64
	audioStride int // so many frames of 20 ms in a packet

	seq      uint16
	queue    []int // of the pacer: video packets' payload
	queued   int   // bytes
	pacerAt  int64
	debt     float64
	frame    int
	tickAt   int64
	recorder *twcc.Recorder
	cluster  Cluster
	left     int // bytes of the probe still to send

	out sample
}

// sample is what happened, per 100 ms.
type sample struct {
	delivered   []int // wire bytes, padding left out
	audioSent   int
	audioLost   int
	lostAt      []int64 // when each lost voice packet was sent
	audioDelay  []int64 // queueing, µs
	delayAt     []int64 // when each of them was sent
	sentN       int
	droppedN    int
	targets     []int // every 100 ms
	queueDelays []int64
	padding     int
}

const sampleLength = 100_000

func newCall(s *sim, l *simLink, c controller) *simCall {
	call := &simCall{s: s, link: l, c: c, fbDelay: 25_000, fbInterval: 75_000, audioStride: 1,
		recorder: twcc.NewRecorder(1), tickAt: -1}
	return call
}

// start runs the call from at on.
func (c *simCall) start(at int64) {
	c.s.in(at-c.s.now, func() {
		c.s.every(33_333, c.video)
		c.audioLoop()
		c.s.every(5_000, c.pace)
		tick := int64(50_000)
		if c.coarse {
			tick = 200_000
		}
		c.s.every(tick, func() { c.tick() })
		c.s.in(c.fbInterval, c.feedbackLoop)
	})
	c.s.every(sampleLength, func() {
		t := 0
		if c.s.now >= at {
			t = c.c.target()
		}
		c.out.targets = append(c.out.targets, t)
	})
}

func (c *simCall) silent() bool { return c.s.now >= c.silentFrom && c.s.now < c.silentTo }

// audio rates on the wire.
const (
	thriftyPayload = 75 // 60 ms at 10 kbit/s
	voicePayload   = 80 // 20 ms at 32 kbit/s
)

func (c *simCall) audioLoop() {
	target := c.c.target()
	if c.ladder != nil {
		target = c.ladder.voiceTarget()
	}
	payload, stride := voicePayload, int64(1)
	switch {
	case target < 75_000:
		payload, stride = thriftyPayload, 3
	case target > 200_000:
		payload = 2*voicePayload + 5
	}
	c.audioStride = int(stride)
	if !c.silent() {
		c.transmit(payload+rtpExtra, Audio, 0)
	}
	c.s.in(20_000*stride, c.audioLoop)
}

func audioRate(target int) int {
	switch {
	case target < 75_000:
		return (thriftyPayload + rtpExtra + wireExtra) * 8 * 50 / 3
	case target > 200_000:
		return (2*voicePayload + 5 + rtpExtra + wireExtra) * 8 * 50
	}
	return (voicePayload + rtpExtra + wireExtra) * 8 * 50
}

func (c *simCall) video() {
	if c.ladder != nil {
		c.ladder.picture(c)
		return
	}
	target := c.c.target()
	rate := target - audioRate(target)
	if c.videoMax > 0 {
		rate = min(rate, c.videoMax)
	}
	if len(c.layers) > 0 {
		best := 0
		for _, l := range c.layers {
			if l <= rate {
				best = l
			}
		}
		rate = best
	}
	c.frame++
	if c.noVideo || rate < 20_000 || c.silent() || c.queued*8 > target/3 {
		return
	}
	size := float64(rate) / 30 / 8
	want := size * (0.8 + 0.4*c.s.rnd.Float64())
	if c.frame%300 == 1 {
		want = 6 * size
	}
	want -= min(c.debt, 0.3*size)
	c.debt += want - size
	c.debt = max(c.debt, -size)
	c.write(int(want))
}

// tick is what happens some times a second.
func (c *simCall) tick() {
	c.c.tick(c.s.now)
	if c.ladder != nil {
		c.ladder.decide(c)
	}
}

// write queues a picture of so many bytes on the wire.
func (c *simCall) write(size int) {
	for left := size; left > 0; {
		n := min(left, 1100)
		left -= n
		n = max(n-wireExtra, 20)
		c.queue = append(c.queue, n)
		c.queued += n
	}
	if c.noPacing {
		for _, n := range c.queue {
			c.transmit(n, Video, 0)
		}
		c.queue, c.queued = c.queue[:0], 0
	}
}

// pace lets what is due leave.
func (c *simCall) pace() {
	now := c.s.now
	if c.left <= 0 {
		if cl, ok := c.c.probe(now); ok {
			c.cluster, c.left = cl, cl.Bytes
		}
	}
	rate := float64(c.c.pacing())
	if c.left > 0 {
		rate = float64(c.cluster.Rate)
	}
	c.pacerAt = max(c.pacerAt, now-5_000)
	for (c.pacerAt <= now || c.coarse && c.left > 0) && (len(c.queue) > 0 || c.left > 0) {
		id, kind, n := uint8(0), Video, 0
		if c.left > 0 {
			id = c.cluster.ID
		}
		if len(c.queue) > 0 {
			n = c.queue[0]
			c.queue = c.queue[1:]
			c.queued -= n
		} else {
			n, kind = min(1000, c.cluster.Packet-wireExtra), Padding
		}
		c.transmit(n, kind, id)
		c.left -= n + wireExtra
		if c.coarse && c.left > 0 {
			continue
		}
		c.pacerAt += int64(float64(n+wireExtra) * 8e6 / rate)
	}
}

func (c *simCall) transmit(size int, kind Kind, cluster uint8) {
	now := c.s.now
	seq := c.seq
	c.seq++
	c.c.sent(Sent{Sequence: seq, Size: size, Kind: kind, Cluster: cluster}, now)
	o := &c.out
	o.sentN++
	if kind == Audio {
		o.audioSent++
	}
	if kind == Padding {
		o.padding += size + wireExtra
	}
	c.link.send(simPacket{size: size + wireExtra, sent: now,
		deliver: func(at, queued int64) {
			c.recorder.Record(1, seq, at)
			if kind != Padding {
				c.deliveredAt(at, size+wireExtra)
			}
			o.queueDelays = append(o.queueDelays, queued)
			if kind == Audio {
				o.audioDelay = append(o.audioDelay, queued)
				o.delayAt = append(o.delayAt, now)
			}
		},
		dropped: func() {
			o.droppedN++
			if kind == Audio {
				o.audioLost++
				o.lostAt = append(o.lostAt, now)
			}
		}})
}

func (c *simCall) deliveredAt(at int64, n int) {
	i := int(at / sampleLength)
	for len(c.out.delivered) <= i {
		c.out.delivered = append(c.out.delivered, 0)
	}
	c.out.delivered[i] += n
}

func (c *simCall) feedbackLoop() {
	for _, p := range c.recorder.BuildFeedbackPacket() {
		t, ok := p.(*rtcp.TransportLayerCC)
		if !ok || c.s.rnd.Float64() < c.fbLoss {
			continue
		}
		raw, err := t.Marshal()
		if err != nil {
			panic(err)
		}
		c.s.in(c.fbDelay, func() { c.c.feedback(raw, c.s.now) })
	}
	c.s.in(c.fbInterval+c.s.rnd.Int64N(10_000)-5_000, c.feedbackLoop)
}

// rate is what was delivered from one time to another, in bit/s.
func (o *sample) rate(from, to int64) float64 {
	sum := 0
	for i := from / sampleLength; i < to/sampleLength && int(i) < len(o.delivered); i++ {
		sum += o.delivered[i]
	}
	return float64(sum) * 8e6 / float64(to-from)
}

// converged is the first time from which on the mean of two seconds is at least
// the share of what the link carries; -1 when never.
func (o *sample) converged(from, to int64, link func(int64) float64, share float64) int64 {
	for t := from; t+2_000_000 <= to; t += sampleLength {
		if o.rate(t, t+2_000_000) >= share*mean(link, t, t+2_000_000) {
			return t - from
		}
	}
	return -1
}

func mean(f func(int64) float64, from, to int64) float64 {
	sum, n := 0.0, 0
	for t := from; t < to; t += 10_000 {
		sum += f(t)
		n++
	}
	return sum / float64(n)
}

func percentile(v []int64, p float64) int64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Clone(v)
	slices.Sort(s)
	return s[min(int(p*float64(len(s))), len(s)-1)]
}

// voice is the loss and the 95th percentile of the queueing delay of the voice
// sent from a time on.
func (o *sample) voice(from, to int64) (lost float64, delay int64) {
	n := 0
	for _, t := range o.lostAt {
		if t >= from && t < to {
			n++
		}
	}
	d := o.audioDelayFrom(from, to)
	return float64(n) / float64(max(n+len(d), 1)), percentile(d, 0.95)
}

// audioDelayFrom are the voice's queueing delays of packets sent in a stretch.
func (o *sample) audioDelayFrom(from, to int64) (out []int64) {
	for i, t := range o.delayAt {
		if t >= from && t < to {
			out = append(out, o.audioDelay[i])
		}
	}
	return out
}
