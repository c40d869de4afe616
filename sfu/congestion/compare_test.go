package congestion

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/gcc"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

const twccURI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

// pionGCC is Pion's estimator as a controller. It reads the clock itself, so it
// lives in a synctest bubble whose time the simulation drives.
type pionGCC struct {
	bwe    *gcc.SendSideBWE
	writer interceptor.RTPWriter
	last   int
}

func newPionGCC() *pionGCC {
	silent := logging.NewDefaultLoggerFactory()
	silent.DefaultLogLevel = logging.LogLevelDisabled
	bwe, err := gcc.NewSendSideBWE(gcc.SendSideBWEInitialBitrate(300_000), gcc.SendSideBWEMinBitrate(20_000),
		gcc.SendSideBWEMaxBitrate(20_000_000), gcc.SendSideBWEPacer(gcc.NewNoOpPacer()), gcc.WithLoggerFactory(silent))
	if err != nil {
		panic(err)
	}
	info := &interceptor.StreamInfo{SSRC: 1, RTPHeaderExtensions: []interceptor.RTPHeaderExtension{{URI: twccURI, ID: 1}}}
	w := bwe.AddStream(info, interceptor.RTPWriterFunc(func(*rtp.Header, []byte, interceptor.Attributes) (int, error) { return 0, nil }))
	return &pionGCC{bwe: bwe, writer: w}
}

func (g *pionGCC) sent(p Sent, _ int64) {
	h := &rtp.Header{Version: 2, SSRC: 1}
	ext, err := rtp.TransportCCExtension{TransportSequence: p.Sequence}.Marshal()
	if err == nil {
		err = h.SetExtension(1, ext)
	}
	if err == nil {
		_, err = g.writer.Write(h, make([]byte, max(p.Size+wireExtra-20, 0)), nil)
	}
	if err != nil {
		panic(err)
	}
}

func (g *pionGCC) feedback(raw []byte, _ int64) {
	packets, err := rtcp.Unmarshal(raw)
	if err == nil {
		err = g.bwe.WriteRTCP(packets, nil)
	}
	if err != nil {
		panic(err)
	}
	synctest.Wait()
}

func (g *pionGCC) tick(int64)                  {}
func (g *pionGCC) target() int                 { return g.bwe.GetTargetBitrate() }
func (g *pionGCC) pacing() int                 { return g.target() * 3 / 2 }
func (g *pionGCC) probe(int64) (Cluster, bool) { return Cluster{}, false }

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
}

func scenarios() []scenario {
	lossy := func(l *simLink) { l.loss = 0.1 }
	jittery := func(l *simLink) { l.jitter = 200_000 }
	outage := func(t int64) float64 {
		if t >= 20e6 && t < 23e6 {
			return 0
		}
		return 300e3
	}
	return []scenario{
		{name: "30 kbit/s", rate: constant(30e3), queue: 1000},
		{name: "100 kbit/s", rate: constant(100e3), queue: 1000},
		{name: "300 kbit/s", rate: constant(300e3), queue: 500},
		{name: "1 Mbit/s", rate: constant(1e6), queue: 300},
		{name: "5 Mbit/s", rate: constant(5e6), queue: 300},
		{name: "300, 100 from 20 s, 300 from 40 s", rate: dropAndReturn, queue: 500},
		{name: "300, 10% random loss", rate: constant(300e3), queue: 500, path: lossy},
		{name: "300, 10% loss in bursts of 4", rate: constant(300e3), queue: 500, path: func(l *simLink) { l.loss, l.burst = 0.1, 4 }},
		{name: "300, 200 ms jitter", rate: constant(300e3), queue: 500, path: jittery},
		{name: "1000, 10% loss and 200 ms jitter", rate: constant(1e6), queue: 500, path: func(l *simLink) { lossy(l); jittery(l) }},
		{name: "300, queue of 2 s", rate: constant(300e3), queue: 2000},
		{name: "300, queue of 50 ms (policer)", rate: constant(300e3), queue: 50},
		{name: "300, outage of 3 s", rate: outage, queue: 500},
		{name: "cellular, 0.1–3 Mbit/s", rate: cellular(1, 100e3, 3e6), queue: 500, length: 120e6},
		{name: "300, two calls, 20 s apart", rate: constant(300e3), queue: 500, second: 20e6, length: 120e6},
		{name: "1000, two calls, 20 s apart", rate: constant(1e6), queue: 300, second: 20e6, length: 120e6},
		{name: "1000, with a TCP transfer", rate: constant(1e6), queue: 300, other: func(s *sim, l *simLink) { (&simTCP{s: s, link: l}).start(0, 1e9) }},
	}
}

func dropAndReturn(t int64) float64 {
	if t >= 20e6 && t < 40e6 {
		return 100e3
	}
	return 300e3
}

// play runs a scenario and returns its calls and its link's rate.
func (sc *scenario) play(seed uint64, wait func(int64), make func() controller) []*simCall {
	s := newSim(seed)
	s.wait = wait
	l := &simLink{s: s, rate: sc.rate, delay: 25_000, queue: max(int(sc.rate(0)*float64(sc.queue)/8000), 2500)}
	if sc.path != nil {
		sc.path(l)
	}
	calls := []*simCall{newCall(s, l, make())}
	calls[0].start(0)
	if sc.second > 0 {
		calls = append(calls, newCall(s, l, make()))
		calls[1].start(sc.second)
	}
	if sc.call != nil {
		sc.call(calls[0])
	}
	if sc.other != nil {
		sc.other(s, l)
	}
	s.run(sc.duration())
	return calls
}

func (sc *scenario) duration() int64 {
	if sc.length > 0 {
		return sc.length
	}
	return 60e6
}

// playPion is play with Pion's estimator.
func (sc *scenario) playPion(t *testing.T, seed uint64) (calls []*simCall) {
	synctest.Test(t, func(*testing.T) {
		start := time.Now()
		wait := func(now int64) {
			if d := time.Duration(now)*time.Microsecond - time.Since(start); d > 0 {
				<-time.After(d)
			}
		}
		var all []*pionGCC
		calls = sc.play(seed, wait, func() controller {
			g := newPionGCC()
			all = append(all, g)
			return g
		})
		for _, g := range all {
			if err := g.bwe.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return calls
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
	f.converged = o.converged(0, to, sc.rate, 0.85)
	f.delay = percentile(o.queueDelays, 0.95)
	f.voiceDelay = percentile(o.audioDelay, 0.95)
	f.lost = float64(o.droppedN) / float64(o.sentN)
	f.voiceLoss = float64(o.audioLost) / float64(o.audioSent)
	return f
}

func (f figures) row() string {
	conv := "–"
	if f.converged >= 0 {
		conv = fmt.Sprintf("%.1f s", float64(f.converged)/1e6)
	}
	return fmt.Sprintf("%.0f%% | %s | %d ms | %.1f%% | %.1f%%", 100*f.use, conv, f.delay/1000, 100*f.lost, 100*f.voiceLoss)
}

// TestCompare prints the table of docs/performance.md: ours and Pion's estimator
// on the same paths. It takes a few seconds and is run by hand:
//
//	COMPARE=1 go test -run TestCompare -v ./sfu/congestion
func TestCompare(t *testing.T) {
	if os.Getenv("COMPARE") == "" {
		t.Skip("COMPARE is not set")
	}
	fmt.Println("| Path | use, ours | Pion | converged, ours | Pion | queue p95, ours | Pion | loss, ours | Pion | share, ours | Pion |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|")
	for _, sc := range scenarios() {
		a := sc.measure(sc.play(1, nil, func() controller { return newOurs(Config{}) }))
		b := sc.measure(sc.playPion(t, 1))
		share := " | | |"
		if sc.second > 0 {
			share = fmt.Sprintf(" | %.2f | %.2f |", a.share, b.share)
		}
		fmt.Printf("| %s | %.0f%% | %.0f%% | %s | %s | %d | %d | %.1f%% | %.1f%%%s\n", sc.name, 100*a.use, 100*b.use,
			seconds(a.converged), seconds(b.converged), a.delay/1000, b.delay/1000, 100*a.lost, 100*b.lost, share)
	}
}

func seconds(us int64) string {
	if us < 0 {
		return "never"
	}
	return fmt.Sprintf("%.1f s", float64(us)/1e6)
}
