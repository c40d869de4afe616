package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrPostgresBackup says how a PostgreSQL database is backed up.
var ErrPostgresBackup = errors.New("the data is in PostgreSQL: back it up with pg_dump, " +
	"for example pg_dump --format=custom --file=FILE \"$CHATMED_DATABASE_URL\"")

// Backup writes the SQLite database of dataDir as it is at one moment to a new
// file, while servers go on writing. It refuses to overwrite anything. With a
// databaseURL it returns ErrPostgresBackup. A server whose data directory has
// that file as chatmed.db continues from it.
func Backup(ctx context.Context, databaseURL, dataDir, out string) (err error) {
	if databaseURL != "" {
		return ErrPostgresBackup
	}
	path, err := filepath.Abs(filepath.Join(dataDir, sqliteFile))
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("there is no database to back up: %w", err)
	}
	if out, err = filepath.Abs(out); err != nil {
		return fmt.Errorf("backup file: %w", err)
	}
	// Made first, so that it is private, and so that nothing is overwritten:
	// VACUUM INTO takes an empty file.
	f, err := os.OpenFile(out, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already and is not overwritten", out)
	}
	if err != nil {
		return fmt.Errorf("backup file: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(out))
		}
	}()
	db, err := sql.Open("sqlite", sqliteDSN(path, false))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, `VACUUM INTO $1`, out); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return f.Sync() // the same file, so what VACUUM wrote
}
