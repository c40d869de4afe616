package api

import (
	"encoding/json"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// shapes has the schemas that later operations use and no present one does.
const shapes = `
paths:
  /a:
    post:
      x-scope: any
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties:
                list: {type: array, minItems: 1, maxItems: 2, items: {$ref: "#/components/schemas/Item"}}
                free: {type: object}
                text: {type: string, minLength: 2, maxLength: 3}
                number: {type: integer, minimum: 1, maximum: 9}
                either: {anyOf: [{const: a}, {const: b}]}
components:
  schemas:
    Item: {type: object, required: [name], properties: {name: {type: string}}}
`

func shapesOperation(t *testing.T) *operation {
	t.Helper()
	ct, err := loadContract([]byte(shapes))
	must(t, err)
	return ct.operation("POST", "/a")
}

func TestOnlyDocumentedFieldsAreKept(t *testing.T) {
	op := shapesOperation(t)
	v, err := decodeJSON([]byte(`{"list":[{"name":"a","Name":"b","x":1}],"LIST":[],"free":{"x":{"y":1}},"other":1}`))
	must(t, err)
	must(t, op.body.Validate(v))
	got, err := json.Marshal(documented(op.body, v))
	must(t, err)
	if want := `{"free":{"x":{"y":1}},"list":[{"name":"a"}]}`; string(got) != want {
		t.Errorf("kept %s, want %s", got, want)
	}
}

func TestComplaints(t *testing.T) {
	op := shapesOperation(t)
	for body, want := range map[string]string{
		`{"list":[]}`:            "list: must have at least 1 items",
		`{"list":[1,2,3]}`:       "list: must have at most 2 items",
		`{"list":[{}]}`:          "list.0.name: is required",
		`{"list":[{"name":7}]}`:  "list.0.name: must be of type string",
		`{"free":1}`:             "free: must be of type object",
		`{"text":"a"}`:           "text: must have at least 2 characters",
		`{"text":"abcd"}`:        "text: must have at most 3 characters",
		`{"number":0}`:           "number: must be at least 1",
		`{"number":10}`:          "number: must be at most 9",
		`{"number":1.5}`:         "number: must be of type integer",
		`{"either":"c"}`:         "either: is invalid",
		`{"number":0,"text":""}`: "number: must be at least 1",
	} {
		v, err := decodeJSON([]byte(body))
		must(t, err)
		err = op.body.Validate(v)
		if err == nil {
			t.Fatalf("%s passes", body)
		}
		f := complaints(op, "", err)
		if got := f[0].Field + ": " + f[0].Message; got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

func TestComplaintsAreBounded(t *testing.T) {
	op := shapesOperation(t)
	op.body = dereference(op.body).Properties["list"]
	op.body.MaxItems = nil
	list := make([]any, 1000)
	for i := range list {
		list[i] = int64(i)
	}
	err := op.body.Validate(list)
	if err == nil {
		t.Fatal("passes")
	}
	if f := complaints(op, "list", err); len(f) != maxFields {
		t.Errorf("%d complaints", len(f))
	}
	if f := complaints(op, "q", jsonschema.LocalizableError("odd")); len(f) != 1 || f[0].Field != "q" {
		t.Errorf("complaints %v", f)
	}
}
