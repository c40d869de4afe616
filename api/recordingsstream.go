package api

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	// streamTimeout bounds a download; stallTimeout how long one may take none of
	// the bytes that are sent.
	streamTimeout = 6 * time.Hour
	stallTimeout  = time.Minute
)

// stream is a result that is read while it is sent, in whole or as the range that
// was asked for. send closes it.
type stream struct {
	contentType string
	etag        string // strong, with its quotes
	name        string // of the file that a browser saves
	inline      bool   // for a player in a page of anybody's
	content     io.ReadSeekCloser
}

// send answers with st: 200, or 206 for a single range, 304, 412 and 416 as RFC
// 9110, sections 13 and 14, has them. Several ranges at once are answered with
// the whole, as section 14.2 allows.
func (s *server) send(c *gin.Context, st *stream) {
	content := &noticing{ReadSeeker: st.content}
	defer func() {
		if err := st.content.Close(); err != nil {
			s.Log.LogAttrs(c.Request.Context(), slog.LevelWarn, "download not closed", slog.Any("err", err))
		}
	}()
	h := c.Writer.Header()
	h.Set("Content-Type", st.contentType)
	h.Set("ETag", st.etag)
	disposition := "attachment"
	if st.inline {
		disposition = "inline"
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		// Opened by itself, the browser makes a page around the file.
		h.Set("Content-Security-Policy", "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	}
	h.Set("Content-Disposition", fmt.Sprintf("%s; filename=%q", disposition, st.name))
	w := &paced{ResponseWriter: c.Writer, control: http.NewResponseController(c.Writer)}
	http.ServeContent(w, w.asked(c.Request), "", time.Time{}, content)
	// Writers without deadlines (tests) have none to lift.
	_ = w.control.SetWriteDeadline(time.Time{})
	switch {
	case w.refused != 0:
		for _, name := range []string{"Content-Disposition", "Content-Type", "ETag", "Content-Length"} {
			h.Del(name)
		}
		h.Set("Cache-Control", "no-store") // http.ServeContent takes it from refusals
		s.fail(c, refusedDownload(w.refused))
	case content.err != nil:
		// The length that was announced is not reached, so the caller knows.
		s.Log.LogAttrs(c.Request.Context(), slog.LevelError, "download broke off",
			slog.String("request_id", requestID(c)), slog.Any("err", content.err))
	}
}

func refusedDownload(status int) error {
	if status == http.StatusPreconditionFailed {
		return consult.Errorf(consult.PreconditionFailed, "", "The file is not the one that If-Match names.")
	}
	return consult.Errorf(consult.RangeNotSatisfiable, "", "The file does not have the range that was asked for.")
}

// noticing keeps the error of a read, which http.ServeContent has no way to tell.
type noticing struct {
	io.ReadSeeker
	err error
}

func (n *noticing) Read(p []byte) (int, error) {
	k, err := n.ReadSeeker.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Copy wants exactly it
		n.err = err
	}
	return k, err
}

// paced sends with a deadline that moves on with every piece, and keeps a refusal
// from being sent as text.
type paced struct {
	gin.ResponseWriter
	control *http.ResponseController
	refused int // the status
}

// WriteHeader implements http.ResponseWriter.
func (p *paced) WriteHeader(status int) {
	if status >= http.StatusBadRequest {
		p.refused = status
		return
	}
	p.ResponseWriter.WriteHeader(status)
	p.WriteHeaderNow()
}

func (p *paced) Write(b []byte) (int, error) {
	if p.refused != 0 {
		return len(b), nil // the text of it
	}
	_ = p.control.SetWriteDeadline(time.Now().Add(stallTimeout))
	return p.ResponseWriter.Write(b)
}

// asked is the request as http.ServeContent reads it: with its own method, and
// without more than one range, or any of a unit other than bytes, which section
// 14.2 wants ignored.
func (p *paced) asked(r *http.Request) *http.Request {
	out := *r
	out.Header = r.Header.Clone()
	if head, _ := r.Context().Value(headKey{}).(bool); head {
		out.Method = http.MethodHead
	}
	v := r.Header.Values("Range")
	if len(v) > 1 || len(v) == 1 && (strings.Contains(v[0], ",") || !strings.HasPrefix(v[0], "bytes=")) {
		out.Header.Del("Range")
	}
	return &out
}
