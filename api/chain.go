package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/chatmed/chatmed/internal/consult"
)

// request is what a handler gets: authenticated and valid.
type request struct {
	op *operation
	// key is the caller's; nil on operations without security.
	key *consult.APIKey
	// params are the path and query parameters by name.
	params map[string]string
	// body is the JSON body with its documented fields only; nil without one.
	body json.RawMessage
}

// handler does one operation. Its result is the 200 body, as JSON, unless it
// is a document.
type handler func(ctx context.Context, r *request) (any, error)

// actor is the caller as the audit log names it.
func (r *request) actor() consult.Actor {
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
		steps = append(steps, s.authenticate)
	}
	return append(steps, s.validate, s.answer(h))
}

// begin makes the request and bounds it in time. The read deadline cuts a body
// that trickles; net/http lifts it before the connection's next request.
func (s *server) begin(op *operation) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Set(requestKey, &request{op: op})
		ctx, cancel := context.WithTimeout(c.Request.Context(), s.timeout)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		if c.Request.ContentLength != 0 {
			// Writers without deadlines (tests) have no slow peers either.
			_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Now().Add(s.timeout))
		}
		c.Next()
	}
}

// authenticate asks for the API key. Only the header is looked at: a key in a
// URL would stand in logs.
func (s *server) authenticate(c *gin.Context) {
	secret := ""
	if v := c.Request.Header.Values("X-API-Key"); len(v) == 1 {
		secret = v[0]
	}
	// An address that cannot be read is allowed only where every one is.
	from, _ := netip.ParseAddr(c.ClientIP())
	key, err := s.Keys.Authenticate(c.Request.Context(), secret, from)
	if err != nil {
		s.fail(c, err)
		return
	}
	requestOf(c).key = key
}

// validate reads parameters and body and holds them against openapi.yaml.
func (s *server) validate(c *gin.Context) {
	r := requestOf(c)
	var err error
	if r.params, err = readParams(r.op, c); err == nil {
		r.body, err = readBody(r.op, c)
	}
	if err != nil {
		s.fail(c, err)
	}
}

// answer runs the handler and writes its result or its error.
func (s *server) answer(h handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		out, err := h(c.Request.Context(), requestOf(c))
		if err != nil {
			s.fail(c, err)
			return
		}
		s.respond(c, http.StatusOK, out)
	}
}
