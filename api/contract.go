package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/limits"
)

//go:embed openapi.yaml
var openapiYAML []byte

// contractURL names the document inside the schema compiler; nothing is fetched.
const contractURL = "https://chatmed.invalid/openapi.json"

// contract is openapi.yaml, compiled. Immutable.
type contract struct {
	yaml, json []byte
	doc        map[string]any
	operations []*operation
}

// operation is one method of one path.
type operation struct {
	id, method, path string
	public           bool // no security
	// roomToken: a room token of the doctor's may stand for the key.
	roomToken bool
	// stream: the answer may take longer than a request.
	stream       bool
	params       []parameter
	body         *jsonschema.Schema // nil: takes none, or an upload
	bodyRequired bool
	// upload: the body is multipart/form-data, which the handler reads itself.
	upload  bool
	maxBody int64 // bytes, x-max-body
	// scope is what the key must have, x-scope; "" asks for none in particular.
	scope consult.KeyScope
	// planGroup is the group of operations that a plan may lack, x-plan-group.
	planGroup string
	// effects: a POST, unless x-idempotent is false, which Idempotency-Key makes safe to repeat.
	effects  bool
	complain func(*jsonschema.ValidationError) string
}

// parameter is a path or query parameter; its value is a string.
type parameter struct {
	name, in string
	required bool
	schema   *jsonschema.Schema
}

// pathItemDoc and the others are the parts of an OpenAPI document that are
// read here.
type pathItemDoc struct {
	Parameters []parameterDoc `json:"parameters"`
	Get        *operationDoc  `json:"get"`
	Post       *operationDoc  `json:"post"`
	Put        *operationDoc  `json:"put"`
	Patch      *operationDoc  `json:"patch"`
	Delete     *operationDoc  `json:"delete"`
}

type operationDoc struct {
	OperationID string         `json:"operationId"`
	Security    *[]any         `json:"security"`
	Scope       *string        `json:"x-scope"`
	PlanGroup   string         `json:"x-plan-group"`
	MaxBody     int64          `json:"x-max-body"`
	Idempotent  *bool          `json:"x-idempotent"`
	Stream      bool           `json:"x-stream"`
	Parameters  []parameterDoc `json:"parameters"`
	RequestBody *struct {
		Required bool                       `json:"required"`
		Content  map[string]json.RawMessage `json:"content"`
	} `json:"requestBody"`
}

type parameterDoc struct {
	Ref      string `json:"$ref"`
	Name     string `json:"name"`
	In       string `json:"in"`
	Required bool   `json:"required"`
}

// loadContract reads and compiles the description.
func loadContract(source []byte) (*contract, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(source, &doc); err != nil {
		return nil, err
	}
	asJSON, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	ct := &contract{yaml: source, json: asJSON}
	compiler, err := ct.compiler(asJSON)
	if err != nil {
		return nil, err
	}
	var head struct {
		Paths      map[string]pathItemDoc `json:"paths"`
		Components struct {
			Parameters map[string]parameterDoc `json:"parameters"`
		} `json:"components"`
	}
	if err := json.Unmarshal(asJSON, &head); err != nil {
		return nil, err
	}
	for _, path := range slices.Sorted(maps.Keys(head.Paths)) {
		item := head.Paths[path]
		for method, od := range item.operations() {
			op := &operation{
				id: od.OperationID, method: method, path: path, complain: ct.complaint,
				public: od.Security != nil && len(*od.Security) == 0, roomToken: od.takes("roomToken"), planGroup: od.PlanGroup,
				stream: od.Stream,
			}
			op.effects = method == http.MethodPost && !op.public && (od.Idempotent == nil || *od.Idempotent)
			at := "/paths/" + escapePointer(path)
			err := errors.Join(
				op.addRules(od),
				op.addParams(compiler, item.Parameters, at, head.Components.Parameters),
				op.addParams(compiler, od.Parameters, at+"/"+strings.ToLower(method), head.Components.Parameters),
				op.addBody(compiler, od, at+"/"+strings.ToLower(method)),
			)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			ct.operations = append(ct.operations, op)
		}
	}
	return ct, nil
}

// takes reports whether a security scheme is among those of the operation.
func (od *operationDoc) takes(scheme string) bool {
	if od.Security == nil {
		return false
	}
	return slices.ContainsFunc(*od.Security, func(v any) bool {
		m, _ := v.(map[string]any)
		_, ok := m[scheme]
		return ok
	})
}

func (p *pathItemDoc) operations() map[string]*operationDoc {
	all := map[string]*operationDoc{
		http.MethodGet: p.Get, http.MethodPost: p.Post, http.MethodPut: p.Put,
		http.MethodPatch: p.Patch, http.MethodDelete: p.Delete,
	}
	maps.DeleteFunc(all, func(_ string, od *operationDoc) bool { return od == nil })
	return all
}

// compiler returns a schema compiler over the document. OpenAPI 3.1 schemas
// are JSON Schema 2020-12.
func (ct *contract) compiler(asJSON []byte) (*jsonschema.Compiler, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return nil, err
	}
	var ok bool
	if ct.doc, ok = doc.(map[string]any); !ok {
		return nil, errors.New("not an object")
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.RegisterFormat(&jsonschema.Format{Name: "iso8601-offset", Validate: func(v any) error {
		if s, ok := v.(string); ok {
			_, err := parseTime(s)
			return err
		}
		return nil
	}})
	return c, c.AddResource(contractURL, doc)
}

// operation finds an operation by method and path template, or nil.
func (ct *contract) operation(method, path string) *operation {
	for _, op := range ct.operations {
		if op.method == method && op.path == path {
			return op
		}
	}
	return nil
}

func (op *operation) addParams(c *jsonschema.Compiler, docs []parameterDoc, at string, shared map[string]parameterDoc) error {
	for i, d := range docs {
		pointer := at + "/parameters/" + strconv.Itoa(i)
		if d.Ref != "" {
			pointer = strings.TrimPrefix(d.Ref, "#")
			d = shared[strings.TrimPrefix(pointer, "/components/parameters/")]
		}
		if d.In == "header" && d.Name == headerIdempotency {
			continue // idempotency.go reads it, before and not among the parameters
		}
		if d.Name == "" || (d.In != "path" && d.In != "query") {
			return fmt.Errorf("parameter %s is neither in path nor in query", pointer)
		}
		schema, err := c.Compile(contractURL + "#" + pointer + "/schema")
		if err != nil {
			return err
		}
		if t := dereference(schema).Types; t == nil || !slices.Equal(t.ToStrings(), []string{"string"}) {
			return fmt.Errorf("parameter %s is no string", d.Name)
		}
		op.params = append(op.params, parameter{name: d.Name, in: d.In, required: d.Required, schema: schema})
	}
	return nil
}

// addRules reads the operation's extensions. Every operation with a key names
// its scope, so that none is open by omission.
func (op *operation) addRules(od *operationDoc) error {
	op.maxBody = maxBody
	if od.MaxBody != 0 {
		op.maxBody = od.MaxBody
	}
	switch {
	case op.maxBody <= 0:
		return errors.New("x-max-body is no number of bytes")
	case !slices.Contains([]string{"", limits.GroupRecording, limits.GroupImaging, limits.GroupWebhooks}, op.planGroup):
		return fmt.Errorf("x-plan-group %q is no group that a plan can lack", op.planGroup)
	case op.public && od.Scope != nil:
		return errors.New("x-scope on an operation without a key")
	case op.public:
		return nil
	case od.Scope == nil:
		return errors.New("x-scope is missing")
	case *od.Scope == "any":
		return nil
	}
	op.scope = consult.KeyScope(*od.Scope)
	if !op.scope.Valid() {
		return fmt.Errorf("x-scope %q is no scope", *od.Scope)
	}
	return nil
}

func (op *operation) addBody(c *jsonschema.Compiler, od *operationDoc, at string) (err error) {
	if od.RequestBody == nil {
		return nil
	}
	if _, op.upload = od.RequestBody.Content[contentTypeForm]; op.upload {
		op.effects = false // whether two uploads are the same is known only at their end
		return nil
	}
	if _, ok := od.RequestBody.Content["application/json"]; !ok {
		return errors.New("request body is neither application/json nor multipart/form-data")
	}
	op.bodyRequired = od.RequestBody.Required
	op.body, err = c.Compile(contractURL + "#" + at + "/requestBody/content/application~1json/schema")
	return err
}

// lookup returns the node of the document at a JSON pointer (RFC 6901), or nil.
func (ct *contract) lookup(pointer string) any {
	var node any = ct.doc
	for _, part := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch n := node.(type) {
		case map[string]any:
			node = n[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(n) {
				return nil
			}
			node = n[i]
		default:
			return nil
		}
	}
	return node
}

func escapePointer(s string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
}

// parseTime reads ISO 8601 with an offset: RFC 3339, and what the common
// libraries write beside it (no seconds; an offset without colon).
func parseTime(s string) (time.Time, error) {
	s = strings.ToUpper(s) // RFC 3339, section 5.6: t and z may be lower case
	for _, layout := range []string{
		time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02T15:04Z0700",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("not ISO 8601 with an offset")
}
