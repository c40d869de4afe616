package relay

import (
	"context"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"
)

func requireUclient(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("turnutils_uclient")
	if err != nil {
		t.Skip("NOT TESTED against coturn: turnutils_uclient is missing; deploy/install-tools.sh installs it")
	}
	return path
}

// uclient runs coturn's client against a rig and returns what it says.
func uclient(t *testing.T, server netip.AddrPort, c Credentials, args ...string) (string, error) {
	t.Helper()
	path := requireUclient(t)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	args = append(args, "-c", "-u", c.Username, "-w", c.Password, "-p", strconv.Itoa(int(server.Port())), server.Addr().String())
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	return string(out), err
}

// pairOfPorts makes room for many clients, and for the port above the media's,
// where coturn's client expects RTCP whatever it is told.
func pairOfPorts(c *Config) {
	c.PerParticipant = 100
	for _, p := range []netip.AddrPort{mediaPeer, mediaPeer6} {
		c.Peers = append(c.Peers, netip.AddrPortFrom(p.Addr(), p.Port()+1))
	}
}

var totals = regexp.MustCompile(`tot_send_msgs=(\d+), tot_recv_msgs=(\d+)`)

// TestUclient is coturn's client over every transport: channels and Send
// indications, one client and several, IPv4 and IPv6 relays, odd sizes.
func TestUclient(t *testing.T) {
	t.Parallel()
	r := newRig(t, pairOfPorts)
	creds := r.server.Credentials("p1", time.Hour)
	v4 := []string{"-e", mediaPeer.Addr().String(), "-r", "7882", "-n", "20", "-z", "5"}
	v6 := []string{"-x", "-e", mediaPeer6.Addr().String(), "-r", "7882", "-n", "20", "-z", "5"}
	for name, c := range map[string]struct {
		to   netip.AddrPort
		args []string
		want int
	}{
		"udp, channels":           {r.udp, v4, 20},
		"udp, send":               {r.udp, append([]string{"-s"}, v4...), 20},
		"udp, ten clients":        {r.udp, append([]string{"-m", "10"}, v4...), 200},
		"udp, padded, 1001 bytes": {r.udp, append([]string{"-D", "-l", "1001"}, v4...), 20},
		"udp, no fragments":       {r.udp, append([]string{"-g"}, v4...), 20},
		"udp, IPv6":               {r.udp, v6, 20},
		"tcp, channels":           {r.tcp, append([]string{"-t"}, v4...), 20},
		"tcp, send, 333 bytes":    {r.tcp, append([]string{"-t", "-s", "-l", "333"}, v4...), 20},
		"tcp, IPv6, five":         {r.tcp, append([]string{"-t", "-m", "5"}, v6...), 100},
		"tls, channels":           {r.tcp, append([]string{"-t", "-S"}, v4...), 20},
		"tls, send, five":         {r.tcp, append([]string{"-t", "-S", "-s", "-m", "5"}, v4...), 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := uclient(t, c.to, creds, c.args...)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			all := totals.FindAllStringSubmatch(out, -1)
			if len(all) == 0 {
				t.Fatalf("no totals in\n%s", out)
			}
			last := all[len(all)-1]
			if n := strconv.Itoa(c.want); last[1] != n || last[2] != n {
				t.Errorf("sent %s, received %s of %d\n%s", last[1], last[2], c.want, out)
			}
		})
	}
}

// TestUclientIsRefused: what the client may not do it is told so.
func TestUclientIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, pairOfPorts)
	creds := r.server.Credentials("p1", time.Hour)
	for _, peer := range []string{"10.0.0.1", "169.254.169.254", "8.8.8.8"} {
		out, err := uclient(t, r.udp, creds, "-e", peer, "-n", "3")
		if err == nil {
			t.Errorf("peer %s was reached\n%s", peer, out)
		}
		if !regexp.MustCompile(`403`).MatchString(out) {
			t.Errorf("peer %s was not refused with 403\n%s", peer, out)
		}
	}
	wrong := creds
	wrong.Password = "wrong"
	if out, err := uclient(t, r.udp, wrong, "-e", "127.0.0.1", "-r", "7882", "-n", "3"); err == nil {
		t.Errorf("let in with a wrong password\n%s", out)
	}
	// Client to client would need a relay that reaches another's.
	if out, err := uclient(t, r.udp, creds, "-y", "-n", "3"); err == nil {
		t.Errorf("one relay reaches another\n%s", out)
	}
	if got := r.media.seen(); len(got) != 0 {
		t.Errorf("delivered: %v", got)
	}
}

// TestUclientNegative sends what coturn's authors thought of as wrong. What the
// client makes of the answers is its own affair; the server serves on.
func TestUclientNegative(t *testing.T) {
	t.Parallel()
	r := newRig(t, pairOfPorts)
	creds := r.server.Credentials("p1", time.Hour)
	requireUclient(t)
	var hostile []func()
	good := []string{"-e", mediaPeer.Addr().String(), "-r", "7882", "-n", "5", "-z", "5"}
	for name, c := range map[string]struct {
		to   netip.AddrPort
		args []string
	}{
		"channel numbers": {r.udp, []string{"-N"}},
		"messages":        {r.udp, []string{"-R"}},
		"over TCP":        {r.tcp, []string{"-N", "-R", "-t"}},
		"extra requests":  {r.udp, []string{"-G"}},
		"disconnects":     {r.tcp, []string{"-B", "-t", "-m", "4"}},
		"attack":          {r.tcp, []string{"-O", "-t"}},
		"no permissions":  {r.udp, []string{"-I", "-s"}},
		"TCP relay":       {r.tcp, []string{"-T"}},
	} {
		hostile = append(hostile, func() {
			out, err := uclient(t, c.to, creds, append(c.args, good...)...)
			t.Logf("%s: %v, %d bytes of output", name, err, len(out))
		})
	}
	var all sync.WaitGroup
	for _, f := range hostile {
		all.Go(f)
	}
	all.Wait()
	if out, err := uclient(t, r.udp, creds, good...); err != nil {
		t.Errorf("it no longer serves: %v\n%s", err, out)
	}
	for _, d := range r.media.seen() {
		if d.to.Addr() != mediaPeer.Addr() {
			t.Errorf("delivered to %s", d.to)
		}
	}
}
