package sfu

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"

	"github.com/chatmed/chatmed/sfu/congestion"
	"github.com/chatmed/chatmed/sfu/forward"
)

const (
	// opening is how long after the start a client is sent at least the least
	// pictures of what it is shown, although its link is not known yet.
	opening = 3 * time.Second
	// allocateEvery is how often the link is divided anew; at once on overuse, but
	// no more often than allocateApart.
	allocateEvery = 150 * time.Millisecond
	allocateApart = 50 * time.Millisecond
)

// mark is what a packet is to the estimate.
type mark struct {
	kind    congestion.Kind
	cluster uint8 // of a probe
	at      time.Time
}

// path is what is known of the way to one client, and how it is divided. Guarded
// by room.mu.
type path struct {
	// est is nil where the client numbers nothing (no transport-wide feedback
	// negotiated): then everything is sent that is shown.
	est      *congestion.Estimator
	next     uint16 // transport-wide number of the next packet
	feedback congestion.Feedback
	since    time.Time
	heard    bool // feedback has come

	allocator congestion.Allocator
	slots     []congestion.Slot                         // scratch
	layers    [][congestion.MaxSpatial]congestion.Layer // scratch, one for each slot
	estimate  congestion.Estimate                       // as of the last allocation
	cost      int                                       // of the plan, bit/s
	allocated time.Time
	urgent    bool      // overuse was seen since
	base      int       // the lowest target since the link last was another
	grownAt   time.Time // since when it carries much more
	wasSilent bool      // nothing was heard of the client at the last allocation
	least     least

	probe               probe
	sentBytes, gotBytes uint64 // payloads of UDP, of RTP
}

// openPathLocked starts the estimate, once SRTP is up.
func (t *transport) openPathLocked(now time.Time) {
	p := &t.media.path
	p.since = now
	if t.media.ext.twcc == 0 || t.media.ext.twcc > 14 {
		return
	}
	cfg := t.sfu.cfg.Estimate
	if t.media.dst.Addr().Is6() {
		cfg.Overhead = 48
	}
	p.est = congestion.New(cfg, now)
	if rtt := t.media.rtt.value(); rtt > 0 {
		p.est.RTT(rtt)
	}
	for _, s := range t.media.slots {
		if v := s.video; v != nil && v.selector.Wanted() > 0 {
			v.selector.Want(p.firstLayer(), forward.AllTemporal)
			v.selector.WantSpatial(p.firstLayer())
		}
	}
}

// firstLayer is what a picture begins with, until the link is divided: the
// smallest, where there is an estimate.
func (p *path) firstLayer() int {
	if p.est != nil {
		return 0
	}
	return forward.MaxLayers - 1
}

// sent notes a packet that was queued.
func (p *path) sent(size int, as mark) {
	p.sentBytes += uint64(size)
	if p.est == nil {
		return
	}
	p.est.Sent(congestion.Sent{Sequence: p.next, Size: size, Kind: as.kind, Cluster: as.cluster}, as.at)
	p.next++
}

func (p *path) roundTrip(d time.Duration) {
	if p.est != nil {
		p.est.RTT(d)
	}
}

// transportFeedbackLocked takes the transport-wide feedback out of a compound
// packet, and reports whether there was nothing else in it.
func (t *transport) transportFeedbackLocked(plain []byte, now time.Time) (alone bool) {
	alone = true
	for len(plain) >= 4 {
		size := 4 * (int(binary.BigEndian.Uint16(plain[2:])) + 1)
		if size > len(plain) {
			return false
		}
		if plain[0]&0x1f == rtcp.FormatTCC && rtcp.PacketType(plain[1]) == rtcp.TypeTransportSpecificFeedback {
			t.heardLocked(plain[:size], now)
		} else {
			alone = false
		}
		plain = plain[size:]
	}
	return alone
}

func (t *transport) heardLocked(raw []byte, now time.Time) {
	p := &t.media.path
	if p.est == nil || p.feedback.Parse(raw) != nil {
		return
	}
	p.est.Feedback(&p.feedback, now)
	p.heard = true
	e := p.est.Estimate()
	if e.Target < p.estimate.Target && (e.Overuse || e.Target < p.cost) && now.Sub(p.allocated) >= allocateApart {
		p.urgent = true
		t.sfu.metrics.overuses.Inc()
		t.room.wake()
	}
}

// receivedLocked takes what a client reports of a stream we send.
func (t *transport) receivedLocked(s *sender, r *rtcp.ReceptionReport, now time.Time) {
	if r.SSRC != s.ssrc {
		return // a repair stream's
	}
	clock := time.Duration(videoClock)
	if s.kind == "audio" {
		clock = audioClock
	}
	s.down = reception{at: now, loss: float64(r.FractionLost) / 256, jitter: time.Duration(r.Jitter) * time.Second / clock}
	if p := &t.media.path; p.est != nil {
		p.est.ReceiverReport(float64(r.FractionLost)/256, now)
	}
}
