package buffer

import (
	"time"

	"github.com/pion/rtcp"
)

// Stats counts since the ring was made.
type Stats struct {
	Packets   uint64 // stored
	Bytes     uint64 // of stored packets, headers included
	Duplicate uint64
	TooOld    uint64
	Invalid   uint64
	Resets    uint64 // new runs after a jump
	Nacked    uint64 // requests, repeats included
	Recovered uint64 // arrived after a request
	Abandoned uint64 // missing and no longer asked for
}

// Stats returns a copy of the counters.
func (r *Ring) Stats() Stats { return r.stats }

// reportState is what a reception report needs (RFC 3550 appendix A).
type reportState struct {
	base     uint64 // first extended sequence number of the run
	received uint64

	expectedPrior, receivedPrior uint64

	transit     uint32 // of the last packet, timestamp units
	haveTransit bool
	jitter      uint32 // scaled by 16, timestamp units

	srNTP  uint64
	srRTP  uint32
	srAt   time.Duration
	haveSR bool
}

// begin starts a new run; the last sender report stays known.
func (s *reportState) begin(ext uint64) {
	s.base, s.received = ext, 0
	s.expectedPrior, s.receivedPrior = 0, 0
	s.haveTransit = false
}

// receive counts a packet and updates the interarrival jitter (A.8, in the
// integer form that keeps four fractional bits).
func (s *reportState) receive(at time.Duration, ts, clock uint32) {
	s.received++
	transit := ticks(at, clock) - ts
	if s.haveTransit {
		d := int32(transit - s.transit)
		if d < 0 {
			d = -d
		}
		s.jitter += uint32(d) - (s.jitter+8)>>4
	}
	s.transit, s.haveTransit = transit, true
}

// SenderReport notes a sender report of this stream: the NTP time (RFC 3550
// format, 32.32) and the RTP timestamp it stands for.
func (r *Ring) SenderReport(ntp uint64, rtp uint32, now time.Time) {
	if !r.started {
		// Reports before the first packet carry no timing of use to anyone.
		return
	}
	r.report.srNTP, r.report.srRTP = ntp, rtp
	r.report.srAt, r.report.haveSR = now.Sub(r.epoch), true
}

// Report fills a reception report and starts the next interval: fraction lost is
// since the last call, jitter is in timestamp units. ok is false before the
// first packet.
func (r *Ring) Report(ssrc uint32, now time.Time) (rep rtcp.ReceptionReport, ok bool) {
	if !r.started {
		return rtcp.ReceptionReport{}, false
	}
	s := &r.report
	expected := r.highest - s.base + 1
	lost := int64(expected) - int64(s.received)
	inExpected := int64(expected - s.expectedPrior)
	inLost := inExpected - int64(s.received-s.receivedPrior)
	s.expectedPrior, s.receivedPrior = expected, s.received

	rep = rtcp.ReceptionReport{
		SSRC:               ssrc,
		TotalLost:          uint32(min(max(lost, 0), 1<<23-1)),
		LastSequenceNumber: uint32(r.highest),
		Jitter:             s.jitter >> 4,
	}
	if inExpected > 0 && inLost > 0 {
		rep.FractionLost = uint8(min(inLost<<8/inExpected, 255))
	}
	if s.haveSR {
		rep.LastSenderReport = uint32(s.srNTP >> 16)
		// A report that is over 18 hours old does not fit the field.
		delay := now.Sub(r.epoch) - s.srAt
		rep.Delay = uint32(min(ticks64(max(delay, 0), 1<<16), 1<<32-1))
	}
	return rep, true
}

// LastSenderReport returns what SenderReport noted last.
func (r *Ring) LastSenderReport() (ntp uint64, rtp uint32, ok bool) {
	return r.report.srNTP, r.report.srRTP, r.report.haveSR
}

// ticks converts to units of 1/rate s, modulo 2^32.
func ticks(d time.Duration, rate uint32) uint32 { return uint32(ticks64(d, int64(rate))) }

// ticks64 splits off whole seconds, because nanoseconds times a rate overflow
// within days.
func ticks64(d time.Duration, rate int64) int64 {
	sec, rest := int64(d/time.Second), int64(d%time.Second)
	return sec*rate + rest*rate/int64(time.Second)
}
