package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/chatmed/chatmed/internal/config"
	"github.com/chatmed/chatmed/internal/store"
)

// backup copies the SQLite database to a new file, also while the server runs.
func backup(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("chatmed backup", flag.ContinueOnError)
	config.Flags(fs)
	file := fs.String("out", "", "new file to write")
	if err := config.ParseFlags(fs, args); err != nil {
		return err
	}
	if *file == "" {
		return errors.New("backup needs --out FILE, a file that does not exist yet")
	}
	cfg, err := config.Load(fs, os.Environ())
	if err != nil {
		return err
	}
	if err := store.Backup(ctx, cfg.DatabaseURL, cfg.DataDir, *file); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "The database is in %s. Keep CHATMED_SECRET (or the secret in the data directory) with it, apart: "+
		"without it keys, links and signatures are void.\n", *file)
	return err
}
