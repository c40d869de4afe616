package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// checkTimeout bounds one dependency's answer to /readyz.
const checkTimeout = 2 * time.Second

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
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	errs := make([]error, len(s.Checks))
	var wg sync.WaitGroup
	for i, check := range s.Checks {
		wg.Go(func() { errs[i] = check.Ping(ctx) })
	}
	wg.Wait()
	ok := map[string]string{}
	var down []string
	var cause error
	for i, check := range s.Checks {
		if errs[i] != nil {
			down = append(down, check.Name)
			cause = fmt.Errorf("%s: %w", check.Name, errs[i])
			continue
		}
		ok[check.Name] = "ok"
	}
	if len(down) > 0 {
		slices.Sort(down)
		return nil, &consult.Error{
			Code: consult.ServiceUnavailable, Err: cause,
			Message: "Not ready: no answer from " + strings.Join(down, ", ") + ".",
		}
	}
	return readinessBody{Status: "ok", Checks: ok}, nil
}

func (s *server) openapiYAML(context.Context, *request) (any, error) {
	return document{contentType: "application/yaml", data: s.contract.yaml}, nil // RFC 9512
}

func (s *server) openapiJSON(context.Context, *request) (any, error) {
	return document{contentType: contentTypeJSON, data: s.contract.json}, nil
}
