package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
)

// port is the media port in small, as doc.go describes it: Pion's UDP mux reads
// from it what came over UDP and what came over the relay.
type port struct {
	*net.UDPConn
	relay     *Server
	delivered chan datagram
}

type datagram struct {
	from netip.AddrPort
	p    []byte
}

func (m *port) ReadFromAddrPort(p []byte) (int, netip.AddrPort, error) {
	for {
		select {
		case d := <-m.delivered:
			return copy(p, d.p), d.from, nil
		default:
		}
		n, from, err := m.ReadFromUDPAddrPort(p)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			_ = m.SetReadDeadline(time.Time{})
		case err != nil:
			return 0, from, err
		case m.relay.HandleDatagram(p[:n], from):
		default:
			return n, from, nil
		}
	}
}

func (m *port) WriteToAddrPort(p []byte, to netip.AddrPort) (int, error) {
	if m.relay.Owns(to) {
		return m.relay.WriteToAddrPort(p, to)
	}
	return m.WriteToUDPAddrPort(p, to)
}

func (m *port) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := m.ReadFromAddrPort(p)
	return n, net.UDPAddrFromAddrPort(from), err
}

func (m *port) WriteTo(p []byte, to net.Addr) (int, error) {
	return m.WriteToAddrPort(p, to.(*net.UDPAddr).AddrPort())
}

func (m *port) Deliver(from, _ netip.AddrPort, p []byte) {
	select {
	case m.delivered <- datagram{from, append([]byte(nil), p...)}:
		_ = m.SetReadDeadline(time.Now())
	default: // full: lost, as in a socket
	}
}

func (m *port) Gone(netip.AddrPort) {}

// iceRig is a media port with a relay and a TCP port.
type iceRig struct {
	mux      ice.UDPMux
	relay    *Server
	udp, tcp netip.AddrPort
}

func newICERig(t *testing.T) *iceRig {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r := &iceRig{udp: conn.LocalAddr().(*net.UDPAddr).AddrPort()}
	m := &port{UDPConn: conn, delivered: make(chan datagram, 64)}
	r.relay, err = New(Config{Secret: testSecret, Peers: []netip.AddrPort{r.udp}, Media: m, UDP: m}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.relay = r.relay
	r.mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: m})
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.tcp = ln.Addr().(*net.TCPAddr).AddrPort()
	s, err := Split(ln, SplitConfig{Relay: r.relay.ServeConn}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closed(t, s)
		closed(t, r.relay)
		closed(t, r.mux)
		_ = conn.Close()
	})
	return r
}

func iceAgent(t *testing.T, opts ...ice.AgentOption) *ice.Agent {
	t.Helper()
	a, err := ice.NewAgentWithOptions(append([]ice.AgentOption{ice.WithIncludeLoopback(), ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled), ice.WithRelayAcceptanceMinWait(0)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.GracefulClose() })
	return a
}

// TestICE connects a client that has nothing but the relay, or ICE-TCP, to an
// agent behind Pion's UDP mux, and sends media both ways.
func TestICE(t *testing.T) {
	turnOnly := func(transport stun.ProtoType) func(*iceRig) []ice.AgentOption {
		return func(r *iceRig) []ice.AgentOption {
			c := r.relay.Credentials("p1", time.Minute)
			at := r.udp
			if transport == stun.ProtoTypeTCP {
				at = r.tcp
			}
			return []ice.AgentOption{
				ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeRelay}),
				ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}),
				ice.WithUrls([]*stun.URI{{
					Scheme: stun.SchemeTypeTURN, Host: at.Addr().String(), Port: int(at.Port()),
					Username: c.Username, Password: c.Password, Proto: transport,
				}}),
			}
		}
	}
	for name, c := range map[string]struct {
		options func(*iceRig) []ice.AgentOption
		tcp     bool // the server's candidate
	}{
		"turn over udp": {turnOnly(stun.ProtoTypeUDP), false},
		"turn over tcp": {turnOnly(stun.ProtoTypeTCP), false},
		"ice-tcp": {func(*iceRig) []ice.AgentOption {
			return []ice.AgentOption{ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeTCP4}), ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost})}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newICERig(t)
			server := iceAgent(t, ice.WithUDPMux(r.mux), ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}),
				ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}))
			client := iceAgent(t, c.options(r)...)
			gather(t, server, nil)
			gather(t, client, server)
			config := &ice.CandidateHostConfig{Network: "udp", Address: r.udp.Addr().String(), Port: int(r.udp.Port()), Component: 1}
			if c.tcp {
				config = &ice.CandidateHostConfig{Network: "tcp", Address: r.tcp.Addr().String(), Port: int(r.tcp.Port()), Component: 1, TCPType: ice.TCPTypePassive}
			}
			remote, err := ice.NewCandidateHost(config)
			if err != nil {
				t.Fatal(err)
			}
			if err := client.AddRemoteCandidate(remote); err != nil {
				t.Fatal(err)
			}
			near, far := connect(t, server, client)
			for i := range 20 {
				for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
					send := append([]byte{0x80, 111}, fmt.Sprintf("packet %d to and fro", i)...)
					if _, err := way[0].Write(send); err != nil {
						t.Fatal(err)
					}
					buf := make([]byte, 1500)
					_ = way[1].SetReadDeadline(time.Now().Add(waitFor))
					if n, err := way[1].Read(buf); err != nil || string(buf[:n]) != string(send) {
						t.Fatalf("%q, %v", buf[:n], err)
					}
				}
			}
			pair, err := server.GetSelectedCandidatePair()
			if err != nil || pair == nil || pair.Remote.Address() != r.relay.cfg.Virtual4.String() {
				t.Fatalf("selected %v, %v", pair, err)
			}
		})
	}
}

// gather gathers an agent's candidates and gives them to another.
func gather(t *testing.T, a, to *ice.Agent) {
	t.Helper()
	done := make(chan struct{})
	if err := a.OnCandidate(func(c ice.Candidate) {
		switch {
		case c == nil:
			close(done)
		case to != nil:
			_ = to.AddRemoteCandidate(c)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := a.GatherCandidates(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(waitFor):
		t.Fatal("gathering takes too long")
	}
}

func connect(t *testing.T, server, client *ice.Agent) (near, far net.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitFor)
	defer cancel()
	var wg sync.WaitGroup
	var errs [2]error
	wg.Go(func() {
		ufrag, pwd, err := client.GetLocalUserCredentials()
		if err == nil {
			near, err = server.Accept(ctx, ufrag, pwd)
		}
		errs[0] = err
	})
	wg.Go(func() {
		ufrag, pwd, err := server.GetLocalUserCredentials()
		if err == nil {
			far, err = client.Dial(ctx, ufrag, pwd)
		}
		errs[1] = err
	})
	wg.Wait()
	if err := errors.Join(errs[0], errs[1]); err != nil {
		t.Fatal(err)
	}
	return near, far
}
