package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/chatmed/chatmed/internal/consult"
)

const contentTypeJSON = "application/json; charset=utf-8"

// document is a result that is written as it stands.
type document struct {
	contentType string
	data        []byte
	// header replaces headers of the answer; nil changes none.
	header map[string]string
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
	if st, ok := body.(*stream); ok {
		s.send(c, st)
		return
	}
	if st, ok := body.(*eventStream); ok {
		s.events(c, st)
		return
	}
	if d, ok := body.(document); ok {
		for name, v := range d.header {
			c.Header(name, v)
		}
		c.Data(status, d.contentType, d.data)
		return
	}
	data, err := encode(body)
	if err != nil {
		s.fail(c, err)
		return
	}
	contentType := contentTypeJSON
	if _, ok := body.(problemBody); ok {
		contentType = contentTypeProblem
	}
	c.Data(status, contentType, data)
}

func encode(body any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // links stay readable; nosniff keeps JSON from being HTML
	err := enc.Encode(body)
	return buf.Bytes(), err
}

// fail ends the chain with err's status and the documented body: the one place
// where an error becomes an answer. Causes of 5xx are logged, never sent.
func (s *server) fail(c *gin.Context, err error) {
	c.Abort()
	e := s.callerError(c.Request.Context(), err)
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
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", "1")
		}
	case consult.PayloadTooLarge:
		h.Set("Connection", "close") // or net/http reads on to keep the connection
	}
	body := errorBody{
		Error: e.Code, Message: e.Message, Code: status, RequestID: requestID(c),
		Reason: e.Reason, Fields: e.Fields,
	}
	h.Add("Vary", "Accept")
	if prefers(c.Request.Header, contentTypeProblem, "application/json") {
		s.respond(c, status, problemOf(body))
		return
	}
	s.respond(c, status, body)
}

// callerError is err as its caller may see it. An error that nobody worded for
// callers is a dependency's if one is down now, and else our own.
func (s *server) callerError(ctx context.Context, err error) *consult.Error {
	var e *consult.Error
	if errors.As(err, &e) && worded(e) {
		return e
	}
	var p *panicError
	if errors.As(err, &p) {
		return consult.AsError(err)
	}
	if names, cause := s.Monitor.down(ctx); len(names) > 0 {
		return dependencyDown(names, errors.Join(err, cause))
	}
	if e != nil {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &consult.Error{
			Code: consult.ServiceUnavailable, Err: err,
			Message: "The request took too long. Retry with exponential backoff.",
		}
	}
	return consult.AsError(err)
}

// worded reports whether e says all there is to say: it is not ours, and if a
// dependency's, it names it.
func worded(e *consult.Error) bool {
	return e.Code != consult.InternalError && (e.Code != consult.ServiceUnavailable || e.Reason != "")
}

// dependencyDown names what does not answer, by class and nothing more.
func dependencyDown(names []string, cause error) *consult.Error {
	return &consult.Error{
		Code: consult.ServiceUnavailable, Reason: consult.ReasonDependency, Err: cause,
		Message: "Temporary downtime: no answer from " + strings.Join(names, ", ") + ". Retry with exponential backoff; /status has the state.",
	}
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
