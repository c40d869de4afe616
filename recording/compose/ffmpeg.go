package compose

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// program is a command with what it needs not to get out of hand: it is killed
// with its context, and what it says is bounded.
type program struct {
	*exec.Cmd
	said tail
}

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailBytes = 2000

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if len(t.b) > tailBytes {
		t.b = t.b[len(t.b)-tailBytes:]
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.b))
}

// ffmpeg is a call of it in the private directory, with a fixed list of
// arguments.
func (j *job) ffmpeg(ctx context.Context, args ...string) *program {
	name := j.cfg.FFmpeg
	args = append([]string{"-hide_banner", "-nostats", "-loglevel", "error"}, args...)
	if nice, err := exec.LookPath("nice"); err == nil && j.cfg.Nice > 0 {
		args = append([]string{"-n", strconv.Itoa(j.cfg.Nice), name}, args...)
		name = nice
	}
	p := &program{Cmd: exec.CommandContext(ctx, name, args...)}
	p.Dir = j.dir
	p.Stderr = &p.said
	p.WaitDelay = 5 * time.Second
	// Nothing of the server's settings, which hold secrets, and fontconfig's cache.
	p.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + j.dir, "LANG=C.UTF-8"}
	return p
}

// failed says what came of the program.
func (p *program) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("compose: ffmpeg is not installed: %w", err)
	}
	return fmt.Errorf("compose: ffmpeg: %w: %s", err, p.said.String())
}

// decoder shows the pictures of one shot.
type decoder struct {
	shot   *shot
	cancel context.CancelFunc
	cmd    *program
	fed    chan struct{} // closed when the feeder has ended
	feed   error         // read after fed
	in     mkvReader
	w, h   int
	log    *slog.Logger

	now, ahead shown
	any        bool // now is a picture
	more       bool // ahead is one
	fresh      bool // now has changed since it was last asked for
	frame      int  // of the shot, that now is of
	count      int
}

// shown is a decoded picture.
type shown struct {
	pts time.Duration // on the timeline of the files
	buf []byte
}

// decode starts a decoder. Its pictures are at most limit pixels wide and high.
func (j *job) decode(ctx context.Context, src *source, sh *shot, limit int) (*decoder, error) {
	first := sh.frames[0]
	w, h := first.size.w, first.size.h
	if max(w, h) > limit {
		w, h = within(w, h, limit, limit)
	}
	w, h = max(2, even(w)), max(2, even(h))
	ctx, cancel := context.WithCancel(ctx)
	size := strconv.Itoa(w) + ":" + strconv.Itoa(h)
	d := &decoder{shot: sh, cancel: cancel, w: w, h: h, fed: make(chan struct{}), log: j.cfg.Log}
	d.cmd = j.ffmpeg(ctx, "-threads", "1", "-copyts", "-f", "matroska", "-i", "pipe:0", "-map", "0:v:0",
		"-vf", "scale="+size+":force_original_aspect_ratio=decrease:flags=bilinear,pad="+size+":-1:-1,setsar=1,format=yuv420p",
		"-fps_mode", "passthrough", "-c:v", "rawvideo", "-f", "matroska", "pipe:1")
	stdin, err := d.cmd.StdinPipe()
	if err != nil {
		cancel()
		return nil, fmt.Errorf("compose: %w", err)
	}
	stdout, err := d.cmd.StdoutPipe()
	if err == nil {
		err = d.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, d.cmd.failed(ctx, err)
	}
	d.in.r = bufio.NewReaderSize(stdout, 1<<18)
	go func() {
		defer close(d.fed)
		d.feed = errors.Join(src.mux(sh, stdin), stdin.Close())
	}()
	d.read()
	return d, nil
}

// mux writes a shot as Matroska, from 0.
func (s *source) mux(sh *shot, w io.Writer) error {
	first := &sh.frames[0]
	m, err := streamMKV(w, mkvTrack{codec: first.codec, size: first.size, private: first.private})
	if err != nil {
		return err
	}
	for i := range sh.frames {
		data, err := s.unit(&sh.frames[i])
		if err != nil {
			return err
		}
		if err := m.write(sh.frames[i].pts-sh.from, sh.frames[i].key, data); err != nil {
			return err
		}
	}
	return m.close(0)
}

// read decodes one picture ahead.
func (d *decoder) read() {
	pts, data, err := d.in.next(d.ahead.buf)
	d.more = err == nil && len(data) >= blockHead+pictureBytes(d.w, d.h)
	d.ahead = shown{d.shot.from + pts, data}
	if d.more {
		d.count++
	}
}

// at is the picture to be shown at a time, which must not fall; false before the
// first.
func (d *decoder) at(t time.Duration) bool {
	for d.more && d.ahead.pts <= t {
		d.now, d.ahead = d.ahead, d.now
		d.any, d.fresh = true, true
		d.read()
	}
	return d.any
}

// picture is what at found, and how it is to be turned.
func (d *decoder) picture() (picture, int8) {
	d.fresh = false
	// Times went through milliseconds.
	for d.frame+1 < len(d.shot.frames) && d.shot.frames[d.frame+1].pts <= d.now.pts+time.Millisecond {
		d.frame++
	}
	return over(d.now.buf[blockHead:], d.w, d.h), d.shot.frames[d.frame].orient
}

// close ends the decoder and reports whether it gave nothing.
func (d *decoder) close() (nothing bool) {
	d.cancel()
	err := d.cmd.Wait() // after which the pipe is closed, and the feeder ends
	<-d.fed
	if d.count == 0 {
		d.log.Warn("pictures could not be decoded", "codec", d.shot.frames[0].codec, "err", errors.Join(err, d.feed))
	}
	return d.count == 0
}
