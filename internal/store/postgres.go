package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

const (
	postgresConns    = 16
	postgresIdle     = 8
	postgresIdleTime = 5 * time.Minute
	// A connection is replaced now and then, so that servers behind a moved
	// address or a load balancer are found.
	postgresLifetime = 30 * time.Minute
)

func postgresDialect() *dialect {
	return &dialect{
		name: "postgres", goose: goose.DialectPostgres, classify: classifyPostgres,
		// NO KEY: inserting a row that references a locked one need not wait.
		lockRow:  ` FOR NO KEY UPDATE`,
		snapshot: postgresSnapshot,
		compact: []string{
			`VACUUM people`, `VACUUM consultations`, `VACUUM tickets`, `VACUUM participations`, `VACUUM chat_messages`,
			`VACUUM waiting_messages`, `VACUUM revoked_people`, `VACUUM idempotency`, `VACUUM outbox`,
		},
	}
}

func openPostgres(ctx context.Context, databaseURL string, log *slog.Logger) (*Store, error) {
	cfg, err := pgx.ParseConfig(databaseURL)
	if err != nil { // ParseConfig keeps the password out of its errors
		return nil, fmt.Errorf("database URL: %w", err)
	}
	conns, err := takePoolSize(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = defaultTimeout
	}
	d := postgresDialect()

	// Migrations may take longer than a request may, so they run on connections
	// of their own, before the limits below are set.
	mdb := stdlib.OpenDB(*cfg.Copy())
	mdb.SetMaxOpenConns(2)
	if err := errors.Join(migrate(ctx, mdb, d, log), mdb.Close()); err != nil {
		return nil, err
	}

	// A cancelled context makes pgx drop the connection, but the server notices
	// late when it is waiting for a lock; these make it give up by itself.
	for name, value := range map[string]string{
		"application_name":                    "chatmed",
		"statement_timeout":                   "30s",
		"lock_timeout":                        "4s",
		"idle_in_transaction_session_timeout": "15s",
	} {
		if _, set := cfg.RuntimeParams[name]; !set {
			cfg.RuntimeParams[name] = value
		}
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(min(conns, postgresIdle))
	db.SetConnMaxIdleTime(postgresIdleTime)
	db.SetConnMaxLifetime(postgresLifetime)
	return &Store{dialect: d, writer: db, reader: db, queries: db, log: log}, nil
}

// takePoolSize reads pool_max_conns, the parameter operators know from other
// pools, and removes it: the server would refuse it.
func takePoolSize(cfg *pgx.ConnConfig) (int, error) {
	v, ok := cfg.RuntimeParams["pool_max_conns"]
	if !ok {
		return postgresConns, nil
	}
	delete(cfg.RuntimeParams, "pool_max_conns")
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, errors.New("database URL: pool_max_conns must be a number of connections, at least 1")
	}
	return n, nil
}

// classifyPostgres reads the SQLSTATE, PostgreSQL manual appendix A.
func classifyPostgres(err error) failure {
	var connect *pgconn.ConnectError
	var e *pgconn.PgError
	switch {
	case errors.As(err, &e):
	case errors.As(err, &connect), errors.Is(err, sql.ErrConnDone), pgconn.Timeout(err):
		return failureUnavailable
	default:
		return failureOther
	}
	switch e.Code {
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return failureRetry
	case "23503":
		return failureReference
	case "23505":
		return failureDuplicate
	case "55P03", "57014", "25P03": // lock_not_available, query_canceled, idle_in_transaction_session_timeout
		return failureUnavailable
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08", "53", "57", "58": // connection, resources, operator intervention, system
		return failureUnavailable
	}
	return failureOther
}
