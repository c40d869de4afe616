package api

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a body. No operation needs more than a few.
const maxDepth = 32

// decodeJSON parses one JSON text as RFC 7493 (I-JSON) wants it: UTF-8, no lone
// surrogates, no duplicate names, nothing behind the value. Numbers become
// int64 or float64, so that none can be costly to compare later. Every error is
// a 400 that tells what is wrong without repeating it.
func decodeJSON(raw []byte) (any, error) {
	if !utf8.Valid(raw) {
		return nil, badRequest("The request body is not valid UTF-8.")
	}
	if !json.Valid(raw) {
		return nil, badRequest("The request body is not valid JSON.")
	}
	if loneSurrogate(raw) {
		return nil, badRequest("The request body has an invalid Unicode escape.")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return decodeValue(dec, maxDepth)
}

// decodeValue reads the next value; depth is how many levels may still open.
func decodeValue(dec *json.Decoder, depth int) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, badRequest("The request body is not valid JSON.")
	}
	switch t := tok.(type) {
	case json.Number:
		return decodeNumber(t.String())
	case json.Delim:
		if depth == 0 {
			return nil, badRequest("The request body is nested too deeply.")
		}
		if t == '{' {
			return decodeObject(dec, depth-1)
		}
		return decodeArray(dec, depth-1)
	}
	return tok, nil
}

func decodeObject(dec *json.Decoder, depth int) (any, error) {
	obj := map[string]any{}
	for dec.More() {
		tok, err := dec.Token()
		name, ok := tok.(string)
		if err != nil || !ok {
			return nil, badRequest("The request body is not valid JSON.")
		}
		if _, dup := obj[name]; dup {
			return nil, badRequest("The request body has a field twice.")
		}
		if obj[name], err = decodeValue(dec, depth); err != nil {
			return nil, err
		}
	}
	return obj, closing(dec)
}

func decodeArray(dec *json.Decoder, depth int) (any, error) {
	arr := []any{}
	for dec.More() {
		v, err := decodeValue(dec, depth)
		if err != nil {
			return nil, err
		}
		arr = append(arr, v)
	}
	return arr, closing(dec)
}

func closing(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	return nil
}

func decodeNumber(s string) (any, error) {
	if !strings.ContainsAny(s, ".eE") {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n, nil
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) {
		return nil, badRequest("The request body has a number out of range.")
	}
	if f == 0 {
		return int64(0), nil // no negative zero
	}
	return f, nil
}

// loneSurrogate reports whether a \u escape of valid JSON is half of a
// surrogate pair; encoding/json would silently replace it.
func loneSurrogate(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' { // a backslash stands in strings only
			continue
		}
		i++
		if raw[i] != 'u' {
			continue
		}
		unit := escapedUnit(raw, i-1)
		i += 4
		switch {
		case unit >= 0xDC00 && unit <= 0xDFFF:
			return true
		case unit >= 0xD800 && unit <= 0xDBFF:
			low := escapedUnit(raw, i+1)
			if low < 0xDC00 || low > 0xDFFF {
				return true
			}
			i += 6
		}
	}
	return false
}

// escapedUnit is the UTF-16 code unit of the \uXXXX at i, or -1 if there is none.
func escapedUnit(raw []byte, i int) int {
	if i+6 > len(raw) || raw[i] != '\\' || raw[i+1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16)
	if err != nil {
		return -1
	}
	return int(n)
}
