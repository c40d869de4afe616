package signaling

import (
	"errors"

	"github.com/gorilla/websocket"

	"github.com/chatmed/chatmed/internal/consult"
)

// message is everything the server sends.
type message interface{ kind() string }

// errorMessage refuses something, in the words of the REST API.
type errorMessage struct {
	Type    string       `json:"type"`
	ID      string       `json:"id,omitempty"`
	Error   consult.Code `json:"error"`
	Reason  string       `json:"reason"`
	Message string       `json:"message"`
	Code    int          `json:"code"`
	Fatal   bool         `json:"fatal"`
	// Note is what the doctor told the patient with a refusal.
	Note string `json:"note,omitempty"`
}

func (errorMessage) kind() string { return "error" }

// refuse answers with an error and goes on.
func (s *session) refuse(id string, err error) { _ = s.sendError(id, err, false) }

// fatal answers with an error and closes.
func (s *session) fatal(id string, err error) {
	e := s.sendError(id, err, true)
	code := websocket.ClosePolicyViolation
	if e.Code == consult.ServiceUnavailable || e.Code == consult.InternalError {
		code = websocket.CloseTryAgainLater
	}
	if e.Reason == consult.ReasonDraining {
		code = websocket.CloseGoingAway
	}
	s.close(code, e.Reason)
}

func (s *session) sendError(id string, err error, fatal bool) *consult.Error {
	e := consult.AsError(err)
	if e.Code == consult.InternalError || e.Code == consult.ServiceUnavailable {
		s.log.Error("request failed", "reason", e.Reason, "err", err)
	}
	s.srv.metrics.refusals.WithLabelValues(string(e.Code)).Inc()
	m := errorMessage{
		Type: "error", ID: id, Error: e.Code, Reason: e.Reason, Message: e.Message, Code: e.Code.Status(), Fatal: fatal,
	}
	var noted *notedError
	if errors.As(err, &noted) {
		m.Note = noted.note
	}
	s.send(m)
	return e
}

// notedError is a refusal with what the doctor told the patient: patient data,
// so it is in no text of the error.
type notedError struct {
	error
	note string
}

func (e *notedError) Unwrap() error { return e.error }

func notJoined() *consult.Error {
	return consult.Errorf(consult.Conflict, consult.ReasonNotJoined, "Join the consultation first.")
}

func noGrant() *consult.Error {
	return consult.Errorf(consult.Forbidden, consult.ReasonNoGrant, "You may not do this here.")
}

func draining() *consult.Error {
	return consult.Errorf(consult.ServiceUnavailable, consult.ReasonDraining, "The server is stopping. Connect again in a moment.")
}
