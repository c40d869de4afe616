package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	// partSize is how much is sent at a time, and lost when a connection breaks.
	partSize = 16 << 20
	// maxParts is S3's bound of one upload.
	maxParts = 10_000
	// attempts is how often a request is tried that the store answers with a
	// passing failure, or not at all.
	attempts = 3
	// stallLimit is how long a connection may carry nothing in either direction.
	stallLimit  = 30 * time.Second
	dialTimeout = 10 * time.Second
	pingTimeout = 5 * time.Second
)

// hashMeta names the SHA-256 of an uploaded file among the object's metadata.
const hashMeta = "Sha256"

// S3 keeps objects in a bucket.
type S3 struct {
	core     minio.Core
	bucket   string
	prefix   string // "" or with a slash at its end
	partSize int64
	idle     func()
}

// NewS3 connects to nothing yet: Ping does.
func NewS3(r Remote) (*S3, error) { return newS3(r, stallLimit, partSize) }

func newS3(r Remote, stall time.Duration, part int64) (*S3, error) {
	t := transport(stall)
	client, err := minio.New(r.Endpoint, &minio.Options{
		Creds:  credentials.NewStaticV4(r.Key, r.Secret, r.Session),
		Secure: !r.Insecure, Region: r.Region, Transport: t, MaxRetries: attempts,
	})
	if err != nil {
		return nil, errors.New("blob: s3: unusable address") // its text may repeat it
	}
	s := &S3{core: minio.Core{Client: client}, bucket: r.Bucket, partSize: part, idle: t.CloseIdleConnections}
	if r.Prefix != "" {
		s.prefix = r.Prefix + "/"
	}
	return s, nil
}

// Close gives idle connections back.
func (s *S3) Close() error {
	s.idle()
	return nil
}

// transport gives up connections on which nothing moves.
func transport(stall time.Duration) *http.Transport {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: stall}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &moving{Conn: c, stall: stall}, nil
		},
		TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: stall, ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost: 8, IdleConnTimeout: stall, DisableCompression: true,
	}
}

// moving is a connection that fails once nothing has moved on it for a while. A
// write counts for the read that waits for its answer too.
type moving struct {
	net.Conn
	stall time.Duration
}

func (m *moving) Read(p []byte) (int, error) {
	if err := m.SetReadDeadline(time.Now().Add(m.stall)); err != nil {
		return 0, err
	}
	return m.Conn.Read(p)
}

// Write sends in pieces, so that a slow peer is not taken for a dead one.
func (m *moving) Write(p []byte) (n int, err error) {
	const piece = 64 << 10
	for err == nil && (n < len(p) || len(p) == 0) {
		if err = m.SetDeadline(time.Now().Add(m.stall)); err != nil {
			break
		}
		var k int
		k, err = m.Conn.Write(p[n:min(n+piece, len(p))])
		if n += k; len(p) == 0 {
			break
		}
	}
	return n, err
}

// refusal is err without what a log must not hold: addresses with their query,
// and whatever the store says about credentials.
func (s *S3) refusal(what string, err error) error {
	if err == nil {
		return nil
	}
	what = "s3 " + what
	var u *url.Error
	if errors.As(err, &u) {
		return failure(what, u.Err)
	}
	var e minio.ErrorResponse
	if !errors.As(err, &e) {
		return failure(what, err)
	}
	switch e.Code {
	case minio.NoSuchKey:
		return failure(what, ErrNotFound)
	case minio.NoSuchBucket:
		return failure(what, ErrNoBucket)
	case minio.AccessDenied, "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AllAccessDisabled", "Forbidden",
		"XAdminUserNotFound": // versitygw's for an unknown key
		return failure(what, fmt.Errorf("%w (%s)", ErrDenied, e.Code))
	case minio.PreconditionFailed:
		return failure(what, ErrChanged)
	}
	if e.StatusCode == http.StatusForbidden {
		return failure(what, ErrDenied)
	}
	return failure(what, fmt.Errorf("%s, status %d", plainCode(e.Code), e.StatusCode))
}

// plainCode is a code of S3 if it looks like one.
func plainCode(code string) string {
	for _, c := range code {
		if c < '0' || c > 'z' || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') {
			return "refused"
		}
	}
	if code == "" || len(code) > 64 {
		return "refused"
	}
	return code
}

// Put implements Store.
func (s *S3) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if err := checkKey(key); err != nil {
		return failure("put", err)
	}
	if size < 0 {
		return failure("put", errors.New("unknown size"))
	}
	_, err := s.core.Client.PutObject(ctx, s.bucket, s.prefix+key, reading{ctx, &exactly{r, size}}, size, minio.PutObjectOptions{
		ContentType: "application/octet-stream", PartSize: uint64(s.partOf(size)), SendContentMd5: true,
	})
	return s.refusal("put", err)
}

// partOf is the size of the parts of a file.
func (s *S3) partOf(size int64) int64 {
	part := s.partSize
	for part*maxParts < size {
		part *= 2
	}
	return part
}

// Stat implements Store.
func (s *S3) Stat(ctx context.Context, key string) (Info, error) {
	o, err := s.stat(ctx, key, "stat")
	return Info{Key: key, Size: o.Size, Modified: o.LastModified}, err
}

func (s *S3) stat(ctx context.Context, key, what string) (minio.ObjectInfo, error) {
	if err := checkKey(key); err != nil {
		return minio.ObjectInfo{}, failure(what, err)
	}
	o, err := s.core.StatObject(ctx, s.bucket, s.prefix+key, minio.StatObjectOptions{})
	if err = s.refusal(what, err); errors.Is(err, ErrNotFound) {
		// HEAD has no body that would tell a missing bucket from a missing object.
		if there, e := s.core.BucketExists(ctx, s.bucket); e == nil && !there {
			err = failure("s3 "+what, ErrNoBucket)
		}
	}
	return o, err
}

// Delete implements Store. In a bucket with versions every version goes.
func (s *S3) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return failure("delete", err)
	}
	marker, err := s.remove(ctx, minio.ObjectInfo{Key: s.prefix + key})
	if err == nil && marker {
		err = s.removeVersions(ctx, s.prefix+key)
	}
	if err == nil {
		err = s.abort(ctx, s.prefix+key, false, "")
	}
	if err = s.refusal("delete", err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// DeleteAll implements Store.
func (s *S3) DeleteAll(ctx context.Context, folder string) error {
	if err := checkFolder(folder); err != nil {
		return failure("delete", err)
	}
	err := s.List(ctx, folder, func(i Info) error { return s.Delete(ctx, i.Key) })
	if err != nil {
		return err
	}
	return s.refusal("delete", s.abort(ctx, s.prefix+folder, true, ""))
}

// remove deletes one object, or one version, and reports whether the bucket only
// put a mark in its place.
func (s *S3) remove(ctx context.Context, o minio.ObjectInfo) (marker bool, err error) {
	one := make(chan minio.ObjectInfo, 1)
	one <- o
	close(one)
	for r := range s.core.RemoveObjectsWithResult(ctx, s.bucket, one, minio.RemoveObjectsOptions{}) {
		marker = marker || r.DeleteMarker && o.VersionID == ""
		err = errors.Join(err, r.Err)
	}
	return marker, errors.Join(err, ctx.Err())
}

func (s *S3) removeVersions(ctx context.Context, name string) error {
	for o := range s.core.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: name, WithVersions: true, Recursive: true}) {
		if o.Err != nil {
			return o.Err
		}
		if o.Key != name {
			continue
		}
		if _, err := s.remove(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// List implements Store.
func (s *S3) List(ctx context.Context, prefix string, each func(Info) error) error {
	for o := range s.core.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}) {
		if o.Err != nil {
			return s.refusal("list", o.Err)
		}
		key := strings.TrimPrefix(o.Key, s.prefix)
		if checkKey(key) != nil {
			continue // somebody else's
		}
		if err := each(Info{Key: key, Size: o.Size, Modified: o.LastModified}); err != nil {
			return err
		}
	}
	return failure("s3 list", ctx.Err())
}

// Ping implements Store: it asks for the bucket.
func (s *S3) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	there, err := s.core.BucketExists(ctx, s.bucket)
	if err == nil && !there {
		return failure("s3 ping", ErrNoBucket)
	}
	return s.refusal("ping", err)
}

// Where names the place without credentials, for logs.
func (s *S3) Where() string { return "s3:" + path.Join(s.bucket, s.prefix) }
