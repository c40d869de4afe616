package blob

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/minio/minio-go/v7"
)

// file is what is uploaded, in parts of one size but for the last.
type file struct {
	src  *os.File
	size int64
	part int64
	md5s [][md5.Size]byte // of each part; S3 checks them, and names parts by them
	hash string           // SHA-256 of the whole, hexadecimal
}

// readFile reads src once, for its checksums.
func readFile(ctx context.Context, src *os.File, part func(size int64) int64) (*file, error) {
	i, err := src.Stat()
	if err != nil {
		return nil, err
	}
	f := &file{src: src, size: i.Size()}
	f.part = part(f.size)
	whole := sha256.New()
	for at := int64(0); at < f.size || at == 0; at += f.part {
		sum := md5.New()
		n, err := io.Copy(io.MultiWriter(whole, sum), reading{ctx, io.NewSectionReader(src, at, f.length(at))})
		if err != nil {
			return nil, err
		}
		if n != f.length(at) {
			return nil, ErrChanged
		}
		f.md5s = append(f.md5s, [md5.Size]byte(sum.Sum(nil)))
	}
	f.hash = hex.EncodeToString(whole.Sum(nil))
	return f, nil
}

// length is the size of the part that begins there.
func (f *file) length(at int64) int64 { return min(f.part, f.size-at) }

func (f *file) section(i int) (r *io.SectionReader, size int64) {
	at := int64(i) * f.part
	return io.NewSectionReader(f.src, at, f.length(at)), f.length(at)
}

func (f *file) md5Base64(i int) string { return base64.StdEncoding.EncodeToString(f.md5s[i][:]) }

// is reports whether an object has the file's content, as far as it says.
func (f *file) is(o minio.ObjectInfo) bool {
	if o.Size != f.size {
		return false
	}
	for name, v := range o.UserMetadata {
		if strings.EqualFold(name, hashMeta) {
			return v == f.hash
		}
	}
	return false
}

// Upload implements Store. A file of several parts is sent part by part; the
// store keeps those of an interrupted upload, and they are not sent again.
func (s *S3) Upload(ctx context.Context, key, path string) error {
	o, err := s.stat(ctx, key, "upload")
	there := err == nil
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	src, err := os.Open(path)
	if err != nil {
		return failure("upload", err)
	}
	defer func() { _ = src.Close() }() // it was only read
	f, err := readFile(ctx, src, s.partOf)
	if err != nil {
		return failure("upload", err)
	}
	if there && f.is(o) {
		return nil
	}
	name := s.prefix + key
	for try := 0; ; try++ {
		if err := s.send(ctx, name, f, try == 0); err != nil {
			return s.refusal("upload", err)
		}
		o, err := s.stat(ctx, key, "upload")
		if err != nil || f.is(o) {
			return err
		}
		// The upload that was gone on with was of another content before.
		if try == 1 {
			return failure("s3 upload", ErrChanged)
		}
	}
}

// send stores the file under its full name.
func (s *S3) send(ctx context.Context, name string, f *file, resume bool) error {
	o := minio.PutObjectOptions{ContentType: "application/octet-stream", UserMetadata: map[string]string{hashMeta: f.hash}}
	if len(f.md5s) == 1 {
		r, size := f.section(0)
		_, err := s.core.PutObject(ctx, s.bucket, name, r, size, f.md5Base64(0), f.hash, o)
		return err
	}
	id := ""
	var err error
	if resume {
		if id, err = s.interrupted(ctx, name); err != nil {
			return err
		}
	}
	if err := s.abort(ctx, name, false, id); err != nil { // older ones, which nobody goes on with
		return err
	}
	var have map[int]minio.ObjectPart
	if id == "" {
		id, err = s.core.NewMultipartUpload(ctx, s.bucket, name, o)
	} else {
		have, err = s.parts(ctx, name, id)
	}
	if err != nil {
		return err
	}
	parts := make([]minio.CompletePart, len(f.md5s))
	for i := range parts {
		etag, err := s.sendPart(ctx, name, id, f, i, have[i+1])
		if err != nil {
			return err
		}
		parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: etag}
	}
	_, err = s.core.CompleteMultipartUpload(ctx, s.bucket, name, id, parts, minio.PutObjectOptions{})
	return err
}

// sendPart sends part i unless the store has it, and returns its tag.
func (s *S3) sendPart(ctx context.Context, name, id string, f *file, i int, have minio.ObjectPart) (etag string, err error) {
	r, size := f.section(i)
	if have.Size == size && strings.Trim(have.ETag, `"`) == hex.EncodeToString(f.md5s[i][:]) {
		return have.ETag, nil
	}
	p, err := s.core.PutObjectPart(ctx, s.bucket, name, id, i+1, r, size, minio.PutObjectPartOptions{Md5Base64: f.md5Base64(i)})
	return p.ETag, err
}

// uploads calls each for every upload of exactly that name, or of a name below
// it, that has not ended.
func (s *S3) uploads(ctx context.Context, name string, below bool, each func(minio.ObjectMultipartInfo) error) error {
	for key, id := "", ""; ; {
		page, err := s.core.ListMultipartUploads(ctx, s.bucket, name, key, id, "", 1000)
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			if u.Key != name && !below {
				continue
			}
			if err := each(u); err != nil {
				return err
			}
		}
		if !page.IsTruncated || page.NextKeyMarker > name && !below {
			return nil
		}
		key, id = page.NextKeyMarker, page.NextUploadIDMarker
	}
}

// interrupted is the newest upload of the name that has not ended, or "".
func (s *S3) interrupted(ctx context.Context, name string) (string, error) {
	var last minio.ObjectMultipartInfo
	err := s.uploads(ctx, name, false, func(u minio.ObjectMultipartInfo) error {
		if last.UploadID == "" || u.Initiated.After(last.Initiated) {
			last = u
		}
		return nil
	})
	return last.UploadID, err
}

// abort ends all uploads of the name, or of those below it, but one.
func (s *S3) abort(ctx context.Context, name string, below bool, but string) error {
	var old []minio.ObjectMultipartInfo
	err := s.uploads(ctx, name, below, func(u minio.ObjectMultipartInfo) error {
		if u.UploadID != but {
			old = append(old, u)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, u := range old {
		err := s.core.AbortMultipartUpload(ctx, s.bucket, u.Key, u.UploadID)
		if err != nil && minio.ToErrorResponse(err).Code != minio.NoSuchUpload {
			return err
		}
	}
	return nil
}

// parts are those that the store has of an upload, by number.
func (s *S3) parts(ctx context.Context, name, id string) (map[int]minio.ObjectPart, error) {
	out := map[int]minio.ObjectPart{}
	for after := 0; ; {
		page, err := s.core.ListObjectParts(ctx, s.bucket, name, id, after, 1000)
		if err != nil {
			return nil, err
		}
		for _, p := range page.ObjectParts {
			out[p.PartNumber] = p
		}
		if !page.IsTruncated || page.NextPartNumberMarker <= after {
			return out, nil
		}
		after = page.NextPartNumberMarker
	}
}
