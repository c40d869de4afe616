package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"
)

// The windows in which an object is read: a reader that goes on gets more at a
// time, so that a seek throws little away and a long read costs few requests.
const (
	firstWindow = 256 << 10
	maxWindow   = 8 << 20
	// skip is how far ahead is read over rather than asked for anew.
	skip = 64 << 10
)

// Open implements Store.
func (s *S3) Open(ctx context.Context, key string) (io.ReadSeekCloser, int64, error) {
	o, err := s.stat(ctx, key, "open")
	if err != nil {
		return nil, 0, err
	}
	return &s3Reader{s: s, ctx: ctx, name: s.prefix + key, size: o.Size, etag: o.ETag}, o.Size, nil
}

// s3Reader reads one content of an object, in windows.
type s3Reader struct {
	s    *S3
	ctx  context.Context //nolint:containedctx // as documented of Open
	name string
	size int64
	etag string // the content that was opened

	mu     sync.Mutex
	pos    int64 // of Read
	body   io.ReadCloser
	at     int64 // of body
	end    int64 // of body
	window int64
	closed bool
}

// Read implements io.Reader.
func (r *s3Reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.some(p, r.pos)
	r.pos += int64(n)
	return n, err
}

// ReadAt implements io.ReaderAt. Reads at once wait for each other.
func (r *s3Reader) ReadAt(p []byte, off int64) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if off < 0 {
		return 0, failure("s3 read", errors.New("negative offset"))
	}
	for n < len(p) && err == nil {
		var k int
		k, err = r.some(p[n:], off+int64(n))
		n += k
	}
	if n == len(p) && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Seek implements io.Seeker.
func (r *s3Reader) Seek(offset int64, whence int) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 || whence < io.SeekStart || whence > io.SeekEnd {
		return 0, failure("s3 seek", errors.New("outside the object"))
	}
	r.pos = offset
	return offset, nil
}

// Close implements io.Closer.
func (r *s3Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.drop()
	return nil
}

// drop ends the request under way; what is left of it is of no use.
func (r *s3Reader) drop() {
	if r.body != nil {
		_ = r.body.Close()
		r.body = nil
	}
}

// some reads at least one byte at off, or fails. A connection that breaks is
// taken up once. Called with mu held.
func (r *s3Reader) some(p []byte, off int64) (int, error) {
	switch {
	case r.closed:
		return 0, failure("s3 read", errors.New("closed"))
	case r.ctx.Err() != nil:
		r.drop()
		return 0, failure("s3 read", r.ctx.Err())
	case off >= r.size:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	p = p[:min(int64(len(p)), r.size-off)]
	for try := 0; ; try++ {
		err := r.seek(off, int64(len(p)))
		if err != nil {
			return 0, r.s.refusal("read", err)
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.end-r.at)])
		r.at += int64(n)
		if r.at == r.end || err != nil {
			r.drop()
		}
		if n > 0 {
			return n, nil
		}
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if try > 0 || r.ctx.Err() != nil {
			return 0, r.s.refusal("read", errors.Join(r.ctx.Err(), err))
		}
	}
}

// seek has body begin at off, with at least want bytes to come if there are.
func (r *s3Reader) seek(off, want int64) error {
	if r.body != nil && off > r.at && off-r.at <= skip && off < r.end {
		n, err := io.CopyN(io.Discard, r.body, off-r.at)
		if r.at += n; err != nil {
			r.drop()
		}
	}
	if r.body != nil && r.at == off {
		return nil
	}
	r.drop()
	if off == r.end && r.window > 0 {
		r.window = min(2*r.window, maxWindow)
	} else {
		r.window = firstWindow
	}
	end := min(off+max(r.window, want), r.size)
	var o minio.GetObjectOptions
	if err := o.SetRange(off, end-1); err != nil {
		return err
	}
	if err := o.SetMatchETag(r.etag); err != nil {
		return err
	}
	body, _, header, err := r.s.core.GetObject(r.ctx, r.s.bucket, r.name, o)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(header.Get("Content-Range"), fmt.Sprintf("bytes %d-%d/", off, end-1)) {
		return errors.Join(errors.New("the store answered with another range"), body.Close())
	}
	r.body, r.at, r.end = body, off, end
	return nil
}
