package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/journal"
)

// faulty is a file whose faults the test chooses.
type faulty struct {
	*os.File
	mu      sync.Mutex
	room    int // bytes until it is full; negative: no bound
	syncErr error
	stuck   chan struct{} // Write waits for its end
}

func (f *faulty) Write(p []byte) (int, error) {
	f.mu.Lock()
	stuck, room := f.stuck, f.room
	f.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	if room >= 0 && len(p) > room {
		n, _ := f.File.Write(p[:room])
		return n, &os.PathError{Op: "write", Path: "segment", Err: syscall.ENOSPC}
	}
	if room >= 0 {
		f.mu.Lock()
		f.room -= len(p)
		f.mu.Unlock()
	}
	return f.File.Write(p)
}

func (f *faulty) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.syncErr != nil {
		return f.syncErr
	}
	return f.File.Sync()
}

func withFile(f *faulty) func(*Config) {
	return func(c *Config) {
		c.Create = func(path string) (File, error) {
			made, err := createFile(path)
			if err != nil {
				return nil, err
			}
			f.File = made.(*os.File)
			return f, nil
		}
	}
}

// failed waits for the end by the storage and checks what must then hold.
func (r *rig) failed(t *testing.T, causes string) Summary {
	t.Helper()
	select {
	case reason := <-r.fails:
		if reason != consult.RecordingDisk {
			t.Errorf("reason %q", reason)
		}
	case <-time.After(time.Minute):
		t.Fatal("no OnFail")
	}
	if r.tap.isOpen() {
		t.Error("the tap is open")
	}
	if err := r.Open(people); err != ErrOver {
		t.Errorf("opened again: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s, err := r.Close(ctx, consult.RecordingStopped)
	if !errors.Is(err, ErrStorage) {
		t.Errorf("Close: %v", err)
	}
	if len(r.fails) != 0 {
		t.Error("OnFail twice")
	}
	if n := r.counter("captures_failed_total", causes); n != 1 {
		t.Errorf("%v failures counted as %s", n, causes)
	}
	return s
}

func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{room: 40_000}
		r := newRig(t, withFile(f))
		r.open()
		a := mic("prt_a")
		sent := int64(0)
		for n := range uint64(200) {
			if r.tap.send(a, n, n == 0, fmt.Sprintf("%500d", n)) {
				sent++
			}
			pass(20 * time.Millisecond)
		}
		s := r.failed(t, "full")
		entries, end := r.read(s)
		if end != journal.ErrTruncated {
			t.Errorf("reading ends with %v", end)
		}
		have := int64(0)
		for _, e := range entries {
			if _, ok := e.(*journal.Packet); ok {
				have++
			}
		}
		tr := s.Tracks[0]
		if have == 0 || tr.Packets != have || tr.Packets+tr.Dropped != sent || tr.Lost != 0 {
			t.Errorf("%d packets sent, %d in the file: %+v", sent, have, tr)
		}
		if last := s.Gaps[len(s.Gaps)-1]; last.Reason != consult.RecordingDisk || last.Track != 0 || last.To <= last.From {
			t.Errorf("gaps %+v", s.Gaps)
		}
	})
}

// A sender report may be told long after it came. That is no sign of a slow disk.
func TestOldReportIsNotSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.open()
		came := time.Now()
		pass(time.Minute)
		r.tap.sink.Report(mic("prt_a"), came, 1, 2)
		pass(time.Minute)
		r.tap.sink.Report(mic("prt_a"), came.Add(-time.Hour), 1, 2)
		pass(time.Minute)
		entries, end := r.read(r.close())
		if end != io.EOF || len(r.fails) != 0 {
			t.Errorf("%v, %d failures", end, len(r.fails))
		}
		last := time.Duration(0)
		for _, e := range entries {
			if e, ok := e.(journal.Report); ok {
				last = e.At
			}
		}
		if last != -time.Hour {
			t.Errorf("came at %v", last)
		}
	})
}

func TestFailingSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{room: -1}
		r := newRig(t, withFile(f))
		r.open()
		r.tap.send(mic("prt_a"), 1, true, "one")
		pass(time.Second)
		f.mu.Lock()
		f.syncErr = syscall.EIO
		f.mu.Unlock()
		r.tap.send(mic("prt_a"), 2, false, "two")
		pass(time.Second)
		s := r.failed(t, "failing")
		if entries, end := r.read(s); end != journal.ErrTruncated || len(entries) == 0 || s.Tracks[0].Packets != 1 || s.Tracks[0].Dropped != 1 {
			t.Errorf("%d entries, %v: %+v", len(entries), end, s.Tracks)
		}
	})
}

// A disk that hangs ends the capture after ten seconds, and never the call: no
// packet waits for it, however many come.
func TestStuckDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{room: -1}
		r := newRig(t, withFile(f))
		r.open()
		a := mic("prt_a")
		f.mu.Lock()
		f.stuck = make(chan struct{})
		f.mu.Unlock()
		began := time.Now()
		n := uint64(0)
		for len(r.fails) == 0 {
			if r.tap.send(a, n, n == 0, fmt.Sprintf("%500d", n)) { // would deadlock the bubble if it waited
				n++
			}
			pass(20 * time.Millisecond)
		}
		if took := time.Since(began); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("given up after %v", took)
		}
		s := r.failed(t, "slow")
		if s.Bytes == 0 {
			t.Error("the header is gone")
		}
		close(f.stuck)
		synctest.Wait()
		<-r.done
		if s, err := r.Close(t.Context(), ""); !errors.Is(err, ErrStorage) || s.Tracks[0].Packets+s.Tracks[0].Dropped != int64(n) {
			t.Errorf("%d sent: %+v, %v", n, s.Tracks, err)
		}
	})
}

// A stuck disk and a flood: memory is bounded, what does not fit is counted, and
// once the disk goes on so does the capture.
func TestFloodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{room: -1}
		r := newRig(t, func(c *Config) {
			withFile(f)(c)
			c.limits = limits{bytes: 100_000, items: 500}
		})
		r.open()
		a, b := mic("prt_a"), cam("prt_b")
		stuck := make(chan struct{})
		f.mu.Lock()
		f.stuck = stuck
		f.mu.Unlock()
		for n := range uint64(2000) {
			r.tap.send(a, n, n == 0, "sound")
			r.tap.send(b, n, n == 0, fmt.Sprintf("%1000d", n))
		}
		pass(5 * time.Second)
		for n := uint64(2000); n < 2100; n++ {
			r.tap.send(a, n, false, "sound")
			r.tap.send(b, n, false, fmt.Sprintf("%1000d", n))
		}
		r.queue.mu.Lock()
		held := cap(r.queue.in.data) + cap(r.queue.spare.data)
		r.queue.mu.Unlock()
		if held > 1<<20 {
			t.Errorf("%d bytes held", held)
		}
		f.mu.Lock()
		f.stuck = nil
		f.mu.Unlock()
		close(stuck)
		pass(2 * time.Second)
		r.tap.send(a, 2101, false, "sound") // 2100 is lost
		s := r.close()
		entries, end := r.read(s)
		if end != io.EOF {
			t.Error(end)
		}
		have, dropped := map[uint16]int64{}, map[uint16]int64{}
		track := map[uint32]uint16{}
		for _, e := range entries {
			switch e := e.(type) {
			case journal.Stream:
				track[e.ID] = e.Track
			case *journal.Packet:
				have[track[e.Stream]]++
			case journal.Dropped:
				dropped[e.Track] += e.Packets
			}
		}
		want := map[uint16]int64{1: 2101, 2: 2100}
		for _, tr := range s.Tracks {
			id := uint16(tr.ID)
			if tr.Packets != have[id] || tr.Dropped != dropped[id] || tr.Dropped == 0 || have[id]+dropped[id] != want[id] {
				t.Errorf("%+v, in the file %d and %d", tr, have[id], dropped[id])
			}
			if tr.Lost != map[int]int64{1: 1, 2: 0}[tr.ID] {
				t.Errorf("track %d: %d lost", tr.ID, tr.Lost)
			}
		}
		if n := r.counter("packets_dropped_total", "video"); int64(n) != dropped[2] {
			t.Errorf("%v counted", n)
		}
		if !slices.ContainsFunc(s.Gaps, func(g consult.RecordingGap) bool { return g.Track == 2 && g.Reason == consult.RecordingDisk }) {
			t.Errorf("gaps %+v", s.Gaps)
		}
		if r.tap.keys == 0 {
			t.Error("no key frame was asked for")
		}
	})
}

// OnFail may close the recorder.
func TestOnFailMayClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{room: 2000}
		var r *rig
		closed := make(chan error)
		r = newRig(t, func(c *Config) {
			withFile(f)(c)
			c.OnFail = func(string) {
				_, err := r.Close(context.Background(), consult.RecordingDisk)
				closed <- err
			}
		})
		r.open()
		r.tap.send(mic("prt_a"), 1, true, fmt.Sprintf("%5000d", 1))
		if err := <-closed; !errors.Is(err, ErrStorage) {
			t.Error(err)
		}
	})
}
