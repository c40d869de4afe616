package compose

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4/pkg/media/h264reader"
	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"

	"github.com/chatmed/chatmed/recording/journal"
)

// clip is encoded media: access units and when each is shown.
type clip struct {
	codec string
	rate  uint32
	pts   []time.Duration
	data  [][]byte
	key   []bool
}

func run(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, said.String())
	}
	return out.Bytes()
}

func ffmpeg(t testing.TB, args ...string) []byte {
	t.Helper()
	return run(t, "ffmpeg", append([]string{"-hide_banner", "-loglevel", "error", "-nostdin"}, args...)...)
}

const fps = 30

// video encodes what a filter draws, a key frame each second.
func video(t testing.TB, codec, filter string, seconds float64) clip {
	t.Helper()
	in := []string{"-f", "lavfi", "-i", filter + ",format=yuv420p", "-t", fmt.Sprint(seconds), "-g", strconv.Itoa(fps)}
	c := clip{codec: codec, rate: 90000}
	switch codec {
	case journal.VP8:
		in = append(in, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "0", "-lag-in-frames", "0", "-b:v", "1M", "-f", "ivf", "-")
	case journal.VP9:
		in = append(in, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-b:v", "1M", "-f", "ivf", "-")
	case journal.AV1:
		in = append(in, "-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-b:v", "500k", "-f", "ivf", "-")
	case journal.H264:
		in = append(in, "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-x264-params", "sliced-threads=0:slices=1:aud=1:repeat-headers=1", "-f", "h264", "-")
		c.h264(t, ffmpeg(t, in...))
		return c
	}
	r, _, err := ivfreader.NewWith(bytes.NewReader(ffmpeg(t, in...)))
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, _, err := r.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			return c
		}
		if err != nil {
			t.Fatal(err)
		}
		c.add(data, len(c.data)%fps == 0)
	}
}

func (c *clip) add(data []byte, key bool) {
	c.pts = append(c.pts, time.Duration(len(c.pts))*time.Second/fps)
	c.data = append(c.data, data)
	c.key = append(c.key, key)
}

// h264 splits a stream at its access unit delimiters.
func (c *clip) h264(t testing.TB, b []byte) {
	t.Helper()
	r, err := h264reader.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var unit []byte
	key := false
	end := func() {
		if len(unit) > 0 {
			c.add(unit, key)
		}
		unit, key = nil, false
	}
	for {
		nal, err := r.NextNAL()
		if errors.Is(err, io.EOF) {
			end()
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if nal.UnitType == h264reader.NalUnitTypeAUD {
			end()
			continue
		}
		key = key || nal.UnitType == h264reader.NalUnitTypeCodedSliceIdr
		unit = append(append(unit, 0, 0, 0, 1), nal.Data...)
	}
}

// audio encodes Opus in packets of 20 ms.
func audio(t testing.TB, source string, seconds float64) clip {
	t.Helper()
	b := ffmpeg(t, "-f", "lavfi", "-i", source, "-t", fmt.Sprint(seconds), "-ar", "48000", "-ac", "1", "-c:a", "libopus", "-b:a", "32k", "-application", "audio",
		"-page_duration", "20000", "-f", "ogg", "-")
	r, _, err := oggreader.NewWith(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := clip{codec: journal.Opus, rate: 48000}
	for {
		page, _, err := r.ParseNextPage()
		if errors.Is(err, io.EOF) {
			return c
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(page, []byte("Opus")) {
			continue
		}
		c.pts = append(c.pts, time.Duration(len(c.pts))*20*time.Millisecond)
		c.data = append(c.data, page)
		c.key = append(c.key, false)
	}
}

// sender sends a clip as RTP, from a publisher's clock.
type sender struct {
	journal.Track
	clip
	stream uint32
	layer  uint8
	start  time.Duration // when it begins, on the server's clock
	skew   float64       // of the publisher's wall clock: 200e-6 is fast by 200 ppm
	sample float64       // and of its sampling clock against its wall clock
	ntp    time.Duration // the publisher's clock at the server's 0
	rtp    uint32        // the first timestamp
	delay  func(i int) time.Duration
	lose   func(i, k, of int) bool // packet k of access unit i
	orient func(i int) int8
	silent bool // without reports
	red    bool
	since  int // the first unit that is sent
}

// packets are the entries of everything it sends.
func (s *sender) entries() []journal.Entry {
	payload := payloader(s.codec)
	codec := s.codec
	if s.red {
		codec = journal.RED
	}
	var out []journal.Entry
	seq := uint64(1000 + 10*s.stream)
	lastReport := time.Duration(-1 << 60)
	for i := s.since; i < len(s.data); i++ {
		pub := s.pts[i] // of the publisher's wall clock, since the start
		server := s.start + time.Duration(float64(pub)/(1+s.skew))
		ts := s.rtp + uint32(math.Round(pub.Seconds()*(1+s.sample)*float64(s.rate)))
		at := server + 40*time.Millisecond
		if s.delay != nil {
			at = server + s.delay(i)
		}
		if !s.silent && pub-lastReport >= time.Second {
			lastReport = pub
			wall := s.ntp + time.Duration(float64(s.start)*(1+s.skew)) + pub
			ntp := uint64(3_900_000_000)<<32 + uint64(wall.Seconds()*(1<<32))
			out = append(out, journal.Report{Stream: s.stream, At: at, NTP: ntp, RTP: ts})
		}
		parts := payload.Payload(1100, s.data[i])
		if s.red {
			parts = [][]byte{s.redundant(i)}
		}
		for k, part := range parts {
			seq++
			if s.lose != nil && s.lose(i, k, len(parts)) {
				continue
			}
			orient := int8(-1)
			if s.orient != nil && k == len(parts)-1 {
				orient = s.orient(i)
			}
			out = append(out, &journal.Packet{
				Stream: s.stream, At: at + time.Duration(k)*100*time.Microsecond, ExtSeq: seq, Timestamp: ts, Marker: k == len(parts)-1, KeyFrame: s.key[i] && k == 0,
				Codec: codec, Orientation: orient, Payload: part,
			})
		}
	}
	return out
}

// redundant is packet i with the one before.
func (s *sender) redundant(i int) []byte {
	if i == 0 {
		return append([]byte{111}, s.data[0]...)
	}
	old := s.data[i-1]
	b := []byte{0x80 | 111, byte(960 >> 6), byte(960&63<<2 | len(old)>>8), byte(len(old)), 111}
	return append(append(b, old...), s.data[i]...)
}

func payloader(codec string) rtp.Payloader {
	switch codec {
	case journal.VP8:
		return &codecs.VP8Payloader{EnablePictureID: true}
	case journal.VP9:
		return &codecs.VP9Payloader{InitialPictureIDFn: func() uint16 { return 1 }}
	case journal.AV1:
		return &codecs.AV1Payloader{}
	case journal.H264:
		return &codecs.H264Payloader{}
	}
	return &codecs.OpusPayloader{}
}

// tape is a segment to be.
type tape struct {
	key     *age.X25519Identity
	number  int
	offset  time.Duration // of the segment
	gates   []journal.Gate
	more    []journal.Entry // Muted and others, with times
	senders []*sender
	end     time.Duration
	torn    bool
}

func newKey(t testing.TB) *age.X25519Identity {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var began = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

func entryAt(e journal.Entry) time.Duration {
	switch e := e.(type) {
	case *journal.Packet:
		return e.At
	case journal.Report:
		return e.At
	case journal.Gate:
		return e.At
	case journal.Muted:
		return e.At
	}
	return 0
}

// record writes the segment.
func (tp *tape) record(t testing.TB) []byte {
	t.Helper()
	if tp.gates == nil {
		tp.gates = []journal.Gate{{At: 0, Open: true}}
	}
	var media []journal.Entry
	var out bytes.Buffer
	w, err := journal.NewWriter(&out, journal.Header{
		RecordingID: "rec_1", SessionID: "vid_1", Segment: tp.number, StartedAt: began.Add(tp.offset), RecordingStartedAt: began,
	}, tp.key.Recipient())
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(err)
	for i, s := range tp.senders {
		if s.stream == 0 {
			s.stream = uint32(i + 1)
		}
		if s.ID == 0 {
			s.ID = uint16(i + 1)
		}
		check(w.Append(s.Track))
		check(w.Append(journal.Stream{ID: s.stream, Track: s.ID, Layer: s.layer, ClockRate: s.rate}))
		for _, e := range s.entries() {
			if tp.open(entryAt(e)) {
				media = append(media, e)
			}
		}
	}
	for _, g := range tp.gates {
		media = append(media, g)
	}
	media = append(media, tp.more...)
	slices.SortStableFunc(media, func(a, b journal.Entry) int { return cmp.Compare(entryAt(a), entryAt(b)) })
	frame := time.Duration(0)
	for _, e := range media {
		if at := entryAt(e); at-frame > time.Second {
			frame = at
			check(w.Flush())
		}
		check(w.Append(e))
	}
	check(w.Flush())
	if !tp.torn {
		check(w.Append(journal.End{At: tp.end, Reason: "stopped"}))
		check(w.Flush())
	}
	return out.Bytes()
}

func (tp *tape) open(at time.Duration) bool {
	open := false
	for _, g := range tp.gates {
		if g.At <= at {
			open = g.Open
		}
	}
	return open && at >= 0 && at < tp.end
}

func opener(b []byte) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// composeAll makes files of segments and returns where they are.
func composeAll(t testing.TB, opt Options, key *age.X25519Identity, segments ...[]byte) (*Report, map[string]string) {
	t.Helper()
	in := Input{Identities: []age.Identity{key}}
	for _, b := range segments {
		in.Segments = append(in.Segments, opener(b))
	}
	dir, private := t.TempDir(), t.TempDir()
	if keep := os.Getenv("COMPOSE_KEEP"); keep != "" {
		dir = keep
	}
	paths := map[string]string{}
	report, err := Compose(t.Context(), Config{Dir: private, Width: 640, Height: 360}, in, opt, func(_ context.Context, f File, r io.Reader) error {
		path := filepath.Join(dir, f.ID+f.Ext)
		out, err := os.Create(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, r)
		paths[f.ID] = path
		return errors.Join(err, out.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(private); err != nil || len(left) > 0 {
		t.Errorf("left in the private directory: %v %v", left, err)
	}
	return report, paths
}

// pixels decodes the mean colour of parts of the picture, x:y:w:h, at fps frames a
// second: red, green, blue.
func pixels(t testing.TB, path, part string) [][3]int {
	t.Helper()
	b := ffmpeg(t, "-i", path, "-map", "0:v:0", "-vf", "fps="+strconv.Itoa(fps)+",crop="+part+",scale=1:1:flags=area,format=rgb24", "-f", "rawvideo", "-")
	out := make([][3]int, len(b)/3)
	for i := range out {
		out[i] = [3]int{int(b[3*i]), int(b[3*i+1]), int(b[3*i+2])}
	}
	return out
}

// samples decodes the sound as one channel of 48 kHz.
func samples(t testing.TB, path string, from, lasts float64) []float64 {
	t.Helper()
	b := ffmpeg(t, "-i", path, "-map", "0:a:0", "-af", fmt.Sprintf("aresample=48000:async=1:first_pts=0,atrim=%f:%f", from, from+lasts), "-ac", "1", "-f", "s16le", "-")
	out := make([]float64, len(b)/2)
	for i := range out {
		out[i] = float64(int16(uint16(b[2*i])|uint16(b[2*i+1])<<8)) / 32768
	}
	return out
}

// power is how much of a frequency there is (Goertzel), about 1 for a pure tone of
// amplitude 1.
func power(s []float64, hz float64) float64 {
	re, im := 0.0, 0.0
	for i, v := range s {
		a := 2 * math.Pi * hz * float64(i) / 48000
		re += v * math.Cos(a)
		im += v * math.Sin(a)
	}
	return 2 * math.Hypot(re, im) / float64(max(1, len(s)))
}

func duration(t testing.TB, path string) float64 {
	t.Helper()
	b := run(t, "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", path)
	d, err := strconv.ParseFloat(strings.TrimSpace(string(b)), 64)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func near(c [3]int, want [3]int) bool {
	for i := range c {
		if c[i] < want[i]-45 || c[i] > want[i]+45 {
			return false
		}
	}
	return true
}

var (
	red   = [3]int{254, 0, 0}
	blue  = [3]int{0, 0, 254}
	white = [3]int{255, 255, 255}
)
