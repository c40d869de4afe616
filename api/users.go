package api

import (
	"context"
	"net/http"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/limits"
)

func (s *server) userRoutes() []route {
	return []route{{http.MethodGet, "/api/v1/users/me", s.me}}
}

type userBody struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`
	Email     *string      `json:"email"`
	Plan      string       `json:"plan"`
	Mode      consult.Mode `json:"mode"`
	ProfileID string       `json:"profile_id"`
	CreatedAt string       `json:"created_at"`
	Limits    planLimits   `json:"limits"`
}

// planLimits are a plan's rate limits; nil is unlimited.
type planLimits struct {
	RequestsPerMinute *int `json:"requests_per_minute"`
	RequestsPerDay    *int `json:"requests_per_day"`
	Concurrent        *int `json:"concurrent"`
}

// limitsOf are the limits of a plan; 0 is none.
func limitsOf(p limits.Plan) planLimits {
	limit := func(n int) *int {
		if n == 0 {
			return nil
		}
		return &n
	}
	return planLimits{limit(p.PerMinute), limit(p.PerDay), limit(p.Concurrent)}
}

func (s *server) me(_ context.Context, r *request) (any, error) {
	k := r.key
	plan, _ := s.Limits.Plan(k.Plan) // one nobody knows was refused before
	return userBody{
		ID: k.UserID, Name: k.Name, Email: optional(k.Email), Plan: k.Plan, Mode: k.Scope.Mode,
		ProfileID: k.ProfileID, CreatedAt: rfc3339(k.CreatedAt), Limits: limitsOf(plan),
	}, nil
}
