package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/chatmed/chatmed/recording/compose"
	"github.com/chatmed/chatmed/recording/journal"
)

const recordingsUsage = "recordings export --identity KEYFILE --out FILE.mp4|FILE.webm [--tracks] [--compact] SEGMENT"

// recordingsCommand composes a recording on this machine, with a private key that
// no server has.
func recordingsCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) == 0 {
		return errors.New("recordings needs a command: " + recordingsUsage)
	}
	switch args[0] {
	case "export":
		return exportRecording(ctx, args[1:], out, progress)
	case "help", "-h", "-help", "--help":
		return flag.ErrHelp
	}
	return fmt.Errorf("unknown command recordings %s: %s", args[0], recordingsUsage)
}

// exportFlags are what recordings export is asked for.
type exportFlags struct {
	identity, out string
	segments      []string
	compose.Options
}

func parseExport(args []string) (f exportFlags, err error) {
	set := flag.NewFlagSet("chatmed recordings export", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&f.identity, "identity", "", "file with the private age key, AGE-SECRET-KEY-1…")
	set.StringVar(&f.out, "out", "", "new file to write, .mp4 or .webm")
	set.BoolVar(&f.Tracks, "tracks", false, "also write every track alone, beside it")
	set.BoolVar(&f.Compact, "compact", false, "shorten pauses to two seconds")
	set.BoolVar(&f.Salvage, "salvage", false, "take what comes before the first change of a damaged segment")
	set.StringVar(&f.Language, "language", "en", "of the captions: en, fr or ar")
	for { // flags may stand behind segments
		if err := set.Parse(args); err != nil {
			return f, fmt.Errorf("%w: %s", err, recordingsUsage)
		}
		if args = set.Args(); len(args) == 0 {
			break
		}
		f.segments = append(f.segments, args[0])
		args = args[1:]
	}
	switch strings.ToLower(filepath.Ext(f.out)) {
	case ".mp4":
		f.MP4 = true
	case ".webm":
		f.WebM = true
	default:
		return f, errors.New("recordings export needs --out FILE.mp4 or --out FILE.webm, a file that does not exist yet")
	}
	switch {
	case f.identity == "":
		return f, errors.New("recordings export needs --identity KEYFILE, the file with the private age key")
	case len(f.segments) == 0:
		return f, errors.New("recordings export needs the files of the recording's segments: " + recordingsUsage)
	}
	return f, nil
}

func exportRecording(ctx context.Context, args []string, out, progress io.Writer) error {
	f, err := parseExport(args)
	if err != nil {
		return err
	}
	in := compose.Input{}
	if in.Identities, err = readIdentities(f.identity); err != nil {
		return err
	}
	for _, path := range f.segments {
		in.Segments = append(in.Segments, func(context.Context) (io.ReadCloser, error) { return os.Open(path) })
	}
	told := -1
	f.Progress = func(done float64) {
		if now := int(done * 100); now > told && progress != nil {
			told = now
			fmt.Fprintf(progress, "\r%3d %%", now)
		}
	}
	e := &exporter{base: strings.TrimSuffix(f.out, filepath.Ext(f.out)), out: f.out}
	// What is in clear on the way stays beside the file that is asked for.
	report, err := compose.Compose(ctx, compose.Config{Dir: filepath.Dir(f.out)}, in, f.Options, e.write)
	if told >= 0 {
		fmt.Fprint(progress, "\r")
	}
	if err != nil {
		return errors.Join(exportError(err), e.undo())
	}
	return e.tell(out, report)
}

// readIdentities reads a file of age keys. Errors do not quote it.
func readIdentities(path string) ([]age.Identity, error) {
	b, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	ids, err := age.ParseIdentities(io.LimitReader(b, 1<<20))
	if closed := b.Close(); err != nil || closed != nil {
		return nil, fmt.Errorf("%s holds no private age key (a line AGE-SECRET-KEY-1…)", path)
	}
	return ids, nil
}

// exportError says in plain words what is wrong with a segment.
func exportError(err error) error {
	switch {
	case errors.Is(err, journal.ErrKey):
		return fmt.Errorf("%w: the private key given is not the one this recording was encrypted for", err)
	case errors.Is(err, journal.ErrCorrupt):
		return fmt.Errorf("%w: the file was changed, damaged or is no segment; --salvage takes what comes before the change", err)
	}
	return err
}

// exporter writes what is composed.
type exporter struct {
	base, out string
	made      []string
}

// write takes one file. A file that exists is never overwritten.
func (e *exporter) write(_ context.Context, f compose.File, r io.Reader) (err error) {
	path := e.out
	if f.Track != nil {
		path = fmt.Sprintf("%s-%s-%s-%s%s", e.base, f.ID, f.Track.Role, f.Track.Source, f.Ext)
	}
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	e.made = append(e.made, path)
	defer func() { err = errors.Join(err, w.Close()) }()
	_, err = io.Copy(w, r)
	return err
}

// undo removes what was written before an error.
func (e *exporter) undo() error {
	var err error
	for _, path := range e.made {
		if rm := os.Remove(path); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
			err = errors.Join(err, rm)
		}
	}
	return err
}

// tell says what was made, and what was not whole.
func (e *exporter) tell(out io.Writer, r *compose.Report) error {
	for _, w := range r.Warnings {
		if _, err := fmt.Fprintln(out, "Note:", w); err != nil {
			return err
		}
	}
	if l := r.Losses; l.Sound > 0 || l.Pictures > 0 {
		if _, err := fmt.Fprintf(out, "Note: %d packets of sound and %d pictures never arrived whole and are left out.\n", l.Sound, l.Pictures); err != nil {
			return err
		}
	}
	for i, path := range e.made {
		if _, err := fmt.Fprintf(out, "%s (%s, %d bytes)\n", path, r.Files[i].Duration.Round(1e9), r.Files[i].Size); err != nil {
			return err
		}
	}
	return nil
}
