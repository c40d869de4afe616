package store

import (
	"context"
	"database/sql"
	"sync"
)

// maxStatements bounds the statements kept: those with lists of values differ by
// the length of the list.
const maxStatements = 256

// statements runs queries through statements that are kept: SQLite would parse
// each text anew, which is half of what a small query costs. PostgreSQL's driver
// keeps them by itself.
type statements struct {
	*sql.DB

	mu    sync.RWMutex
	stmts map[string]*sql.Stmt // closed with the database
}

func newStatements(db *sql.DB) *statements { return &statements{DB: db, stmts: map[string]*sql.Stmt{}} }

// statement is the one of a query, nil when there is no room for another or the
// query cannot be prepared, which running it will tell.
func (p *statements) statement(ctx context.Context, query string) *sql.Stmt {
	p.mu.RLock()
	stmt := p.stmts[query]
	p.mu.RUnlock()
	if stmt != nil {
		return stmt
	}
	stmt, err := p.PrepareContext(ctx, query)
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.stmts[query]; other != nil || len(p.stmts) >= maxStatements {
		defer func() { _ = stmt.Close() }()
		return other
	}
	p.stmts[query] = stmt
	return stmt
}

func (p *statements) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := p.statement(ctx, query); stmt != nil { //nolint:sqlclosecheck // closed with the database
		return stmt.QueryContext(ctx, args...)
	}
	return p.DB.QueryContext(ctx, query, args...)
}

func (p *statements) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := p.statement(ctx, query); stmt != nil { //nolint:sqlclosecheck // closed with the database
		return stmt.QueryRowContext(ctx, args...)
	}
	return p.DB.QueryRowContext(ctx, query, args...)
}
