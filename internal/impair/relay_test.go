package impair

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

const waitLimit = 20 * time.Second

// echo answers every datagram with itself, after its sender's address.
func echo(t *testing.T) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		b := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = c.WriteToUDPAddrPort(fmt.Appendf(nil, "%v %s", from, b[:n]), from)
			}
		}
	})
	t.Cleanup(func() {
		_ = c.Close()
		work.Wait()
	})
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func newRelay(t *testing.T, cfg RelayConfig) *Relay {
	t.Helper()
	if !cfg.Target.IsValid() {
		cfg.Target = echo(t)
	}
	r, err := NewRelay(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// caller is a client of a relay.
type caller struct {
	t    *testing.T
	conn *net.UDPConn
}

func newCaller(t *testing.T, r *Relay) caller {
	t.Helper()
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(r.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return caller{t, c}
}

func (c caller) port() uint16 { return c.conn.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

func (c caller) send(text string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// hear is the next answer: what the target saw as the sender, and the text.
func (c caller) hear() (from, text string) {
	c.t.Helper()
	b := make([]byte, 2048)
	_ = c.conn.SetReadDeadline(time.Now().Add(waitLimit))
	n, err := c.conn.Read(b)
	if err != nil {
		c.t.Fatal(err)
	}
	from, text, _ = strings.Cut(string(b[:n]), " ")
	return from, text
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %v for %s", waitLimit, what)
		}
	}
}

func TestEachClientHasItsOwnWay(t *testing.T) {
	r := newRelay(t, RelayConfig{})
	seen := map[string]bool{}
	for n := range 5 {
		c := newCaller(t, r)
		var source string
		for k := range 20 {
			said := fmt.Sprintf("client %d packet %d", n, k)
			c.send(said)
			from, text := c.hear()
			if text != said || source != "" && from != source || seen[from] {
				t.Fatalf("heard %q of %s, before of %q", text, from, source)
			}
			source = from
		}
		seen[source] = true
	}
	all := r.Counters()
	if len(all.Clients) != 5 || all.Refused+all.Unsent != 0 {
		t.Errorf("%+v", all)
	}
	for addr, c := range all.Clients {
		if !seen[fmt.Sprintf("127.0.0.1:%d", c.Via)] {
			t.Errorf("%s goes via %d", addr, c.Via)
		}
		if c.Up.Out != 20 || c.Down.Out != 20 || c.Up.InBytes != c.Up.OutBytes || c.Up.InBytes != 20*headers+10*(17+18) {
			t.Errorf("%s: %+v", addr, c)
		}
	}
}

func TestProfilesChangeWhileItRuns(t *testing.T) {
	r := newRelay(t, RelayConfig{Up: Profile{Cut: true}})
	a, b := newCaller(t, r), newCaller(t, r)
	a.send("lost")
	b.send("lost")
	eventually(t, "both packets", func() bool {
		n := 0
		for _, c := range r.Counters().Clients {
			n += int(c.Up.Drops.Outage)
		}
		return n == 2
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.SetClient(a.port(), Profile{Delay: time.Millisecond}, Profile{}))
	a.send("through")
	b.send("lost")
	if _, text := a.hear(); text != "through" {
		t.Errorf("heard %q", text)
	}
	must(r.Set(Profile{}, Profile{Rate: 1_000_000, Queue: 10_000}))
	b.send("through at last")
	if _, text := b.hear(); text != "through at last" {
		t.Errorf("heard %q", text)
	}
	must(r.SetNew(Profile{Cut: true}, Profile{}))
	late := newCaller(t, r)
	late.send("lost")
	b.send("still through")
	if _, text := b.hear(); text != "still through" {
		t.Errorf("heard %q", text)
	}
	eventually(t, "a new client's packet lost", func() bool {
		return r.Counters().Clients[late.conn.LocalAddr().String()].Up.Drops.Outage == 1
	})
	if r.SetNew(Profile{Loss: 2}, Profile{}) == nil || r.SetClient(1, Profile{}, Profile{}) == nil || r.Set(Profile{Loss: 2}, Profile{}) == nil {
		t.Error("a client that is not there, or a bad profile, is accepted")
	}
}

func TestSharedLinks(t *testing.T) {
	r := newRelay(t, RelayConfig{Shared: true, Down: Profile{Rate: 10_000_000, Queue: 100_000}})
	for range 3 {
		c := newCaller(t, r)
		c.send("x")
		c.hear()
	}
	if c := r.Counters(); c.Shared == nil || c.Shared.Up.Out != 3 || c.Shared.Down.Out != 3 || c.Clients != nil {
		t.Errorf("%+v", c)
	}
	if r.SetClient(1, Profile{}, Profile{}) == nil || r.SetNew(Profile{}, Profile{}) == nil {
		t.Error("one client of a shared link has a profile of its own")
	}
}

func TestClientsAreBoundedAndForgotten(t *testing.T) {
	r := newRelay(t, RelayConfig{MaxClients: 1, Idle: 50 * time.Millisecond})
	a := newCaller(t, r)
	a.send("x")
	a.hear()
	eventually(t, "the client forgotten", func() bool { return len(r.Counters().Clients) == 0 })
	a.send("again")
	if _, text := a.hear(); text != "again" {
		t.Errorf("heard %q", text)
	}
	b := newCaller(t, r)
	eventually(t, "a stranger refused", func() bool {
		a.send("still here")
		b.send("too many")
		return r.Counters().Refused > 0
	})
}

// TestNobodyListens: the target may come later, and go.
func TestNobodyListens(t *testing.T) {
	gone, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	to := gone.LocalAddr().(*net.UDPAddr).AddrPort()
	_ = gone.Close()
	r := newRelay(t, RelayConfig{Target: to})
	c := newCaller(t, r)
	eventually(t, "a refusal", func() bool {
		c.send("x")
		return r.Counters().Unsent > 0
	})
	back, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal("the port was taken meanwhile:", err)
	}
	defer func() { _ = back.Close() }()
	heard := make(chan error, 1)
	go func() {
		_ = back.SetReadDeadline(time.Now().Add(waitLimit))
		_, _, err := back.ReadFromUDPAddrPort(make([]byte, 10))
		heard <- err
	}()
	eventually(t, "a packet", func() bool {
		select {
		case err := <-heard:
			if err != nil {
				t.Fatal(err)
			}
			return true
		default:
			c.send("x")
			return false
		}
	})
}

func TestOnlyLoopback(t *testing.T) {
	loop := netip.MustParseAddrPort("127.0.0.1:9")
	for _, cfg := range []RelayConfig{
		{Listen: "0.0.0.0:0", Target: loop}, {Listen: "localhost:0", Target: loop}, {},
		{Target: netip.MustParseAddrPort("192.0.2.1:9")}, {Target: netip.MustParseAddrPort("127.0.0.1:0")}, {Target: loop, Up: Profile{Loss: -1}},
	} {
		if r, err := NewRelay(t.Context(), cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
			_ = r.Close()
		}
	}
}

func TestCloseUnderLoad(t *testing.T) {
	r := newRelay(t, RelayConfig{Up: Profile{Delay: time.Minute}, Down: Profile{Jitter: time.Second}})
	var work sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 4 {
		c := newCaller(t, r)
		work.Go(func() {
			for ctx.Err() == nil {
				_, _ = c.conn.Write([]byte("x"))
			}
		})
	}
	eventually(t, "traffic", func() bool { return len(r.Counters().Clients) == 4 })
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	work.Wait()
}

func TestControl(t *testing.T) {
	r := newRelay(t, RelayConfig{})
	c := newCaller(t, r)
	c.send("x")
	c.hear()
	commands, write := io.Pipe()
	read, answers := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(r.Control(commands, answers), answers.Close()) }()
	lines := bufio.NewScanner(read)
	lines.Buffer(nil, 1<<20)
	for _, step := range []struct{ line, want string }{
		{`{"op":"set","preset":"rural-3g"}`, `{"ok":true}`},
		{`{"op":"counters"}`, `"up":{"in":1,"out":1,"in_bytes":29`},
		{`{"op":"presets"}`, `"hospital-wifi":{"down":{"rate_bps":6000000`},
		{fmt.Sprintf(`{"op":"set","client":%d,"up":{"rate_bps":300000,"queue_bytes":9000,"outage_every_ms":10,"outage_for_ms":2.5}}`, c.port()), `{"ok":true}`},
		{`{"op":"set","new":true}`, `{"ok":true}`}, {`{"op":"set","new":true,"client":1}`, `known, or to come`},
		{`{"op":"set","client":1}`, `no client has port 1`},
		{`{"op":"set","preset":"moon"}`, `no preset \"moon\"`},
		{`{"op":"set","up":{"loss":1.5}}`, `"ok":false`},
		{`{"op":"set","up":{"delay_ms":1e300}}`, `"ok":false`},
		{`{"op":"stop"}`, `unknown op`}, {`{"op":"set","colour":1}`, `unknown field`}, {`{"op":"counters"} {}`, `more than one`}, {`x`, `"ok":false`},
	} {
		if _, err := fmt.Fprintln(write, step.line); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() || !strings.Contains(lines.Text(), step.want) || !json.Valid(lines.Bytes()) {
			t.Fatalf("%s is answered %s", step.line, lines.Text())
		}
	}
	r.mu.Lock()
	for _, known := range r.clients {
		want := Profile{Rate: 300_000, Queue: 9000, Outage: Outage{Every: 10 * ms, For: 2500 * time.Microsecond}}
		if got := known.line.up.Profile(); got != want {
			t.Errorf("got %+v", got)
		}
	}
	r.mu.Unlock()
	_ = write.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := r.Control(strings.NewReader(strings.Repeat("x", maxLine+1)), io.Discard); err == nil {
		t.Error("an endless line is read")
	}
	if err := r.Control(strings.NewReader("{}\n"), failing{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("an answer nobody takes: %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, os.ErrClosed }

// FuzzControl: whatever a line says, the profiles it leads to make sense.
func FuzzControl(f *testing.F) {
	f.Add(`{"op":"set","preset":"rural-3g"}`)
	f.Add(`{"op":"set","up":{"rate_bps":1,"queue_bytes":1},"client":3}`)
	f.Add(`{"op":"set","down":{"delay_ms":-1e309}}`)
	f.Fuzz(func(t *testing.T, line string) {
		q, err := parse([]byte(line))
		if err != nil {
			return
		}
		up, down, err := q.profiles()
		if err == nil && (up.Check() != nil || down.Check() != nil) {
			t.Errorf("%+v %+v", up, down)
		}
	})
}
