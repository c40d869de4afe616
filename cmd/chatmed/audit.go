package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/config"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

// auditCommand verifies the audit chains of the database, or signs those that were
// never signed.
func auditCommand(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("audit needs a command: audit verify or audit sign")
	}
	fs := flag.NewFlagSet("chatmed audit "+args[0], flag.ContinueOnError)
	config.Flags(fs)
	known := ""
	var do func(*operator) error
	switch args[0] {
	case "verify":
		fs.StringVar(&known, "known", "", "file with the lines of an earlier run, which must still hold")
		do = func(o *operator) error { return o.verifyAudit(ctx, known, out) }
	case "sign":
		do = func(o *operator) error { return o.signChains(ctx, out) }
	case "help", "-h", "-help", "--help":
		return flag.ErrHelp
	default:
		return fmt.Errorf("unknown command audit %s: verify or sign", args[0])
	}
	if err := config.ParseFlags(fs, args[1:]); err != nil {
		return err
	}
	cfg, err := config.Load(fs, os.Environ())
	if err != nil {
		return err
	}
	return withOperator(ctx, cfg, do)
}

// verifyAudit walks every chain and prints its head, or the first link that
// does not hold; then it fails. The printed lines, kept elsewhere, are what
// --known takes: account, mode, number of entries, hash of the last. The chains
// of consent are held against the audit log, so their good ones print nothing.
func (o *operator) verifyAudit(ctx context.Context, known string, out io.Writer) error {
	heads, err := readHeads(known)
	if err != nil {
		return err
	}
	scopes, err := o.store.Scopes(ctx)
	if err != nil {
		return plainError(err)
	}
	broken := 0
	report := func(err error) error {
		var b *store.AuditBreak
		if !errors.As(err, &b) {
			return plainError(err)
		}
		broken++
		_, err = fmt.Fprintf(out, "BROKEN %s %s at entry %d: %s\n", b.Scope.AccountID, b.Scope.Mode, b.Seq, b.Why)
		return err
	}
	for _, sc := range scopes {
		head, err := o.store.VerifiedHead(ctx, sc)
		if err == nil {
			_, err = fmt.Fprintf(out, "%s %s %d %s\n", sc.AccountID, sc.Mode, head.Seq, head.Hash)
		} else {
			err = report(err)
		}
		if err != nil {
			return err
		}
		n, err := o.verifyConsents(ctx, sc, out)
		if err != nil {
			return err
		}
		broken += n
	}
	for _, head := range heads {
		if err := o.store.AuditHolds(ctx, head); err != nil {
			if err = report(err); err != nil {
				return err
			}
		}
	}
	if broken > 0 {
		return fmt.Errorf("the audit log does not hold: %d broken", broken)
	}
	return nil
}

// verifyConsents prints where chains of consent do not hold, and returns how
// many those are.
func (o *operator) verifyConsents(ctx context.Context, sc consult.Scope, out io.Writer) (int, error) {
	_, broken, err := o.store.VerifyConsents(ctx, sc)
	if err != nil {
		return 0, plainError(err)
	}
	for _, b := range broken {
		_, err := fmt.Fprintf(out, "BROKEN %s %s consents of %s at record %d: %s\n", sc.AccountID, sc.Mode, b.SessionID, b.Seq, b.Why)
		if err != nil {
			return 0, err
		}
	}
	return len(broken), nil
}

// readHeads reads the lines that verifyAudit printed earlier.
func readHeads(file string) (heads []store.AuditHead, err error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		var h store.AuditHead
		if len(fields) == 3 { // a chain without entries has no hash
			fields = append(fields, "")
		}
		if len(fields) == 4 {
			h.Scope = consult.Scope{AccountID: fields[0], Mode: consult.Mode(fields[1])}
			h.Seq, err = strconv.ParseInt(fields[2], 10, 64)
			h.Hash = fields[3]
		}
		if err != nil || !h.Scope.Mode.Valid() {
			return nil, fmt.Errorf("%s: %q is no line of audit verify", file, lines.Text())
		}
		heads = append(heads, h)
	}
	return heads, lines.Err()
}

// signChains signs the chains that carry no signature of this server, after
// walking all of each.
func (o *operator) signChains(ctx context.Context, out io.Writer) error {
	scopes, err := o.store.Scopes(ctx)
	if err != nil {
		return plainError(err)
	}
	for _, sc := range scopes {
		e := consult.Event{
			ID: consult.NewID(consult.PrefixEvent), Type: consult.EventAuditSigned, Scope: sc, Actor: auth.Operator, At: time.Now().UTC(),
		}
		if err := o.store.SignChain(ctx, sc, e); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "The audit chain of %s (%s) is signed.\n", sc.AccountID, sc.Mode); err != nil {
			return err
		}
	}
	return nil
}
