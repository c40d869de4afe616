// Package api is the REST face of ChatMed: it decodes and validates requests
// against openapi.yaml, authenticates their key, calls a service and answers.
//
// A request passes one chain, in this order (see chain.go):
//
//	every path:  request id → log and metrics → recover → headers → CORS
//	operations:  deadline → key → limits → scope and plan → validation →
//	             idempotency → handler → answer
package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	defaultRequestTimeout = 15 * time.Second
	apiPrefix             = "/api/"
	signalPath            = "/signal/v1"
)

// server holds what the handlers share. It is immutable once built.
type server struct {
	Deps
	contract *contract
	metrics  *metrics
	sealer   *sealer
	known    *knownKeys
	links    *linkSigner

	downloads *downloads

	keyOrigins *keyOrigins
	timeout    time.Duration
	origins    map[string]bool
}

// route binds an operation of openapi.yaml to its handler.
type route struct {
	method, path string // path as in openapi.yaml: /a/{id}
	handle       handler
}

// New builds the handler of everything the server speaks over HTTP. It fails
// when openapi.yaml does not describe exactly the routes, or on a bad Config.
func New(d Deps) (http.Handler, error) {
	ct, err := loadContract(openapiYAML)
	if err != nil {
		return nil, fmt.Errorf("api: openapi.yaml: %w", err)
	}
	s := &server{Deps: d, contract: ct, timeout: d.Config.RequestTimeout, origins: map[string]bool{}}
	if s.timeout <= 0 {
		s.timeout = defaultRequestTimeout
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Monitor == nil {
		s.Monitor = NewMonitor(nil, time.Now, s.Log)
	}
	for _, o := range d.Config.AllowedOrigins {
		s.origins[o] = true
	}
	if s.sealer, err = newSealer(d.Config.SealKeys); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if s.links, err = newLinkSigner(d.Config.LinkKeys); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	s.known = newKnownKeys()
	s.downloads = newDownloads()
	s.keyOrigins = &keyOrigins{keys: d.AllKeys, log: s.Log, tick: time.Now}
	if s.metrics, err = newMetrics(d.Registry); err != nil {
		return nil, fmt.Errorf("api: metrics: %w", err)
	}
	engine, err := s.engine(s.routes())
	if err != nil {
		return nil, err
	}
	return headAsGet(engine), nil
}

// routes lists every operation; each resource has its own file.
func (s *server) routes() []route {
	return slices.Concat(s.videoRoutes(), s.collectionRoutes(), s.tokenRoutes(), s.waitingRoomRoutes(), s.deskRoutes(),
		s.emergencyRoutes(), s.chatRoutes(), s.consentRoutes(), s.recordingSettingsRoutes(),
		s.recordingRoutes(), s.recordingControlRoutes(), s.recordingFileRoutes(), s.recordingLinkRoutes(),
		s.userRoutes(), s.keyRoutes(), s.patientRoutes(), s.auditRoutes(), s.serviceRoutes(), s.statusRoutes())
}

// engine registers the routes, and the chain around them.
func (s *server) engine(routes []route) (*gin.Engine, error) {
	gin.SetMode(gin.ReleaseMode) // gin's debug mode prints to stdout
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	if err := e.SetTrustedProxies(s.Config.TrustedProxies); err != nil {
		return nil, fmt.Errorf("api: trusted proxies: %w", err)
	}
	e.Use(s.identify, s.observe, s.recoverPanic, s.secure, s.cors)
	e.NoRoute(s.elsewhere)
	e.NoMethod(s.methodNotAllowed)
	for _, r := range routes {
		op := s.contract.operation(r.method, r.path)
		if op == nil {
			return nil, fmt.Errorf("api: %s %s is not in openapi.yaml", r.method, r.path)
		}
		e.Handle(r.method, ginPath(r.path), s.chain(op, r.handle)...)
	}
	if n := len(s.contract.operations); n != len(routes) {
		return nil, fmt.Errorf("api: openapi.yaml describes %d operations, %d are built", n, len(routes))
	}
	return e, nil
}

// elsewhere serves what is no operation: signalling, the pages, or 404.
func (s *server) elsewhere(c *gin.Context) {
	path := c.Request.URL.Path
	next := s.Web
	switch {
	case strings.HasPrefix(path, apiPrefix) || path+"/" == apiPrefix:
		next = nil
	case path == signalPath:
		next = s.Signal
	}
	if next == nil {
		s.fail(c, consult.Errorf(consult.NotFound, "", "There is nothing at this path."))
		return
	}
	c.Status(http.StatusOK) // gin presets 404 for whatever it does not route
	next.ServeHTTP(c.Writer, c.Request)
}

// methodNotAllowed answers 405; gin has put the methods of the path in Allow.
func (s *server) methodNotAllowed(c *gin.Context) {
	allow := strings.Split(c.Writer.Header().Get("Allow"), ", ")
	if slices.Contains(allow, http.MethodGet) {
		allow = append(allow, http.MethodHead)
	}
	slices.Sort(allow)
	c.Header("Allow", strings.Join(allow, ", "))
	s.fail(c, consult.Errorf(consult.MethodNotAllowed, "", "This path answers %s only.", strings.Join(allow, ", ")))
}

// headAsGet answers HEAD as GET: RFC 9110, section 9.1, asks for both, and
// net/http leaves the body out by itself.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			// The original must keep its method: net/http reads it.
			r = r.WithContext(context.WithValue(r.Context(), headKey{}, true))
			r.Method = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}

// headKey marks the context of a HEAD request, whose answer has no body.
type headKey struct{}

// ginPath turns /a/{id} into /a/:id.
func ginPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}
