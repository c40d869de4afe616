package store

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	// maxAttempts bounds how often a transaction that lost a race runs again.
	maxAttempts = 8
	retryBase   = 5 * time.Millisecond
)

// queryable is what *sql.DB and *sql.Tx have in common.
type queryable interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// querier runs queries of one dialect, in a transaction or not.
type querier struct {
	on      queryable
	dialect *dialect
	signer  *signer // nil: chains are not signed
}

// scanner is a row of *sql.Row or *sql.Rows.
type scanner interface {
	Scan(dest ...any) error
}

// exec returns how many rows the statement touched.
func (q *querier) exec(ctx context.Context, query string, args ...any) (int64, error) {
	r, err := q.on.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (q *querier) row(ctx context.Context, query string, args ...any) *sql.Row {
	return q.on.QueryRowContext(ctx, query, args...)
}

// one reads a single row; none is a NotFound naming what.
func one[T any](ctx context.Context, q *querier, what string, scan func(scanner, *T) error, query string, args ...any) (*T, error) {
	v := new(T)
	err := scan(q.row(ctx, query, args...), v)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, notFound(what)
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// scanOne reads a single row into dest; none is a NotFound naming what.
func scanOne(row *sql.Row, what string, dest ...any) error {
	err := row.Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return notFound(what)
	}
	return err
}

// list reads every row of the query.
func list[T any](ctx context.Context, q *querier, scan func(scanner, *T) error, query string, args ...any) (out []T, err error) {
	rows, err := q.on.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

func (s *Store) on(db queryable) *querier {
	return &querier{on: db, dialect: s.dialect, signer: s.signer.Load()}
}

// read runs fn outside a transaction, under a deadline.
func (s *Store) read(ctx context.Context, fn func(context.Context, *querier) error) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	return s.public(fn(ctx, s.on(s.queries)))
}

// write runs fn in a transaction, under a deadline, and runs it again when the
// database says that it lost a race. fn must therefore set its results anew
// each time and touch nothing outside the database.
func (s *Store) write(ctx context.Context, fn func(context.Context, *querier) error) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	for attempt := 1; ; attempt++ {
		err := s.transact(ctx, fn)
		if err == nil {
			return nil
		}
		if attempt == maxAttempts || s.dialect.failure(err) != failureRetry {
			return s.public(err)
		}
		if !pause(ctx, retryBase<<attempt) {
			return s.public(err)
		}
	}
}

// transact uses the database's default isolation (READ COMMITTED on
// PostgreSQL): what must not change under a transaction it locks by row, and
// what must be unique a unique index decides.
func (s *Store) transact(ctx context.Context, fn func(context.Context, *querier) error) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	// After Commit this does nothing; after an error or a panic in fn nothing of
	// the transaction stays. Its own failure adds nothing to err.
	defer func() { _ = tx.Rollback() }()
	if err := fn(ctx, s.on(tx)); err != nil {
		return err
	}
	return tx.Commit()
}

// public is dialect.public, which cannot know that the store was closed:
// database/sql has no exported error for it.
func (s *Store) public(err error) error {
	var e *consult.Error
	if err != nil && s.closed.Load() && !errors.As(err, &e) {
		return unavailable(err)
	}
	return s.dialect.public(err)
}

func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, defaultTimeout)
}

// pause waits up to d, at least half of it, and reports whether ctx still runs.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d/2 + rand.N(d/2+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// clean makes text storable on both databases: PostgreSQL refuses the NUL
// character and bytes that are not UTF-8.
func clean(text string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "\uFFFD")
}
