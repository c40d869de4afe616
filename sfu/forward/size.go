package forward

import "encoding/binary"

// Size is a picture's, in pixels.
type Size struct{ Width, Height int }

// maxSide bounds what is believed of a picture's size.
const maxSide = 16384

// FrameSizes reads the size of a picture from the first packet of a key frame: one
// for each spatial layer of a VP9 stream (RFC 9628 section 4.2.1), else one in
// all. n is 0 where the packet does not say; AV1 is not read.
func FrameSizes(c Codec, payload []byte) (sizes [MaxLayers]Size, n int) {
	switch c {
	case CodecVP8:
		sizes[0], n = vp8Size(payload)
	case CodecVP9:
		return vp9Sizes(payload)
	case CodecH264:
		sizes[0], n = h264Size(payload)
	}
	return sizes, n
}

// vp8Size reads the header of a key frame (RFC 6386 section 9.1).
func vp8Size(payload []byte) (Size, int) {
	d, ok := ParseVP8(payload)
	if !ok || !d.KeyFrame || len(payload) < d.HeaderSize+10 {
		return Size{}, 0
	}
	b := payload[d.HeaderSize+6:]
	return believable(int(binary.LittleEndian.Uint16(b)&0x3fff), int(binary.LittleEndian.Uint16(b[2:])&0x3fff))
}

func vp9Sizes(payload []byte) (sizes [MaxLayers]Size, n int) {
	d, ok := ParseVP9(payload)
	if !ok || !d.Structure {
		return sizes, 0
	}
	b := payload[d.structureOff:]
	count := int(b[0]>>5) + 1
	if b[0]&0x10 == 0 || len(b) < 1+4*count {
		return sizes, 0
	}
	for i := range min(count, MaxLayers) {
		at := b[1+4*i:]
		var one int
		if sizes[i], one = believable(int(binary.BigEndian.Uint16(at)), int(binary.BigEndian.Uint16(at[2:]))); one == 0 {
			return sizes, 0
		}
		n++
	}
	return sizes, n
}

func believable(w, h int) (Size, int) {
	if w <= 0 || h <= 0 || w > maxSide || h > maxSide {
		return Size{}, 0
	}
	return Size{w, h}, 1
}

// h264Size finds a sequence parameter set in a single NAL unit or a STAP-A packet
// (RFC 6184 section 5).
func h264Size(p []byte) (Size, int) {
	if len(p) < 2 {
		return Size{}, 0
	}
	switch p[0] & 0x1f {
	case nalSPS:
		return spsSize(p[1:])
	case nalSTAPA:
		for b := p[1:]; len(b) > 2; {
			n := int(binary.BigEndian.Uint16(b))
			if n == 0 || len(b) < 2+n {
				break
			}
			if b[2]&0x1f == nalSPS {
				return spsSize(b[3 : 2+n])
			}
			b = b[2+n:]
		}
	}
	return Size{}, 0
}

// spsSize reads a sequence parameter set behind its NAL header (ITU-T H.264
// section 7.3.2.1.1). Scaling lists are not read: browsers send none.
func spsSize(b []byte) (Size, int) {
	if len(b) < 4 {
		return Size{}, 0
	}
	profile := b[0]
	r := bitReader{b: b[3:]}
	r.ue() // seq_parameter_set_id
	chroma, planes := 1, false
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128:
		if chroma = r.ue(); chroma == 3 {
			planes = r.bit() == 1
		}
		r.ue()
		r.ue()
		r.bit()
		if r.bit() == 1 {
			return Size{}, 0
		}
	}
	r.ue() // log2_max_frame_num
	switch r.ue() {
	case 0:
		r.ue()
	case 1:
		r.bit()
		r.ue()
		r.ue()
		for range min(r.ue(), 255) {
			r.ue()
		}
	}
	r.ue() // max_num_ref_frames
	r.bit()
	w, h := 16*(r.ue()+1), r.ue()+1
	frameOnly := r.bit()
	if frameOnly == 0 {
		r.bit()
	}
	h *= 16 * (2 - frameOnly)
	r.bit() // direct_8x8_inference_flag
	if r.bit() == 1 {
		x, y := 2, 2
		if chroma == 3 || planes || chroma == 0 {
			x, y = 1, 1
		} else if chroma == 2 {
			y = 1
		}
		y *= 2 - frameOnly
		w -= x * (r.ue() + r.ue())
		h -= y * (r.ue() + r.ue())
	}
	if r.short {
		return Size{}, 0
	}
	return believable(w, h)
}

// bitReader reads Exp-Golomb codes. Emulation prevention bytes are not taken out:
// none occur before the size of a picture that a browser sends.
type bitReader struct {
	b     []byte
	at    int
	short bool
}

func (r *bitReader) bit() int {
	if r.at >= 8*len(r.b) {
		r.short = true
		return 0
	}
	v := int(r.b[r.at/8]>>(7-r.at%8)) & 1
	r.at++
	return v
}

func (r *bitReader) ue() int {
	zeros := 0
	for r.bit() == 0 {
		if zeros++; r.short || zeros > 16 {
			r.short = true
			return 0
		}
	}
	v := 1
	for range zeros {
		v = v<<1 | r.bit()
	}
	return v - 1
}
