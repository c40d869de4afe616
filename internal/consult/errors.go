package consult

import (
	"errors"
	"fmt"
	"net/http"
)

// Code is the documented `error` value of an error body.
type Code string

// The documented codes, and the two HTTP needs beside them.
const (
	BadRequest         Code = "bad_request"
	Unauthorized       Code = "unauthorized"
	Forbidden          Code = "forbidden"
	NotFound           Code = "not_found"
	MethodNotAllowed   Code = "method_not_allowed"
	Conflict           Code = "conflict"
	PayloadTooLarge    Code = "payload_too_large"
	ValidationError    Code = "validation_error"
	RateLimitExceeded  Code = "rate_limit_exceeded"
	InternalError      Code = "internal_error"
	ServiceUnavailable Code = "service_unavailable"
	// Of downloads.
	PreconditionFailed  Code = "precondition_failed"
	RangeNotSatisfiable Code = "range_not_satisfiable"
)

// Status is the HTTP status of a code; the one place where they meet.
func (c Code) Status() int {
	switch c {
	case BadRequest:
		return http.StatusBadRequest
	case Unauthorized:
		return http.StatusUnauthorized
	case Forbidden:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case Conflict:
		return http.StatusConflict
	case PayloadTooLarge:
		return http.StatusRequestEntityTooLarge
	case ValidationError:
		return http.StatusUnprocessableEntity
	case RateLimitExceeded:
		return http.StatusTooManyRequests
	case ServiceUnavailable:
		return http.StatusServiceUnavailable
	case PreconditionFailed:
		return http.StatusPreconditionFailed
	case RangeNotSatisfiable:
		return http.StatusRequestedRangeNotSatisfiable
	}
	return http.StatusInternalServerError
}

// Fine reasons that pages and integrators act on. They never change once shipped.
const (
	ReasonTokenMissing      = "token_missing"
	ReasonTokenMalformed    = "token_malformed"
	ReasonTokenSignature    = "token_signature"
	ReasonTokenExpired      = "token_expired"
	ReasonTokenNotYetValid  = "token_not_yet_valid"
	ReasonTokenRevoked      = "token_revoked"
	ReasonTokenWrongSession = "token_wrong_session"
	ReasonTokenWrongRole    = "token_wrong_role"
	ReasonNoGrant           = "no_grant"
	ReasonKeyMissing        = "key_missing"
	ReasonKeyInvalid        = "key_invalid"
	ReasonKeyRevoked        = "key_revoked"
	ReasonPlan              = "plan"
	ReasonNotWaiting        = "not_waiting"
	ReasonNotActive         = "not_active"
	ReasonEnded             = "consultation_ended"
	ReasonCancelled         = "consultation_cancelled"
	ReasonTicketClosed      = "ticket_closed"
	ReasonAlreadyConnected  = "already_connected"
	ReasonBadMessage        = "bad_message"
	ReasonUnknownType       = "unknown_type"
	ReasonNotJoined         = "not_joined"
	ReasonTooFast           = "too_fast"
	ReasonTooLarge          = "too_large"
	ReasonBadOffer          = "bad_offer"
	ReasonResumeUnknown     = "resume_unknown"
	ReasonRoomFull          = "room_full"
	ReasonDraining          = "draining"
	ReasonProtocol          = "protocol_version"
	ReasonKeyExpired        = "key_expired"
	ReasonKeyAddress        = "key_address"
	ReasonScope             = "scope"
	ReasonRateMinute        = "rate_minute"
	ReasonRateDay           = "rate_day"
	ReasonConcurrency       = "concurrency"
	ReasonFailedKeys        = "failed_keys"
	ReasonDependency        = "dependency"
	ReasonCursor            = "cursor"
	ReasonOpenConsultation  = "open_consultation"

	ReasonIdempotencyMismatch   = "idempotency_mismatch"
	ReasonIdempotencyInProgress = "idempotency_in_progress"
	ReasonIdempotencyErased     = "idempotency_erased"
)

// FieldError is one validation complaint.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error is every error a caller may see. Message is written for that caller;
// Err, the cause, is for the log alone.
type Error struct {
	Code    Code
	Reason  string
	Message string
	Fields  []FieldError
	Err     error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error with a code, a fine reason ("" for none) and a message.
func Errorf(code Code, reason, format string, args ...any) *Error {
	return &Error{Code: code, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// AsError returns err's *Error, or wraps it as an internal error whose cause
// stays hidden from the caller.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: InternalError, Message: "Unexpected server error. Retry with exponential backoff.", Err: err}
}

// HasCode reports whether err is an *Error of that code.
func HasCode(err error, code Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}
