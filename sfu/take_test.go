package sfu

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/chatmed/chatmed/internal/consult"
)

// What was sent before the opening is not taken when it is late, or when a later
// packet repeats it.
func TestTapLeavesWhatIsOlder(t *testing.T) {
	r := newRig(t)
	k := &taker{}
	tap := r.tap(k)
	a := r.join("a", usual(1))
	sound := func(n uint16, text string) {
		a.send(rtpPacket(ssrcMic, ptOpus, n, uint32(n)*960, []byte("\xf8"+text)))
	}
	double := func(n uint16, old, text string) {
		a.send(rtpPacket(ssrcMic, ptRED, n, uint32(n)*960, red(960, "\xf8"+old, "\xf8"+text)))
	}
	sound(1, "before")
	sound(3, "before")
	tap.Open([]string{"a"})
	sound(2, "late")
	double(4, "before", "four")
	if k.last.Codec != "opus" {
		t.Errorf("RED that repeats what came before was taken as %s", k.last.Codec)
	}
	sound(7, "seven")
	sound(5, "five")
	double(6, "five", "six")
	k.words = k.words[1:]
	if k.last.Codec != "red" || string(k.last.Payload) != string(red(960, "\xf8five", "\xf8six")) {
		t.Errorf("RED was taken as %s %q", k.last.Codec, k.last.Payload)
	}
	k.words = k.words[:3]
	k.want(t, "sound", "+four seven five")

	frame := func(n uint16, key bool, text string) {
		a.send(rtpPacket(ssrcCam, ptVP8, n, uint32(n)*3000, append([]byte{0x10}, vp8Frame(key, text)...)))
	}
	frame(1, true, "Before")
	frame(3, false, "before")
	tap.Shut()
	tap.Open([]string{"a"})
	k.words = nil
	frame(2, true, "Late")
	frame(5, false, "overtakes") // of the key frame
	frame(4, true, "Key")
	frame(7, false, "seven")
	frame(6, false, "six")
	k.want(t, "pictures", "+Key overtakes seven six")
}

// A packet that was read before the opening and waited for the lock has come
// before it.
func TestTapGoesByTheTimeOfArrival(t *testing.T) {
	r := newRig(t)
	k := &taker{}
	tap := r.tap(k)
	a := r.join("a", usual(1))
	read := r.now
	r.now = r.now.Add(time.Millisecond)
	tap.Open([]string{"a"})
	a.tr.receive(a.seal(rtpPacket(ssrcMic, ptOpus, 1, 960, []byte("\xf8before"))), read, r.out)
	k.want(t, "read before", "open")
	a.tr.receive(a.seal(rtpPacket(ssrcMic, ptOpus, 2, 1920, []byte("\xf8after"))), r.now, r.out)
	k.want(t, "read after", "+after")
}

func TestTapTakesTheBestLayer(t *testing.T) {
	r := newRig(t)
	k := &taker{}
	tap := r.tap(k)
	o := usual(0)
	o.own[1].ssrcs, o.own[1].rids = nil, []string{"l", "m", "h"}
	a := r.join("a", o)
	tap.Open([]string{"a"})
	a.video(21, "l", true, "LowKey")
	a.video(21, "l", false, "low")
	a.video(23, "h", false, "headless")
	a.video(21, "l", false, "low")
	a.video(23, "h", true, "HighKey")
	if k.last.Stream.Layer != 2 || !k.last.KeyFrame {
		t.Errorf("took %+v", k.last)
	}
	a.video(21, "l", false, "not")
	a.video(23, "h", false, "high")
	k.want(t, "going up", "open +LowKey low low +HighKey high")
	r.now = r.now.Add(2 * time.Second)
	a.video(21, "l", false, "not")
	a.video(21, "l", true, "LowKey")
	k.want(t, "going down", "+LowKey")
}

// With nobody else watching the tap asks for its key frames itself, at the
// throttle's pace, and again after a loss.
func TestTapAsksForKeyFrames(t *testing.T) {
	r := newRig(t)
	tap := r.tap(&taker{})
	a := r.join("a", usual(0))
	a.video(ssrcCam, "", false, "delta")
	asked := func(ticks int) (n int) {
		for range ticks {
			r.tick(tick)
			a.video(ssrcCam, "", false, "delta")
			_, control := a.received()
			n += keyFrameRequests(control)
		}
		return n
	}
	if n := asked(5); n != 0 {
		t.Errorf("asked %d times while shut", n)
	}
	tap.Open([]string{"a"})
	if n := asked(10); n < 2 || n > 5 {
		t.Errorf("asked %d times within two seconds", n)
	}
	a.video(ssrcCam, "", true, "Key")
	if n := asked(10); n != 0 {
		t.Errorf("asked %d times after the key frame", n)
	}
	tap.KeyFrames()
	if n := asked(1); n != 1 {
		t.Errorf("asked %d times when told to", n)
	}
	a.video(ssrcCam, "", true, "Key")
	asked(10)
	a.seq[ssrcCam] += 3
	if n := asked(10); n < 1 || n > 3 {
		t.Errorf("asked %d times after a loss", n)
	}
	tap.Shut()
	if n := asked(10); n != 0 {
		t.Errorf("asked %d times after the end", n)
	}
}

func TestSoundIsRepairedForTheTapAlone(t *testing.T) {
	r := newRig(t)
	tap := r.tap(&taker{})
	a := r.join("a", usual(1))
	r.join("b", usual(1))
	nacked := func() (n int) {
		a.audio("one")
		a.seq[ssrcMic]++
		a.audio("three")
		a.audio("four")
		r.tick(tick)
		_, control := a.received()
		for _, c := range control {
			if n, ok := c.(*rtcp.TransportLayerNack); ok && n.MediaSSRC == ssrcMic {
				return len(n.Nacks)
			}
		}
		return 0
	}
	if nacked() != 0 {
		t.Error("asked for sound without a tap")
	}
	tap.Open([]string{"a", "b"})
	if nacked() == 0 {
		t.Error("did not ask for sound")
	}
	tap.Shut()
	if nacked() != 0 {
		t.Error("went on asking for sound")
	}
}

func TestTapTellsReportsMutingAndOrientation(t *testing.T) {
	r := newRig(t)
	k := &taker{}
	tap := r.tap(k)
	o := usual(0)
	o.own[0].muted = true
	a := r.join("a", o)
	report := func(ssrc, rtp uint32) {
		a.rtcp(&rtcp.SenderReport{SSRC: ssrc, NTPTime: uint64(rtp) << 32, RTPTime: rtp})
	}
	a.audio("before")
	report(ssrcMic, 5)
	tap.Open([]string{"a"})
	report(ssrcMic, 6)
	a.audio("one")
	report(ssrcMic, 7)
	a.p.SetMuted(consult.SourceMicrophone, false)
	a.p.SetMuted(consult.SourceCamera, true)
	a.p.SetMuted(consult.SourceCamera, true)
	k.want(t, "reports and muting", "open microphone=muted microphone@6 +one microphone@7 microphone=on camera=muted")
	a.p.SetMuted(consult.SourceCamera, false)
	p := rtpPacket(ssrcCam, ptVP8, 1, 3000, append([]byte{0x10}, vp8Frame(true, "Key")...))
	_ = p.SetExtension(idOrientation, []byte{0x0b})
	a.send(p)
	if k.last.Orientation != 0x0b || k.last.Stream.ClockRate != 90000 || !k.last.Marker {
		t.Errorf("took %+v", k.last)
	}
	pad := &rtp.Packet{Header: rtp.Header{Version: 2, Padding: true, PaddingSize: 20, PayloadType: ptVP8, SequenceNumber: 2, Timestamp: 3000, SSRC: ssrcCam}}
	a.send(pad)
	if k.last.ExtSeq&0xffff != 2 || len(k.last.Payload) != 0 || k.last.Codec != "" || k.last.Orientation != -1 {
		t.Errorf("took %+v of padding", k.last)
	}
	tap.Shut()
	report(ssrcMic, 8)
	k.words = k.words[len(k.words)-1:]
	k.want(t, "no report after the end", "shut")
}

// Sound that carries a copy of the sound before it in the same packet does not
// begin a run: the copy is of before the opening.
func TestTapPassesOverInBandFEC(t *testing.T) {
	for toc, cases := range map[byte]map[byte]bool{
		0x08: {0x80: false, 0xc0: true, 0x40: true, 0x20: false}, // SILK, 20 ms
		0x10: {0xc0: false, 0x20: true},                          // 40 ms
		0x18: {0xe0: false, 0x10: true},                          // 60 ms
		0x0c: {0x80: false, 0x40: true, 0x10: true, 0x20: false}, // stereo
		0x78: {0x80: false, 0x40: true},                          // hybrid
		0xf8: {0xff: false},                                      // CELT
		0x0b: {0x00: true},                                       // several frames
	} {
		for first, want := range cases {
			if inBandFEC([]byte{toc, first, 1, 2}) != want {
				t.Errorf("TOC %x, first byte %x: want %t", toc, first, want)
			}
		}
	}
	if inBandFEC(nil) || inBandFEC([]byte{0x08}) {
		t.Error("FEC in nothing")
	}
	r := newRig(t)
	k := &taker{}
	tap := r.tap(k)
	a := r.join("a", usual(0))
	tap.Open([]string{"a"})
	for n := range uint16(3) {
		a.send(rtpPacket(ssrcMic, ptOpus, n+5, uint32(n)*960, append([]byte{0x08, 0xc0}, "word"[:n+1]...)))
	}
	k.want(t, "with FEC", "open +wo wor")
}
