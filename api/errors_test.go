package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// failing is the real service, but Get does what the test says.
type failing struct {
	Consultations
	get func(ctx context.Context) error
}

func (f failing) Get(ctx context.Context, _ consult.Scope, _ string) (*consult.Consultation, error) {
	return nil, f.get(ctx)
}

func withGet(get func(ctx context.Context) error) func(*Deps) {
	return func(d *Deps) { d.Consultations = failing{d.Consultations, get} }
}

func TestEveryErrorHasTheDocumentedBody(t *testing.T) {
	w := newWorld(t)
	revokedSecret, key := w.makeKey("Third Clinic", consult.Test, consult.PlanStarter)
	_, err := w.keys.Revoke(t.Context(), key.ID, consult.Actor{Kind: consult.ActorOperator, ID: "test"})
	must(t, err)
	big := `{"doctor_id":"d","patient_id":"p","x":"` + strings.Repeat("x", maxBody) + `"}`
	const create, me = videoPath + "create", "/api/v1/users/me"
	for _, tc := range []struct {
		name, method, path string
		body               any
		opts               []option
		status             int
		reason, message    string
	}{
		{"no JSON", "POST", create, "{", nil, 400, "", "The request body is not valid JSON."},
		{"no body", "POST", create, nil, nil, 400, "", "A JSON request body is required."},
		{"form", "POST", create, "a=b", []option{withHeader("Content-Type", "application/x-www-form-urlencoded")}, 400, "", "Content-Type must be application/json."},
		{"compressed", "POST", create, "{}", []option{withHeader("Content-Encoding", "gzip")}, 400, "", "Content-Encoding is not supported."},
		{"latin-1", "POST", create, "{}", []option{withHeader("Content-Type", "application/json; charset=iso-8859-1")}, 400, "", "JSON must be in UTF-8."},
		{"bad query", "GET", roomPath + "?doctor_id=%zz", nil, nil, 400, "", "The query string is malformed."},
		{"no query", "GET", roomPath, nil, nil, 400, "", "Missing or invalid request parameters."},
		{"query twice", "GET", roomPath + "?doctor_id=a&doctor_id=b", nil, nil, 400, "", "Missing or invalid request parameters."},
		{"bad path", "GET", videoPath + "vs%20x/status", nil, nil, 400, "", "Missing or invalid request parameters."},
		{"no key", "GET", me, nil, []option{withoutKey}, 401, consult.ReasonKeyMissing, "Invalid or missing API key."},
		{"bad key", "GET", me, nil, []option{withKey("sk_live_nonsense")}, 401, consult.ReasonKeyInvalid, "Invalid or missing API key."},
		{"revoked key", "GET", me, nil, []option{withKey(revokedSecret)}, 401, consult.ReasonKeyRevoked, "Invalid or missing API key."},
		{"two keys", "GET", me, nil, []option{func(r *http.Request) { r.Header.Add("X-API-Key", "x") }}, 401, consult.ReasonKeyMissing, ""},
		{"the key comes before the body", "POST", create, "{", []option{withoutKey}, 401, consult.ReasonKeyMissing, ""},
		{"unknown session", "GET", videoPath + "vs_unknown/status", nil, nil, 404, "", ""},
		{"unknown ticket", "GET", roomPath + "/wt_unknown", nil, nil, 404, "", ""},
		{"unknown path", "GET", "/api/v1/nothing", nil, nil, 404, "", "There is nothing at this path."},
		{"unknown version", "GET", "/api/v2/users/me", nil, nil, 404, "", ""},
		{"trailing slash", "GET", me + "/", nil, nil, 404, "", ""},
		{"bare prefix", "GET", "/api", nil, nil, 404, "", ""},
		{"wrong method", "DELETE", me, nil, nil, 405, "", "This path answers GET, HEAD only."},
		{"odd method", "BREW", roomPath + "/join/admit", nil, nil, 405, "", "This path answers POST only."},
		{"too large", "POST", create, big, nil, 413, consult.ReasonTooLarge, "The request body may have 1048576 bytes at most."},
		{"too large where none is taken", "GET", me, big, nil, 413, consult.ReasonTooLarge, ""},
		{"invalid", "POST", create, "{}", nil, 422, "", "Request body failed schema validation."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inner := *w
			inner.t = t
			a := inner.call(tc.method, tc.path, tc.body, tc.opts...)
			a.refused(tc.status, tc.reason)
			if tc.message != "" && a.str("message") != tc.message {
				t.Errorf("message %q, want %q", a.str("message"), tc.message)
			}
			if id := a.str("request_id"); !strings.HasPrefix(id, "req_") {
				t.Errorf("request_id %q", id)
			}
		})
	}
}

func TestErrorHeaders(t *testing.T) {
	w := newWorld(t)
	if a := w.call("GET", "/api/v1/users/me", nil, withoutKey); a.header.Get("WWW-Authenticate") == "" {
		t.Error("401 without WWW-Authenticate")
	}
	for path, want := range map[string]string{
		"/api/v1/users/me": "GET, HEAD", roomPath + "/wt_1": "DELETE, GET, HEAD", "/healthz": "GET, HEAD",
		videoPath + "vs_1/end": "POST",
	} {
		if a := w.call("PUT", path, nil); a.header.Get("Allow") != want {
			t.Errorf("%s: Allow %q, want %q", path, a.header.Get("Allow"), want)
		}
	}
}

func TestFieldsListEveryComplaint(t *testing.T) {
	w := newWorld(t)
	for body, want := range map[string]map[string]string{
		`{}`: {"doctor_id": "is required", "patient_id": "is required"},
		`{"doctor_id":7,"patient_id":"","language":"English","enable_recording":"yes"}`: {
			"doctor_id": "must be of type string", "patient_id": "must be 1 to 128 letters, digits or _-.:@+=~",
			"language": "must be a BCP 47 language tag, such as en, fr or pt-BR", "enable_recording": "must be of type boolean",
		},
		`{"doctor_id":"d","patient_id":"p","patient_name":"a\r\nb","scheduled_at":"2025-06-01T10:00:00"}`: {
			"patient_name": "must be at most 120 characters, without control characters",
			"scheduled_at": "must be an ISO 8601 date and time with an offset, such as 2030-01-15T10:30:00Z",
		},
		`{"doctor_id":"d","patient_id":"p","scheduled_at":"2024-06-01T10:00:00Z"}`: {"scheduled_at": "must not be in the past"},
		`{"DOCTOR_ID":"d","patient_id":"p"}`:                                       {"doctor_id": "is required"},
		`[]`:                                                                       {"": "must be of type object"},
		`null`:                                                                     {"": "must be of type object"},
	} {
		a := w.call("POST", videoPath+"create", body)
		a.refused(422, "")
		if got := a.fields(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s:\n got %v\nwant %v", body, got, want)
		}
		if strings.Contains(string(a.raw), "English") {
			t.Errorf("a value comes back: %s", a.raw)
		}
	}
}

// encoding/json matches names without regard to case; an undocumented name
// must not overwrite a validated value.
func TestANameInOtherCaseIsAnotherField(t *testing.T) {
	w := newWorld(t)
	a := w.call("POST", videoPath+"create", `{"doctor_id":"doc_1","patient_id":"pat_1","Doctor_ID":"evil/../id","PATIENT_ID":9}`)
	a.ok()
	if st := w.call("GET", videoPath+a.str("session_id")+"/status", nil); st.str("doctor_id") != "doc_1" {
		t.Errorf("doctor %s", st.str("doctor_id"))
	}
}

func TestInternalErrorsHideTheirCause(t *testing.T) {
	for name, get := range map[string]func(context.Context) error{
		"error":         func(context.Context) error { return fmt.Errorf("pq: secret detail") },
		"panic":         func(context.Context) error { panic("secret detail") },
		"runtime error": func(context.Context) error { return []error{nil}[len("secret detail")] },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, withGet(get))
			a := w.call("GET", videoPath+"vs_1/status", nil)
			a.refused(500, "")
			if strings.Contains(string(a.raw), "secret") || !strings.Contains(w.log.String(), a.str("request_id")) {
				t.Errorf("answer %s\nlog %s", a.raw, w.log)
			}
			if name == "panic" && strings.Contains(w.log.String(), "secret detail") {
				t.Error("the panic's value is in the log")
			}
			w.call("GET", "/api/v1/users/me", nil).ok()
		})
	}
}

func TestARequestHasADeadline(t *testing.T) {
	w := newWorld(t, func(d *Deps) { d.Config.RequestTimeout = 50 * time.Millisecond }, withGet(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}))
	a := w.call("GET", videoPath+"vs_1/status", nil)
	a.refused(503, "")
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
}

func TestHealthAndReadiness(t *testing.T) {
	w := newWorld(t)
	w.call("GET", "/healthz", nil, withoutKey).ok()
	w.call("GET", "/readyz", nil, withoutKey).ok()
	w.closeRedis()
	a := w.call("GET", "/readyz", nil, withoutKey)
	a.refused(503, "")
	if a.str("message") != "Not ready: no answer from redis." {
		t.Errorf("message %q", a.str("message"))
	}
	w.closeStore()
	if a = w.call("GET", "/readyz", nil, withoutKey); a.str("message") != "Not ready: no answer from redis, store." {
		t.Errorf("message %q", a.str("message"))
	}
	w.call("GET", "/healthz", nil, withoutKey).ok()
}
