package api

import (
	"strings"

	"github.com/gin-gonic/gin"
)

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
