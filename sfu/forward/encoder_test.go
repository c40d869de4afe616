package forward

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os/exec"
	"testing"
	"time"

	"github.com/pion/rtp/codecs"
)

// encode lets ffmpeg encode 25 frames of its test picture, a key frame every 10.
func encode(t *testing.T, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	all := append([]string{
		"-hide_banner", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25",
		"-frames:v", "25", "-g", "10", "-keyint_min", "10",
	}, args...)
	cmd := exec.CommandContext(ctx, "ffmpeg", append(all, "pipe:1")...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, errs.String())
	}
	return out.Bytes()
}

// ivfFrames splits an IVF file: a header of 32 bytes, then each frame behind 12.
func ivfFrames(t *testing.T, file []byte) (frames [][]byte) {
	t.Helper()
	r := bytes.NewReader(file[32:])
	for {
		var head [12]byte
		if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) {
			return frames
		} else if err != nil {
			t.Fatal(err)
		}
		frame := make([]byte, binary.LittleEndian.Uint32(head[:]))
		if _, err := io.ReadFull(r, frame); err != nil {
			t.Fatal(err)
		}
		frames = append(frames, frame)
	}
}

// accessUnits splits an Annex B stream at its access unit delimiters.
func accessUnits(stream []byte) [][]byte {
	parts := bytes.Split(stream, []byte{0, 0, 0, 1, 9})
	for i, part := range parts[1:] {
		parts[i+1] = append([]byte{0, 0, 0, 1, 9}, part...)
	}
	return parts[1:]
}

type payloader interface {
	Payload(mtu uint16, payload []byte) [][]byte
}

// checkKeyFrames packetises the frames and expects a key frame exactly at the
// first packet of frames 0, 10 and 20 (or, with moreKeys, in the same frame again).
func checkKeyFrames(t *testing.T, c Codec, p payloader, frames [][]byte, moreKeys bool) {
	t.Helper()
	if len(frames) != 25 {
		t.Fatalf("%d frames", len(frames))
	}
	packets := 0
	for i, frame := range frames {
		keys := 0
		for j, payload := range p.Payload(400, frame) {
			packets++
			info, ok := Inspect(c, payload)
			if !ok {
				t.Fatalf("frame %d, packet %d is refused", i, j)
			}
			if info.KeyFrame {
				keys++
			}
			if j == 0 && info.KeyFrame != (i%10 == 0) {
				t.Errorf("frame %d: key frame %v at its first packet", i, info.KeyFrame)
			}
		}
		if i%10 != 0 && keys > 0 || i%10 == 0 && keys != 1 && !moreKeys {
			t.Errorf("frame %d: %d key frame starts", i, keys)
		}
	}
	if packets < 40 {
		t.Errorf("only %d packets: frames are not split", packets)
	}
}

func TestEncodedVP8(t *testing.T) {
	frames := ivfFrames(t, encode(t, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "800k", "-f", "ivf"))
	checkKeyFrames(t, CodecVP8, &codecs.VP8Payloader{EnablePictureID: true}, frames, false)
	checkKeyFrames(t, CodecVP8, &codecs.VP8Payloader{}, frames, false)
}

func TestEncodedVP9(t *testing.T) {
	frames := ivfFrames(t, encode(t, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "800k", "-f", "ivf"))
	checkKeyFrames(t, CodecVP9, &codecs.VP9Payloader{FlexibleMode: true}, frames, false)
	checkKeyFrames(t, CodecVP9, &codecs.VP9Payloader{}, frames, false)
}

func TestEncodedH264(t *testing.T) {
	// Four slices a picture: only the first of an IDR picture may start.
	stream := encode(t, "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p",
		"-x264-params", "slices=4:scenecut=0:aud=1", "-b:v", "800k", "-f", "h264")
	checkKeyFrames(t, CodecH264, &codecs.H264Payloader{}, accessUnits(stream), true)
	single := &codecs.H264Payloader{DisableStapA: true}
	checkKeyFrames(t, CodecH264, single, accessUnits(stream), true)
	for _, unit := range accessUnits(stream)[:1] {
		keys := 0
		for _, payload := range single.Payload(1<<15, unit) {
			if key, _ := InspectH264(payload); key {
				keys++
			}
		}
		if keys != 2 { // the SPS and the first slice
			t.Errorf("%d of the key frame's units may start", keys)
		}
	}
}

func TestEncodedAV1(t *testing.T) {
	frames := ivfFrames(t, encode(t, "-c:v", "libsvtav1", "-preset", "12", "-pix_fmt", "yuv420p",
		"-svtav1-params", "pred-struct=1:keyint=10:scd=0", "-b:v", "800k", "-f", "ivf"))
	checkKeyFrames(t, CodecAV1, &codecs.AV1Payloader{}, frames, false)
}

func TestEncodedOpus(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, ms := range []string{"10", "20", "60"} {
		cmd := exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-loglevel", "error", "-f", "lavfi", "-i",
			"sine=frequency=440:sample_rate=48000:duration=1", "-c:a", "libopus", "-ac", "2", "-b:a", "64k",
			"-frame_duration", ms, "-map", "0:a", "-f", "data", "-flush_packets", "1", "pipe:1")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		d, ok := ParseOpus(out)
		if !ok || d.Duration.String() != ms+"ms" {
			t.Errorf("%s ms: %+v, %v", ms, d, ok)
		}
	}
}
