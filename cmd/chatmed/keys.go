package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/config"
	"github.com/chatmed/chatmed/internal/consult"
)

// keyFlags are the flags of the keys commands beside the settings.
type keyFlags struct{ name, account, email, plan, mode, origins string }

func (f *keyFlags) declare(fs *flag.FlagSet) {
	fs.StringVar(&f.name, "name", "", "what the key is for")
	fs.StringVar(&f.account, "account", "", "organisation; default the name")
	fs.StringVar(&f.email, "email", "", "address of the key's user")
	fs.StringVar(&f.plan, "plan", consult.PlanStarter, "starter, professional or enterprise")
	fs.StringVar(&f.mode, "mode", string(consult.Live), "live or test")
	fs.StringVar(&f.origins, "origins", "", "origins that may embed the room, separated by commas")
}

// keys creates, lists and revokes API keys in the database, also while the
// server runs.
func keys(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("keys needs a command: keys create --name N, keys list or keys revoke ID")
	}
	var (
		own keyFlags
		id  string
		do  func(*auth.Keys) error
	)
	fs := flag.NewFlagSet("chatmed keys "+args[0], flag.ContinueOnError)
	config.Flags(fs)
	rest := args[1:]
	switch args[0] {
	case "create":
		own.declare(fs)
		do = func(k *auth.Keys) error { return createKey(ctx, k, own, out) }
	case "list":
		do = func(k *auth.Keys) error { return listKeys(ctx, k, out) }
	case "revoke":
		id, rest = positional(rest)
		do = func(k *auth.Keys) error { return revokeKey(ctx, k, id, out) }
	case "help", "-h", "-help", "--help":
		return flag.ErrHelp
	default:
		return fmt.Errorf("unknown command keys %s: create, list or revoke", args[0])
	}
	if err := config.ParseFlags(fs, rest); err != nil {
		return err
	}
	if args[0] == "revoke" && id == "" {
		return errors.New("keys revoke takes one key id, as keys list shows it")
	}
	cfg, err := config.Load(fs, os.Environ())
	if err != nil {
		return err
	}
	return withKeys(ctx, cfg, do)
}

// positional takes the one argument that is no flag out of args. It stands
// first or last: in between it could be the value of a flag.
func positional(args []string) (string, []string) {
	switch n := len(args); {
	case n > 0 && !strings.HasPrefix(args[0], "-"):
		return args[0], args[1:]
	case n > 0 && !strings.HasPrefix(args[n-1], "-"):
		return args[n-1], args[:n-1]
	}
	return "", args
}

// createKey prints the key alone on the last line, for scripts.
func createKey(ctx context.Context, k *auth.Keys, f keyFlags, out io.Writer) error {
	secret, key, err := k.Create(ctx, auth.CreateKeyRequest{
		AccountName: f.account, Name: f.name, Email: f.email, Plan: f.plan,
		Mode: consult.Mode(f.mode), AllowedOrigins: list(f.origins),
	})
	if err != nil {
		return plainError(err)
	}
	_, err = fmt.Fprintf(out, "Key %s (%s, %s) for %s. It is shown this once:\n%s\n", key.ID, key.Plan, key.Scope.Mode, key.Name, secret)
	return err
}

func revokeKey(ctx context.Context, k *auth.Keys, id string, out io.Writer) error {
	key, err := k.Revoke(ctx, id, consult.Actor{Kind: consult.ActorOperator, ID: "cli"})
	if err != nil {
		return plainError(err)
	}
	_, err = fmt.Fprintf(out, "Key %s is revoked.\n", key.ID)
	return err
}

// withKeys opens the database for one command.
func withKeys(ctx context.Context, cfg *config.Config, do func(*auth.Keys) error) (err error) {
	a := &app{cfg: cfg, now: time.Now, log: slog.New(slog.DiscardHandler)}
	if err = a.openDatabase(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.closeStores()) }()
	if err = a.openAuth(); err != nil {
		return err
	}
	return do(a.keys)
}

func listKeys(ctx context.Context, k *auth.Keys, out io.Writer) error {
	all, err := k.List(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tPREFIX\tNAME\tPLAN\tMODE\tCREATED\tLAST USED\tSTATE")
	for _, key := range all {
		state, used := "active", "never"
		if key.RevokedAt != nil {
			state = "revoked " + key.RevokedAt.UTC().Format(time.RFC3339)
		}
		if key.LastUsedAt != nil {
			used = key.LastUsedAt.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", key.ID, key.Prefix, key.Name, key.Plan,
			key.Scope.Mode, key.CreatedAt.UTC().Format(time.RFC3339), used, state)
	}
	return w.Flush()
}

func list(s string) []string {
	var out []string
	for _, v := range strings.Split(s, ",") {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}

// plainError is an error as an operator reads it.
func plainError(err error) error {
	e := consult.AsError(err)
	msg := e.Message
	for _, f := range e.Fields {
		msg += fmt.Sprintf("\n  %s %s", f.Field, f.Message)
	}
	if e.Err != nil {
		return fmt.Errorf("%s (%w)", msg, e.Err)
	}
	return errors.New(msg)
}
