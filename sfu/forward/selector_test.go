package forward

import (
	"slices"
	"testing"
	"time"
)

var t0 = time.Unix(1_700_000_000, 0)

const ms = time.Millisecond

func video(ts uint32, key bool) *Packet {
	return &Packet{Timestamp: ts, Size: 100, Info: Info{KeyFrame: key}}
}

func TestActivity(t *testing.T) {
	var a Activity
	if a.Live(t0) != 0 {
		t.Error("alive before any packet")
	}
	a.Seen(0, t0)
	a.Seen(2, t0.Add(500*ms))
	a.Seen(-1, t0)
	a.Seen(MaxLayers, t0)
	for _, tt := range []struct {
		at   time.Duration
		want Layers
	}{{500 * ms, 0b101}, {1000 * ms, 0b101}, {1001 * ms, 0b100}, {1501 * ms, 0}} {
		if got := a.Live(t0.Add(tt.at)); got != tt.want {
			t.Errorf("at %v: %b, want %b", tt.at, got, tt.want)
		}
	}
	if got := a.Seen(0, t0.Add(2*time.Second)); got != 0b001 {
		t.Errorf("returned: %b", got)
	}
	if Layers(0b100).Has(1) || !Layers(0b100).Has(2) || Layers(0xff).Has(-1) {
		t.Error("Has is wrong")
	}
}

// selectorStep is a packet, or a wish when want is set.
type selectorStep struct {
	want  *int
	live  Layers
	layer int
	key   bool
	act   Action
	need  int // layer whose key frame is needed afterwards
}

func TestSelector(t *testing.T) {
	want := func(layer int) *int { return &layer }
	tests := []struct {
		name  string
		steps []selectorStep
	}{
		{"wants nothing at first", []selectorStep{{live: 1, layer: 0, key: true, act: Ignore, need: NoLayer}}},
		{"starts at a key frame", []selectorStep{
			{want: want(0), need: 0},
			{live: 1, layer: 0, act: Ignore, need: 0},
			{live: 1, layer: 0, key: true, act: Switch, need: NoLayer},
			{live: 1, layer: 0, act: Forward, need: NoLayer},
			{live: 1, layer: 0, key: true, act: Forward, need: NoLayer},
		}},
		{"takes any picture first, then the wanted one", []selectorStep{
			{want: want(2), need: 2},
			{live: 0b111, layer: 0, key: true, act: Switch, need: 2},
			{live: 0b111, layer: 2, act: Ignore, need: 2},
			{live: 0b111, layer: 1, key: true, act: Ignore, need: 2},
			{live: 0b111, layer: 0, act: Forward, need: 2},
			{live: 0b111, layer: 2, key: true, act: Switch, need: NoLayer},
			{live: 0b111, layer: 0, act: Ignore, need: NoLayer},
			{live: 0b111, layer: 2, act: Forward, need: NoLayer},
		}},
		{"goes down at a key frame, the upper flows until then", []selectorStep{
			{want: want(1), live: 0b11, need: 1},
			{live: 0b11, layer: 1, key: true, act: Switch, need: NoLayer},
			{want: want(0), live: 0b11, need: 0},
			{live: 0b11, layer: 1, act: Forward, need: 0},
			{live: 0b11, layer: 0, act: Ignore, need: 0},
			{live: 0b11, layer: 0, key: true, act: Switch, need: NoLayer},
			{live: 0b11, layer: 1, key: true, act: Ignore, need: NoLayer},
		}},
		{"falls back when the layer stops, returns with it", []selectorStep{
			{want: want(2), live: 0b111, need: 2},
			{live: 0b111, layer: 2, key: true, act: Switch, need: NoLayer},
			{live: 0b011, layer: 1, act: Ignore, need: 1},
			{live: 0b011, layer: 0, key: true, act: Ignore, need: 1},
			{live: 0b011, layer: 1, key: true, act: Switch, need: NoLayer},
			{live: 0b111, layer: 2, act: Ignore, need: 2},
			{live: 0b111, layer: 1, act: Forward, need: 2},
			{live: 0b111, layer: 2, key: true, act: Switch, need: NoLayer},
		}},
		{"a layer that returns before the fall keeps flowing", []selectorStep{
			{want: want(1), live: 0b11, need: 1},
			{live: 0b11, layer: 1, key: true, act: Switch, need: NoLayer},
			{live: 0b01, layer: 0, act: Ignore, need: 0},
			{live: 0b11, layer: 1, act: Forward, need: NoLayer},
		}},
		{"only a higher layer lives", []selectorStep{
			{want: want(0), live: 0b100, need: 2},
			{live: 0b100, layer: 2, key: true, act: Switch, need: NoLayer},
			{live: 0b101, layer: 0, act: Ignore, need: 0},
		}},
		{"stays when all is silent", []selectorStep{
			{want: want(1), live: 0b11, need: 1},
			{live: 0b11, layer: 1, key: true, act: Switch, need: NoLayer},
			{want: want(1), live: 0, need: NoLayer},
		}},
		{"pause acts at once, resume needs a key frame", []selectorStep{
			{want: want(0), live: 1, need: 0},
			{live: 1, layer: 0, key: true, act: Switch, need: NoLayer},
			{want: want(NoLayer), live: 1, need: NoLayer},
			{live: 1, layer: 0, act: Ignore, need: NoLayer},
			{live: 1, layer: 0, key: true, act: Ignore, need: NoLayer},
			{want: want(0), live: 1, need: 0},
			{live: 1, layer: 0, act: Ignore, need: 0},
			{live: 1, layer: 0, key: true, act: Switch, need: NoLayer},
		}},
		{"layers out of range", []selectorStep{
			{want: want(99), live: 0b1111, need: 3},
			{live: 0b1111, layer: 4, key: true, act: Ignore, need: 3},
			{live: 0b1111, layer: -1, key: true, act: Ignore, need: 3},
			{want: want(-9), live: 0b1111, need: NoLayer},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s Selector
			for i, step := range tt.steps {
				if step.want != nil {
					s.Want(*step.want, AllTemporal)
				} else if act := s.Decide(step.live, step.layer, video(uint32(i), step.key)); act != step.act {
					t.Errorf("step %d: action %d, want %d", i, act, step.act)
				}
				if layer, ok := s.KeyFrameNeeded(step.live); layer != step.need || ok != (layer != NoLayer) {
					t.Errorf("step %d: needs %d, %v, want %d", i, layer, ok, step.need)
				}
			}
		})
	}
}

func TestSelectorRestart(t *testing.T) {
	var s Selector
	s.Want(0, AllTemporal)
	s.Decide(1, 0, video(1, true))
	if s.Current() != 0 {
		t.Fatal("does not flow")
	}
	s.Restart()
	if s.Current() != NoLayer || s.Decide(1, 0, video(2, false)) != Ignore || s.Decide(1, 0, video(3, true)) != Switch {
		t.Error("does not start anew")
	}
}

func TestSelectorLeavesPaddingOut(t *testing.T) {
	var s Selector
	s.Want(0, AllTemporal)
	padding := &Packet{Info: Info{KeyFrame: true}}
	if s.Decide(1, 0, padding) != Ignore {
		t.Error("starts at padding")
	}
	s.Decide(1, 0, video(1, true))
	if s.Decide(1, 0, padding) != Skip {
		t.Error("padding is sent")
	}
}

// TestTemporalLayers plays the usual pattern of three layers, two packets a
// frame, and wraps the timestamp on the way.
func TestTemporalLayers(t *testing.T) {
	var s Selector
	s.Want(0, 0)
	ts := uint32(1<<32 - 20)
	var sent []int
	frame := func(tid uint8, sync, key bool) {
		ts += 10
		p := video(ts, key)
		p.Info.TID, p.Info.Sync = tid, sync
		first := s.Decide(1, 0, p)
		p.Info.KeyFrame = false
		if second := s.Decide(1, 0, p); (first == Skip) != (second == Skip) {
			t.Errorf("a frame is torn: %d, %d", first, second)
		}
		if first != Skip {
			sent = append(sent, int(tid))
		}
	}
	cycle := func(sync bool) {
		frame(0, false, false)
		frame(2, sync, false)
		frame(1, sync, false)
		frame(2, false, false)
	}
	check := func(what string, want ...int) {
		t.Helper()
		if !slices.Equal(sent, want) {
			t.Errorf("%s: sent %v, want %v", what, sent, want)
		}
		sent = nil
	}
	frame(0, false, true)
	cycle(true)
	check("base only", 0, 0)
	s.Want(0, 2)
	cycle(false)
	check("up, but no frame allows it", 0)
	cycle(true)
	check("up at sync frames", 0, 2, 1, 2)
	s.Want(0, 1)
	cycle(true)
	check("down at once", 0, 1)
	s.Want(0, AllTemporal)
	frame(0, false, true)
	cycle(false)
	check("up at a key frame", 0, 0, 2, 1, 2)

	// Down in the middle of a frame acts at the next one.
	p := video(ts+10, false)
	p.Info.TID = 2
	s.Decide(1, 0, p)
	s.Want(0, 0)
	if s.Decide(1, 0, p) != Forward {
		t.Error("the frame is torn")
	}
}

func TestKeyFrameThrottle(t *testing.T) {
	type step struct {
		at   time.Duration
		op   string // want, due, arrived
		send KeyFrameRequest
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"nothing wished", []step{{0, "due", RequestNothing}, {time.Hour, "due", RequestNothing}}},
		{"the first at once, the others wait", []step{
			{0, "want", RequestPLI}, {1 * ms, "want", RequestNothing}, {499 * ms, "due", RequestNothing}, {500 * ms, "due", RequestPLI},
		}},
		{"granted", []step{
			{0, "want", RequestPLI}, {1 * ms, "want", RequestNothing}, {100 * ms, "arrived", 0}, {600 * ms, "due", RequestNothing},
		}},
		{"a wish soon after waits its turn", []step{
			{0, "want", RequestPLI}, {100 * ms, "arrived", 0}, {200 * ms, "want", RequestNothing},
			{499 * ms, "due", RequestNothing}, {500 * ms, "due", RequestPLI},
		}},
		{"a wish long after is served at once", []step{
			{0, "want", RequestPLI}, {100 * ms, "arrived", 0}, {2000 * ms, "want", RequestPLI},
		}},
		{"escalates until it arrives", []step{
			{0, "want", RequestPLI}, {500 * ms, "due", RequestPLI}, {1000 * ms, "want", RequestPLI},
			{1500 * ms, "due", RequestFIR}, {2000 * ms, "due", RequestFIR}, {2100 * ms, "arrived", 0},
			{2500 * ms, "want", RequestPLI},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var k KeyFrameThrottle
			for _, s := range tt.steps {
				var got KeyFrameRequest
				switch now := t0.Add(s.at); s.op {
				case "want":
					got = k.Want(now)
				case "due":
					got = k.Due(now)
				case "arrived":
					k.Arrived()
				}
				if got != s.send {
					t.Errorf("%s at %v: %d, want %d", s.op, s.at, got, s.send)
				}
			}
		})
	}
}

func TestKeyFrameThrottleNext(t *testing.T) {
	k := KeyFrameThrottle{Interval: time.Second}
	if _, ok := k.Next(); ok {
		t.Error("due without a wish")
	}
	k.Want(t0)
	if at, ok := k.Next(); !ok || !at.Equal(t0.Add(time.Second)) {
		t.Errorf("%v, %v", at, ok)
	}
	k.Arrived()
	if _, ok := k.Next(); ok {
		t.Error("due after the key frame")
	}
}
