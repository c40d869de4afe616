package compose

import (
	"encoding/binary"

	"github.com/pion/rtp/codecs"
	"github.com/pion/rtp/codecs/vp9"
)

// vp8Size reads a key frame's header (RFC 6386 section 9.1).
func vp8Size(b []byte) (dims, error) {
	if len(b) < 10 || b[0]&1 != 0 || b[3] != 0x9d || b[4] != 0x01 || b[5] != 0x2a {
		return dims{}, errPicture
	}
	return dims{int(binary.LittleEndian.Uint16(b[6:]) & 0x3fff), int(binary.LittleEndian.Uint16(b[8:]) & 0x3fff)}, nil
}

// vp9Size takes the largest spatial layer that the payload descriptor names, or
// what the first frame says of itself.
func (b *builder) vp9Size(f *frame, data []byte) (dims, error) {
	payload, err := b.src.payload(&b.st.packets[f.first])
	if err != nil {
		return dims{}, err
	}
	var d dims
	var p codecs.VP9Packet
	if _, err := p.Unmarshal(payload); err == nil && p.V && p.Y {
		for i := range min(len(p.Width), len(p.Height)) {
			if int(p.Width[i]) > d.w {
				d = dims{int(p.Width[i]), int(p.Height[i])}
			}
		}
	}
	if d.w > 0 && d.h > 0 {
		return d, nil
	}
	var h vp9.Header
	if err := h.Unmarshal(data); err != nil || h.NonKeyFrame || h.FrameSize == nil {
		return dims{}, errPicture
	}
	return dims{int(h.Width()), int(h.Height())}, nil
}

// bits reads a bit string. What is beyond its end is zero, and bad is set.
type bits struct {
	b   []byte
	pos int
	bad bool
}

func (r *bits) u(n int) uint {
	var v uint
	for range n {
		v <<= 1
		if i := r.pos >> 3; i < len(r.b) {
			v |= uint(r.b[i]>>(7-r.pos&7)) & 1
		} else {
			r.bad = true
		}
		r.pos++
	}
	return v
}

func (r *bits) flag() bool { return r.u(1) == 1 }

// ue is an unsigned Exp-Golomb code (H.264 section 9.1).
func (r *bits) ue() uint {
	zeros := 0
	for !r.flag() {
		if zeros++; zeros > 31 || r.bad {
			r.bad = true
			return 0
		}
	}
	return 1<<zeros - 1 + r.u(zeros)
}

func (r *bits) se() int {
	v := r.ue()
	if v&1 == 1 {
		return int(v+1) / 2
	}
	return -int(v / 2)
}

// nalus splits length-prefixed NAL units.
func nalus(b []byte) [][]byte {
	var out [][]byte
	for len(b) > 4 {
		n := int(binary.BigEndian.Uint32(b))
		if n <= 0 || n > len(b)-4 {
			return out
		}
		out = append(out, b[4:4+n])
		b = b[4+n:]
	}
	return out
}

// hasIDR reports whether a picture is built upon no other.
func hasIDR(data []byte) bool {
	for _, n := range nalus(data) {
		if n[0]&31 == 5 {
			return true
		}
	}
	return false
}

// h264Private makes the AVCDecoderConfigurationRecord (ISO 14496-15) of a key
// frame's parameter sets, and reads the picture's size.
func h264Private(data []byte) (dims, []byte, error) {
	var sps, pps []byte
	for _, n := range nalus(data) {
		switch n[0] & 31 {
		case 7:
			sps = n
		case 8:
			pps = n
		}
	}
	if len(sps) < 4 || len(pps) == 0 || !hasIDR(data) || len(sps) > 0xffff || len(pps) > 0xffff {
		return dims{}, nil, errPicture
	}
	d, err := spsSize(sps)
	if err != nil {
		return dims{}, nil, err
	}
	c := []byte{1, sps[1], sps[2], sps[3], 0xff, 0xe1}
	c = append(binary.BigEndian.AppendUint16(c, uint16(len(sps))), sps...)
	c = append(c, 1)
	c = append(binary.BigEndian.AppendUint16(c, uint16(len(pps))), pps...)
	return d, c, nil
}

// spsSize reads the picture's size of a sequence parameter set (H.264 section
// 7.3.2.1.1).
func spsSize(sps []byte) (dims, error) {
	var rbsp []byte // without emulation prevention
	for i, c := range sps[1:] {
		if c == 3 && i >= 2 && sps[i] == 0 && sps[i-1] == 0 {
			continue
		}
		rbsp = append(rbsp, c)
	}
	r := &bits{b: rbsp}
	profile := r.u(8)
	r.u(16)
	r.ue()
	chroma := uint(1)
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		if chroma = r.ue(); chroma == 3 {
			r.u(1)
		}
		r.ue()
		r.ue()
		r.u(1)
		if r.flag() {
			r.scalingLists(chroma)
		}
	}
	r.ue() // log2_max_frame_num_minus4
	switch r.ue() {
	case 0:
		r.ue()
	case 1:
		r.u(1)
		r.se()
		r.se()
		for n := r.ue(); n > 0 && !r.bad; n-- {
			r.se()
		}
	}
	r.ue()
	r.u(1)
	w, h := int(r.ue()+1)*16, int(r.ue()+1)*16
	unitY := 1
	if !r.flag() { // frame_mbs_only_flag
		h *= 2
		unitY = 2
		r.u(1)
	}
	r.u(1)
	if r.flag() {
		unitX := 1
		if chroma == 1 || chroma == 2 {
			unitX = 2
		}
		if chroma == 1 {
			unitY *= 2
		}
		w -= unitX * int(r.ue()+r.ue())
		h -= unitY * int(r.ue()+r.ue())
	}
	if r.bad || w <= 0 || h <= 0 || w > 1<<14 || h > 1<<14 {
		return dims{}, errPicture
	}
	return dims{w, h}, nil
}

func (r *bits) scalingLists(chroma uint) {
	n := 8
	if chroma == 3 {
		n = 12
	}
	for i := range n {
		if !r.flag() {
			continue
		}
		size, last, next := 16, 8, 8
		if i >= 6 {
			size = 64
		}
		for range size {
			if next != 0 {
				next = (last + r.se() + 256) & 255
			}
			if next != 0 {
				last = next
			}
		}
	}
}

// av1Private makes the AV1CodecConfigurationRecord (AV1 in ISOBMFF section 2.3)
// of a key frame's sequence header OBU, and reads the picture's size.
func av1Private(data []byte) (dims, []byte, error) {
	for len(data) > 1 {
		head := data[0]
		at := 1
		if head&4 != 0 {
			at++
		}
		if head&2 == 0 || at >= len(data) {
			break // the depacketizer gives all of them a size
		}
		size, n := binary.Uvarint(data[at:]) // LEB128 is the same
		if n <= 0 || size > uint64(len(data)-at-n) {
			break
		}
		end := at + n + int(size)
		if head>>3&15 == 1 {
			return av1Sequence(data[at+n:end], data[:end])
		}
		data = data[end:]
	}
	return dims{}, nil, errPicture
}

// av1Sequence reads a sequence header (AV1 section 5.5); obu is all of it.
func av1Sequence(body, obu []byte) (dims, []byte, error) {
	r := &bits{b: body}
	profile := r.u(3)
	r.u(1)
	var level, tier uint
	if r.flag() { // reduced_still_picture_header
		level = r.u(5)
	} else {
		level, tier = r.av1Points()
	}
	wb, hb := int(r.u(4))+1, int(r.u(4))+1
	d := dims{int(r.u(wb)) + 1, int(r.u(hb)) + 1}
	if r.bad || d.w > 1<<14 || d.h > 1<<14 {
		return dims{}, nil, errPicture
	}
	// Eight bits, 4:2:0: what browsers send. Decoders read the header itself.
	c := []byte{0x81, byte(profile<<5 | level), byte(tier<<7 | 0x0c), 0}
	return d, append(c, obu...), nil
}

// av1Points reads timing and operating points; the level and tier are the first
// one's.
func (r *bits) av1Points() (level, tier uint) {
	delayBits := 0
	decoder := false
	if r.flag() { // timing_info
		r.u(64)
		if r.flag() { // equal_picture_interval
			r.ue()
		}
		if decoder = r.flag(); decoder {
			delayBits = int(r.u(5)) + 1
			r.u(32 + 5 + 5)
		}
	}
	display := r.flag()
	for i := range r.u(5) + 1 {
		r.u(12)
		l, t := r.u(5), uint(0)
		if l > 7 {
			t = r.u(1)
		}
		if i == 0 {
			level, tier = l, t
		}
		if decoder && r.flag() {
			r.u(delayBits)
			r.u(delayBits)
			r.u(1)
		}
		if display && r.flag() {
			r.u(4)
		}
	}
	return level, tier
}
