package telemetry

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

type patient struct{ Name string }

func TestCredentialsAndPatientDataDoNotReachTheLog(t *testing.T) {
	const leak = "Amélie-eyJhbGciOi"
	for _, format := range []string{FormatText, FormatJSON} {
		t.Run(format, func(t *testing.T) {
			var b bytes.Buffer
			log := NewLogger(&b, format, slog.LevelInfo).With("token", leak)
			log.Info("started",
				"secret", leak, "key", leak, "Authorization", leak, "name", leak, "reason", leak, "text", leak,
				"message_text", leak, "patient_name", leak, "X-API-Key", leak,
				slog.Group("token", "raw", leak), slog.Group("ticket", "reason", leak),
				"patient", patient{leak}, "pointer", &patient{leak}, "list", []patient{{leak}}, "map", map[string]string{"x": leak})
			if strings.Contains(b.String(), leak) {
				t.Error(b.String())
			}
		})
	}
}

func TestHarmlessAttributesStay(t *testing.T) {
	var b bytes.Buffer
	NewLogger(&b, FormatText, slog.LevelInfo).Info("saved", "key_id", "key_1", "session", "vs_1", "n", 7,
		"err", errors.New("disk full"), "took", time.Second, "ids", []string{"a", "b"}, "nil", nil)
	for _, want := range []string{"msg=saved", "level=INFO", "key_id=key_1", "session=vs_1", "n=7", `err="disk full"`, "took=1s", `ids="[a b]"`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s lacks %s", b.String(), want)
		}
	}
}

func TestLevel(t *testing.T) {
	var b bytes.Buffer
	log := NewLogger(&b, FormatJSON, slog.LevelWarn)
	log.Info("quiet")
	if b.Len() > 0 {
		t.Error(b.String())
	}
	log.Warn("loud")
	if !strings.HasPrefix(b.String(), "{") {
		t.Errorf("no JSON: %s", b.String())
	}
}

func TestAdmin(t *testing.T) {
	reg, err := NewRegistry("v1.2.3", "abc")
	if err != nil {
		t.Fatal(err)
	}
	var down error
	h := Admin(reg, func(context.Context) error { return down }, slog.New(slog.DiscardHandler))
	get := func(method, path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		return w.Code, w.Body.String()
	}
	for path, want := range map[string]string{
		"/metrics":              `chatmed_build_info{`,
		"/healthz":              "ok",
		"/readyz":               "ok",
		"/debug/pprof/":         "goroutine",
		"/debug/pprof/heap":     "",
		"/debug/pprof/cmdline":  "",
		"/debug/pprof/symbol?1": "num_symbols",
	} {
		if code, body := get(http.MethodGet, path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s", path, code, body)
		}
	}
	_, metrics := get(http.MethodGet, "/metrics")
	for _, want := range []string{"go_goroutines", "process_open_fds", `version="v1.2.3"`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
	down = errors.New("database gone")
	if code, body := get(http.MethodGet, "/readyz"); code != http.StatusServiceUnavailable || strings.Contains(body, "database") {
		t.Errorf("got %d %s", code, body)
	}
	if code, _ := get(http.MethodGet, "/"); code != http.StatusNotFound {
		t.Errorf("/: %d", code)
	}
	if code, _ := get(http.MethodPost, "/metrics"); code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", code)
	}
}
