package sfu

import (
	"testing"

	"github.com/chatmed/chatmed/internal/consult"
)

// An m-line may carry another source after a new offer, under the same SSRC.
func TestMidForAnotherSource(t *testing.T) {
	r := newRig(t)
	o := usual(1)
	a, b := r.join("a", o), r.join("b", usual(2))
	a.video(ssrcCam, "", true, "Camera")
	b.want("camera", "Camera")
	o.own[1].source, o.own[1].mid = consult.SourceScreen, "camera"
	a.apply(o)
	r.room.mu.Lock()
	r.room.mapSlotsLocked()
	r.room.mu.Unlock()
	if a.p.publications[consult.SourceCamera] != nil {
		t.Error("the camera is still published")
	}
	r.tick(0)
	a.video(ssrcCam, "", false, "nothing")
	a.video(ssrcCam, "", true, "Screen")
	b.want("screen", "Screen")
}

// What an offer has no more is gone; what it brings back works again.
func TestLinesComeAndGo(t *testing.T) {
	r := newRig(t)
	o := usual(2)
	a, b, c := r.join("a", o), r.join("b", usual(2)), r.join("c", usual(2))
	a.video(ssrcCam, "", true, "Key")
	b.want("before", "Key")

	o.own[1].dropped = true
	o.slots = 1
	lines := a.apply(o)
	if _, ok := lines["camera"]; ok {
		t.Error("an inactive line is accepted")
	}
	if _, ok := lines["v1"]; ok || lines["v0"].SSRC == 0 {
		t.Errorf("lines %v", lines)
	}
	r.room.mu.Lock()
	r.room.mapSlotsLocked()
	r.room.mu.Unlock()
	a.video(ssrcCam, "", true, "Key")
	b.want("inactive", "")
	if s := a.p.Slots(); s[1].ParticipantID != "" || s[0].ParticipantID == "" {
		t.Errorf("slots %+v", s)
	}
	if n := len(a.tr.media.senders); n != 3 { // audio, video and its RTX
		t.Errorf("%d outgoing SSRCs", n)
	}

	o.own[1].dropped, o.slots = false, 2
	a.apply(o)
	r.room.mu.Lock()
	r.room.mapSlotsLocked()
	r.room.mu.Unlock()
	a.p.Ready()
	r.tick(tick)
	a.video(ssrcCam, "", true, "Again")
	b.want("back", "Again")
	c.received()
	c.video(ssrcCam, "", true, "Carl")
	a.want("the slot that came back", "Carl")
}

func TestRefusedOfferChangesNothing(t *testing.T) {
	r := newRig(t)
	o := usual(1)
	a, b := r.join("a", o), r.join("b", usual(1))
	a.video(ssrcCam, "", true, "Key")
	b.want("before", "Key")
	for name, intents := range map[string][]Intent{
		"source twice": {{Mid: "camera", Source: consult.SourceCamera}, {Mid: "microphone", Source: consult.SourceCamera}},
		"mid twice":    {{Mid: "camera", Source: consult.SourceCamera}, {Mid: "camera", Source: consult.SourceScreen}},
	} {
		sdp, _ := o.sdp()
		if _, err := a.p.Offer(t.Context(), sdp, intents, false); !consult.HasCode(err, consult.BadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	many, _ := usual(20).sdp()
	if _, err := a.p.Offer(t.Context(), many+many, nil, false); !consult.HasCode(err, consult.BadRequest) {
		t.Errorf("every mid twice: %v", err)
	}
	a.video(ssrcCam, "", false, "delta")
	b.want("after", "delta")
}

// A muted screen gives its slot back, and gets one again.
func TestMutedScreen(t *testing.T) {
	r := newRig(t)
	o := usual(1)
	o.own = append(o.own, ownSpec{source: consult.SourceScreen, ssrcs: []uint32{3001, 3002}, muted: true})
	a, b := r.join("a", o), r.join("b", usual(1))
	showing := func() string { return b.p.Slots()[0].Source }
	if showing() != consult.SourceCamera {
		t.Errorf("muted: the slot shows %q", showing())
	}
	a.p.SetMuted(consult.SourceScreen, false)
	r.tick(0)
	if showing() != consult.SourceScreen {
		t.Errorf("shared: the slot shows %q", showing())
	}
	a.video(3001, "", true, "Screen")
	b.want("shared", "Screen")
	a.p.SetMuted(consult.SourceScreen, true)
	r.tick(0)
	a.video(3001, "", true, "Hidden")
	a.video(ssrcCam, "", true, "Camera")
	b.want("muted again", "Camera")
}

// A slot that comes to show another source starts from a key frame that is
// there already, without a request.
func TestSlotStartsFromStoredKeyFrame(t *testing.T) {
	r := newRig(t)
	o := usual(1)
	o.own = append(o.own, ownSpec{source: consult.SourceScreen, ssrcs: []uint32{3001, 3002}})
	a, b := r.join("a", o), r.join("b", usual(1))
	a.video(3001, "", true, "Screen")
	a.video(ssrcCam, "", true, "Camera")
	a.video(ssrcCam, "", false, "delta")
	b.want("screen", "Screen")
	a.received()
	a.p.SetMuted(consult.SourceScreen, true)
	r.tick(tick)
	a.video(ssrcCam, "", false, "more")
	b.want("camera", "Camera delta more")
	if _, control := a.received(); keyFrameRequests(control) != 0 {
		t.Errorf("asked %d times", keyFrameRequests(control))
	}
}

// A mapping that changed while the answer was on its way is told once more,
// because its notice may have come before the answer.
func TestReadyTellsWhatChanged(t *testing.T) {
	r := newRig(t)
	a := r.join("a", usual(1))
	if len(a.told.slots) != 0 {
		t.Errorf("told %v, which the answer said", a.told.slots)
	}
	a.p.ready = false
	r.join("b", usual(1))
	told := len(a.told.slots)
	a.p.Ready()
	r.tick(0)
	if n := len(a.told.slots); n != told+1 || a.told.slots[n-1][0].ParticipantID != "b" {
		t.Errorf("told %v", a.told.slots)
	}
}
