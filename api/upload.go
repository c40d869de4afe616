package api

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	contentTypeForm = "multipart/form-data"
	// uploadTimeout bounds a request that carries a file: 25 MB in it is 1.7
	// Mbit/s, which a practice's uplink has.
	uploadTimeout = 2 * time.Minute
)

// upload is a multipart body whose parts are still on their way: nothing is
// read before it is asked for.
type upload struct{ parts *multipart.Reader }

// part is one field of an upload. Reading beyond the operation's bound, or what
// does not arrive in time or whole, ends in an error for the caller.
type part struct {
	*multipart.Part
}

func openUpload(op *operation, r *http.Request) (*upload, error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != contentTypeForm || params["boundary"] == "" {
		return nil, badRequest("Content-Type must be multipart/form-data with a boundary.")
	}
	return &upload{multipart.NewReader(bounded(r.Body, op.maxBody), params["boundary"])}, nil
}

// next is the next part, or io.EOF after the last.
func (u *upload) next() (part, error) {
	p, err := u.parts.NextPart()
	return part{p}, uploadError(err)
}

// Read reads the part's content.
func (p part) Read(b []byte) (int, error) {
	n, err := p.Part.Read(b)
	return n, uploadError(err)
}

func uploadError(err error) error {
	var e *consult.Error
	switch {
	case err == nil, err == io.EOF: //nolint:errorlint // a reader's own end, never wrapped
		return err
	case errors.As(err, &e):
		return e // of the bounded body
	}
	return badRequest("The multipart body is malformed.")
}
