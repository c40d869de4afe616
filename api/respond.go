package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/chatmed/chatmed/internal/consult"
)

const contentTypeJSON = "application/json; charset=utf-8"

// document is a result that is written as it stands.
type document struct {
	contentType string
	data        []byte
}

// errorBody is the documented body of every error, and the two fields beyond.
type errorBody struct {
	Error     consult.Code         `json:"error"`
	Message   string               `json:"message"`
	Code      int                  `json:"code"`
	RequestID string               `json:"request_id"`
	Reason    string               `json:"reason,omitempty"`
	Fields    []consult.FieldError `json:"fields,omitempty"`
}

// respond writes body; it is buffered, so that a value which does not encode
// becomes a whole error and not half an answer.
func (s *server) respond(c *gin.Context, status int, body any) {
	if d, ok := body.(document); ok {
		c.Data(status, d.contentType, d.data)
		return
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // links stay readable; nosniff keeps JSON from being HTML
	if err := enc.Encode(body); err != nil {
		s.fail(c, err)
		return
	}
	c.Data(status, contentTypeJSON, buf.Bytes())
}

// fail ends the chain with err's status and the documented body: the one place
// where an error becomes an answer. Causes of 5xx are logged, never sent.
func (s *server) fail(c *gin.Context, err error) {
	c.Abort()
	e := callerError(err)
	status := e.Code.Status()
	if status >= http.StatusInternalServerError {
		s.Log.LogAttrs(c.Request.Context(), slog.LevelError, "request failed",
			slog.String("request_id", requestID(c)), slog.String("route", routeLabel(c)), slog.Any("err", err))
	}
	if c.Writer.Written() {
		return // too late for a status; the log has it
	}
	h := c.Writer.Header()
	switch e.Code {
	case consult.Unauthorized:
		h.Set("WWW-Authenticate", `ApiKey realm="ChatMed"`) // RFC 9110, section 11.6.1
	case consult.ServiceUnavailable:
		h.Set("Retry-After", "1")
	case consult.PayloadTooLarge:
		h.Set("Connection", "close") // or net/http reads on to keep the connection
	}
	s.respond(c, status, errorBody{
		Error: e.Code, Message: e.Message, Code: status, RequestID: requestID(c),
		Reason: e.Reason, Fields: e.Fields,
	})
}

// callerError is err as its caller may see it.
func callerError(err error) *consult.Error {
	var e *consult.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &consult.Error{
			Code: consult.ServiceUnavailable, Err: err,
			Message: "The request took too long. Retry with exponential backoff.",
		}
	}
	return consult.AsError(err)
}

// rfc3339 is the documented form of a time: UTC, whole seconds, Z.
func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// optionalTime is rfc3339, or null.
func optionalTime(t *time.Time) *string {
	if t == nil {
		return nil
	}
	v := rfc3339(*t)
	return &v
}

// optional is s, or null when it is empty.
func optional[S ~string](s S) *string {
	if s == "" {
		return nil
	}
	v := string(s)
	return &v
}

// wholeSeconds rounds a duration up, so that a wait is never understated.
func wholeSeconds(d time.Duration) int64 {
	return int64((max(d, 0) + time.Second - 1) / time.Second)
}

// statusLabel is a status as a metric label.
func statusLabel(status int) string { return strconv.Itoa(status) }
