package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/config"
	"github.com/chatmed/chatmed/internal/consult"
)

// keys creates, lists and revokes API keys in the database, also while the
// server runs.
func keys(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("keys create, keys list or keys revoke ID")
	}
	fs := flag.NewFlagSet("chatmed keys "+args[0], flag.ContinueOnError)
	config.Flags(fs)
	name := fs.String("name", "", "what the key is for")
	account := fs.String("account", "", "organisation; default the name")
	email := fs.String("email", "", "address of the key's user")
	plan := fs.String("plan", consult.PlanStarter, "starter, professional or enterprise")
	mode := fs.String("mode", string(consult.Live), "live or test")
	embed := fs.String("origins", "", "origins that may embed the room, separated by commas")
	if err := config.ParseFlags(fs, args[1:]); err != nil {
		return err
	}
	cfg, err := config.Load(fs, os.Environ())
	if err != nil {
		return err
	}
	return withKeys(ctx, cfg, func(k *auth.Keys) error {
		switch args[0] {
		case "create":
			secret, key, err := k.Create(ctx, auth.CreateKeyRequest{
				AccountName: *account, Name: *name, Email: *email, Plan: *plan,
				Mode: consult.Mode(*mode), AllowedOrigins: list(*embed),
			})
			if err != nil {
				return plainError(err)
			}
			fmt.Fprintf(out, "Key %s (%s, %s) for %s. It is shown this once:\n%s\n", key.ID, key.Plan, key.Scope.Mode, key.Name, secret)
			return nil
		case "list":
			return listKeys(ctx, k, out)
		case "revoke":
			if fs.NArg() != 1 {
				return errors.New("keys revoke takes one key id, as keys list shows it")
			}
			key, err := k.Revoke(ctx, fs.Arg(0), consult.Actor{Kind: consult.ActorOperator, ID: "cli"})
			if err != nil {
				return plainError(err)
			}
			fmt.Fprintf(out, "Key %s is revoked.\n", key.ID)
			return nil
		}
		return fmt.Errorf("unknown command keys %s: create, list or revoke", args[0])
	})
}

// withKeys opens the database for one command.
func withKeys(ctx context.Context, cfg *config.Config, do func(*auth.Keys) error) (err error) {
	a := &app{cfg: cfg, log: quietLogger()}
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
