package loadtest

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/chatmed/chatmed/sfu/forward"
)

func TestStampSurvivesTheWay(t *testing.T) {
	want := stamp{stream: streamVideo, publisher: 1 << 30, counter: 7, sent: 3 * time.Hour}
	b := make([]byte, 100)
	want.put(b)
	raw, err := (&rtp.Packet{Header: rtp.Header{Version: 2}, Payload: b}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := readStamp(raw); !ok || got != want {
		t.Errorf("%+v %v", got, ok)
	}
	raw[len(raw)-stampSize]++
	if _, ok := readStamp(raw); ok {
		t.Error("a stamp without its magic")
	}
	if _, ok := readStamp(raw[:12+stampSize-1]); ok {
		t.Error("a stamp too short")
	}
}

// TestForwarderUnderstands feeds what is sent to the code that forwards it.
func TestForwarderUnderstands(t *testing.T) {
	for _, name := range []string{ProfileCamera, ProfileSmall, ProfileSimulcast} {
		p, err := profileOf(name, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range p.layers {
			for _, key := range []bool{true, false} {
				b := make([]byte, l.size)
				putVP8(b, true, key, 0x1234, 5, l)
				info, ok := forward.Inspect(forward.CodecVP8, b)
				if !ok || info.KeyFrame != key || info.TID != 0 {
					t.Errorf("%s %s: %+v %v", name, l.rid, info, ok)
				}
				d, ok := forward.ParseVP8(b)
				if !ok || d.PictureID != 0x1234 || d.TL0PICIDX != 5 || d.HeaderSize != vp8Descriptor || !d.Start {
					t.Errorf("%s %s: %+v %v", name, l.rid, d, ok)
				}
			}
			b := make([]byte, l.size)
			putVP8(b, false, true, 1, 1, l)
			if d, ok := forward.ParseVP8(b); !ok || d.Start || d.KeyFrame {
				t.Errorf("the middle of a frame is %+v %v", d, ok)
			}
		}
	}
	const size = 90
	b := make([]byte, redHeader+2*size)
	putRED(b, size)
	primary, pt, ok := forward.PrimaryRED(b)
	if !ok || pt != payloadOpus || len(primary) != size {
		t.Errorf("RED: %d bytes of %d, %v", len(primary), pt, ok)
	}
}

func TestProfileRates(t *testing.T) {
	p, err := profileOf(ProfileCamera, false)
	if err != nil {
		t.Fatal(err)
	}
	l := p.layers[0]
	if bits := int(time.Second/p.frame) * l.packets * l.size * 8; bits < 1_450_000 || bits > 1_550_000 {
		t.Errorf("a camera sends %d bit/s", bits)
	}
	for _, name := range []string{"", "video"} {
		if _, err := profileOf(name, false); err == nil {
			t.Errorf("%q is a profile", name)
		}
	}
}

func TestWantsKeyFrame(t *testing.T) {
	report := &rtcp.ReceiverReport{SSRC: 1}
	for _, c := range []struct {
		want bool
		in   []rtcp.Packet
	}{
		{false, []rtcp.Packet{report}},
		{false, []rtcp.Packet{report, &rtcp.TransportLayerNack{Nacks: []rtcp.NackPair{{PacketID: 1}}}}},
		{true, []rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: 2}}},
		{true, []rtcp.Packet{report, &rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: 2}}}}},
	} {
		b, err := rtcp.Marshal(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if wantsKeyFrame(b) != c.want {
			t.Errorf("%v: %v", c.in, !c.want)
		}
		for n := range b {
			wantsKeyFrame(b[:n]) // does not panic
		}
	}
}
