package buffer

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func TestReportLoss(t *testing.T) {
	r := New(Config{})
	if _, ok := r.Report(1, t0); ok {
		t.Error("a report before the first packet")
	}
	for _, seq := range []uint16{65530, 65531, 65534, 1, 2} { // 9 expected, 4 lost
		insert(t, r, seq)
	}
	rep, ok := r.Report(0xabcd, t0)
	want := rtcp.ReceptionReport{SSRC: 0xabcd, FractionLost: 4 * 256 / 9, TotalLost: 4, LastSequenceNumber: 2<<16 | 2}
	rep.Jitter = 0
	if !ok || rep != want {
		t.Errorf("got %+v, want %+v", rep, want)
	}

	// The next interval: two expected, two received, and one late of before.
	insert(t, r, 3)
	insert(t, r, 4)
	insert(t, r, 0)
	rep, _ = r.Report(1, t0)
	if rep.FractionLost != 0 || rep.TotalLost != 3 {
		t.Errorf("second interval: %+v", rep)
	}
	// An interval without packets.
	rep, _ = r.Report(1, t0)
	if rep.FractionLost != 0 || rep.TotalLost != 3 {
		t.Errorf("empty interval: %+v", rep)
	}
	// Recovered and duplicate packets do not hide a loss.
	r.InsertRecovered(packet(65535, 0, 50), t0)
	insert(t, r, 4)
	rep, _ = r.Report(1, t0)
	if rep.TotalLost != 3 {
		t.Errorf("after a recovery: %+v", rep)
	}
}

func TestReportAllLostFits(t *testing.T) {
	r := New(Config{})
	seq := uint16(0)
	for range 4000 {
		insert(t, r, seq)
		seq += maxDropout
	}
	rep, _ := r.Report(1, t0)
	if rep.FractionLost != 255 || rep.TotalLost != 1<<23-1 {
		t.Errorf("%+v", rep)
	}
	if _, err := rep.Marshal(); err != nil {
		t.Error(err)
	}
}

// TestJitter follows the formula of RFC 3550 section 6.4.1 in floating point.
func TestJitter(t *testing.T) {
	for _, first := range []uint32{0, 1<<32 - 48000} {
		r := New(Config{ClockRate: 48000})
		var want float64
		arrivals := []int{0, 20, 45, 60, 79, 130, 131, 140, 160, 180}
		for i, at := range arrivals {
			ts := first + uint32(i)*960
			r.Insert(packet(uint16(i), ts, 50), t0.Add(time.Duration(at)*ms))
			if i > 0 {
				d := float64((at-arrivals[i-1])*48 - 960)
				want += (max(d, -d) - want) / 16
			}
		}
		rep, _ := r.Report(1, t0)
		if got := float64(rep.Jitter); got < want-1.5 || got > want+1.5 {
			t.Errorf("first timestamp %d: jitter %v, want %v", first, got, want)
		}
	}
}

func TestJitterAfterDays(t *testing.T) {
	r := New(Config{ClockRate: 90000})
	start := 40 * time.Hour
	r.Insert(packet(0, 0, 50), t0)
	for i := range 50 {
		at := start + time.Duration(i)*33333333
		r.Insert(packet(uint16(i+1), uint32(int64(i)*3000+int64(start/time.Second)*90000), 50), t0.Add(at))
	}
	rep, _ := r.Report(1, t0)
	if rep.Jitter > 1 {
		t.Errorf("jitter %d of a perfectly even stream", rep.Jitter)
	}
}

func TestSenderReportTimes(t *testing.T) {
	r := New(Config{})
	r.SenderReport(1<<32, 5, t0) // before any packet: nothing to report about
	insert(t, r, 1)
	rep, _ := r.Report(1, t0)
	if rep.LastSenderReport != 0 || rep.Delay != 0 {
		t.Errorf("%+v", rep)
	}
	r.SenderReport(0x0123456789abcdef, 777, t0.Add(100*ms))
	rep, _ = r.Report(1, t0.Add(1600*ms))
	if rep.LastSenderReport != 0x456789ab || rep.Delay != 3<<15 {
		t.Errorf("last %#x, delay %#x", rep.LastSenderReport, rep.Delay)
	}
	ntp, rtp, ok := r.LastSenderReport()
	if ntp != 0x0123456789abcdef || rtp != 777 || !ok {
		t.Errorf("%#x %d %v", ntp, rtp, ok)
	}
	rep, _ = r.Report(1, t0.Add(100*time.Hour))
	if rep.Delay != 1<<32-1 {
		t.Errorf("delay %d", rep.Delay)
	}
}
