package forward

import (
	"math/bits"
	"time"

	"github.com/pion/rtcp"
)

// maxJump is how far a source's numbers may leap and still leave a visible gap,
// the limit of RFC 3550 A.1. Beyond it the source has started anew.
const maxJump = 3000

// RewriterConfig describes the outgoing stream.
type RewriterConfig struct {
	Codec     Codec
	ClockRate uint32 // Hz; default 48000 for audio, 90000 for video
	// FirstSequence and FirstTimestamp should be random (RFC 3550 section 5.1);
	// the sequence below 32768, so that an SRTP receiver which misses the first
	// packets counts rollovers right.
	FirstSequence  uint16
	FirstTimestamp uint32
	// History is how many recent packets Lookup knows, rounded up to a power of
	// two between 16 and 4096. Default 64 for audio, 512 for video.
	History int
}

// Verdict says what became of a packet. Only Send and SendEmpty fill the Header.
type Verdict uint8

// Verdicts of Forward and Skip.
const (
	// Send: send the packet under the Header.
	Send Verdict = iota
	// SendEmpty: send the Header alone (its Empty is set). The packet, or the rest
	// of its picture, was left out, but it came so late that its number had
	// already become a gap.
	SendEmpty
	// Skipped: left out as asked, and no gap remains.
	Skipped
	// NotCurrent: of another source than the current one.
	NotCurrent
	// TooLate: from before the switch or the pause, or older than the history.
	TooLate
	// Repeated: a packet has gone out in its place already.
	Repeated

	verdicts
)

var verdictNames = [verdicts]string{"send", "send_empty", "skipped", "not_current", "too_late", "repeated"}

// String returns the verdict's name, fit for a metric label.
func (v Verdict) String() string {
	if v < verdicts {
		return verdictNames[v]
	}
	return "unknown"
}

// Rewriter numbers packets of changing sources as one continuous outgoing
// stream. Lost packets keep their gap, so that the receiver sees the loss and
// asks again; packets left out on purpose leave none. Owned by the goroutine
// that forwards to the subscriber, not thread-safe.
type Rewriter struct {
	codec Codec
	clock uint32
	first RewriterConfig

	current SourceID
	next    SourceID // what pending waits for
	pending bool     // the next packet of next begins a new mapping
	started bool

	segs   segments
	highIn uint64 // of the current mapping, left out ones included
	tsOff  uint32
	tl0Off uint8
	report SenderReport // the current source's, as of its last packet

	inPic             uint16 // last picture id seen, when havePic
	skipPic           uint16 // picture whose id was taken out, when haveSkip
	havePic, haveSkip bool

	epoch   time.Time
	highOut uint64
	whole   bool // the last packet sent was the last of its frame
	lastTS  uint32
	lastAt  time.Time // arrival of the first packet with lastTS
	step    uint32    // audio: timestamp units between the last two packets
	lastPic uint16
	lastTL0 uint8
	hist    history

	packets, octets uint32
	counts          [verdicts]uint64
}

// NewRewriter returns a rewriter without a source: SwitchTo comes first.
func NewRewriter(cfg RewriterConfig) *Rewriter {
	if cfg.ClockRate == 0 {
		cfg.ClockRate = 90000
		if cfg.Codec.Audio() {
			cfg.ClockRate = 48000
		}
	}
	if cfg.History <= 0 {
		cfg.History = 512
		if cfg.Codec.Audio() {
			cfg.History = 64
		}
	}
	size := 1 << bits.Len(uint(min(max(cfg.History, 16), 4096)-1))
	return &Rewriter{codec: cfg.Codec, clock: cfg.ClockRate, first: cfg, hist: make(history, size)}
}

// SwitchTo makes the next packet that Forward gets of the source the first of a
// new mapping. Until then nothing passes. For video that packet must start a key
// frame, which a Selector sees to.
func (r *Rewriter) SwitchTo(id SourceID) { r.next, r.pending = id, true }

// Pause says that packets of the current source will be withheld without being
// passed to Skip. The next one that Forward gets follows without a gap, at its
// own time.
func (r *Rewriter) Pause() {
	if r.started && !r.pending {
		r.next, r.pending = r.current, true
	}
}

// Forward numbers a packet. now is its arrival; h is filled when the verdict is
// Send.
func (r *Rewriter) Forward(src *Source, p *Packet, now time.Time, h *Header) Verdict {
	return r.count(r.forward(src, p, now, h))
}

// Skip leaves a packet of the current source out. h is filled when the verdict is
// SendEmpty.
func (r *Rewriter) Skip(src *Source, p *Packet, now time.Time, h *Header) Verdict {
	return r.count(r.skip(src, p, now, h))
}

func (r *Rewriter) count(v Verdict) Verdict {
	r.counts[v]++
	return v
}

// Count returns how many packets met the verdict.
func (r *Rewriter) Count(v Verdict) uint64 {
	if v >= verdicts {
		return 0
	}
	return r.counts[v]
}

func (r *Rewriter) forward(src *Source, p *Packet, now time.Time, h *Header) Verdict {
	switch {
	case r.pending && src.ID == r.next:
		r.begin(src, p, now)
	case r.pending || !r.started || src.ID != r.current:
		return NotCurrent
	case p.ExtSeq > r.highIn+maxJump:
		r.begin(src, p, now)
	}
	r.report = src.Report
	if p.ExtSeq <= r.highIn {
		return r.late(p, now, h, false)
	}
	r.enterPicture(p)
	if p.ExtSeq == r.highIn+1 {
		r.pace(p)
	}
	r.highIn = p.ExtSeq
	r.emit(p, r.segs.newest(), now, h, false)
	return Send
}

func (r *Rewriter) skip(src *Source, p *Packet, now time.Time, h *Header) Verdict {
	if r.pending || !r.started || src.ID != r.current {
		return NotCurrent
	}
	if p.ExtSeq > r.highIn+maxJump {
		// Nothing of the new run has gone out: let its first packet begin.
		r.Pause()
		return Skipped
	}
	if p.ExtSeq <= r.highIn {
		return r.late(p, now, h, true)
	}
	r.highIn = p.ExtSeq
	seg := r.segs.skip(p.ExtSeq)
	if d := &p.Info.desc; d.picBits > 0 && (!r.havePic || d.pic != r.inPic) {
		// Receivers read a missing picture id as a lost frame, so it goes too.
		seg.take(d.pic)
		r.inPic, r.havePic = d.pic, true
		r.skipPic, r.haveSkip = d.pic, true
	}
	return Skipped
}

// late places a packet that others have overtaken.
func (r *Rewriter) late(p *Packet, now time.Time, h *Header, empty bool) Verdict {
	seg, next := r.segs.find(p.ExtSeq)
	if seg == nil {
		return TooLate
	}
	out := p.ExtSeq + seg.delta
	if out <= r.highOut && r.highOut-out >= uint64(len(r.hist)) {
		return TooLate
	}
	if r.hist.at(out).holds(out) {
		return Repeated
	}
	if d := &p.Info.desc; d.picBits > 0 && (seg.took(d.pic) || next != nil && next.took(d.pic)) {
		empty = true // the rest of its picture was left out and has no id any more
	}
	r.emit(p, seg, now, h, empty)
	if empty {
		return SendEmpty
	}
	return Send
}

// emit fills h, remembers it, and notes how far the stream has come.
func (r *Rewriter) emit(p *Packet, seg *segment, now time.Time, h *Header, empty bool) {
	out := p.ExtSeq + seg.delta
	ts := p.Timestamp + r.tsOff
	if out > r.highOut {
		r.highOut, r.whole = out, p.Marker
	}
	if int32(ts-r.lastTS) > 0 {
		r.lastTS, r.lastAt = ts, now
	}
	e := r.hist.at(out)
	*e = sent{in: p.ExtSeq, out: uint32(out), source: r.current, ts: ts, flags: sentUsed}
	r.packets++
	if empty {
		e.flags |= sentEmpty
	} else {
		e.patch = r.number(&p.Info.desc, seg)
		if p.Marker {
			e.flags |= sentMarker
		}
		r.octets += uint32(p.Size)
	}
	*h = e.header()
}

// number renders the picture id and TL0PICIDX and notes the newest.
func (r *Rewriter) number(d *descriptor, seg *segment) Patch {
	pic, tl0 := d.pic+seg.pic, d.tl0+r.tl0Off
	if d.picBits > 0 {
		mask := uint16(1)<<d.picBits - 1
		if ahead := (pic - r.lastPic) & mask; ahead > 0 && ahead <= mask>>1 {
			r.lastPic = pic & mask
		}
	}
	if d.tl0Off > 0 && int8(tl0-r.lastTL0) > 0 {
		r.lastTL0 = tl0
	}
	return makePatch(d, pic, tl0)
}

// pace notes the time between two consecutive audio packets.
func (r *Rewriter) pace(p *Packet) {
	if step := p.Timestamp + r.tsOff - r.lastTS; step > 0 && step <= r.clock/8 {
		r.step = step
	}
}

// enterPicture notes the picture of a packet sent in order. An id that was taken
// out because the picture's first packet was left out is given back.
func (r *Rewriter) enterPicture(p *Packet) {
	d := &p.Info.desc
	if d.picBits == 0 {
		return
	}
	if r.haveSkip && d.pic == r.skipPic {
		seg := r.segs.newest()
		r.segs.push(segment{start: p.ExtSeq, delta: seg.delta, pic: seg.pic + 1})
	}
	r.haveSkip = false
	r.inPic, r.havePic = d.pic, true
}

// begin starts the mapping of src at p, so that p follows the last packet sent.
func (r *Rewriter) begin(src *Source, p *Packet, now time.Time) {
	d := &p.Info.desc
	seg := segment{start: p.ExtSeq}
	if !r.started {
		r.started, r.epoch = true, now
		r.highOut = 1<<16 | uint64(r.first.FirstSequence) - 1
		r.tsOff = r.first.FirstTimestamp - p.Timestamp
		r.lastTS, r.lastAt = r.first.FirstTimestamp-1, now
		r.lastPic, r.lastTL0 = d.pic-1, d.tl0-1
	} else {
		r.tsOff = r.nextTimestamp(src, p, now) - p.Timestamp
		seg.pic = r.lastPic + 1 - d.pic
		r.tl0Off = r.lastTL0 + 1 - d.tl0
	}
	seg.delta = r.highOut + 1 - p.ExtSeq
	r.segs.reset(seg)
	r.highIn = p.ExtSeq - 1
	r.current, r.pending = src.ID, false
	r.havePic, r.haveSkip = false, false
}

// nextTimestamp returns the outgoing timestamp of a mapping's first packet, always
// later than what has been sent. A source that goes on keeps its offset. A new one
// gets, where both have sender reports, the timestamp of its capture time, which
// keeps the stream's relation to the NTP clock. Either is believed only while
// it agrees with the time passed since the last packet, which decides otherwise.
func (r *Rewriter) nextTimestamp(src *Source, p *Packet, now time.Time) uint32 {
	least := uint32(1)
	if r.codec.Audio() && r.step > 0 {
		least = r.step // audio packets must not overlap
	}
	wall := r.lastTS + max(least, spanTicks(max(now.Sub(r.lastAt), 0), r.clock))
	ts := wall
	switch {
	case src.ID == r.current:
		ts = p.Timestamp + r.tsOff
	case r.report.Valid && src.Report.Valid:
		captured := src.Report.ntpAt(p.Timestamp, r.clock)
		ts = r.report.rtpAt(captured, r.clock) + r.tsOff
	}
	if off := int32(ts - wall); off > int32(r.clock) || off < -int32(r.clock) {
		return wall // over a second apart: a restarted source or a wrong report
	}
	if int32(ts-r.lastTS-least) < 0 {
		return r.lastTS + least
	}
	return ts
}

// Lookup answers a NACK for an outgoing sequence number: which packet to fetch
// from which source's buffer, and the header it had. Repeat it under that header
// over RTX; never encrypt it again under the stream's own SSRC. ok is false when
// the number is unknown or was repeated less than spacing ago (about a round
// trip; 0 for no limit).
//
// Origin.Sent tells whether the header is filled.
func (r *Rewriter) Lookup(seq uint16, now time.Time, spacing time.Duration) (o Origin, h Header, ok bool) {
	if !r.started {
		return Origin{}, Header{}, false
	}
	out := r.highOut - uint64(uint16(r.highOut)-seq)
	if r.highOut-out >= uint64(len(r.hist)) {
		return Origin{}, Header{}, false
	}
	if e := r.hist.at(out); e.holds(out) {
		if !e.repeat(now.Sub(r.epoch), spacing) {
			return Origin{}, Header{}, false
		}
		return Origin{Source: e.source, ExtSeq: e.in, Sent: true}, e.header(), true
	}
	in, ok := r.segs.invert(out)
	return Origin{Source: r.current, ExtSeq: in}, Header{}, ok
}

// Recent returns the packet sent back places before the newest, to be repeated
// though nobody asked; ok is false when it is unknown or had no payload.
func (r *Rewriter) Recent(back int) (o Origin, h Header, ok bool) {
	if !r.started || back < 0 || back >= len(r.hist) {
		return Origin{}, Header{}, false
	}
	out := r.highOut - uint64(back)
	e := r.hist.at(out)
	if !e.holds(out) || e.flags&sentEmpty != 0 {
		return Origin{}, Header{}, false
	}
	return Origin{Source: e.source, ExtSeq: e.in, Sent: true}, e.header(), true
}

// Pad numbers a packet of padding alone, between two frames. ok is false within
// one and before the first.
func (r *Rewriter) Pad(h *Header) (ok bool) {
	if !r.started || !r.whole {
		return false
	}
	r.highOut++
	if !r.pending {
		if cur := r.segs.newest(); cur.start == r.highIn+1 {
			cur.delta++
		} else {
			r.segs.push(segment{start: r.highIn + 1, delta: cur.delta + 1, pic: cur.pic})
		}
	}
	e := r.hist.at(r.highOut)
	*e = sent{out: uint32(r.highOut), source: r.current, ts: r.lastTS, flags: sentUsed | sentEmpty}
	r.packets++
	*h = e.header()
	return true
}

// SenderReport returns the report to send at now, all but its SSRC. src is the
// current source. ok is false before it has had a report of its own. Send one
// soon after a switch, because it is what receivers keep lips in sync by.
func (r *Rewriter) SenderReport(src *Source, now time.Time) (sr rtcp.SenderReport, ok bool) {
	if !r.started || src.ID != r.current || !src.Report.Valid {
		return rtcp.SenderReport{}, false
	}
	ntp := NTPTime(now)
	return rtcp.SenderReport{
		NTPTime:     ntp,
		RTPTime:     src.Report.rtpAt(ntp, r.clock) + r.tsOff,
		PacketCount: r.packets,
		OctetCount:  r.octets,
	}, true
}

// Current returns the source of the current mapping; ok is false before any.
func (r *Rewriter) Current() (id SourceID, ok bool) { return r.current, r.started }
