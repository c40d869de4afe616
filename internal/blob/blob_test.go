package blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/chatmed/chatmed/internal/blob/s3test"
)

// testPart is the size of the parts in tests: the least that S3 takes.
const testPart = 5 << 20

// onStores runs a test on every kind of store.
func onStores(t *testing.T, test func(t *testing.T, s Store)) {
	t.Run("disk", func(t *testing.T) { test(t, disk(t, t.TempDir())) })
	t.Run("s3", func(t *testing.T) { test(t, bucket(t, "clinic/a")) })
	t.Run("s3 without prefix", func(t *testing.T) { test(t, bucket(t, "")) })
}

func disk(t *testing.T, dir string) *Disk {
	t.Helper()
	d, err := NewDisk(dir)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

func bucket(t *testing.T, prefix string) *S3 {
	t.Helper()
	srv := s3test.Start(t)
	return remote(t, srv.URL(srv.Bucket(t), prefix))
}

func remote(t *testing.T, url string) *S3 {
	t.Helper()
	r, err := ParseURL(url, func(string) string { return "" })
	must(t, err)
	s, err := newS3(r, stallLimit, testPart)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(name, data, 0o600))
	return name
}

func put(t *testing.T, s Store, key string, data []byte) {
	t.Helper()
	must(t, s.Put(t.Context(), key, bytes.NewReader(data), int64(len(data))))
}

// holds wants the object to be exactly that.
func holds(t *testing.T, s Store, key string, want []byte) {
	t.Helper()
	r, size, err := s.Open(t.Context(), key)
	must(t, err)
	defer func() { must(t, r.Close()) }()
	got, err := io.ReadAll(r)
	must(t, err)
	if size != int64(len(want)) || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes of size %d, want %d, alike: %v", key, len(got), size, len(want), bytes.Equal(got, want))
	}
	i, err := s.Stat(t.Context(), key)
	must(t, err)
	if i.Size != size || i.Key != key || i.Modified.IsZero() {
		t.Errorf("%s: stat says %+v", key, i)
	}
}

func keys(t *testing.T, s Store, prefix string) []string {
	t.Helper()
	out := []string{}
	must(t, s.List(t.Context(), prefix, func(i Info) error {
		out = append(out, i.Key)
		return nil
	}))
	return out
}

// is fails the test unless err is want.
func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestWhatIsPutIsRead(t *testing.T) {
	onStores(t, func(t *testing.T, s Store) {
		must(t, s.Ping(t.Context()))
		for _, n := range []int{0, 1, 100_000, testPart, testPart + 1, 2*testPart + 12345} {
			key := fmt.Sprintf("a/b/%d.bin", n)
			data := random(n)
			put(t, s, key, data)
			holds(t, s, key, data)
		}
		put(t, s, "a/b/1.bin", []byte("again"))
		holds(t, s, "a/b/1.bin", []byte("again"))
	})
}

func TestAPutIsWholeOrNothing(t *testing.T) {
	onStores(t, func(t *testing.T, s Store) {
		boom := errors.New("boom")
		for name, r := range map[string]io.Reader{
			"fails": io.MultiReader(bytes.NewReader(random(1000)), iotest.ErrReader(boom)),
			"short": bytes.NewReader(random(1999)),
			"long":  bytes.NewReader(random(2001)),
		} {
			if err := s.Put(t.Context(), "x/y", r, 2000); err == nil {
				t.Errorf("%s: no error", name)
			}
			_, err := s.Stat(t.Context(), "x/y")
			is(t, err, ErrNotFound)
		}
		put(t, s, "x/y", []byte("before"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		is(t, s.Put(ctx, "x/y", bytes.NewReader(random(10)), 10), context.Canceled)
		holds(t, s, "x/y", []byte("before"))
		if got := keys(t, s, ""); !slices.Equal(got, []string{"x/y"}) {
			t.Errorf("left: %v", got)
		}
	})
}

func TestKeysLeadNowhereElse(t *testing.T) {
	onStores(t, func(t *testing.T, s Store) {
		for _, key := range []string{
			"", "/", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/..", ".", "a/./b", ".incoming/x", "a/.b", "a b", "a\x00b",
			"a\\b", "ä", "a?b", "a%2e", strings.Repeat("a", 201), strings.Repeat("a/", 300) + "a",
		} {
			is(t, s.Put(t.Context(), key, strings.NewReader("x"), 1), ErrKey)
			is(t, s.Upload(t.Context(), key, write(t, []byte("x"))), ErrKey)
			_, _, err := s.Open(t.Context(), key)
			is(t, err, ErrKey)
			_, err = s.Stat(t.Context(), key)
			is(t, err, ErrKey)
			is(t, s.Delete(t.Context(), key), ErrKey)
		}
	})
}

func TestRangesOfAnObject(t *testing.T) {
	onStores(t, func(t *testing.T, s Store) {
		data := random(3<<20 + 77)
		put(t, s, "r/x", data)
		r, size, err := s.Open(t.Context(), "r/x")
		must(t, err)
		at, ok := r.(io.ReaderAt)
		if !ok {
			t.Fatal("no ReaderAt")
		}
		rnd := mathrand.New(mathrand.NewPCG(1, 2))
		for range 60 {
			off := rnd.Int64N(size)
			buf := make([]byte, rnd.IntN(400_000)+1)
			n, err := at.ReadAt(buf, off)
			want := data[off:min(off+int64(len(buf)), size)]
			if !bytes.Equal(buf[:n], want) || (n < len(buf)) != errors.Is(err, io.EOF) || (err != nil && !errors.Is(err, io.EOF)) {
				t.Fatalf("%d bytes at %d: %d, %v", len(buf), off, n, err)
			}
			if _, err = r.Seek(off-size, io.SeekEnd); err != nil {
				t.Fatal(err)
			}
			buf = buf[:min(len(buf), len(want))]
			if _, err := io.ReadFull(r, buf); err != nil || !bytes.Equal(buf, want[:len(buf)]) {
				t.Fatalf("read at %d: %v", off, err)
			}
		}
		if _, err := at.ReadAt(make([]byte, 1), size); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v", err)
		}
		if _, err := r.Seek(-1, io.SeekStart); err == nil {
			t.Error("seek before the start")
		}
		must(t, r.Close())
		if _, err := at.ReadAt(make([]byte, 1), 0); err == nil {
			t.Error("reads after Close")
		}
	})
}

// A reader keeps to the content that it opened, or fails.
func TestAReaderNeverMixesTwoContents(t *testing.T) {
	onStores(t, func(t *testing.T, s Store) {
		first, second := bytes.Repeat([]byte("1"), 2<<20), bytes.Repeat([]byte("2"), 2<<20)
		put(t, s, "m/x", first)
		r, _, err := s.Open(t.Context(), "m/x")
		must(t, err)
		defer func() { must(t, r.Close()) }()
		head := make([]byte, 1000)
		_, err = io.ReadFull(r, head)
		must(t, err)
		put(t, s, "m/x", second)
		rest, err := io.ReadAll(r)
		if bytes.ContainsRune(rest, '2') || (err != nil && !errors.Is(err, ErrChanged)) || (err == nil && len(rest) != len(first)-1000) {
			t.Errorf("%d bytes, %v, of the second: %v", len(rest), err, bytes.ContainsRune(rest, '2'))
		}
	})
}

func TestAReaderEndsWithItsContext(t *testing.T) {
	onStores(t, func(t *testing.T, s Store) {
		put(t, s, "m/x", random(2<<20))
		ctx, cancel := context.WithCancel(t.Context())
		r, _, err := s.Open(ctx, "m/x")
		must(t, err)
		defer func() { must(t, r.Close()) }()
		_, err = io.ReadFull(r, make([]byte, 10))
		must(t, err)
		cancel()
		_, err = io.ReadAll(r)
		is(t, err, context.Canceled)
	})
}

func TestListsAreSortedAndNarrowed(t *testing.T) {
	onStores(t, func(t *testing.T, s Store) {
		all := []string{"a", "a-b/c", "a/b", "a/b.c", "b/1/2/3", "b/10", "b/2"}
		for i := range 5 {
			all = append(all, fmt.Sprintf("recordings/rec_%d/seg_%d.journal", i/2, i))
		}
		slices.Sort(all)
		all = slices.DeleteFunc(all, func(k string) bool { return k == "a" }) // beside a folder of its name, on no disk
		for _, key := range all {
			put(t, s, key, []byte(key))
		}
		for _, prefix := range []string{"", "a", "a/", "a/b", "b/1", "b/1/", "recordings/", "recordings/rec_1/", "recordings/rec_1/seg_3", "nothing", "b/10x"} {
			want := slices.DeleteFunc(slices.Clone(all), func(k string) bool { return !strings.HasPrefix(k, prefix) })
			if got := keys(t, s, prefix); !slices.Equal(got, want) {
				t.Errorf("%q: %v, want %v", prefix, got, want)
			}
		}
		stop, n := errors.New("enough"), 0
		is(t, s.List(t.Context(), "", func(Info) error { n++; return stop }), stop)
		if n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestWhatIsDeletedIsGone(t *testing.T) {
	onStores(t, func(t *testing.T, s Store) {
		put(t, s, "recordings/rec_1/a", []byte("a"))
		put(t, s, "recordings/rec_1/b", []byte("b"))
		must(t, s.Delete(t.Context(), "recordings/rec_1/a"))
		must(t, s.Delete(t.Context(), "recordings/rec_1/a"))
		must(t, s.Delete(t.Context(), "recordings/rec_9/never"))
		_, err := s.Stat(t.Context(), "recordings/rec_1/a")
		is(t, err, ErrNotFound)
		_, _, err = s.Open(t.Context(), "recordings/rec_1/a")
		is(t, err, ErrNotFound)
		if got := keys(t, s, ""); !slices.Equal(got, []string{"recordings/rec_1/b"}) {
			t.Errorf("left: %v", got)
		}
		holds(t, s, "recordings/rec_1/b", []byte("b"))
	})
}

func TestAFolderIsDeletedWhole(t *testing.T) {
	onStores(t, func(t *testing.T, s Store) {
		for _, key := range []string{"recordings/rec_1/a", "recordings/rec_1/b/c", "recordings/rec_10/a", "recordings/rec_1x"} {
			put(t, s, key, []byte(key))
		}
		must(t, s.DeleteAll(t.Context(), "recordings/rec_1/"))
		must(t, s.DeleteAll(t.Context(), "recordings/rec_1/"))
		must(t, s.DeleteAll(t.Context(), "nothing/"))
		if got := keys(t, s, ""); !slices.Equal(got, []string{"recordings/rec_10/a", "recordings/rec_1x"}) {
			t.Errorf("left: %v", got)
		}
		for _, folder := range []string{"", "/", "a", "../", "a//", "a/../", "."} {
			is(t, s.DeleteAll(t.Context(), folder), ErrKey)
		}
	})
}

func TestAFolderIsNoObject(t *testing.T) {
	onStores(t, func(t *testing.T, s Store) {
		put(t, s, "a/b/c", []byte("x"))
		_, err := s.Stat(t.Context(), "a/b")
		is(t, err, ErrNotFound)
		_, _, err = s.Open(t.Context(), "a")
		is(t, err, ErrNotFound)
	})
}

func TestUploadsOfFiles(t *testing.T) {
	onStores(t, func(t *testing.T, s Store) {
		for _, n := range []int{0, 1, testPart, testPart + 1, 3*testPart + 999} {
			key, data := fmt.Sprintf("u/%d", n), random(n)
			name := write(t, data)
			must(t, s.Upload(t.Context(), key, name))
			holds(t, s, key, data)
			before, err := s.Stat(t.Context(), key)
			must(t, err)
			must(t, s.Upload(t.Context(), key, name))
			after, err := s.Stat(t.Context(), key)
			must(t, err)
			if before != after {
				t.Errorf("%d bytes: stored again", n)
			}
			if n > 0 { // the same size, another content
				data[n/2]++
				must(t, os.WriteFile(name, data, 0o600))
				must(t, s.Upload(t.Context(), key, name))
				holds(t, s, key, data)
			}
		}
		is(t, s.Upload(t.Context(), "u/none", filepath.Join(t.TempDir(), "none")), os.ErrNotExist)
	})
}

func TestManyAtOnce(t *testing.T) {
	onStores(t, func(t *testing.T, s Store) {
		data := random(300_000)
		name := write(t, data)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				own := fmt.Sprintf("c/%d/x", i)
				for range 5 {
					if err := errors.Join(s.Upload(t.Context(), "c/shared/x", name), s.Put(t.Context(), own, bytes.NewReader(data), int64(len(data))),
						s.Delete(t.Context(), own)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		holds(t, s, "c/shared/x", data)
		if got := keys(t, s, ""); !slices.Equal(got, []string{"c/shared/x"}) {
			t.Errorf("left: %v", got)
		}
	})
}
