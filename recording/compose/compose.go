// Package compose makes playable files of a recording's segments: every track
// alone, as it was received, and one picture of the whole consultation. It has
// all the time it wants, and so repairs what the call had no time for: packets are
// put in order, lost sound is taken from its redundant copy, and a picture of
// which something is missing is never shown, nor any that is built upon it.
//
// Decoding and encoding is done by ffmpeg, called with a fixed list of arguments
// and never through a shell; text reaches it in a subtitle file (libass shapes it
// with HarfBuzz and finds fonts by fontconfig, so Arabic and any mixture of scripts
// come out right), and never as part of a filter. Everything in clear lies in a
// private directory that is removed whatever happens.
package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
)

// Config is how files are made. The zero value of a field is its default.
type Config struct {
	// Dir is where the private directory of each composition is made: os.TempDir.
	Dir string
	// FFmpeg and FFprobe are the programs.
	FFmpeg, FFprobe string
	// Width, Height and FrameRate are of the composed picture: 1280, 720, 30.
	Width, Height, FrameRate int
	// Nice is what the programs' priority is lowered by: 10; negative: not at all.
	Nice int
	Log  *slog.Logger
}

// Input is a recording.
type Input struct {
	// Segments open the segments' files, in any order.
	Segments   []func(ctx context.Context) (io.ReadCloser, error)
	Identities []age.Identity
}

// Options is what is wanted of a recording.
type Options struct {
	WebM, MP4 bool // the composed file
	Tracks    bool // every track alone
	// Compact shortens pauses to a few seconds. Otherwise they last as long as
	// they did.
	Compact bool
	// Salvage takes what comes before the first change of a segment that was
	// tampered with or damaged. Otherwise such a segment is an error.
	Salvage bool
	// Language of the captions: en, fr or ar.
	Language string
	// Progress, if not nil, is called with 0 to 1, never less than before.
	Progress func(done float64)
}

// File is one file that was made.
type File struct {
	ID       string // composed-webm, composed-mp4, track-<n>
	Type     string // media type
	Ext      string // with its dot
	Size     int64
	Duration time.Duration
	// Track is what a single track holds, nil of a composed file.
	Track *TrackInfo
	// Transcoded says of a track that it was encoded anew: its codec or its
	// rotation changed on the way, which no file can say.
	Transcoded bool
}

// TrackInfo says whose track it is.
type TrackInfo struct {
	Number                            int
	ParticipantID, Role, Name, Source string
}

// Report says what came of a composition.
type Report struct {
	RecordingID string
	// Offset is the start of the files on the recording's timeline: the gate's
	// first opening.
	Offset   time.Duration
	Duration time.Duration
	Files    []File
	// Warnings are sentences about what was not whole, without names.
	Warnings []string
	// Losses count what could not be shown.
	Losses Losses
}

// Losses counts what was not whole.
type Losses struct {
	Recovered int // sound packets from redundant copies
	Sound     int // sound packets that never came
	Pictures  int // pictures dropped: incomplete, or built upon one that was
}

// Errors that a caller tells apart.
var (
	// ErrEmpty: nothing was recorded.
	ErrEmpty = errors.New("compose: nothing was recorded: the gate never opened, or nobody sent anything")
	// ErrMixed: the segments are not of one recording, or one is given twice.
	ErrMixed = errors.New("compose: the segments do not belong together")
)

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.Width, 1280)
	def(&c.Height, 720)
	def(&c.FrameRate, 30)
	def(&c.Nice, 10)
	if c.FFmpeg == "" {
		c.FFmpeg = "ffmpeg"
	}
	if c.FFprobe == "" {
		c.FFprobe = "ffprobe"
	}
	if c.Dir == "" {
		c.Dir = os.TempDir()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// job is one composition at work.
type job struct {
	cfg    Config
	opt    Options
	dir    string
	report *Report
	told   float64
}

// dirPrefix names private directories, so that Sweep knows them.
const dirPrefix = "chatmed-compose-"

// Compose reads a recording and makes the files of it that are wanted. deliver
// is called with each of them, whose reader is good until it returns. When
// Compose returns nothing of it is left on the disk.
func Compose(ctx context.Context, cfg Config, in Input, opt Options, deliver func(context.Context, File, io.Reader) error) (report *Report, err error) {
	cfg = cfg.withDefaults()
	dir, err := os.MkdirTemp(cfg.Dir, dirPrefix) // 0700
	if err != nil {
		return nil, fmt.Errorf("compose: %w", err)
	}
	defer func() {
		if rm := os.RemoveAll(dir); rm != nil {
			err = errors.Join(err, fmt.Errorf("compose: private directory: %w", rm))
		}
	}()
	j := &job{cfg: cfg, opt: opt, dir: dir, report: &Report{}}
	if err := j.run(ctx, in, deliver); err != nil {
		return j.report, err
	}
	return j.report, nil
}

// Sweep removes what a crash left in dir. Nothing may be composing there.
func Sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, dirPrefix+"*"))
	if err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	if err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	return nil
}

func (j *job) run(ctx context.Context, in Input, deliver func(context.Context, File, io.Reader) error) error {
	src, err := newSource(filepath.Join(j.dir, "spool"))
	if err != nil {
		return err
	}
	defer src.close()
	if err := src.readAll(ctx, in, j.opt.Salvage); err != nil {
		return err
	}
	j.report.RecordingID, j.report.Warnings = src.recording, src.warnings
	j.progress(0.05)
	show, err := src.arrange(j.opt.Compact, &j.report.Losses)
	if err != nil {
		return err
	}
	j.report.Offset, j.report.Duration = show.from, show.length
	j.progress(0.1)
	for _, a := range show.audio {
		if err := j.writeAudio(ctx, show, a); err != nil {
			return err
		}
	}
	if j.opt.WebM || j.opt.MP4 {
		end := 1.0
		if j.opt.Tracks {
			end = 0.9
		}
		if err := j.composed(ctx, show, end, deliver); err != nil {
			return err
		}
	}
	if j.opt.Tracks {
		if err := j.tracks(ctx, show, deliver); err != nil {
			return err
		}
	}
	j.progress(1)
	return nil
}

func (j *job) progress(done float64) {
	if done > j.told && j.opt.Progress != nil {
		j.told = min(done, 1)
		j.opt.Progress(j.told)
	}
}

// hand delivers a file of the private directory and removes it.
func (j *job) hand(ctx context.Context, name string, f File, deliver func(context.Context, File, io.Reader) error) error {
	path := filepath.Join(j.dir, name)
	in, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	defer func() { err = errors.Join(in.Close(), os.Remove(path)) }()
	st, err := in.Stat()
	if err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	f.Size = st.Size()
	if err := deliver(ctx, f, in); err != nil {
		return fmt.Errorf("compose: %s: %w", f.ID, err)
	}
	j.report.Files = append(j.report.Files, f)
	return nil
}
