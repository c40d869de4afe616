// Command chatmed is the whole product: REST API, signalling, media, waiting
// room and pages in one binary.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
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
                      [--account A] [--email E] [--origins O,...] [--scopes S,...] [--addresses N,...]
  chatmed keys list
  chatmed keys rotate ID [--overlap 24h]
  chatmed keys revoke ID [--end-calls]
  chatmed audit verify [--known FILE]   walk every audit chain; its output is what --known takes later
  chatmed audit sign                    sign chains that carry no signature yet
  chatmed backup --out FILE             copy the SQLite database, also while the server runs
  chatmed patient export --account A [--mode live|test] --patient ID --out FILE
  chatmed patient erase --account A [--mode live|test] --patient ID --yes
  chatmed recordings export --identity KEYFILE --out FILE.mp4|FILE.webm [--tracks] SEGMENT...
                                        compose a recording here, with the clinic's private age key
  chatmed hospitals import --from osm|table --in FILE --out FILE   a list for CHATMED_HOSPITALS_FILE
  chatmed loadtest [flags]       load a server of this machine and measure it
  chatmed version

Settings are flags, CHATMED_* variables or a YAML file of the same names:

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once, whatever the first one waits for.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chatmed:", err)
		os.Exit(1)
	}
}

// run does what the command line asks for.
func run(ctx context.Context, args []string, out io.Writer) error {
	err := command(ctx, args, out)
	if errors.Is(err, flag.ErrHelp) {
		_, err = fmt.Fprint(out, usage, config.Usage())
	}
	return err
}

func command(ctx context.Context, args []string, out io.Writer) error {
	command := "serve"
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	switch command {
	case "serve", "demo":
		cfg, err := config.Parse(args, os.Environ())
		if err != nil {
			return err
		}
		return serve(ctx, cfg, command == "demo", out)
	case "keys":
		return keys(ctx, args, out)
	case "audit":
		return auditCommand(ctx, args, out)
	case "backup":
		return backup(ctx, args, out)
	case "patient":
		return patient(ctx, args, out)
	case "recordings":
		return recordingsCommand(ctx, args, out, os.Stderr)
	case "hospitals":
		return hospitals(ctx, args, out)
	case "loadtest":
		return loadTest(ctx, args, out, os.Stderr)
	case "version":
		_, err := fmt.Fprintf(out, "chatmed %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return err
	case "help":
		return flag.ErrHelp
	}
	return fmt.Errorf("unknown command %q: serve, demo, keys, audit, backup, patient, recordings, hospitals, loadtest, version or help", command)
}
