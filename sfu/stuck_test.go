package sfu_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/capture"
	"github.com/chatmed/chatmed/recording/journal"
	"github.com/chatmed/chatmed/sfu"
)

// stuckFile takes the header and then hangs in Write until it is freed.
type stuckFile struct {
	*os.File
	writes  int // only the recorder's goroutine writes
	hangs   chan struct{}
	freed   chan struct{}
	hanging sync.Once
}

func (f *stuckFile) Write(p []byte) (int, error) {
	if f.writes++; f.writes > 2 { // magic and header
		f.hanging.Do(func() { close(f.hangs) })
		<-f.freed
	}
	return f.File.Write(p)
}

// TestStuckDiskDoesNotStopTheCall has the disk of a real recorder hang while the
// real fan-out goes on: every packet is forwarded as before.
func TestStuckDiskDoesNotStopTheCall(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	room := sfu.NewProofRoom(t)
	room.Clear(time.Now())
	file := &stuckFile{hangs: make(chan struct{}), freed: make(chan struct{})}
	rec, err := capture.Start(capture.Config{
		Path: filepath.Join(t.TempDir(), "segment"), Header: journal.Header{RecordingID: "rec_1"}, Recipients: []age.Recipient{key.Recipient()},
		Tap: func(s sfu.Sink) capture.Tap { return room.Tap(s) },
		Create: func(path string) (capture.File, error) {
			var err error
			file.File, err = os.Create(path)
			return file, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := room.Join("a", false)
	room.Join("b", false)
	if err := rec.Open([]capture.Person{{ParticipantID: "a"}, {ParticipantID: "b"}}); err != nil {
		t.Fatal(err)
	}
	<-file.hangs
	const packets = 20_000 // more than the queue holds
	before, began := room.Forwarded(), time.Now()
	for n := range uint16(packets) {
		a.Video(-1, n, uint32(n)*3000, true, true, n == 0, fmt.Appendf(nil, "%1000d", n), false)
	}
	took := time.Since(began)
	if n := room.Forwarded() - before; n != packets {
		t.Errorf("%d packets forwarded of %d", n, packets)
	}
	t.Logf("%v a packet with a disk that hangs", took/packets)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := rec.Close(ctx, consult.RecordingStopped); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	close(file.freed)
	sum, err := rec.Close(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range sum.Tracks {
		if tr.Packets+tr.Dropped != packets || tr.Dropped == 0 || tr.Lost != 0 {
			t.Errorf("%+v", tr)
		}
	}
}
