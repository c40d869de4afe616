package relay

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/turn/v5"
)

// transports dial a rig in each way a browser does.
var transports = map[string]func(t *testing.T, r *rig) (net.PacketConn, netip.AddrPort){
	"udp": func(t *testing.T, r *rig) (net.PacketConn, netip.AddrPort) {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return c, r.udp
	},
	"tcp": func(t *testing.T, r *rig) (net.PacketConn, netip.AddrPort) {
		c, err := net.Dial("tcp4", r.tcp.String())
		if err != nil {
			t.Fatal(err)
		}
		return turn.NewSTUNConn(c), r.tcp
	},
	"tls": func(t *testing.T, r *rig) (net.PacketConn, netip.AddrPort) {
		c, err := tls.Dial("tcp4", r.tcp.String(), &tls.Config{RootCAs: r.roots, ServerName: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		return turn.NewSTUNConn(c), r.tcp
	},
	"tls with ALPN": func(t *testing.T, r *rig) (net.PacketConn, netip.AddrPort) {
		c, err := tls.Dial("tcp4", r.tcp.String(), &tls.Config{RootCAs: r.roots, ServerName: "localhost", NextProtos: []string{alpnTURN}})
		if err != nil {
			t.Fatal(err)
		}
		return turn.NewSTUNConn(c), r.tcp
	},
}

func pionClient(t *testing.T, conn net.PacketConn, server netip.AddrPort, c Credentials) *turn.Client {
	t.Helper()
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: server.String(), TURNServerAddr: server.String(), Conn: conn,
		Username: c.Username, Password: c.Password, Realm: realm, RTO: 50 * time.Millisecond,
		RequestedAddressFamily: turn.RequestedAddressFamilyIPv4,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	return client
}

func TestPionClient(t *testing.T) {
	for name, dial := range transports {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			conn, server := dial(t, r)
			defer closed(t, conn)
			client := pionClient(t, conn, server, r.server.Credentials("p1", time.Minute))
			defer client.Close()

			if _, err := client.SendBindingRequest(); err != nil {
				t.Fatalf("binding: %v", err)
			}
			relayed, err := client.Allocate()
			if err != nil {
				t.Fatal(err)
			}
			addr := relayed.LocalAddr().(*net.UDPAddr).AddrPort()
			if !r.server.Owns(addr) || r.server.Owns(mediaPeer) {
				t.Fatalf("relayed address %s", addr)
			}
			if who, ok := r.server.Participant(addr); !ok || who != "p1" {
				t.Fatalf("the relay belongs to %q", who)
			}
			peer := net.UDPAddrFromAddrPort(mediaPeer)
			// The first go as Send indications, then Pion binds a channel.
			buf := make([]byte, 2048)
			for i := range 50 {
				want := strings.Repeat("x", 20+i*25)
				if _, err := relayed.WriteTo([]byte(want), peer); err != nil {
					t.Fatal(err)
				}
				_ = relayed.SetReadDeadline(time.Now().Add(waitFor))
				n, from, err := relayed.ReadFrom(buf)
				if err != nil || string(buf[:n]) != want || from.String() != peer.String() {
					t.Fatalf("packet %d: %d bytes from %v, %v", i, n, from, err)
				}
			}
			for _, d := range r.media.seen() {
				if d.from != addr || d.to != mediaPeer {
					t.Fatalf("delivered from %s to %s", d.from, d.to)
				}
			}
			if err := relayed.Close(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the allocation is gone", func() bool { return r.media.departed() == 1 })
			if _, err := r.server.WriteToAddrPort([]byte("late"), addr); err == nil {
				t.Fatal("written to an allocation that is gone")
			}
		})
	}
}

// TestNoOpenRelay tries every kind of peer that is not our media.
func TestNoOpenRelay(t *testing.T) {
	for name, dial := range transports {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			conn, server := dial(t, r)
			defer closed(t, conn)
			client := pionClient(t, conn, server, r.server.Credentials("p1", time.Minute))
			defer client.Close()
			relayed, err := client.Allocate()
			if err != nil {
				t.Fatal(err)
			}
			defer closed(t, relayed)
			for _, p := range foreignPeers {
				peer := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(p))
				if _, err := relayed.WriteTo([]byte("out"), peer); err == nil {
					t.Errorf("%s could be written to", p)
				}
				err := client.CreatePermission(peer)
				if err == nil || !strings.Contains(err.Error(), "403") {
					t.Errorf("CreatePermission %s: %v", p, err)
				}
			}
			// Our address is permitted as such; another of its ports is not reached.
			if err := client.CreatePermission(net.UDPAddrFromAddrPort(mediaPeer)); err != nil {
				t.Fatal(err)
			}
			before := dropped(r.server, dropForbidden)
			if _, err := relayed.WriteTo([]byte("ssh"), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 22}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the datagram is refused", func() bool { return dropped(r.server, dropForbidden) > before })
			if got := r.media.seen(); len(got) != 0 {
				t.Errorf("delivered: %v", got)
			}
		})
	}
}

// foreignPeers are private, loopback, link-local, public, and others.
var foreignPeers = []string{
	"10.0.0.1:80", "172.16.0.1:443", "192.168.1.1:53", "100.64.0.1:80", "127.0.0.2:7882", "127.0.0.53:53",
	"169.254.169.254:80", "8.8.8.8:53", "203.0.113.1:7882", "0.0.0.0:7882", "255.255.255.255:67", "224.0.0.251:5353",
	"192.0.0.8:1024", "198.18.0.1:7882",
}
