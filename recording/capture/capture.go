// Package capture records a room into a journal while it may. What the tap lets
// through is copied into a bounded queue under the room's lock, and that is all
// that happens there; one goroutine writes it down. Whatever becomes of the
// storage, the call goes on.
package capture

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"filippo.io/age"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/journal"
	"github.com/chatmed/chatmed/sfu"
)

// Tap is what a Recorder needs of *sfu.Tap.
type Tap interface {
	Open(participantIDs []string) bool
	Shut()
	KeyFrames()
	Close()
}

// Config is what a Recorder needs to know.
type Config struct {
	// Path is the segment's file, which must not exist.
	Path string
	// Header begins the segment. Without a StartedAt it is the time of Start, and
	// without a RecordingStartedAt this is the recording's first segment.
	Header     journal.Header
	Recipients []age.Recipient
	// Tap makes the tap, which is shut: func(s sfu.Sink) capture.Tap { return media.Tap(room, s) }.
	Tap   func(sfu.Sink) Tap
	Clock consult.Clock // nil: time.Now
	// OnFail is called at most once, when the storage ended the capture. The tap
	// is shut by then. It is called from a goroutine of the Recorder's, which
	// Close does not wait for, so it may call Close.
	OnFail  func(reason string)
	Log     *slog.Logger
	Metrics *Metrics // nil: none

	// Create makes the file; nil: a new one on disk that only we can read.
	Create func(path string) (File, error)

	limits limits
}

// Person is somebody who is recorded.
type Person struct {
	ParticipantID string
	Role          consult.Role
	Name          string // shown in the room
}

// Summary is what there is of a segment.
type Summary struct {
	Bytes    int64
	SHA256   string        // of the file, lower-case hexadecimal
	Duration time.Duration // open
	Tracks   []consult.RecordingTrack
	// Gaps count from the recording's start, those without a track first.
	Gaps []consult.RecordingGap
}

var (
	// ErrStranger: somebody who may not be recorded is in the room.
	ErrStranger = errors.New("capture: somebody else is in the room")
	// ErrOver: the capture has ended.
	ErrOver = errors.New("capture: over")
	// ErrStorage: the capture was ended by the storage. What was written before
	// can be read.
	ErrStorage = errors.New("capture: the storage is full, slow or failing")
)

// Open has what these people publish recorded from the next packet on. They must
// be all that are in the room, devices included: otherwise it returns
// ErrStranger, and the gate is shut. Called again, it replaces the list.
func (r *Recorder) Open(people []Person) error {
	r.op.Lock()
	defer r.op.Unlock()
	if r.closed || r.failed.Load() {
		return ErrOver
	}
	ids := make([]string, 0, len(people))
	for _, p := range people {
		ids = append(ids, p.ParticipantID)
	}
	r.queue.know(people, r.now())
	r.queue.setReason(consult.RecordingNoConsent) // of a shutting by the tap itself
	if !r.tap.Open(ids) {
		return ErrStranger
	}
	return nil
}

// Shut ends what Open began: once it has returned, no packet that comes is
// recorded. reason says why in the list of gaps.
func (r *Recorder) Shut(reason string) {
	r.op.Lock()
	defer r.op.Unlock()
	r.queue.setReason(reason)
	r.tap.Shut()
}

// Close shuts, writes down what is left, and closes the file. When ctx ends
// first the file is left to the goroutine that hangs in it. Closing again returns
// the same.
func (r *Recorder) Close(ctx context.Context, reason string) (Summary, error) {
	r.op.Lock()
	if !r.closed {
		r.closed = true
		r.queue.setReason(reason)
		r.tap.Shut()
		r.tap.Close()
		r.queue.end(r.now(), reason)
		close(r.stop)
	}
	r.op.Unlock()
	select {
	case <-r.done:
	case <-ctx.Done():
		return r.Summary(), errors.Join(ErrStorage, ctx.Err())
	}
	<-r.watched
	if r.failed.Load() {
		return r.Summary(), ErrStorage
	}
	return r.Summary(), nil
}

// Summary is what has been written so far.
func (r *Recorder) Summary() Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.book.summary()
}
