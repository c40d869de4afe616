package forward_test

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/pion/rtcp"

	"github.com/chatmed/chatmed/sfu/buffer"
	"github.com/chatmed/chatmed/sfu/forward"
)

// layer is what a publication keeps per incoming SSRC.
type layer struct {
	ring   *buffer.Ring
	source forward.Source
	keys   forward.KeyFrameThrottle
}

// subscriber is what a subscription keeps.
type subscriber struct {
	selector forward.Selector
	rewriter *forward.Rewriter
}

// take decides about one packet for one subscriber and returns the bytes to
// encrypt, nil for none.
func (s *subscriber) take(out []byte, live forward.Layers, index int, l *layer, p *forward.Packet, payload []byte, now time.Time) []byte {
	var h forward.Header
	var verdict forward.Verdict
	switch s.selector.Decide(live, index, p) {
	case forward.Switch:
		s.rewriter.SwitchTo(l.source.ID)
		verdict = s.rewriter.Forward(&l.source, p, now, &h)
	case forward.Forward:
		verdict = s.rewriter.Forward(&l.source, p, now, &h)
	case forward.Skip:
		verdict = s.rewriter.Skip(&l.source, p, now, &h)
	default:
		return nil
	}
	if verdict != forward.Send && verdict != forward.SendEmpty {
		return nil
	}
	n := h.Put(out, 96, 0x1234) // extensions would follow here
	if h.Empty {
		return out[:n]
	}
	m := copy(out[n:], payload) // the only copy
	h.Patch.Apply(out[n : n+m])
	return out[:n+m]
}

// One publication with one layer and one subscriber, from the socket to the
// bytes that go out, a NACK in both directions, and the reports.
func Example() {
	now := time.Unix(1_700_000_000, 0)
	pub := layer{ring: buffer.New(buffer.Config{}), source: forward.Source{ID: 1}}
	var activity forward.Activity
	var clocks forward.ClockMap // one per publishing participant
	sub := subscriber{rewriter: forward.NewRewriter(forward.RewriterConfig{
		Codec: forward.CodecVP8, FirstSequence: 100, FirstTimestamp: 5000,
	})}
	sub.selector.Want(0, forward.AllTemporal)
	if _, ok := sub.selector.KeyFrameNeeded(activity.Live(now)); ok {
		fmt.Println("ask the publisher:", pub.keys.Want(now) == forward.RequestPLI)
	}

	out := make([]byte, 1500)
	var nacks []rtcp.NackPair
	for _, seq := range []uint16{65534, 65535, 1, 2} { // 0 is lost on the way to us
		raw := vp8Packet(seq, 90000, seq == 65534)
		res := pub.ring.Insert(raw, now)
		if !res.Stored {
			continue
		}
		payload := raw[12:]
		info, ok := forward.Inspect(forward.CodecVP8, payload)
		p := forward.Packet{ExtSeq: res.ExtSeq, Timestamp: 90000, Size: len(payload), Info: info}
		if !ok {
			p.Size = 0
		}
		if info.KeyFrame {
			pub.ring.KeyFrame(res.ExtSeq)
			pub.keys.Arrived()
		}
		live := activity.Seen(0, now)
		if pkt := sub.take(out, live, 0, &pub, &p, payload, now); pkt != nil {
			fmt.Println("sent", binary.BigEndian.Uint16(pkt[2:]), "timestamp", binary.BigEndian.Uint32(pkt[4:]))
		}
		now = now.Add(time.Millisecond)
	}
	nacks = pub.ring.Nacks(nacks[:0], now, 40*time.Millisecond)
	fmt.Println("ask again for", nacks[0].PacketID)

	// The subscriber lost 101: find the packet, repeat it over RTX.
	if origin, h, ok := sub.rewriter.Lookup(101, now, 0); ok && origin.Sent {
		raw, found := pub.ring.At(origin.ExtSeq)
		fmt.Println("repeat", binary.BigEndian.Uint16(raw[2:]), "as", h.Sequence, found)
	}

	// A sender report comes in, and one goes out.
	ntp := forward.NTPTime(now.Add(-time.Hour)) // the publisher's clock is wrong
	pub.ring.SenderReport(ntp, 90900, now)
	pub.source.Report = clocks.Report(ntp, 90900, now)
	sr, _ := sub.rewriter.SenderReport(&pub.source, now)
	fmt.Println("report", sr.NTPTime == forward.NTPTime(now), sr.RTPTime, sr.PacketCount)

	// Output:
	// ask the publisher: true
	// sent 100 timestamp 5000
	// sent 101 timestamp 5000
	// sent 103 timestamp 5000
	// sent 104 timestamp 5000
	// ask again for 0
	// repeat 65535 as 101 true
	// report true 5900 4
}

func vp8Packet(seq uint16, ts uint32, key bool) []byte {
	raw := make([]byte, 12, 64)
	raw[0], raw[1] = 0x80, 96
	binary.BigEndian.PutUint16(raw[2:], seq)
	binary.BigEndian.PutUint32(raw[4:], ts)
	if key {
		return append(raw, 0x90, 0x80, 0x81, 0x00, 0x00, 1, 2, 3) // S, picture id 256, key frame
	}
	return append(raw, 0x80, 0x80, 0x81, 0x00, 0x01, 1, 2, 3)
}
