package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/pressly/goose/v3"
)

// dialect is what differs between the two databases once the schema stands.
// Placeholders do not: both understand $1.
type dialect struct {
	name  string
	goose goose.Dialect
	// lockRow ends a SELECT that locks its rows until the transaction ends.
	lockRow string
	// snapshot begins a transaction whose reads all see one state.
	snapshot *sql.TxOptions
	// compact are statements that make the files forget removed rows.
	compact []string
	// classify says what kind of failure a driver's error is.
	classify func(error) failure
}

// failure is a database error by what can be done about it.
type failure int

const (
	failureOther failure = iota
	// failureRetry: the transaction lost a race and may run again.
	failureRetry
	// failureUnavailable: no connection, no free lock in time, or shutting down.
	failureUnavailable
	// failureReference: a foreign key points at nothing in this scope.
	failureReference
	// failureDuplicate: a unique index refused the row.
	failureDuplicate
)

// errRetry makes write run the transaction again.
var errRetry = errors.New("lost a race with another transaction")

func (d *dialect) failure(err error) failure {
	if errors.Is(err, errRetry) {
		return failureRetry
	}
	if f := d.classify(err); f != failureOther {
		return f
	}
	var netErr net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, driver.ErrBadConn), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.As(err, &netErr):
		return failureUnavailable
	}
	return failureOther
}

// public turns err into the *consult.Error a caller sees. The cause is kept
// for the log; drivers put no column values in their messages.
func (d *dialect) public(err error) error {
	if err == nil {
		return nil
	}
	var e *consult.Error
	if errors.As(err, &e) {
		return e
	}
	switch d.failure(err) {
	case failureRetry, failureUnavailable:
		return unavailable(err)
	case failureReference:
		return &consult.Error{Code: consult.NotFound, Message: "Requested resource does not exist.", Err: err}
	case failureDuplicate:
		return &consult.Error{Code: consult.Conflict, Message: "The resource exists already.", Err: err}
	case failureOther:
	}
	return consult.AsError(err)
}

func unavailable(err error) error {
	return &consult.Error{Code: consult.ServiceUnavailable, Message: "The database is not available. Try again shortly.", Err: err}
}

func notFound(what string) error {
	return consult.Errorf(consult.NotFound, "", "The %s does not exist.", what)
}
