package sfu

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"

	"github.com/chatmed/chatmed/sfu/forward"
	"github.com/chatmed/chatmed/sfu/udpmux"
)

// receiveRTCPLocked decrypts a compound packet and acts on it. p is overwritten.
func (t *transport) receiveRTCPLocked(p []byte, now time.Time, out *udpmux.Batch) {
	m := &t.media
	if m.in == nil {
		return
	}
	ssrc := binary.BigEndian.Uint32(p[4:])
	if m.streams[ssrc] == nil && !m.mayDecrypt(ssrc) {
		return
	}
	plain, err := m.in.pion.DecryptRTCP(m.scratch[:0], p, nil)
	if err != nil {
		t.sfu.metrics.drop(dropDecrypt)
		return
	}
	m.scratch = plain
	m.trustLocked(ssrc)
	if !t.owner.currentLocked(t) {
		return
	}
	t.reactLocked(plain, now, out)
}

// reactLocked acts on a plain compound packet.
func (t *transport) reactLocked(plain []byte, now time.Time, out *udpmux.Batch) {
	m := &t.media
	if t.transportFeedbackLocked(plain, now) {
		return
	}
	packets, err := rtcp.Unmarshal(plain)
	if err != nil {
		return
	}
	for _, pkt := range packets {
		switch pkt := pkt.(type) {
		case *rtcp.SenderReport:
			t.senderReportLocked(pkt, now)
			t.receptionLocked(pkt.Reports, now)
		case *rtcp.ReceiverReport:
			t.receptionLocked(pkt.Reports, now)
		case *rtcp.TransportLayerNack:
			if s := m.senders[pkt.MediaSSRC]; s != nil {
				s.resendLocked(pkt.Nacks, now, out)
			}
		case *rtcp.PictureLossIndication:
			if s := m.senders[pkt.MediaSSRC]; s != nil {
				s.keyFrameAskedLocked(now, out)
			}
		case *rtcp.FullIntraRequest:
			for _, e := range pkt.FIR {
				if s := m.senders[e.SSRC]; s != nil {
					s.keyFrameAskedLocked(now, out)
				}
			}
		}
	}
}

// senderReportLocked takes the publisher's clock (RFC 3550 section 6.4.1).
func (t *transport) senderReportLocked(sr *rtcp.SenderReport, now time.Time) {
	s := t.media.streams[sr.SSRC]
	if s == nil || s.repair || s.gone() {
		return
	}
	s.layer.ring.SenderReport(sr.NTPTime, sr.RTPTime, now)
	s.layer.noteReportLocked(sr.NTPTime, sr.RTPTime, now)
	s.layer.src.Report = t.owner.clock.Report(sr.NTPTime, sr.RTPTime, now)
}

// receptionLocked takes the loss, and the round trip by LSR and DLSR, from reports
// about what we send (RFC 3550 section 6.4.1).
func (t *transport) receptionLocked(reports []rtcp.ReceptionReport, now time.Time) {
	for _, r := range reports {
		s := t.media.senders[r.SSRC]
		if s == nil {
			continue
		}
		t.receivedLocked(s, &r, now)
		if r.LastSenderReport == 0 {
			continue
		}
		mid := uint32(forward.NTPTime(now) >> 16)
		units := mid - r.LastSenderReport - r.Delay
		if units < 10<<16 { // a nonsense or negative result wraps far above 10 s
			rtt := time.Duration(units) * time.Second >> 16
			t.media.rtt.add(rtt)
			t.media.path.roundTrip(rtt)
		}
	}
}

// rttEstimate smooths round-trip samples as RFC 6298 does.
type rttEstimate struct{ smoothed time.Duration }

func (r *rttEstimate) add(d time.Duration) {
	if r.smoothed == 0 {
		r.smoothed = d
		return
	}
	r.smoothed += (d - r.smoothed) / 8
}

// value is the estimate, 0 while unknown.
func (r *rttEstimate) value() time.Duration { return r.smoothed }

// feedbackLocked reports arrival times of everything received
// (draft-holmer-rmcat-transport-wide-cc-extensions-01).
func (t *transport) feedbackLocked(out *udpmux.Batch) {
	if t.media.ext.twcc == 0 || t.media.twcc.PacketsHeld() == 0 {
		return
	}
	for _, p := range t.media.twcc.BuildFeedbackPacket() {
		t.writeRTCPLocked(out, p)
	}
}

// reportLocked sends a receiver report on every incoming stream and a sender
// report for every stream that flows out.
func (t *transport) reportLocked(now time.Time, out *udpmux.Batch) {
	m := &t.media
	var blocks []rtcp.ReceptionReport
	for ssrc, s := range m.streams {
		if s.repair || s.gone() {
			continue
		}
		if rep, ok := s.layer.ring.Report(ssrc, now); ok && len(blocks) < 31 {
			blocks = append(blocks, rep)
			s.layer.noteUpLocked(&rep, now)
		}
	}
	for _, l := range m.lines {
		if l.pub != nil && l.kind == "video" {
			l.pub.keepHistoryLocked()
		}
	}
	if len(blocks) > 0 {
		t.writeRTCPLocked(out, &rtcp.ReceiverReport{SSRC: m.rtcpSSRC, Reports: blocks})
	}
	for _, s := range m.slots {
		s.audio.reportLocked(now, out)
		s.video.reportLocked(now, out)
	}
}

// noteUpLocked keeps what we report of the layer.
func (l *layer) noteUpLocked(rep *rtcp.ReceptionReport, now time.Time) {
	clock := time.Duration(videoClock)
	if l.pub.kind == "audio" {
		clock = audioClock
	}
	l.up = reception{at: now, loss: float64(rep.FractionLost) / 256, jitter: time.Duration(rep.Jitter) * time.Second / clock}
}

// writeRTCPLocked encrypts and queues RTCP. Reduced-size packets are allowed
// (RFC 5506; the answer says rtcp-rsize).
func (t *transport) writeRTCPLocked(out *udpmux.Batch, p rtcp.Packet) {
	m := &t.media
	if m.out == nil || !m.dst.IsValid() {
		return
	}
	plain, err := p.Marshal()
	if err != nil {
		t.sfu.log.Error("rtcp marshal", "err", err)
		return
	}
	enc, err := m.out.pion.EncryptRTCP(nil, plain, nil)
	if err != nil {
		t.sfu.metrics.drop(dropEncrypt)
		return
	}
	_, _ = out.WriteTo(enc, m.dst) // drops are counted by the mux
}
