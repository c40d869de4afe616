package sfu

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"

	"github.com/chatmed/chatmed/sfu/negotiate"
)

const (
	gatherTimeout    = 10 * time.Second // local work only; a busy machine may need a while
	connectTimeout   = 30 * time.Second
	handshakeTimeout = 15 * time.Second
	// minMedia is the shortest datagram that is looked at: an RTP header.
	minMedia = 12
)

// transport is one ICE, DTLS and SRTP association with a client, composed of
// Pion's parts so that media stays on the goroutine that read it. A
// participant has one, briefly two while moving between networks.
type transport struct {
	sfu   *SFU
	room  *Room
	owner *Participant
	agent *ice.Agent
	ufrag string
	pwd   string

	// fingerprint of the client's certificate, from the offer; written before
	// start, read by the handshake.
	fingerprint string

	ctx     context.Context // ends with close
	cancel  context.CancelFunc
	done    chan struct{} // closed when run has returned
	started bool          // run was started; guarded by Participant.op
	conn    *ice.Conn     // set by start

	state atomic.Value // string, for the statistics

	addrMu sync.Mutex
	remote netip.AddrPort // the route in the mux; zero when none
	gone   bool           // no route is wanted any more

	// media is guarded by room.mu.
	media mediaState
}

func (s *SFU) newTransport(p *Participant) (*transport, error) {
	agent, err := ice.NewAgentWithOptions(
		ice.WithUDPMux(newAgentMux(s.mux, s.local)),
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6}),
		ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}),
		ice.WithIncludeLoopback(),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithDisableActiveTCP(),
		ice.WithLoggerFactory(s.pionLog),
		ice.WithDisconnectedTimeout(s.cfg.DisconnectedAfter),
		ice.WithFailedTimeout(s.cfg.FailedAfter),
		ice.WithKeepaliveInterval(min(keepaliveInterval, s.cfg.DisconnectedAfter/2)),
	)
	if err != nil {
		return nil, fmt.Errorf("ice agent: %w", err)
	}
	t := &transport{sfu: s, room: p.room, owner: p, agent: agent, done: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.media.init()
	t.setState("new")
	if t.ufrag, t.pwd, err = agent.GetLocalUserCredentials(); err == nil {
		err = t.gather()
	}
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// gather registers the agent at the shared port. It returns when the agent can
// be reached, so that the client's first check is not lost.
func (t *transport) gather() error {
	gathered := make(chan struct{})
	var once sync.Once
	if err := t.agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			once.Do(func() { close(gathered) })
		}
	}); err != nil {
		return err
	}
	if err := t.agent.OnSelectedCandidatePairChange(func(_, remote ice.Candidate) { t.selected(remote) }); err != nil {
		return err
	}
	if err := t.agent.OnConnectionStateChange(t.iceState); err != nil {
		return err
	}
	if err := t.agent.GatherCandidates(); err != nil {
		return err
	}
	select {
	case <-gathered:
		return nil
	case <-time.After(gatherTimeout):
		return errors.New("ice gathering timed out")
	}
}

// start begins connectivity checks and runs the association until close.
func (t *transport) start(o *negotiate.Offer) error {
	t.fingerprint = o.Fingerprint
	conn, err := t.agent.StartAccept(o.Ufrag, o.Pwd)
	if err != nil {
		return fmt.Errorf("ice accept: %w", err)
	}
	t.conn, t.started = conn, true
	go t.run()
	return nil
}

func (t *transport) run() {
	defer close(t.done)
	err := t.connect(t.ctx)
	t.forgetRoute()
	if err != nil && t.ctx.Err() == nil {
		t.sfu.log.Info("transport ended", "room", t.room.id, "participant", t.owner.id, "err", err)
	}
	t.room.transportClosed(t)
}

// connect waits for ICE, does the DTLS handshake (RFC 8842, we are passive),
// opens SRTP (RFC 5764) and then reads until the association ends.
func (t *transport) connect(ctx context.Context) error {
	iceCtx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := t.agent.AwaitConnect(iceCtx); err != nil {
		return fmt.Errorf("ice: %w", err)
	}
	pc := &packetConn{t: t, burst: newBurst(t.sfu.conn.Conn)}
	d, err := dtls.ServerWithOptions(pc, pc.RemoteAddr(), t.sfu.dtlsOptions(t.verify)...)
	if err != nil {
		return fmt.Errorf("dtls: %w", err)
	}
	defer func() { _ = d.Close() }()
	hsCtx, cancelHS := context.WithTimeout(ctx, handshakeTimeout)
	defer cancelHS()
	if err := d.HandshakeContext(hsCtx); err != nil {
		return fmt.Errorf("dtls handshake: %w", err)
	}
	in, out, profile, err := t.sfu.openSRTP(d)
	if err != nil {
		return err
	}
	t.setState("connected")
	var rtt time.Duration // of the connectivity checks, until a report tells
	if s, ok := t.agent.GetSelectedCandidatePairStats(); ok {
		rtt = time.Duration(s.CurrentRoundTripTime * float64(time.Second))
	}
	t.room.transportUp(t, in, out, rtt)
	t.sfu.log.Debug("transport connected", "room", t.room.id, "participant", t.owner.id, "srtp", profile)
	stop := context.AfterFunc(ctx, func() { _ = d.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 2048)
	for { // no data channels: application data is read and dropped until close_notify
		if _, err := d.Read(buf); err != nil {
			return err
		}
	}
}

// verify compares the client's certificate with the offer's fingerprint
// (RFC 8122 section 5).
func (t *transport) verify(certs [][]byte) error {
	if len(certs) == 0 {
		return errors.New("no certificate")
	}
	sum := sha256.Sum256(certs[0])
	_, want, _ := strings.Cut(t.fingerprint, " ")
	if !strings.EqualFold(strings.ReplaceAll(want, ":", ""), hex.EncodeToString(sum[:])) {
		return errors.New("certificate does not match the offer")
	}
	return nil
}

// dtlsOptions: AES-GCM first, since Pion's AES-CM encrypts block by block. The
// hello verification round trip is skipped: ICE has proven the address.
func (s *SFU) dtlsOptions(verify func([][]byte) error) []dtls.ServerOption {
	return []dtls.ServerOption{
		dtls.WithCertificates(s.cert),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerify(true), // self-signed by design; the fingerprint decides
		dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error { return verify(raw) }),
		dtls.WithInsecureSkipVerifyHello(true),
		dtls.WithMTU(1200),
		dtls.WithLoggerFactory(s.pionLog),
	}
}

// selected follows the pair ICE nominated: media is read from and sent to it.
func (t *transport) selected(remote ice.Candidate) {
	ip, err := netip.ParseAddr(remote.Address())
	if err != nil {
		return
	}
	addr := unmap(netip.AddrPortFrom(ip, uint16(remote.Port())))
	t.addrMu.Lock()
	if t.gone { // the notice was under way when run ended
		t.addrMu.Unlock()
		return
	}
	old := t.remote
	t.remote = addr
	t.sfu.conn.setRoute(addr, t)
	if old.IsValid() && old != addr {
		t.sfu.conn.dropRoute(old, t)
	}
	t.addrMu.Unlock()
	t.room.remoteChanged(t, addr)
}

func (t *transport) forgetRoute() {
	t.addrMu.Lock()
	defer t.addrMu.Unlock()
	t.gone = true
	if t.remote.IsValid() {
		t.sfu.conn.dropRoute(t.remote, t)
		t.remote = netip.AddrPort{}
	}
}

func (t *transport) iceState(s ice.ConnectionState) {
	switch s {
	case ice.ConnectionStateDisconnected:
		t.setState("disconnected")
		t.room.mediaState(t, "disconnected")
	case ice.ConnectionStateConnected:
		if t.state.Load() == "disconnected" {
			t.setState("connected")
			t.room.mediaState(t, "connected")
		}
	case ice.ConnectionStateFailed:
		t.setState("failed")
		t.cancel()
	}
}

func (t *transport) setState(s string) { t.state.Store(s) }

// close ends the association and waits for its goroutine.
func (t *transport) close() {
	t.cancel()
	if t.started {
		<-t.done
	}
	_ = t.agent.GracefulClose()
}

// receive takes one RTP or RTCP datagram, on whichever goroutine read it.
func (t *transport) receive(p []byte, now time.Time, b *burst) {
	if len(p) < minMedia {
		return
	}
	t.room.mu.Lock()
	defer t.room.mu.Unlock()
	t.owner.leg.heard = now
	if isRTCP(p) {
		t.receiveRTCPLocked(p, now, b.Batch)
		return
	}
	t.receiveRTPLocked(p, now, b)
}

// packetConn is what DTLS reads: the ICE connection without media. Media comes
// this way only before the mux knows the address.
type packetConn struct {
	t     *transport
	burst *burst // owned by the DTLS read loop
}

func (c *packetConn) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, err := c.t.conn.Read(p)
		if err != nil {
			return 0, nil, err
		}
		if isRTP(p[:n]) {
			c.t.receive(p[:n], c.t.sfu.now(), c.burst)
			c.burst.end()
			continue
		}
		return n, c.RemoteAddr(), nil
	}
}

func (c *packetConn) WriteTo(p []byte, _ net.Addr) (int, error) { return c.t.conn.Write(p) }
func (c *packetConn) Close() error                              { return nil }
func (c *packetConn) LocalAddr() net.Addr                       { return c.t.conn.LocalAddr() }
func (c *packetConn) SetDeadline(t time.Time) error             { return c.SetReadDeadline(t) }
func (c *packetConn) SetReadDeadline(t time.Time) error         { return c.t.conn.SetReadDeadline(t) }

// SetWriteDeadline does nothing: the socket is shared by all peers, and a UDP
// write does not block.
func (c *packetConn) SetWriteDeadline(time.Time) error { return nil }

// RemoteAddr is a constant: DTLS must not care when ICE moves to another pair.
func (c *packetConn) RemoteAddr() net.Addr { return &net.UDPAddr{IP: net.IPv4zero, Port: 1} }
