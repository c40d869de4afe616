package recording

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/journal"
)

// What a crash left is read up to the last whole frame, and without its key not
// at all.
func TestInspect(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	must(t, err)
	var out bytes.Buffer
	start := time.Date(2025, 1, 15, 10, 31, 0, 0, time.UTC)
	w, err := journal.NewWriter(&out, journal.Header{
		RecordingID: "rec_1", SessionID: "vs_1", Segment: 1, StartedAt: start, RecordingStartedAt: start.Add(-time.Minute),
	}, id.Recipient())
	must(t, err)
	packet := func(at time.Duration, seq uint64) *journal.Packet {
		return &journal.Packet{Stream: 1, At: at, ExtSeq: seq, Codec: journal.RED, Orientation: -1, Payload: []byte("1234")}
	}
	for _, e := range []journal.Entry{
		journal.Gate{At: 2 * time.Second, Open: true},
		journal.Track{ID: 1, ParticipantID: "prt_1", Role: "patient", Source: consult.SourceMicrophone, Kind: "audio"},
		journal.Stream{ID: 1, Track: 1, ClockRate: 48000},
		packet(3*time.Second, 1), packet(4*time.Second, 2),
		journal.Dropped{Track: 1, From: 0, To: 1, Packets: 3},
		journal.Gate{At: 5 * time.Second, Reason: consult.RecordingNoConsent},
		journal.Gate{At: 8 * time.Second, Open: true},
		packet(10*time.Second, 3),
	} {
		must(t, w.Append(e))
	}
	must(t, w.Flush())
	whole := out.Len()
	must(t, w.Append(packet(11*time.Second, 4)))
	must(t, w.Flush())
	path := filepath.Join(t.TempDir(), "segment")
	must(t, os.WriteFile(path, out.Bytes()[:whole+(out.Len()-whole)/2], 0o600))

	got, err := Inspect(t.Context(), path, []age.Identity{id})
	must(t, err)
	want := consult.RecordingTrack{
		ID: 1, ParticipantID: "prt_1", Role: consult.Patient, Source: consult.SourceMicrophone, Codec: "opus", Packets: 3, Bytes: 12, Dropped: 3,
	}
	if got.Duration != 5*time.Second || got.End != 10*time.Second || !slices.Equal(got.Tracks, []consult.RecordingTrack{want}) {
		t.Errorf("%+v", got)
	}
	pauses := []consult.RecordingGap{
		{From: time.Minute, To: 62 * time.Second, Reason: consult.RecordingNoConsent},
		{From: 65 * time.Second, To: 68 * time.Second, Reason: consult.RecordingNoConsent},
	}
	if !slices.Equal(got.Gaps, pauses) || got.Bytes <= int64(whole) || len(got.SHA256) != 64 {
		t.Errorf("%+v", got)
	}
	other, err := age.GenerateX25519Identity()
	must(t, err)
	closed, err := Inspect(t.Context(), path, []age.Identity{other})
	if err != nil || closed.Tracks != nil || closed.SHA256 != got.SHA256 || closed.Bytes != got.Bytes {
		t.Errorf("without the key: %+v %v", closed, err)
	}
	if _, err := Inspect(t.Context(), path+"?", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
}
