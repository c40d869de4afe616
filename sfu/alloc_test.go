//go:build !race

package sfu

import (
	"fmt"
	"testing"

	"github.com/pion/rtp"

	"github.com/chatmed/chatmed/sfu/forward"
)

// flow is video and audio of one publisher, encrypted beforehand, to so many
// subscribers.
type flow struct {
	r         *rig
	from      *peer
	datagrams [][]byte
	buf       []byte
	next      int
}

func newFlow(tb testing.TB, subscribers, packets int) *flow {
	tb.Helper()
	r := newRig(tb)
	f := &flow{r: r, from: r.join("publisher", usual(1)), buf: make([]byte, 1500)}
	for i := range subscribers {
		o := usual(1)
		o.twcc = true // each packet is numbered and told to the estimate
		r.join(fmt.Sprintf("subscriber %d", i), o)
	}
	key := append([]byte{0x90, 0x80, 0x80, 1}, vp8Frame(true, "")...)
	payload := append([]byte{0x90, 0x80, 0x80, 1}, vp8Frame(false, "")...)
	payload = append(payload, make([]byte, 1100-len(payload))...)
	for i := range packets {
		var p *rtp.Packet
		if i%10 == 9 {
			p = rtpPacket(ssrcMic, ptRED, uint16(i/10+1), uint32(i)*96, red(960, "\xf8old", "\xf8new"))
			_ = p.SetExtension(idLevel, []byte{30})
		} else {
			p = rtpPacket(ssrcCam, ptVP8, uint16(i-i/10+1), uint32(i/5)*3000, payload)
			if i == 0 {
				p.Payload = key
			}
		}
		f.datagrams = append(f.datagrams, append([]byte(nil), f.from.seal(p)...))
	}
	return f
}

// step forwards one packet, as the socket's reader does, 16 to a burst.
func (f *flow) step() {
	n := copy(f.buf, f.datagrams[f.next])
	f.next++
	f.from.tr.receive(f.buf[:n], f.r.now, f.r.out)
	if f.next%16 == 0 {
		f.r.flush()
	}
}

// TestForwardingAllocatesNothing covers decryption, the ring, all decisions,
// rewriting, encryption and the queue to the socket.
func TestForwardingAllocatesNothing(t *testing.T) {
	const warm, runs = 1200, 2000
	for _, subscribers := range []int{1, 5} {
		f := newFlow(t, subscribers, warm+runs+1)
		for range warm {
			f.step()
		}
		f.r.flush()
		before := f.r.counter("packets_forwarded_total")
		if n := testing.AllocsPerRun(runs, f.step); n != 0 {
			t.Errorf("%d subscribers: %v allocations per packet", subscribers, n)
		}
		f.r.flush()
		if sent := f.r.counter("packets_forwarded_total") - before; int(sent) != (runs+1)*subscribers {
			t.Errorf("%d subscribers: %v packets sent of %d", subscribers, sent, (runs+1)*subscribers)
		}
	}
}

// BenchmarkForward reports the time per forwarded packet, per subscriber.
func BenchmarkForward(b *testing.B) {
	for _, subscribers := range []int{1, 5, 50} {
		b.Run(fmt.Sprint(subscribers), func(b *testing.B) {
			const batch = 10_000
			b.ReportAllocs()
			var f *flow
			for i := 0; b.Loop(); i++ {
				if i%batch == 0 {
					b.StopTimer()
					f = newFlow(b, subscribers, batch)
					b.StartTimer()
				}
				f.step()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*subscribers), "ns/forwarded")
		})
	}
}

// tapped opens a tap on the flow's room.
func (f *flow) tapped(tb testing.TB) *copier {
	tb.Helper()
	c := &copier{buf: make([]byte, 0, 1500)}
	var ids []string
	for id := range f.r.room.participants {
		ids = append(ids, id)
	}
	if !f.r.tap(c).Open(ids) {
		tb.Fatal("the tap did not open")
	}
	return c
}

// TestTapAllocatesNothing: nothing is added to the fan-out by a tap, open or not.
func TestTapAllocatesNothing(t *testing.T) {
	const warm, runs = 1200, 2000
	f := newFlow(t, 2, warm+runs+1)
	c := f.tapped(t)
	for range warm {
		f.step()
	}
	if n := testing.AllocsPerRun(runs, f.step); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
	if c.packets != warm+runs+1 {
		t.Errorf("%d packets of %d", c.packets, warm+runs+1)
	}
}

// BenchmarkTap compares the fan-out to one subscriber with a tap that is not
// there, shut, and open.
func BenchmarkTap(b *testing.B) {
	for _, kind := range []string{"none", "shut", "open"} {
		b.Run(kind, func(b *testing.B) {
			const batch = 10_000
			b.ReportAllocs()
			var f *flow
			for i := 0; b.Loop(); i++ {
				if i%batch == 0 {
					b.StopTimer()
					f = newFlow(b, 1, batch)
					switch kind {
					case "shut":
						f.r.tap(&copier{})
					case "open":
						f.tapped(b)
					}
					b.StartTimer()
				}
				f.step()
			}
		})
	}
}

// BenchmarkTapTake is what an open tap adds to one packet under the room's lock,
// with the copy of 1,100 bytes.
func BenchmarkTapTake(b *testing.B) {
	f := newFlow(b, 0, 20)
	f.tapped(b)
	for range 20 {
		f.step()
	}
	pub := f.from.p.publications["camera"]
	l, k := pub.layers[0], pub.taps[0]
	pkt := packet{payload: make([]byte, 1100), codec: codecID{codec: forward.CodecVP8}}
	pkt.Size = len(pkt.payload)
	pkt.ExtSeq = l.ring.Highest()
	b.ReportAllocs()
	for b.Loop() {
		pkt.ExtSeq++
		k.takeLocked(l, 1, &pkt, f.r.now, false)
	}
}
