// Package store keeps everything that must survive a restart, in SQLite or
// PostgreSQL: accounts and keys, people, consultations, waiting-room tickets,
// participations, chat, consents, recordings' particulars, revoked tokens, the
// audit log and the outbox. It implements the Store interfaces that its
// consumers declare.
//
// One code path serves both databases; a dialect holds the few differences.
// Every row belongs to an account and a mode, and every query is bound to
// both, except the methods documented as the operator's view or the system's
// work. A row of another scope is as absent as one that never existed.
//
// A write is one transaction of the rows, one audit entry and one outbox row
// per event. Locks are taken in one order, so that writers cannot deadlock:
// consultation, ticket or participation, person, audit chain.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// defaultTimeout bounds a call whose context has no deadline.
const defaultTimeout = 5 * time.Second

var _ consult.Store = (*Store)(nil)

// Store is the database. Safe for concurrent use by any number of goroutines,
// and several processes may share one database.
type Store struct {
	dialect *dialect
	// writer runs transactions; reader runs single queries. On PostgreSQL they
	// are the same pool. SQLite has one writer at a time, so its writer pool is
	// one connection: writers queue in Go, under their deadlines, instead of
	// failing with SQLITE_BUSY.
	writer *sql.DB
	reader *sql.DB
	// queries is what single queries run on: the reader, or its kept statements.
	queries queryable
	log     *slog.Logger
	closed  atomic.Bool
	// signer signs the heads of audit chains; nil until SignAudit.
	signer atomic.Pointer[signer]
	// consentSigner signs records of consent; nil until SignConsents.
	consentSigner atomic.Pointer[consentSigner]
}

// Open connects to databaseURL ("postgres://…"), or, when it is empty, to the
// SQLite file chatmed.db in dataDir, and migrates the schema forward. Several
// processes may open the same new database at once: one migrates, the others
// wait for it. ctx bounds the opening alone.
func Open(ctx context.Context, databaseURL, dataDir string, log *slog.Logger) (*Store, error) {
	var (
		s   *Store
		err error
	)
	switch {
	case databaseURL == "":
		s, err = openSQLite(ctx, dataDir, log)
	case strings.HasPrefix(databaseURL, "postgres://"), strings.HasPrefix(databaseURL, "postgresql://"):
		s, err = openPostgres(ctx, databaseURL, log)
	default: // the URL may hold a password, so it stays out of the message
		return nil, errors.New("store: the database URL must start with postgres://, or be empty for SQLite in the data directory")
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return s, nil
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, func(ctx context.Context, q *querier) error {
		var one int
		return q.row(ctx, `SELECT 1`).Scan(&one)
	})
}

// Close waits for running queries and closes every connection.
func (s *Store) Close() error {
	s.closed.Store(true)
	err := s.writer.Close()
	if s.reader != s.writer {
		err = errors.Join(err, s.reader.Close())
	}
	return err
}

// Scopes lists every account and mode that has a key. System: all scopes.
func (s *Store) Scopes(ctx context.Context) ([]consult.Scope, error) {
	var out []consult.Scope
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		out, err = list(ctx, q, func(r scanner, sc *consult.Scope) error {
			return r.Scan(&sc.AccountID, &sc.Mode)
		}, `SELECT account_id, mode FROM scopes ORDER BY account_id, mode`)
		return err
	})
	return out, err
}
