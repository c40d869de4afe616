package capture

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/journal"
	"github.com/chatmed/chatmed/sfu"
)

// frameBytes of entries are sealed without waiting for more.
const frameBytes = 4 << 20

var _ sfu.Sink = (*queue)(nil)

// errSlow: the disk took too long.
var errSlow = errors.New("too far behind")

// Recorder captures one segment.
type Recorder struct {
	cfg     Config
	now     consult.Clock
	started time.Time // the zero of the segment's times
	queue   *queue
	tap     Tap
	stop    chan struct{} // closed by Close
	done    chan struct{} // closed when the writer has ended
	watched chan struct{} // closed when the watchdog has nothing more to say

	// op serialises Open, Shut and Close. Lock order: op, then all others.
	op     sync.Mutex
	closed bool

	failed atomic.Bool
	err    error // of the writer; read after done

	// Owned by the writer.
	out     *tally
	journal *journal.Writer
	entered int  // items of the batch at hand that are in the book
	noted   bool // and its drops

	mu   sync.Mutex
	book *book
}

// Start makes the segment's file, writes its header, and begins to capture with
// the gate shut. Close must be called in the end, after a failure too.
func Start(cfg Config) (*Recorder, error) {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Create == nil {
		cfg.Create = createFile
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.limits = cfg.limits.withDefaults()
	r := &Recorder{
		cfg: cfg, now: cfg.Clock, queue: newQueue(cfg.limits, cfg.Metrics),
		stop: make(chan struct{}), done: make(chan struct{}), watched: make(chan struct{}),
	}
	h := &r.cfg.Header
	r.started = r.now()
	if h.StartedAt.IsZero() {
		h.StartedAt = r.started
	} else { // keep the monotonic reading of now
		r.started = r.started.Add(h.StartedAt.Sub(r.started.Round(0)))
	}
	if h.RecordingStartedAt.IsZero() {
		h.RecordingStartedAt = h.StartedAt
	}
	r.book = newBook(r.started, h.StartedAt.Sub(h.RecordingStartedAt))
	if err := r.begin(); err != nil {
		return nil, err
	}
	r.tap = cfg.Tap(r.queue)
	go r.write()
	go r.watch()
	return r, nil
}

// begin makes the file. What can't be begun leaves nothing behind.
func (r *Recorder) begin() error {
	f, err := r.cfg.Create(r.cfg.Path)
	if err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	r.out = &tally{file: f, sum: sha256.New()}
	if r.journal, err = journal.NewWriter(r.out, r.cfg.Header, r.cfg.Recipients...); err == nil {
		err = f.Sync()
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(r.cfg.Path)
		return fmt.Errorf("capture: %w", err)
	}
	r.book.wrote(r.out)
	return nil
}

// write is the one goroutine that touches the file.
func (r *Recorder) write() {
	defer close(r.done)
	t := time.NewTicker(r.cfg.limits.each)
	defer t.Stop()
	for last := false; !last && r.err == nil; {
		select {
		case <-t.C:
		case <-r.queue.kick:
		case <-r.stop:
			last = true
		}
		b := r.queue.take()
		if !b.empty() {
			r.err = r.commit(&b)
		}
		if len(b.drops) > 0 && r.err == nil {
			r.tap.KeyFrames()
		}
		if r.err == nil && r.failed.Load() {
			r.err = errSlow // the watchdog has given it up meanwhile
		}
		if r.err != nil {
			r.queue.stop()
			r.giveUp(&b)
			break
		}
		r.queue.give(b)
	}
	if err := r.out.file.Close(); err != nil && r.err == nil {
		r.err = fmt.Errorf("close: %w", err)
	}
}

// commit writes a batch down and has it on disk.
func (r *Recorder) commit(b *batch) error {
	began, before := time.Now(), r.out.bytes
	c := counts{}
	r.entered, r.noted = 0, false
	for i := range b.items {
		r.entered = i + 1
		if err := r.writeItem(b, &b.items[i], &c); err != nil {
			return err
		}
		if r.journal.Pending() >= frameBytes {
			if err := r.flush(); err != nil {
				return err
			}
		}
	}
	r.noted = true
	if err := r.writeDrops(b.drops); err != nil {
		return err
	}
	if err := r.flush(); err != nil {
		return err
	}
	r.cfg.Metrics.flushed(time.Since(began), r.out.bytes-before, c.audio, c.video)
	return nil
}

// flush has everything entered on disk.
func (r *Recorder) flush() error {
	if err := r.journal.Flush(); err != nil {
		return err
	}
	if err := r.out.file.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	r.mu.Lock()
	r.book.wrote(r.out)
	r.mu.Unlock()
	return nil
}

type counts struct{ audio, video int }

func (r *Recorder) writeItem(b *batch, it *item, c *counts) error {
	r.mu.Lock()
	entries := r.book.take(b, it)
	r.mu.Unlock()
	if it.kind == itemPacket {
		if it.stream.Kind == "video" {
			c.video++
		} else {
			c.audio++
		}
	}
	return r.append(entries)
}

func (r *Recorder) append(entries []journal.Entry) error {
	for _, e := range entries {
		if err := r.journal.Append(e); err != nil {
			return err
		}
	}
	return nil
}

func (r *Recorder) writeDrops(drops []drop) error {
	if len(drops) == 0 {
		return nil
	}
	r.mu.Lock()
	entries := r.book.takeDrops(drops)
	r.mu.Unlock()
	var n int64
	for i := range drops {
		n += drops[i].packets
	}
	r.cfg.Log.Warn("the storage is too slow: packets of a recording were dropped", "recording", r.cfg.Header.RecordingID, "packets", n)
	return r.append(entries)
}

// giveUp makes the file end with the last frame that was on disk, and counts what
// is lost.
func (r *Recorder) giveUp(b *batch) {
	safe := r.Summary().Bytes
	cut := r.out.file.Truncate(safe)
	_ = r.out.file.Sync()
	rest := r.queue.take()
	rest.items = append(b.items[r.entered:], rest.items...)
	if !r.noted {
		rest.drops = append(b.drops, rest.drops...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.book.giveUp(r.now(), &rest)
	if cut != nil { // the file has part of a frame more than we know of
		if bytes, sum, err := sumFile(r.cfg.Path); err == nil {
			r.book.bytes, r.book.sum = bytes, sum
		}
	}
}

// watch notices that the writer has failed, or hangs.
func (r *Recorder) watch() {
	t := time.NewTicker(r.cfg.limits.watch)
	defer t.Stop()
	for {
		select {
		case <-r.done:
			if r.err == nil {
				close(r.watched)
				return
			}
			r.fail(r.err)
			return
		case <-t.C:
			if r.queue.behind(r.now()) > r.cfg.limits.behind {
				r.fail(errSlow)
				return
			}
		}
	}
}

// fail ends the capture. Owned by the watchdog, so it happens once.
func (r *Recorder) fail(err error) {
	r.failed.Store(true)
	r.queue.stop()
	r.op.Lock()
	r.queue.setReason(consult.RecordingDisk)
	if !r.closed {
		r.tap.Shut()
	}
	told := r.closed // Close says so itself
	r.op.Unlock()
	rest := r.queue.take() // what came until the tap was shut
	r.mu.Lock()
	r.book.dropRest(&rest)
	r.mu.Unlock()
	r.cfg.Metrics.fail(cause(err))
	r.cfg.Log.Error("a recording was ended by its storage", "recording", r.cfg.Header.RecordingID, "cause", cause(err), "err", err)
	close(r.watched)
	if !told && r.cfg.OnFail != nil {
		r.cfg.OnFail(consult.RecordingDisk)
	}
}

func cause(err error) string {
	switch {
	case errors.Is(err, errSlow):
		return "slow"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "full"
	}
	return "failing"
}

// File is what a segment is written to.
type File interface {
	Write(p []byte) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// createFile makes a file nobody else can read, and has its name on disk.
func createFile(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}

// tally counts and sums what was written in whole.
type tally struct {
	file  File
	sum   hash.Hash
	bytes int64
}

func (t *tally) Write(p []byte) (int, error) {
	n, err := t.file.Write(p)
	if err != nil {
		return n, err
	}
	t.sum.Write(p)
	t.bytes += int64(n)
	return n, nil
}

func (t *tally) sha256() string { return hex.EncodeToString(t.sum.Sum(nil)) }

func sumFile(path string) (int64, string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, "", err
	}
	sum := sha256.Sum256(b)
	return int64(len(b)), hex.EncodeToString(sum[:]), nil
}
