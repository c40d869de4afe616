package forward

// VP8 is a VP8 payload descriptor (RFC 7741 section 4.2).
type VP8 struct {
	HeaderSize  int  // bytes before the VP8 payload
	NonRef      bool // N: may be dropped without harm
	Start       bool // S: start of a partition
	PID         uint8
	KeyFrame    bool // first packet of a key frame
	HasPicture  bool
	PictureBits uint8 // 7 or 15
	PictureID   uint16
	HasTL0      bool
	TL0PICIDX   uint8
	HasTID      bool
	TID         uint8
	Sync        bool // Y: depends on the base layer only
	HasKeyIdx   bool
	KeyIdx      uint8

	picOff, tl0Off uint8
}

// ParseVP8 reads the descriptor. ok is false when it is truncated or nothing
// follows it.
func ParseVP8(b []byte) (d VP8, ok bool) {
	if len(b) < 2 {
		return VP8{}, false
	}
	d.NonRef = b[0]&0x20 != 0
	d.Start = b[0]&0x10 != 0
	d.PID = b[0] & 0x07
	n := 1
	if b[0]&0x80 != 0 {
		if n, ok = d.extension(b); !ok {
			return VP8{}, false
		}
	}
	if n >= len(b) {
		return VP8{}, false
	}
	d.HeaderSize = n
	// The P bit of the VP8 frame tag is 0 in key frames (RFC 6386 section 9.1).
	d.KeyFrame = d.Start && d.PID == 0 && b[n]&0x01 == 0
	return d, true
}

// extension reads what the X bit announces and returns the descriptor's size.
func (d *VP8) extension(b []byte) (n int, ok bool) {
	x := b[1]
	n = 2
	if x&0x80 != 0 {
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
		n++
	}
	if x&0x40 != 0 {
		if n >= len(b) {
			return 0, false
		}
		d.HasTL0, d.tl0Off, d.TL0PICIDX = true, uint8(n), b[n]
		n++
	}
	if x&0x30 != 0 {
		if n >= len(b) {
			return 0, false
		}
		if d.HasTID = x&0x20 != 0; d.HasTID {
			d.TID, d.Sync = b[n]>>6, b[n]&0x20 != 0
		}
		if d.HasKeyIdx = x&0x10 != 0; d.HasKeyIdx {
			d.KeyIdx = b[n] & 0x1f
		}
		n++
	}
	return n, true
}

func (d *VP8) info() Info {
	return Info{KeyFrame: d.KeyFrame, Sync: d.Sync, TID: d.TID, desc: descriptor{
		pic: d.PictureID, picOff: d.picOff, picBits: d.PictureBits,
		tl0Off: d.tl0Off, tl0: d.TL0PICIDX,
	}}
}
