package congestion

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// TestEstimateStaysWithinBounds feeds whatever a receiver might say: true, late,
// repeated, reordered, lost, and forged.
func TestEstimateStaysWithinBounds(t *testing.T) {
	for seed := range uint64(15) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		cfg := Config{Min: 30_000, Max: 3_000_000, Start: 200_000}
		e := New(cfg, simStart)
		now := simStart
		seq := uint16(rnd.Uint32())
		var old []Feedback
		sentBytes := 0
		for range 3_000 {
			now = now.Add(time.Duration(rnd.IntN(40)) * time.Millisecond)
			first := seq
			for range rnd.IntN(12) {
				size := rnd.IntN(1300)
				e.Sent(Sent{Sequence: seq, Size: size, Kind: Kind(rnd.IntN(4)), Cluster: uint8(rnd.IntN(3))}, now)
				sentBytes += size
				seq++
			}
			switch rnd.IntN(8) {
			case 0: // lost
			case 1:
				if len(old) > 0 {
					e.Feedback(&old[rnd.IntN(len(old))], now)
				}
			default:
				f := forge(rnd, first, seq, now)
				old = append(old, f)
				e.Feedback(&old[len(old)-1], now)
			}
			if rnd.IntN(20) == 0 {
				e.RTT(time.Duration(rnd.Int64()))
				e.ReceiverReport(rnd.Float64()*3-1, now)
				e.Demand(rnd.IntN(5_000_000) - 1_000_000)
			}
			e.Tick(now)
			if c, ok := e.Probe(now); ok && (c.Rate <= 0 || c.Bytes <= 0 || c.ID == 0 || c.Packet <= 0 || c.Rate > cfg.Max) {
				t.Fatalf("seed %d: probe %+v", seed, c)
			}
			check(t, e, cfg)
		}
	}
}

// forge makes a feedback on the packets from first to last, or on others.
func forge(rnd *rand.Rand, first, last uint16, now time.Time) (f Feedback) {
	at := now.Sub(simStart).Microseconds()
	f.start(uint32(at / 64_000))
	switch rnd.IntN(6) {
	case 0:
		f.start(rnd.Uint32())
	case 1:
		first -= uint16(rnd.IntN(300))
	case 2:
		first, last = uint16(rnd.Uint32()), uint16(rnd.Uint32())
		last = min(last, first+1000)
	}
	offset := int64(0)
	for s := first; s != last && len(f.arrivals) < 2000; s++ {
		switch rnd.IntN(5) {
		case 0:
			offset += int64(int16(rnd.Uint32())) * 250
		case 1:
		default:
			offset += rnd.Int64N(20_000)
		}
		f.arrivals = append(f.arrivals, arrival{sequence: s, offset: offset, received: rnd.IntN(10) > 0})
	}
	return f
}

func check(t *testing.T, e *Estimator, cfg Config) {
	t.Helper()
	v := e.Estimate()
	if v.Target < cfg.Min || v.Target > cfg.Max || v.Link < cfg.Min || v.Link > cfg.Max || v.Pacing < v.Target {
		t.Fatalf("out of bounds: %+v", v)
	}
	for _, x := range []float64{v.Loss, v.BaseLoss, e.rate.link, e.rate.received, e.delay.noise, e.delay.slope} {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			t.Fatalf("no number: %+v", v)
		}
	}
	if v.Loss < 0 || v.Loss > 1 || v.BaseLoss < 0 || v.BaseLoss > 1 || v.Queue < 0 || v.RTT < 0 || v.RTT > 10*time.Second {
		t.Fatalf("out of bounds: %+v", v)
	}
}

// TestLiesGainNothing: a receiver that claims instant arrival of everything is
// believed no more than what was sent, and a half more.
func TestLiesGainNothing(t *testing.T) {
	e := New(Config{}, simStart)
	now := simStart
	seq := uint16(0)
	for range 2_000 { // 200 kbit/s for 100 s
		now = now.Add(50 * time.Millisecond)
		var f Feedback
		f.start(uint32(now.Sub(simStart).Microseconds() / 64_000))
		e.Sent(Sent{Sequence: seq, Size: 1250 - 28, Kind: Video}, now)
		f.arrivals = append(f.arrivals, arrival{sequence: seq, received: true})
		seq++
		e.Feedback(&f, now)
		e.Tick(now)
	}
	if v := e.Estimate(); v.Link > 350_000 {
		t.Errorf("200 kbit/s were sent, %d are believed", v.Link)
	}
}

// TestClockJump: a receiver whose clock jumps by an hour costs a cut or two, not
// the call.
func TestClockJump(t *testing.T) {
	e := New(Config{Start: 500_000}, simStart)
	now, seq, shift := simStart, uint16(0), int64(0)
	for i := range 1_200 { // 480 kbit/s
		if i == 400 {
			shift = 3600 * 1_000_000 / 64_000
		}
		if i == 800 {
			shift = 0
		}
		now = now.Add(50 * time.Millisecond)
		var f Feedback
		at := now.Sub(simStart).Microseconds()
		f.start(uint32(at/64_000 + shift))
		for range 2 {
			e.Sent(Sent{Sequence: seq, Size: 1500 - 28, Kind: Video}, now)
			f.arrivals = append(f.arrivals, arrival{sequence: seq, received: true, offset: at % 64_000})
			seq++
		}
		e.Feedback(&f, now)
		e.Tick(now)
	}
	if v := e.Estimate(); v.Link < 300_000 {
		t.Errorf("estimate %d after clock jumps: %+v", v.Link, v)
	}
}

// TestReportsAlone: without transport-wide feedback loss reports move it.
func TestReportsAlone(t *testing.T) {
	e := New(Config{Start: 300_000}, simStart)
	now := simStart
	for range 10 {
		now = now.Add(time.Second)
		e.ReceiverReport(0.3, now)
	}
	if v := e.Estimate(); v.Link > 100_000 {
		t.Errorf("estimate %d after ten reports of 30%% loss", v.Link)
	}
}

func TestHistoryGrowsOnlyAsNeeded(t *testing.T) {
	e := New(Config{}, simStart)
	for i := range 100_000 {
		e.Sent(Sent{Sequence: uint16(i), Size: 1000, Kind: Video}, simStart.Add(time.Duration(i)*time.Millisecond))
	}
	if n := len(e.history.ring); n > maxHistory {
		t.Errorf("history of %d", n)
	}
	e = New(Config{}, simStart)
	var f Feedback
	for i := range 10_000 { // 50 a second, reported at once
		now := simStart.Add(time.Duration(i) * 20 * time.Millisecond)
		e.Sent(Sent{Sequence: uint16(i), Size: 100}, now)
		f.start(uint32(i * 20 / 64))
		f.arrivals = append(f.arrivals[:0], arrival{sequence: uint16(i), received: true})
		e.Feedback(&f, now)
	}
	if n := len(e.history.ring); n != minHistory {
		t.Errorf("history of %d for a voice", n)
	}
}

// rawFeedback is a feedback on count packets, as a receiver sends it.
func rawFeedback(base uint16, count int, reference uint32) []byte {
	p := &rtcp.TransportLayerCC{
		Header:             rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback},
		BaseSequenceNumber: base,
		PacketStatusCount:  uint16(count),
		ReferenceTime:      reference,
		PacketChunks:       []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{PacketStatusSymbol: rtcp.TypeTCCPacketReceivedSmallDelta, RunLength: uint16(count)}},
	}
	for range count {
		p.RecvDeltas = append(p.RecvDeltas, &rtcp.RecvDelta{Type: rtcp.TypeTCCPacketReceivedSmallDelta, Delta: 5_000})
	}
	p.Header.Length = uint16(p.MarshalSize()/4 - 1)
	p.Header.Padding = (22+count)%4 != 0
	raw, err := p.Marshal()
	if err != nil {
		panic(err)
	}
	return raw
}
