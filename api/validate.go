package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	// maxBody bounds a body unless the operation says otherwise, in bytes.
	maxBody = 1 << 20
	// maxFields bounds the complaints of one answer.
	maxFields = 32

	messageInvalid = "Request body failed schema validation." // as documented
)

// readParams checks the path and query parameters of op; a bad one is a 400.
// Query parameters the operation does not know are ignored.
func readParams(op *operation, c *gin.Context) (map[string]string, error) {
	query, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return nil, badRequest("The query string is malformed.")
	}
	values := make(map[string]string, len(op.params))
	var fields []consult.FieldError
	for _, p := range op.params {
		got := query[p.name]
		if p.in == "path" {
			got = []string{c.Param(p.name)}
		}
		switch {
		case len(got) > 1:
			fields = append(fields, consult.FieldError{Field: p.name, Message: "must be given once"})
		case len(got) == 0 && p.required:
			fields = append(fields, consult.FieldError{Field: p.name, Message: "is required"})
		case len(got) == 1:
			values[p.name] = got[0]
			if err := p.schema.Validate(got[0]); err != nil {
				fields = append(fields, complaints(op, p.name, err)...)
			}
		}
	}
	if len(fields) > 0 {
		return nil, &consult.Error{
			Code: consult.BadRequest, Message: "Missing or invalid request parameters.", Fields: fields,
		}
	}
	return values, nil
}

// readBody reads, parses and validates the body of op and returns its
// documented fields: 413 beyond its bound, 400 for what is no JSON, 422 for
// what the schema refuses. An operation that takes no body, or reads it itself,
// gets nil, whatever was sent.
func readBody(op *operation, c *gin.Context) (json.RawMessage, error) {
	if c.Request.ContentLength > op.maxBody {
		return nil, tooLarge(op.maxBody)
	}
	if op.body == nil {
		return nil, nil
	}
	raw, err := io.ReadAll(bounded(c.Request.Body, op.maxBody))
	switch {
	case err != nil:
		return nil, err
	case len(raw) == 0 && op.bodyRequired:
		return nil, badRequest("A JSON request body is required.")
	case len(raw) == 0:
		return nil, nil
	}
	if err := checkMediaType(c.Request.Header); err != nil {
		return nil, err
	}
	v, err := decodeJSON(raw)
	if err != nil {
		return nil, err
	}
	if err := op.body.Validate(v); err != nil {
		return nil, &consult.Error{
			Code: consult.ValidationError, Message: messageInvalid, Fields: complaints(op, "", err),
		}
	}
	return json.Marshal(documented(op.body, v))
}

// boundedReader reads a body up to its bound. Its errors are for the caller.
type boundedReader struct {
	r    io.Reader
	left int64 // may go to -1: one byte beyond tells a body of the bound from a larger one
	max  int64
}

func bounded(r io.Reader, limit int64) *boundedReader {
	return &boundedReader{r: r, left: limit, max: limit}
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, tooLarge(b.max)
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	switch {
	case b.left < 0:
		return n, tooLarge(b.max)
	case err == nil || err == io.EOF: //nolint:errorlint // a reader's own end, never wrapped
		return n, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, badRequest("The request body did not arrive in time.")
	}
	return n, badRequest("The request body did not arrive whole.")
}

// checkMediaType wants JSON in UTF-8. A body without Content-Type is taken for
// it, which RFC 9110, section 8.3, leaves to the recipient.
func checkMediaType(h http.Header) error {
	if enc := h.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return badRequest("Content-Encoding is not supported.")
	}
	ct := h.Get("Content-Type")
	if ct == "" {
		return nil
	}
	media, params, err := mime.ParseMediaType(ct)
	if err != nil || (media != "application/json" && !strings.HasSuffix(media, "+json")) {
		return badRequest("Content-Type must be application/json.")
	}
	if cs := params["charset"]; cs != "" && !strings.EqualFold(cs, "utf-8") {
		return badRequest("JSON must be in UTF-8.") // RFC 8259, section 8.1
	}
	return nil
}

func badRequest(message string) error { return consult.Errorf(consult.BadRequest, "", "%s", message) }

func tooLarge(limit int64) error {
	return consult.Errorf(consult.PayloadTooLarge, consult.ReasonTooLarge, "The request body may have %d bytes at most.", limit)
}

// documented returns v with only the properties its schema names. It makes
// "unknown fields are ignored" true for encoding/json as well, which would
// take DOCTOR_ID for doctor_id.
func documented(s *jsonschema.Schema, v any) any {
	s = dereference(s)
	switch v := v.(type) {
	case map[string]any:
		if s.Properties == nil {
			return v // a free-form object
		}
		kept := make(map[string]any, len(v))
		for name, value := range v {
			if p, ok := s.Properties[name]; ok {
				kept[name] = documented(p, value)
			}
		}
		return kept
	case []any:
		if s.Items2020 != nil {
			for i := range v {
				v[i] = documented(s.Items2020, v[i])
			}
		}
	}
	return v
}

// dereference follows $ref; a schema beside a $ref only describes here.
func dereference(s *jsonschema.Schema) *jsonschema.Schema {
	for s.Ref != nil {
		s = s.Ref
	}
	return s
}

// complaints flattens a validation error into one complaint per field, in the
// order of the fields. root names the value itself.
func complaints(op *operation, root string, err error) []consult.FieldError {
	var ve *jsonschema.ValidationError
	if !errors.As(err, &ve) {
		return []consult.FieldError{{Field: root, Message: "is invalid"}}
	}
	var out []consult.FieldError
	add := func(at []string, message string) {
		field := strings.Join(at, ".")
		if field == "" {
			field = root
		}
		known := func(f consult.FieldError) bool { return f.Field == field }
		if len(out) < maxFields && !slices.ContainsFunc(out, known) {
			out = append(out, consult.FieldError{Field: field, Message: message})
		}
	}
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if r, ok := e.ErrorKind.(*kind.Required); ok {
			for _, name := range r.Missing {
				add(append(slices.Clone(e.InstanceLocation), name), "is required")
			}
			return
		}
		if len(e.Causes) == 0 {
			add(e.InstanceLocation, op.complain(e))
			return
		}
		for _, cause := range e.Causes {
			walk(cause)
		}
	}
	walk(ve)
	slices.SortStableFunc(out, func(a, b consult.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return out
}

// complaint words one failed keyword without repeating the value: what was
// sent may be patient data. The schema's own x-error comes first.
func (ct *contract) complaint(e *jsonschema.ValidationError) string {
	if t, ok := e.ErrorKind.(*kind.Type); ok {
		return "must be of type " + strings.Join(t.Want, " or ")
	}
	if node, ok := ct.lookup(strings.TrimPrefix(e.SchemaURL, contractURL+"#")).(map[string]any); ok {
		if msg, ok := node["x-error"].(string); ok {
			return msg
		}
	}
	switch k := e.ErrorKind.(type) {
	case *kind.MinLength:
		return fmt.Sprintf("must have at least %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters", k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d items", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d items", k.Want)
	case *kind.Minimum:
		return "must be at least " + k.Want.RatString()
	case *kind.Maximum:
		return "must be at most " + k.Want.RatString()
	}
	return "is invalid"
}
