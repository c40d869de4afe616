package relay

import (
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/stun/v4"
	"github.com/prometheus/client_golang/prometheus"
)

const sweepEvery = time.Second

// Server is the TURN server and the passive side of ICE-TCP. All methods may be
// called by several goroutines at once.
type Server struct {
	cfg     Config
	keys    keys
	log     *slog.Logger
	ledger  *ledger
	metrics *metrics
	table   *table
	buffers sync.Pool // *[]byte
	parsed  sync.Pool // *stun.Message

	stop chan struct{}
	wg   sync.WaitGroup // the sweeper and every ServeConn

	// What follows is under mu. No lock is taken under it but table.mu.
	mu          sync.RWMutex
	closed      bool
	allocations map[client]*allocation
	perUser     map[string]int // by participant
	conns       map[net.Conn]struct{}
	perAddress  map[netip.Addr]int
}

// New starts a server; Close ends it. log and reg may be nil.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	k, err := newKeys(cfg.Secret)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, keys: k, log: log, ledger: newLedger(), metrics: m, table: newTable(cfg.Virtual4, cfg.Virtual6),
		buffers:     sync.Pool{New: func() any { b := make([]byte, 0, maxFrame+64); return &b }},
		parsed:      sync.Pool{New: func() any { return new(stun.Message) }},
		stop:        make(chan struct{}),
		allocations: map[client]*allocation{}, perUser: map[string]int{},
		conns: map[net.Conn]struct{}{}, perAddress: map[netip.Addr]int{},
	}
	s.wg.Go(s.sweep)
	return s, nil
}

// sweep ends what has expired.
func (s *Server) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			now := s.cfg.Now()
			s.removeWhere(func(a *allocation) bool { return !a.alive(now) })
		}
	}
}

// removeWhere ends allocations. A connection whose allocation ends is closed.
func (s *Server) removeWhere(doomed func(*allocation) bool) {
	var gone []*allocation
	s.mu.RLock()
	for _, a := range s.allocations {
		if doomed(a) {
			gone = append(gone, a)
		}
	}
	s.mu.RUnlock()
	for _, a := range gone {
		if s.remove(a) && a.client.stream != nil {
			a.client.stream.close()
		}
	}
}

// remove ends an allocation; false when it had ended.
func (s *Server) remove(a *allocation) bool {
	s.mu.Lock()
	present := s.allocations[a.client] == a
	if present {
		delete(s.allocations, a.client)
		if s.perUser[a.participant]--; s.perUser[a.participant] <= 0 {
			delete(s.perUser, a.participant)
		}
		s.table.remove(a.relayed)
	}
	s.mu.Unlock()
	if present {
		s.metrics.clients.WithLabelValues("turn").Dec()
		s.cfg.Media.Gone(a.relayed)
	}
	return present
}

// add makes an allocation under the quotas, or says why not.
func (s *Server) add(a *allocation, six, even bool) (code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed, len(s.allocations) >= s.cfg.PerNode:
		return codeCapacity
	case s.perUser[a.participant] >= s.cfg.PerParticipant:
		return codeQuota
	case s.allocations[a.client] != nil:
		return codeMismatch
	}
	_, ok := s.table.add(six, even, func(relayed netip.AddrPort) sink {
		a.relayed = relayed
		return &allocationSink{s, a}
	})
	if !ok {
		return codeCapacity
	}
	s.allocations[a.client] = a
	s.perUser[a.participant]++
	s.metrics.clients.WithLabelValues("turn").Inc()
	return 0
}

// find is the client's allocation, if it has one that lives.
func (s *Server) find(c client, now time.Time) *allocation {
	s.mu.RLock()
	a := s.allocations[c]
	s.mu.RUnlock()
	if a == nil || !a.alive(now) {
		return nil
	}
	return a
}

// Revoke ends everything a participant has here, at once. Config.Allowed keeps
// the credentials from making another.
func (s *Server) Revoke(participant string) {
	s.removeWhere(func(a *allocation) bool { return a.participant == participant })
}

// Participant is whose credentials made the allocation behind a relayed
// address; ICE-TCP has none.
func (s *Server) Participant(relayed netip.AddrPort) (string, bool) {
	a, ok := s.table.get(unmap(relayed)).(*allocationSink)
	if !ok {
		return "", false
	}
	return a.participant, true
}

// Owns reports whether an address is a virtual one, in use or not, to which only
// WriteToAddrPort leads. It costs a comparison.
func (s *Server) Owns(a netip.AddrPort) bool {
	ip := a.Addr().Unmap()
	return ip == s.cfg.Virtual4 || ip == s.cfg.Virtual6
}

// WriteToAddrPort sends a datagram of the media path to whom is behind a
// relayed address. It never waits: a datagram that can't be sent is dropped,
// counted, and reported as sent; where nobody is left it is net.ErrClosed.
func (s *Server) WriteToAddrPort(p []byte, relayed netip.AddrPort) (int, error) {
	to := s.table.get(unmap(relayed))
	if to == nil {
		s.metrics.drop(dropClosed)
		return 0, net.ErrClosed
	}
	if len(p) > maxDatagram {
		s.metrics.drop(dropTooLarge)
		return 0, errTooLarge
	}
	if err := to.fromMedia(p, s.cfg.Now()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close ends all allocations and connections and waits for every goroutine.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.wg.Wait()
		return nil
	}
	s.closed = true
	open := make([]net.Conn, 0, len(s.conns))
	for c := range s.conns {
		open = append(open, c)
	}
	s.mu.Unlock()
	close(s.stop)
	for _, c := range open {
		hardClose(c)
	}
	s.removeWhere(func(*allocation) bool { return true })
	s.wg.Wait()
	s.metrics.close()
	return nil
}

// permittedPeer says whether a peer is ours, and fit for a relayed address.
// Peers are ours by address for a permission, and by port too for a channel or a
// datagram.
func (s *Server) permittedPeer(relayed, peer netip.AddrPort, port bool) (code int) {
	ours := slices.ContainsFunc(s.cfg.Peers, func(p netip.AddrPort) bool {
		return p.Addr() == peer.Addr() && (!port || p.Port() == peer.Port())
	})
	switch {
	case !ours:
		return codeForbidden
	case peer.Addr().Is4() != relayed.Addr().Is4():
		return codePeerFamily
	}
	return 0
}
