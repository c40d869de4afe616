package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
)

// request is what a handler gets: authenticated and valid.
type request struct {
	op *operation
	// key is the caller's; nil on operations without security.
	key *consult.APIKey
	// claims are those of a room token that stands for the key which issued it;
	// nil for a caller with the key itself.
	claims *auth.Claims
	// params are the path and query parameters by name.
	params map[string]string
	// body is the JSON body with its documented fields only; nil without one.
	body json.RawMessage
	// upload are the parts of a multipart body, still on their way; nil when
	// the operation takes none.
	upload *upload
	header http.Header
}

// handler does one operation. Its result is the 200 body, as JSON, unless it
// is a document or a stream.
type handler func(ctx context.Context, r *request) (any, error)

// actor is the caller as the audit log names it.
func (r *request) actor() consult.Actor {
	if r.claims != nil {
		return r.claims.Actor()
	}
	return consult.Actor{Kind: consult.ActorKey, ID: r.key.ID}
}

// decode fills v from the body; an absent optional body leaves v as it is.
func (r *request) decode(v any) error {
	if r.body == nil {
		return nil
	}
	if err := json.Unmarshal(r.body, v); err != nil {
		// The schema has passed, so this is our mistake and not the caller's.
		return fmt.Errorf("decode body of %s: %w", r.op.id, err)
	}
	return nil
}

const requestKey = "chatmed.request"

// requestOf returns the request that begin made, or nil outside operations.
func requestOf(c *gin.Context) *request {
	v, _ := c.Get(requestKey)
	r, _ := v.(*request)
	return r
}

// chain is what every operation passes. A step that refuses calls fail, which
// ends the chain.
func (s *server) chain(op *operation, h handler) []gin.HandlerFunc {
	steps := []gin.HandlerFunc{s.begin(op)}
	if !op.public {
		steps = append(steps, s.authenticate, s.limit, s.permit)
	}
	return append(steps, s.validate, s.answer(h))
}

// begin makes the request and bounds it in time. The read deadline cuts a body
// that trickles; net/http lifts it before the connection's next request.
func (s *server) begin(op *operation) gin.HandlerFunc {
	timeout := s.timeout
	if op.upload {
		timeout = max(timeout, uploadTimeout)
	}
	if op.stream {
		timeout = max(timeout, streamTimeout)
	}
	return func(c *gin.Context) {
		c.Set(requestKey, &request{op: op, header: c.Request.Header})
		ctx, cancel := context.WithTimeout(c.Request.Context(), timeout)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		if c.Request.ContentLength != 0 {
			// Writers without deadlines (tests) have no slow peers either.
			_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Now().Add(timeout))
		}
		c.Next()
	}
}

// validate reads parameters and body and holds them against openapi.yaml.
func (s *server) validate(c *gin.Context) {
	r := requestOf(c)
	var err error
	if r.params, err = readParams(r.op, c); err == nil {
		r.body, err = readBody(r.op, c)
	}
	if err == nil && r.op.upload {
		r.upload, err = openUpload(r.op, c.Request)
	}
	if err != nil {
		s.fail(c, err)
	}
}

// answer runs the handler and writes its result or its error; an
// Idempotency-Key on a POST makes it run once.
func (s *server) answer(h handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		r := requestOf(c)
		if r.op.effects {
			key, ok, err := idempotencyKey(c.Request.Header)
			if err != nil {
				s.fail(c, err)
				return
			}
			if ok {
				s.once(c, h, key)
				return
			}
		}
		out, err := h(c.Request.Context(), r)
		if err != nil {
			s.fail(c, err)
			return
		}
		s.respond(c, http.StatusOK, out)
	}
}
