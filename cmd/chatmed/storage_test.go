package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/chatmed/chatmed/internal/blob/s3test"
	"github.com/chatmed/chatmed/internal/config"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/journal"
)

func TestAStorageThatCannotBeRefusesToStart(t *testing.T) {
	srv := s3test.Start(t)
	good := srv.URL(srv.Bucket(t), "")
	for name, c := range map[string]struct{ url, want string }{
		"no bucket":      {srv.URL("not-there", ""), "bucket that is not there"},
		"wrong secret":   {strings.Replace(good, srv.Secret, "wrong", 1), "refused by the store"},
		"no credentials": {strings.Replace(good, srv.Key+":"+srv.Secret+"@", "", 1), "no credentials"},
		"bucket missing": {"s3://k:s@127.0.0.1", "no bucket"},
		"odd query":      {good + "&x=1", "unknown in its query"},
	} {
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		cfg, err := config.Parse(nil, []string{
			"CHATMED_DATA_DIR=" + t.TempDir(), "CHATMED_UDP_PORT=0", "CHATMED_NODE_IP=127.0.0.1", "CHATMED_LOG_LEVEL=error",
			"CHATMED_STORAGE_URL=" + c.url,
		})
		must(t, err)
		_, err = newApp(t.Context(), cfg, time.Now)
		if err == nil || !strings.Contains(err.Error(), "CHATMED_STORAGE_URL") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), srv.Secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A recorded call whose segments go to a bucket: downloaded, opened, deleted.
func TestRecordingInABucket(t *testing.T) {
	s3 := s3test.Start(t)
	bucket := s3.Bucket(t)
	srv := newServer(t, "CHATMED_STORAGE_URL="+s3.URL(bucket, "clinic"))
	doctor, patient := inRecordableCall(t, srv)
	patient.says("granted")
	doctor.says("granted")
	var started struct {
		RecordingID string `json:"recording_id"`
		State       string `json:"state"`
	}
	srv.want(http.MethodPost, "/api/v1/consultations/video/"+doctor.session+"/recordings/start", nil, &started)
	if started.State != "recording" {
		t.Errorf("everybody has granted: %+v", started)
	}
	patient.awaitRecording("recording")
	hear(doctor, patient)
	srv.want(http.MethodPost, "/api/v1/consultations/video/"+doctor.session+"/recordings/stop", nil, nil)
	var r *consult.Recording
	eventually(t, "segments stored", func() bool {
		var err error
		r, err = srv.store.Recording(t.Context(), scopeOf(t, srv), started.RecordingID)
		must(t, err)
		return r.State.Over() && r.State != consult.RecordingStored && r.State != consult.RecordingComposing
	})
	if len(r.Segments) != 1 {
		t.Fatalf("recording: %+v", r)
	}
	sealed := srv.download("/api/v1/recordings/" + r.ID + "/segments/0")
	if int64(len(sealed)) != r.Segments[0].Bytes {
		t.Errorf("%d bytes, want %d", len(sealed), r.Segments[0].Bytes)
	}
	packets := 0
	for in := journal.NewReader(bytes.NewReader(sealed), srv.vault.Identities()...); ; {
		e, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		if _, ok := e.(*journal.Packet); ok {
			packets++
		}
	}
	if packets == 0 {
		t.Error("no packet in the segment")
	}
	for _, f := range r.Files {
		if got := srv.download("/api/v1/recordings/" + r.ID + "/files/" + f.ID); int64(len(got)) != f.PlainSize {
			t.Errorf("%s: %d bytes, want %d", f.ID, len(got), f.PlainSize)
		}
	}
	srv.want(http.MethodDelete, "/api/v1/recordings/"+r.ID, map[string]any{"reason": "patient_request"}, nil)
	eventually(t, "bucket empty", func() bool {
		n := 0
		for o := range s3.Client().ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
			must(t, o.Err)
			n++
		}
		return n == 0
	})
}

func (s *server) download(path string) []byte {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr()+path, nil)
	must(s.t, err)
	req.Header.Set("X-API-Key", s.key)
	res, err := s.client.Do(req)
	must(s.t, err)
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	must(s.t, err)
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Length") != strconv.Itoa(len(b)) {
		s.t.Fatalf("%s: %s", path, res.Status)
	}
	return b
}
