package forward

import (
	"bytes"
	"testing"
)

func TestParseCodec(t *testing.T) {
	for mime, want := range map[string]Codec{
		"audio/opus": CodecOpus, "audio/red": CodecRED, "video/VP8": CodecVP8, "video/vp9": CodecVP9,
		"video/H264": CodecH264, "video/AV1": CodecAV1, "video/rtx": CodecUnknown, "": CodecUnknown,
	} {
		if got := ParseCodec(mime); got != want {
			t.Errorf("%q: %d, want %d", mime, got, want)
		}
	}
	if !CodecRED.Audio() || !CodecOpus.Audio() || CodecAV1.Audio() {
		t.Error("wrong kind")
	}
}

func TestInspectRefusesNothingness(t *testing.T) {
	for c := CodecUnknown; c <= CodecAV1; c++ {
		if _, ok := Inspect(c, nil); ok {
			t.Errorf("codec %d takes an empty payload", c)
		}
	}
	if _, ok := Inspect(CodecUnknown, []byte{1, 2, 3}); ok {
		t.Error("an unknown codec is taken")
	}
}

func TestInspectDoesNotAllocate(t *testing.T) {
	payloads := map[Codec][]byte{
		CodecOpus: {0x78, 1, 2},
		CodecRED:  {0x6f, 1, 2},
		CodecVP8:  {0x90, 0xe0, 0x81, 0x02, 0x03, 0x40, 0x00},
		CodecVP9:  {0xaa, 0x81, 0x02, 0x00, 0x05, 0x18, 0, 1, 0, 1, 1, 0x04, 1, 9},
		CodecH264: {0x78, 0, 2, 0x67, 1, 0, 2, 0x65, 0x88},
		CodecAV1:  {0x18, 0x08, 0x00},
	}
	for c, b := range payloads {
		if n := testing.AllocsPerRun(100, func() { Inspect(c, b) }); n != 0 {
			t.Errorf("codec %d: %v allocations", c, n)
		}
	}
}

func TestVP8(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want VP8
		ok   bool
	}{
		{"empty", nil, VP8{}, false},
		{"descriptor only", []byte{0x10}, VP8{}, false},
		{"key frame, no extension", []byte{0x10, 0x00}, VP8{HeaderSize: 1, Start: true, KeyFrame: true}, true},
		{"delta frame", []byte{0x10, 0x01}, VP8{HeaderSize: 1, Start: true}, true},
		{"middle of a key frame", []byte{0x00, 0x00}, VP8{HeaderSize: 1}, true},
		{"second partition of a key frame", []byte{0x11, 0x00}, VP8{HeaderSize: 1, Start: true, PID: 1}, true},
		{"7 bit picture id", []byte{0x90, 0x80, 0x7f, 0x00}, VP8{
			HeaderSize: 3, Start: true, KeyFrame: true, HasPicture: true, PictureBits: 7, PictureID: 127, picOff: 2,
		}, true},
		{"15 bit picture id", []byte{0xb0, 0x80, 0xff, 0xfe, 0x01}, VP8{
			HeaderSize: 4, NonRef: true, Start: true, HasPicture: true, PictureBits: 15, PictureID: 0x7ffe, picOff: 2,
		}, true},
		{"everything", []byte{0x90, 0xf0, 0x81, 0x23, 0x99, 0xb5, 0x01}, VP8{
			HeaderSize: 6, Start: true, HasPicture: true, PictureBits: 15, PictureID: 0x123, HasTL0: true, TL0PICIDX: 0x99,
			HasTID: true, TID: 2, Sync: true, HasKeyIdx: true, KeyIdx: 0x15, picOff: 2, tl0Off: 4,
		}, true},
		{"only KEYIDX", []byte{0x90, 0x10, 0xff, 0x01}, VP8{HeaderSize: 3, Start: true, HasKeyIdx: true, KeyIdx: 0x1f}, true},
		{"only TL0PICIDX", []byte{0x90, 0x40, 7, 0x01}, VP8{HeaderSize: 3, Start: true, HasTL0: true, TL0PICIDX: 7, tl0Off: 2}, true},
		{"cut before the picture id", []byte{0x90, 0x80}, VP8{}, false},
		{"cut in the picture id", []byte{0x90, 0x80, 0x81}, VP8{}, false},
		{"cut after the picture id", []byte{0x90, 0x80, 0x81, 0x00}, VP8{}, false},
		{"cut before TL0PICIDX", []byte{0x90, 0xc0, 0x01}, VP8{}, false},
		{"cut before TID", []byte{0x90, 0xe0, 0x01, 0x01}, VP8{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := ParseVP8(tt.in)
			if got != tt.want || ok != tt.ok {
				t.Errorf("got %+v, %v\nwant %+v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestVP9(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want VP9
		ok   bool
	}{
		{"empty", nil, VP9{}, false},
		{"descriptor only", []byte{0x08}, VP9{}, false},
		{"key frame, bare", []byte{0x08, 1}, VP9{HeaderSize: 1, Start: true, KeyFrame: true}, true},
		{"inter frame", []byte{0x4c, 1}, VP9{HeaderSize: 1, Start: true, End: true, Predicted: true}, true},
		{"key frame by its header", []byte{0x08, 0x82}, VP9{HeaderSize: 1, Start: true, KeyFrame: true}, true},
		{"inter frame by its header", []byte{0x08, 0x86}, VP9{HeaderSize: 1, Start: true}, true},
		{"shown again", []byte{0x08, 0x88}, VP9{HeaderSize: 1, Start: true}, true},
		{"profile 3 key frame", []byte{0x08, 0xb1}, VP9{HeaderSize: 1, Start: true, KeyFrame: true}, true},
		{"profile 3 inter frame", []byte{0x08, 0xb2}, VP9{HeaderSize: 1, Start: true}, true},
		{"middle of a key frame", []byte{0x00, 1}, VP9{HeaderSize: 1}, true},
		{"7 bit picture id", []byte{0x88, 0x11, 1}, VP9{
			HeaderSize: 2, Start: true, KeyFrame: true, HasPicture: true, PictureBits: 7, PictureID: 17, picOff: 1,
		}, true},
		{"layers, not flexible", []byte{0xa8, 0x81, 0x02, 0x50, 0x77, 1}, VP9{
			HeaderSize: 5, Start: true, KeyFrame: true, HasPicture: true, PictureBits: 15, PictureID: 0x102, picOff: 1,
			HasLayer: true, TID: 2, SwitchUp: true, HasTL0: true, TL0PICIDX: 0x77, tl0Off: 4, layer: 0x50,
		}, true},
		{"upper spatial layer of a key picture", []byte{0xa8, 0x01, 0x03, 0x77, 1}, VP9{
			HeaderSize: 4, Start: true, HasPicture: true, PictureBits: 7, PictureID: 1, picOff: 1,
			HasLayer: true, SID: 1, InterLayer: true, HasTL0: true, TL0PICIDX: 0x77, tl0Off: 3, layer: 0x03,
		}, true},
		{"flexible with two references", []byte{0xf8, 0x01, 0x20, 0x03, 0x02, 1}, VP9{
			HeaderSize: 5, Start: true, Predicted: true, Flexible: true, HasPicture: true, PictureBits: 7, PictureID: 1,
			picOff: 1, HasLayer: true, TID: 1, layer: 0x20,
		}, true},
		{"more than three references", []byte{0xd8, 0x01, 0x03, 0x03, 0x03, 0x02, 1}, VP9{}, false},
		{"structure with sizes and groups", []byte{0x0a, 0x38, 0, 1, 0, 1, 0, 2, 0, 2, 2, 0x00, 0x08, 9, 9, 1}, VP9{
			HeaderSize: 15, Start: true, Structure: true, KeyFrame: true, structureOff: 1,
		}, true},
		{"structure cut", []byte{0x0a, 0x38, 0, 1, 0, 1, 0, 2}, VP9{}, false},
		{"groups cut", []byte{0x0a, 0x08, 3, 0x00}, VP9{}, false},
		{"picture id cut", []byte{0x88, 0x81}, VP9{}, false},
		{"layer cut", []byte{0x28, 0x81}, VP9{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := ParseVP9(tt.in)
			if got != tt.want || ok != tt.ok {
				t.Errorf("got %+v, %v\nwant %+v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestH264(t *testing.T) {
	tests := []struct {
		name    string
		in      []byte
		key, ok bool
	}{
		{"empty", nil, false, false},
		{"header only", []byte{0x67}, false, false},
		{"SPS", []byte{0x67, 0x42}, true, true},
		{"PPS", []byte{0x68, 0xce}, false, true},
		{"IDR, first slice", []byte{0x65, 0x88}, true, true},
		{"IDR, later slice", []byte{0x65, 0x40}, false, true},
		{"inter slice", []byte{0x41, 0x9a}, false, true},
		{"SEI", []byte{0x06, 0x05}, false, true},
		{"STAP-A with SPS and PPS", []byte{0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce}, true, true},
		{"STAP-A of inter slices", []byte{0x78, 0, 2, 0x41, 0x9a, 0, 1, 0x41}, false, true},
		{"STAP-A cut in a length", []byte{0x78, 0, 2, 0x67, 0x42, 0}, false, false},
		{"STAP-A cut in a unit", []byte{0x78, 0, 9, 0x67, 0x42}, false, false},
		{"STAP-A with an empty unit", []byte{0x78, 0, 0, 0, 1, 0x67}, false, false},
		{"FU-A, IDR start", []byte{0x7c, 0x85, 0x88}, true, true},
		{"FU-A, IDR start of a later slice", []byte{0x7c, 0x85, 0x20}, false, true},
		{"FU-A, IDR middle", []byte{0x7c, 0x05, 0x88}, false, true},
		{"FU-A, IDR end", []byte{0x7c, 0x45, 0x88}, false, true},
		{"FU-A, inter start", []byte{0x7c, 0x81, 0x9a}, false, true},
		{"FU-A cut", []byte{0x7c, 0x85}, false, false},
		{"STAP-B", []byte{0x79, 0, 0, 0, 1, 0x67}, false, false},
		{"type 0", []byte{0x60, 0x00}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if key, ok := InspectH264(tt.in); key != tt.key || ok != tt.ok {
				t.Errorf("got %v, %v, want %v, %v", key, ok, tt.key, tt.ok)
			}
		})
	}
}

func TestAV1(t *testing.T) {
	const (
		seq        = obuSequenceHeader << 3
		frame      = obuFrame << 3
		delimiter  = 2 << 3
		keyBits    = 0x10 // show_existing_frame 0, frame_type 0, show_frame 1
		interBits  = 0x30 // frame_type 1
		extension  = 0x04
		sizeInside = 0x02
	)
	tests := []struct {
		name string
		in   []byte
		want AV1
		ok   bool
	}{
		{"empty", nil, AV1{}, false},
		{"header only", []byte{0x10}, AV1{}, false},
		{"new sequence", []byte{0x28, 2, seq, 9, frame, keyBits}, AV1{NewSeq: true, SeqHeader: true, KeyFrame: true}, true},
		{"sequence header without N", []byte{0x20, 2, seq, 9, frame, keyBits}, AV1{SeqHeader: true, KeyFrame: true}, true},
		{"repeated sequence header", []byte{0x20, 2, seq, 9, frame, interBits}, AV1{SeqHeader: true}, true},
		{"after a delimiter", []byte{0x30, 1, delimiter, 2, seq, 9, frame, keyBits}, AV1{SeqHeader: true, KeyFrame: true}, true},
		{"sizes for all", []byte{0x00, 2, seq, 9, 2, frame, keyBits}, AV1{SeqHeader: true, KeyFrame: true}, true},
		{"inter frame", []byte{0x10, frame, interBits}, AV1{}, true},
		{"goes on", []byte{0x50, frame, interBits}, AV1{Continues: true}, true},
		{"continued bytes are not a header", []byte{0x90, seq, 9}, AV1{Continued: true}, true},
		{"layers", []byte{0x10, frame | extension, 0x48, interBits}, AV1{TID: 2, SID: 1}, true},
		{"size field inside", []byte{0x10, frame | sizeInside, 1, interBits}, AV1{}, true},
		{"size beyond the end", []byte{0x20, 9, seq, 9}, AV1{}, false},
		{"size unfinished", []byte{0x00, 0x80}, AV1{}, false},
		{"N inside a continued packet", []byte{0x98, seq, 9}, AV1{}, false},
		{"forbidden bit", []byte{0x10, 0x80 | seq, 9}, AV1{}, false},
		{"layer byte cut", []byte{0x10, frame | extension}, AV1{}, false},
		{"huge size", []byte{0x00, 0xff, 0xff, 0xff, 0xff, 0x7f, 1}, AV1{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := ParseAV1(tt.in)
			if got != tt.want || ok != tt.ok {
				t.Errorf("got %+v, %v\nwant %+v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestOpus(t *testing.T) {
	tests := []struct {
		name    string
		in      []byte
		samples uint32
		frames  int
		ok      bool
	}{
		{"empty", nil, 0, 0, false},
		{"SILK 10 ms", []byte{0 << 3, 1, 2}, 480, 1, true},
		{"SILK 60 ms", []byte{3 << 3, 1, 2}, 2880, 1, true},
		{"hybrid 20 ms", []byte{13 << 3, 1, 2}, 960, 1, true},
		{"CELT 2.5 ms", []byte{16 << 3, 1, 2}, 120, 1, true},
		{"CELT 20 ms", []byte{31 << 3, 1, 2}, 960, 1, true},
		{"two frames", []byte{31<<3 | 1, 1, 2}, 1920, 2, true},
		{"counted frames", []byte{31<<3 | 3, 6, 2}, 5760, 6, true},
		{"too long", []byte{3<<3 | 3, 3, 2}, 8640, 3, false},
		{"count cut", []byte{31<<3 | 3}, 0, 0, false},
		{"no frames", []byte{31<<3 | 3, 0}, 0, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := ParseOpus(tt.in)
			if ok != tt.ok || got.Samples != tt.samples || got.Frames != tt.frames {
				t.Errorf("got %+v, %v", got, ok)
			}
			if ok && got.Duration.Milliseconds() != int64(tt.samples)/48 {
				t.Errorf("duration %v", got.Duration)
			}
		})
	}
	if d, _ := ParseOpus([]byte{0x7c}); !d.Silence || !d.Stereo {
		t.Errorf("%+v", d)
	}
}

func TestRED(t *testing.T) {
	two := []byte{0x80 | 111, 0x0f, 0x00, 3, 0x80 | 111, 0x07, 0x80 >> 0, 2, 111, 'o', 'l', 'd', 'm', 'd', 'n', 'e', 'w'}
	tests := []struct {
		name    string
		in      []byte
		blocks  []REDBlock
		primary string
		ok      bool
	}{
		{"empty", nil, nil, "", false},
		{"primary alone", []byte{111, 'x'}, []REDBlock{{111, 0, []byte("x")}}, "x", true},
		{"two redundant", two, []REDBlock{
			{111, 960, []byte("old")}, {111, 480, []byte("md")}, {111, 0, []byte("new")},
		}, "new", true},
		{"longest block", append([]byte{0xef, 0xff, 0xff, 0xff, 111}, make([]byte, 1024)...), []REDBlock{
			{111, 1<<14 - 1, make([]byte, 1023)}, {111, 0, []byte{0}},
		}, "\x00", true},
		{"empty primary", []byte{111}, nil, "", false},
		{"redundant block with no room for a primary", []byte{0xef, 0, 0, 2, 111, 1, 2}, nil, "", false},
		{"cut in a block header", []byte{0xef, 0, 0}, nil, "", false},
		{"cut before the primary header", []byte{0xef, 0, 0, 0}, nil, "", false},
		{"cut in a block", []byte{0xef, 0, 0, 9, 111, 1}, nil, "", false},
		{"too many blocks", bytes.Repeat([]byte{0xef, 0, 0, 0}, 40), nil, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			prefix := []REDBlock{{PayloadType: 1}}
			got, ok := ParseRED(prefix, tt.in)
			if ok != tt.ok || len(got) != len(tt.blocks)+1 {
				t.Fatalf("got %+v, %v", got, ok)
			}
			for i, want := range tt.blocks {
				b := got[i+1]
				if b.PayloadType != want.PayloadType || b.TimestampOffset != want.TimestampOffset || !bytes.Equal(b.Data, want.Data) {
					t.Errorf("block %d: %+v, want %+v", i, b, want)
				}
			}
			primary, pt, ok := PrimaryRED(tt.in)
			if ok != tt.ok || string(primary) != tt.primary || ok && pt != 111 {
				t.Errorf("primary %q of type %d, %v", primary, pt, ok)
			}
		})
	}
	n := testing.AllocsPerRun(100, func() { PrimaryRED(two) })
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	if primary, _, _ := PrimaryRED(two); &primary[0] != &two[len(two)-3] {
		t.Error("the primary is a copy")
	}
}
