package forward

import (
	"fmt"
	"testing"
	"time"
)

// rig feeds a rewriter and keeps the time.
type rig struct {
	t   *testing.T
	r   *Rewriter
	now time.Time
	h   Header
}

func newRig(t *testing.T, codec Codec, seq uint16, ts uint32) *rig {
	t.Helper()
	return &rig{t: t, now: t0, r: NewRewriter(RewriterConfig{Codec: codec, FirstSequence: seq, FirstTimestamp: ts})}
}

func plain(ext uint64, ts uint32) *Packet {
	return &Packet{ExtSeq: ext, Timestamp: ts, Size: 100, Info: Info{KeyFrame: true}}
}

// vp8 is a packet of a picture with a 15 bit id and a TL0PICIDX.
func vp8(ext uint64, ts uint32, pic uint16, tl0 uint8) *Packet {
	p := plain(ext, ts)
	p.Info.desc = descriptor{pic: pic, picBits: 15, picOff: 2, tl0: tl0, tl0Off: 4}
	return p
}

func (g *rig) forward(src SourceID, p *Packet) Verdict {
	return g.r.Forward(&Source{ID: src}, p, g.now, &g.h)
}

func (g *rig) skip(src SourceID, p *Packet) Verdict {
	return g.r.Skip(&Source{ID: src}, p, g.now, &g.h)
}

func (g *rig) sends(src SourceID, p *Packet, seq uint16, ts uint32) {
	g.t.Helper()
	if v := g.forward(src, p); v != Send || g.h.Sequence != seq || g.h.Timestamp != ts {
		g.t.Errorf("packet %d: %v as %d at %d, want %d at %d", p.ExtSeq, v, g.h.Sequence, g.h.Timestamp, seq, ts)
	}
}

func (g *rig) pictures(pic uint16, tl0 uint8) {
	g.t.Helper()
	want := Patch{offset: 2, size: 3, bytes: [4]byte{0x80 | uint8(pic>>8), uint8(pic), tl0}}
	if g.h.Patch != want {
		g.t.Errorf("patch %+v, want %+v", g.h.Patch, want)
	}
}

func (g *rig) is(what string, got, want Verdict) {
	g.t.Helper()
	if got != want {
		g.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestNothingBeforeASwitch(t *testing.T) {
	g := newRig(t, CodecVP8, 1, 1)
	g.r.Pause()
	g.is("forward", g.forward(0, plain(1, 1)), NotCurrent)
	g.is("skip", g.skip(0, plain(1, 1)), NotCurrent)
	if _, _, ok := g.r.Lookup(0, g.now, 0); ok {
		t.Error("found something")
	}
	if _, ok := g.r.Current(); ok {
		t.Error("has a source")
	}
}

func TestGapsStayAndWrap(t *testing.T) {
	g := newRig(t, CodecVP8, 65533, 1<<32-6000)
	g.r.SwitchTo(1)
	g.sends(1, plain(70000, 500), 65533, 1<<32-6000)
	g.sends(1, plain(70001, 500), 65534, 1<<32-6000)
	g.sends(1, plain(70004, 6500), 1, 0) // two lost, both wrap
	g.sends(1, plain(70003, 3500), 0, 1<<32-3000)
	g.is("again", g.forward(1, plain(70003, 3500)), Repeated)
	g.is("again the newest", g.forward(1, plain(70004, 6500)), Repeated)
	g.sends(1, plain(70002, 3500), 65535, 1<<32-3000)
	g.is("from before the first", g.forward(1, plain(69999, 0)), TooLate)
	g.is("another source", g.forward(2, plain(70005, 0)), NotCurrent)
}

func TestSkippedPacketsLeaveNoGap(t *testing.T) {
	g := newRig(t, CodecVP8, 10, 0)
	g.r.SwitchTo(1)
	g.sends(1, plain(100, 1), 10, 0)
	g.is("skip", g.skip(1, plain(101, 1)), Skipped)
	g.is("skip", g.skip(1, plain(102, 1)), Skipped)
	g.sends(1, plain(103, 1), 11, 0)
	g.is("skip 105, 104 lost", g.skip(1, plain(105, 1)), Skipped)
	g.is("skip 106", g.skip(1, plain(106, 1)), Skipped)
	g.sends(1, plain(107, 1), 13, 0)
	g.sends(1, plain(104, 1), 12, 0)
	g.is("a skipped one again", g.forward(1, plain(102, 1)), TooLate)
	g.is("a skipped one again", g.skip(1, plain(106, 1)), TooLate)
	g.is("108 lost, skip 109", g.skip(1, plain(109, 1)), Skipped)
	g.sends(1, plain(108, 1), 14, 0) // late, yet newest to go out
	g.sends(1, plain(110, 1), 15, 0)
}

func TestLateSkipFillsItsPlace(t *testing.T) {
	g := newRig(t, CodecVP8, 10, 0)
	g.r.SwitchTo(1)
	g.sends(1, plain(100, 1), 10, 0)
	g.sends(1, plain(102, 1), 12, 0)
	p := plain(101, 1)
	p.Marker = true
	g.is("skip", g.skip(1, p), SendEmpty)
	if want := (Header{Sequence: 11, Empty: true}); g.h != want {
		t.Errorf("%+v, want %+v", g.h, want)
	}
	g.is("again", g.skip(1, p), Repeated)
	o, h, ok := g.r.Lookup(11, g.now, 0)
	if !ok || o != (Origin{Source: 1, ExtSeq: 101, Sent: true}) || h != g.h {
		t.Errorf("%+v %+v %v", o, h, ok)
	}
}

func TestSwitchContinues(t *testing.T) {
	g := newRig(t, CodecVP8, 65534, 1000)
	g.r.SwitchTo(1)
	g.sends(1, vp8(500, 7000, 32766, 250), 65534, 1000)
	g.pictures(32766, 250)
	g.sends(1, vp8(502, 10000, 32767, 251), 0, 4000)
	g.now = g.now.Add(40 * ms)
	g.r.SwitchTo(2)
	g.is("the old source while waiting", g.forward(1, vp8(503, 13000, 0, 252)), NotCurrent)
	g.sends(2, vp8(90000, 1<<32-10, 77, 3), 1, 4000+3600)
	g.pictures(0, 252)
	g.sends(2, vp8(90001, 2990, 78, 4), 2, 7600+3000)
	g.pictures(1, 253)
	g.is("late of the old source", g.forward(1, vp8(501, 10000, 32767, 251)), NotCurrent)
	g.is("from before the switch", g.forward(2, vp8(89999, 0, 76, 3)), TooLate)
	if _, _, ok := g.r.Lookup(65535, g.now, 0); ok {
		t.Error("a number lost before the switch is found")
	}

	// Back again: the source's numbers from before do not count.
	g.now = g.now.Add(10 * ms)
	g.r.SwitchTo(1)
	g.sends(1, vp8(510, 50000, 9, 9), 3, 10600+900)
	g.pictures(2, 254)
	g.is("late from the first time", g.forward(1, vp8(501, 10000, 32767, 251)), TooLate)
}

func TestSwitchAtOneInstantStillMovesOn(t *testing.T) {
	g := newRig(t, CodecVP8, 0, 1000)
	g.r.SwitchTo(1)
	g.sends(1, plain(1, 5), 0, 1000)
	g.r.SwitchTo(2)
	g.sends(2, plain(1, 5), 1, 1001)
	g.now = g.now.Add(-time.Second) // a clock that steps back
	g.r.SwitchTo(1)
	g.sends(1, plain(9, 5), 2, 1002)
}

func TestAudioSwitchDoesNotOverlap(t *testing.T) {
	g := newRig(t, CodecOpus, 0, 0)
	g.r.SwitchTo(1)
	for i := range uint32(3) {
		g.sends(1, plain(uint64(i+1), i*960), uint16(i), i*960)
		g.now = g.now.Add(20 * ms)
	}
	g.now = g.now.Add(-15 * ms)
	g.r.SwitchTo(2)
	g.sends(2, plain(1, 55), 3, 3*960)
	g.now = g.now.Add(time.Second)
	g.r.SwitchTo(1)
	g.sends(1, plain(99, 55), 4, 3*960+48000)
}

func TestPause(t *testing.T) {
	g := newRig(t, CodecVP8, 0, 0)
	g.r.SwitchTo(1)
	g.sends(1, vp8(100, 0, 10, 10), 0, 0)
	g.r.Pause()
	g.is("skip while paused", g.skip(1, vp8(101, 0, 11, 11)), NotCurrent)
	g.now = g.now.Add(10 * time.Second)
	g.sends(1, vp8(400, 900050, 40, 60), 1, 900050) // its own time, not the arrival's
	g.pictures(11, 11)
	g.is("from before the pause", g.forward(1, vp8(399, 900050, 40, 60)), TooLate)

	g.r.Pause()
	g.r.SwitchTo(2) // a switch while paused wins
	g.r.Pause()
	g.is("the paused source", g.forward(1, vp8(401, 903000, 41, 61)), NotCurrent)
	g.now = g.now.Add(time.Second)
	g.sends(2, vp8(1, 0, 0, 0), 2, 900050+90000)

	// A source whose clock has restarted meanwhile gets the time of arrival.
	g.r.Pause()
	g.now = g.now.Add(time.Second)
	g.sends(2, vp8(900, 1<<31, 0, 0), 3, 900050+180000)
}

func TestSourceRestart(t *testing.T) {
	for _, viaSkip := range []bool{false, true} {
		g := newRig(t, CodecVP8, 0, 0)
		g.r.SwitchTo(1)
		g.sends(1, plain(70000, 0), 0, 0)
		g.sends(1, plain(70000+maxJump, 0), maxJump, 0)
		g.now = g.now.Add(time.Second)
		ext := uint64(70000 + 3*65536)
		if viaSkip {
			g.is("skip", g.skip(1, plain(ext, 1<<31)), Skipped)
			ext++
		}
		g.sends(1, plain(ext, 1<<31), maxJump+1, 90000)
		g.sends(1, plain(ext+2, 1<<31+10), maxJump+3, 90010)
	}
}

func TestReportsDecideTheTimestamp(t *testing.T) {
	ntp := NTPTime(t0)
	const second = uint64(1) << 32
	report := func(ntp uint64, rtp uint32) SenderReport { return SenderReport{NTP: ntp, RTP: rtp, Valid: true} }
	tests := []struct {
		name   string
		a, b   SenderReport
		bTS    uint32
		wantTS uint32
	}{
		// A's packet is of timestamp 9000 (out 1000) at t0; B's comes 50 ms later.
		{"no reports: the time of arrival", SenderReport{}, SenderReport{}, 777, 1000 + 4500},
		{"one report: the time of arrival", report(ntp, 9000), SenderReport{}, 777, 1000 + 4500},
		{"capture time, 30 ms after", report(ntp, 9000), report(ntp, 500), 500 + 2700, 1000 + 2700},
		{"capture time by older reports", report(ntp-3*second, 1<<32+9000-270000), report(ntp-second, 1<<32-90000), 2700, 1000 + 2700},
		{"the same picture", report(ntp, 9000), report(ntp, 500), 500, 1001},
		{"an older picture", report(ntp, 9000), report(ntp, 500), 1<<32 - 2000, 1001},
		{"reports that contradict the time", report(ntp, 9000), report(ntp+20*second, 500), 500, 1000 + 4500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, CodecVP8, 0, 1000)
			g.r.SwitchTo(1)
			g.r.Forward(&Source{ID: 1, Report: tt.a}, plain(1, 9000), g.now, &g.h)
			g.now = g.now.Add(50 * ms)
			g.r.SwitchTo(2)
			v := g.r.Forward(&Source{ID: 2, Report: tt.b}, plain(1, tt.bTS), g.now, &g.h)
			if v != Send || g.h.Timestamp != tt.wantTS {
				t.Errorf("%v at %d, want %d", v, g.h.Timestamp, tt.wantTS)
			}
		})
	}
}

func TestSkippedPicturesLeaveNoGap(t *testing.T) {
	g := newRig(t, CodecVP8, 0, 0)
	g.r.SwitchTo(1)
	g.sends(1, vp8(1, 0, 32766, 5), 0, 0)
	g.skip(1, vp8(2, 10, 32767, 5)) // one picture of two packets
	g.skip(1, vp8(3, 10, 32767, 5))
	g.sends(1, vp8(4, 20, 0, 6), 1, 20)
	g.pictures(32767, 6)
	g.skip(1, vp8(5, 20, 0, 6)) // padding-like: the picture itself has gone out
	g.skip(1, vp8(6, 30, 1, 6))
	g.sends(1, vp8(7, 40, 3, 7), 2, 40) // picture 2 is lost and shows
	g.pictures(1, 7)

	// A packet left out first, though the rest of its picture is sent.
	g.skip(1, vp8(8, 50, 4, 7))
	g.sends(1, vp8(9, 50, 4, 7), 3, 50)
	g.pictures(2, 7)
	g.sends(1, vp8(10, 60, 5, 7), 4, 60)
	g.pictures(3, 7)
	g.is("late, left out before", g.forward(1, vp8(8, 50, 4, 7)), TooLate)
}

func TestLatePacketKeepsItsPicture(t *testing.T) {
	g := newRig(t, CodecVP8, 0, 0)
	g.r.SwitchTo(1)
	g.sends(1, vp8(1, 0, 100, 5), 0, 0)
	g.sends(1, vp8(3, 0, 100, 5), 2, 0)
	g.skip(1, vp8(4, 10, 101, 5))
	g.sends(1, vp8(5, 20, 102, 6), 3, 20)
	g.sends(1, vp8(2, 0, 100, 5), 1, 0)
	g.pictures(100, 5)
	g.sends(1, vp8(6, 30, 103, 6), 4, 30)
	g.pictures(102, 6)
}

func TestPatchKeepsTheWidth(t *testing.T) {
	tests := []struct {
		name string
		in   descriptor
		want string
	}{
		{"nothing", descriptor{}, "0 []"},
		{"7 bits", descriptor{pic: 3, picBits: 7, picOff: 2}, "2 [67]"}, // 195 modulo 128
		{"15 bits", descriptor{pic: 3, picBits: 15, picOff: 2}, "2 [128 195]"},
		{"7 bits and TL0PICIDX", descriptor{pic: 3, picBits: 7, picOff: 2, tl0: 200, tl0Off: 3}, "2 [67 44]"},
		{"TL0PICIDX alone", descriptor{tl0: 200, tl0Off: 2}, "2 [44]"},
		{"VP9 with the layer between", descriptor{pic: 3, picBits: 15, picOff: 1, tl0: 200, tl0Off: 4, layer: 0x50}, "1 [128 195 80 44]"},
		{"VP9 without picture id", descriptor{tl0: 200, tl0Off: 2, layer: 0x50}, "2 [44]"},
	}
	for _, tt := range tests {
		p := makePatch(&tt.in, tt.in.pic+192, tt.in.tl0+100)
		offset, b := p.Span()
		if got := fmt.Sprintf("%d %d", offset, b); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	p := Patch{offset: 3, size: 2, bytes: [4]byte{1, 2}}
	short := []byte{9, 9, 9, 9}
	if p.Apply(short); string(short) != "\t\t\t\t" {
		t.Error("a payload too short was changed")
	}
}

func TestManySegmentsForgetTheOldest(t *testing.T) {
	g := newRig(t, CodecVP8, 0, 0)
	g.r.SwitchTo(1)
	for i := range uint64(100) { // three a round: sent, lost, left out
		g.forward(1, plain(1000+3*i, 0))
		g.skip(1, plain(1002+3*i, 0))
	}
	sent := 0
	for i := range uint64(100) {
		switch v := g.forward(1, plain(1001+3*i, 0)); v {
		case Send:
			if g.h.Sequence != uint16(2*i+1) {
				t.Fatalf("round %d as %d", i, g.h.Sequence)
			}
			sent++
		case TooLate:
		default:
			t.Fatalf("round %d: %v", i, v)
		}
	}
	if sent != segmentCount-1 {
		t.Errorf("%d rounds known, want %d", sent, segmentCount-1)
	}
}

func TestCounts(t *testing.T) {
	g := newRig(t, CodecVP8, 0, 0)
	g.r.SwitchTo(1)
	g.forward(1, plain(1, 0))
	g.forward(1, plain(1, 0))
	g.skip(1, plain(2, 0))
	g.forward(2, plain(3, 0))
	for v, want := range []uint64{1, 0, 1, 1, 0, 1} {
		if got := g.r.Count(Verdict(v)); got != want {
			t.Errorf("%v: %d, want %d", Verdict(v), got, want)
		}
	}
	if g.r.Count(99) != 0 || Verdict(99).String() != "unknown" {
		t.Error("an unknown verdict")
	}
}

func TestHeaderPut(t *testing.T) {
	h := Header{Sequence: 0x0102, Timestamp: 0x03040506, Marker: true}
	b := make([]byte, 12)
	if n := h.Put(b, 96, 0x0708090a); n != 12 || fmt.Sprintf("%x", b) != "80e00102030405060708090a" {
		t.Errorf("%d %x", n, b)
	}
	h.Marker = false
	if h.Put(b, 96, 1); b[1] != 96 {
		t.Errorf("%x", b)
	}
}

func TestForwardDoesNotAllocate(t *testing.T) {
	r := NewRewriter(RewriterConfig{Codec: CodecVP8})
	src := [2]Source{{ID: 1}, {ID: 2}}
	var h Header
	ext := uint64(70000)
	now := t0
	r.SwitchTo(1)
	n := testing.AllocsPerRun(3000, func() {
		ext++
		now = now.Add(5 * ms)
		s := &src[ext/100%2]
		if ext%100 == 0 {
			r.SwitchTo(s.ID)
		}
		p := Packet{ExtSeq: ext, Timestamp: uint32(ext) * 500, Size: 900}
		p.Info.desc = descriptor{pic: uint16(ext / 4), picBits: 15, picOff: 2, tl0Off: 4}
		if ext%8 == 0 {
			r.Skip(s, &p, now, &h)
			return
		}
		r.Forward(s, &p, now, &h)
		r.Lookup(h.Sequence-5, now, 0)
	})
	if n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}
