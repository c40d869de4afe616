package capture

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/chatmed/chatmed/recording/journal"
	"github.com/chatmed/chatmed/sfu"
)

// killedAfter is how much a kill may cost.
const killedAfter = 2 * time.Second

// TestCaptureUntilKilled is the child of TestKill: it captures until it is
// killed, and tells what it has sent and when.
func TestCaptureUntilKilled(t *testing.T) {
	path, to := os.Getenv("CHATMED_TEST_KILL_PATH"), os.Getenv("CHATMED_TEST_KILL_KEY")
	if path == "" {
		t.Skip("only as a child of TestKill")
	}
	key, err := age.ParseX25519Recipient(to)
	if err != nil {
		t.Fatal(err)
	}
	tap := &fakeTap{now: time.Now}
	began := time.Now()
	r, err := Start(Config{
		Path: path, Header: journal.Header{RecordingID: "rec_1", StartedAt: began}, Recipients: []age.Recipient{key},
		Tap: func(s sfu.Sink) Tap { tap.sink = s; return tap },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Open(people); err != nil {
		t.Fatal(err)
	}
	a, b := mic("prt_a"), cam("prt_b")
	every := time.NewTicker(5 * time.Millisecond)
	defer every.Stop()
	for n := uint64(0); time.Since(began) < time.Minute; n++ {
		<-every.C
		tap.send(a, n, n == 0, fmt.Sprint(n))
		tap.send(b, n, n == 0, fmt.Sprintf("%1100d", n))
		fmt.Printf("at %d %d\n", n, time.Since(began))
	}
}

// TestKill kills a process that captures, at random moments. What is lost is at
// most the last two seconds, and the file says that it was not closed.
func TestKill(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "segment")
			last, at := capturedUntilKilled(t, path, key.Recipient().String(), time.Duration(rand.Int64N(int64(4*time.Second))))
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			entries, end := readAll(bytes.NewReader(raw), key)
			if end != journal.ErrTruncated && end != io.EOF {
				t.Errorf("reading ends with %v", end)
			}
			var newest time.Duration
			count := 0
			for _, e := range entries {
				if p, ok := e.(*journal.Packet); ok {
					newest = max(newest, p.At)
					count++
					if n, err := strconv.ParseUint(string(bytes.TrimSpace(p.Payload)), 10, 64); err != nil || n != p.ExtSeq {
						t.Fatalf("packet %d has payload %q", p.ExtSeq, p.Payload)
					}
				}
			}
			if lost := at - newest; lost > killedAfter {
				t.Errorf("killed at %v, the last packet is of %v", at, newest)
			}
			t.Logf("killed at %v after packet %d: %d packets until %v, %v lost", at, last, count, newest, at-newest)
		})
	}
}

// capturedUntilKilled runs the child for so long and returns the last packet it
// has told of, and when that was.
func capturedUntilKilled(t *testing.T, path, to string, life time.Duration) (last uint64, at time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCaptureUntilKilled$")
	cmd.Env = append(os.Environ(), "CHATMED_TEST_KILL_PATH="+path, "CHATMED_TEST_KILL_KEY="+to)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the child has said nothing")
	}
	timer := time.AfterFunc(life, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	for lines.Scan() {
		var n uint64
		var d time.Duration
		if k, _ := fmt.Sscanf(lines.Text(), "at %d %d", &n, &d); k == 2 {
			last, at = n, d
		}
	}
	var killed *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &killed) {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return last, at
}
