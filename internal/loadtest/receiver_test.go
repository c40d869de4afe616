package loadtest

import (
	"testing"
	"time"

	"github.com/pion/rtp"
)

func TestFlowCounts(t *testing.T) {
	for name, c := range map[string]struct {
		counters          []uint32
		repeated, skipped uint64
	}{
		"all":           {[]uint32{5, 6, 7, 8}, 0, 0},
		"a hole":        {[]uint32{5, 8}, 0, 2},
		"out of order":  {[]uint32{5, 7, 6, 8}, 0, 0},
		"repeated":      {[]uint32{5, 5, 6, 5}, 2, 0},
		"far ahead":     {[]uint32{1, 200}, 0, 198},
		"back from far": {[]uint32{200, 100, 201}, 1, 0},
	} {
		var f flow
		var repeated uint64
		for i, n := range c.counters {
			if !f.note(n, i == 0) {
				repeated++
			}
		}
		if repeated != c.repeated || f.skipped != c.skipped {
			t.Errorf("%s: %d repeated and %d skipped, want %+v", name, repeated, f.skipped, c)
		}
	}
}

func TestAnotherLayerIsNoHole(t *testing.T) {
	var f flow
	f.note(1, true)
	f.note(50, true) // the receiver saw another layer meanwhile
	f.note(51, false)
	if f.skipped != 0 {
		t.Errorf("%d skipped", f.skipped)
	}
}

// TestReceiverKeepsToItsRoomAndWindow plays packets to one track.
func TestReceiverKeepsToItsRoomAndWindow(t *testing.T) {
	win := newWindow()
	r := newReceiver(win, 1, 3) // ids 3, 4 and 5
	s := &sink{}
	play := func(publisher uint32, counter uint32, sent time.Duration) {
		p := rtp.Packet{Header: rtp.Header{Version: 2}, Payload: make([]byte, 80)}
		stamp{publisher: publisher, counter: counter, sent: sent}.put(p.Payload)
		b, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		r.packet(s, b)
	}
	play(4, 1, 0)
	if first, sources := r.state(); first == 0 || sources != 1 {
		t.Errorf("first %v, %d sources", first, sources)
	}
	win.set(10, 100)
	play(4, 2, 9)
	play(4, 3, 10)
	play(4, 4, 109)
	play(4, 4, 109)
	play(4, 5, 110)
	play(5, 1, 50)
	play(2, 1, 50) // of room 0
	play(6, 1, 50) // of room 2
	if r.sinks = append(r.sinks, s); r.total() != 3 || s.foreign != 2 || s.flows[0].repeated != 1 || s.latency.count != 3 {
		t.Errorf("%d received, %d foreign, %+v", r.total(), s.foreign, s.flows)
	}
	if _, sources := r.state(); sources != 2 {
		t.Errorf("%d sources", sources)
	}
}

func TestReceivingAllocatesNothing(t *testing.T) {
	win := newWindow()
	r, s := newReceiver(win, 0, 2), &sink{}
	win.set(0, time.Hour)
	p := rtp.Packet{Header: rtp.Header{Version: 2}, Payload: make([]byte, 80)}
	stamp{publisher: 1, counter: 1, sent: 1}.put(p.Payload)
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	r.packet(s, b)
	if n := testing.AllocsPerRun(100, func() { r.packet(s, b) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}
