package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// migrations/*.sql run on both databases; migrations/<dialect>/*.sql on one.
// Together their numbers are one sequence.
//
//go:embed migrations
var embedded embed.FS

// migrationLock is the key of the advisory lock that a migrating server holds
// ("chatmed" in hexadecimal).
const migrationLock = 0x636861746d6564

// Migrating waits this long for another server that migrates: 300 tries, one
// second apart.
const (
	lockEverySeconds = 1
	lockTries        = 300
)

// migrate brings the schema to the newest version.
func migrate(ctx context.Context, db *sql.DB, d *dialect, log *slog.Logger) error {
	opts := []goose.ProviderOption{goose.WithSlog(log), goose.WithDisableGlobalRegistry(true)}
	if d.goose == goose.DialectPostgres {
		l, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock), lock.WithLockTimeout(lockEverySeconds, lockTries))
		if err != nil {
			return fmt.Errorf("migrations: %w", err)
		}
		opts = append(opts, goose.WithSessionLocker(l))
	}
	files, err := migrationFiles(d.name)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(d.goose, db, files, opts...)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return migrateUp(ctx, p)
}

// migrateUp runs again when it failed but the schema has moved on: SQLite has
// no lock that outlives a transaction, so two processes may both find the same
// migration missing, and the slower one fails because it is there. Each
// migration is one transaction, so neither leaves half of it behind.
func migrateUp(ctx context.Context, p *goose.Provider) error {
	for from := int64(-1); ; {
		_, upErr := p.Up(ctx)
		version, target, err := p.GetVersions(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("migrations: %w", errors.Join(upErr, err))
		case version > target:
			return fmt.Errorf("migrations: the database has schema version %d, this ChatMed knows %d; start the newer version", version, target)
		case upErr == nil, version == target:
			return nil
		case version <= from:
			return fmt.Errorf("migrations: %w", upErr)
		}
		from = version
	}
}

// overlay is two folders seen as one.
type overlay struct{ shared, own fs.FS }

func migrationFiles(dialect string) (fs.FS, error) {
	shared, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	own, err := fs.Sub(shared, dialect)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return overlay{shared, own}, nil
}

func (o overlay) Open(name string) (fs.File, error) {
	f, err := o.own.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return o.shared.Open(name)
	}
	return f, err
}

// ReadDir lists the files of both folders, sorted as fs.ReadDirFS asks.
func (o overlay) ReadDir(name string) ([]fs.DirEntry, error) {
	var all []fs.DirEntry
	for _, f := range []fs.FS{o.shared, o.own} {
		entries, err := fs.ReadDir(f, name)
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	all = slices.DeleteFunc(all, fs.DirEntry.IsDir)
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return all, nil
}
