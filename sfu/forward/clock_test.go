package forward

import (
	"testing"
	"time"
)

func TestNTPTime(t *testing.T) {
	// RFC 3550 puts 0 h of 1 January 1900 at 0; 1970 is 2208988800 s later.
	if got := NTPTime(time.Unix(0, 500_000_000)); got != 2208988800<<32|1<<31 {
		t.Errorf("%#x", got)
	}
}

func TestSenderReportExtrapolates(t *testing.T) {
	const clock = 90000
	for _, rtp := range []uint32{0, 12345, 1<<32 - 5} {
		s := SenderReport{NTP: NTPTime(t0), RTP: rtp, Valid: true}
		for _, d := range []time.Duration{0, ms, -ms, 3 * time.Second, -3 * time.Second, time.Hour, -time.Hour, 20 * time.Hour} {
			want := rtp + spanTicks(d, clock)
			if got := s.rtpAt(NTPTime(t0.Add(d)), clock); got != want {
				t.Errorf("from %d by %v: %d, want %d", rtp, d, got, want)
			}
			if d == 20*time.Hour {
				continue // beyond half the range of a timestamp
			}
			if got := s.rtpAt(s.ntpAt(want, clock), clock); got != want {
				t.Errorf("from %d by %v and back: %d, want %d", rtp, d, got, want)
			}
		}
	}
}

// TestClockMap feeds reports of a clock that is off, through a network that
// delays them, and expects server times late by the shortest delay only.
func TestClockMap(t *testing.T) {
	for _, skew := range []time.Duration{0, 3 * time.Hour, -40 * 365 * 24 * time.Hour} {
		var c ClockMap
		delays := []time.Duration{80 * ms, 30 * ms, 200 * ms, 50 * ms}
		least := time.Hour
		for i, delay := range delays {
			sent := t0.Add(time.Duration(i) * 5 * time.Second)
			least = min(least, delay)
			sr := c.Report(NTPTime(sent.Add(skew)), 7, sent.Add(delay))
			if want := NTPTime(sent.Add(least)); !near(sr.NTP, want) || sr.RTP != 7 || !sr.Valid {
				t.Errorf("skew %v, report %d: off by %v", skew, i, span(sr.NTP, want))
			}
		}
	}
}

// TestClockMapFollowsDrift lets the clock lose 100 ppm for an hour.
func TestClockMapFollowsDrift(t *testing.T) {
	var c ClockMap
	for at := time.Duration(0); at < time.Hour; at += 5 * time.Second {
		sr := c.Report(NTPTime(t0.Add(at-at/10000)), 0, t0.Add(at+20*ms))
		off := span(sr.NTP, NTPTime(t0.Add(at+20*ms)))
		if off < -8*ms || off > ms {
			t.Fatalf("after %v: off by %v", at, off)
		}
	}
}

// TestClockMapForgets moves the clock back: after two windows it is right again.
func TestClockMapForgets(t *testing.T) {
	var c ClockMap
	var off time.Duration
	for at := time.Duration(0); at < 3*time.Minute; at += 5 * time.Second {
		skew := time.Hour
		if at > time.Minute {
			skew = 0
		}
		sr := c.Report(NTPTime(t0.Add(at+skew)), 0, t0.Add(at))
		off = span(sr.NTP, NTPTime(t0.Add(at)))
	}
	if off < -ms || off > ms {
		t.Errorf("still off by %v", off)
	}
}

func span(a, b uint64) time.Duration {
	return time.Duration(float64(int64(a-b)) / (1 << 32) * float64(time.Second))
}

func near(a, b uint64) bool {
	d := span(a, b)
	return d > -time.Microsecond && d < time.Microsecond
}

// TestLipSync switches a slot from one participant to another whose clock is
// hours off, and expects that reports of audio and video name the same server
// time for what was captured together.
func TestLipSync(t *testing.T) {
	type person struct {
		clock        ClockMap
		skew         time.Duration
		audio, video Source
	}
	people := [2]person{
		{skew: 5 * time.Hour, audio: Source{ID: 1}, video: Source{ID: 2}},
		{skew: -9 * time.Minute, audio: Source{ID: 3}, video: Source{ID: 4}},
	}
	audio := NewRewriter(RewriterConfig{Codec: CodecOpus, FirstTimestamp: 1<<32 - 9})
	video := NewRewriter(RewriterConfig{Codec: CodecVP8, FirstTimestamp: 77})
	var ha, hv Header
	for round, at := range []time.Duration{0, 2 * time.Second, 4 * time.Second} {
		p := &people[round%2]
		now := t0.Add(at)
		ta := uint32(round)*999999 + spanTicks(at, 48000)
		tv := -uint32(round)*5555 + spanTicks(at, 90000)
		p.audio.Report = p.clock.Report(NTPTime(now.Add(p.skew)), ta, now.Add(25*ms))
		p.video.Report = p.clock.Report(NTPTime(now.Add(p.skew)), tv, now.Add(25*ms))
		audio.SwitchTo(p.audio.ID)
		video.SwitchTo(p.video.ID)
		audio.Forward(&p.audio, plain(1, ta), now.Add(25*ms), &ha)
		video.Forward(&p.video, plain(1, tv), now.Add(70*ms), &hv) // encoded and sent slower
		sa, ok1 := audio.SenderReport(&p.audio, now.Add(time.Second))
		sv, ok2 := video.SenderReport(&p.video, now.Add(time.Second+300*ms))
		if !ok1 || !ok2 {
			t.Fatal("no report")
		}
		captureA := sa.NTPTime - uint64(float64(sa.RTPTime-ha.Timestamp)/48000*(1<<32))
		captureV := sv.NTPTime - uint64(float64(sv.RTPTime-hv.Timestamp)/90000*(1<<32))
		if d := span(captureA, captureV); d < -ms || d > ms {
			t.Errorf("round %d: audio and video %v apart", round, d)
		}
		if _, ok := video.SenderReport(&p.audio, now); ok {
			t.Error("a report by another source")
		}
	}
}

func TestSenderReportCounts(t *testing.T) {
	g := newRig(t, CodecVP8, 0, 500)
	src := Source{ID: 1}
	if _, ok := g.r.SenderReport(&src, g.now); ok {
		t.Error("a report before any packet")
	}
	g.r.SwitchTo(1)
	g.forward(1, plain(1, 9000))
	g.forward(1, plain(3, 9000))
	g.skip(1, plain(2, 9000)) // goes out empty
	if _, ok := g.r.SenderReport(&src, g.now); ok {
		t.Error("a report without one of the source")
	}
	src.Report = SenderReport{NTP: NTPTime(t0), RTP: 9000, Valid: true}
	sr, ok := g.r.SenderReport(&src, t0.Add(2*time.Second))
	if !ok || sr.PacketCount != 3 || sr.OctetCount != 200 || sr.RTPTime != 500+180000 || sr.NTPTime != NTPTime(t0.Add(2*time.Second)) {
		t.Errorf("%+v", sr)
	}
}
