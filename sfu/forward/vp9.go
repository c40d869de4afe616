package forward

// VP9 is a VP9 payload descriptor (RFC 9628 section 4.2).
type VP9 struct {
	HeaderSize  int
	Predicted   bool // P: inter-picture predicted
	Flexible    bool // F
	Start       bool // B: start of a layer frame
	End         bool // E: end of a layer frame
	Structure   bool // V: a scalability structure is present
	KeyFrame    bool // first packet of a picture that needs none before it
	HasPicture  bool
	PictureBits uint8 // 7 or 15
	PictureID   uint16
	HasLayer    bool
	TID, SID    uint8
	SwitchUp    bool // U
	InterLayer  bool // D: depends on the spatial layer below
	HasTL0      bool
	TL0PICIDX   uint8

	picOff, tl0Off, layer uint8
	structureOff          int
}

// maxVP9Diffs is how many reference indices a flexible descriptor may carry.
const maxVP9Diffs = 3

// ParseVP9 reads the descriptor. ok is false when it is truncated, breaks the
// format, or nothing follows it.
func ParseVP9(b []byte) (d VP9, ok bool) {
	if len(b) < 2 {
		return VP9{}, false
	}
	d.Predicted = b[0]&0x40 != 0
	d.Flexible = b[0]&0x10 != 0
	d.Start = b[0]&0x08 != 0
	d.End = b[0]&0x04 != 0
	d.Structure = b[0]&0x02 != 0
	n := 1
	if b[0]&0x80 != 0 {
		if n, ok = d.picture(b, n); !ok {
			return VP9{}, false
		}
	}
	if b[0]&0x20 != 0 {
		if n, ok = d.layers(b, n); !ok {
			return VP9{}, false
		}
	}
	if d.Flexible && d.Predicted {
		if n, ok = skipVP9Diffs(b, n); !ok {
			return VP9{}, false
		}
	}
	if d.Structure {
		d.structureOff = n
		if n, ok = skipVP9Structure(b, n); !ok {
			return VP9{}, false
		}
	}
	if n >= len(b) {
		return VP9{}, false
	}
	d.HeaderSize = n
	d.KeyFrame = d.Start && !d.Predicted && d.SID == 0 && !d.InterLayer && !interVP9(b[n])
	return d, true
}

// interVP9 reports whether a frame's first byte shows that it is no key frame
// (VP9 bitstream specification, section 6.2: frame_marker, two bits of profile, a
// reserved one in profile 3, show_existing_frame, frame_type). P alone is not
// enough: intra-only frames leave it clear, and so do some senders always.
func interVP9(first byte) bool {
	if first>>6 != 2 {
		return false // not readable; believe the descriptor
	}
	if first&0x30 == 0x30 {
		first <<= 1
	}
	return first&0x0c != 0
}

func (d *VP9) picture(b []byte, n int) (int, bool) {
	if n >= len(b) {
		return 0, false
	}
	d.HasPicture, d.picOff = true, uint8(n)
	d.PictureBits, d.PictureID = 7, uint16(b[n]&0x7f)
	if b[n]&0x80 != 0 {
		if n++; n >= len(b) {
			return 0, false
		}
		d.PictureBits, d.PictureID = 15, d.PictureID<<8|uint16(b[n])
	}
	return n + 1, true
}

func (d *VP9) layers(b []byte, n int) (int, bool) {
	if n >= len(b) {
		return 0, false
	}
	d.HasLayer, d.layer = true, b[n]
	d.TID, d.SwitchUp = b[n]>>5, b[n]&0x10 != 0
	d.SID, d.InterLayer = b[n]>>1&0x07, b[n]&0x01 != 0
	n++
	if d.Flexible {
		return n, true
	}
	if n >= len(b) {
		return 0, false
	}
	d.HasTL0, d.tl0Off, d.TL0PICIDX = true, uint8(n), b[n]
	return n + 1, true
}

func skipVP9Diffs(b []byte, n int) (int, bool) {
	for range maxVP9Diffs {
		if n >= len(b) {
			return 0, false
		}
		more := b[n]&0x01 != 0
		n++
		if !more {
			return n, true
		}
	}
	return 0, false
}

func skipVP9Structure(b []byte, n int) (int, bool) {
	if n >= len(b) {
		return 0, false
	}
	ss := b[n]
	n++
	if ss&0x10 != 0 { // Y: a width and a height for each spatial layer
		n += 4 * (int(ss>>5) + 1)
	}
	if ss&0x08 == 0 { // G: a picture group description
		return n, true
	}
	if n >= len(b) {
		return 0, false
	}
	pictures := int(b[n])
	n++
	for range pictures {
		if n >= len(b) {
			return 0, false
		}
		n += 1 + int(b[n]>>2&0x03)
	}
	return n, true
}

func (d *VP9) info() Info {
	return Info{KeyFrame: d.KeyFrame, Sync: d.SwitchUp, TID: d.TID, SID: d.SID, Inter: d.Predicted, Start: d.Start, End: d.End, desc: descriptor{
		pic: d.PictureID, picOff: d.picOff, picBits: d.PictureBits,
		tl0Off: d.tl0Off, tl0: d.TL0PICIDX, layer: d.layer,
	}}
}
