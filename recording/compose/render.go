package compose

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/chatmed/chatmed/recording/journal"
)

// Files of the private directory. The subtitle file is named in a filter, and so
// has a name that needs no quoting.
const (
	captionsFile = "captions.ass"
	webmFile     = "composed.webm"
	mp4File      = "composed.mp4"
)

// Colours, as Y, Cb and Cr.
var (
	ground   = [3]byte{22, 128, 128}
	noCamera = [3]byte{38, 129, 127}
	black    = [3]byte{16, 128, 128}
)

// painter draws the composed picture, tick by tick.
type painter struct {
	j      *job
	show   *show
	scenes []scene
	scene  int
	canvas picture
	buf    []byte
	tiles  []tileState
	open   map[*videoTrack]*decoder
	scaler scaler
	turn   []byte
	broken int // shots of which nothing could be decoded
}

// tileState is what a tile shows now.
type tileState struct {
	drawn bool
	shot  *shot // nil: its card
}

func (j *job) newPainter(show *show, scenes []scene) *painter {
	p := &painter{j: j, show: show, scenes: scenes, scene: -1, open: map[*videoTrack]*decoder{}}
	p.buf = make([]byte, pictureBytes(j.cfg.Width, j.cfg.Height))
	p.canvas = over(p.buf, j.cfg.Width, j.cfg.Height)
	return p
}

// paint draws what is to be seen at a time, which must not fall.
func (p *painter) paint(ctx context.Context, at time.Duration) error {
	for p.scene+1 < len(p.scenes) && (p.scene < 0 || p.scenes[p.scene].to <= at) {
		p.scene++
		p.tiles = make([]tileState, len(p.scenes[p.scene].tiles))
		if p.scenes[p.scene].pause != nil {
			p.canvas.fill(black)
		} else {
			p.canvas.fill(ground)
		}
	}
	if p.scene < 0 {
		p.canvas.fill(ground)
		return nil
	}
	tiles := p.scenes[p.scene].tiles
	for i := range tiles {
		if err := p.tile(ctx, &tiles[i], &p.tiles[i], at); err != nil {
			return err
		}
	}
	return nil
}

func (p *painter) tile(ctx context.Context, t *tile, s *tileState, at time.Duration) error {
	var sh *shot
	if t.video != nil {
		sh = t.video.shot(at)
	}
	inner := rect{t.x + 2, t.y + 2, t.w - 4, t.h - 4}
	var d *decoder
	if sh != nil {
		var err error
		if d, err = p.decoder(ctx, t.video, sh); err != nil {
			return err
		}
		if !d.at(at + p.j.half()) {
			sh = nil
		}
	}
	if s.drawn && s.shot == sh && (sh == nil || !d.fresh) {
		return nil
	}
	s.drawn, s.shot = true, sh
	part := p.canvas.part(inner)
	if sh == nil {
		part.fill(noCamera)
		return nil
	}
	pic, orient := d.picture()
	pic, p.turn = pic.turned(orient, p.turn)
	p.scaler.draw(part, pic, black)
	return nil
}

// half is half a tick: the nearest one shows a picture.
func (j *job) half() time.Duration { return time.Second / time.Duration(2*j.cfg.FrameRate) }

// decoder is the one that shows sh, started if need be. The one before it ends.
func (p *painter) decoder(ctx context.Context, v *videoTrack, sh *shot) (*decoder, error) {
	d := p.open[v]
	if d != nil && d.shot == sh {
		return d, nil
	}
	p.end(v)
	d, err := p.j.decode(ctx, p.show.src, sh, max(p.j.cfg.Width, p.j.cfg.Height))
	if err != nil {
		return nil, err
	}
	p.open[v] = d
	return d, nil
}

func (p *painter) end(v *videoTrack) {
	if d := p.open[v]; d != nil {
		delete(p.open, v)
		if d.close() {
			p.broken++
		}
	}
}

func (p *painter) close() {
	for v := range p.open {
		p.end(v)
	}
	if p.broken > 0 {
		p.j.report.Warnings = append(p.j.report.Warnings, fmt.Sprintf("%d stretches of video could not be decoded.", p.broken))
	}
}

// render feeds an encoder with the picture of every tick.
func (j *job) render(ctx context.Context, p *painter, w io.Writer) error {
	defer p.close()
	for n := 0; ; n++ {
		at := time.Duration(n) * time.Second / time.Duration(j.cfg.FrameRate)
		if at >= p.show.length && n > 0 {
			return nil
		}
		if err := p.paint(ctx, at); err != nil {
			return err
		}
		if _, err := w.Write(p.buf); err != nil {
			return fmt.Errorf("compose: encoder: %w", err)
		}
	}
}

// composed makes the composed files.
func (j *job) composed(ctx context.Context, show *show, end float64, deliver func(context.Context, File, io.Reader) error) error {
	scenes := show.scenes(j.cfg.Width, j.cfg.Height)
	if err := j.captions(show, scenes); err != nil {
		return err
	}
	defer func() { _ = os.Remove(filepath.Join(j.dir, captionsFile)) }()
	args, files := j.encoderArgs(show)
	p := j.newPainter(show, scenes)
	if err := j.encode(ctx, p, args, end); err != nil {
		return err
	}
	for _, f := range files {
		if err := j.hand(ctx, f.name, f.File, deliver); err != nil {
			return err
		}
	}
	return nil
}

// made is a file of the private directory.
type made struct {
	File
	name string
}

// encoderArgs are ffmpeg's: the picture comes over its standard input, sound from
// the tracks' files, which it mixes.
func (j *job) encoderArgs(show *show) ([]string, []made) {
	rate := strconv.Itoa(j.cfg.FrameRate)
	length := strconv.FormatFloat(show.length.Seconds(), 'f', 3, 64)
	args := []string{"-y", "-progress", "pipe:1",
		"-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", fmt.Sprintf("%dx%d", j.cfg.Width, j.cfg.Height), "-framerate", rate, "-i", "pipe:0"}
	var filter strings.Builder
	mixed := ""
	for i, a := range show.audio {
		args = append(args, "-f", "matroska", "-i", a.name())
		// The publisher's sample clock is stretched to the server's, by 0.2 % at most,
		// which nobody hears.
		fmt.Fprintf(&filter, "[%d:a]aresample=48000:async=96:min_comp=0.01:min_hard_comp=0.1:first_pts=0,aformat=sample_fmts=fltp:channel_layouts=stereo[a%d];", i+1, i)
		mixed += fmt.Sprintf("[a%d]", i)
	}
	if len(show.audio) == 0 {
		filter.WriteString("anullsrc=r=48000:cl=stereo[mix];")
	} else {
		fmt.Fprintf(&filter, "%samix=inputs=%d:normalize=0:dropout_transition=0,alimiter=limit=0.95:level=false[mix];", mixed, len(show.audio))
	}
	outs := 0
	split := func(yes bool, v, a string) (string, string) {
		if yes {
			outs++
			v, a = v+"["+"v"+strconv.Itoa(outs)+"]", a+"[s"+strconv.Itoa(outs)+"]"
		}
		return v, a
	}
	v, a := split(j.opt.WebM, "", "")
	v, a = split(j.opt.MP4, v, a)
	fmt.Fprintf(&filter, "[mix]apad,atrim=end=%s,asplit=%d%s;[0:v]ass=%s,split=%d%s", length, outs, a, captionsFile, outs, v)
	args = append(args, "-filter_complex", filter.String())
	var files []made
	n := 0
	key := strconv.Itoa(2 * j.cfg.FrameRate)
	add := func(name string, f File, more ...string) {
		n++
		args = append(args, "-map", fmt.Sprintf("[v%d]", n), "-map", fmt.Sprintf("[s%d]", n))
		args = append(args, more...)
		args = append(args, "-g", key, "-metadata", "encoder=ChatMed", "-t", length, name)
		f.Duration = show.length
		files = append(files, made{f, name})
	}
	if j.opt.WebM {
		add(webmFile, File{ID: "composed-webm", Type: "video/webm", Ext: ".webm"},
			"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "6", "-b:v", "1500k", "-crf", "16", "-qmax", "50", "-auto-alt-ref", "0", "-threads", "2",
			"-c:a", "libopus", "-b:a", "64k", "-cues_to_front", "1")
	}
	if j.opt.MP4 {
		add(mp4File, File{ID: "composed-mp4", Type: "video/mp4", Ext: ".mp4"},
			"-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p", "-threads", "2",
			"-c:a", "aac", "-b:a", "96k", "-movflags", "+faststart")
	}
	return args, files
}

// encode runs the encoder over what p paints, and tells how far it is.
func (j *job) encode(ctx context.Context, p *painter, args []string, end float64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := j.ffmpeg(ctx, args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return cmd.failed(ctx, err)
	}
	painted := make(chan error, 1)
	go func() {
		err := j.render(ctx, p, stdin)
		painted <- errors.Join(err, stdin.Close())
	}()
	from := j.told
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if us, found := strings.CutPrefix(lines.Text(), "out_time_us="); found {
			if n, err := strconv.ParseFloat(us, 64); err == nil && n > 0 {
				j.progress(from + (end-from)*min(0.99, n/float64(p.show.length.Microseconds())))
			}
		}
	}
	err = cmd.Wait() // closes the pipe under the painter, if it still paints
	drawn := <-painted
	if err != nil {
		return cmd.failed(ctx, err)
	}
	if errors.Is(drawn, syscall.EPIPE) || errors.Is(drawn, os.ErrClosed) {
		return nil // it had all it wanted
	}
	return drawn
}

// tracks makes a file of every track.
func (j *job) tracks(ctx context.Context, show *show, deliver func(context.Context, File, io.Reader) error) error {
	for _, a := range show.audio {
		info := a.TrackInfo
		f := File{ID: trackID(a.track), Type: "audio/webm", Ext: ".webm", Duration: show.length, Track: &info}
		if err := j.hand(ctx, a.name(), f, deliver); err != nil {
			return err
		}
	}
	for i, v := range show.video {
		info := v.TrackInfo
		f := File{ID: trackID(v.track), Type: "video/webm", Ext: ".webm", Duration: show.length, Track: &info}
		name := f.ID + ".mkv"
		var err error
		if uniform(v) {
			if !webm(v.gops[0].frames[0].codec) {
				f.Type, f.Ext = "video/x-matroska", ".mkv"
			}
			err = j.remux(show, v, name)
		} else {
			f.Transcoded = true
			name = f.ID + ".webm"
			err = j.solo(ctx, show, v, name)
		}
		if err == nil {
			err = j.hand(ctx, name, f, deliver)
		}
		if err != nil {
			return err
		}
		j.progress(0.9 + 0.1*float64(i+1)/float64(len(show.video)))
	}
	return nil
}

func trackID(t *track) string { return "track-" + strconv.Itoa(t.Number) }

// uniform reports whether one file can hold a track as it was received: one codec,
// and one rotation.
func uniform(v *videoTrack) bool {
	first := v.gops[0].frames[0]
	for i := range v.gops {
		for k := range v.gops[i].frames {
			if f := &v.gops[i].frames[k]; f.codec != first.codec || f.orient&7 != first.orient&7 || f.orient&4 != 0 {
				return false
			}
		}
		// Parameter sets may change within a file, if they do not change the size.
		if f := v.gops[i].frames[0]; f.codec == journal.H264 && f.size != first.size {
			return false
		}
	}
	return true
}

// remux writes a track as it was received.
func (j *job) remux(show *show, v *videoTrack, name string) error {
	first := v.gops[0].frames[0]
	m, err := createMKV(filepath.Join(j.dir, name), mkvTrack{
		codec: first.codec, size: first.size, private: first.private, turn: int(first.orient & 3),
	})
	if err != nil {
		return err
	}
	for i := range v.gops {
		for k := range v.gops[i].frames {
			f := &v.gops[i].frames[k]
			data, err := show.src.unit(f)
			if err == nil {
				err = m.write(f.pts, f.key, data)
			}
			if err != nil {
				return m.abort(err)
			}
		}
	}
	return m.close(show.length)
}

// solo encodes a track anew, upright.
func (j *job) solo(ctx context.Context, show *show, v *videoTrack, name string) error {
	one := &tile{rect: rect{-2, -2, j.cfg.Width + 4, j.cfg.Height + 4}, video: v}
	p := j.newPainter(show, []scene{{span: span{0, show.length}, tiles: []tile{*one}}})
	rate := strconv.Itoa(j.cfg.FrameRate)
	return j.encode(ctx, p, []string{"-y", "-progress", "pipe:1",
		"-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", fmt.Sprintf("%dx%d", j.cfg.Width, j.cfg.Height), "-framerate", rate, "-i", "pipe:0",
		"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "6", "-b:v", "2M", "-auto-alt-ref", "0", "-g", strconv.Itoa(2 * j.cfg.FrameRate),
		"-threads", "2", "-f", "webm", name}, j.told)
}
