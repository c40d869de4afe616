package sfu

import (
	"net"
	"strings"
	"testing"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"

	"github.com/chatmed/chatmed/internal/consult"
)

func isLoopback(ip net.IP) bool { return ip.IsLoopback() }

func contains(packets []*rtp.Packet, text string) bool {
	for _, p := range packets {
		if strings.Contains(string(p.Payload), text) {
			return true
		}
	}
	return false
}

// seesAndHears waits until c gets the other's video and audio in one slot.
func (c *client) seesAndHears(other string) {
	c.t.Helper()
	c.await("media of "+other, func() bool {
		s := c.slotOf(other)
		return s != nil && contains(c.got[s.VideoMid], other+"-video-") && contains(c.got[s.AudioMid], other+"-audio-")
	})
}

func TestTwoSeeAndHearEachOther(t *testing.T) {
	s := newTestSFU(t)
	a, b := newClient(t, s, "anna", 2), newClient(t, s, "bert", 2)
	a.join("r")
	b.join("r")
	a.publish()
	b.publish()
	a.part.Ready()
	b.part.Ready()
	a.seesAndHears("bert")
	b.seesAndHears("anna")

	a.mu.Lock()
	defer a.mu.Unlock()
	var last *rtp.Packet
	for _, p := range a.got[a.slotOf("bert").VideoMid] {
		if last != nil && p.SequenceNumber != last.SequenceNumber+1 {
			t.Errorf("sequence %d after %d", p.SequenceNumber, last.SequenceNumber)
		}
		last = p
	}
}

func TestNothingBeforeReady(t *testing.T) {
	s := newTestSFU(t)
	a, b := newClient(t, s, "anna", 1), newClient(t, s, "bert", 1)
	a.join("r")
	b.join("r")
	a.publish()
	b.publish()
	a.part.Ready()
	a.seesAndHears("bert")
	b.mu.Lock()
	n := len(b.got)
	b.mu.Unlock()
	if n != 0 {
		t.Fatalf("bert got media on %d lines before ready", n)
	}
	b.part.Ready()
	b.seesAndHears("anna")
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.got[b.slotOf("anna").VideoMid][0]
	if first.Payload[len(first.Payload)-1] == 0 || !isVP8KeyFrame(first.Payload) {
		t.Error("the first video packet is not a key frame's")
	}
}

// isVP8KeyFrame looks behind Pion's VP8 descriptor at the frame tag.
func isVP8KeyFrame(b []byte) bool { return strings.Contains(string(b), "\x9d\x01\x2a") }

func TestLeavingFreesTheSlot(t *testing.T) {
	s := newTestSFU(t)
	a, b := newClient(t, s, "anna", 1), newClient(t, s, "bert", 1)
	a.join("r")
	b.join("r")
	a.await("bert's slot", func() bool { return a.slotOf("bert") != nil })
	b.part.Close()
	a.await("a free slot", func() bool { return a.slotOf("bert") == nil })
	c := newClient(t, s, "carl", 1)
	c.join("r")
	c.publish()
	a.part.Ready()
	a.seesAndHears("carl")
}

func TestMoreSlotsByANewOffer(t *testing.T) {
	s := newTestSFU(t)
	a, b, c := newClient(t, s, "anna", 1), newClient(t, s, "bert", 1), newClient(t, s, "carl", 1)
	for _, x := range []*client{a, b, c} {
		x.join("r")
		x.publish()
		x.part.Ready()
	}
	a.seesAndHears("bert")
	a.mu.Lock()
	if a.slotOf("carl") != nil {
		t.Error("two people in one slot")
	}
	a.mu.Unlock()
	a.addSlot()
	sdp, intents := a.offer()
	ans, err := a.part.Offer(t.Context(), sdp, intents, false)
	a.must(err)
	a.apply(ans)
	a.part.Ready()
	a.seesAndHears("carl")
	a.seesAndHears("bert")
}

func TestReplacementTakesOver(t *testing.T) {
	s := newTestSFU(t)
	a, b := newClient(t, s, "anna", 1), newClient(t, s, "bert", 1)
	for _, x := range []*client{a, b} {
		x.join("r")
		x.publish()
		x.part.Ready()
	}
	a.seesAndHears("bert")
	b.seesAndHears("anna")

	again := newClient(t, s, "anna", 1)
	sdp, intents := again.offer()
	ans, err := a.part.Offer(t.Context(), sdp, intents, true)
	a.must(err)
	again.apply(ans)
	again.publish()
	again.seesAndHears("bert")
	b.mu.Lock()
	clear(b.got)
	b.mu.Unlock()
	b.seesAndHears("anna")
	a.await("the old connection's end", func() bool { return a.pc.ConnectionState().String() != "connected" })
}

func TestGrantsDecideWhatIsPublished(t *testing.T) {
	s := newTestSFU(t)
	a := newClient(t, s, "anna", 1)
	sdp, intents := a.offer()
	p, ans, err := s.Join(t.Context(), JoinRequest{
		RoomID: "r", ParticipantID: "anna", Grants: consult.DefaultGrants(consult.Observer),
		OfferSDP: sdp, Intents: intents, Observer: a,
	})
	a.must(err)
	t.Cleanup(p.Close)
	if strings.Contains(ans.SDP, "a=recvonly") {
		t.Error("an observer's tracks were accepted")
	}
	b := newClient(t, s, "bert", 1)
	if ans := b.join("r"); ans.Slots[0].ParticipantID != "" {
		t.Errorf("an observer fills a slot: %+v", ans.Slots)
	}
}

func TestBadOffers(t *testing.T) {
	s := newTestSFU(t)
	for _, sdp := range []string{"", "v=0", "nonsense", strings.Repeat("a", 300<<10)} {
		_, _, err := s.Join(t.Context(), JoinRequest{RoomID: "r", ParticipantID: "x", OfferSDP: sdp, Observer: &client{}})
		if !consult.HasCode(err, consult.BadRequest) {
			t.Errorf("offer of %d bytes: %v", len(sdp), err)
		}
	}
	if len(s.rooms) != 0 {
		t.Error("a refused offer left a room")
	}
}

// Clients choose the SRTP profile; all three work, also between each other.
func TestSRTPProfiles(t *testing.T) {
	for name, cfg := range map[string]Config{"own": {}, "Pion's": {PionSRTP: true}} {
		t.Run(name, func(t *testing.T) { srtpProfilesMeet(t, cfg) })
	}
}

func srtpProfilesMeet(t *testing.T, cfg Config) {
	s, _ := newTestSFUWith(t, cfg)
	if s.ownSRTP == cfg.PionSRTP {
		t.Fatalf("own SRTP in use: %t", s.ownSRTP)
	}
	a := newClient(t, s, "anna", 2, withSRTP(dtls.SRTP_AES128_CM_HMAC_SHA1_80))
	b := newClient(t, s, "bert", 2, withSRTP(dtls.SRTP_AEAD_AES_256_GCM))
	c := newClient(t, s, "carl", 2, withSRTP(dtls.SRTP_AEAD_AES_128_GCM))
	all := []*client{a, b, c}
	for _, x := range all {
		x.join("r")
		x.publish()
		x.part.Ready()
	}
	for _, x := range all {
		for _, y := range all {
			if x != y {
				x.seesAndHears(y.name)
			}
		}
	}
}

// Who does not hold the key of the offer's fingerprint gets no media.
func TestWrongCertificate(t *testing.T) {
	s := newTestSFU(t)
	a := newClient(t, s, "anna", 1)
	sdp, intents := a.offer()
	at := strings.Index(sdp, "a=fingerprint:sha-256 ") + len("a=fingerprint:sha-256 ")
	digit := "0"
	if sdp[at] == '0' {
		digit = "1"
	}
	sdp = strings.ReplaceAll(sdp, sdp[at:at+95], digit+sdp[at+1:at+95])
	p, ans, err := s.Join(t.Context(), JoinRequest{
		RoomID: "r", ParticipantID: "anna", Grants: consult.DefaultGrants(consult.Doctor),
		OfferSDP: sdp, Intents: intents, Observer: a,
	})
	a.must(err)
	t.Cleanup(p.Close)
	a.apply(ans)
	a.await("the end", func() bool { return len(a.states) > 0 })
	if a.states[0] != "failed" {
		t.Errorf("states %v", a.states)
	}
}
