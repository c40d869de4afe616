// Package blob keeps recordings and files: on the local disk, or in a bucket of
// any store that speaks S3. Both do the same, and one suite of tests holds them
// to it. What is kept is encrypted before it comes here, or not for secrecy.
//
// A key is a path of names of letters, digits, dots, dashes and underscores. No
// error of this package carries a credential.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Store keeps objects by key. Safe for concurrent use.
type Store interface {
	// Put stores size bytes of r. The object is there whole or not at all.
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	// Upload stores a file, which must not change meanwhile. It goes on where an
	// interrupted Upload of the same content ended, and changes nothing when the
	// object is there already.
	Upload(ctx context.Context, key, path string) error
	// Open reads an object and returns its size in bytes. The reader is an
	// io.ReaderAt too, ends with ctx, and never mixes two contents of a key.
	Open(ctx context.Context, key string) (io.ReadSeekCloser, int64, error)
	Stat(ctx context.Context, key string) (Info, error)
	// Delete removes an object for good, with what an interrupted Upload has left
	// of it; one that is not there is no error.
	Delete(ctx context.Context, key string) error
	// DeleteAll removes every object of a folder, whose name ends with a slash, with
	// what interrupted uploads have left in it.
	DeleteAll(ctx context.Context, folder string) error
	// List calls each for every object whose key starts with prefix, sorted by
	// key, until it returns an error, which List returns.
	List(ctx context.Context, prefix string, each func(Info) error) error
	// Ping fails while nothing can be stored.
	Ping(ctx context.Context) error
}

// Info is what is known of an object without reading it.
type Info struct {
	Key      string
	Size     int64 // bytes
	Modified time.Time
}

// What went wrong, for errors.Is.
var (
	ErrNotFound = errors.New("no such object")
	ErrKey      = errors.New("not a key")
	ErrNoBucket = errors.New("no such bucket")
	ErrDenied   = errors.New("the credentials are not accepted, or may not do this")
	// ErrChanged: the object, or the file that is stored, is not what it was.
	ErrChanged = errors.New("the content changed meanwhile")
)

// maxKey is the greatest length of a key in bytes: with a prefix before it, it
// still fits the 1,024 of S3.
const maxKey = 512

// checkKey refuses what could lead out of the store, or to something of its own.
func checkKey(key string) error {
	if key == "" || len(key) > maxKey {
		return ErrKey
	}
	for name := range strings.SplitSeq(key, "/") {
		if !validName(name) {
			return ErrKey
		}
	}
	return nil
}

// checkFolder refuses what is not the beginning of keys up to a slash.
func checkFolder(folder string) error {
	name, ok := strings.CutSuffix(folder, "/")
	if !ok {
		return ErrKey
	}
	return checkKey(name)
}

// validName reports whether a name may stand between the slashes of a key.
func validName(name string) bool {
	if name == "" || name[0] == '.' || len(name) > 200 {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// failure names what was done, and why it did not work.
func failure(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("blob: %s: %w", what, err)
}

// reading ends with ctx.
type reading struct {
	ctx context.Context //nolint:containedctx // it lives for one call
	in  io.Reader
}

func (r reading) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.in.Read(p)
}

// exactly reads size bytes and wants the end after them: before the last of them
// is given on, or the object would be whole already.
type exactly struct {
	in   io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.in.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if e.left > 0 {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return n, err
	}
	if err == nil {
		_, err = io.ReadFull(e.in, make([]byte, 1))
	}
	switch {
	case err == nil:
		return 0, errors.New("more bytes than announced")
	case errors.Is(err, io.EOF):
		return n, io.EOF
	}
	return 0, err
}
