// Command chatmed is the whole product: REST API, signalling, media, waiting
// room and pages in one binary.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/chatmed/chatmed/internal/config"
)

// version is set by the linker.
var version = "dev"

const usage = `ChatMed, a self-hosted teleconsultation server.

Usage:
  chatmed serve [flags]          run the server
  chatmed demo [flags]           run it and print a sandbox key and demo links
  chatmed keys create --name N --plan starter|professional|enterprise [--mode live|test]
  chatmed keys list
  chatmed keys revoke ID
  chatmed version

Settings are flags, CHATMED_* variables or a YAML file of the same names:

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "chatmed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	command := "demo"
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	switch command {
	case "serve", "demo":
		cfg, err := config.Parse(args, os.Environ())
		if err != nil {
			if errors.Is(err, flag.ErrHelp) {
				fmt.Print(usage, config.Usage())
			}
			return err
		}
		return serve(ctx, cfg, command == "demo")
	case "keys":
		return keys(ctx, args, os.Stdout)
	case "version":
		fmt.Printf("chatmed %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return nil
	case "help":
		fmt.Print(usage, config.Usage())
		return nil
	}
	return fmt.Errorf("unknown command %q: serve, demo, keys, version or help", command)
}
