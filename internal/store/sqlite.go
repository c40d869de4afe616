package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	sqliteFile    = "chatmed.db"
	sqliteReaders = 4
)

func sqliteDialect() *dialect {
	return &dialect{
		name: "sqlite", goose: goose.DialectSQLite3, classify: classifySQLite,
		snapshot: &sql.TxOptions{ReadOnly: true},
		compact:  []string{`PRAGMA wal_checkpoint(TRUNCATE)`},
	}
}

func openSQLite(ctx context.Context, dataDir string, log *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	path, err := filepath.Abs(filepath.Join(dataDir, sqliteFile))
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	// SQLite would create the file readable by everyone; its journal and shared
	// memory take the mode of the file.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("database file: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("database file: %w", err)
	}

	s := &Store{dialect: sqliteDialect(), log: log}
	if s.writer, err = sql.Open("sqlite", sqliteDSN(path, false)); err != nil {
		return nil, err
	}
	s.writer.SetMaxOpenConns(1)
	if err := migrate(ctx, s.writer, s.dialect, log); err != nil {
		return nil, errors.Join(err, s.writer.Close())
	}
	if s.reader, err = sql.Open("sqlite", sqliteDSN(path, true)); err != nil {
		return nil, errors.Join(err, s.writer.Close())
	}
	s.reader.SetMaxOpenConns(sqliteReaders)
	s.reader.SetMaxIdleConns(sqliteReaders)
	s.queries = newStatements(s.reader)
	return s, nil
}

// sqliteDSN is the connection string of the file at path.
//
// synchronous is FULL: in WAL mode NORMAL does not sync at commit, so a power
// cut can take back transactions that were already acknowledged, and an
// admitted patient or an audit entry must not vanish. FULL costs one sync per
// commit. Transactions begin IMMEDIATE, because one that upgrades from read to
// write cannot wait for the lock (it fails with SQLITE_BUSY at once). The busy
// timeout, for other processes, is under the default deadline of a call.
func sqliteDSN(path string, readOnly bool) string {
	q := url.Values{
		"_pragma": {
			"busy_timeout(4000)", "journal_mode(WAL)", "synchronous(FULL)",
			"foreign_keys(1)", "recursive_triggers(1)", "trusted_schema(0)",
			"secure_delete(1)", // what is removed is overwritten
		},
		"_txlock": {"immediate"},
	}
	if readOnly {
		q["_pragma"] = append(q["_pragma"], "query_only(1)")
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), OmitHost: true, RawQuery: q.Encode()}
	return u.String()
}

func classifySQLite(err error) failure {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return failureOther
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return failureReference
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return failureDuplicate
	}
	switch e.Code() & 0xff { // the primary code of an extended one
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT,
		sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
		return failureUnavailable
	}
	return failureOther
}
