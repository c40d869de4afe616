package api

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/chatmed/chatmed/internal/consult"
)

// exposedHeaders are what a page of an allowed origin may read beside the body.
const exposedHeaders = "X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, " +
	"RateLimit, RateLimit-Policy, Retry-After, Idempotent-Replayed"

// originsAge is how old the known origins of keys may be.
const originsAge = 5 * time.Second

// keyOrigins are the allowed origins of every key that counts. A preflight
// carries no key, so it can only be asked whether anybody allows its origin;
// the request itself is then held against its own key.
type keyOrigins struct {
	keys AllKeys // nil: no key allows any
	log  *slog.Logger
	tick func() time.Time // monotonic

	mu    sync.Mutex
	asked time.Time
	known map[string]bool
}

func (k *keyOrigins) allow(ctx context.Context, origin string) bool {
	if k.keys == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	// The lock is held while the store is asked: one asks for all who wait.
	if k.known == nil || k.tick().Sub(k.asked) > originsAge {
		k.asked = k.tick()
		all, err := k.keys.List(ctx)
		if err != nil {
			k.log.Warn("allowed origins not known, the last ones count", "err", err)
			return k.known[origin]
		}
		k.known = map[string]bool{}
		for i := range all {
			if all[i].RevokedAt == nil {
				for _, o := range all[i].AllowedOrigins {
					k.known[o] = true
				}
			}
		}
	}
	return k.known[origin]
}

// cors lets pages of the allowed origins call the API: those of the server's
// configuration, and those of keys. Any other origin gets no CORS header, which
// makes the browser refuse.
func (s *server) cors(c *gin.Context) {
	if !strings.HasPrefix(c.Request.URL.Path, apiPrefix) {
		return
	}
	h := c.Writer.Header()
	h.Add("Vary", "Origin")
	origin := c.GetHeader("Origin")
	if origin == "" || !s.origins[origin] && !s.keyOrigins.allow(c.Request.Context(), origin) {
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

// corsOfKey takes the CORS headers back when the origin is allowed by another
// key than the request's.
func (s *server) corsOfKey(c *gin.Context, key *consult.APIKey) {
	origin := c.GetHeader("Origin")
	if origin == "" || s.origins[origin] || slices.Contains(key.AllowedOrigins, origin) {
		return
	}
	h := c.Writer.Header()
	h.Del("Access-Control-Allow-Origin")
	h.Del("Access-Control-Expose-Headers")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}
