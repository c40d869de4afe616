package api

import (
	"context"
	"net/http"

	"github.com/chatmed/chatmed/internal/consult"
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

// limitsOf is the documented rate-limit table.
func limitsOf(plan string) planLimits {
	row := func(minute, day, concurrent int) planLimits { return planLimits{&minute, &day, &concurrent} }
	switch plan {
	case consult.PlanStarter:
		return row(60, 1_000, 5)
	case consult.PlanProfessional:
		return row(300, 50_000, 25)
	}
	return planLimits{}
}

func (s *server) me(_ context.Context, r *request) (any, error) {
	k := r.key
	return userBody{
		ID: k.UserID, Name: k.Name, Email: optional(k.Email), Plan: k.Plan, Mode: k.Scope.Mode,
		ProfileID: k.ProfileID, CreatedAt: rfc3339(k.CreatedAt), Limits: limitsOf(k.Plan),
	}, nil
}
