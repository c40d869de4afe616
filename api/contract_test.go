package api

import (
	"bytes"
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// responseSchemas holds answers against openapi.yaml. Schemas are closed for
// this: a field that is not documented is an error, which clients must not
// assume but we must keep.
type responseSchemas struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
	mu       sync.Mutex // the compiler is not for concurrent use
}

func schemasOfResponses(t testing.TB) *responseSchemas {
	t.Helper()
	var doc map[string]any
	must(t, yaml.Unmarshal(openapiYAML, &doc))
	closeObjects(doc)
	asJSON, err := json.Marshal(doc)
	must(t, err)
	ct := &contract{}
	c, err := ct.compiler(asJSON)
	must(t, err)
	return &responseSchemas{doc: ct.doc, compiler: c}
}

// closeObjects forbids undocumented properties in every schema below node.
func closeObjects(node any) {
	switch n := node.(type) {
	case map[string]any:
		if _, ok := n["properties"].(map[string]any); ok && n["additionalProperties"] == nil {
			n["additionalProperties"] = false
		}
		for _, v := range n {
			closeObjects(v)
		}
	case []any:
		for _, v := range n {
			closeObjects(v)
		}
	}
}

// check fails the test unless the answer is one that op documents; op nil is a
// path or method that does not exist.
func (rs *responseSchemas) check(a *reply, op *operation) {
	a.t.Helper()
	media, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil && len(a.raw) > 0 {
		a.t.Fatalf("%s: Content-Type %q", a.what, a.header.Get("Content-Type"))
	}
	if (media == "application/json" || media == contentTypeProblem) && len(a.raw) > 0 {
		dec := json.NewDecoder(bytes.NewReader(a.raw))
		dec.UseNumber()
		must(a.t, dec.Decode(&a.body))
	}
	if a.header.Get("X-Request-Id") == "" {
		a.t.Errorf("%s: no X-Request-Id", a.what)
	}
	if a.status >= 400 && strings.HasPrefix(media, "application/") {
		rs.checkError(a)
	}
	if op == nil {
		return
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	pointer := "/paths/" + escapePointer(op.path) + "/" + strings.ToLower(op.method) + "/responses/" + statusLabel(a.status)
	ct := contract{doc: rs.doc}
	res, ok := ct.lookup(pointer).(map[string]any)
	if !ok {
		a.t.Fatalf("%s: status %d is not documented: %s", a.what, a.status, a.raw)
	}
	if a.status == http.StatusNotModified {
		return // it has no body
	}
	if ref, ok := res["$ref"].(string); ok {
		pointer = strings.TrimPrefix(ref, "#")
	}
	if ct.lookup(pointer+"/content/"+escapePointer(media)) == nil {
		a.t.Fatalf("%s: media type %q is not documented", a.what, media)
	}
	if media != "application/json" && media != contentTypeProblem {
		return
	}
	schema, err := rs.compiler.Compile(contractURL + "#" + pointer + "/content/" + escapePointer(media) + "/schema")
	must(a.t, err)
	body, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.raw))
	must(a.t, err)
	if err := schema.Validate(body); err != nil {
		a.t.Fatalf("%s: %d %s\n%v", a.what, a.status, a.raw, err)
	}
}

// checkError wants the documented error body.
func (rs *responseSchemas) checkError(a *reply) {
	a.t.Helper()
	want := map[int]string{
		400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
		409: "conflict", 412: "precondition_failed", 416: "range_not_satisfiable", 413: "payload_too_large", 422: "validation_error", 429: "rate_limit_exceeded",
		500: "internal_error", 503: "service_unavailable",
	}
	code, _ := a.body["code"].(json.Number)
	if a.body["error"] != want[a.status] || code.String() != statusLabel(a.status) ||
		a.body["request_id"] != a.header.Get("X-Request-Id") || a.body["message"] == "" || a.body["message"] == nil {
		a.t.Fatalf("%s: %d with body %s", a.what, a.status, a.raw)
	}
	for name := range a.body {
		if strings.HasPrefix(a.header.Get("Content-Type"), contentTypeProblem) {
			break // its schema is closed too
		}
		if !slices.Contains([]string{"error", "message", "code", "request_id", "reason", "fields"}, name) {
			a.t.Fatalf("%s: the error has a field %q", a.what, name)
		}
	}
}

// match finds the operation of a request as gin does, or nil.
func (ct *contract) match(method, path string) *operation {
	var found *operation
	for _, op := range ct.operations {
		if op.method != method {
			continue
		}
		want, got := strings.Split(op.path, "/"), strings.Split(path, "/")
		if len(want) != len(got) {
			continue
		}
		fits := true
		for i := range want {
			fits = fits && (want[i] == got[i] || strings.HasPrefix(want[i], "{") && got[i] != "")
		}
		if fits && (found == nil || strings.Count(op.path, "{") < strings.Count(found.path, "{")) {
			found = op
		}
	}
	return found
}

func testServer(t *testing.T) *server {
	t.Helper()
	ct, err := loadContract(openapiYAML)
	must(t, err)
	m, err := newMetrics(nil)
	must(t, err)
	return &server{contract: ct, metrics: m}
}

func TestEveryRouteIsDescribedAndEveryDescriptionRouted(t *testing.T) {
	s := testServer(t)
	e, err := s.engine(s.routes())
	must(t, err)
	var routed, described []string
	for _, r := range e.Routes() {
		routed = append(routed, r.Method+" "+r.Path)
	}
	ids := map[string]bool{}
	for _, op := range s.contract.operations {
		described = append(described, op.method+" "+ginPath(op.path))
		if op.id == "" || ids[op.id] {
			t.Errorf("%s %s: operationId %q is missing or taken", op.method, op.path, op.id)
		}
		ids[op.id] = true
	}
	slices.Sort(routed)
	slices.Sort(described)
	if !slices.Equal(routed, described) {
		t.Fatalf("routed:\n%s\ndescribed:\n%s", strings.Join(routed, "\n"), strings.Join(described, "\n"))
	}
}

func TestAMismatchOfRoutesAndDescriptionRefusesToStart(t *testing.T) {
	s := testServer(t)
	if _, err := s.engine(s.routes()[1:]); err == nil {
		t.Error("a described operation without route was accepted")
	}
	extra := append(s.routes(), route{http.MethodGet, "/api/v1/undescribed", s.healthz})
	if _, err := s.engine(extra); err == nil {
		t.Error("a route without description was accepted")
	}
}

func TestEveryOperationDocumentsItsAnswers(t *testing.T) {
	ct, err := loadContract(openapiYAML)
	must(t, err)
	for _, op := range ct.operations {
		node, _ := ct.lookup("/paths/" + escapePointer(op.path) + "/" + strings.ToLower(op.method)).(map[string]any)
		res, _ := node["responses"].(map[string]any)
		want := []string{"200", "400", "413", "500"}
		if !op.public {
			want = append(want, "401", "403", "429", "503")
		}
		if op.body != nil {
			want = append(want, "422")
		}
		if strings.Contains(op.path, "_id}") && !strings.Contains(op.path, "{doctor_id}") { // a doctor exists when named
			want = append(want, "404")
		}
		for _, status := range want {
			if res[status] == nil {
				t.Errorf("%s %s does not document %s", op.method, op.path, status)
			}
		}
		for status := range maps.Keys(res) {
			if status[0] == '2' && status != "200" && (!op.stream || status != "206") {
				t.Errorf("%s %s answers %s; every operation answers 200", op.method, op.path, status)
			}
		}
	}
}

func TestABadDescriptionRefusesToStart(t *testing.T) {
	for name, doc := range map[string]string{
		"no YAML":          "\t{",
		"not an object":    "- a",
		"broken schema":    "paths: {/a: {post: {x-scope: any, requestBody: {content: {application/json: {schema: {type: 7}}}}}}}",
		"dangling ref":     "paths: {/a: {post: {x-scope: any, requestBody: {content: {application/json: {schema: {$ref: '#/nowhere'}}}}}}}",
		"body not JSON":    "paths: {/a: {post: {x-scope: any, requestBody: {content: {text/plain: {}}}}}}",
		"header parameter": "paths: {/a: {get: {x-scope: any, parameters: [{name: X, in: header, schema: {type: string}}]}}}",
		"integer in query": "paths: {/a: {get: {x-scope: any, parameters: [{name: n, in: query, schema: {type: integer}}]}}}",
		"no scope":         "paths: {/a: {get: {}}}",
		"odd scope":        "paths: {/a: {get: {x-scope: root}}}",
		"scope, no key":    "paths: {/a: {get: {x-scope: admin, security: []}}}",
		"odd plan group":   "paths: {/a: {get: {x-scope: any, x-plan-group: emergency}}}",
		"negative bound":   "paths: {/a: {get: {x-scope: any, x-max-body: -1}}}",
		"unknown ref":      "paths: {/a: {get: {x-scope: any, parameters: [{$ref: '#/components/parameters/None'}]}}}",
	} {
		if _, err := loadContract([]byte(doc)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTheDescriptionIsServed(t *testing.T) {
	w := newWorld(t)
	asYAML := w.call("GET", "/openapi.yaml", nil, withoutKey)
	if asYAML.status != 200 || !bytes.Equal(asYAML.raw, openapiYAML) {
		t.Errorf("openapi.yaml: %d, %d bytes", asYAML.status, len(asYAML.raw))
	}
	asJSON := w.call("GET", "/openapi.json", nil, withoutKey)
	if asJSON.ok()["openapi"] != "3.1.0" {
		t.Errorf("openapi.json: %v", asJSON.body["openapi"])
	}
}
