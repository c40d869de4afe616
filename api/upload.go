package api

import (
	"mime"
	"mime/multipart"
	"net/http"
	"time"
)

const (
	contentTypeForm = "multipart/form-data"
	// uploadTimeout bounds a request that carries a file: 25 MB in it is 1.7
	// Mbit/s, which a practice's uplink has.
	uploadTimeout = 2 * time.Minute
)

// openUpload returns the parts of a multipart body as they arrive. Reading
// beyond the operation's bound, or what does not arrive in time, ends in the
// caller's error; nothing is read before the handler asks.
func openUpload(op *operation, r *http.Request) (*multipart.Reader, error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != contentTypeForm || params["boundary"] == "" {
		return nil, badRequest("Content-Type must be multipart/form-data with a boundary.")
	}
	return multipart.NewReader(bounded(r.Body, op.maxBody), params["boundary"]), nil
}
