package sfu

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/pion/rtcp"

	"github.com/chatmed/chatmed/sfu/forward"
	"github.com/chatmed/chatmed/sfu/srtp"
	"github.com/chatmed/chatmed/sfu/udpmux"
)

// packet is one decrypted packet on its way to all subscribers. It points into
// the datagram it came in, or into its ring.
type packet struct {
	forward.Packet
	codec   codecID
	payload []byte
	// header extensions passed on, nil when absent
	orientation, audioLevel []byte
}

// receiveRTPLocked decrypts a packet, stores it, and forwards it to every
// subscriber. p is overwritten.
func (t *transport) receiveRTPLocked(p []byte, now time.Time, b *burst) {
	m := &t.media
	if m.in == nil {
		t.sfu.metrics.drop(dropNoKeys)
		return
	}
	ssrc := binary.BigEndian.Uint32(p[8:])
	s := m.streams[ssrc]
	if s == nil && !m.mayDecrypt(ssrc) {
		t.sfu.metrics.drop(dropUnknownStream)
		return
	}
	var state *srtp.Incoming
	if s != nil {
		state = s.srtp
	} else {
		state = m.stateLocked(ssrc)
	}
	plain, err := m.in.openRTP(state, p, &m.header)
	if err != nil {
		t.sfu.metrics.drop(dropDecrypt)
		return
	}
	if s == nil {
		m.trustLocked(ssrc)
	}
	if !t.owner.currentLocked(t) {
		t.sfu.metrics.drop(dropUnknownStream)
		return
	}
	t.acceptLocked(s, plain, now, b)
}

// acceptLocked takes a plain packet, whose header is in t.media.header, of a
// stream that is known already or nil.
func (t *transport) acceptLocked(s *stream, plain []byte, now time.Time, b *burst) {
	m := &t.media
	if m.ext.twcc != 0 {
		if x := extension(&m.header, m.ext.twcc); len(x) >= 2 {
			m.twcc.Record(m.header.SSRC, binary.BigEndian.Uint16(x), now.UnixMicro())
		}
	}
	if s != nil && s.gone() {
		delete(m.streams, m.header.SSRC)
		s = nil
	}
	if s == nil {
		if s = t.newStreamLocked(); s == nil {
			t.sfu.metrics.drop(dropUnknownStream)
			return
		}
	}
	t.sfu.metrics.packetsIn.Inc()
	m.path.gotBytes += uint64(len(plain))
	t.owner.feedbackLocked(now, b.Batch)
	if s.repair {
		t.restoreLocked(s.layer, plain, now, b)
		return
	}
	t.forwardLocked(s.layer, plain, now, b, false)
}

// restoreLocked turns an RTX packet into the one it repeats (RFC 4588 section
// 4): the original sequence number stands in the first two payload bytes.
func (t *transport) restoreLocked(l *layer, plain []byte, now time.Time, b *burst) {
	m := &t.media
	head := headerSize(plain)
	end := len(plain) - paddingSize(plain)
	info := m.codecs[m.header.PayloadType]
	if !info.known || !info.codec.rtx || head == 0 || end-head < 2 {
		return // padding used to probe, or nonsense
	}
	copy(plain[2:4], plain[head:head+2])
	binary.BigEndian.PutUint32(plain[8:12], l.ssrc)
	plain[1] = plain[1]&0x80 | info.apt
	plain[0] &^= 0x20 // padding is left behind
	n := copy(plain[head:], plain[head+2:end])
	plain = plain[:head+n]
	if _, err := m.header.Unmarshal(plain); err != nil {
		return
	}
	t.forwardLocked(l, plain, now, b, true)
}

// forwardLocked stores a packet of a layer and gives it to the subscribers.
func (t *transport) forwardLocked(l *layer, plain []byte, now time.Time, b *burst, restored bool) {
	insert := l.ring.Insert
	if restored {
		insert = l.ring.InsertRecovered
	}
	res := insert(plain, now)
	if !res.Stored {
		t.sfu.metrics.drop(dropNotNew)
		return
	}
	// From here on the ring's copy counts: plain is overwritten by the next read.
	if len(l.pub.subs) > 1 {
		if kept, ok := l.ring.At(res.ExtSeq); ok {
			plain = kept
		}
		if _, err := t.media.header.Unmarshal(plain); err != nil {
			return // it was parsed before
		}
	}
	var pkt packet
	if !t.describeLocked(&pkt, plain) {
		t.sfu.metrics.drop(dropPayload) // subscribers leave it out like padding
	}
	pkt.ExtSeq = res.ExtSeq
	if pkt.Info.KeyFrame && l.pub.kind == "video" {
		l.throttle.Arrived()
		l.asks, l.throttle.Interval = 0, askInterval
		l.ring.KeyFrame(res.ExtSeq)
		l.noteKeyFrame(&pkt, now)
	}
	if l.pub.kind == "video" {
		b.partial = !pkt.Marker
	}
	l.measureLocked(&pkt, len(plain))
	live := l.pub.activity.Seen(l.index, now)
	l.pub.quietAsks, l.pub.lastIn = 0, now
	l.pub.fanOutLocked(l, live, &pkt, now, b)
	for _, k := range l.pub.taps {
		k.takeLocked(l, live, &pkt, now, res.Reset)
	}
	if l.pub.repairedLocked() && l.ring.Missing() > 0 {
		l.nackLocked(t, now, b.Batch)
	}
}

// measureLocked counts a packet into what the layer costs.
func (l *layer) measureLocked(pkt *packet, size int) {
	if l.pub.kind != "video" {
		if pkt.Size > 0 {
			l.voice.add(pkt, size)
			l.pub.loudness.heard(pkt.audioLevel)
		}
		return
	}
	l.meter.add(&pkt.Info, size)
	starts := pkt.Info.KeyFrame && pkt.Size > 0
	l.meter.key(pkt.Timestamp, starts, size)
	if !starts {
		return
	}
	if sizes, n := forward.FrameSizes(pkt.codec.codec, pkt.payload); n > 0 {
		if len(pkt.orientation) == 1 && pkt.orientation[0]&1 != 0 { // turned by 90° or 270°
			for i := range sizes {
				sizes[i].Width, sizes[i].Height = sizes[i].Height, sizes[i].Width
			}
		}
		l.meter.sizes = sizes
	}
}

// describeLocked reads what forwarding needs from a plain packet whose header
// is in t.media.header. It reports false for a payload nobody can use; such a
// packet has Size 0, as padding has.
func (t *transport) describeLocked(pkt *packet, plain []byte) bool {
	m := &t.media
	info := m.codecs[m.header.PayloadType]
	head := headerSize(plain)
	end := len(plain) - paddingSize(plain)
	pkt.Timestamp, pkt.Marker = m.header.Timestamp, m.header.Marker
	if !info.known || info.codec.rtx || head == 0 || end < head {
		return false
	}
	if end == head {
		return true
	}
	var ok bool
	if pkt.Info, ok = forward.Inspect(info.codec.codec, plain[head:end]); !ok {
		return false
	}
	pkt.codec, pkt.payload, pkt.Size = info.codec, plain[head:end], end-head
	pkt.orientation = extension(&m.header, m.ext.orientation)
	pkt.audioLevel = extension(&m.header, m.ext.audioLevel)
	return true
}

// newStreamLocked finds out what a new SSRC is: announced in the offer, or
// named by its mid and rid (RFC 8843 section 9.2, RFC 8852). An SSRC whose
// first packets carry neither is tried again at the next packet.
func (t *transport) newStreamLocked() *stream {
	m := &t.media
	h := &m.header
	if len(m.streams) >= maxStreams {
		m.forgetStreams()
	}
	if len(m.streams) >= maxStreams {
		return nil
	}
	rtx := m.codecs[h.PayloadType].codec.rtx
	line := m.announced[h.SSRC]
	primary, isRepair := m.repairs[h.SSRC]
	if isRepair {
		if s := m.streams[primary]; s != nil && !s.gone() {
			return m.keep(&stream{ssrc: h.SSRC, line: s.line, layer: s.layer, repair: true})
		}
		return nil
	}
	if line == nil {
		line = m.lines[string(extension(h, m.ext.mid))]
	}
	if line == nil || line.pub == nil || slices.Contains(line.retired, h.SSRC) {
		return nil
	}
	if rtx {
		return m.repairStream(h.SSRC, line, string(extension(h, m.ext.repairedRID)))
	}
	index := 0
	if len(line.rids) > 0 {
		if index = indexOf(line.rids, string(extension(h, m.ext.rid))); index < 0 {
			return nil
		}
	}
	return m.keep(&stream{ssrc: h.SSRC, line: line, layer: line.pub.layerFor(h.SSRC, index)})
}

// repairStream joins an RTX stream without an FID group to what it repairs.
func (m *mediaState) repairStream(ssrc uint32, line *inbound, rid string) *stream {
	index := 0
	if len(line.rids) > 0 {
		if index = indexOf(line.rids, rid); index < 0 {
			return nil
		}
	}
	if index >= len(line.pub.layers) || line.pub.layers[index] == nil {
		return nil
	}
	return m.keep(&stream{ssrc: ssrc, line: line, layer: line.pub.layers[index], repair: true})
}

func (m *mediaState) keep(s *stream) *stream {
	s.srtp = m.ssrcs[s.ssrc]
	m.streams[s.ssrc] = s
	return s
}

// forgetStreams drops SSRCs that no layer uses any more.
func (m *mediaState) forgetStreams() {
	for ssrc, s := range m.streams {
		if s.gone() {
			delete(m.streams, ssrc)
		}
	}
}

// mayDecrypt bounds the SRTP state that a client can make us keep by sending
// under ever new SSRCs.
func (m *mediaState) mayDecrypt(ssrc uint32) bool {
	_, known := m.ssrcs[ssrc]
	return known || len(m.ssrcs) < maxSSRCs
}

// stateLocked is the SRTP state of an SSRC, a spare one while none of its
// packets has proven authentic.
func (m *mediaState) stateLocked(ssrc uint32) *srtp.Incoming {
	if state := m.ssrcs[ssrc]; state != nil {
		return state
	}
	if m.spare == nil {
		m.spare = &srtp.Incoming{}
	}
	return m.spare
}

// trustLocked keeps the state of an SSRC, a packet of which was authentic.
func (m *mediaState) trustLocked(ssrc uint32) {
	if m.ssrcs[ssrc] == nil {
		m.ssrcs[ssrc] = m.stateLocked(ssrc)
		m.spare = nil
	}
}

// repairedLocked reports whether what is missing is asked for: of a picture
// always, of sound when it is recorded, or when its publisher has offered to repeat
// it and the repeat comes before its turn to be played.
func (pub *publication) repairedLocked() bool {
	if pub.kind == "video" || len(pub.taps) > 0 {
		return true
	}
	return pub.line != nil && pub.line.nack && pub.owner.transport.media.rtt.value() <= soundRepeat
}

// soundRepeat is the round trip up to which a lost sound is asked for: a jitter
// buffer waits about that long.
const soundRepeat = 150 * time.Millisecond

// nackLocked asks the publisher for what is missing (RFC 4585 section 6.2.1).
func (l *layer) nackLocked(t *transport, now time.Time, out *udpmux.Batch) {
	l.pairs = l.ring.Nacks(l.pairs[:0], now, t.media.rtt.value())
	if len(l.pairs) == 0 {
		return
	}
	t.writeRTCPLocked(out, &rtcp.TransportLayerNack{
		SenderSSRC: t.media.rtcpSSRC, MediaSSRC: l.ssrc, Nacks: l.pairs,
	})
	t.sfu.metrics.nacksOut.Add(float64(len(l.pairs)))
}

// repairLocked asks again for what is still missing, and for key frames.
func (t *transport) repairLocked(now time.Time, out *udpmux.Batch) {
	for _, l := range t.media.lines {
		if l.pub == nil || !l.pub.repairedLocked() {
			continue
		}
		if l.kind == "video" {
			l.pub.askKeyFramesLocked(now, out)
		}
		for _, y := range l.pub.layers {
			if y != nil && y.ring.Missing() > 0 {
				y.nackLocked(t, now, out)
			}
		}
	}
}

// headerSize is the length of the RTP header with CSRCs and extension, 0 when
// the packet is too short.
func headerSize(p []byte) int {
	if len(p) < 12 {
		return 0
	}
	n := 12 + 4*int(p[0]&0x0f)
	if p[0]&0x10 != 0 {
		if len(p) < n+4 {
			return 0
		}
		n += 4 + 4*int(binary.BigEndian.Uint16(p[n+2:]))
	}
	if len(p) < n {
		return 0
	}
	return n
}

// paddingSize is how many bytes at the end are padding (RFC 3550 section 5.1).
func paddingSize(p []byte) int {
	if len(p) == 0 || p[0]&0x20 == 0 {
		return 0
	}
	return int(p[len(p)-1])
}

func indexOf(list []string, s string) int {
	for i, v := range list {
		if v == s {
			return i
		}
	}
	return -1
}
