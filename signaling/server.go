package signaling

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/chatmed/chatmed/internal/consult"
)

// Server is the signalling endpoint and the rooms behind it. Safe for
// concurrent use.
type Server struct {
	cfg      Config
	deps     Deps
	log      *slog.Logger
	metrics  *metrics
	decoder  *decoder
	origins  map[string]bool
	upgrader websocket.Upgrader
	// ctx is the context of all work; Shutdown ends it last.
	ctx    context.Context
	cancel context.CancelFunc

	sessionsDone sync.WaitGroup
	roomsDone    sync.WaitGroup

	mu sync.Mutex
	// draining refuses new connections and rooms.
	draining bool
	sessions map[*session]struct{}
	rooms    map[string]*room  // by consultation
	people   map[string]*room  // by participant, for resume
	tokens   map[string]string // ids of their tokens, by participant
	boards   map[*dashboard]struct{}
}

// New checks the configuration and returns a Server. Run and Shutdown belong to it.
func New(cfg Config, deps Deps) (*Server, error) {
	origins := map[string]bool{}
	for _, o := range cfg.Origins {
		u, err := url.Parse(o)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return nil, fmt.Errorf("signaling: %q is no origin; write it as https://host[:port]", o)
		}
		origins[originOf(u)] = true
	}
	dec, err := newDecoder()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(deps.Metrics)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, deps: deps, log: deps.Log, metrics: m, decoder: dec, origins: origins,
		sessions: map[*session]struct{}{}, rooms: map[string]*room{}, people: map[string]*room{},
		tokens: map[string]string{}, boards: map[*dashboard]struct{}{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.upgrader = websocket.Upgrader{
		HandshakeTimeout: 10 * time.Second,
		CheckOrigin:      s.allowed,
		WriteBufferPool:  &sync.Pool{},
	}
	return s, nil
}

// originOf is u's origin in the form browsers send it (RFC 6454 §6.2).
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host
}

// allowed is the origin check of the handshake. Browsers always send Origin on
// a WebSocket (RFC 6455 §4.1), so a request without one is no browser's, and no
// page can be behind it.
func (s *Server) allowed(r *http.Request) bool {
	values := r.Header.Values("Origin")
	if len(values) == 0 {
		return true
	}
	u, err := url.Parse(values[0])
	return err == nil && len(values) == 1 && s.origins[originOf(u)]
}

// ServeHTTP upgrades GET /signal/v1 and serves the connection until it is over.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.isDraining() {
		w.Header().Set("Retry-After", "2")
		http.Error(w, "The server is stopping.", http.StatusServiceUnavailable)
		return
	}
	conn, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil { // Upgrade has answered: 400, or 403 for a foreign origin
		s.metrics.refusals.WithLabelValues("handshake").Inc()
		return
	}
	sess := newSession(s, conn)
	if !s.track(sess) {
		_ = conn.Close()
		return
	}
	defer s.untrack(sess)
	sess.serve() //nolint:contextcheck // rooms work under the server's own context, until Shutdown
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

func (s *Server) track(sess *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.sessions[sess] = struct{}{}
	s.sessionsDone.Add(1)
	s.metrics.sessions.Inc()
	return true
}

func (s *Server) untrack(sess *session) {
	s.mu.Lock()
	delete(s.sessions, sess)
	s.mu.Unlock()
	s.metrics.sessions.Dec()
	s.sessionsDone.Done()
}

// Run picks up after a restart, then keeps the rooms true to the store until
// ctx ends. It does not stop the rooms; Shutdown does.
func (s *Server) Run(ctx context.Context) {
	defer s.deps.Bus.OnReconnect(func() { //nolint:contextcheck // rooms work under the server's own context, until Shutdown
		for _, r := range s.allRooms() {
			r.refreshSoon()
			r.queueSoon()
		}
	})()
	for {
		err := s.pickUp(ctx)
		if err == nil || ctx.Err() != nil {
			break
		}
		s.log.Error("picking up after a restart", "err", err)
		t := time.NewTimer(retryAfter)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
	s.pollUntil(ctx)
}

// pollUntil looks for lost announcements until ctx ends.
func (s *Server) pollUntil(ctx context.Context) {
	every := s.cfg.PollEvery
	if every <= 0 {
		every = DefaultConfig().PollEvery
	}
	var w watchedAccess
	tick := make(chan struct{}, 1)
	for {
		stop := s.deps.Clock.AfterFunc(every, func() {
			select {
			case tick <- struct{}{}:
			default:
			}
		})
		select {
		case <-ctx.Done():
			stop()
			return
		case <-tick:
		}
		s.poll(ctx, &w)
	}
}

// pickUp gives each active consultation nobody has come back to yet its grace
// period, and marks patients whose waiting page was open as away, so that their
// grace period runs from now.
func (s *Server) pickUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pickUpTimeout)
	defer cancel()
	return s.deps.Consultations.EachUnfinished(ctx, func(c *consult.Consultation) error {
		if c.Status == consult.Active {
			if r := s.acquire(c.Scope, c.ID); r != nil { //nolint:contextcheck // rooms work under the server's own context, until Shutdown
				s.release(r)
			}
			return nil
		}
		if s.deps.Clock.Now().Before(c.OpensAt()) || s.hasRoom(c.ID) {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		place, err := s.deps.Tickets.ForSession(ctx, c.Scope, c.ID)
		if consult.HasCode(err, consult.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if place.Ticket.Status != consult.TicketReady {
			return nil
		}
		if _, err := s.deps.Tickets.Away(ctx, c.Scope, place.Ticket.ID); err != nil && !consult.HasCode(err, consult.Conflict) {
			return err
		}
		// Someone who came in between is present: their room says so again.
		if r := s.peek(c.ID); r != nil {
			r.queueSoon() //nolint:contextcheck // rooms work under the server's own context, until Shutdown
		}
		return nil
	})
}

// Shutdown closes every connection with 1001 and awaits every goroutine, or
// returns ctx's error. Participations and tickets stay as they are: after the
// restart people join again with the same token and are back where they were,
// and who does not come back is noticed by the grace periods that Run starts.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	sessions := make([]*session, 0, len(s.sessions))
	for sess := range s.sessions {
		sessions = append(sessions, sess)
	}
	s.mu.Unlock()
	for _, sess := range sessions {
		sess.close(websocket.CloseGoingAway, consult.ReasonDraining)
	}
	if err := await(ctx, &s.sessionsDone); err != nil {
		for _, sess := range sessions {
			sess.drop()
		}
	}
	for _, r := range s.allRooms() {
		r.post(func() { r.stopping = true })
	}
	s.cancel()
	return await(ctx, &s.roomsDone, &s.sessionsDone)
}

// await waits for all groups or for ctx.
func await(ctx context.Context, groups ...*sync.WaitGroup) error {
	done := make(chan struct{})
	go func() { // ends with the groups, which Shutdown has told to end
		defer close(done)
		for _, g := range groups {
			g.Wait()
		}
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("signaling: shutdown: %w", ctx.Err())
	}
}
