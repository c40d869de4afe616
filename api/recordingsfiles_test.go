package api

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/blob"
	"github.com/chatmed/chatmed/internal/blob/s3test"
	"github.com/chatmed/chatmed/internal/consult"
)

// onStorages runs a test on both kinds of storage.
func onStorages(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("disk", func(t *testing.T) { test(t, newWorld(t)) })
	t.Run("s3", func(t *testing.T) {
		w := newWorld(t)
		w.useS3()
		test(t, w)
	})
}

func (w *world) useS3() {
	w.t.Helper()
	srv := s3test.Start(w.t)
	at, err := blob.ParseURL(srv.URL(srv.Bucket(w.t), "clinic"), func(string) string { return "" })
	must(w.t, err)
	w.blobs.Store, err = blob.NewS3(at)
	must(w.t, err)
}

// objects lists what the storage has.
func (w *world) objects() (keys []string) {
	w.t.Helper()
	must(w.t, w.blobs.List(w.t.Context(), "", func(i blob.Info) error {
		keys = append(keys, i.Key)
		return nil
	}))
	return keys
}

func TestRangesOfAFile(t *testing.T) { onStorages(t, rangesOfAFile) }

func rangesOfAFile(t *testing.T, w *world) {
	r := w.recorded(w.create().str("session_id"), "pat_1")
	path := recordingsPath + "/" + r.ID + "/files/composed-webm"
	n := len(composedFile)
	etag := `"` + r.Files[0].Object.SHA256 + `"`
	const chunk = 64 << 10
	for ask, want := range map[string]struct {
		status   int
		from, to int
	}{
		"": {200, 0, n}, "bytes=0-": {206, 0, n}, "bytes=0-0": {206, 0, 1}, fmt.Sprintf("bytes=%d-%d", chunk-1, chunk): {206, chunk - 1, chunk + 1},
		fmt.Sprintf("bytes=%d-", chunk): {206, chunk, n}, fmt.Sprintf("bytes=%d-%d", chunk+1, 2*chunk): {206, chunk + 1, 2*chunk + 1},
		"bytes=-1": {206, n - 1, n}, fmt.Sprintf("bytes=-%d", n+7): {206, 0, n}, fmt.Sprintf("bytes=%d-", n-1): {206, n - 1, n},
		fmt.Sprintf("bytes=5-%d", 10*n): {206, 5, n}, "bytes=0-1,5-6": {200, 0, n}, "lines=1-2": {200, 0, n},
		fmt.Sprintf("bytes=%d-", n): {416, 0, 0}, "bytes=5-4": {416, 0, 0}, "bytes=a-b": {416, 0, 0},
	} {
		var opts []option
		if ask != "" {
			opts = append(opts, withHeader("Range", ask))
		}
		a := w.call("GET", path, nil, opts...)
		if a.status != want.status {
			t.Fatalf("%q: %d %.200s", ask, a.status, a.raw)
		}
		if a.status == 416 {
			if got := a.header.Get("Content-Range"); got != fmt.Sprintf("bytes */%d", n) && got != "" || a.body["error"] != "range_not_satisfiable" || a.header.Get("ETag") != "" {
				t.Errorf("%q: %q %s", ask, got, a.raw)
			}
			continue
		}
		if !bytes.Equal(a.raw, composedFile[want.from:want.to]) {
			t.Errorf("%q: %d bytes", ask, len(a.raw))
		}
		if got := a.header.Get("Content-Range"); a.status == 206 && got != fmt.Sprintf("bytes %d-%d/%d", want.from, want.to-1, n) {
			t.Errorf("%q: Content-Range %q", ask, got)
		}
		for name, v := range map[string]string{
			"ETag": etag, "Content-Type": "video/webm", "Accept-Ranges": "bytes", "Cache-Control": "no-store",
			"Content-Disposition": `attachment; filename="` + r.ID + `-composed-webm.webm"`, "X-Content-Type-Options": "nosniff",
		} {
			if got := a.header.Get(name); got != v {
				t.Errorf("%q: %s is %q, want %q", ask, name, got, v)
			}
		}
	}
	for name, c := range map[string]struct {
		header, value string
		status, bytes int
	}{
		"the same":    {"If-Range", etag, 206, 10},
		"another":     {"If-Range", `"x"`, 200, n},
		"weak":        {"If-Range", "W/" + etag, 200, n},
		"a date":      {"If-Range", "Wed, 15 Jan 2025 10:30:00 GMT", 200, n},
		"match":       {"If-Match", etag, 206, 10},
		"no match":    {"If-Match", `"x"`, 412, -1},
		"seen":        {"If-None-Match", etag, 304, 0},
		"other known": {"If-None-Match", `"x"`, 206, 10},
	} {
		a := w.call("GET", path, nil, withHeader("Range", "bytes=0-9"), withHeader(c.header, c.value))
		if a.status != c.status || c.bytes >= 0 && len(a.raw) != c.bytes {
			t.Errorf("%s: %d with %d bytes", name, a.status, len(a.raw))
		}
	}
	head := w.call("HEAD", path, nil)
	if head.status != 200 || len(head.raw) != 0 || head.header.Get("Content-Length") != fmt.Sprint(n) {
		t.Errorf("HEAD: %d, %v", head.status, head.header)
	}
}

func TestSegmentsAsTheyAreStored(t *testing.T) { onStorages(t, segmentsAsTheyAreStored) }

func segmentsAsTheyAreStored(t *testing.T, w *world) {
	r := w.recorded(w.create().str("session_id"), "pat_1", func(r *consult.Recording) { r.ServerKey = false })
	one := recordingsPath + "/" + r.ID
	a := w.call("GET", one+"/segments/0", nil)
	if a.status != 200 || !bytes.HasPrefix(a.raw, []byte("age-encryption.org/v1")) || int64(len(a.raw)) != r.Segments[0].Bytes ||
		a.header.Get("Content-Type") != "application/octet-stream" || a.header.Get("ETag") != `"`+r.Segments[0].SHA256+`"` {
		t.Errorf("%d, %d bytes, %v", a.status, len(a.raw), a.header)
	}
	if b := w.call("GET", one+"/segments/0", nil, withHeader("Range", "bytes=3-9")); b.status != 206 || !bytes.Equal(b.raw, a.raw[3:10]) {
		t.Errorf("range: %d %q", b.status, b.raw)
	}
	w.call("GET", one+"/segments/1", nil).refused(404, "")
	w.call("GET", one+"/segments/01", nil).refused(400, "")
	// Nothing else can be had without the key.
	w.call("GET", one+"/files/composed-webm", nil).refused(409, consult.ReasonRecordingKey)
	w.call("POST", one+"/links", map[string]any{"file_id": "composed-webm"}).refused(409, consult.ReasonRecordingKey)
	w.call("GET", one+"/files/other", nil).refused(404, "")
}

// What was changed in the store is never given out: the download breaks off.
func TestAForgedFileBreaksOff(t *testing.T) { onStorages(t, aForgedFileBreaksOff) }

func aForgedFileBreaksOff(t *testing.T, w *world) {
	r := w.recorded(w.create().str("session_id"), "pat_1")
	o := r.Files[0].Object
	f, size, err := w.blobs.Open(t.Context(), o.Key)
	must(t, err)
	stored, err := io.ReadAll(f)
	must(t, err)
	must(t, f.Close())
	path := recordingsPath + "/" + r.ID + "/files/composed-webm"
	get := func(header ...string) ([]byte, error) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", w.url+path, nil)
		must(t, err)
		req.Header.Set("X-API-Key", w.key)
		if len(header) == 1 {
			req.Header.Set("Range", header[0])
		}
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode >= 400 {
			return nil, fmt.Errorf("status %d", res.StatusCode)
		}
		return io.ReadAll(res.Body)
	}
	forged := bytes.Clone(stored)
	forged[size-80_000] ^= 1 // in the second of three chunks
	w.store1(o.Key, forged)
	got, err := get()
	if err == nil || !bytes.Equal(got, composedFile[:len(got)]) || len(got) > 64<<10 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if got, err := get("bytes=70000-70010"); err == nil || len(got) > 0 {
		t.Errorf("in the forged chunk: %d bytes, %v", len(got), err)
	}
	if got, err := get("bytes=140000-140009"); err != nil || !bytes.Equal(got, composedFile[140_000:140_010]) {
		t.Errorf("beside it: %d bytes, %v", len(got), err)
	}
	w.store1(o.Key, stored[:size-100])
	if got, err := get(); err == nil {
		t.Errorf("cut: %d bytes", len(got))
	}
	must(t, w.blobs.Delete(t.Context(), o.Key))
	if got, err := get(); err == nil {
		t.Errorf("gone: %d bytes", len(got))
	}
}

func TestDownloadsAreAudited(t *testing.T) { onDatabases(t, downloadsAreAudited) }

func downloadsAreAudited(t *testing.T, w *world) {
	session := w.create().str("session_id")
	r := w.recorded(session, "pat_1")
	one := recordingsPath + "/" + r.ID
	count := func() (n int, last string) {
		t.Helper()
		entries, err := w.store.Audit(t.Context(), w.apiKey.Scope, session)
		must(t, err)
		for _, e := range entries {
			if e.Event.Type == consult.EventRecordingRead {
				n++
				last = fmt.Sprint(e.Event.Actor.ID, " ", string(e.Event.Data))
			}
		}
		return n, last
	}
	expect := func(what string, want int, contains ...string) {
		t.Helper()
		n, last := count()
		for _, c := range append(contains, w.apiKey.ID) {
			if n > 0 && !strings.Contains(last, c) {
				t.Errorf("%s: %s lacks %s", what, last, c)
			}
		}
		if n != want {
			t.Errorf("%s: %d entries, want %d", what, n, want)
		}
	}
	w.call("GET", one+"/files/composed-webm", nil)
	expect("whole", 1, "composed-webm", `"key"`)
	w.call("GET", one+"/files/composed-webm", nil)
	expect("again", 2)
	for i := range 5 {
		w.call("GET", one+"/files/composed-webm", nil, withHeader("Range", fmt.Sprintf("bytes=%d-", i*1000)))
	}
	expect("ranges of a playback", 2)
	w.clock.advance(playback)
	w.call("GET", one+"/files/composed-webm", nil, withHeader("Range", "bytes=0-"))
	expect("another playback", 3)
	w.call("GET", one+"/segments/0", nil, withHeader("Range", "bytes=0-"))
	expect("a segment", 4, "segment-0")
	link := strings.TrimPrefix(w.call("POST", one+"/links", map[string]any{"file_id": "composed-webm"}).str("url"), publicURL)
	w.call("GET", link, nil, withoutKey, withHeader("Range", "bytes=0-"))
	expect("a link", 5, `"link"`)
	w.call("GET", one+"/files/none", nil)
	w.call("HEAD", one+"/files/composed-webm", nil)
	expect("nothing", 5)
}

func TestLinks(t *testing.T) { onStorages(t, links) }

func links(t *testing.T, w *world) {
	r := w.recorded(w.create().str("session_id"), "pat_1")
	create := recordingsPath + "/" + r.ID + "/links"
	for body, status := range map[string]int{
		`{}`: 422, `{"file_id":"composed-webm","expires_in":59}`: 422, `{"file_id":"composed-webm","expires_in":3601}`: 422,
		`{"file_id":"none"}`: 404, `{"file_id":"composed-webm","expires_in":60}`: 200, `{"file_id":"composed-webm","expires_in":3600}`: 200,
	} {
		if a := w.call("POST", create, body); a.status != status {
			t.Errorf("%s: %d %s", body, a.status, a.raw)
		}
	}
	a := w.call("POST", create, map[string]any{"file_id": "composed-webm", "expires_in": 60})
	url, ok := strings.CutPrefix(a.str("url"), publicURL)
	if !ok {
		t.Fatalf("url %s", a.str("url"))
	}
	raw, err := base64.RawURLEncoding.DecodeString(url[strings.LastIndex(url, "/")+1:])
	must(t, err)
	for _, secret := range []string{w.key, "sk_", "pat_1", "Amina", "eyJ"} {
		if bytes.Contains(raw, []byte(secret)) || strings.Contains(url, secret) {
			t.Errorf("the link carries %q", secret)
		}
	}
	whole := w.call("GET", url, nil, withoutKey)
	if whole.status != 200 || !bytes.Equal(whole.raw, composedFile) || whole.header.Get("Content-Disposition") != `inline; filename="`+r.ID+`-composed-webm.webm"` ||
		whole.header.Get("Cross-Origin-Resource-Policy") != "cross-origin" || whole.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d, %d bytes, %v", whole.status, len(whole.raw), whole.header)
	}
	if csp := whole.header.Get("Content-Security-Policy"); !strings.Contains(csp, "media-src 'self'") {
		t.Errorf("the browser may not play it in a page of its own: %s", csp)
	}
	if part := w.call("GET", url, nil, withoutKey, withHeader("Range", "bytes=70000-70009")); part.status != 206 || !bytes.Equal(part.raw, composedFile[70_000:70_010]) {
		t.Errorf("range: %d", part.status)
	}
	for i := strings.LastIndex(url, "/") + 1; i < len(url); i += 7 { // every part of it is signed
		forged := url[:i] + flip(url[i:])
		if b := w.call("GET", forged, nil, withoutKey); b.status != 404 {
			t.Errorf("forged at %d: %d", i, b.status)
		}
	}
	w.call("GET", url[:len(url)-2], nil, withoutKey).refused(404, "")
	w.clock.advance(59 * time.Second)
	if b := w.call("GET", url, nil, withoutKey); b.status != 200 {
		t.Errorf("before its end: %d", b.status)
	}
	w.clock.advance(2 * time.Second)
	w.call("GET", url, nil, withoutKey).refused(403, consult.ReasonLinkExpired)
	if strings.Contains(w.log.String(), url[strings.LastIndex(url, "/")+1:]) {
		t.Error("the link is in the log")
	}
}

// A link ends with the key that made it.
func TestALinkEndsWithItsKey(t *testing.T) {
	w := newWorld(t)
	secret, key, err := w.keys.Create(t.Context(), auth.CreateKeyRequest{
		AccountID: w.apiKey.Scope.AccountID, Name: "Player", Plan: consult.PlanProfessional, Mode: consult.Live, Scopes: []consult.KeyScope{consult.ScopeRecordings},
	})
	must(t, err)
	r := w.recorded(w.create().str("session_id"), "pat_1")
	create := recordingsPath + "/" + r.ID + "/links"
	body := map[string]any{"file_id": "composed-webm"}
	url := strings.TrimPrefix(w.call("POST", create, body, withKey(secret)).str("url"), publicURL)
	mine := strings.TrimPrefix(w.call("POST", create, body).str("url"), publicURL)
	w.call("GET", url, nil, withoutKey)
	_, err = w.keys.Revoke(t.Context(), key.ID, consult.Actor{Kind: consult.ActorOperator, ID: "test"})
	must(t, err)
	w.call("GET", url, nil, withoutKey).refused(403, consult.ReasonLinkRevoked)
	if a := w.call("GET", mine, nil, withoutKey); a.status != 200 {
		t.Errorf("another key's: %d", a.status)
	}
}

func TestLinksUnderRotatedSecrets(t *testing.T) {
	key := func() []byte {
		b := make([]byte, linkKeySize)
		_, _ = rand.Read(b)
		return b
	}
	old, fresh := key(), key()
	before, err := newLinkSigner([][]byte{old})
	must(t, err)
	after, err := newLinkSigner([][]byte{fresh, old})
	must(t, err)
	gone, err := newLinkSigner([][]byte{fresh})
	must(t, err)
	k := link{scope: consult.Scope{AccountID: "acc", Mode: consult.Live}, keyID: "key", recording: "rec", file: "f", expires: time.Unix(1_900_000_000, 0).UTC()}
	text, err := before.sign(k)
	must(t, err)
	if got, ok := after.open(text); !ok || got != k {
		t.Errorf("%+v, %v", got, ok)
	}
	if _, ok := gone.open(text); ok {
		t.Error("opens without its key")
	}
	if _, err := newLinkSigner([][]byte{[]byte("short")}); err == nil {
		t.Error("a short key")
	}
}

func FuzzLinks(f *testing.F) {
	l, err := newLinkSigner(nil)
	if err != nil {
		f.Fatal(err)
	}
	text, err := l.sign(link{scope: consult.Scope{AccountID: "acc", Mode: consult.Live}, keyID: "key", recording: "rec", file: "f", expires: time.Unix(1, 0)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(text[:len(text)-1])
	f.Add("")
	f.Fuzz(func(t *testing.T, in string) {
		if _, ok := l.open(in); ok && in != text {
			t.Errorf("%q opens", in)
		}
	})
}

// Erasure of a patient and the end of a term take every object out of the
// storage; a legal hold keeps it.
func TestErasureAndRetentionDeleteObjects(t *testing.T) {
	onDatabases(t, func(t *testing.T, w *world) { erasureAndRetentionDeleteObjects(t, w) })
	t.Run("s3", func(t *testing.T) {
		w := newWorld(t)
		w.useS3()
		erasureAndRetentionDeleteObjects(t, w)
	})
}

func erasureAndRetentionDeleteObjects(t *testing.T, w *world) {
	t.Helper()
	session := w.create().str("session_id")
	r := w.recorded(session, "pat_1")
	w.store1("recordings/"+r.ID+"/composed-mp4.age", []byte("of a composition that a crash ended"))
	kept := w.recorded(w.call("POST", videoPath+"create", map[string]any{"doctor_id": "doc_1", "patient_id": "pat_2"}).str("session_id"), "pat_2")
	w.call("POST", videoPath+session+"/cancel", nil).ok()
	if n := len(w.objects()); n != 5 {
		t.Fatalf("%d objects", n)
	}
	w.call("POST", "/api/v1/patients/pat_1/erase", nil).ok()
	w.recorder.Purge(t.Context())
	w.awaitObjects(2)

	// The term of one is over, and it is held.
	until := w.clock.now().Add(time.Hour)
	_, err := w.store.ChangeRecording(t.Context(), kept.Scope, kept.ID, func(r *consult.Recording) ([]consult.Event, error) {
		r.RetainUntil, r.LegalHold = &until, true
		return []consult.Event{{ID: consult.NewID("evt"), Type: consult.EventRecordingHeld, Scope: r.Scope, Actor: consult.System, SessionID: r.SessionID, At: w.clock.now()}}, nil
	})
	must(t, err)
	w.clock.advance(2 * time.Hour)
	w.runRetention()
	w.awaitObjects(2)
	w.call("PUT", recordingsPath+"/"+kept.ID+"/hold", map[string]any{"legal_hold": false}).ok()
	w.runRetention()
	w.awaitObjects(0)
	// The row says so once the objects are gone.
	w.await("a row without objects", func() bool {
		b := w.call("GET", recordingsPath+"/"+kept.ID, nil).ok()
		return b["state"] == "deleted" && len(b["segments"].([]any)) == 0
	})
}
