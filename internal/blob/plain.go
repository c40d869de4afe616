package blob

import (
	"errors"
	"io"

	"filippo.io/age"
)

// Plain is what an age file encrypts, to be read from anywhere in it: age seals
// chunks of 64 KiB, each by itself and in its place, so a read opens those it
// touches and nothing before them. The last one is opened at once, which proves
// the size. A chunk that was changed, moved or cut is an error of the read that
// touches it, and none of its bytes are given out. Closing it closes the object.
//
// The object is a reader of Store.Open and size its size; without an identity
// that opens it the error is an *age.NoIdentityMatchError.
func Plain(object io.ReadSeekCloser, size int64, identities ...age.Identity) (io.ReadSeekCloser, int64, error) {
	at, ok := object.(io.ReaderAt)
	if !ok {
		return nil, 0, failure("open", errors.New("the reader reads from one place only"))
	}
	plain, n, err := age.DecryptReaderAt(at, size, identities...)
	if err != nil {
		return nil, 0, failure("open", err)
	}
	return struct {
		*io.SectionReader
		io.Closer
	}{io.NewSectionReader(plain, 0, n), object}, n, nil
}
