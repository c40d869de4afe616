// Package sfu forwards media: rooms, participants, publications, slots and
// their transport. It composes Pion's ICE, DTLS and SRTP itself, so that a
// packet is read, decrypted, rewritten, encrypted and queued on one goroutine.
//
// One lock per room (Room.mu) guards every media state of the room. No I/O, no
// callback and no call into another room happens under it; packets are queued
// in a batch of the goroutine that holds it and leave when that goroutine has
// let go.
package sfu

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu/congestion"
	"github.com/chatmed/chatmed/sfu/forward"
	"github.com/chatmed/chatmed/sfu/udpmux"
)

const (
	disconnectedAfter = 5 * time.Second
	failedAfter       = 25 * time.Second
	keepaliveInterval = 2 * time.Second

	maxParticipants = 200
	maxSlots        = 48
)

// Config is what an SFU needs to know.
type Config struct {
	// Addr is the UDP address for all media, for instance 0.0.0.0:7882.
	Addr string
	// Advertise are the addresses clients are told; empty: those of the
	// interfaces (with loopback only when there is nothing else, or AllowLoopback).
	Advertise     []netip.Addr
	AllowLoopback bool
	// AdvertisePort is the port clients are told, where a NAT or a relay in front
	// forwards one to Addr's; 0: Addr's own.
	AdvertisePort uint16
	// DisconnectedAfter is the silence after which a client counts as
	// disconnected, 5 s if zero; FailedAfter the further silence after which its
	// transport ends, 25 s if zero.
	DisconnectedAfter, FailedAfter time.Duration
	// Estimate bounds what is held of each client's link; see congestion.Config.
	Estimate congestion.Config
	// PionSRTP has Pion open and seal RTP, as it happens by itself when our own
	// SRTP fails its check at start-up.
	PionSRTP bool
	// Now is the clock; nil is time.Now.
	Now consult.Clock
}

// SFU is one media server: one UDP port, any number of rooms.
type SFU struct {
	cfg         Config
	now         consult.Clock
	log         *slog.Logger
	metrics     *metrics
	pionLog     logging.LoggerFactory
	conn        *muxConn
	mux         *ice.UDPMuxDefault
	cert        tls.Certificate
	fingerprint string
	candidates  []netip.AddrPort // what clients are told
	local       []netip.AddrPort // the same at the port we listen on
	ownSRTP     bool
	sources     atomic.Uint32
	workers     sync.WaitGroup // of the rooms

	mu     sync.Mutex
	rooms  map[string]*Room
	taps   map[string][]*Tap // by room, whether it has anybody in it or not
	closed bool
	idle   chan struct{} // closed once the SFU is closed and the last room gone
}

// New opens the media port. It fails when the port is taken or when there is
// no address to tell the clients.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*SFU, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.DisconnectedAfter <= 0 {
		cfg.DisconnectedAfter = disconnectedAfter
	}
	if cfg.FailedAfter <= 0 {
		cfg.FailedAfter = failedAfter
	}
	raw, err := udpmux.Listen(udpmux.Config{Addr: cfg.Addr}, log, reg)
	if err != nil {
		return nil, err
	}
	s := &SFU{
		cfg: cfg, now: cfg.Now, log: log, rooms: map[string]*Room{}, taps: map[string][]*Tap{}, idle: make(chan struct{}),
		pionLog: pionLogger(log),
	}
	s.metrics = newMetrics(reg, s)
	if s.ownSRTP = !cfg.PionSRTP; s.ownSRTP {
		if err := checkSRTP(); err != nil {
			s.ownSRTP = false
			log.Error("own SRTP failed its check at start-up: Pion's is used, which costs more a packet", "err", err)
		}
	}
	if s.local, err = advertised(cfg, raw.LocalAddr()); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	for _, c := range s.local {
		if cfg.AdvertisePort != 0 {
			c = netip.AddrPortFrom(c.Addr(), cfg.AdvertisePort)
		}
		s.candidates = append(s.candidates, c)
	}
	if s.cert, s.fingerprint, err = newCertificate(s.now()); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	s.conn = newMuxConn(raw, s.now)
	s.mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: s.conn, Logger: s.pionLog.NewLogger("mux")})
	return s, nil
}

// Candidates are the addresses clients are told.
func (s *SFU) Candidates() []netip.AddrPort { return append([]netip.AddrPort(nil), s.candidates...) }

// Port is the UDP port the media arrives at, which behind a NAT differs from
// the one in Candidates.
func (s *SFU) Port() uint16 { return s.local[0].Port() }

// nextSource numbers incoming streams, so that no rewriter ever meets one
// number twice.
func (s *SFU) nextSource() forward.SourceID { return forward.SourceID(s.sources.Add(1)) }

// Close ends every room and closes the port. Joins under way are refused. When
// ctx ends first the port is closed all the same, and the rooms end behind it.
func (s *SFU) Close(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		s.idleLocked()
	}
	var all []*Participant
	for _, r := range s.rooms {
		all = append(all, r.list()...)
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var closing sync.WaitGroup
		for _, p := range all {
			closing.Go(p.Close)
		}
		closing.Wait()
		<-s.idle
		s.workers.Wait()
	}()
	var late error
	select {
	case <-done:
	case <-ctx.Done():
		late = ctx.Err()
	}
	return errors.Join(late, s.mux.Close(), s.conn.Close())
}

// idleLocked notes that the last room of a closed SFU may have gone.
func (s *SFU) idleLocked() {
	if s.closed && len(s.rooms) == 0 {
		close(s.idle)
	}
}

// advertised are the addresses of every answer, with the port of the socket.
func advertised(cfg Config, local net.Addr) ([]netip.AddrPort, error) {
	la, ok := local.(*net.UDPAddr)
	if !ok {
		return nil, fmt.Errorf("media socket address %T", local)
	}
	port := uint16(la.Port)
	bound, _ := netip.AddrFromSlice(la.IP)
	bound = bound.Unmap()
	addrs := cfg.Advertise
	if len(addrs) == 0 {
		if bound.IsValid() && !bound.IsUnspecified() {
			addrs = []netip.Addr{bound}
		} else {
			addrs = interfaceAddrs(cfg.AllowLoopback)
		}
	}
	if len(addrs) == 0 {
		return nil, errors.New("no address to tell the clients: set CHATMED_NODE_IP")
	}
	var out []netip.AddrPort
	for _, a := range addrs {
		out = append(out, netip.AddrPortFrom(a.Unmap(), port))
	}
	return out, nil
}

func interfaceAddrs(loopback bool) []netip.Addr {
	var public, loop []netip.Addr
	ifs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, i := range ifs {
		n, ok := i.(*net.IPNet)
		if !ok {
			continue
		}
		a, ok := netip.AddrFromSlice(n.IP)
		a = a.Unmap()
		switch {
		case !ok || a.IsLinkLocalUnicast() || a.IsMulticast():
		case a.IsLoopback():
			loop = append(loop, a)
		default:
			public = append(public, a)
		}
	}
	if loopback || len(public) == 0 {
		public = append(public, loop...)
	}
	return public
}

// newCertificate makes the DTLS certificate of this process (RFC 8826: the
// fingerprint in the answer is what identifies it).
func newCertificate(now time.Time) (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, "", err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "ChatMed"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	sum := sha256.Sum256(der)
	hex := make([]string, len(sum))
	for i, b := range sum {
		hex[i] = fmt.Sprintf("%02X", b)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, "sha-256 " + strings.Join(hex, ":"), nil
}
