package sfu

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/chatmed/chatmed/internal/impair"
	"github.com/chatmed/chatmed/sfu/forward"
)

const (
	simStep  = 5 * time.Millisecond
	simFrame = 40 * time.Millisecond
	simAudio = 20 * time.Millisecond
)

// sim is a rig whose clients sit behind links, all by the rig's clock.
type sim struct {
	*rig
	pubs  []*simPub
	subs  []*simSub
	start time.Time
	n     int // steps
}

func newSim(t testing.TB) *sim {
	s := &sim{rig: newRig(t)}
	s.start = s.now
	return s
}

func (s *sim) at() time.Duration { return s.now.Sub(s.start) }

// simEncoding is one encoding of a publisher: bit/s in all, and its size.
type simEncoding struct {
	rid           string
	ssrc          uint32
	rate          int
	width, height int
	key           bool // the next frame is to be a key frame
	seq           uint16
	off           bool
	keys          int
}

// simPub publishes a voice and simulcast VP8 with two temporal layers, answers
// key frame requests, and follows what it is told to send.
type simPub struct {
	v        *peer
	layers   []*simEncoding
	frame    int
	tl0      uint8
	audioSeq uint16
	loud     bool
	dark     bool
	red      bool
	svc      bool
}

func (s *sim) publisher(id string, layers ...*simEncoding) *simPub {
	o := usual(0)
	o.own[1].ssrcs = nil
	for i, l := range layers {
		l.ssrc, l.key = uint32(21+i), true
		o.own[1].rids = append(o.own[1].rids, l.rid)
	}
	if len(layers) == 1 {
		o.own[1].rids, o.own[1].ssrcs = nil, []uint32{layers[0].ssrc}
	}
	p := &simPub{v: s.join(id, o), layers: layers, loud: true}
	s.pubs = append(s.pubs, p)
	return p
}

func (p *simPub) step(s *sim) {
	_, control := p.v.received()
	for _, c := range control {
		if pli, ok := c.(*rtcp.PictureLossIndication); ok {
			p.ask(pli.MediaSSRC)
		}
		if fir, ok := c.(*rtcp.FullIntraRequest); ok {
			for _, e := range fir.FIR {
				p.ask(e.SSRC)
			}
		}
	}
	if told := p.v.told.sending; len(told) > 0 {
		for i, l := range told[len(told)-1]["camera"] {
			if p.layers[i].off && l.Active {
				p.layers[i].key = true
			}
			p.layers[i].off = !l.Active
		}
	}
	if p.dark {
		return
	}
	if s.at()%simAudio == 0 {
		p.audio()
	}
	if s.at()%simFrame == 0 {
		if p.svc {
			p.svcPicture()
		} else {
			p.picture()
		}
	}
}

func (p *simPub) ask(ssrc uint32) {
	for _, l := range p.layers {
		if l.ssrc == ssrc {
			l.key = true
		}
	}
}

func (p *simPub) audio() {
	p.audioSeq++
	ts := uint32(p.audioSeq) * 960
	payload := append([]byte{0x78}, make([]byte, 79)...) // 32 kbit/s
	pkt := rtpPacket(ssrcMic, ptOpus, p.audioSeq, ts, payload)
	if p.red {
		pkt = rtpPacket(ssrcMic, ptRED, p.audioSeq, ts, red(960, string(payload), string(payload)))
	}
	level := byte(127)
	if p.loud {
		level = 30
	}
	_ = pkt.SetExtension(idLevel, []byte{level})
	p.v.send(pkt)
}

// picture sends a frame of each encoding.
func (p *simPub) picture() {
	p.frame++
	tid := uint8(p.frame & 1)
	for _, l := range p.layers {
		if l.off {
			continue
		}
		key := l.key && tid == 0
		size := l.rate / 25 / 8
		if key {
			l.key = false
			l.keys++
			size *= 3
		}
		p.send(l, key, tid, size)
	}
	if tid == 0 {
		p.tl0++
	}
}

func (p *simPub) send(l *simEncoding, key bool, tid uint8, size int) {
	frame := vp8Frame(key, "")
	if key {
		binary.LittleEndian.PutUint16(frame[6:], uint16(l.width))
		binary.LittleEndian.PutUint16(frame[8:], uint16(l.height))
	}
	frame = append(frame, make([]byte, max(size-len(frame), 0))...)
	for first := true; len(frame) > 0; first = false {
		n := min(len(frame), 1100)
		b := byte(0x80)
		if first {
			b |= 0x10
		}
		pic := uint16(p.frame)
		head := []byte{b, 0xe0, 0x80 | byte(pic>>8), byte(pic), p.tl0, tid<<6 | 0x20}
		l.seq++
		pkt := rtpPacket(l.ssrc, ptVP8, l.seq, uint32(p.frame)*3600, append(head, frame[:n]...))
		pkt.Marker = n == len(frame)
		_ = pkt.SetExtension(idMid, []byte("camera"))
		if len(p.layers) > 1 {
			_ = pkt.SetExtension(idRID, []byte(l.rid))
		}
		p.v.send(pkt)
		frame = frame[n:]
	}
}

// simSub receives through a link and answers with transport-wide feedback and
// receiver reports.
type simSub struct {
	v    *peer
	down *impair.Link[simPacket]
	rec  *twcc.Recorder
	seen simSeen
	svc  *svcSeen // in place of VP8
	base time.Time

	lastFeedback, lastReport time.Time
}

type simPacket struct {
	p    *rtp.Packet
	size int
	sent time.Time
}

// simSeen is what has come since it was last reset.
type simSeen struct {
	bytes, audio, red int
	lostAudio         int
	delay             time.Duration // the longest
	sizes             []int         // width of each key frame, in order
	frames            int
	gaps              int // picture ids left out, and packets lost
	padding           int
	lastAudio         uint16
	lastPic           int
	lastVideo         int
	keyed             bool
}

func (s *sim) subscriber(id string, down impair.Profile, alter ...func(*offerSpec)) *simSub {
	s.t.Helper()
	o := usual(1)
	o.twcc = true
	for i := range o.own {
		o.own[i].muted = true
	}
	for _, f := range alter {
		f(&o)
	}
	link, err := impair.NewLink[simPacket](down, uint64(len(s.subs)+1), s.now)
	if err != nil {
		s.t.Fatal(err)
	}
	u := &simSub{down: link, rec: twcc.NewRecorder(7), base: s.now}
	s.subs = append(s.subs, u)
	u.v = s.join(id, o)
	u.seen.lastPic, u.seen.lastVideo = -1, -1
	return u
}

func (u *simSub) step(s *sim) {
	media, _ := u.v.received()
	for _, p := range media {
		raw, _ := p.Marshal()
		u.down.Push(s.now, simPacket{p, len(raw), s.now}, len(raw)+wire)
	}
	for {
		x, at, ok := u.down.Pop(s.now)
		if !ok {
			break
		}
		u.take(s, x, at)
	}
	if s.now.Sub(u.lastFeedback) >= 60*time.Millisecond && u.rec.PacketsHeld() > 0 {
		u.lastFeedback = s.now
		u.v.rtcp(u.rec.BuildFeedbackPacket()...)
	}
	if s.now.Sub(u.lastReport) >= time.Second {
		u.lastReport = s.now
		u.v.rtcp(&rtcp.ReceiverReport{SSRC: 7})
	}
}

func (u *simSub) take(s *sim, x simPacket, at time.Time) {
	n := &u.seen
	n.bytes += x.size + wire
	n.delay = max(n.delay, at.Sub(x.sent))
	if ext := x.p.GetExtension(idTWCC); len(ext) == 2 {
		u.rec.Record(x.p.SSRC, binary.BigEndian.Uint16(ext), at.Sub(u.base).Microseconds()+1_000_000)
	} else {
		s.t.Error("a packet without a transport-wide number")
	}
	switch x.p.PayloadType {
	case ptOpus, ptRED:
		if n.audio > 0 {
			n.lostAudio += int(int16(x.p.SequenceNumber - n.lastAudio - 1))
		}
		n.audio++
		n.lastAudio = x.p.SequenceNumber
		if x.p.PayloadType == ptRED {
			n.red++
		}
	case ptRTX:
		n.padding++
	case ptVP8:
		if u.svc != nil {
			u.svc.take(x.p)
			return
		}
		u.picture(s, x.p)
	}
}

// picture checks that what comes can be decoded: numbers without a gap, and each
// change of size at a key frame.
func (u *simSub) picture(s *sim, p *rtp.Packet) {
	n := &u.seen
	if n.lastVideo >= 0 && p.SequenceNumber != uint16(n.lastVideo+1) {
		n.gaps++
	}
	n.lastVideo = int(p.SequenceNumber)
	if len(p.Payload) == 0 {
		return
	}
	d, ok := forward.ParseVP8(p.Payload)
	if !ok {
		s.t.Error("a payload that is no VP8")
		return
	}
	if d.KeyFrame {
		n.keyed = true
		sizes, _ := forward.FrameSizes(forward.CodecVP8, p.Payload)
		n.sizes = append(n.sizes, sizes[0].Width)
	} else if !n.keyed && d.Start {
		s.t.Error("the first picture is no key frame")
		n.keyed = true
	}
	if d.Start {
		if id := int(d.PictureID); n.lastPic >= 0 && id != (n.lastPic+1)&0x7fff && id != n.lastPic {
			n.gaps++
		}
		n.lastPic = int(d.PictureID)
		n.frames++
	}
}

// run lets time pass.
func (s *sim) run(d time.Duration) {
	s.t.Helper()
	for end := s.now.Add(d); s.now.Before(end); s.n++ {
		for _, p := range s.pubs {
			p.step(s)
		}
		for _, u := range s.subs {
			u.step(s)
		}
		full := s.at()%tick == 0
		select {
		case <-s.room.kick:
			full = true
		default:
		}
		if full || s.at()%probeStep == 0 {
			s.room.mu.Lock()
			s.room.tickLocked(s.now, full, s.out.Batch)
			s.room.mu.Unlock()
			s.flush()
			s.room.tell()
		}
		s.now = s.now.Add(simStep)
	}
}

// since returns what came in the meantime and begins anew.
func (u *simSub) since() simSeen {
	was := u.seen
	u.seen = simSeen{lastAudio: was.lastAudio, lastPic: was.lastPic, lastVideo: was.lastVideo, keyed: was.keyed}
	return was
}

// link is a way of so many bit/s with a queue of 400 ms.
func link(rate int) impair.Profile {
	return impair.Profile{Rate: rate, Queue: rate / 8 * 2 / 5, Delay: 25 * time.Millisecond}
}

func (u *simSub) set(t testing.TB, s *sim, p impair.Profile) {
	t.Helper()
	if err := u.down.Set(s.now, p); err != nil {
		t.Fatal(err)
	}
}

// three are usual encodings of a camera.
func three() []*simEncoding {
	return []*simEncoding{
		{rid: "q", rate: 100_000, width: 320, height: 180},
		{rid: "h", rate: 350_000, width: 640, height: 360},
		{rid: "f", rate: 1_200_000, width: 1280, height: 720},
	}
}

// slotOf is what the client's first slot gets.
func (u *simSub) plan() string {
	v, a := u.v.tr.shownAsLocked()
	d := u.v.tr.media.slots[0].decision
	return v + " " + a + " " + string(rune('0'+d.Spatial)) + string(rune('0'+d.Temporal)) + string(rune('0'+d.FPS))
}

// copier is a Sink that does what a recorder does under the lock: it copies.
type copier struct {
	buf     []byte
	packets int
}

func (*copier) Gate(bool, time.Time)                      {}
func (*copier) Report(*Stream, time.Time, uint64, uint32) {}
func (*copier) Muted(string, string, bool, time.Time)     {}
func (c *copier) Packet(p *Packet) {
	c.packets++
	c.buf = append(c.buf[:0], p.Payload...)
}
