package sfu

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu/forward"
)

// restore turns an RTX packet back, as a receiver does (RFC 4588 section 4).
func restore(p *rtp.Packet) (seq uint16, payload []byte) {
	return binary.BigEndian.Uint16(p.Payload), p.Payload[2:]
}

func TestReceiversNackIsAnsweredOverRTX(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a", usual(1)), r.join("b", usual(1))
	a.video(ssrcCam, "", true, "Key")
	a.video(ssrcCam, "", false, "first")
	a.video(ssrcCam, "", false, "second")
	media, _ := b.received()
	video := b.tr.media.slots[0].video
	nack := &rtcp.TransportLayerNack{MediaSSRC: video.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{media[1].SequenceNumber, media[2].SequenceNumber})}
	b.rtcp(nack)
	again, _ := b.received()
	if len(again) != 2 {
		t.Fatalf("%d packets again", len(again))
	}
	for i, p := range again {
		seq, payload := restore(p)
		was := media[i+1]
		if p.SSRC != video.rtxSSRC || p.PayloadType != ptRTX || seq != was.SequenceNumber ||
			p.Timestamp != was.Timestamp || p.Marker != was.Marker || string(payload) != string(was.Payload) {
			t.Errorf("%v repeats %v", p, was)
		}
	}
	b.rtcp(nack)
	if again, _ := b.received(); len(again) != 0 {
		t.Errorf("%d packets a third time within a round trip", len(again))
	}
	r.now = r.now.Add(resendSpacing)
	b.rtcp(nack)
	if again, _ := b.received(); len(again) != 2 || again[0].SequenceNumber == 0 {
		t.Errorf("%d packets after a round trip", len(again))
	}
}

// A packet that was lost before the server is asked for there, and comes to the
// receiver under the number that was kept for it.
func TestPublishersLossIsRepaired(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a", usual(1)), r.join("b", usual(1))
	frame := func(n uint16, key bool, text string) *rtp.Packet {
		return rtpPacket(ssrcCam, ptVP8, n, uint32(n)*3000, append([]byte{0x10}, vp8Frame(key, text)...))
	}
	a.send(frame(1, true, "Key"))
	lost := frame(2, false, "lost")
	a.send(frame(3, false, "three"))
	a.send(frame(4, false, "four"))
	r.tick(tick)
	_, control := a.received()
	var nack *rtcp.TransportLayerNack
	for _, c := range control {
		if n, ok := c.(*rtcp.TransportLayerNack); ok {
			nack = n
		}
	}
	if nack == nil || nack.MediaSSRC != ssrcCam || nack.Nacks[0].PacketID != 2 {
		t.Fatalf("asked %v", control)
	}
	rtx := &rtp.Packet{Header: lost.Header, Payload: append([]byte{0, 2}, lost.Payload...)}
	rtx.SSRC, rtx.PayloadType, rtx.SequenceNumber = ssrcCamRTX, ptRTX, 900
	a.send(rtx)
	rtx.SequenceNumber++ // asked twice, came twice
	a.send(rtx)
	media, _ := b.received()
	if texts(media) != "Key three four lost" {
		t.Fatalf("got %q", texts(media))
	}
	first := media[0].SequenceNumber
	for i, want := range []uint16{0, 2, 3, 1} {
		if media[i].SequenceNumber != first+want {
			t.Errorf("packet %d has number %d, want %d", i, media[i].SequenceNumber-first, want)
		}
	}
	if media[3].Timestamp-media[0].Timestamp != 3000 {
		t.Errorf("the restored packet is %d later than the first", media[3].Timestamp-media[0].Timestamp)
	}
	if st := a.p.publications[consult.SourceCamera].layers[0].ring.Stats(); st.Packets != 4 {
		t.Errorf("%+v", st)
	}
}

// Probing padding and cut off RTX packets change nothing.
func TestRTXNonsense(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a", usual(1)), r.join("b", usual(1))
	a.video(ssrcCam, "", true, "Key")
	for i, p := range []*rtp.Packet{
		{Payload: nil}, {Payload: []byte{1}}, {Payload: []byte{0, 1}}, {Payload: []byte{0, 9}},
		{Header: rtp.Header{Padding: true, PaddingSize: 200}},
	} {
		p.Version, p.SSRC, p.PayloadType, p.SequenceNumber = 2, ssrcCamRTX, ptRTX, uint16(i)
		a.send(p)
	}
	a.video(ssrcCam, "", false, "delta")
	media, _ := b.received()
	if texts(media) != "Key delta" || media[1].SequenceNumber != media[0].SequenceNumber+1 {
		t.Errorf("got %q", texts(media))
	}
}

// red wraps an Opus packet with an older one (RFC 2198).
func red(ts uint16, old, primary string) []byte {
	head := []byte{0x80 | ptOpus, byte(ts >> 6), byte(ts<<2) | byte(len(old)>>8), byte(len(old)), ptOpus}
	return append(append(head, old...), primary...)
}

func TestREDGoesOnlyToThoseWhoKnowIt(t *testing.T) {
	r := newRig(t)
	plain := usual(1)
	plain.noRED = true
	a, b, c := r.join("a", usual(1)), r.join("b", usual(1)), r.join("c", plain)
	payload := red(960, "\xf8old", "\xf8new")
	a.send(rtpPacket(ssrcMic, ptRED, 1, 960, payload))
	with, _ := b.received()
	without, _ := c.received()
	if len(with) != 1 || with[0].PayloadType != ptRED || string(with[0].Payload) != string(payload) {
		t.Errorf("who knows RED got %v", with)
	}
	if len(without) != 1 || without[0].PayloadType != ptOpus || string(without[0].Payload) != "\xf8new" {
		t.Errorf("who does not got %v", without)
	}
	a.send(rtpPacket(ssrcMic, ptRED, 2, 1920, []byte{0x80 | ptOpus, 0}))
	a.send(rtpPacket(ssrcMic, ptRED, 3, 2880, red(960, "\xf8old", "\xf8newer")))
	if without, _ := c.received(); len(without) != 1 || string(without[0].Payload) != "\xf8newer" {
		t.Errorf("after a broken packet: %v", without)
	}
}

// What one publisher captured at one time keeps one NTP time, though the
// reports reach the server with different delays.
func TestSenderReportsKeepLipSync(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a", usual(1)), r.join("b", usual(1))
	const audioAt, videoAt = 5_000_000, 900_000 // RTP time of one instant
	captured := r.now.Add(-7 * time.Hour)       // the publisher's clock is wrong
	report := func(ssrc, rtpTime uint32, delay time.Duration) {
		r.now = r.now.Add(delay)
		a.rtcp(&rtcp.SenderReport{SSRC: ssrc, NTPTime: forward.NTPTime(captured), RTPTime: rtpTime})
	}
	a.send(rtpPacket(ssrcMic, ptOpus, 1, audioAt, []byte("\xf8sound")))
	a.send(rtpPacket(ssrcCam, ptVP8, 1, videoAt, append([]byte{0x10}, vp8Frame(true, "Key")...)))
	report(ssrcMic, audioAt, 20*time.Millisecond)
	report(ssrcCam, videoAt, 90*time.Millisecond)
	r.tick(tick)
	media, control := b.received()
	at := map[uint32]float64{} // NTP seconds of the instant, as the receiver reckons
	clock := map[uint32]float64{b.tr.media.slots[0].audio.ssrc: 48000, b.tr.media.slots[0].video.ssrc: 90000}
	for _, c := range control {
		sr, ok := c.(*rtcp.SenderReport)
		if !ok {
			continue
		}
		for _, p := range media {
			if p.SSRC == sr.SSRC {
				back := float64(int32(sr.RTPTime-p.Timestamp)) / clock[p.SSRC]
				at[p.SSRC] = float64(sr.NTPTime>>32) + float64(uint32(sr.NTPTime))/(1<<32) - back
			}
		}
	}
	if len(at) != 2 {
		t.Fatalf("reports on %d of 2 streams", len(at))
	}
	var times []float64
	for _, v := range at {
		times = append(times, v)
	}
	if d := times[0] - times[1]; d > 0.002 || d < -0.002 {
		t.Errorf("audio and video are %.1f ms apart", d*1000)
	}
}

func TestReportsAndRoundTrip(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a", usual(1)), r.join("b", usual(1))
	a.audio("sound")
	a.rtcp(&rtcp.SenderReport{SSRC: ssrcMic, NTPTime: forward.NTPTime(r.now), RTPTime: 960})
	r.tick(time.Second)
	_, control := b.received()
	var sr *rtcp.SenderReport
	for _, c := range control {
		if s, ok := c.(*rtcp.SenderReport); ok {
			sr = s
		}
	}
	if sr == nil || sr.PacketCount != 1 {
		t.Fatalf("reports %v", control)
	}
	_, control = a.received()
	var seen bool
	for _, c := range control {
		if rr, ok := c.(*rtcp.ReceiverReport); ok {
			seen = len(rr.Reports) == 1 && rr.Reports[0].SSRC == ssrcMic && rr.Reports[0].Delay > 0
		}
	}
	if !seen {
		t.Errorf("the publisher got %v", control)
	}
	r.now = r.now.Add(150 * time.Millisecond)
	b.rtcp(&rtcp.ReceiverReport{SSRC: 5, Reports: []rtcp.ReceptionReport{{
		SSRC: sr.SSRC, LastSenderReport: uint32(sr.NTPTime >> 16), Delay: 50 << 16 / 1000,
	}}})
	if d := b.tr.media.rtt.value(); d < 99*time.Millisecond || d > 101*time.Millisecond {
		t.Errorf("round trip %v", d)
	}
	b.rtcp(&rtcp.ReceiverReport{SSRC: 5, Reports: []rtcp.ReceptionReport{{
		SSRC: sr.SSRC, LastSenderReport: 1, Delay: 1 << 31,
	}}})
	if d := b.tr.media.rtt.value(); d > time.Second {
		t.Errorf("round trip %v from a lie", d)
	}
}

func TestPLIPassesThroughOnce(t *testing.T) {
	r := newRig(t)
	a, b, c := r.join("a", usual(2)), r.join("b", usual(2)), r.join("c", usual(2))
	a.video(ssrcCam, "", true, "Key")
	r.tick(time.Second - tick)
	a.received()
	a.video(ssrcCam, "", false, "delta")
	for range 5 {
		for _, v := range []*peer{b, c} {
			ssrc := v.tr.media.slots[0].video.ssrc
			v.rtcp(&rtcp.PictureLossIndication{MediaSSRC: ssrc})
			v.rtcp(&rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: ssrc}}})
		}
	}
	if _, control := a.received(); keyFrameRequests(control) != 1 {
		t.Errorf("asked %d times", keyFrameRequests(control))
	}
}

// TestSoundIsRepeated: a lost sound is asked for where its publisher repeats it,
// and repeated over RTX to who asks.
func TestSoundIsRepeated(t *testing.T) {
	for _, repeat := range []bool{true, false} {
		r := newRig(t)
		o := usual(1)
		o.repeat = repeat
		a, b := r.join("anna", o), r.join("bert", o)
		a.received()
		a.audio("one")
		a.seq[ssrcMic]++ // lost
		for _, text := range []string{"three", "four", "five"} {
			a.audio(text)
		}
		_, control := a.received()
		var asked int
		for _, c := range control {
			if n, ok := c.(*rtcp.TransportLayerNack); ok && n.MediaSSRC == ssrcMic {
				asked++
			}
		}
		if (asked > 0) != repeat {
			t.Errorf("repeated %v, asked %d times", repeat, asked)
		}
		media, _ := b.received()
		last := media[len(media)-1]
		r.tick(50 * time.Millisecond)
		b.received()
		b.rtcp(&rtcp.TransportLayerNack{MediaSSRC: last.SSRC, Nacks: []rtcp.NackPair{{PacketID: last.SequenceNumber}}})
		again, _ := b.received()
		if got := len(again); got != map[bool]int{true: 1}[repeat] {
			t.Fatalf("repeated %v, %d packets", repeat, got)
		}
		if repeat && (again[0].PayloadType != ptOpusRTX || !strings.HasSuffix(string(again[0].Payload), "five")) {
			t.Errorf("repeated as %v", again[0])
		}
	}
}
