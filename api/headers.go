package api

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// exposedHeaders are what a page of an allowed origin may read beside the body.
const exposedHeaders = "X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, " +
	"RateLimit, RateLimit-Policy, Retry-After"

// secure sets the headers that make an answer inert in a browser. Pages get
// the first two and set their own policy.
func (s *server) secure(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // room URLs name sessions
	if c.FullPath() == "" && !strings.HasPrefix(c.Request.URL.Path, apiPrefix) {
		return
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// cors lets pages of the configured origins call the API. Any other origin gets
// no CORS header, which makes the browser refuse.
func (s *server) cors(c *gin.Context) {
	if !strings.HasPrefix(c.Request.URL.Path, apiPrefix) || len(s.origins) == 0 {
		return
	}
	h := c.Writer.Header()
	h.Add("Vary", "Origin")
	origin := c.GetHeader("Origin")
	if !s.origins[origin] {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", exposedHeaders)
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if c.Request.Method != http.MethodOptions || c.GetHeader("Access-Control-Request-Method") == "" {
		return
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "X-API-Key, Content-Type, X-Request-Id, Idempotency-Key, Authorization")
	h.Set("Access-Control-Max-Age", "600")
	h.Del("Allow")
	c.AbortWithStatus(http.StatusNoContent)
}
