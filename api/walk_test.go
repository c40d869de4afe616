package api

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
)

// The walks go over every operation of openapi.yaml, so that a new one is
// covered by itself. What they cannot make up, such as a new kind of id, fails
// them until it is added to fixtures.

// fixtures are values of the live account, by parameter name.
type fixtures map[string]string

// fixtures makes new rows, so that one operation's effect does not refuse the
// next one.
func (w *world) fixtures() fixtures {
	w.t.Helper()
	ctx := w.t.Context()
	patient := "pat_" + consult.NewID("x")
	j := w.join(patient)
	p := consult.Participation{
		ID: consult.NewID(consult.PrefixParticipant), Scope: w.apiKey.Scope, SessionID: j.str("session_id"),
		Role: consult.Patient, Subject: patient, Name: "Amina Benali", JoinedAt: w.clock.now(),
	}
	must(w.t, w.store.JoinParticipation(ctx, &p, nil))
	_, key, err := w.keys.Create(ctx, auth.CreateKeyRequest{
		AccountID: w.apiKey.Scope.AccountID, Name: "Walk", Plan: consult.PlanEnterprise, Mode: consult.Live, Scopes: allScopes,
	})
	must(w.t, err)
	w.call("POST", "/api/v1/chat/message", map[string]any{"message": "hello", "session_id": j.str("session_id")}).ok()
	rec := w.recorded(j.str("session_id"), patient)
	a := w.call("POST", "/api/v1/recordings/"+rec.ID+"/links", map[string]any{"file_id": rec.Files[0].ID})
	a.ok()
	return fixtures{
		"session_id": j.str("session_id"), "ticket_id": j.str("ticket_id"), "participant_id": p.ID, "key_id": key.ID,
		"doctor_id": "doc_1", "patient_id": patient, "recording_id": rec.ID, "file_id": rec.Files[0].ID, "number": "0",
		"link": a.str("url")[strings.LastIndex(a.str("url"), "/")+1:],
	}
}

// nobodys are well-formed values that belong to nothing.
func nobodys() fixtures {
	return fixtures{
		"session_id": "vs_1", "ticket_id": "wt_1", "participant_id": "prt_1", "key_id": "key_1", "doctor_id": "d", "patient_id": "p",
		"recording_id": "rec_1", "file_id": "track-1", "number": "0", "link": strings.Repeat("A", 80),
	}
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// path fills a template; a parameter nobody has a value for fails the test.
func (f fixtures) path(t *testing.T, template string) string {
	t.Helper()
	return pathParameter.ReplaceAllStringFunc(template, func(p string) string {
		v, ok := f[strings.Trim(p, "{}")]
		if !ok {
			t.Fatalf("%s: fixtures has no value for %s; add one", template, p)
		}
		return v
	})
}

// request is the path of op, with its required query parameters.
func (f fixtures) request(t *testing.T, op *operation) string {
	t.Helper()
	path := f.path(t, op.path)
	var query []string
	for _, p := range op.params {
		if p.in == "query" && p.required {
			query = append(query, p.name+"="+f[p.name])
		}
	}
	if len(query) > 0 {
		path += "?" + strings.Join(query, "&")
	}
	return path
}

// secret reports whether an id says by itself whose it is; doctors and patients
// have the integrator's own ids, which two accounts may both use.
func ours(param string) bool {
	return !slices.Contains([]string{"doctor_id", "patient_id", "file_id", "number"}, param)
}

// TestNothingCrossesAccountsOrModes calls every operation with the ids of
// another account, and with those of the same account's other mode.
func TestNothingCrossesAccountsOrModes(t *testing.T) { onDatabases(t, nothingCrossesAccountsOrModes) }

func nothingCrossesAccountsOrModes(t *testing.T, w *world) {
	t.Helper()
	f := w.fixtures()
	w.call("PUT", "/api/v1/doctors/doc_1/presence", map[string]any{"presence": "busy"}).ok()
	// marks are what an answer to others must not hold.
	marks := []string{"Amina Benali", "Name of pat_", "Headache", "busy", w.apiKey.ID, w.apiKey.Scope.AccountID}
	for param, v := range f {
		if ours(param) {
			marks = append(marks, v)
		}
	}
	before := w.everything(f)
	keyed := 0
	for _, op := range w.contract.operations {
		if op.public {
			continue
		}
		keyed++
		path := f.request(t, op)
		hidden := slices.ContainsFunc(pathParameter.FindAllStringSubmatch(op.path, -1), func(m []string) bool { return m[1] != "doctor_id" })
		var body any
		if op.body != nil {
			good, _ := sample(op.body).(map[string]any)
			for name := range dereference(op.body).Properties {
				if v, ok := f[name]; ok && ours(name) && op.id != "sendChatMessage" { // which begins a session of any id
					good[name], hidden = v, true
				}
			}
			body = good
		}
		for who, key := range map[string]string{"another account": w.otherKey, "the other mode": w.testKey} {
			if op.method == "GET" {
				for _, p := range op.params { // each filter by itself
					if v, ok := f[p.name]; ok && p.in == "query" {
						w.unmarked(w.call(op.method, f.path(t, op.path)+"?"+p.name+"="+v, nil, withKey(key)), who, marks)
					}
				}
			}
			a := w.call(op.method, path, body, withKey(key))
			w.unmarked(a, who, marks)
			switch {
			case hidden && a.status != 404:
				t.Errorf("%s, as %s: %d %s, want 404", a.what, who, a.status, a.raw)
			case !hidden && a.status != 200:
				t.Errorf("%s, as %s: %d %s, want 200", a.what, who, a.status, a.raw)
			}
		}
	}
	if keyed < 30 {
		t.Errorf("only %d operations", keyed)
	}
	for id, after := range w.everything(f) {
		if after != before[id] {
			t.Errorf("%s: changed by another:\n%s\n%s", id, before[id], after)
		}
	}
}

// unmarked wants an answer without anything of the live account's.
func (w *world) unmarked(a *reply, who string, marks []string) {
	w.t.Helper()
	for _, m := range marks {
		if strings.Contains(string(a.raw), m) {
			w.t.Errorf("%s, as %s, shows %q: %s", a.what, who, m, a.raw)
		}
	}
}

var fleeting = regexp.MustCompile(`(#token=|"last_used_at":"?|"exported_at":")[^",}]*`)

// everything is what the owner sees: the answer of every GET, without what
// changes from one request to the next, and without downloads, which leave a mark
// in the audit log.
func (w *world) everything(f fixtures) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for _, op := range w.contract.operations {
		if op.method == "GET" && !op.public && !op.stream {
			a := w.call(op.method, f.request(w.t, op), nil)
			a.ok()
			out[op.id] = fleeting.ReplaceAllString(string(a.raw), "$1")
		}
	}
	return out
}

// A cursor is good for the account, the mode, the list and the filters it was
// made for.
func TestACursorBelongsToItsList(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.create()
		w.create(withKey(w.testKey))
		w.create(withKey(w.otherKey))
	}
	const list = "/api/v1/consultations/video"
	cursor := w.call("GET", list+"?limit=1", nil).str("next_cursor")
	w.call("GET", list+"?limit=2&cursor="+cursor, nil).ok()
	for name, a := range map[string]*reply{
		"another account": w.call("GET", list+"?cursor="+cursor, nil, withKey(w.otherKey)),
		"the other mode":  w.call("GET", list+"?cursor="+cursor, nil, withKey(w.testKey)),
		"another filter":  w.call("GET", list+"?doctor_id=doc_1&cursor="+cursor, nil),
		"another list":    w.call("GET", roomPath+"/tickets?cursor="+cursor, nil),
		"one bit":         w.call("GET", list+"?cursor="+flip(cursor), nil),
		"cut":             w.call("GET", list+"?cursor="+cursor[:len(cursor)-3], nil),
		"empty":           w.call("GET", list+"?cursor=", nil),
	} {
		if a.refused(400, ""); a.fields()["cursor"] == "" {
			t.Errorf("%s: %s", name, a.raw)
		}
	}
}

// flip changes the first character to another of the alphabet.
func flip(s string) string {
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}

// Pages of every list: each item once, in order, while others are created.
func TestPagesStayStableUnderInserts(t *testing.T) { onDatabases(t, pagesStayStableUnderInserts) }

func pagesStayStableUnderInserts(t *testing.T, w *world) {
	t.Helper()
	var want []string
	for range 7 {
		want = append(want, w.create().str("session_id"))
	}
	slices.Reverse(want)
	var got []string
	path := "/api/v1/consultations/video?limit=2"
	for cursor := ""; ; {
		a := w.call("GET", path+cursor, nil)
		a.ok()
		data, _ := a.body["data"].([]any)
		for _, item := range data {
			m, _ := item.(map[string]any)
			got = append(got, fmt.Sprint(m["session_id"]))
		}
		w.create() // newer than the page
		if a.body["has_more"] != true {
			if a.body["next_cursor"] != nil {
				t.Errorf("last page: %s", a.raw)
			}
			break
		}
		cursor = "&cursor=" + a.str("next_cursor")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// sample is a value that the schema takes, built from the schema. name is the
// property's, where a format of its own is expected.
func sample(s *jsonschema.Schema) any { return sampleOf("", s) }

func sampleOf(name string, s *jsonschema.Schema) any {
	s = dereference(s)
	switch {
	case name == "email":
		return "it@clinic.example"
	case name == "allowed_origins":
		return []any{"https://clinic.example"}
	case name == "allowed_addresses":
		return []any{"127.0.0.0/8", "::1"}
	case name == "file_id":
		return "composed-webm"
	case name == "country":
		return "FR"
	case name == "recipient":
		return "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	case name == "expires_at":
		return "2025-01-15T13:00:00Z"
	case s.Enum != nil:
		return s.Enum.Values[0]
	case s.Format != nil && s.Format.Name == "iso8601-offset":
		return "2025-06-01T10:00:00Z"
	}
	types := slices.DeleteFunc(s.Types.ToStrings(), func(t string) bool { return t == "null" })
	switch types[0] {
	case "boolean":
		return true
	case "number":
		return 1.5
	case "integer":
		n, _ := s.Minimum.Float64()
		return n
	case "array":
		return []any{sampleOf("", s.Items2020)}
	case "object":
		out := map[string]any{}
		for name, p := range s.Properties {
			if name != "session_id" && name != "subject" && name != "profile_id" { // these must fit what exists
				out[name] = sampleOf(name, p)
			}
		}
		return out
	}
	return "en"
}
