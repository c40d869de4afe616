package sfu

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// ProofRoom is a rig for tests of another package: recording's proof drives the
// real receive path with it and hangs a real recorder to it.
type ProofRoom struct{ r *rig }

// NewProofRoom has its own SFU; its clients share a socket nobody reads.
func NewProofRoom(t testing.TB) *ProofRoom {
	r := newRig(t)
	r.sink = r.listen()
	return &ProofRoom{r}
}

// Clear begins with an empty room at the given time.
func (p *ProofRoom) Clear(now time.Time) {
	p.r.clear()
	p.r.now = now
}

// Tick lets time pass and does what the room's worker does.
func (p *ProofRoom) Tick(d time.Duration) { p.r.tick(d) }

// Tap is SFU.Tap for this room.
func (p *ProofRoom) Tap(s Sink) *Tap { return p.r.tap(s) }

// Expect is a fault: taps take id for one they are open for.
func (p *ProofRoom) Expect(id string) {
	for _, t := range p.r.room.taps {
		if t.open {
			t.wanted[id] = true
		}
	}
}

// ForgetFloors is a fault: taps forget what came before they were opened.
func (p *ProofRoom) ForgetFloors() {
	for _, q := range p.r.room.participants {
		for _, pub := range q.publications {
			for _, k := range pub.taps {
				for i := range k.layers {
					k.layers[i].floor = 0
				}
			}
		}
	}
}

// ProofPeer is a participant of a ProofRoom.
type ProofPeer struct{ v *peer }

// Join lets a participant in, with a camera of one layer or of two.
func (p *ProofRoom) Join(id string, simulcast bool) *ProofPeer {
	o := usual(2)
	if simulcast {
		o.own[1].ssrcs, o.own[1].rids = nil, []string{"l", "h"}
	}
	return &ProofPeer{p.r.join(id, o)}
}

// Leave takes the participant out.
func (q *ProofPeer) Leave() {
	q.v.r.room.remove(q.v.p)
	q.v.r.room.transportClosed(q.v.tr)
}

// Mute mutes or unmutes a source.
func (q *ProofPeer) Mute(source string, muted bool) { q.v.p.SetMuted(source, muted) }

// Audio brings in an Opus packet, or with old its RED with the one before.
func (q *ProofPeer) Audio(seq uint16, ts uint32, payload, old []byte) {
	if old == nil {
		q.v.send(rtpPacket(ssrcMic, ptOpus, seq, ts, payload))
		return
	}
	q.v.send(rtpPacket(ssrcMic, ptRED, seq, ts, red(960, string(old), string(payload))))
}

// Video brings in a packet of a frame: of the only layer (-1), or of one of two.
// again brings it as a retransmission over RTX, as far as the layer has one.
func (q *ProofPeer) Video(layer int, seq uint16, ts uint32, first, last, key bool, text []byte, again bool) {
	payload := append([]byte{0}, text...)
	if first {
		payload = append([]byte{0x10}, vp8Frame(key, string(text))...)
	}
	ssrc := uint32(ssrcCam)
	if layer >= 0 {
		ssrc = uint32(21 + layer)
	}
	p := rtpPacket(ssrc, ptVP8, seq, ts, payload)
	p.Marker = last
	if layer >= 0 {
		_ = p.SetExtension(idMid, []byte("camera"))
		_ = p.SetExtension(idRID, []byte{"lh"[layer]})
	} else if again {
		q.v.seq[ssrcCamRTX]++
		rtx := &rtp.Packet{Header: p.Header, Payload: append(binary.BigEndian.AppendUint16(nil, seq), payload...)}
		rtx.SSRC, rtx.PayloadType, rtx.SequenceNumber = ssrcCamRTX, ptRTX, q.v.seq[ssrcCamRTX]
		p = rtx
	}
	q.v.send(p)
}

// Report brings in a sender report of the microphone.
func (q *ProofPeer) Report(ntp uint64, ts uint32) {
	q.v.rtcp(&rtcp.SenderReport{SSRC: ssrcMic, NTPTime: ntp, RTPTime: ts})
}

// Forwarded is how many packets have gone out.
func (p *ProofRoom) Forwarded() int { return int(p.r.counter("packets_forwarded_total")) }
