package api

import (
	"context"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
)

// RoomTokens reads tokens that count now (auth.Tokens).
type RoomTokens interface {
	Verify(ctx context.Context, raw string) (*auth.Claims, error)
}

// authenticateToken takes the doctor's room token, of the consultation in the
// path, in place of a key where the operation does; it reports whether the
// request came with one. What the plan of the key that issued it lacks, its
// token lacks too.
func (s *server) authenticateToken(c *gin.Context) bool {
	r := requestOf(c)
	given := c.Request.Header.Values("Authorization")
	if !r.op.roomToken || s.RoomTokens == nil || len(given) != 1 || c.Request.Header.Get("X-API-Key") != "" {
		return false
	}
	scheme, raw, _ := strings.Cut(given[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	if err := s.admitToken(c.Request.Context(), r, strings.TrimSpace(raw), c.Param("session_id")); err != nil {
		s.fail(c, err)
	}
	return true
}

func (s *server) admitToken(ctx context.Context, r *request, raw, session string) error {
	claims, err := s.RoomTokens.Verify(ctx, raw)
	if err != nil {
		return err
	}
	if err := claims.ForSession(session); err != nil {
		return err
	}
	if err := claims.Need(auth.KindRoom, consult.Doctor); err != nil {
		return err
	}
	r.key, err = s.KeyAdmin.KeyByID(ctx, claims.Scope, claims.KeyID)
	r.claims = claims
	return err
}
