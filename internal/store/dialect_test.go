package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/chatmed/chatmed/internal/consult"
)

func TestFailuresByWhatCanBeDone(t *testing.T) {
	state := func(code string) error { return fmt.Errorf("exec: %w", &pgconn.PgError{Code: code}) }
	for _, tc := range []struct {
		err  error
		want failure
		code consult.Code
	}{
		{state("40001"), failureRetry, consult.ServiceUnavailable},
		{state("40P01"), failureRetry, consult.ServiceUnavailable},
		{state("23503"), failureReference, consult.NotFound},
		{state("23505"), failureDuplicate, consult.Conflict},
		{state("55P03"), failureUnavailable, consult.ServiceUnavailable},
		{state("57014"), failureUnavailable, consult.ServiceUnavailable},
		{state("57P01"), failureUnavailable, consult.ServiceUnavailable},
		{state("08006"), failureUnavailable, consult.ServiceUnavailable},
		{state("53300"), failureUnavailable, consult.ServiceUnavailable},
		{state("42601"), failureOther, consult.InternalError},
		{state(""), failureOther, consult.InternalError},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), failureUnavailable, consult.ServiceUnavailable},
		{context.DeadlineExceeded, failureUnavailable, consult.ServiceUnavailable},
		{errRetry, failureRetry, consult.ServiceUnavailable},
		{errors.New("other"), failureOther, consult.InternalError},
	} {
		d := postgresDialect()
		if got := d.failure(tc.err); got != tc.want {
			t.Errorf("%v: failure %d, want %d", tc.err, got, tc.want)
		}
		err := d.public(tc.err)
		if !consult.HasCode(err, tc.code) || !errors.Is(err, tc.err) {
			t.Errorf("%v: the caller sees %v, want %s", tc.err, err, tc.code)
		}
	}
	own := consult.Errorf(consult.Conflict, consult.ReasonEnded, "x")
	if err := postgresDialect().public(fmt.Errorf("change: %w", own)); !errors.Is(err, own) {
		t.Errorf("the caller's own error became %v", err)
	}
}

func TestEveryCallHasADeadline(t *testing.T) {
	ctx, cancel := withDeadline(t.Context())
	defer cancel()
	if _, ok := ctx.Deadline(); !ok {
		t.Error("no deadline was added")
	}
	own, cancelOwn := context.WithTimeout(t.Context(), time.Hour)
	defer cancelOwn()
	ctx, cancel = withDeadline(own)
	defer cancel()
	got, _ := ctx.Deadline()
	if want, _ := own.Deadline(); !got.Equal(want) {
		t.Errorf("the caller's deadline %v became %v", want, got)
	}
}

// A transaction that keeps losing gives up after a bounded number of attempts.
func TestRetriesAreBounded(t *testing.T) {
	s, err := Open(t.Context(), "", t.TempDir(), discard())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	runs := 0
	err = s.write(t.Context(), func(context.Context, *querier) error {
		runs++
		return errRetry
	})
	if runs != maxAttempts || !consult.HasCode(err, consult.ServiceUnavailable) {
		t.Errorf("ran %d times, error %v", runs, err)
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
