package forward

import (
	"bytes"
	"testing"

	"github.com/pion/rtp/codecs"
)

func FuzzVP8(f *testing.F) {
	f.Add([]byte{0x90, 0xf0, 0x81, 0x23, 0x99, 0xb5, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := ParseVP8(b)
		if !ok {
			return
		}
		var ref codecs.VP8Packet
		payload, err := ref.Unmarshal(b)
		if err != nil {
			t.Fatalf("taken, but the reference says %v", err)
		}
		if len(payload) != len(b)-d.HeaderSize || d.HasPicture && d.PictureID != ref.PictureID ||
			d.HasTL0 && d.TL0PICIDX != ref.TL0PICIDX || d.HasTID && (d.TID != ref.TID || d.Sync != (ref.Y != 0)) ||
			d.HasKeyIdx && d.KeyIdx != ref.KEYIDX {
			t.Fatalf("%+v\nreference %+v", d, ref)
		}
		checkPatch(t, CodecVP8, b)
	})
}

func FuzzVP9(f *testing.F) {
	f.Add([]byte{0xaa, 0x81, 0x02, 0x00, 0x05, 0x18, 0, 1, 0, 1, 1, 0x04, 1, 9})
	f.Add([]byte{0xf8, 0x01, 0x20, 0x03, 0x02, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := ParseVP9(b)
		if !ok {
			return
		}
		var ref codecs.VP9Packet
		if payload, err := ref.Unmarshal(b); err == nil {
			if len(payload) != len(b)-d.HeaderSize || d.PictureID != ref.PictureID || d.TID != ref.TID ||
				d.SID != ref.SID || d.TL0PICIDX != ref.TL0PICIDX {
				t.Fatalf("%+v\nreference %+v", d, ref)
			}
		}
		checkPatch(t, CodecVP9, b)
	})
}

// checkPatch writes other running numbers and reads them back.
func checkPatch(t *testing.T, c Codec, b []byte) {
	info, _ := Inspect(c, b)
	d := info.desc
	pic, tl0 := d.pic+12345, d.tl0+77
	p := makePatch(&d, pic, tl0)
	own := bytes.Clone(b)
	p.Apply(own)
	again, ok := Inspect(c, own)
	if d.picBits > 0 {
		d.pic = pic & (1<<d.picBits - 1)
	}
	if d.tl0Off > 0 {
		d.tl0 = tl0
	}
	if !ok || again.desc != d || again.KeyFrame != info.KeyFrame || again.TID != info.TID {
		t.Fatalf("after the patch %+v, want %+v", again.desc, d)
	}
	offset, bytesWritten := p.Span()
	if !bytes.Equal(own[offset+len(bytesWritten):], b[offset+len(bytesWritten):]) || !bytes.Equal(own[:offset], b[:offset]) {
		t.Fatal("the patch reaches beyond its span")
	}
}

func FuzzH264(f *testing.F) {
	f.Add([]byte{0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce})
	f.Add([]byte{0x7c, 0x85, 0x88})
	f.Fuzz(func(t *testing.T, b []byte) {
		if key, ok := InspectH264(b); key && !ok {
			t.Fatal("a key frame that is not valid")
		}
	})
}

func FuzzAV1(f *testing.F) {
	f.Add([]byte{0x28, 2, 0x08, 9, 0x30, 0x10})
	f.Add([]byte{0x00, 2, 0x08, 9, 2, 0x34, 0x48, 0x10})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := ParseAV1(b)
		if !ok && d != (AV1{}) {
			t.Fatalf("refused, but %+v", d)
		}
		if d.KeyFrame && d.Continued {
			t.Fatal("a key frame that starts in the middle")
		}
	})
}

func FuzzOpus(f *testing.F) {
	f.Add([]byte{0x7b, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, ok := ParseOpus(b); ok && (d.Samples == 0 || d.Samples > maxOpusSamples || d.Samples%120 != 0) {
			t.Fatalf("%+v", d)
		}
	})
}

func FuzzRED(f *testing.F) {
	f.Add([]byte{0x80 | 111, 0x0f, 0x00, 3, 111, 'o', 'l', 'd', 'n', 'e', 'w'})
	f.Fuzz(func(t *testing.T, b []byte) {
		blocks, ok := ParseRED(nil, b)
		primary, pt, ok2 := PrimaryRED(b)
		if ok != ok2 {
			t.Fatal("the two parsers disagree")
		}
		if !ok {
			return
		}
		sum := 4*(len(blocks)-1) + 1
		for _, block := range blocks {
			sum += len(block.Data)
		}
		last := blocks[len(blocks)-1]
		if sum != len(b) || len(primary) == 0 || !bytes.Equal(last.Data, primary) || last.PayloadType != pt || last.TimestampOffset != 0 {
			t.Fatalf("%d of %d bytes, primary %q, blocks %+v", sum, len(b), primary, blocks)
		}
	})
}
