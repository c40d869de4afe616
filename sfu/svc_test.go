package sfu

import (
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/chatmed/chatmed/sfu/forward"
)

// svcPicture sends a VP9 picture of three spatial layers (K-SVC) and two temporal
// ones: 100, 300 and 900 kbit/s on top of each other.
func (p *simPub) svcPicture() {
	p.frame++
	l := p.layers[0]
	tid := uint8(p.frame & 1)
	key := l.key && tid == 0
	if key {
		l.key = false
		l.keys++
	}
	for sid, rate := range []int{100_000, 300_000, 900_000} {
		size := rate / 25 / 8
		if key {
			size *= 3
		}
		p.layerFrame(l, uint8(sid), tid, key, size)
	}
	if tid == 0 {
		p.tl0++
	}
}

func (p *simPub) layerFrame(l *simEncoding, sid, tid uint8, key bool, size int) {
	for first := true; size > 0; first = false {
		n := min(size, 1100)
		size -= n
		b := byte(0xa0) // I and L
		if !key {
			b |= 0x40
		}
		if first {
			b |= 0x08
		}
		if size == 0 {
			b |= 0x04
		}
		structure := key && first && sid == 0
		if structure {
			b |= 0x02
		}
		dependent := byte(0)
		if key && sid > 0 {
			dependent = 1
		}
		head := []byte{b, 0x80 | byte(p.frame>>8&0x7f), byte(p.frame), tid<<5 | sid<<1 | dependent, p.tl0}
		if structure {
			head = append(head, 0x50, 1, 64, 0, 180, 2, 128, 1, 104, 5, 0, 2, 208)
		}
		body := make([]byte, n)
		body[0] = 0x82 // a key frame's header
		if !key || sid > 0 {
			body[0] = 0x86
		}
		l.seq++
		pkt := rtpPacket(l.ssrc, ptVP8, l.seq, uint32(p.frame)*3600, append(head, body...))
		pkt.Marker = size == 0 && sid == 2
		p.v.send(pkt)
	}
}

// svcSeen checks what a client gets: numbers without a gap, whole pictures with an
// end, and counts their layers.
type svcSeen struct {
	layers  [3]int // pictures whose highest layer was this one
	gaps    int
	unended int
	last    int
	pic     int
	top     uint8
	marked  bool
}

func (n *svcSeen) take(p *rtp.Packet) {
	if n.last >= 0 && p.SequenceNumber != uint16(n.last+1) {
		n.gaps++
	}
	n.last = int(p.SequenceNumber)
	d, ok := forward.ParseVP9(p.Payload)
	if !ok {
		return
	}
	if id := int(d.PictureID); id != n.pic {
		if n.pic >= 0 {
			n.layers[n.top]++
			if !n.marked {
				n.unended++
			}
			if id != (n.pic+1)&0x7fff {
				n.gaps++
			}
		}
		n.pic, n.top, n.marked = id, 0, false
	}
	n.top, n.marked = max(n.top, d.SID), p.Marker
}

// TestSVC: one stream with spatial and temporal layers, for links of different
// capacity.
func TestSVC(t *testing.T) {
	s := newSim(t)
	vp9 := func(o *offerSpec) { o.vp9 = true }
	o := usual(0)
	o.vp9 = true
	enc := &simEncoding{ssrc: ssrcCam, key: true}
	pub := &simPub{v: s.join("anna", o), layers: []*simEncoding{enc}, loud: true, svc: true}
	s.pubs = append(s.pubs, pub)
	good, poor := s.subscriber("good", link(5_000_000), vp9), s.subscriber("poor", link(300_000), vp9)
	good.svc, poor.svc = &svcSeen{last: -1, pic: -1}, &svcSeen{last: -1, pic: -1}
	s.run(20 * time.Second)
	good.svc.layers, poor.svc.layers = [3]int{}, [3]int{}
	s.run(10 * time.Second)
	if n := good.svc; n.layers[2] < 240 || n.gaps > 0 || n.unended > 0 {
		t.Errorf("the good link: %+v", n)
	}
	n := poor.svc
	if n.layers[2] > 0 || n.layers[0]+n.layers[1] < 120 || n.unended > 0 || n.gaps > 0 {
		t.Errorf("the poor link: %+v, %s", n, poor.plan())
	}
	keys := enc.keys
	poor.set(t, s, link(5_000_000))
	s.run(25 * time.Second)
	n.layers = [3]int{}
	s.run(5 * time.Second)
	if n.layers[2] < 120 || n.gaps > 0 || n.unended > 0 {
		t.Errorf("the poor link, grown: %+v, %s", n, poor.plan())
	}
	if enc.keys > keys+3 {
		t.Errorf("%d key frames for one way up", enc.keys-keys)
	}
	if g := good.svc; g.gaps > 0 || g.unended > 0 {
		t.Errorf("the good link, meanwhile: %+v", g)
	}
	if n := good.since(); n.lostAudio > 0 {
		t.Errorf("sound lost: %d", n.lostAudio)
	}
}
