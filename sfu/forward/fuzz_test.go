package forward

import (
	"bytes"
	"testing"
	"time"
)

// FuzzRewriter drives a rewriter by a script of two bytes a step over three
// sources and checks what a receiver relies on: no number is used twice, the
// order of a source's packets is kept, lost packets keep their place and skipped
// ones do not, time moves on over a switch, and every number sent can be looked up.
func FuzzRewriter(f *testing.F) {
	f.Add([]byte{0x03, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x04, 0x00})
	f.Add([]byte{0x03, 0x00, 0x00, 0x01, 0x02, 0x02, 0x00, 0x01, 0x04, 0x00, 0x04, 0x01, 0x05, 0x00, 0x13, 0x00, 0x10, 0x00})
	f.Add(bytes.Repeat([]byte{0x03, 0x00, 0x00, 0x00, 0x02, 0x00, 0x01, 0x00, 0x04, 0x00, 0x13, 0x00, 0x10, 0x03, 0x06, 0x09}, 30))
	f.Add(bytes.Repeat([]byte{0x00, 0x00, 0x02, 0x01, 0x01, 0x00}, 60))
	f.Fuzz(func(t *testing.T, script []byte) {
		m := newModel(t)
		for len(script) >= 2 {
			m.step(script[0], script[1])
			script = script[2:]
		}
	})
}

type fuzzSource struct {
	src  Source
	next uint64 // extended number of its next packet
	lost []Packet
}

type fuzzModel struct {
	t       *testing.T
	r       *Rewriter
	now     time.Time
	sources [3]fuzzSource

	current int // index of the mapped source, -1 before any
	waiting int // index of the source a mapping is waited for, -1 for none
	mapping int // counts mappings

	next    uint64 // outgoing number of the next packet in order
	highest uint64 // outgoing, as a receiver extends it
	highIn  uint64
	floorTS uint32 // highest timestamp sent before the current mapping
	topTS   uint32
	out     map[uint64]fuzzSent
	byIn    map[uint64]uint64 // incoming to outgoing number, current mapping
	pics    map[uint16]uint16 // incoming to outgoing picture, current mapping
}

type fuzzSent struct {
	origin  Origin
	header  Header
	mapping int
}

func newModel(t *testing.T) *fuzzModel {
	m := &fuzzModel{
		t: t, now: t0, current: -1, waiting: -1,
		r:    NewRewriter(RewriterConfig{Codec: CodecVP8, FirstSequence: 65500, FirstTimestamp: 1<<32 - 100, History: 64}),
		out:  map[uint64]fuzzSent{},
		next: 65500,
	}
	for i := range m.sources {
		m.sources[i] = fuzzSource{src: Source{ID: SourceID(i)}, next: 65530 + uint64(i)*1000}
	}
	return m
}

func (m *fuzzModel) packet(s *fuzzSource) Packet {
	ext := s.next
	s.next++
	frame := ext / 3
	p := Packet{ExtSeq: ext, Timestamp: uint32(frame) * 3000, Size: 50, Marker: ext%3 == 2}
	p.Info.desc = descriptor{pic: uint16(frame+32760) & 0x7fff, picBits: 15, picOff: 2, tl0: uint8(frame), tl0Off: 4}
	return p
}

func (m *fuzzModel) step(op, arg byte) {
	s := &m.sources[int(op>>4)%3]
	m.now = m.now.Add(time.Duration(arg>>4) * 7 * ms)
	switch op & 0x0f {
	case 0, 8, 9, 10:
		m.offer(s, m.packet(s), false)
	case 1, 11:
		m.offer(s, m.packet(s), true)
	case 2: // the network keeps some back
		for range arg&0x07 + 1 {
			s.lost = append(s.lost, m.packet(s))
		}
	case 3:
		m.r.SwitchTo(s.src.ID)
		m.waiting = int(s.src.ID)
	case 4, 5: // one of those comes late, perhaps twice
		if len(s.lost) > 0 {
			i := int(arg) % len(s.lost)
			p := s.lost[i]
			if arg&0x08 == 0 {
				s.lost = append(s.lost[:i:i], s.lost[i+1:]...)
			}
			m.offer(s, p, op&0x0f == 5)
		}
	case 6:
		m.r.Pause()
		if m.waiting < 0 {
			m.waiting = m.current
		}
	case 7:
		s.src.Report = SenderReport{NTP: NTPTime(m.now), RTP: uint32(s.next/3) * 3000, Valid: true}
	case 12:
		s.next += uint64(arg) << 8
	}
}

// offer passes a packet on and compares the verdict with what must come of it.
func (m *fuzzModel) offer(s *fuzzSource, p Packet, skip bool) {
	i := int(s.src.ID)
	begins := !skip && m.waiting == i
	var h Header
	var v Verdict
	if skip {
		v = m.r.Skip(&s.src, &p, m.now, &h)
	} else {
		v = m.r.Forward(&s.src, &p, m.now, &h)
	}
	jumps := m.current == i && m.waiting < 0 && p.ExtSeq > m.highIn+maxJump
	switch {
	case begins, jumps && !skip:
		m.begin(i, &p)
	case m.waiting >= 0 || m.current != i:
		m.expect(v, NotCurrent)
		return
	case jumps:
		m.expect(v, Skipped)
		m.waiting = i
		return
	}
	if p.ExtSeq > m.highIn {
		m.next += p.ExtSeq - m.highIn - 1
		m.highIn = p.ExtSeq
		if skip {
			m.expect(v, Skipped)
			return
		}
		m.expect(v, Send)
		if h.Sequence != uint16(m.next) {
			m.t.Fatalf("packet %d as %d, want %d", p.ExtSeq, h.Sequence, uint16(m.next))
		}
		m.next++
	}
	if v == Send || v == SendEmpty {
		if skip && v == Send || h.Empty != (v == SendEmpty) {
			m.t.Fatalf("%v with %+v", v, h)
		}
		m.sent(i, &p, h)
	} else if v != TooLate && v != Repeated {
		m.t.Fatalf("a late packet: %v", v)
	}
}

func (m *fuzzModel) begin(i int, p *Packet) {
	if m.current >= 0 {
		m.next = m.highest + 1
	}
	m.current, m.waiting = i, -1
	m.mapping++
	m.highIn = p.ExtSeq - 1
	m.floorTS = m.topTS
	m.byIn, m.pics = map[uint64]uint64{}, map[uint16]uint16{}
}

func (m *fuzzModel) expect(got, want Verdict) {
	if got != want {
		m.t.Helper()
		m.t.Fatalf("%v, want %v", got, want)
	}
}

// sent checks a packet as the receiver gets it.
func (m *fuzzModel) sent(i int, p *Packet, h Header) {
	first := len(m.out) == 0
	out := m.highest + uint64(int64(int16(h.Sequence-uint16(m.highest))))
	if first {
		out = uint64(h.Sequence)
		m.topTS = h.Timestamp
	}
	if was, used := m.out[out]; used {
		m.t.Fatalf("%d used twice: %+v, then source %d, %d", out, was, i, p.ExtSeq)
	}
	for in, other := range m.byIn {
		if in < p.ExtSeq != (other < out) {
			m.t.Fatalf("%d as %d, but %d as %d", p.ExtSeq, out, in, other)
		}
	}
	if m.mapping > 1 && int32(h.Timestamp-m.floorTS) <= 0 {
		m.t.Fatalf("timestamp %d, before the switch %d", h.Timestamp, m.floorTS)
	}
	if int32(h.Timestamp-m.topTS) > 0 {
		m.topTS = h.Timestamp
	}
	m.out[out] = fuzzSent{Origin{SourceID(i), p.ExtSeq, true}, h, m.mapping}
	m.byIn[p.ExtSeq] = out
	m.highest = max(m.highest, out)
	if !h.Empty {
		m.picture(p, h)
	}
	m.lookups()
}

// picture checks that packets of a picture share one id and others do not.
func (m *fuzzModel) picture(p *Packet, h Header) {
	in := p.Info.desc.pic
	out := uint16(h.Patch.bytes[0]&0x7f)<<8 | uint16(h.Patch.bytes[1])
	if was, ok := m.pics[in]; ok && was != out {
		m.t.Fatalf("picture %d as %d and as %d", in, was, out)
	}
	m.pics[in] = out
	for other, as := range m.pics {
		ahead := int16((in-other)<<1) > 0
		if other != in && (as == out || ahead != (int16((out-as)<<1) > 0)) {
			m.t.Fatalf("pictures %d as %d, %d as %d", in, out, other, as)
		}
	}
}

// lookups asks for the whole history and some more.
func (m *fuzzModel) lookups() {
	for back := range uint64(80) {
		out := m.highest - back
		o, h, ok := m.r.Lookup(uint16(out), m.now, 0)
		want, have := m.out[out]
		switch {
		case back >= 64:
			if ok {
				m.t.Fatalf("%d back is found", back)
			}
		case have:
			if !ok || o != want.origin || h != want.header {
				m.t.Fatalf("%d: %+v %+v %v, want %+v", out, o, h, ok, want)
			}
		case ok:
			if o.Sent || o.Source != SourceID(m.current) || o.ExtSeq > m.highIn {
				m.t.Fatalf("%d, never sent: %+v", out, o)
			}
			if _, sent := m.byIn[o.ExtSeq]; sent {
				m.t.Fatalf("%d is said to be %d, which went elsewhere", out, o.ExtSeq)
			}
		}
	}
}

// FuzzSelector checks the promises of Selector under any order of events.
func FuzzSelector(f *testing.F) {
	f.Add([]byte{0x82, 0x07, 0x12, 0x47, 0x02, 0x07, 0x80, 0x07, 0x10, 0x47})
	f.Fuzz(func(t *testing.T, script []byte) {
		var s Selector
		ts := uint32(1<<32 - 50)
		for len(script) >= 2 {
			op, arg := script[0], script[1]
			script = script[2:]
			live := Layers(arg & 0x0f)
			if op&0x80 != 0 {
				s.Want(int(op&0x07)-1, op>>3&0x07)
				continue
			}
			before := s.Current()
			layer := int(op & 0x03)
			p := Packet{Timestamp: ts, Size: int(arg & 0x10), Info: Info{
				KeyFrame: arg&0x40 != 0, Sync: arg&0x80 != 0, TID: op >> 2 & 0x03,
			}}
			ts += uint32(op>>4&0x01) * 3000
			act := s.Decide(live, layer, &p)
			switch {
			case act == Switch && (!p.Info.KeyFrame || p.Size == 0 || s.Current() != layer):
				t.Fatalf("switched to %d at %+v", s.Current(), p)
			case act != Switch && s.Current() != before:
				t.Fatalf("from %d to %d without a switch", before, s.Current())
			case (act == Forward || act == Skip) && layer != before:
				t.Fatalf("action %d on layer %d while %d flows", act, layer, before)
			case act == Forward && p.Size == 0:
				t.Fatal("padding is sent")
			}
			if need, ok := s.KeyFrameNeeded(live); ok && (need == s.Current() || need < 0 || need >= MaxLayers) {
				t.Fatalf("needs layer %d while %d flows", need, s.Current())
			}
		}
	})
}
