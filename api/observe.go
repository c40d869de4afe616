package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	headerRequestID = "X-Request-Id"
	requestIDKey    = "chatmed.request_id"
	maxRequestID    = 128
)

// identify gives the request an id: the caller's if it is fit for a log line,
// else a new one.
func (s *server) identify(c *gin.Context) {
	id := c.GetHeader(headerRequestID)
	if !saneRequestID(id) {
		id = consult.NewID(consult.PrefixRequest)
	}
	c.Set(requestIDKey, id)
	c.Header(headerRequestID, id)
}

func requestID(c *gin.Context) string { return c.GetString(requestIDKey) }

func saneRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for _, r := range id {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case r == '_', r == '-', r == '.':
		default:
			return false
		}
	}
	return true
}

// metrics counts requests by route template, never by path.
type metrics struct {
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "chatmed", Subsystem: "http", Name: "request_duration_seconds",
			Help:    "Duration of HTTP requests by route template.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15},
		}, []string{"method", "route", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "chatmed", Subsystem: "http", Name: "requests_in_flight",
			Help: "HTTP requests being served, signalling excluded.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.duration, m.inFlight} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// observe logs and measures every request. A signalling connection lasts as
// long as its call and has its own metrics, so it is only logged.
func (s *server) observe(c *gin.Context) {
	start := time.Now() // monotonic; a duration needs no injected clock
	signal := c.Request.URL.Path == signalPath
	if !signal {
		s.metrics.inFlight.Inc()
		defer s.metrics.inFlight.Dec()
	}
	c.Next()
	took := time.Since(start)
	method, route, status := methodLabel(c.Request.Method), routeLabel(c), c.Writer.Status()
	if r := requestOf(c); r != nil && !r.op.public {
		s.Monitor.noteRequest(status)
	}
	if !signal {
		s.metrics.duration.WithLabelValues(method, route, statusLabel(status)).Observe(took.Seconds())
	}
	attrs := []slog.Attr{
		slog.String("method", method), slog.String("route", route), slog.Int("status", status),
		slog.Duration("duration", took), slog.String("request_id", requestID(c)),
	}
	level := slog.LevelDebug // pages and probes: many, and their addresses are patients'
	if r := requestOf(c); r != nil && !r.op.public {
		level = slog.LevelInfo
		// The address of an integrator's server, for its support; a patient's
		// browser is never logged by address.
		attrs = append(attrs, slog.String("client", c.ClientIP()))
		if r.key != nil {
			attrs = append(attrs, slog.String("key_id", r.key.ID))
		}
	}
	s.Log.LogAttrs(c.Request.Context(), level, "request", attrs...)
}

// routeLabel is the route template, or the class of what has none.
func routeLabel(c *gin.Context) string {
	path := c.Request.URL.Path
	switch {
	case c.FullPath() != "":
		return c.FullPath()
	case path == signalPath:
		return signalPath
	case strings.HasPrefix(path, apiPrefix):
		return "unmatched"
	}
	return "web"
}

// methodLabel bounds the label: a client may send any token as its method.
func methodLabel(m string) string {
	known := []string{
		http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodHead, http.MethodOptions,
	}
	if slices.Contains(known, m) {
		return m
	}
	return "other"
}

// panicError is a panic: always our own fault, whatever is down.
type panicError struct{ cause error }

func (p *panicError) Error() string { return p.cause.Error() }
func (p *panicError) Unwrap() error { return p.cause }

// recoverPanic turns a panic into a 500 with the request's id. The panic's
// value may hold anything, so only its type and the stack are logged, and the
// text where the runtime wrote it.
func (s *server) recoverPanic(c *gin.Context) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v == http.ErrAbortHandler { //nolint:errorlint // a sentinel by identity, as net/http compares it
			panic(v) // net/http's own way to drop a connection
		}
		err := &panicError{cause: fmt.Errorf("panic: %T", v)}
		if re, ok := v.(runtime.Error); ok {
			err.cause = fmt.Errorf("panic: %w", re)
		}
		s.Log.LogAttrs(c.Request.Context(), slog.LevelError, "panic",
			slog.String("request_id", requestID(c)), slog.String("stack", string(debug.Stack())))
		s.fail(c, err)
	}()
	c.Next()
}
