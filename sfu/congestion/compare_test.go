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

// means is the mean of several runs, of convergence the slowest.
func means(runs []figures) (m figures) {
	n := float64(len(runs))
	for _, f := range runs {
		m.use += f.use / n
		m.share += f.share / n
		m.lost += f.lost / n
		m.delay += f.delay / int64(n)
		m.voiceDelay += f.voiceDelay / int64(n)
		if f.converged < 0 || m.converged < 0 {
			m.converged = -1
		} else {
			m.converged = max(m.converged, f.converged)
		}
	}
	return m
}

// TestCompare prints the table of docs/performance.md: ours and Pion's estimator
// on the same paths. It takes some seconds and is run by hand:
//
//	COMPARE=1 go test -run TestCompare -v ./sfu/congestion
func TestCompare(t *testing.T) {
	if os.Getenv("COMPARE") == "" {
		t.Skip("COMPARE is not set")
	}
	fmt.Println("| Path (kbit/s) | use, ours | Pion | converged, ours | Pion | voice waits (ms), ours | Pion | loss, ours | Pion | share, ours | Pion |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|")
	for _, sc := range scenarios() {
		var ours, pion []figures
		for seed := range uint64(3) {
			ours = append(ours, sc.measure(sc.playOurs(seed, Config{})))
			pion = append(pion, sc.measure(sc.playPion(t, seed)))
		}
		a, b := means(ours), means(pion)
		share := " | | |"
		if sc.second > 0 {
			share = fmt.Sprintf(" | %.2f | %.2f |", a.share, b.share)
		}
		fmt.Printf("| %s | %.0f%% | %.0f%% | %s | %s | %d | %d | %.1f%% | %.1f%%%s\n", sc.name, 100*a.use, 100*b.use,
			seconds(a.converged), seconds(b.converged), a.voiceDelay/1000, b.voiceDelay/1000, 100*a.lost, 100*b.lost, share)
	}
}

// TestCompareIdle prints what the estimates come to after ten minutes of voice
// alone on 1 Mbit/s; run as TestCompare.
func TestCompareIdle(t *testing.T) {
	if os.Getenv("COMPARE") == "" {
		t.Skip("COMPARE is not set")
	}
	sc := scenario{rate: constant(1e6), queue: 300, length: 600e6, call: func(c *simCall) { c.noVideo = true }}
	last := func(calls []*simCall) int { return calls[0].c.target() }
	ours := last(sc.playOurs(1, Config{}))
	o := sc.playPion(t, 1)[0].out.targets
	fmt.Printf("voice alone for ten minutes: ours %d, Pion %d bit/s\n", ours, o[len(o)-1])
}

func seconds(us int64) string {
	if us < 0 {
		return "never"
	}
	return fmt.Sprintf("%.1f s", float64(us)/1e6)
}
