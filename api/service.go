package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/chatmed/chatmed/internal/consult"
)

func (s *server) serviceRoutes() []route {
	return []route{
		{http.MethodGet, "/healthz", s.healthz},
		{http.MethodGet, "/readyz", s.readyz},
		{http.MethodGet, "/openapi.yaml", s.openapiYAML},
		{http.MethodGet, "/openapi.json", s.openapiJSON},
	}
}

type healthBody struct {
	Status string `json:"status"`
}

type readinessBody struct {
	Status string            `json:"status"`
	Checks map[string]string `json:"checks"`
}

func (s *server) healthz(context.Context, *request) (any, error) {
	return healthBody{Status: "ok"}, nil
}

// readyz asks every dependency at once; those that do not answer are named by
// class, their errors only logged.
func (s *server) readyz(ctx context.Context, _ *request) (any, error) {
	if down, cause := s.Monitor.down(ctx); len(down) > 0 {
		return nil, &consult.Error{
			Code: consult.ServiceUnavailable, Reason: consult.ReasonDependency, Err: cause,
			Message: "Not ready: no answer from " + strings.Join(down, ", ") + ".",
		}
	}
	ok := map[string]string{}
	for _, c := range s.Monitor.checks {
		ok[c.Name] = "ok"
	}
	return readinessBody{Status: "ok", Checks: ok}, nil
}

func (s *server) openapiYAML(context.Context, *request) (any, error) {
	return document{contentType: "application/yaml", data: s.contract.yaml}, nil // RFC 9512
}

func (s *server) openapiJSON(context.Context, *request) (any, error) {
	return document{contentType: contentTypeJSON, data: s.contract.json}, nil
}
