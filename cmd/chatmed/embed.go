package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// embedTimeout bounds the look-up a page waits for.
const embedTimeout = 2 * time.Second

// frameAncestors are the origins that may embed the room of a request: those
// of the API key that created it. Any doubt allows nobody.
func (a *app) frameAncestors(r *http.Request) []string {
	id, ok := strings.CutPrefix(r.URL.Path, "/room/")
	if !ok || !strings.HasPrefix(id, consult.PrefixConsultation+"_") || len(id) > consult.MaxIDLength {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), embedTimeout)
	defer cancel()
	key, err := a.store.KeyOfSession(ctx, id)
	if err != nil {
		if !consult.HasCode(err, consult.NotFound) {
			a.log.Warn("embedding origins not known", "session", id, "err", err)
		}
		return nil
	}
	if key.RevokedAt != nil {
		return nil
	}
	return key.AllowedOrigins
}
