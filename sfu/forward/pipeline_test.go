package forward_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/chatmed/chatmed/sfu/buffer"
	"github.com/chatmed/chatmed/sfu/forward"
)

// sender is one simulcast layer that makes up VP8 frames: a frame tag, its layer,
// the frame's number, then filling.
type sender struct {
	index     int
	layer     layer
	payloader codecs.VP8Payloader
	seq       uint16
	offset    uint32 // of its timestamps
	sent      map[uint16]*rtp.Packet
}

func newSender(index int, seq uint16, offset uint32) *sender {
	return &sender{
		index: index, seq: seq, offset: offset, sent: map[uint16]*rtp.Packet{},
		layer:     layer{ring: buffer.New(buffer.Config{}), source: forward.Source{ID: forward.SourceID(index + 7)}},
		payloader: codecs.VP8Payloader{EnablePictureID: true},
	}
}

func (s *sender) frame(number int, key bool, size int) (packets []*rtp.Packet) {
	data := make([]byte, size)
	if !key {
		data[0] = 1
	}
	data[1], data[2], data[3] = byte(s.index), byte(number), byte(number>>8)
	payloads := s.payloader.Payload(500, data)
	for i, payload := range payloads {
		p := &rtp.Packet{Header: rtp.Header{
			Version: 2, PayloadType: 96, SequenceNumber: s.seq,
			Timestamp: s.offset + uint32(number)*3000, Marker: i == len(payloads)-1,
		}, Payload: payload}
		s.sent[s.seq] = p
		s.seq++
		packets = append(packets, p)
	}
	return packets
}

// receiver collects what arrives by sequence number.
type receiver struct {
	packets map[uint64]*rtp.Packet
	highest uint64
}

func (r *receiver) take(t *testing.T, raw []byte) {
	t.Helper()
	p := &rtp.Packet{}
	if err := p.Unmarshal(bytes.Clone(raw)); err != nil {
		t.Fatal(err)
	}
	if r.packets == nil {
		r.packets, r.highest = map[uint64]*rtp.Packet{}, uint64(p.SequenceNumber)
	}
	ext := r.highest + uint64(int64(int16(p.SequenceNumber-uint16(r.highest))))
	if r.packets[ext] != nil {
		t.Fatalf("%d arrives twice", p.SequenceNumber)
	}
	r.packets[ext] = p
	r.highest = max(r.highest, ext)
}

// TestSimulcastThroughALossyNetwork sends three layers through loss and
// reordering, both repaired by NACK, while the subscriber's wishes change. It must
// get whole frames in order, without a gap in sequence numbers or picture ids.
func TestSimulcastThroughALossyNetwork(t *testing.T) {
	for seed := range uint64(20) {
		runSimulcast(t, rand.New(rand.NewPCG(seed, 1)))
	}
}

func runSimulcast(t *testing.T, rnd *rand.Rand) {
	t.Helper()
	start := time.Unix(1_700_000_000, 0)
	senders := []*sender{newSender(0, 65000, 1<<32-100000), newSender(1, 10, 77), newSender(2, 40000, 1<<31)}
	var activity forward.Activity
	var clocks forward.ClockMap
	sub := subscriber{rewriter: forward.NewRewriter(forward.RewriterConfig{Codec: forward.CodecVP8, FirstSequence: 32700})}
	sub.selector.Want(2, forward.AllTemporal)
	var recv receiver
	out := make([]byte, 1500)
	keyWanted := [3]bool{}
	var nacks []rtcp.NackPair

	deliver := func(s *sender, p *rtp.Packet, now time.Time) {
		raw, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		res := s.layer.ring.Insert(raw, now)
		if !res.Stored {
			return
		}
		info, ok := forward.Inspect(forward.CodecVP8, p.Payload)
		if !ok {
			t.Fatal("a payload is refused")
		}
		packet := forward.Packet{ExtSeq: res.ExtSeq, Timestamp: p.Timestamp, Marker: p.Marker, Size: len(p.Payload), Info: info}
		live := activity.Seen(s.index, now)
		if pkt := sub.take(out, live, s.index, &s.layer, &packet, p.Payload, now); pkt != nil && rnd.IntN(30) > 0 {
			recv.take(t, pkt)
		}
		if need, ok := sub.selector.KeyFrameNeeded(live); ok {
			keyWanted[need] = true
		}
	}

	const frames = 400
	for number := range frames {
		now := start.Add(time.Duration(number) * time.Second / 30)
		if number%40 == 39 && number < frames-50 {
			sub.selector.Want(rnd.IntN(3), forward.AllTemporal)
		}
		for _, s := range senders {
			if s.index == 2 && number > 200 && number < 260 {
				continue // the top layer stops for two seconds
			}
			if number%30 == 0 {
				s.layer.source.Report = clocks.Report(forward.NTPTime(now), s.offset+uint32(number)*3000, now)
			}
			packets := s.frame(number, number == 0 || keyWanted[s.index], 300*(s.index+1)+rnd.IntN(900))
			keyWanted[s.index] = false
			packets = slices.DeleteFunc(packets, func(*rtp.Packet) bool { return rnd.IntN(20) == 0 })
			if len(packets) > 2 && rnd.IntN(3) == 0 {
				packets[0], packets[1] = packets[1], packets[0]
			}
			for _, p := range packets {
				deliver(s, p, now)
			}
			later := now.Add(20 * time.Millisecond)
			nacks = s.layer.ring.Nacks(nacks[:0], later, 10*time.Millisecond)
			for _, pair := range nacks {
				for _, seq := range pair.PacketList() {
					deliver(s, s.sent[seq], later)
				}
			}
		}
		repair(t, &sub, senders, &recv, now.Add(25*time.Millisecond), out)
	}
	checkReceived(t, &recv)
}

// repair answers the receiver's NACKs from the rings.
func repair(t *testing.T, sub *subscriber, senders []*sender, recv *receiver, now time.Time, out []byte) {
	t.Helper()
	for ext := recv.highest - min(recv.highest, 100); ext < recv.highest; ext++ {
		if recv.packets == nil || recv.packets[ext] != nil {
			continue
		}
		origin, h, ok := sub.rewriter.Lookup(uint16(ext), now, 0)
		if !ok {
			continue
		}
		s := senders[origin.Source-7]
		raw, ok := s.layer.ring.At(origin.ExtSeq)
		if !ok {
			continue
		}
		if !origin.Sent {
			info, _ := forward.Inspect(forward.CodecVP8, raw[12:])
			p := forward.Packet{
				ExtSeq: origin.ExtSeq, Timestamp: s.sent[uint16(origin.ExtSeq)].Timestamp,
				Marker: raw[1]&0x80 != 0, Size: len(raw) - 12, Info: info,
			}
			if v := sub.rewriter.Forward(&s.layer.source, &p, now, &h); v != forward.Send {
				t.Fatalf("a packet never sent: %v", v)
			}
		}
		n := h.Put(out, 96, 1)
		m := copy(out[n:], raw[12:])
		h.Patch.Apply(out[n : n+m])
		recv.take(t, out[:n+m])
	}
}

// checkReceived walks through what came. Only the last frame before a change of
// layer may be torn: what was still missing of the old layer is not sent any more.
func checkReceived(t *testing.T, recv *receiver) {
	t.Helper()
	first := recv.highest
	for ext := range recv.packets {
		first = min(first, ext)
	}
	var last codecs.VP8Packet
	var lastTS uint32
	frames, switches, shown := 0, 0, -1
	open, torn := false, 0
	for ext := first; ext+20 < recv.highest; ext++ {
		p := recv.packets[ext]
		if p == nil {
			if torn++; torn > 12 {
				t.Fatalf("%d is missing (highest %d)", ext, recv.highest)
			}
			continue
		}
		var d codecs.VP8Packet
		payload, err := d.Unmarshal(p.Payload)
		if err != nil {
			t.Fatal(err)
		}
		starts := d.S == 1
		key := starts && payload[0]&1 == 0
		if torn > 0 && (!key || int(payload[1]) == shown) {
			torn++
			continue
		}
		if starts {
			if frames > 0 && torn == 0 && (d.PictureID != (last.PictureID+1)&0x7fff || int32(p.Timestamp-lastTS) <= 0) {
				t.Fatalf("picture %d at %d follows %d at %d", d.PictureID, p.Timestamp, last.PictureID, lastTS)
			}
			if source := int(payload[1]); source != shown {
				if !key {
					t.Fatalf("from layer %d to %d without a key frame", shown, source)
				}
				shown = source
				switches++
			} else if open {
				t.Fatalf("picture %d begins inside picture %d", d.PictureID, last.PictureID)
			}
			last, lastTS, torn, open = d, p.Timestamp, 0, true
		}
		if !open || d.PictureID != last.PictureID || p.Timestamp != lastTS {
			t.Fatalf("a packet of picture %d inside picture %d", d.PictureID, last.PictureID)
		}
		if p.Marker {
			frames++
			open = false
		}
	}
	// A second passes before the stopped layer is given up: 30 frames, and a few
	// torn ones.
	if frames < 350 || switches < 4 {
		t.Errorf("%d frames, %d layers shown", frames, switches)
	}
}
