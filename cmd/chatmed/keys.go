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

// keyFlags are the flags of the keys commands beside the settings.
type keyFlags struct {
	name, account, email, plan, mode, origins, scopes, addresses string

	overlap  time.Duration
	endCalls bool
}

func (f *keyFlags) create(fs *flag.FlagSet) {
	fs.StringVar(&f.name, "name", "", "what the key is for")
	fs.StringVar(&f.account, "account", "", "organisation; default the name")
	fs.StringVar(&f.email, "email", "", "address of the key's user")
	fs.StringVar(&f.plan, "plan", consult.PlanStarter, "starter, professional or enterprise")
	fs.StringVar(&f.mode, "mode", string(consult.Live), "live or test")
	fs.StringVar(&f.origins, "origins", "", "origins that may embed the room, separated by commas")
	fs.StringVar(&f.scopes, "scopes", "", "consultations, clinical, recordings, admin, separated by commas; default all but admin")
	fs.StringVar(&f.addresses, "addresses", "", "addresses or networks that requests may come from, separated by commas; default any")
}

func (f *keyFlags) rotate(fs *flag.FlagSet) {
	fs.DurationVar(&f.overlap, "overlap", defaultOverlap, "how long the old key goes on, up to 168h; 0 ends it at once")
}

func (f *keyFlags) revoke(fs *flag.FlagSet) {
	fs.BoolVar(&f.endCalls, "end-calls", false, "end the calls of its consultations too")
}

// defaultOverlap is time enough to put a new key into place.
const defaultOverlap = 24 * time.Hour

// keys creates, lists, revokes and rotates API keys in the database, also while
// the server runs.
func keys(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("keys needs a command: keys rotate ID, keys create --name N, keys list or keys revoke ID")
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
		own.create(fs)
		do = func(k *auth.Keys) error { return createKey(ctx, k, own, out) }
	case "list":
		do = func(k *auth.Keys) error { return listKeys(ctx, k, out) }
	case "revoke":
		own.revoke(fs)
		id, rest = positional(rest)
		do = func(k *auth.Keys) error { return revokeKey(ctx, k, id, own.endCalls, out) }
	case "rotate":
		own.rotate(fs)
		id, rest = positional(rest)
		do = func(k *auth.Keys) error { return rotateKey(ctx, k, id, own.overlap, out) }
	case "help", "-h", "-help", "--help":
		return flag.ErrHelp
	default:
		return fmt.Errorf("unknown command keys %s: create, list or revoke a key, or rotate it", args[0])
	}
	if err := config.ParseFlags(fs, rest); err != nil {
		return err
	}
	if (args[0] == "revoke" || args[0] == "rotate") && id == "" {
		return fmt.Errorf("keys %s takes one key id, as keys list shows it", args[0])
	}
	cfg, err := config.Load(fs, os.Environ())
	if err != nil {
		return err
	}
	return withOperator(ctx, cfg, func(o *operator) error { return do(o.keys) })
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
	addresses, err := auth.ParseAddresses(list(f.addresses))
	if err != nil {
		return plainError(err)
	}
	var scopes []consult.KeyScope
	for _, s := range list(f.scopes) {
		scopes = append(scopes, consult.KeyScope(s))
	}
	secret, key, err := k.Create(ctx, auth.CreateKeyRequest{
		AccountName: f.account, Name: f.name, Email: f.email, Plan: f.plan, Mode: consult.Mode(f.mode),
		AllowedOrigins: list(f.origins), Scopes: scopes, AllowedAddresses: addresses, Actor: auth.Operator,
	})
	if err != nil {
		return plainError(err)
	}
	_, err = fmt.Fprintf(out, "Key %s (%s, %s) for %s. It is shown this once:\n%s\n", key.ID, key.Plan, key.Scope.Mode, key.Name, secret)
	return err
}

func revokeKey(ctx context.Context, k *auth.Keys, id string, endCalls bool, out io.Writer) error {
	key, err := k.Find(ctx, id)
	if err == nil {
		key, err = k.RevokeIn(ctx, key.Scope.AccountID, id, auth.Operator, endCalls)
	}
	if err != nil {
		return plainError(err)
	}
	_, err = fmt.Fprintf(out, "Key %s is revoked.\n", key.ID)
	return err
}

// rotateKey prints the new key alone on the last line, as createKey does.
func rotateKey(ctx context.Context, k *auth.Keys, id string, overlap time.Duration, out io.Writer) error {
	old, err := k.Find(ctx, id)
	if err != nil {
		return plainError(err)
	}
	secret, key, err := k.Rotate(ctx, old.Scope.AccountID, id, overlap, auth.Operator)
	if err != nil {
		return plainError(err)
	}
	_, err = fmt.Fprintf(out, "Key %s follows %s, which goes on for %v. It is shown this once:\n%s\n", key.ID, id, overlap, secret)
	return err
}

func listKeys(ctx context.Context, k *auth.Keys, out io.Writer) error {
	all, err := k.List(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tPREFIX\tNAME\tPLAN\tMODE\tSCOPES\tCREATED\tLAST USED\tSTATE")
	for _, key := range all {
		state, used := "active", "never"
		switch now := time.Now(); {
		case key.RevokedAt != nil:
			state = "revoked " + key.RevokedAt.UTC().Format(time.RFC3339)
		case key.Expired(now):
			state = "expired " + key.ExpiresAt.UTC().Format(time.RFC3339)
		case key.ExpiresAt != nil:
			state = "until " + key.ExpiresAt.UTC().Format(time.RFC3339)
		}
		if key.LastUsedAt != nil {
			used = key.LastUsedAt.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", key.ID, key.Prefix, key.Name, key.Plan,
			key.Scope.Mode, scopes(&key), key.CreatedAt.UTC().Format(time.RFC3339), used, state)
	}
	return w.Flush()
}

// scopes are the parts of the API that a key may use, separated by commas.
func scopes(k *consult.APIKey) string {
	var out []string
	for _, s := range []consult.KeyScope{consult.ScopeConsultations, consult.ScopeClinical, consult.ScopeRecordings, consult.ScopeAdmin} {
		if k.Has(s) {
			out = append(out, string(s))
		}
	}
	return strings.Join(out, ",")
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
