package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
)

// TestEveryDocumentedStatusIsReached meets each row of the documented table,
// and what HTTP needs beside it, in both shapes. That the body is the
// documented one is what call itself checks.
func TestEveryDocumentedStatusIsReached(t *testing.T) {
	down := false
	w := newWorld(t, withGet(func(context.Context) error { return errors.New("secret detail of the driver") }), func(d *Deps) {
		d.Monitor = NewMonitor([]Check{{"database", func(context.Context) error {
			if down {
				return errors.New("secret address of the database")
			}
			return nil
		}}}, d.Now, d.Log)
	})
	starter, _ := w.makeKey("Small Clinic", consult.Live, consult.PlanStarter)
	for w.call("GET", me, nil, withKey(starter)).status == 200 {
	}
	clinical, _, err := w.keys.Create(t.Context(), auth.CreateKeyRequest{
		AccountID: w.apiKey.Scope.AccountID, Name: "x", Plan: consult.PlanEnterprise, Mode: consult.Live, Scopes: []consult.KeyScope{consult.ScopeClinical},
	})
	must(t, err)
	waiting, err := w.consults.Create(t.Context(), w.apiKey.Scope, consult.System, consult.CreateRequest{DoctorID: "d", PatientID: "p", KeyID: w.apiKey.ID})
	must(t, err)
	const create = videoPath + "create"
	for _, tc := range []struct {
		name, method, path string
		body               any
		key                option
		status             int
		reason             string
		title, message     string
	}{
		{"bad request", "POST", create, "{", withKey(w.key), 400, "", "Bad request", "The request body is not valid JSON."},
		{"unauthorized", "GET", me, nil, withoutKey, 401, consult.ReasonKeyMissing, "Unauthorized", "Invalid or missing API key."},
		{"forbidden", "POST", create, "{}", withKey(clinical), 403, consult.ReasonScope, "Forbidden", "This API key does not have the scope consultations."},
		{"not found", "GET", "/api/v1/nothing", nil, withKey(w.key), 404, "", "Not found", "There is nothing at this path."},
		{"method", "DELETE", me, nil, withKey(w.key), 405, "", "Method not allowed", "This path answers GET, HEAD only."},
		{"conflict", "POST", videoPath + waiting.ID + "/end", nil, withKey(w.key), 409, consult.ReasonNotActive, "Conflict", ""},
		{"too large", "POST", create, strings.Repeat(" ", maxBody+1), withKey(w.key), 413, consult.ReasonTooLarge, "Payload too large", ""},
		{"validation", "POST", create, "{}", withKey(w.key), 422, "", "Validation error", "Request body failed schema validation."},
		{"limit", "GET", me, nil, withKey(starter), 429, consult.ReasonRateMinute, "Rate limit exceeded", "Too many requests. Check X-RateLimit-Reset header."},
		{"internal", "GET", videoPath + "vs_1/status", nil, withKey(w.key), 500, "", "Internal error", "Unexpected server error. Retry with exponential backoff."},
		{
			"unavailable", "GET", videoPath + "vs_1/status", nil, withKey(w.key), 503, consult.ReasonDependency, "Service unavailable",
			"Temporary downtime: no answer from database. Retry with exponential backoff; /status has the state.",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inner := *w
			inner.t = t
			down = tc.status == 503
			a := inner.call(tc.method, tc.path, tc.body, tc.key)
			a.refused(tc.status, tc.reason)
			p := inner.call(tc.method, tc.path, tc.body, tc.key, withHeader("Accept", "application/problem+json"))
			p.refused(tc.status, tc.reason)
			if p.header.Get("Content-Type") != contentTypeProblem || p.str("title") != tc.title || p.str("detail") != a.str("message") {
				t.Errorf("problem: %s %s", p.header.Get("Content-Type"), p.raw)
			}
			if tc.message != "" && a.str("message") != tc.message {
				t.Errorf("message %q", a.str("message"))
			}
			if p.str("type") != problemTag+"error:"+p.str("error") || p.str("instance") != problemTag+"request:"+p.header.Get("X-Request-Id") {
				t.Errorf("problem: %s", p.raw)
			}
			if strings.Contains(string(a.raw)+string(p.raw), "secret") {
				t.Errorf("internals: %s", a.raw)
			}
			if tc.status == 422 && len(p.fields()) != 2 {
				t.Errorf("fields: %s", p.raw)
			}
		})
	}
}

func TestWhoWantsAProblem(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "application/*": false, "application/problem+json": true,
		"APPLICATION/Problem+JSON": true, "application/json, application/problem+json": true,
		"application/json, application/problem+json;q=0.9": false, "application/json;q=0.5, application/problem+json;q=0.9": true,
		"application/problem+json;q=0": false, "application/problem+json;q=x": false, "application/problem+json;q=2": false,
		"text/html,application/problem+json ; q=0.1": true, ",;,;q=": false, "application/problem+json;q=NaN": false,
	} {
		if got := prefers(http.Header{"Accept": {accept}}, contentTypeProblem, "application/json"); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
	if !prefers(http.Header{"Accept": {"text/html", "application/problem+json"}}, contentTypeProblem, "application/json") {
		t.Error("the second line is not read")
	}
}

// A dependency that is down is named by its class for every operation, whatever
// the error of the moment looks like.
func TestAClosedStoreIsTheDatabasesFault(t *testing.T) {
	w := newWorld(t)
	w.call("GET", me, nil).ok() // the key is cached
	w.closeStore()
	for _, op := range w.contract.operations {
		if op.public || op.id == "getMe" {
			continue
		}
		var body any
		if op.body != nil {
			body = sample(op.body)
		}
		f := nobodys()
		a := w.call(op.method, f.request(t, op), body)
		if a.status == 200 || a.status == 404 { // from memory, or from a fake
			continue
		}
		if a.refused(503, ""); !strings.Contains(a.str("message"), "store") && a.body["reason"] == consult.ReasonDependency {
			t.Errorf("%s: %s", a.what, a.raw)
		}
	}
}
