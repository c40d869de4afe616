package forward

import (
	"testing"
	"time"
)

func TestLookup(t *testing.T) {
	g := newRig(t, CodecVP8, 65000, 0)
	g.r.SwitchTo(1)
	for i := range uint64(1000) {
		if i%10 == 9 {
			continue // lost
		}
		g.forward(1, vp8(5000+i, uint32(i), uint16(i), 0))
	}
	newest := uint16(65000 + 998 - 65536)
	for back := range uint16(1200) {
		o, h, ok := g.r.Lookup(newest-back, g.now, 0)
		ext := 5998 - uint64(back)
		switch {
		case back >= 512:
			if ok {
				t.Fatalf("%d back is found", back)
			}
		case !ok || o.Source != 1 || o.ExtSeq != ext || o.Sent != (ext%10 != 9):
			t.Fatalf("%d back: %+v, %v", back, o, ok)
		case o.Sent && (h.Sequence != newest-back || h.Timestamp != uint32(ext-5000) || h.Patch.bytes[1] != uint8(ext-5000)):
			t.Fatalf("%d back: %+v", back, h)
		}
	}
	if _, _, ok := g.r.Lookup(newest+1, g.now, 0); ok {
		t.Error("a number not yet used is found")
	}
	if v := g.forward(1, vp8(5009, 0, 0, 0)); v != TooLate {
		t.Errorf("older than the history: %v", v)
	}
}

func TestLookupSpacing(t *testing.T) {
	g := newRig(t, CodecVP8, 7, 0)
	g.r.SwitchTo(1)
	g.forward(1, plain(1, 1))
	for _, tt := range []struct {
		at time.Duration
		ok bool
	}{{0, true}, {39 * ms, false}, {40 * ms, true}, {60 * ms, false}, {90 * ms, true}} {
		if _, _, ok := g.r.Lookup(7, t0.Add(tt.at), 40*ms); ok != tt.ok {
			t.Errorf("at %v: %v", tt.at, ok)
		}
	}
}

func TestLookupAcrossASwitch(t *testing.T) {
	g := newRig(t, CodecVP8, 0, 0)
	g.r.SwitchTo(1)
	g.forward(1, plain(50, 1))
	g.forward(1, plain(51, 1))
	g.r.SwitchTo(2)
	g.forward(2, plain(900, 1))
	g.skip(2, plain(901, 1))
	g.forward(2, plain(903, 1))
	for seq, want := range []Origin{{1, 50, true}, {1, 51, true}, {2, 900, true}, {2, 902, false}, {2, 903, true}} {
		if o, _, ok := g.r.Lookup(uint16(seq), g.now, 0); !ok || o != want {
			t.Errorf("%d: %+v, %v, want %+v", seq, o, ok, want)
		}
	}
}
