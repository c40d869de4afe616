// Package telemetry sets up the log, the metrics registry and the admin pages.
package telemetry

import (
	"encoding"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
)

// The formats of the log.
const (
	FormatText = "text"
	FormatJSON = "json"
)

const redacted = "[redacted]"

// NewLogger writes lines of the format to w. It is the last guard before the
// log, not the first: attributes whose key says that they hold a credential,
// a person's name or words are replaced, and so are whole structs and maps,
// which could hold either.
func NewLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: redact}
	if format == FormatJSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

func redact(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey || a.Key == slog.SourceKey) {
		return a
	}
	for _, g := range groups {
		if sensitive(g) {
			return slog.String(a.Key, redacted)
		}
	}
	if sensitive(a.Key) {
		return slog.String(a.Key, redacted)
	}
	if a.Value.Kind() == slog.KindAny && !plain(a.Value.Any()) {
		return slog.String(a.Key, fmt.Sprintf("%s %T", redacted, a.Value.Any()))
	}
	return a
}

// sensitive reports whether an attribute of this key may hold a credential or
// what a person is called or says: one of the words, or ending in one
// (patient_name, api_key). Ids (key_id, token_id) stay.
func sensitive(key string) bool {
	key = strings.ReplaceAll(strings.ToLower(key), "-", "_")
	for _, word := range [...]string{
		"token", "secret", "key", "authorization", "password", "name", "reason", "text", "message_text",
	} {
		if key == word || strings.HasSuffix(key, "_"+word) {
			return true
		}
	}
	return false
}

// plain reports whether v prints as one value of its own making.
func plain(v any) bool {
	switch v.(type) {
	case nil, error, fmt.Stringer, encoding.TextMarshaler:
		return true
	}
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Array:
		return false
	}
	return true
}
