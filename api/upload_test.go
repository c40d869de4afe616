package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// uploads has operations with the documented bounds of images and audio; those
// of the clinical engines are described in the same way.
const uploads = `
paths:
  /api/v1/image:
    post:
      x-scope: clinical
      x-plan-group: imaging
      x-max-body: 10485760
      requestBody: {content: {multipart/form-data: {schema: {type: object}}}}
  /api/v1/audio:
    post:
      x-scope: clinical
      x-max-body: 26214400
      requestBody: {content: {multipart/form-data: {schema: {type: object}}}}
`

// uploadWorld serves those operations in the whole chain.
func uploadWorld(t *testing.T) *world {
	t.Helper()
	var s *server
	w := newWorld(t, func(d *Deps) {
		ct, err := loadContract([]byte(uploads))
		must(t, err)
		m, err := newMetrics(nil)
		must(t, err)
		s = &server{Deps: *d, contract: ct, metrics: m, timeout: defaultRequestTimeout, known: newKnownKeys(), keyOrigins: &keyOrigins{}}
	})
	count := func(_ context.Context, r *request) (any, error) {
		n := int64(0)
		for {
			part, err := r.upload.next()
			if err == io.EOF {
				return map[string]int64{"bytes": n}, nil
			}
			if err != nil {
				return nil, err
			}
			m, err := io.Copy(io.Discard, part)
			if n += m; err != nil {
				return nil, err
			}
		}
	}
	e, err := s.engine([]route{{http.MethodPost, "/api/v1/image", count}, {http.MethodPost, "/api/v1/audio", count}})
	must(t, err)
	srv := httptest.NewServer(e)
	t.Cleanup(srv.Close)
	w.url = srv.URL
	w.contract = s.contract
	w.responses = nil
	return w
}

// form is a multipart body with a file of size bytes.
func form(t *testing.T, size int) (body []byte, contentType string) {
	t.Helper()
	var buf bytes.Buffer
	mw := multipart.NewWriter(&buf)
	part, err := mw.CreateFormFile("file", "x")
	must(t, err)
	_, err = part.Write(make([]byte, size))
	must(t, err)
	must(t, mw.Close())
	return buf.Bytes(), mw.FormDataContentType()
}

func TestUploadsHaveTheirOwnBounds(t *testing.T) {
	w := uploadWorld(t)
	starter, _ := w.makeKey("Small Clinic", "live", "starter")
	post := func(path string, size int, chunked bool, key string) (int, string) {
		body, contentType := form(t, size)
		var rd io.Reader = bytes.NewReader(body)
		if chunked {
			rd = struct{ io.Reader }{rd}
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", w.url+path, rd)
		must(t, err)
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("X-API-Key", key)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err.Error() // the server closed while we still sent
		}
		defer func() { _ = res.Body.Close() }()
		out, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(out)
	}
	for _, tc := range []struct {
		path    string
		size    int
		chunked bool
		want    int
	}{
		{"/api/v1/image", 9_900_000, false, 200}, {"/api/v1/image", 9_900_000, true, 200},
		{"/api/v1/audio", 24_900_000, false, 200}, {"/api/v1/audio", 24_900_000, true, 200},
	} {
		if status, body := post(tc.path, tc.size, tc.chunked, w.key); status != tc.want || !strings.Contains(body, fmt.Sprint(tc.size)) {
			t.Errorf("%s %d chunked %v: %d %s", tc.path, tc.size, tc.chunked, status, body)
		}
	}
	if status, body := post("/api/v1/image", 10, false, starter); status != 403 || !strings.Contains(body, `"reason":"plan"`) {
		t.Errorf("starter: %d %s", status, body)
	}
	if status, _ := post("/api/v1/audio", 10, false, starter); status != 200 {
		t.Errorf("audio of a starter: %d", status)
	}
}

func TestALargeUploadIsRefusedUnread(t *testing.T) {
	w := uploadWorld(t)
	for path, limit := range map[string]int{"/api/v1/image": 10 << 20, "/api/v1/audio": 25 << 20} {
		head := "POST " + path + " HTTP/1.1\r\nHost: x\r\nX-API-Key: " + w.key + "\r\nContent-Type: multipart/form-data; boundary=b\r\n"
		res := w.rawRequest(head + fmt.Sprintf("Content-Length: %d\r\n\r\n", limit+1)) // not a byte of it is sent
		if res.StatusCode != 413 || !res.Close {
			t.Errorf("%s announced: %s", path, res.Status)
		}
		res = w.rawRequest(head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n", limit+100) +
			"--b\r\nContent-Disposition: form-data; name=f\r\n\r\n" + strings.Repeat(" ", limit))
		if res.StatusCode != 413 || !res.Close {
			t.Errorf("%s chunked: %s", path, res.Status)
		}
	}
	for contentType, want := range map[string]int{
		"application/json": 400, "multipart/form-data": 400, "multipart/mixed; boundary=b": 400, "multipart/form-data; boundary=b": 400, "": 400,
	} {
		res := w.rawRequest("POST /api/v1/image HTTP/1.1\r\nHost: x\r\nX-API-Key: " + w.key + "\r\nContent-Type: " + contentType + "\r\nContent-Length: 3\r\n\r\nabc")
		if res.StatusCode != want {
			t.Errorf("%q: %s", contentType, res.Status)
		}
	}
}
