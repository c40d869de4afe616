package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/chatmed/chatmed/recording/journal"
)

// segmentFile writes a segment of two seconds of silence, for key.
func segmentFile(t *testing.T, path string, key *age.X25519Identity) {
	t.Helper()
	var b bytes.Buffer
	began := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	w, err := journal.NewWriter(&b, journal.Header{RecordingID: "rec_1", StartedAt: began, RecordingStartedAt: began}, key.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	put := func(e journal.Entry) {
		t.Helper()
		if err := w.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	put(journal.Gate{Open: true})
	put(journal.Track{ID: 1, ParticipantID: "prt_a", Role: "doctor", Name: "Dr. Adams", Source: "microphone", Kind: "audio"})
	put(journal.Stream{ID: 1, Track: 1, ClockRate: 48000})
	for i := range 100 {
		put(&journal.Packet{Stream: 1, At: time.Duration(i) * 20 * time.Millisecond, ExtSeq: uint64(i), Timestamp: uint32(i) * 960, Codec: journal.Opus, Orientation: -1, Payload: []byte{0xf8, 0xff, 0xfe}})
		if i%25 == 0 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(journal.End{At: 2 * time.Second, Reason: "stopped"})
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRecordingsExport(t *testing.T) {
	dir := t.TempDir()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, content []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	mine := file("key.txt", []byte("# created: today\n"+key.String()+"\n"))
	theirs := file("other.txt", []byte(other.String()))
	whole := filepath.Join(dir, "segment")
	segmentFile(t, whole, key)
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	torn := file("torn", content[:len(content)*2/3])
	changed := bytes.Clone(content)
	changed[len(changed)*2/3] ^= 1
	spoilt := file("spoilt", changed)
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		name  string
		args  []string
		err   string // part of the error
		out   string // part of the output
		files []string
	}{
		{"whole", []string{"--identity", mine, "--out", at("a.mp4"), "--tracks", whole}, "", "a.mp4 (2s", []string{"a.mp4", "a-track-1-doctor-microphone.webm"}},
		{"flags behind", []string{whole, "--identity", mine, "--out", at("b.webm")}, "", "b.webm (2s", []string{"b.webm"}},
		{"never overwritten", []string{"--identity", mine, "--out", at("a.mp4"), whole}, "exists", "", nil},
		{"torn", []string{"--identity", mine, "--out", at("c.mp4"), torn}, "", "Note: Segment 0 was not ended in order", []string{"c.mp4"}},
		{"changed", []string{"--identity", mine, "--out", at("d.mp4"), spoilt}, "--salvage takes what comes before", "", nil},
		{"changed, salvaged", []string{"--identity", mine, "--out", at("e.mp4"), "--salvage", spoilt}, "", "was changed or damaged", []string{"e.mp4"}},
		{"wrong key", []string{"--identity", theirs, "--out", at("f.mp4"), whole}, "the private key given is not the one", "", nil},
		{"no key", []string{"--identity", whole, "--out", at("g.mp4"), whole}, "holds no private age key", "", nil},
		{"no out", []string{"--identity", mine, whole}, "--out", "", nil},
		{"no segment", []string{"--identity", mine, "--out", at("h.mp4")}, "segments", "", nil},
		{"not there", []string{"--identity", mine, "--out", at("i.mp4"), at("nowhere")}, "no such file", "", nil},
		{"unknown flag", []string{"--key", mine}, "not defined: -key", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, _ := filepath.Glob(at("*"))
			var out bytes.Buffer
			err := run(t.Context(), append([]string{"recordings", "export"}, c.args...), &out)
			if (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if err != nil && strings.Contains(err.Error(), key.String()) {
				t.Error("the key is in the error")
			}
			if !strings.Contains(out.String(), c.out) {
				t.Errorf("output %q", out.String())
			}
			after, _ := filepath.Glob(at("*"))
			if len(after) != len(before)+len(c.files) {
				t.Errorf("files %v, then %v", before, after)
			}
			for _, f := range c.files {
				if st, err := os.Stat(at(f)); err != nil || st.Size() == 0 || st.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v %v", f, st, err)
				}
			}
		})
	}
}

func TestRecordingsExportEnds(t *testing.T) {
	dir := t.TempDir()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	keys, segment := filepath.Join(dir, "key.txt"), filepath.Join(dir, "segment")
	if err := os.WriteFile(keys, []byte(key.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	segmentFile(t, segment, key)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = run(ctx, []string{"recordings", "export", "--identity", keys, "--out", filepath.Join(dir, "a.mp4"), segment}, &bytes.Buffer{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
}
