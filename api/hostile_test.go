package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// wrong are values that no schema of a request takes for its property.
func wrong(s *jsonschema.Schema) map[string]string {
	all := map[string]string{
		"string": `"\u0000"`, "number": `1.5`, "integer": `-7`, "boolean": `true`, "null": `null`, "array": `["a"]`, "object": `{"a":1}`,
		"long": `"` + strings.Repeat("a", 5000) + `"`, "crlf": `"a\r\nX-Evil: 1"`, "huge": `1e300`, "big integer": `123456789012345678901234567890`,
		"traversal": `"../../etc/passwd"`, "nul": `"a\u0000b"`,
	}
	maps.DeleteFunc(all, func(_, text string) bool {
		v, err := decodeJSON([]byte(text))
		return err != nil || s.Validate(v) == nil
	})
	return all
}

// broken are bodies that are no JSON text we take.
var broken = map[string]string{
	"truncated": `{"doctor_id":`, "trailing": `{} {}`, "duplicate": `{"role":"guest","role":"doctor"}`,
	"invalid UTF-8": "{\"name\":\"\xff\xfe\"}", "lone surrogate": `{"name":"\ud800"}`, "deep": strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200),
	"very deep": strings.Repeat("[", 200_000), "out of range": `{"ttl_seconds":1e400}`, "exponent": `{"ttl_seconds":1e-2147483648999}x`,
	"NaN": `{"ttl_seconds":NaN}`, "BOM": "\xef\xbb\xbf{}", "XML": `<?xml version="1.0"?>`, "form": "a=b&c=d", "NUL": "\x00",
}

func TestWrongBodiesOfEveryOperation(t *testing.T) { onDatabases(t, wrongBodiesOfEveryOperation) }

func wrongBodiesOfEveryOperation(t *testing.T, w *world) {
	t.Helper()
	f := w.fixtures()
	bodies := 0
	for _, op := range w.contract.operations {
		if op.body == nil {
			continue
		}
		bodies++
		path := f.path(t, op.path)
		good, _ := sample(op.body).(map[string]any)
		w.call(op.method, w.fixtures().path(t, op.path), good).ok()
		for name, text := range broken {
			if a := w.call(op.method, path, text); a.status != 400 {
				t.Errorf("%s: %s: %d %s", a.what, name, a.status, a.raw)
			}
		}
		schema := dereference(op.body)
		for _, field := range slices.Sorted(maps.Keys(schema.Properties)) {
			for name, value := range wrong(schema.Properties[field]) {
				body := maps.Clone(good)
				body[field] = json.RawMessage(value)
				a := w.call(op.method, path, body)
				if a.status != 422 || !complained(a, field) {
					t.Errorf("%s: %s is %s: %d %s", a.what, field, name, a.status, a.raw)
				}
			}
		}
		for _, field := range schema.Required {
			body := maps.Clone(good)
			delete(body, field)
			if a := w.call(op.method, path, body); a.status != 422 || a.fields()[field] != "is required" {
				t.Errorf("%s without %s: %d %s", a.what, field, a.status, a.raw)
			}
		}
		// Fields nobody documented, as deep and odd as allowed, are ignored.
		body := maps.Clone(good)
		body["__proto__"], body["x\r\ny"] = map[string]any{"a": []any{1e300, nil}}, strings.Repeat("é", 1000)
		w.call(op.method, w.fixtures().path(t, op.path), body).ok()
	}
	if bodies < 15 {
		t.Errorf("%d operations with a body", bodies)
	}
}

// complained reports whether a field, or something in it, was complained of.
func complained(a *reply, field string) bool {
	for name := range a.fields() {
		if name == field || strings.HasPrefix(name, field+".") {
			return true
		}
	}
	return false
}

func TestWrongParametersOfEveryOperation(t *testing.T) {
	onDatabases(t, wrongParametersOfEveryOperation)
}

func wrongParametersOfEveryOperation(t *testing.T, w *world) {
	t.Helper()
	f := nobodys()
	hostile := []string{
		"%00", "%0d%0aX-Evil:%201", "%ff%fe", "..%2f..%2fetc%2fpasswd", "%2e%2e", "a%20b", "%7Bid%7D", "'%20or%201=1--", "%25s%25n", "é", "*",
		strings.Repeat("a", 129), strings.Repeat("a", 4096), "%5c..%5c", "a;b", "a,b", "$ne", "%F0%9F%98%80", "a%2F", "vs_1%00",
	}
	for _, op := range w.contract.operations {
		for _, p := range op.params {
			for _, value := range hostile {
				path := op.path
				if p.in == "query" {
					path += "?" + p.name + "=" + value
				} else {
					path = strings.Replace(path, "{"+p.name+"}", value, 1)
				}
				path = f.path(t, path)
				var body any
				if op.body != nil {
					body = sample(op.body)
				}
				a := w.call(op.method, path, body)
				decoded, err := url.PathUnescape(value)
				validID := err == nil && p.schema.Validate(decoded) == nil
				if a.status >= 500 || !validID && a.status < 400 {
					t.Errorf("%s: %d %s", a.what, a.status, a.raw)
				}
			}
		}
	}
}

// Bodies that are made of right and wrong parts at random, the same ones in
// every run: never a 5xx, and never a success that the schema would refuse.
func TestRandomBodiesOfEveryOperation(t *testing.T) { onDatabases(t, randomBodiesOfEveryOperation) }

func randomBodiesOfEveryOperation(t *testing.T, w *world) {
	t.Helper()
	f := w.fixtures()
	rng := rand.New(rand.NewPCG(1, 2))
	pool := []any{
		nil, true, -1, 0, 61, 1.5, 1e300, "", "a", "en", "guest", "doctor", "2025-06-01T10:00:00Z", "2025-06-01", strings.Repeat("x", 200),
		"\u202e", "\x7f", []any{}, []any{[]any{1}}, map[string]any{}, map[string]any{"doctor_id": "d"}, "vs_1", "ÿ", " ", "a\x00b",
	}
	for _, op := range w.contract.operations {
		if op.body == nil {
			continue
		}
		names := append(slices.Sorted(maps.Keys(dereference(op.body).Properties)), "other", "")
		for range 60 {
			body := map[string]any{}
			if rng.IntN(2) == 0 {
				body, _ = sample(op.body).(map[string]any)
			}
			for range 1 + rng.IntN(3) {
				body[names[rng.IntN(len(names))]] = pool[rng.IntN(len(pool))]
			}
			text, err := json.Marshal(body)
			must(t, err)
			v, err := decodeJSON(text)
			must(t, err)
			a := w.call(op.method, f.path(t, op.path), text)
			if a.status >= 500 || a.status == 200 && op.body.Validate(v) != nil {
				t.Errorf("%s %s: %d %s", a.what, text, a.status, a.raw)
			}
		}
	}
}

// Headers that every operation reads, or that nobody should.
func TestHostileHeadersOfEveryOperation(t *testing.T) {
	w := newWorld(t)
	f := w.fixtures()
	for _, op := range w.contract.operations {
		path := f.request(t, op)
		body := "{}"
		if op.body != nil {
			text, err := json.Marshal(sample(op.body))
			must(t, err)
			body = string(text)
		}
		for _, header := range []string{
			"Idempotency-Key: a b", "Idempotency-Key: " + strings.Repeat("k", 5000), "Idempotency-Key: \xff", "Idempotency-Key:",
			"Idempotency-Key: a\r\nIdempotency-Key: b", "Accept: " + strings.Repeat("application/problem+json;q=0.1,", 500),
			"Accept: \xff;q=\x80", "Accept-Language: " + strings.Repeat("x-y;q=9,", 500), "Content-Type: application/json; charset=\"",
			"Content-Type: " + strings.Repeat("a/", 5000), "X-Request-Id: " + strings.Repeat("r", 5000), "X-Request-Id: a\r\n folded: 1",
			"Expect: 200-ok", "X-Forwarded-For: " + strings.Repeat("1.1.1.1, ", 1000), "Content-Encoding: gzip", "Range: bytes=0-0, -1",
			"Connection: X-API-Key, close", "X-HTTP-Method-Override: DELETE", "Cookie: " + strings.Repeat("a=b;", 2000),
		} {
			res := w.rawRequest(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\nContent-Length: %d\r\n%s\r\n\r\n%s",
				op.method, path, w.key, len(body), header, body))
			if res.StatusCode >= 500 {
				t.Errorf("%s %s with %.40q: %s", op.method, op.path, header, res.Status)
			}
			if strings.Contains(fmt.Sprint(res.Header), "folded") {
				t.Errorf("%s %s: a header came back", op.method, op.path)
			}
		}
	}
}

// Query strings as long as the header limit allows, and longer.
func TestGiantQueries(t *testing.T) {
	w := newWorld(t)
	for _, query := range []string{
		"?" + strings.Repeat("a=b&", 50_000), "?cursor=" + strings.Repeat("A", 300_000), "?doctor_id=" + strings.Repeat("%41", 100_000),
		"?" + strings.Repeat("limit=1&", 20_000), "?" + strings.Repeat("&", 100_000),
	} {
		for _, path := range []string{"/api/v1/consultations/video", roomPath, me, "/status", "/api/v1/keys"} {
			if res := w.rawRequest("GET " + path + query + " HTTP/1.1\r\nHost: x\r\nX-API-Key: " + w.key + "\r\n\r\n"); res.StatusCode >= 500 {
				t.Errorf("%s%.20s: %s", path, query, res.Status)
			}
		}
	}
}

func TestHostileRequestLines(t *testing.T) {
	w := newWorld(t)
	for _, line := range []string{
		"GET /api/v1/../../etc/passwd", "GET /api/v1/users/me/../../x", "GET //api/v1/users/me", "GET /api/v1//users/me", "GET /api/v1/users/me%00",
		"GET /api/v1/users/ME", "GET /%", "POST /api/v1/consultations/video/%2e%2e/end", "GET /api/v1/users/me?%", "GET /api/v1/users/me?a;b",
		"GET /healthz?%zz", "OPTIONS *", "CONNECT /api/v1/users/me", "GET http://evil.example/api/v1/users/me", "GET /" + strings.Repeat("a/", 2000),
	} {
		res := w.rawRequest(line + " HTTP/1.1\r\nHost: x\r\nX-API-Key: " + w.key + "\r\nX-Request-Id: a\tb\r\n\r\n")
		if res.StatusCode >= 500 {
			t.Errorf("%s: %s", line, res.Status)
		}
	}
	for _, header := range []string{
		"X-API-Key: " + strings.Repeat("k", 100_000), "X-API-Key: \xff\xfe", "Content-Length: -1", "Content-Length: 99999999999999999999",
		"Transfer-Encoding: gzip", "Content-Type: ;;;", "X-Forwarded-For: ,,,", "X-API-Key:",
	} {
		res := w.rawRequest(fmt.Sprintf("POST %screate HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", videoPath, header))
		if res.StatusCode >= 500 && res.StatusCode != 501 || res.StatusCode == 200 { // 501: net/http, RFC 9112 section 6.1
			t.Errorf("%.60q: %s", header, res.Status)
		}
	}
}
