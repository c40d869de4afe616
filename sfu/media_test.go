package sfu

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"
	"github.com/pion/webrtc/v4/pkg/media/oggwriter"
)

// frameTime is the pace of the encoded pictures on their own clock.
const frameTime = 40 * time.Millisecond

// videoFormat is how one codec is encoded, packetised and decoded in tests.
type videoFormat struct {
	name       string
	capability webrtc.RTPCodecCapability
	encode     []string // ffmpeg's, with a key frame every 25 frames
	fourcc     string   // of IVF; "" is an H.264 byte stream
	depacketer func() rtp.Depacketizer
}

var formats = []videoFormat{
	{
		name: "VP8", capability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000},
		encode: []string{"-c:v", "libvpx", "-deadline", "realtime", "-g", "25", "-b:v", "1M", "-auto-alt-ref", "0"},
		fourcc: "VP80", depacketer: func() rtp.Depacketizer { return &codecs.VP8Packet{} },
	},
	{
		name: "VP9", capability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP9, ClockRate: 90000, SDPFmtpLine: "profile-id=0"},
		encode: []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "25", "-b:v", "1M", "-lag-in-frames", "0", "-auto-alt-ref", "0"},
		fourcc: "VP90", depacketer: func() rtp.Depacketizer { return &codecs.VP9Packet{} },
	},
	{
		name: "H264",
		capability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeH264, ClockRate: 90000,
			SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
		},
		encode:     []string{"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1", "-profile:v", "baseline", "-g", "25", "-keyint_min", "25", "-x264-params", "aud=1:scenecut=0"},
		depacketer: func() rtp.Depacketizer { return &codecs.H264Packet{} },
	},
	{
		name: "AV1", capability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeAV1, ClockRate: 90000},
		encode: []string{"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-g", "25", "-b:v", "1M", "-lag-in-frames", "0"},
		fourcc: "AV01", depacketer: func() rtp.Depacketizer { return &codecs.AV1Depacketizer{} },
	},
}

// ffmpeg runs it over in and returns what it writes. Any complaint is an error.
func ffmpeg(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffmpeg", append([]string{"-hide_banner", "-nostdin", "-v", "error", "-xerror"}, args...)...)
	var out, complaints bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, complaints.String())
	}
	return out.Bytes()
}

// pictures encodes one grey picture per level, with noise that keeps the
// encoder busy and leaves the level as it is.
func (f videoFormat) pictures(t *testing.T, size string, levels []byte) [][]byte {
	t.Helper()
	w, h := dimensions(t, size)
	noise := rand.New(rand.NewPCG(1, 2))
	raw := make([]byte, 0, w*h*len(levels))
	for _, level := range levels {
		for range w * h {
			raw = append(raw, level-8+byte(noise.UintN(17)))
		}
	}
	args := []string{"-f", "rawvideo", "-pix_fmt", "gray", "-video_size", size, "-framerate", "25", "-i", "-", "-pix_fmt", "yuv420p"}
	args = append(args, f.encode...)
	if f.fourcc == "" {
		return accessUnits(ffmpeg(t, raw, append(args, "-f", "h264", "-")...))
	}
	r, _, err := ivfreader.NewWith(bytes.NewReader(ffmpeg(t, raw, append(args, "-f", "ivf", "-")...)))
	if err != nil {
		t.Fatal(err)
	}
	var frames [][]byte
	for {
		frame, _, err := r.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, frame)
	}
}

func dimensions(t *testing.T, size string) (w, h int) {
	t.Helper()
	if _, err := fmt.Sscanf(size, "%dx%d", &w, &h); err != nil {
		t.Fatal(err)
	}
	return w, h
}

// accessUnits cuts an H.264 byte stream at its access unit delimiters.
func accessUnits(stream []byte) (units [][]byte) {
	delimiter := []byte{0, 0, 0, 1, 9}
	for _, u := range bytes.Split(stream, delimiter)[1:] {
		if len(u) > 1 {
			units = append(units, u[1:]) // without the delimiter's one byte
		}
	}
	return units
}

// decode puts received packets into pictures again and returns the level of
// each, as ffmpeg decodes them.
func (f videoFormat) decode(t *testing.T, size string, packets []*rtp.Packet) []byte {
	t.Helper()
	var file []byte
	for i, frame := range f.frames(t, packets) {
		if f.fourcc == "" {
			file = append(file, frame...)
			continue
		}
		if i == 0 {
			head := make([]byte, 32)
			copy(head, "DKIF")
			head[6] = 32
			copy(head[8:], f.fourcc)
			binary.LittleEndian.PutUint16(head[12:], 160)
			binary.LittleEndian.PutUint16(head[14:], 120)
			binary.LittleEndian.PutUint32(head[16:], 25)
			binary.LittleEndian.PutUint32(head[20:], 1)
			file = append(file, head...)
		}
		if f.fourcc == "AV01" {
			frame = append([]byte{0x12, 0}, frame...) // RTP leaves the temporal delimiter out
		}
		head := make([]byte, 12)
		binary.LittleEndian.PutUint32(head, uint32(len(frame)))
		binary.LittleEndian.PutUint64(head[4:], uint64(i))
		file = append(append(file, head...), frame...)
	}
	container := "ivf"
	if f.fourcc == "" {
		container = "h264"
	}
	w, h := dimensions(t, size)
	raw := ffmpeg(t, file, "-err_detect", "explode", "-f", container, "-i", "-", "-vsync", "passthrough",
		"-vf", "scale="+size, "-f", "rawvideo", "-pix_fmt", "gray", "-")
	var levels []byte
	for ; len(raw) >= w*h; raw = raw[w*h:] {
		var sum int
		for _, v := range raw[:w*h] {
			sum += int(v)
		}
		levels = append(levels, byte(sum/(w*h)))
	}
	return levels
}

// frames depacketises; every packet must be there, in whatever order.
func (f videoFormat) frames(t *testing.T, packets []*rtp.Packet) (frames [][]byte) {
	t.Helper()
	packets = inOrder(packets)
	d := f.depacketer()
	var frame []byte
	for i, p := range packets {
		if i > 0 && p.SequenceNumber != packets[i-1].SequenceNumber+1 {
			t.Errorf("number %d after %d", p.SequenceNumber, packets[i-1].SequenceNumber)
		}
		part, err := d.Unmarshal(p.Payload)
		if err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		frame = append(frame, part...)
		if p.Marker || i+1 < len(packets) && packets[i+1].Timestamp != p.Timestamp {
			frames = append(frames, frame)
			frame = nil
		}
	}
	return frames
}

// inOrder sorts by number, wraps included.
func inOrder(packets []*rtp.Packet) []*rtp.Packet {
	out := slices.Clone(packets)
	slices.SortStableFunc(out, func(a, b *rtp.Packet) int { return int(int16(a.SequenceNumber - b.SequenceNumber)) })
	return out
}

// opus encodes a tone and returns its packets of 20 ms.
func opus(t *testing.T, hertz string, seconds string) (packets [][]byte) {
	t.Helper()
	raw := ffmpeg(t, nil, "-f", "lavfi", "-i", "sine=frequency="+hertz+":sample_rate=48000:duration="+seconds,
		"-c:a", "libopus", "-b:a", "64k", "-frame_duration", "20", "-page_duration", "20000", "-f", "ogg", "-")
	r, _, err := oggreader.NewWith(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for {
		page, _, err := r.ParseNextPage()
		if errors.Is(err, io.EOF) {
			return packets
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(page, []byte("OpusTags")) {
			packets = append(packets, page)
		}
	}
}

// pcm decodes received Opus to mono samples at 48 kHz.
func pcm(t *testing.T, packets []*rtp.Packet) []int16 {
	t.Helper()
	var file bytes.Buffer
	w, err := oggwriter.NewWith(&file, 48000, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range inOrder(packets) {
		if err := w.WriteRTP(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	raw := ffmpeg(t, file.Bytes(), "-f", "ogg", "-i", "-", "-f", "s16le", "-ac", "1", "-ar", "48000", "-")
	out := make([]int16, len(raw)/2)
	for i := range out {
		out[i] = int16(binary.LittleEndian.Uint16(raw[2*i:]))
	}
	return out
}
