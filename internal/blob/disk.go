package blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// incoming is the folder of what is not whole yet; no key starts with a dot.
const incoming = ".incoming"

const (
	partialExt = ".partial"
	// abandonedAfter is when what a crash left of a Put goes.
	abandonedAfter = 24 * time.Hour
	copyChunk      = 1 << 20
)

// Disk keeps objects as files in a folder. An object appears by a rename, after
// its bytes are on the disk.
type Disk struct {
	root *os.Root // nothing leads out of it, symbolic links included

	mu   sync.Mutex
	keys map[string]*turn // that an Upload works on
}

// turn lets one Upload of a key work at a time.
type turn struct {
	sync.Mutex
	waiting int
}

// NewDisk opens the folder, made if need be.
func NewDisk(dir string) (*Disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, failure("directory", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, failure("directory", err)
	}
	d := &Disk{root: root, keys: map[string]*turn{}}
	if err := d.root.MkdirAll(incoming, 0o700); err != nil {
		return nil, failure("directory", errors.Join(err, root.Close()))
	}
	d.tidy()
	return d, nil
}

// tidy removes what was abandoned; what stays is looked at next time.
func (d *Disk) tidy() {
	entries, err := fs.ReadDir(d.root.FS(), incoming)
	if err != nil {
		return
	}
	for _, e := range entries {
		if i, err := e.Info(); err == nil && !strings.HasSuffix(e.Name(), partialExt) && time.Since(i.ModTime()) > abandonedAfter {
			_ = d.root.Remove(path.Join(incoming, e.Name()))
		}
	}
}

// Close gives the folder back.
func (d *Disk) Close() error { return failure("close", d.root.Close()) }

// Put implements Store.
func (d *Disk) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if err := checkKey(key); err != nil {
		return failure("put", err)
	}
	name := path.Join(incoming, rand.Text())
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return failure("put", err)
	}
	_, err = io.Copy(f, reading{ctx, &exactly{r, size}})
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = d.place(name, key)
	}
	if err != nil {
		return failure("put", errors.Join(err, d.drop(name)))
	}
	return nil
}

// place gives a whole file its name. Deletions take empty folders away, so the
// folder may go again before the rename.
func (d *Disk) place(name, key string) error {
	dir := path.Dir(key)
	for try := 0; ; try++ {
		if err := d.root.MkdirAll(dir, 0o700); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		err := d.root.Rename(name, key)
		if err == nil {
			return d.syncUp(dir)
		}
		if !errors.Is(err, fs.ErrNotExist) || try == 10 {
			return err
		}
	}
}

// syncUp makes names durable from a folder up to the root.
func (d *Disk) syncUp(dir string) error {
	for ; ; dir = path.Dir(dir) {
		f, err := d.root.Open(dir)
		if errors.Is(err, fs.ErrNotExist) { // taken away meanwhile, and what was in it
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
		if dir == "." {
			return nil
		}
	}
}

// drop removes a file that may not be there.
func (d *Disk) drop(name string) error {
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// partial is where an Upload of the key collects its bytes: the folder's name
// comes first, so that all of a folder are found.
func partial(key string) string {
	return path.Join(incoming, digest(path.Dir(key))+"-"+digest(key)+partialExt)
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// Upload implements Store.
func (d *Disk) Upload(ctx context.Context, key, file string) error {
	if err := checkKey(key); err != nil {
		return failure("upload", err)
	}
	defer d.lock(key)()
	src, err := os.Open(file)
	if err != nil {
		return failure("upload", err)
	}
	defer func() { _ = src.Close() }() // it was only read
	there, err := d.holds(ctx, key, src)
	if err != nil || there {
		return failure("upload", err)
	}
	if err := d.collect(ctx, partial(key), src); err != nil {
		return failure("upload", err)
	}
	return failure("upload", d.place(partial(key), key))
}

func (d *Disk) lock(key string) (unlock func()) {
	d.mu.Lock()
	t := d.keys[key]
	if t == nil {
		t = &turn{}
		d.keys[key] = t
	}
	t.waiting++
	d.mu.Unlock()
	t.Lock()
	return func() {
		t.Unlock()
		d.mu.Lock()
		defer d.mu.Unlock()
		if t.waiting--; t.waiting == 0 {
			delete(d.keys, key)
		}
	}
}

// holds reports whether the object is there with the file's content.
func (d *Disk) holds(ctx context.Context, key string, src *os.File) (bool, error) {
	f, err := d.root.Open(key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	a, errA := f.Stat()
	b, errB := src.Stat()
	if err := errors.Join(errA, errB); err != nil || a.Size() != b.Size() {
		return false, err
	}
	n, err := common(ctx, f, src)
	return n == a.Size(), err
}

// collect makes the partial file the whole of src. What it holds of src already
// stays.
func (d *Disk) collect(ctx context.Context, name string, src *os.File) error {
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = func() error {
		have, err := common(ctx, f, src)
		if err != nil {
			return err
		}
		if err := f.Truncate(have); err != nil {
			return err
		}
		for _, at := range []*os.File{f, src} {
			if _, err := at.Seek(have, io.SeekStart); err != nil {
				return err
			}
		}
		for {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := io.CopyN(f, src, copyChunk)
			if n < copyChunk {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				return err
			}
		}
	}()
	return errors.Join(err, f.Sync(), f.Close())
}

// common is how many bytes a and b begin with alike, in whole chunks but for the
// end of both.
func common(ctx context.Context, a, b io.ReaderAt) (int64, error) {
	x, y := make([]byte, copyChunk), make([]byte, copyChunk)
	for at := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, errA := a.ReadAt(x, at)
		m, errB := b.ReadAt(y, at)
		if n != m || !bytes.Equal(x[:n], y[:m]) {
			return at, nil
		}
		at += int64(n)
		switch {
		case errors.Is(errA, io.EOF) && errors.Is(errB, io.EOF):
			return at, nil
		case errA != nil || errB != nil:
			return 0, errors.Join(errA, errB)
		}
	}
}

// Open implements Store. A file that was replaced or removed is read to its end
// as it was.
func (d *Disk) Open(ctx context.Context, key string) (io.ReadSeekCloser, int64, error) {
	if err := checkKey(key); err != nil {
		return nil, 0, failure("open", err)
	}
	f, err := d.root.Open(key)
	if err != nil {
		return nil, 0, failure("open", missing(err))
	}
	i, err := f.Stat()
	if err == nil && !i.Mode().IsRegular() {
		err = ErrNotFound
	}
	if err != nil {
		return nil, 0, failure("open", errors.Join(err, f.Close()))
	}
	return &diskReader{File: f, ctx: ctx}, i.Size(), nil
}

type diskReader struct {
	*os.File
	ctx context.Context //nolint:containedctx // as documented of Open
}

// WriteTo and ReadFrom of the file are hidden by Read's deadline.
func (r *diskReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, failure("read", err)
	}
	return r.File.Read(p)
}

func (r *diskReader) ReadAt(p []byte, off int64) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, failure("read", err)
	}
	return r.File.ReadAt(p, off)
}

func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	return err
}

// Stat implements Store.
func (d *Disk) Stat(_ context.Context, key string) (Info, error) {
	if err := checkKey(key); err != nil {
		return Info{}, failure("stat", err)
	}
	i, err := d.root.Stat(key)
	if err == nil && !i.Mode().IsRegular() {
		err = ErrNotFound
	}
	if err != nil {
		return Info{}, failure("stat", missing(err))
	}
	return Info{Key: key, Size: i.Size(), Modified: i.ModTime()}, nil
}

// Delete implements Store, and takes folders that it empties away.
func (d *Disk) Delete(_ context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return failure("delete", err)
	}
	if err := errors.Join(d.drop(partial(key)), d.drop(key)); err != nil {
		return failure("delete", err)
	}
	dir := path.Dir(key)
	for dir != "." && d.root.Remove(dir) == nil { // one that is not empty stays
		dir = path.Dir(dir)
	}
	return failure("delete", d.syncUp(dir))
}

// DeleteAll implements Store. What uploads to folders below have left is found
// by their own keys alone.
func (d *Disk) DeleteAll(ctx context.Context, folder string) error {
	if err := checkFolder(folder); err != nil {
		return failure("delete", err)
	}
	entries, err := fs.ReadDir(d.root.FS(), incoming)
	if err != nil {
		return failure("delete", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), digest(path.Dir(folder))+"-") {
			if err := d.drop(path.Join(incoming, e.Name())); err != nil {
				return failure("delete", err)
			}
		}
	}
	return d.List(ctx, folder, func(i Info) error { return d.Delete(ctx, i.Key) })
}

// List implements Store.
func (d *Disk) List(ctx context.Context, prefix string, each func(Info) error) error {
	found := []string{}
	err := fs.WalkDir(d.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // deleted meanwhile
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case e.IsDir() && name == incoming, e.IsDir() && name != "." && !related(name+"/", prefix):
			return fs.SkipDir
		case e.Type().IsRegular() && strings.HasPrefix(name, prefix):
			found = append(found, name)
		}
		return nil
	})
	if err != nil {
		return failure("list", err)
	}
	slices.Sort(found) // a folder and its neighbours are walked in another order
	return d.tell(ctx, found, each)
}

// related reports whether something under the folder may start with prefix.
func related(folder, prefix string) bool {
	return strings.HasPrefix(folder, prefix) || strings.HasPrefix(prefix, folder)
}

func (d *Disk) tell(ctx context.Context, keys []string, each func(Info) error) error {
	for _, key := range keys {
		i, err := d.Stat(ctx, key)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrKey) { // deleted meanwhile, or none of ours
			continue
		}
		if err == nil {
			err = each(i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Ping implements Store: it writes and removes a file.
func (d *Disk) Ping(context.Context) error {
	name := path.Join(incoming, "probe-"+rand.Text())
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return failure("ping", err)
	}
	_, err = fmt.Fprint(f, "probe")
	return failure("ping", errors.Join(err, f.Close(), d.root.Remove(name)))
}
