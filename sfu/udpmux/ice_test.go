package udpmux

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/pion/ice/v4"
)

// Two server-side ICE agents behind one UDPMuxDefault on our socket, each
// with a client of its own: connectivity checks and data both ways.
func TestUnderICEMux(t *testing.T) {
	for name, off := range fallbacks {
		t.Run(name, func(t *testing.T) {
			conn, err := Listen(Config{Addr: "127.0.0.1:0", Disable: off}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			mux := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: conn})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var wg sync.WaitGroup
			for i := range 2 {
				wg.Go(func() {
					if err := callThroughMux(ctx, mux, fmt.Sprintf("call %d ", i)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if err := mux.Close(); err != nil {
				t.Error(err)
			}
			if err := conn.Close(); err != nil { // waits, whoever closed first
				t.Error(err)
			}
		})
	}
}

func agent(opts ...ice.AgentOption) (*ice.Agent, error) {
	return ice.NewAgentWithOptions(append(opts,
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}),
		ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}),
		ice.WithIncludeLoopback(),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled))...)
}

func callThroughMux(ctx context.Context, mux ice.UDPMux, text string) error {
	server, err := agent(ice.WithUDPMux(mux))
	if err != nil {
		return err
	}
	defer func() { _ = server.GracefulClose() }()
	client, err := agent()
	if err != nil {
		return err
	}
	defer func() { _ = client.GracefulClose() }()
	for _, pair := range [][2]*ice.Agent{{server, client}, {client, server}} {
		if err := exchange(ctx, pair[0], pair[1]); err != nil {
			return err
		}
	}
	accepted := make(chan *ice.Conn, 1)
	failed := make(chan error, 1)
	go func() {
		ufrag, pwd, err := client.GetLocalUserCredentials()
		if err != nil {
			failed <- err
			return
		}
		a, err := server.Accept(ctx, ufrag, pwd)
		if err != nil {
			failed <- err
			return
		}
		accepted <- a
	}()
	ufrag, pwd, err := server.GetLocalUserCredentials()
	if err != nil {
		return err
	}
	fromClient, err := client.Dial(ctx, ufrag, pwd)
	if err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	case fromServer := <-accepted:
		return echo(fromServer, fromClient, text)
	}
}

// exchange gives all of from's candidates to to.
func exchange(ctx context.Context, from, to *ice.Agent) error {
	done := make(chan struct{})
	if err := from.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(done)
			return
		}
		_ = to.AddRemoteCandidate(c)
	}); err != nil {
		return err
	}
	if err := from.GatherCandidates(); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func echo(server, client *ice.Conn, text string) error {
	buf := make([]byte, 1500)
	for round := range 20 {
		for i := range 8 {
			if _, err := server.Write(fmt.Appendf(nil, "%s%d %d", text, round, i)); err != nil {
				return err
			}
		}
		for i := range 8 {
			n, err := client.Read(buf)
			if want := fmt.Sprintf("%s%d %d", text, round, i); err != nil || string(buf[:n]) != want {
				return fmt.Errorf("client read %q, %v, want %q", buf[:n], err, want)
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return err
			}
			if m, err := server.Read(buf[n:]); err != nil || m != n {
				return fmt.Errorf("server read %d, %v, want %d", m, err, n)
			}
		}
	}
	return nil
}
