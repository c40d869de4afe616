package sfu

import (
	"time"

	"github.com/chatmed/chatmed/sfu/forward"
	"github.com/chatmed/chatmed/sfu/udpmux"
)

// lossAskAfter is how old the last key frame must be for a loss to be worth
// another one to a tap.
const lossAskAfter = time.Second

// taken is what an open tap takes of one publication: a subscriber that needs no
// rewriting. Guarded by room.mu.
type taken struct {
	tap      *Tap
	pub      *publication
	opened   uint64 // the opening it belongs to
	selector forward.Selector
	wantKey  bool
	layers   [forward.MaxLayers]takenLayer
}

// takenLayer is a layer of it.
type takenLayer struct {
	of *layer
	// floor: what came up to this number came before the tap was opened, and what
	// is missing below it was sent before. A repeat of it is not taken either.
	floor     uint64
	top       uint64 // the highest number taken
	running   bool
	passed    bool   // a first packet, for what it repeats
	start     uint64 // where the run began
	startTS   uint32
	abandoned uint64 // losses known when a key frame was last thought of
	reported  uint64 // NTP time of the last report told
}

// lastReport is a layer's newest sender report, as it came.
type lastReport struct {
	ntp uint64
	rtp uint32
	at  time.Time
}

var codecNames = [...]string{
	forward.CodecOpus: "opus", forward.CodecRED: "red", forward.CodecVP8: "vp8",
	forward.CodecVP9: "vp9", forward.CodecH264: "h264", forward.CodecAV1: "av1",
}

// tapLocked has t take the publication from the next packet on.
func (pub *publication) tapLocked(t *Tap) {
	for _, k := range pub.taps {
		if k.tap == t && k.opened == t.opened {
			return
		}
	}
	pub.untapLocked(t)
	k := &taken{tap: t, pub: pub, opened: t.opened}
	k.selector.Want(forward.MaxLayers-1, forward.AllTemporal)
	for i, l := range pub.layers {
		if l != nil && i < len(k.layers) {
			k.layers[i] = takenLayer{of: l, floor: l.ring.Highest()}
		}
	}
	pub.taps = append(pub.taps, k)
	pub.quietAsks = 0
	t.sink.Muted(pub.owner.id, pub.source, pub.muted, t.sfu.now())
}

func (pub *publication) untapLocked(t *Tap) {
	kept := pub.taps[:0]
	for _, k := range pub.taps {
		if k.tap != t {
			kept = append(kept, k)
		}
	}
	clear(pub.taps[len(kept):])
	pub.taps = kept
}

// setMutedLocked notes whether the source is muted.
func (pub *publication) setMutedLocked(muted bool) {
	if pub.muted == muted {
		return
	}
	pub.muted = muted
	for _, k := range pub.taps {
		if k.liveLocked() {
			k.tap.sink.Muted(pub.owner.id, pub.source, muted, k.tap.sfu.now())
		}
	}
}

// liveLocked is the one gate in front of the sink. A participant that was
// replaced and has not ended yet is not reached by Shut, but by this.
func (k *taken) liveLocked() bool { return k.tap.open && k.opened == k.tap.opened }

// takeLocked gives a packet, just stored, to the sink if it is to be taken.
func (k *taken) takeLocked(l *layer, live forward.Layers, pkt *packet, now time.Time, reset bool) {
	if !k.liveLocked() || l.index >= len(k.layers) || now.Before(k.tap.since) { // read before, and waited for the lock
		return
	}
	y := &k.layers[l.index]
	if y.of != l {
		*y = takenLayer{of: l}
	}
	if pkt.ExtSeq <= y.floor {
		return
	}
	if reset {
		y.running = false
	}
	if k.pub.kind != "video" {
		k.passLocked(y, pkt, now)
		return
	}
	switch k.selector.Decide(live, l.index, &pkt.Packet) {
	case forward.Ignore:
	case forward.Switch:
		for i := range k.layers {
			k.layers[i].running = false
		}
		top := y.top
		k.passLocked(y, pkt, now)
		k.catchUpLocked(y, max(top, pkt.ExtSeq), now)
	case forward.Forward, forward.Skip:
		if !y.running || pkt.ExtSeq > y.start {
			k.passLocked(y, pkt, now)
		}
	}
}

// catchUpLocked passes what follows the first packet of a key frame and has
// overtaken it.
func (k *taken) catchUpLocked(y *takenLayer, after uint64, now time.Time) {
	for ext := after + 1; ext <= y.of.ring.Highest(); ext++ {
		var pkt packet
		if raw, ok := y.of.ring.At(ext); ok && y.of.recallLocked(raw, ext, &pkt) {
			k.passLocked(y, &pkt, now)
		}
	}
}

// passLocked calls the sink. A run starts with a payload.
func (k *taken) passLocked(y *takenLayer, pkt *packet, now time.Time) {
	start := !y.running
	if start {
		if pkt.Size == 0 || y.repeatsLocked(pkt) {
			return
		}
		y.running, y.start, y.startTS = true, pkt.ExtSeq, pkt.Timestamp
	}
	y.top = max(y.top, pkt.ExtSeq)
	p := &k.tap.pkt
	*p = Packet{
		Stream: y.of.streamLocked(), At: now, ExtSeq: pkt.ExtSeq, Start: start, Timestamp: pkt.Timestamp,
		Marker: pkt.Marker, Orientation: -1,
	}
	if pkt.Size > 0 {
		p.KeyFrame = pkt.Info.KeyFrame && k.pub.kind == "video"
		p.Codec, p.Payload = codecNames[pkt.codec.codec], pkt.payload
		if len(pkt.orientation) == 1 {
			p.Orientation = int8(pkt.orientation[0] & 0x0f)
		}
		if pkt.codec.codec == forward.CodecRED {
			k.tap.trimLocked(p, y.startTS)
		}
	}
	if start {
		k.reportLocked(y)
	}
	k.tap.sink.Packet(p)
	p.Payload = nil
}

// repeatsLocked passes over the first sound after the opening if it carries a
// coarse copy of the sound before it, which came before the opening.
func (y *takenLayer) repeatsLocked(pkt *packet) bool {
	opus := pkt.payload
	if pkt.codec.codec == forward.CodecRED {
		opus, _, _ = forward.PrimaryRED(opus)
	} else if pkt.codec.codec != forward.CodecOpus {
		return false
	}
	if y.passed || !inBandFEC(opus) {
		return false
	}
	y.passed, y.floor = true, pkt.ExtSeq
	return true
}

// inBandFEC reports whether an Opus packet may carry the frame before it at a low
// rate (RFC 6716 section 4.2.4), from its first frame's first byte. CELT has none.
func inBandFEC(p []byte) bool {
	if len(p) < 2 || p[0]>>3 >= 16 {
		return false
	}
	if p[0]&3 > 1 {
		return true // the frame is further on: several to a packet, which browsers don't send
	}
	frames := 1 // of SILK, 20 ms each
	if config := p[0] >> 3; config < 12 {
		frames = max(1, int(config&3))
	}
	fec := p[1]>>(7-frames)&1 != 0
	if p[0]&4 != 0 { // stereo
		fec = fec || p[1]>>(6-2*frames)&1 != 0
	}
	return fec
}

// trimLocked leaves the primary block of a RED packet whose redundancy reaches
// back before the run: that is sound of a time that is not to be recorded.
func (t *Tap) trimLocked(p *Packet, startTS uint32) {
	since := int32(p.Timestamp - startTS)
	if since >= 1<<14 { // the furthest that a block reaches back
		return
	}
	blocks, ok := forward.ParseRED(t.red[:0], p.Payload)
	if !ok {
		return
	}
	for _, b := range blocks {
		if int32(b.TimestampOffset) > since {
			p.Codec, p.Payload = codecNames[forward.CodecOpus], blocks[len(blocks)-1].Data
			break
		}
	}
	clear(blocks)
}

// reportLocked tells the layer's newest sender report, once.
func (k *taken) reportLocked(y *takenLayer) {
	r := &y.of.lastReport
	if r.at.IsZero() || r.ntp == y.reported {
		return
	}
	y.reported = r.ntp
	k.tap.sink.Report(y.of.streamLocked(), r.at, r.ntp, r.rtp)
}

// noteReportLocked keeps a sender report and tells it.
func (l *layer) noteReportLocked(ntp uint64, rtp uint32, now time.Time) {
	l.lastReport = lastReport{ntp: ntp, rtp: rtp, at: now}
	for _, k := range l.pub.taps {
		if l.index < len(k.layers) && k.liveLocked() {
			if y := &k.layers[l.index]; y.of == l && y.running {
				k.reportLocked(y)
			}
		}
	}
}

// streamLocked describes the layer to sinks.
func (l *layer) streamLocked() *Stream {
	if l.stream == nil {
		l.stream = &Stream{ParticipantID: l.pub.owner.id, Source: l.pub.source, Kind: l.pub.kind, Layer: l.index, ClockRate: 90000}
		if l.pub.kind == "audio" {
			l.stream.ClockRate = 48000
		}
	}
	return l.stream
}

// wantLocked asks for the key frame that the tap waits for, and reports whether
// there is one to wait for.
func (k *taken) wantLocked(live forward.Layers, now time.Time, out *udpmux.Batch) bool {
	if !k.liveLocked() {
		return false
	}
	i, needed := k.selector.KeyFrameNeeded(live)
	if !needed {
		i = k.selector.Current()
	}
	if i < 0 || i >= len(k.pub.layers) || i >= len(k.layers) || k.pub.layers[i] == nil {
		return false
	}
	l := k.pub.layers[i]
	if !needed && !k.wantKey && !k.layers[i].spoiltLocked(now) {
		return false
	}
	k.wantKey = false
	l.askKeyFrameLocked(now, out)
	return true
}

// spoiltLocked reports whether a packet was lost for good since the last time,
// and a key frame was not seen for a while: the pictures in between can't be
// shown.
func (y *takenLayer) spoiltLocked(now time.Time) bool {
	if y.of == nil || !y.running {
		return false
	}
	lost := y.of.ring.Stats().Abandoned
	spoilt := lost > y.abandoned && now.Sub(y.of.keyAt) >= lossAskAfter
	y.abandoned = lost
	return spoilt
}
