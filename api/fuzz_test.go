package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/chatmed/chatmed/internal/consult"
)

// callerFault fails unless err is one that its caller made.
func callerFault(t *testing.T, err error) {
	t.Helper()
	if e := consult.AsError(err); e.Code.Status() >= 500 {
		t.Fatalf("%v", err)
	}
}

// FuzzBody feeds every operation's body: whatever comes in is refused in the
// documented way, or is what the operation's schema takes.
func FuzzBody(f *testing.F) {
	ct, err := loadContract(openapiYAML)
	must(f, err)
	var ops []*operation
	for _, op := range ct.operations {
		if op.body != nil {
			ops = append(ops, op)
		}
	}
	for i, op := range ops {
		good, err := json.Marshal(sample(op.body))
		must(f, err)
		f.Add(i, string(good), "application/json")
	}
	f.Add(0, `{"doctor_id":"\ud800"}`, "application/json; charset=utf-8")
	gin.SetMode(gin.ReleaseMode)
	f.Fuzz(func(t *testing.T, which int, body, contentType string) {
		op := ops[(which%len(ops)+len(ops))%len(ops)]
		c, _ := gin.CreateTestContext(httptest.NewRecorder())
		c.Request = &http.Request{Method: op.method, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1}
		c.Request.Header.Set("Content-Type", contentType)
		kept, err := readBody(op, c)
		if err != nil {
			callerFault(t, err)
			return
		}
		if kept == nil {
			if body != "" || op.bodyRequired {
				t.Fatalf("%q vanished", body)
			}
			return
		}
		v, err := decodeJSON(kept)
		if err != nil || op.body.Validate(v) != nil {
			t.Fatalf("%q became %s: %v", body, kept, err)
		}
		for name := range v.(map[string]any) { //nolint:forcetypeassert // every body is an object
			if dereference(op.body).Properties[name] == nil {
				t.Fatalf("%q keeps %q", body, name)
			}
		}
	})
}

// FuzzParams feeds every operation's query and path.
func FuzzParams(f *testing.F) {
	ct, err := loadContract(openapiYAML)
	must(f, err)
	f.Add("doctor_id=doc_1&limit=20&status=waiting&created_from=2025-01-15T10:30:00Z", "vs_1")
	f.Add("cursor=AAAA&limit=%31", "..")
	f.Add("a;b=%zz&limit=1&limit=2", "\x00")
	f.Fuzz(func(t *testing.T, query, id string) {
		for _, op := range ct.operations {
			c, _ := gin.CreateTestContext(httptest.NewRecorder())
			c.Request = &http.Request{Method: op.method, Header: http.Header{}, URL: &url.URL{Path: "/", RawQuery: query}}
			for _, p := range op.params {
				if p.in == "path" {
					c.Params = append(c.Params, gin.Param{Key: p.name, Value: id})
				}
			}
			params, err := readParams(op, c)
			if err != nil {
				callerFault(t, err)
				continue
			}
			for _, p := range op.params {
				if v, ok := params[p.name]; ok && p.schema.Validate(v) != nil || !ok && p.required {
					t.Fatalf("%s %s: %s is %q", op.method, op.path, p.name, v)
				}
			}
		}
	})
}

// FuzzCursor: a cursor opens to what was sealed, in its context, and nothing
// else opens.
func FuzzCursor(f *testing.F) {
	sealed, err := newSealer([][]byte{bytes.Repeat([]byte{7}, sealKeySize)})
	must(f, err)
	s := &server{sealer: sealed}
	f.Add("MTczNjkzNzAwMCB2c18x", "acc_1 live listVideoConsultations")
	f.Add(s.sealCursor("after", "context"), "context")
	f.Add("AAAAAAAAAAAAAAAA\n", "")
	f.Fuzz(func(t *testing.T, text, context string) {
		if after, ok := s.openCursor(text, context); ok {
			if s.sealCursor(after, context) != text {
				t.Fatalf("%q opens to %q in %q", text, after, context)
			}
		}
		if text == "" {
			return
		}
		cursor := s.sealCursor(text, context)
		if after, ok := s.openCursor(cursor, context); !ok || after != text {
			t.Fatalf("%q does not open again", text)
		}
		if _, ok := s.openCursor(cursor, context+"x"); ok {
			t.Fatalf("%q opens elsewhere", text)
		}
		if raw, err := base64.RawURLEncoding.DecodeString(cursor); err == nil {
			raw[len(raw)/2] ^= 1
			if _, ok := s.openCursor(base64.RawURLEncoding.EncodeToString(raw), context); ok {
				t.Fatalf("a changed cursor of %q opens", text)
			}
		}
	})
}

// FuzzIdempotencyKey: what is taken is fit for a log and for the store.
func FuzzIdempotencyKey(f *testing.F) {
	f.Add("4d1e8fae-0c2b-4b6e-9d7b-3f0b8a1c2d3e")
	f.Add("a b")
	f.Add(strings.Repeat("k", 256))
	f.Fuzz(func(t *testing.T, text string) {
		key, ok, err := idempotencyKey(http.Header{headerIdempotency: {text}})
		if err != nil {
			callerFault(t, err)
			return
		}
		if !ok || key != text || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("%q is taken as %q", text, key)
		}
	})
}

// FuzzHeaders: Accept, Accept-Language and X-Request-Id never do more than
// choose among what there is.
func FuzzHeaders(f *testing.F) {
	f.Add("text/html, application/problem+json;q=0.5", "fr-CA, ar;q=0.3", "req_1")
	f.Add(";q=;;,", "*;q=NaN", "\x00")
	f.Fuzz(func(t *testing.T, accept, language, id string) {
		h := http.Header{"Accept": {accept}, "Accept-Language": {language}}
		prefers(h, contentTypeProblem, "application/json")
		if statusWords[languageOf(h)] == nil {
			t.Fatalf("%q is %q", language, languageOf(h))
		}
		if saneRequestID(id) && strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("%q is sane", id)
		}
	})
}

// FuzzUpload: a multipart body ends in its end or in the caller's error, within
// its bound.
func FuzzUpload(f *testing.F) {
	f.Add("--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"x\"\r\n\r\nabc\r\n--b--\r\n", "multipart/form-data; boundary=b")
	f.Add("--b", "multipart/form-data; boundary=b")
	f.Add("", "multipart/form-data; boundary=\"\"")
	op := &operation{maxBody: 1000}
	f.Fuzz(func(t *testing.T, body, contentType string) {
		u, err := openUpload(op, &http.Request{Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body))})
		if err != nil {
			callerFault(t, err)
			return
		}
		for total := int64(0); ; {
			p, err := u.next()
			if err == io.EOF {
				return
			}
			if err != nil {
				callerFault(t, err)
				return
			}
			n, err := io.Copy(io.Discard, p)
			if total += n; total > op.maxBody {
				t.Fatalf("%d bytes came through", total)
			}
			if err != nil {
				callerFault(t, err)
				return
			}
		}
	})
}
