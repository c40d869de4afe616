package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

func (s *server) recordingFileRoutes() []route {
	const one = "/api/v1/recordings/{recording_id}"
	return []route{
		{http.MethodGet, one + "/files/{file_id}", s.downloadFile},
		{http.MethodGet, one + "/segments/{number}", s.downloadSegment},
	}
}

// RecordingFiles reads what is stored of recordings. A reader ends with its ctx.
type RecordingFiles interface {
	// Holds reports whether the server has the key of that fingerprint.
	Holds(fingerprint string) bool
	// Stored reads an object as it is stored; Plain reads what it encrypts, from
	// anywhere in it, and gives no byte out that was changed.
	Stored(ctx context.Context, key string) (io.ReadSeekCloser, int64, error)
	Plain(ctx context.Context, key string) (io.ReadSeekCloser, int64, error)
}

// downloadFile is a playable file, decrypted.
func (s *server) downloadFile(ctx context.Context, r *request) (any, error) {
	rec, err := s.recording(ctx, r)
	if err != nil {
		return nil, err
	}
	f, err := fileOf(rec, r.params["file_id"])
	if err != nil {
		return nil, err
	}
	return s.openFile(ctx, r, rec, f, download{actor: r.actor(), by: r.key.ID})
}

// openFile opens a file and notes that it was.
func (s *server) openFile(ctx context.Context, r *request, rec *consult.Recording, f *consult.RecordingFile, d download) (*stream, error) {
	if !s.holdsKey(rec) {
		return nil, noKey()
	}
	d.file, d.of = f.ID, rec
	if err := s.note(ctx, r, d); err != nil {
		return nil, err
	}
	content, _, err := s.RecordingFiles.Plain(ctx, f.Object.Key)
	if err != nil {
		return nil, err
	}
	return &stream{
		contentType: f.Type, etag: `"` + f.Object.SHA256 + `"`, name: rec.ID + "-" + f.ID + extension(f.Type), content: content,
	}, nil
}

// downloadSegment is a segment as it is stored, encrypted: for whoever has the
// key.
func (s *server) downloadSegment(ctx context.Context, r *request) (any, error) {
	rec, err := s.recording(ctx, r)
	if err != nil {
		return nil, err
	}
	o, err := segmentOf(rec, r.params["number"])
	if err != nil {
		return nil, err
	}
	d := download{actor: r.actor(), by: r.key.ID, file: "segment-" + r.params["number"], of: rec}
	if err := s.note(ctx, r, d); err != nil {
		return nil, err
	}
	content, _, err := s.RecordingFiles.Stored(ctx, o.Key)
	if err != nil {
		return nil, err
	}
	return &stream{
		contentType: "application/octet-stream", etag: `"` + o.SHA256 + `"`,
		name: rec.ID + "-" + d.file + ".journal", content: content,
	}, nil
}

// extension is that of the files we make.
func extension(mediaType string) string {
	base, _, _ := strings.Cut(mediaType, ";")
	switch strings.TrimSpace(base) {
	case "video/webm", "audio/webm":
		return ".webm"
	case "video/mp4", "audio/mp4":
		return ".mp4"
	case "video/x-matroska":
		return ".mkv"
	}
	return ""
}

// download is a file that somebody has asked for.
type download struct {
	actor consult.Actor
	by    string // the API key's id
	link  bool   // through a link that the key made
	file  string
	of    *consult.Recording
}

// playback is how long the ranges that a player asks for count as one download.
const playback = 10 * time.Minute

// note writes a download into the audit log, before a byte of it is sent. A
// player asks for many ranges of one file: they are noted once per playback.
func (s *server) note(ctx context.Context, r *request, d download) error {
	if head, _ := ctx.Value(headKey{}).(bool); head {
		return nil // no byte of it is sent
	}
	via := "key"
	if d.link {
		via = "link"
	}
	name := strings.Join([]string{d.by, via, d.of.ID, d.file}, " ")
	now := s.Now().UTC()
	if r.header.Get("Range") != "" && s.downloads.noted(name, now) {
		return nil
	}
	data, err := json.Marshal(map[string]any{"recording_id": d.of.ID, "file": d.file, "via": via})
	if err != nil {
		return err
	}
	_, err = s.Recordings.ChangeRecording(ctx, d.of.Scope, d.of.ID, func(rec *consult.Recording) ([]consult.Event, error) {
		if err := there(rec); err != nil {
			return nil, err
		}
		return []consult.Event{{
			ID: consult.NewID(consult.PrefixEvent), Type: consult.EventRecordingRead, Scope: rec.Scope, Actor: d.actor,
			SessionID: rec.SessionID, DoctorID: rec.DoctorID, At: now, Data: data,
		}}, nil
	})
	if err == nil {
		s.downloads.note(name, now)
	}
	return err
}

// downloads remembers which playbacks are in the audit log. Bounded: what is
// forgotten is noted again.
type downloads struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

const maxDownloads = 10_000

func newDownloads() *downloads { return &downloads{seen: map[string]time.Time{}} }

func (d *downloads) noted(name string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.seen[name]
	return ok && now.Sub(at) < playback
}

func (d *downloads) note(name string, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.seen) >= maxDownloads {
		clear(d.seen)
	}
	d.seen[name] = now
}
