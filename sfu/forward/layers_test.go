package forward

import (
	"testing"
)

// svc is a packet of a VP9 picture with spatial layers; ends marks the last packet
// of its layer frame, and of the picture if it is of the top layer.
func svc(pic uint16, sid, tid uint8, key, inter bool) *Packet {
	d := VP9{HasPicture: true, PictureBits: 15, PictureID: pic, picOff: 1, HasLayer: true, SID: sid, TID: tid, Start: true, End: true,
		Predicted: inter, KeyFrame: key && sid == 0}
	return &Packet{Timestamp: uint32(pic) * 3000, Size: 100, Marker: sid == 2, Info: d.info()}
}

// TestSpatialLayers goes down at a picture's beginning and up where the layer
// refers to no picture before, and the numbers show nothing of it.
func TestSpatialLayers(t *testing.T) {
	var s Selector
	s.Want(0, AllTemporal)
	g := NewRewriter(RewriterConfig{Codec: CodecVP9})
	src := &Source{ID: 1}
	var ext uint64 = 1 << 16
	var pic uint16
	var seq, outPic uint16
	started := false
	// picture sends one picture and returns which layers went out.
	picture := func(key bool) (out string) {
		t.Helper()
		pic++
		marked := false
		for sid := range uint8(3) {
			p := svc(pic, sid, 0, key, !key)
			ext++
			p.ExtSeq = ext
			var h Header
			var v Verdict
			switch a := s.Decide(1, 0, p); a {
			case Switch:
				g.SwitchTo(src.ID)
				fallthrough
			case Forward:
				q := *p
				if s.Ends(p) {
					q.Marker = true
				}
				v = g.Forward(src, &q, t0.Add(ms), &h)
			case Skip:
				v = g.Skip(src, p, t0, &h)
			default:
				v = Skipped
			}
			if v != Send {
				continue
			}
			_, b := h.Patch.Span()
			got := uint16(b[0]&0x7f)<<8 | uint16(b[1])
			if started && (h.Sequence != seq+1 || got != outPic && got != outPic+1 || marked) {
				t.Errorf("picture %d layer %d: number %d after %d, picture %d after %d, marked %v", pic, sid, h.Sequence, seq, got, outPic, marked)
			}
			started, seq, outPic, marked = true, h.Sequence, got, h.Marker
			out += string('0' + sid)
		}
		if started && out != "" && !marked {
			t.Errorf("picture %d has no end", pic)
		}
		return out
	}
	is := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: layers %q, want %q", what, got, want)
		}
	}
	is("before a key frame", picture(false), "")
	is("all", picture(true), "012")
	s.WantSpatial(1)
	is("down", picture(false), "01")
	s.WantSpatial(0)
	is("down again", picture(false), "0")
	if _, need := s.KeyFrameNeeded(1); need {
		t.Error("going down needs no key frame")
	}
	s.WantSpatial(2)
	is("up waits", picture(false), "0")
	if i, need := s.KeyFrameNeeded(1); !need || i != 0 {
		t.Error("going up needs a key frame")
	}
	is("up", picture(true), "012")
	if _, need := s.KeyFrameNeeded(1); need {
		t.Error("a key frame is needed after it has come")
	}
	s.WantSpatial(1)
	is("down once more", picture(false), "01")
	is("a key frame on the way does not raise it", picture(true), "01")
	s.Want(NoLayer, 0)
	is("paused", picture(true), "")
}

// A layer above that refers to its own picture alone is taken at once.
func TestSpatialLayerWithoutReferences(t *testing.T) {
	var s Selector
	s.Want(0, AllTemporal)
	s.WantSpatial(0)
	s.Decide(1, 0, svc(1, 0, 0, true, false))
	s.WantSpatial(2)
	s.Decide(1, 0, svc(2, 0, 0, false, true))
	if a := s.Decide(1, 0, svc(2, 1, 0, false, false)); a != Forward {
		t.Errorf("the layer above: %v", a)
	}
	if a := s.Decide(1, 0, svc(2, 2, 0, false, true)); a != Skip {
		t.Errorf("one that refers to what was left out: %v", a)
	}
}

// TestSlides: key frames alone, no more often than asked for, and moving again
// from a key frame on.
func TestSlides(t *testing.T) {
	var s Selector
	s.Want(0, AllTemporal)
	at := func(ts uint32, key bool) Action { return s.Decide(1, 0, video(ts, key)) }
	want := func(what string, got, want Action) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	want("start", at(90_000, true), Switch)
	want("moving", at(93_000, false), Forward)
	s.WantSlides(90_000)
	want("the rest of the frame", at(93_000, false), Forward)
	want("the next", at(96_000, false), Skip)
	want("first key frame", at(99_000, true), Forward)
	want("its second packet", at(99_000, false), Forward)
	want("a delta", at(102_000, false), Skip)
	want("a key frame too soon", at(120_000, true), Skip)
	want("one in time", at(180_000, true), Forward)
	if _, need := s.KeyFrameNeeded(1); need {
		t.Error("the caller asks for slides, not the selector")
	}
	s.WantSlides(0)
	want("until the key frame", at(183_000, false), Skip)
	if _, need := s.KeyFrameNeeded(1); !need {
		t.Error("moving again needs a key frame")
	}
	want("moving again", at(186_000, true), Forward)
	want("and on", at(189_000, false), Forward)
	if s.Sliding() {
		t.Error("still sliding")
	}
}

// TestPad: padding is numbered between frames, and what follows goes on behind.
func TestPad(t *testing.T) {
	r := NewRewriter(RewriterConfig{Codec: CodecVP8, FirstSequence: 10})
	src := &Source{ID: 1}
	var h Header
	if r.Pad(&h) {
		t.Error("before the first packet")
	}
	send := func(ext uint64, marker bool, want uint16) {
		t.Helper()
		p := &Packet{ExtSeq: ext, Timestamp: uint32(ext) * 3000, Marker: marker, Size: 9, Info: Info{KeyFrame: true}}
		if v := r.Forward(src, p, t0, &h); v != Send || h.Sequence != want {
			t.Errorf("%d: %v as %d, want %d", ext, v, h.Sequence, want)
		}
	}
	pad := func(want uint16) {
		t.Helper()
		if !r.Pad(&h) || h.Sequence != want || !h.Empty {
			t.Errorf("padding: %+v, want %d", h, want)
		}
	}
	r.SwitchTo(1)
	send(100, false, 10)
	if r.Pad(&h) {
		t.Error("within a frame")
	}
	send(101, true, 11)
	pad(12)
	pad(13)
	send(103, true, 15) // 102 is late
	send(102, true, 14)
	pad(16)
	r.Skip(src, &Packet{ExtSeq: 104, Size: 9}, t0, &h)
	pad(17)
	send(105, true, 18)
	if _, hh, ok := r.Lookup(12, t0, 0); !ok || !hh.Empty {
		t.Error("a NACK for padding has nothing to repeat")
	}
	if o, hh, ok := r.Recent(0); !ok || o.ExtSeq != 105 || hh.Sequence != 18 {
		t.Errorf("the newest: %+v %+v", o, hh)
	}
	if _, _, ok := r.Recent(1); ok {
		t.Error("padding is nothing to repeat")
	}
	if o, _, ok := r.Recent(3); !ok || o.ExtSeq != 103 {
		t.Errorf("the third before: %+v %v", o, ok)
	}
	r.Pause()
	pad(19)
	send(300, true, 20)
}

func TestFrameSizes(t *testing.T) {
	vp9 := []byte{0x8a, 0x11, 0x30, 1, 0x40, 0, 0xb4, 2, 0x80, 1, 0x68, 1}
	for _, tt := range []struct {
		name  string
		codec Codec
		in    []byte
		want  []Size
	}{
		{"VP8", CodecVP8, []byte{0x10, 0x30, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0xe0, 0x01}, []Size{{640, 480}}}, // with a scale
		{"VP8, no key frame", CodecVP8, []byte{0x10, 0x31, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 2, 0xe0, 1}, nil},
		{"VP8, cut", CodecVP8, []byte{0x10, 0x30, 0, 0, 0x9d, 0x01, 0x2a, 0x80}, nil},
		{"VP9, two layers", CodecVP9, vp9, []Size{{320, 180}, {640, 360}}},
		{"VP9, cut", CodecVP9, vp9[:9], nil},
		// as x264 writes them
		{"H.264 in a packet of its own", CodecH264, []byte{0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb}, []Size{{1280, 720}}},
		{"H.264 in an aggregate, cropped", CodecH264, []byte{24, 0, 12, 0x67, 0x64, 0x00, 0x16, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0, 1, 0x68}, []Size{{640, 360}}},
		{"H.264, baseline", CodecH264, []byte{0x67, 0x42, 0xc0, 0x1f, 0xd9, 0x00, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00}, []Size{{1280, 720}}},
		{"H.264, a slice", CodecH264, []byte{0x41, 0x9a, 1, 2}, nil},
		{"AV1 is not read", CodecAV1, []byte{0x18, 1, 2}, nil},
	} {
		sizes, n := FrameSizes(tt.codec, tt.in)
		if n != len(tt.want) {
			t.Errorf("%s: %v %d", tt.name, sizes, n)
			continue
		}
		for i, w := range tt.want {
			if sizes[i] != w {
				t.Errorf("%s: %v, want %v", tt.name, sizes, tt.want)
			}
		}
	}
}

func FuzzFrameSizes(f *testing.F) {
	f.Add(uint8(CodecVP8), []byte{0x10, 0x30, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01})
	f.Add(uint8(CodecVP9), []byte{0x8a, 0x11, 0x30, 1, 0x40, 0, 0xb4, 2, 0x80, 1, 0x68, 1})
	f.Add(uint8(CodecH264), []byte{0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb})
	f.Add(uint8(CodecH264), []byte{24, 0, 5, 0x67, 0x42, 0xc0, 0x1f, 0xd9})
	f.Fuzz(func(t *testing.T, codec uint8, payload []byte) {
		sizes, n := FrameSizes(Codec(codec), payload)
		for i := range n {
			if s := sizes[i]; s.Width <= 0 || s.Height <= 0 || s.Width > maxSide || s.Height > maxSide {
				t.Fatalf("%v", s)
			}
		}
	})
}
