// Command impair is a bad network on the loopback address, for tests: a UDP
// relay that is told over standard input what to do to the packets. It prints
// {"listen":"127.0.0.1:…"} and ends with its input or with SIGTERM. The lines it
// obeys are those of Relay.Control.
//
//	go run ./internal/impair/cmd/impair --target 127.0.0.1:7882
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"github.com/chatmed/chatmed/internal/impair"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "impair:", err)
		os.Exit(1) //nolint:forbidigo // a program of its own
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) (err error) {
	f := flag.NewFlagSet("impair", flag.ContinueOnError)
	listen := f.String("listen", "127.0.0.1:0", "address the clients send to")
	target := f.String("target", "", "address of the server")
	preset := f.String("preset", "unimpaired", "links to begin with")
	shared := f.Bool("shared", false, "one pair of links for all clients, instead of one for each")
	seed := f.Uint64("seed", 1, "of everything random")
	if err := f.Parse(args); err != nil {
		return err
	}
	to, err := netip.ParseAddrPort(*target)
	if err != nil {
		return fmt.Errorf("--target: %w", err)
	}
	p, ok := impair.PresetNamed(*preset)
	if !ok {
		return fmt.Errorf("no preset %q", *preset)
	}
	r, err := impair.NewRelay(ctx, impair.RelayConfig{Listen: *listen, Target: to, Up: p.Up, Down: p.Down, Shared: *shared, Seed: *seed})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := json.NewEncoder(out).Encode(map[string]string{"listen": r.Addr().String()}); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Control(in, out) }() // ends with its input, or with the process
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}
