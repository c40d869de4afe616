package sfu

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/chatmed/chatmed/internal/consult"
)

// Events of a fuzzed session: what, how long, bytes.
const (
	fuzzRTP byte = iota
	fuzzRTCP
	fuzzOther // RTCP of the one who watches
	fuzzTick
	fuzzKinds
)

func event(kind byte, b []byte) []byte { return append([]byte{kind, byte(len(b))}, b...) }

func fuzzSeeds(f *testing.F) {
	raw := func(p *rtp.Packet) []byte {
		b, err := p.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	control := func(p ...rtcp.Packet) []byte {
		b, err := rtcp.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	frame := func(n uint16, key bool) []byte {
		return raw(rtpPacket(ssrcCam, ptVP8, n, uint32(n)*3000, append([]byte{0x90, 0x80, 0x80 | byte(n>>8), byte(n)}, vp8Frame(key, "x")...)))
	}
	rtx := raw(rtpPacket(ssrcCamRTX, ptRTX, 7, 6000, append([]byte{0, 2, 0x10}, vp8Frame(false, "x")...)))
	rid := rtpPacket(77, ptVP8, 1, 1, append([]byte{0x10}, vp8Frame(true, "x")...))
	_ = rid.SetExtension(idMid, []byte("screen"))
	_ = rid.SetExtension(idRID, []byte("h"))
	video := append(event(fuzzRTP, frame(1, true)), event(fuzzRTP, frame(3, false))...)
	f.Add(append(video, event(fuzzRTP, rtx)...))
	f.Add(append(video, event(fuzzTick, nil)...))
	f.Add(append(event(fuzzRTP, raw(rid)), event(fuzzRTP, raw(rtpPacket(ssrcMic, ptRED, 1, 960, red(960, "\xf8old", "\xf8new"))))...))
	f.Add(append(video, event(fuzzOther, control(
		&rtcp.TransportLayerNack{MediaSSRC: fuzzSSRC, Nacks: []rtcp.NackPair{{PacketID: 0, LostPackets: 0xffff}}},
		&rtcp.PictureLossIndication{MediaSSRC: fuzzSSRC},
		&rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: fuzzSSRC}}},
		&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: fuzzSSRC, LastSenderReport: 5, Delay: 9}}},
	))...))
	f.Add(append(event(fuzzRTCP, control(&rtcp.SenderReport{SSRC: ssrcCam, NTPTime: 1 << 40, RTPTime: 5}, &rtcp.Goodbye{Sources: []uint32{ssrcCam}})), video...))
	padded := rtpPacket(ssrcCam, ptVP8, 2, 3000, []byte{0x10})
	padded.Padding, padded.PaddingSize = true, 200
	f.Add(append(video, event(fuzzRTP, raw(padded)[:20])...))
}

// fuzzSSRC is the video sender's in the fuzzed session, so that feedback hits.
const fuzzSSRC = 4242

// FuzzReceive feeds an authenticated client's plain RTP and RTCP into the
// receive path, with another client watching and a tap open. Whatever it sends,
// what goes out are well-formed RTP and RTCP packets in order, and a tap gets no
// packet twice.
func FuzzReceive(f *testing.F) {
	fuzzSeeds(f)
	r := newRig(f)
	r.sink = r.listen()
	f.Fuzz(func(t *testing.T, data []byte) {
		r.t = t
		r.clear()
		o := usual(1)
		o.own = append(o.own, ownSpec{source: consult.SourceScreen, rids: []string{"l", "h"}})
		watching := usual(2)
		watching.twcc = true // its link is estimated, and divided
		a, b := r.join("a", o), r.join("b", watching)
		video := b.tr.media.slots[0].video
		delete(b.tr.media.senders, video.ssrc)
		video.ssrc = fuzzSSRC
		b.tr.media.senders[fuzzSSRC] = video
		once := &onceOnly{t: t, seen: map[*Stream]map[uint64]bool{}}
		tap := r.tap(once)
		defer tap.Close()
		if !tap.Open([]string{"a", "b"}) {
			t.Fatal("the tap did not open")
		}
		for len(data) >= 2 {
			kind, n := data[0]%fuzzKinds, min(int(data[1]), len(data)-2)
			packet := append([]byte(nil), data[2:2+n]...)
			data = data[2+n:]
			r.room.mu.Lock()
			switch kind {
			case fuzzRTP:
				if _, err := a.tr.media.header.Unmarshal(packet); err == nil {
					a.tr.acceptLocked(a.tr.media.streams[a.tr.media.header.SSRC], packet, r.now, r.out)
				}
			case fuzzRTCP:
				a.tr.reactLocked(packet, r.now, r.out.Batch)
			case fuzzOther:
				b.tr.reactLocked(packet, r.now, r.out.Batch)
			case fuzzTick:
				r.now = r.now.Add(time.Duration(n) * 10 * time.Millisecond)
				if n > 200 {
					b.p.views = append(b.p.views[:0], View{Width: 4 * n, Height: 3 * n, Visible: n%2 == 0})
				}
				r.room.tickLocked(r.now, n%4 != 3, r.out.Batch)
			}
			r.room.mu.Unlock()
		}
		// Both share the socket and the keys: everything is read here.
		b.received()
	})
}

// onceOnly is a Sink that gets no packet twice, and none before its stream starts.
type onceOnly struct {
	t    *testing.T
	seen map[*Stream]map[uint64]bool
}

func (*onceOnly) Gate(bool, time.Time)                      {}
func (*onceOnly) Report(*Stream, time.Time, uint64, uint32) {}
func (*onceOnly) Muted(string, string, bool, time.Time)     {}

func (o *onceOnly) Packet(p *Packet) {
	seen := o.seen[p.Stream]
	if seen == nil {
		if !p.Start {
			o.t.Error("a stream without a start")
		}
		seen = map[uint64]bool{}
		o.seen[p.Stream] = seen
	}
	if seen[p.ExtSeq] {
		o.t.Errorf("%d twice", p.ExtSeq)
	}
	seen[p.ExtSeq] = true
	if (p.Codec == "") != (len(p.Payload) == 0) {
		o.t.Errorf("codec %q of %d bytes", p.Codec, len(p.Payload))
	}
}
