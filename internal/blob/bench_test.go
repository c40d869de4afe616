package blob

import (
	"bytes"
	"io"
	"testing"

	"filippo.io/age"

	"github.com/chatmed/chatmed/internal/blob/s3test"
)

// What a player waits for when it seeks: a file is opened, its length proved, and
// 64 KiB from its middle decrypted.
func BenchmarkSeekInAnEncryptedFile(b *testing.B) {
	id, err := age.GenerateX25519Identity()
	must(b, err)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, id.Recipient())
	must(b, err)
	const size = 64 << 20
	_, err = w.Write(random(size))
	must(b, err)
	must(b, w.Close())
	d, err := NewDisk(b.TempDir())
	must(b, err)
	defer func() { must(b, d.Close()) }()
	srv := s3test.Start(b)
	at, err := ParseURL(srv.URL(srv.Bucket(b), ""), noEnv)
	must(b, err)
	s3, err := NewS3(at)
	must(b, err)
	defer func() { must(b, s3.Close()) }()
	for name, s := range map[string]Store{"disk": d, "s3": s3} {
		must(b, s.Put(b.Context(), "x", bytes.NewReader(sealed.Bytes()), int64(sealed.Len())))
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 64<<10)
			for i := range b.N {
				o, n, err := s.Open(b.Context(), "x")
				must(b, err)
				r, _, err := Plain(o, n, id)
				must(b, err)
				_, err = r.Seek(int64(i*7919*1000)%(size-int64(len(buf))), io.SeekStart)
				must(b, err)
				_, err = io.ReadFull(r, buf)
				must(b, err)
				must(b, r.Close())
			}
		})
		b.Run(name+" whole", func(b *testing.B) {
			b.SetBytes(size)
			for range b.N {
				o, n, err := s.Open(b.Context(), "x")
				must(b, err)
				r, _, err := Plain(o, n, id)
				must(b, err)
				_, err = io.Copy(io.Discard, r)
				must(b, err)
				must(b, r.Close())
			}
		})
	}
}
