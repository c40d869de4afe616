package api

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/chatmed/chatmed/internal/consult"
)

func nested(open, inner, end string, depth int) string {
	return strings.Repeat(open, depth) + inner + strings.Repeat(end, depth)
}

func TestDecodeJSON(t *testing.T) {
	for text, want := range map[string]any{
		` {"a":[1,2.5,-0,true,null,"x"]} `: map[string]any{"a": []any{int64(1), 2.5, int64(0), true, nil, "x"}},
		`9223372036854775807`:              int64(9223372036854775807),
		`9223372036854775808`:              9223372036854775808.0,
		`1e2`:                              100.0,
		`1e-999`:                           int64(0),
		`"\ud83d\ude00 \\ud83d \u0041"`:    "😀 \\ud83d A",
		`{"a":{"a":1},"b":{"a":1}}`:        map[string]any{"a": map[string]any{"a": int64(1)}, "b": map[string]any{"a": int64(1)}},
		nested("[", "", "]", 2):            []any{[]any{}},
		`{"A":1,"a":2}`:                    map[string]any{"A": int64(1), "a": int64(2)},
		`""`:                               "",
	} {
		got, err := decodeJSON([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v %v, want %#v", text, got, err, want)
		}
	}
	if _, err := decodeJSON([]byte(nested("[", "", "]", maxDepth))); err != nil {
		t.Errorf("depth %d: %v", maxDepth, err)
	}
}

func TestDecodeJSONRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "not valid JSON",
		"{":                                  "not valid JSON",
		"{} {}":                              "not valid JSON",
		"{}]":                                "not valid JSON",
		"[1,]":                               "not valid JSON",
		"{'a':1}":                            "not valid JSON",
		"{1:2}":                              "not valid JSON",
		"NaN":                                "not valid JSON",
		"01":                                 "not valid JSON",
		"\"a\nb\"":                           "not valid JSON",
		"\xef\xbb\xbf{}":                     "not valid JSON", // byte order mark
		"\"\xff\"":                           "not valid UTF-8",
		"\"\xed\xa0\x80\"":                   "not valid UTF-8", // a surrogate in UTF-8
		`"\ud800"`:                           "invalid Unicode escape",
		`"\udc00\ud800"`:                     "invalid Unicode escape",
		`"\ud800\u0041"`:                     "invalid Unicode escape",
		`{"\ud800":1}`:                       "invalid Unicode escape",
		`{"a":1,"a":1}`:                      "a field twice",
		`{"a":1,"\u0061":2}`:                 "a field twice",
		`{"b":[{"a":1,"a":2}]}`:              "a field twice",
		`1e999`:                              "a number out of range",
		`{"a":-1e999999999}`:                 "a number out of range",
		nested("[", "", "]", maxDepth+1):     "nested too deeply",
		nested(`{"a":`, "1", "}", 50):        "nested too deeply",
		nested("[", "", "]", 100_000):        "not valid JSON", // encoding/json has its own bound
		strings.Repeat("[", 500_000):         "not valid JSON",
		strings.Repeat(`{"a":`, 9_000):       "not valid JSON",
		"1" + strings.Repeat("0", 1_000):     "a number out of range",
		"\"" + strings.Repeat("\\", 3) + "u": "not valid JSON",
	} {
		_, err := decodeJSON([]byte(text))
		if !consult.HasCode(err, consult.BadRequest) || !strings.Contains(consult.AsError(err).Message, want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

// FuzzDecodeJSON: whatever comes in, the answer is a value that says the same
// in strict JSON again, or a 400.
func FuzzDecodeJSON(f *testing.F) {
	f.Add([]byte(`{"doctor_id":"doc_1","patient_id":"pat_1","enable_recording":false}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := decodeJSON(raw)
		if err != nil {
			if !consult.HasCode(err, consult.BadRequest) {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%q: value %#v does not encode: %v", raw, v, err)
		}
		second, err := decodeJSON(again)
		if err != nil {
			t.Fatalf("%q: %s is refused: %v", raw, again, err)
		}
		if third, err := json.Marshal(second); err != nil || !bytes.Equal(third, again) {
			t.Fatalf("%q: %s became %s, %v", raw, again, third, err)
		}
		if d := depthOf(v); d > maxDepth {
			t.Fatalf("%q: depth %d", raw, d)
		}
	})
}

func depthOf(v any) int {
	deepest := 0
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			deepest = max(deepest, depthOf(e))
		}
	case []any:
		for _, e := range v {
			deepest = max(deepest, depthOf(e))
		}
	default:
		return 0
	}
	return deepest + 1
}
