package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/chatmed/chatmed/internal/blob/s3test"
)

// between stands between a store and the server, and may break what passes.
type between struct {
	*httptest.Server
	parts atomic.Int64 // that were sent through
	// refuse reports whether the connection of a request is cut.
	refuse func(r *http.Request) bool
}

func inFront(t *testing.T, srv *s3test.Server, refuse func(*http.Request) bool) *between {
	t.Helper()
	b := &between{refuse: refuse}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: srv.Addr})
	direct := proxy.Director                 //nolint:staticcheck // Rewrite would drop the Host that is signed
	proxy.Director = func(r *http.Request) { //nolint:staticcheck // as above
		host := r.Host
		direct(r)
		r.Host = host
	}
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.refuse(r) {
			panic(http.ErrAbortHandler)
		}
		if r.Method == http.MethodPut && r.URL.Query().Has("partNumber") {
			b.parts.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *between) url(srv *s3test.Server, bucket string) string {
	return strings.Replace(srv.URL(bucket, ""), srv.Addr, b.Listener.Addr().String(), 1)
}

// An upload that a broken connection ends goes on with the part it came to.
func TestAnInterruptedUploadGoesOn(t *testing.T) {
	srv := s3test.Start(t)
	name := srv.Bucket(t)
	var broken atomic.Bool
	b := inFront(t, srv, func(r *http.Request) bool { return broken.Load() && r.URL.Query().Get("partNumber") == "3" })
	s := remote(t, b.url(srv, name))
	data := random(4*testPart + 4711)
	path := write(t, data)
	ctx := t.Context()

	broken.Store(true)
	if err := s.Upload(ctx, "rec/x", path); err == nil {
		t.Fatal("no error over a broken connection")
	}
	_, err := s.Stat(ctx, "rec/x")
	is(t, err, ErrNotFound)
	if n := b.parts.Load(); n != 2 {
		t.Errorf("%d parts sent before the break, want 2", n)
	}
	broken.Store(false)
	// A new process, which remembers nothing.
	must(t, remote(t, b.url(srv, name)).Upload(ctx, "rec/x", path))
	if n := b.parts.Load(); n != 5 {
		t.Errorf("%d parts sent in all, want 5: those the store has are not sent again", n)
	}
	holds(t, s, "rec/x", data)
	unfinished(t, srv, name, 0)
}

// Parts of another content are not taken for those of this one.
func TestAnUploadOfAnotherContentIsNotGoneOnWith(t *testing.T) {
	srv := s3test.Start(t)
	name := srv.Bucket(t)
	var broken atomic.Bool
	b := inFront(t, srv, func(r *http.Request) bool { return broken.Load() && r.URL.Query().Get("partNumber") == "3" })
	s := remote(t, b.url(srv, name))
	data := random(3*testPart - 1)
	path := write(t, data)
	broken.Store(true)
	if err := s.Upload(t.Context(), "rec/x", path); err == nil {
		t.Fatal("no error")
	}
	broken.Store(false)
	data[testPart+5]++
	must(t, os.WriteFile(path, data, 0o600))
	must(t, s.Upload(t.Context(), "rec/x", path))
	holds(t, s, "rec/x", data)
	unfinished(t, srv, name, 0)
	sent := b.parts.Load()
	must(t, s.Upload(t.Context(), "rec/x", path))
	if n := b.parts.Load(); n != sent {
		t.Errorf("%d parts sent of what is there", n-sent)
	}
}

// Deletion leaves nothing of an upload that never ended.
func TestDeletionTakesUnfinishedUploads(t *testing.T) {
	srv := s3test.Start(t)
	name := srv.Bucket(t)
	b := inFront(t, srv, func(r *http.Request) bool { return r.URL.Query().Get("partNumber") == "2" })
	s := remote(t, b.url(srv, name))
	for _, key := range []string{"rec/x", "rec/x2"} {
		if err := s.Upload(t.Context(), key, write(t, random(2*testPart))); err == nil {
			t.Fatal("no error")
		}
	}
	unfinished(t, srv, name, 2)
	must(t, s.Delete(t.Context(), "rec/x"))
	unfinished(t, srv, name, 1)
	must(t, s.Delete(t.Context(), "rec/x2"))
	unfinished(t, srv, name, 0)
	for _, key := range []string{"rec/x", "rec/y", "other/x"} {
		if err := s.Upload(t.Context(), key, write(t, random(2*testPart))); err == nil {
			t.Fatal("no error")
		}
	}
	must(t, s.DeleteAll(t.Context(), "rec/"))
	unfinished(t, srv, name, 1)

	dir := t.TempDir()
	d := disk(t, dir)
	must(t, os.WriteFile(filepath.Join(dir, partial("rec/x")), random(100), 0o600))
	must(t, d.Delete(t.Context(), "rec/x"))
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left on the disk: %v", left)
	}
	for _, key := range []string{"rec/x", "rec/y", "other/x"} {
		must(t, os.WriteFile(filepath.Join(dir, partial(key)), random(100), 0o600))
	}
	must(t, d.DeleteAll(t.Context(), "rec/"))
	if left := files(t, dir); len(left) != 1 {
		t.Errorf("left on the disk: %v", left)
	}
}

func unfinished(t *testing.T, srv *s3test.Server, bucket string, want int) {
	t.Helper()
	n := 0
	for u := range srv.Client().ListIncompleteUploads(t.Context(), bucket, "", true) {
		must(t, u.Err)
		n++
	}
	if n != want {
		t.Errorf("%d unfinished uploads, want %d", n, want)
	}
}

func files(t *testing.T, dir string) (out []string) {
	t.Helper()
	must(t, filepath.Walk(dir, func(path string, i os.FileInfo, err error) error {
		if err == nil && !i.IsDir() {
			out = append(out, path)
		}
		return err
	}))
	return out
}

func TestAnUploadToTheDiskGoesOn(t *testing.T) {
	data := random(5*copyChunk + 99)
	path := write(t, data)
	for name, left := range map[string][]byte{
		"nothing": {}, "a part": data[:2*copyChunk+7], "all": data, "more": append(bytes.Clone(data), 1, 2, 3),
		"zeros for the end, after a crash": append(bytes.Clone(data[:3*copyChunk+5]), make([]byte, copyChunk)...),
		"something else":                   random(2 * copyChunk),
	} {
		dir := t.TempDir()
		d := disk(t, dir)
		must(t, os.WriteFile(filepath.Join(dir, partial("rec/x")), left, 0o600))
		must(t, d.Upload(t.Context(), "rec/x", path))
		holds(t, d, "rec/x", data)
		if got := files(t, dir); len(got) != 1 {
			t.Errorf("%s: left %v", name, got)
		}
	}
	d := disk(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	is(t, d.Upload(ctx, "rec/x", path), context.Canceled)
	_, err := d.Stat(t.Context(), "rec/x")
	is(t, err, ErrNotFound)
}

// A folder that leads out of the store is not followed.
func TestNoLinkLeadsOutOfTheFolder(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	d := disk(t, dir)
	must(t, os.Symlink(outside, filepath.Join(dir, "rec")))
	if err := d.Put(t.Context(), "rec/x", strings.NewReader("x"), 1); err == nil {
		t.Error("put outside")
	}
	must(t, os.WriteFile(filepath.Join(outside, "y"), []byte("y"), 0o600))
	if _, _, err := d.Open(t.Context(), "rec/y"); err == nil {
		t.Error("read outside")
	}
	if got := files(t, outside); len(got) != 1 {
		t.Errorf("outside: %v", got)
	}
}

func TestWhatACrashLeftOfAPutGoes(t *testing.T) {
	dir := t.TempDir()
	d := disk(t, dir)
	old, fresh := filepath.Join(dir, incoming, "OLD"), filepath.Join(dir, incoming, "FRESH")
	resumable := filepath.Join(dir, partial("rec/x"))
	for _, p := range []string{old, fresh, resumable} {
		must(t, os.WriteFile(p, []byte("x"), 0o600))
	}
	long := time.Now().Add(-2 * abandonedAfter)
	must(t, os.Chtimes(old, long, long))
	must(t, os.Chtimes(resumable, long, long))
	must(t, d.Ping(t.Context()))
	disk(t, dir)
	if got := files(t, dir); slices.Contains(got, old) || len(got) != 2 {
		t.Errorf("left %v", got)
	}
}

// every calls each operation of a store.
func every(ctx context.Context, s Store, path string) map[string]error {
	out := map[string]error{
		"put": s.Put(ctx, "a/b", strings.NewReader("x"), 1), "upload": s.Upload(ctx, "a/b", path),
		"delete": s.Delete(ctx, "a/b"), "list": s.List(ctx, "", func(Info) error { return nil }), "ping": s.Ping(ctx),
	}
	_, _, out["open"] = s.Open(ctx, "a/b")
	_, out["stat"] = s.Stat(ctx, "a/b")
	return out
}

func TestWrongCredentialsAndMissingBuckets(t *testing.T) {
	srv := s3test.Start(t)
	bucket := srv.Bucket(t)
	path := write(t, random(2*testPart))
	wrongSecret := strings.Replace(srv.URL(bucket, ""), srv.Secret, "not-the-secret", 1)
	wrongKey := strings.Replace(srv.URL(bucket, ""), srv.Key, "nobody-we-know", 1)
	for name, c := range map[string]struct {
		url  string
		want []error
	}{
		// This server answers a HEAD of an unknown key with a bare 404.
		"secret": {wrongSecret, []error{ErrDenied}}, "key": {wrongKey, []error{ErrDenied, ErrNoBucket}},
		"bucket": {srv.URL("no-such-bucket", "p"), []error{ErrNoBucket}},
	} {
		for op, err := range every(t.Context(), remote(t, c.url), path) {
			if !slices.ContainsFunc(c.want, func(want error) bool { return errors.Is(err, want) }) {
				t.Errorf("%s, %s: %v, want %v", name, op, err, c.want)
				continue
			}
			for _, secret := range []string{srv.Secret, srv.Key, "not-the-secret", "nobody-we-know"} {
				if strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
					t.Errorf("%s, %s: the error carries a credential: %v", name, op, err)
				}
			}
		}
	}
}

// A server that takes connections and never answers costs a bounded time.
func TestAStalledServer(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { must(t, l.Close()) }() // what waits in its queue is never answered
	s := stalling(t, "s3://k:secret@"+l.Addr().String()+"/bucket?insecure=1&region=x", 50*time.Millisecond)
	start := time.Now()
	for op, err := range every(t.Context(), s, write(t, random(100))) {
		if err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", op, err)
		}
		if strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: %v", op, err)
		}
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	is(t, remote(t, "s3://k:s@"+l.Addr().String()+"/bucket?insecure=1&region=x").Put(ctx, "a", strings.NewReader("x"), 1), context.DeadlineExceeded)
}

func stalling(t *testing.T, url string, limit time.Duration) *S3 {
	t.Helper()
	r, err := ParseURL(url, func(string) string { return "" })
	must(t, err)
	s, err := newS3(r, limit, testPart)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// object is a server of one object, whose bytes answer writes.
func object(t *testing.T, size int, answer func(w http.ResponseWriter, n int64)) *httptest.Server {
	t.Helper()
	var gets atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"0123"`)
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		if r.Method == http.MethodHead {
			w.Header().Set("Content-Length", strconv.Itoa(size))
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("%s/%d", strings.Replace(r.Header.Get("Range"), "=", " ", 1), size))
		answer(w, gets.Add(1))
	}))
	t.Cleanup(srv.Close)
	return srv
}

// One that stops in the middle of an object fails the read in bounded time.
func TestAServerThatStallsInTheMiddle(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	srv := object(t, 100_000, func(w http.ResponseWriter, n int64) {
		if n == 1 {
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(make([]byte, 1000))
			_ = http.NewResponseController(w).Flush()
		}
		<-release
	})
	s := stalling(t, "s3://k:s@"+srv.Listener.Addr().String()+"/bucket?insecure=1&region=x", 100*time.Millisecond)
	r, size, err := s.Open(t.Context(), "a")
	must(t, err)
	start := time.Now()
	got, err := io.ReadAll(r)
	if err == nil || len(got) >= int(size) || time.Since(start) > 20*time.Second {
		t.Errorf("%d of %d bytes, %v, in %s", len(got), size, err, time.Since(start))
	}
	must(t, r.Close())
}

// A slow connection on which something moves is not taken for a dead one.
func TestASlowServerIsNotDead(t *testing.T) {
	srv := object(t, 20, func(w http.ResponseWriter, _ int64) {
		w.WriteHeader(http.StatusPartialContent)
		for range 20 {
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
			<-time.After(25 * time.Millisecond)
		}
	})
	s := stalling(t, "s3://k:s@"+srv.Listener.Addr().String()+"/bucket?insecure=1&region=x", 250*time.Millisecond)
	r, _, err := s.Open(t.Context(), "a")
	must(t, err)
	got, err := io.ReadAll(r)
	must(t, err)
	if len(got) != 20 {
		t.Errorf("%d bytes", len(got))
	}
	must(t, r.Close())
}

// A server that does not know ranges is found out, not believed.
func TestAServerWithoutRanges(t *testing.T) {
	srv := object(t, 1000, func(w http.ResponseWriter, _ int64) {
		w.Header().Del("Content-Range")
		_, _ = w.Write(make([]byte, 1000))
	})
	s := stalling(t, "s3://k:s@"+srv.Listener.Addr().String()+"/bucket?insecure=1&region=x", time.Second)
	r, _, err := s.Open(t.Context(), "a")
	must(t, err)
	if n, err := r.(io.ReaderAt).ReadAt(make([]byte, 10), 500); n != 0 || err == nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	must(t, r.Close())
}

// In a bucket that keeps versions, deletion leaves none.
func TestDeletionLeavesNoVersion(t *testing.T) {
	srv := s3test.Start(t)
	bucket := srv.Bucket(t)
	srv.Versioned(t, bucket)
	s := remote(t, srv.URL(bucket, "p"))
	for i := range 3 {
		put(t, s, "rec/x", fmt.Appendf(nil, "version %d", i))
	}
	put(t, s, "rec/xy", []byte("stays"))
	must(t, s.Delete(t.Context(), "rec/x"))
	for o := range srv.Client().ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		must(t, o.Err)
		if o.Key != "p/rec/xy" {
			t.Errorf("left: %s, version %s, marker %v", o.Key, o.VersionID, o.IsDeleteMarker)
		}
	}
	holds(t, s, "rec/xy", []byte("stays"))
}
