package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/config"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

// operator is what the commands beside serve work with: the database alone,
// also while servers run on it.
type operator struct {
	store *store.Store
	keys  *auth.Keys
}

// withOperator opens the database for one command.
func withOperator(ctx context.Context, cfg *config.Config, do func(*operator) error) (err error) {
	log := slog.New(slog.DiscardHandler)
	a := &app{cfg: cfg, now: time.Now, log: log}
	if err = a.openDatabase(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.closeStores()) }()
	if err = signAudit(ctx, cfg, a.store); err != nil {
		return err
	}
	secrets, err := auth.NewSecrets([]byte(cfg.Secret), []byte(cfg.SecretPrevious))
	if err != nil {
		return err
	}
	keys, err := auth.NewKeys(a.store, secrets, time.Now, log)
	if err != nil {
		return err
	}
	return do(&operator{store: a.store, keys: keys})
}

// signAudit has the audit chains of this database, and its records of consent,
// signed under our secret.
func signAudit(ctx context.Context, cfg *config.Config, s *store.Store) error {
	secrets, err := auth.NewSecrets([]byte(cfg.Secret), []byte(cfg.SecretPrevious))
	if err != nil {
		return err
	}
	keys, err := secrets.Derive(auth.PurposeAudit)
	if err != nil {
		return err
	}
	consents, err := secrets.Derive(auth.PurposeConsent)
	if err != nil {
		return err
	}
	return errors.Join(s.SignAudit(ctx, keys), s.SignConsents(ctx, consents))
}

// scope is the account of that id or name, in that mode.
func (o *operator) scope(ctx context.Context, account, mode string) (consult.Scope, error) {
	sc := consult.Scope{Mode: consult.Mode(mode)}
	if account == "" || !sc.Mode.Valid() {
		return sc, errors.New("say whose data it is: --account with its id or name, and --mode live or test")
	}
	acc, err := o.store.Account(ctx, account)
	if consult.HasCode(err, consult.NotFound) {
		acc, err = o.store.AccountByName(ctx, account)
	}
	if consult.HasCode(err, consult.NotFound) {
		return sc, fmt.Errorf("there is no account %q", account)
	}
	if err != nil {
		return sc, plainError(err)
	}
	sc.AccountID = acc.ID
	return sc, nil
}
