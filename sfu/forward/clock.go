package forward

import "time"

// ntpEpoch is 1970 in seconds since 1900, where NTP counts from.
const ntpEpoch = 2208988800

// NTPTime returns t as an NTP timestamp (RFC 3550 section 4): seconds since 1900
// in the upper 32 bits, their fraction in the lower.
func NTPTime(t time.Time) uint64 {
	sec := uint64(t.Unix() + ntpEpoch)
	return sec<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

// SenderReport ties an RTP timestamp of a stream to a time on the server's clock.
type SenderReport struct {
	NTP   uint64 // server time, 32.32
	RTP   uint32 // of the incoming stream
	Valid bool
}

// rtpAt extrapolates the report to the NTP time ntp.
func (s SenderReport) rtpAt(ntp uint64, clock uint32) uint32 {
	return s.RTP + ntpTicks(int64(ntp-s.NTP), clock)
}

// ntpAt extrapolates the report to an RTP timestamp near its own.
func (s SenderReport) ntpAt(ts, clock uint32) uint64 {
	d := int64(int32(ts - s.RTP))
	sec, rest := d/int64(clock), d%int64(clock)
	return s.NTP + uint64(sec)<<32 + uint64((rest<<32)/int64(clock))
}

// ntpTicks converts a signed 32.32 span to the nearest timestamp unit, modulo 2^32.
func ntpTicks(span int64, clock uint32) uint32 {
	sec, frac := span>>32, span&(1<<32-1)
	return uint32(sec*int64(clock) + (frac*int64(clock)+1<<31)>>32)
}

// clockWindow is how long ClockMap remembers the fastest report, at least. Long
// enough to meet one that was not delayed, short enough to follow clock drift
// (50 ppm make 3 ms).
const clockWindow = 30 * time.Second

// ClockMap translates one participant's NTP clock to the server's. Subscribers
// then see one clock whoever's media a slot shows: receivers estimate the
// relation of RTP to NTP by regression over many reports, and a switch between
// two wall clocks would spoil lip sync for as long.
//
// All streams of a participant must share one ClockMap, because audio and video
// stay in sync only under the same translation. It is not thread-safe: owned by
// the goroutine that reads the participant's RTCP.
//
// The translation is the smallest arrival minus NTP time seen lately, that is the
// report that travelled fastest.
type ClockMap struct {
	base      uint64 // first offset seen; the others are relative to it
	best      int64  // smallest in the current window
	previous  int64  // smallest in the one before
	since     time.Time
	started   bool
	havePrior bool
}

// Report notes a sender report as it arrives and returns it on the server's clock.
func (c *ClockMap) Report(ntp uint64, rtp uint32, now time.Time) SenderReport {
	offset := NTPTime(now) - ntp
	if !c.started {
		c.started, c.base, c.since = true, offset, now
	}
	rel := int64(offset - c.base)
	if now.Sub(c.since) >= clockWindow {
		c.previous, c.havePrior = c.best, true
		c.best, c.since = rel, now
	}
	c.best = min(c.best, rel)
	least := c.best
	if c.havePrior {
		least = min(least, c.previous)
	}
	return SenderReport{NTP: ntp + c.base + uint64(least), RTP: rtp, Valid: true}
}

// spanTicks converts a span to timestamp units, modulo 2^32. Whole seconds are
// split off because nanoseconds times a rate overflow within days.
func spanTicks(d time.Duration, clock uint32) uint32 {
	sec, rest := int64(d/time.Second), int64(d%time.Second)
	return uint32(sec*int64(clock) + rest*int64(clock)/int64(time.Second))
}
