package sfu

import (
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/chatmed/chatmed/internal/consult"
	ownsrtp "github.com/chatmed/chatmed/sfu/srtp"
)

// want fails unless the video and audio that v got since the last call says so.
func (v *peer) want(what, texted string) []rtcp.Packet {
	v.r.t.Helper()
	media, control := v.received()
	if got := texts(media); got != texted {
		v.r.t.Errorf("%s: got %q, want %q", what, got, texted)
	}
	return control
}

func TestFirstPictureIsAKeyFrame(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a", usual(1)), r.join("b", usual(1))
	a.video(ssrcCam, "", false, "lost")
	b.want("no key frame yet", "")
	r.tick(tick)
	if _, control := a.received(); keyFrameRequests(control) != 1 {
		t.Errorf("asked %d times for the first key frame", keyFrameRequests(control))
	}
	a.video(ssrcCam, "", true, "Key")
	a.video(ssrcCam, "", false, "delta")
	a.audio("sound")
	b.want("after the key frame", "Key delta sound")
}

func TestMediaHeldUntilReady(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a", usual(1)), r.join("b", usual(1))
	b.p.ready = false
	for _, s := range b.tr.media.slots {
		s.audio.open, s.video.open, s.video.replay = false, false, true
	}
	a.video(ssrcCam, "", true, "Key")
	a.video(ssrcCam, "", false, "delta")
	a.audio("old")
	b.want("before ready", "")
	b.p.Ready()
	r.tick(tick)
	a.video(ssrcCam, "", false, "more")
	b.want("the picture starts at the stored key frame, sound does not", "Key delta more")
}

// Nobody may be asked for key frames for ever: not a muted camera, not one that
// sends nothing, and rarely one that sends but never answers.
func TestKeyFrameRequestsEnd(t *testing.T) {
	minutes := func(r *rig, from *peer, send func(n int)) (asked int) {
		for n := range 3 * 60 * 20 {
			send(n)
			r.tick(50 * time.Millisecond)
			_, control := from.received()
			asked += keyFrameRequests(control)
		}
		return asked
	}
	t.Run("muted", func(t *testing.T) {
		r := newRig(t)
		a := r.join("a", usual(1))
		a.video(ssrcCam, "", true, "Key")
		a.p.SetMuted(consult.SourceCamera, true)
		b := r.join("b", usual(1))
		if n := minutes(r, a, func(int) { a.video(ssrcCam, "", false, "black") }); n != 0 {
			t.Errorf("asked a muted camera %d times", n)
		}
		b.received()
		a.p.SetMuted(consult.SourceCamera, false)
		r.tick(tick)
		if _, control := a.received(); keyFrameRequests(control) != 1 {
			t.Error("did not ask when it was shown again")
		}
	})
	t.Run("silent", func(t *testing.T) {
		r := newRig(t)
		a := r.join("a", usual(1))
		a.video(ssrcCam, "", true, "Key")
		r.tick(5 * time.Second)
		r.join("b", usual(1))
		if n := minutes(r, a, func(int) {}); n == 0 || n > quietTries {
			t.Errorf("asked a silent source %d times", n)
		}
	})
	t.Run("deaf", func(t *testing.T) {
		r := newRig(t)
		a := r.join("a", usual(1))
		r.join("b", usual(1))
		if n := minutes(r, a, func(int) { a.video(ssrcCam, "", false, "delta") }); n < 10 || n > 35 {
			t.Errorf("asked %d times within three minutes", n)
		}
	})
	t.Run("nobody watches", func(t *testing.T) {
		r := newRig(t)
		a, b := r.join("a", usual(1)), r.join("b", usual(1))
		r.room.remove(b.p)
		if n := minutes(r, a, func(int) { a.video(ssrcCam, "", false, "delta") }); n != 0 {
			t.Errorf("asked %d times for nobody", n)
		}
	})
}

// Unmuting asks for a key frame without holding back what flows.
func TestUnmutingDoesNotFreeze(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a", usual(1)), r.join("b", usual(1))
	a.video(ssrcCam, "", true, "Key")
	a.p.SetMuted(consult.SourceCamera, true)
	a.video(ssrcCam, "", false, "black")
	r.tick(2 * time.Second)
	a.p.SetMuted(consult.SourceCamera, false)
	a.video(ssrcCam, "", false, "picture")
	b.want("unmuted", "Key black picture")
}

func TestLeavingEndsSubscriptions(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a", usual(1)), r.join("b", usual(1))
	a.video(ssrcCam, "", true, "Key")
	b.want("before", "Key")
	r.room.remove(b.p)
	for source, pub := range a.p.publications {
		if len(pub.subs) != 0 {
			t.Errorf("%s still has %d subscribers", source, len(pub.subs))
		}
	}
}

// A transport that has ended asks for nothing and gets nothing.
func TestDeadSubscriberCostsNothing(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a", usual(1)), r.join("b", usual(1))
	r.room.transportClosed(b.tr)
	a.video(ssrcCam, "", false, "delta")
	r.tick(tick)
	if _, control := a.received(); keyFrameRequests(control) != 0 {
		t.Error("a key frame was asked for a client that has gone")
	}
	r.room.tell()
	if n := len(b.told.states); n == 0 || b.told.states[n-1] != "failed" {
		t.Errorf("told %v", b.told.states)
	}
}

// The same line may go on under another SSRC; stragglers of the old one don't
// take it back.
func TestSSRCChange(t *testing.T) {
	r := newRig(t)
	o := usual(1)
	o.own[1].ssrcs = nil // told apart by mid
	a, b := r.join("a", o), r.join("b", usual(1))
	frame := func(ssrc uint32, key bool, text string) {
		t.Helper()
		a.seq[ssrc]++
		p := rtpPacket(ssrc, ptVP8, a.seq[ssrc], uint32(a.seq[ssrc])*3000, append([]byte{0x10}, vp8Frame(key, text)...))
		_ = p.SetExtension(idMid, []byte("camera"))
		a.send(p)
	}
	frame(7, true, "Key")
	frame(7, false, "delta")
	frame(8, false, "headless")
	frame(7, false, "straggler")
	frame(8, true, "New")
	frame(7, false, "straggler")
	frame(8, false, "more")
	b.want("after the change", "Key delta New more")
	if n := len(a.p.publications[consult.SourceCamera].layers); n != 1 {
		t.Errorf("%d layers", n)
	}
}

// Simulcast layers come when the publisher feels like it. Subscribers go up at
// the key frame of the better one and down when it stops.
func TestSimulcastLayersComeAndGo(t *testing.T) {
	r := newRig(t)
	o := usual(1)
	o.own[1].ssrcs, o.own[1].rids = nil, []string{"l", "m", "h"}
	a, b := r.join("a", o), r.join("b", usual(1))
	a.video(21, "l", true, "LowKey")
	a.video(21, "l", false, "low")
	b.want("one layer", "LowKey low")
	a.video(23, "h", false, "headless")
	r.tick(tick)
	_, control := a.received()
	if len(control) != 1 || control[0].(*rtcp.PictureLossIndication).MediaSSRC != 23 {
		t.Errorf("asked %v", control)
	}
	a.video(21, "l", false, "low")
	a.video(23, "h", true, "HighKey")
	a.video(21, "l", false, "low")
	a.video(23, "h", false, "high")
	b.want("both", "low HighKey high")
	r.now = r.now.Add(2 * time.Second)
	a.video(21, "l", false, "low")
	r.tick(tick)
	a.video(21, "l", true, "LowKey")
	media, _ := b.received()
	if got := texts(media); got != "LowKey" {
		t.Errorf("the high layer stopped: %q", got)
	}
	a.video(22, "m", true, "MiddleKey")
	a.video(21, "l", false, "low")
	b.want("a layer in between", "MiddleKey")
}

// A layer that only has unknown extensions is tried again at each packet.
func TestUnknownStreamsAreBounded(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a", usual(1)), r.join("b", usual(1))
	for ssrc := range uint32(2 * maxSSRCs) {
		a.send(rtpPacket(50_000+ssrc, ptVP8, 1, 1, []byte{0x10, 0x30, 0, 0}))
		a.rtcp(&rtcp.ReceiverReport{SSRC: 90_000 + ssrc})
	}
	if n := len(a.tr.media.ssrcs); n != maxSSRCs {
		t.Errorf("SRTP state for %d SSRCs", n)
	}
	if n := len(a.tr.media.streams); n > maxStreams {
		t.Errorf("%d streams", n)
	}
	a.p.room.mu.Lock()
	a.tr.media.ssrcs = map[uint32]*ownsrtp.Incoming{}
	a.p.room.mu.Unlock()
	a.audio("sound")
	b.want("others go on", "sound")
}

// A slot that goes back to a source it showed before has no gap in its numbers.
func TestNumbersGoOnAcrossSlots(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a", usual(1)), r.join("b", usual(1))
	a.audio("one")
	r.room.mu.Lock()
	slot := b.tr.media.slots[0]
	slot.audio.subscribeLocked(nil)
	r.room.mu.Unlock()
	for range 30 {
		a.audio("unheard")
	}
	r.room.mu.Lock()
	slot.audio.subscribeLocked(a.p.publications[consult.SourceMicrophone])
	r.room.mu.Unlock()
	a.audio("two")
	media, _ := b.received()
	if texts(media) != "one two" || media[1].SequenceNumber != media[0].SequenceNumber+1 {
		t.Errorf("got %v", media)
	}
}

// A payload that breaks its format is left out without a gap.
func TestBrokenPayloadLeavesNoGap(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a", usual(1)), r.join("b", usual(1))
	a.video(ssrcCam, "", true, "Key")
	a.seq[ssrcCam]++
	a.send(rtpPacket(ssrcCam, ptVP8, a.seq[ssrcCam], 6000, []byte{0x80})) // cut off
	a.seq[ssrcCam]++
	a.send(rtpPacket(ssrcCam, 55, a.seq[ssrcCam], 6000, []byte("what")))
	a.video(ssrcCam, "", false, "delta")
	media, _ := b.received()
	if texts(media) != "Key delta" || media[1].SequenceNumber != media[0].SequenceNumber+1 {
		t.Errorf("got %v", media)
	}
}

func TestExtensionsPassedOn(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a", usual(1)), r.join("b", usual(1))
	p := rtpPacket(ssrcMic, ptOpus, 1, 960, []byte("\xf8sound"))
	_ = p.SetExtension(idLevel, []byte{0x9e})
	_ = p.SetExtension(idMid, []byte("microphone"))
	a.send(p)
	media, _ := b.received()
	if len(media) != 1 || string(media[0].GetExtension(idLevel)) != "\x9e" || media[0].GetExtension(idMid) != nil {
		t.Fatalf("got %v", media)
	}
	if ids := media[0].GetExtensionIDs(); len(ids) != 1 {
		t.Errorf("extensions %v", ids)
	}
}

// Looking for the rest of a frame goes on where it pays and all but ends where
// it does not, and comes back when frames come in one piece again.
func TestLinger(t *testing.T) {
	looks := func(l *linger, bursts int, found bool) (n int) {
		for range bursts {
			if l.due() {
				n++
				l.result(found)
			}
		}
		return n
	}
	var l linger
	if n := looks(&l, 160, false); n > 10 {
		t.Errorf("%d looks in 160 bursts that never go on", n)
	}
	if n := looks(&l, 320, true); n < 200 {
		t.Errorf("%d looks in 320 bursts that always go on", n)
	}
	looks(&l, 200, false)
	if n := looks(&l, 160, false); n > 10 {
		t.Errorf("still %d looks in 160 bursts that no longer go on", n)
	}
}
