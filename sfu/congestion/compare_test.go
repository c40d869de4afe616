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
