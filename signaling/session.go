package signaling

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"github.com/chatmed/chatmed/internal/consult"
)

// closeMoved tells a page that its person went on elsewhere.
const closeMoved = 4001

// session is one WebSocket connection. Its reader runs in the goroutine of the
// HTTP handler, its writer beside it; serve stops and awaits the writer.
type session struct {
	srv   *Server
	conn  *websocket.Conn
	log   *slog.Logger
	out   *outbox
	limit *rate.Limiter
	// undecided fires when no join, resume or watch has succeeded in time.
	undecided *time.Timer

	// Owned by the reader.
	room  *room        // holds a reference while set
	self  *participant // fields owned by room's loop
	board *dashboard
}

func newSession(srv *Server, conn *websocket.Conn) *session {
	l := srv.cfg.Limits
	return &session{
		srv: srv, conn: conn,
		log:   srv.log.With("connection", consult.NewID("ws")),
		out:   newOutbox(l.QueueMessages, l.QueueBytes),
		limit: rate.NewLimiter(rate.Limit(l.PerSecond), l.Burst),
	}
}

// serve reads until the connection is over, then takes it out of its room.
func (s *session) serve() {
	written := make(chan struct{})
	gone := make(chan struct{})
	go func() {
		defer close(written)
		s.write(gone)
	}()
	s.undecided = time.AfterFunc(s.srv.cfg.Limits.FirstMessage, func() {
		s.cut(cutFirst, websocket.ClosePolicyViolation, "no join in time")
	})
	err := s.read()
	s.undecided.Stop()
	if s.room != nil {
		s.room.do(func() { s.room.dropped(s) })
		s.srv.release(s.room)
	}
	if s.board != nil {
		s.board.stop()
	}
	if errors.Is(err, websocket.ErrReadLimit) {
		s.linger()
	}
	close(gone)
	s.drop()
	<-written
}

func (s *session) read() error {
	l := s.srv.cfg.Limits
	s.conn.SetReadLimit(l.MessageBytes)
	// A close in progress has its own, shorter deadline.
	alive := func() error {
		if _, _, closing := s.out.closed(); closing {
			return nil
		}
		return s.conn.SetReadDeadline(time.Now().Add(l.PingEvery + l.PongWithin))
	}
	if err := alive(); err != nil {
		return err
	}
	s.conn.SetPongHandler(func(string) error { return alive() })
	for {
		typ, data, err := s.conn.ReadMessage()
		if err != nil {
			s.count(err)
			return err
		}
		if _, _, closing := s.out.closed(); closing {
			continue // only the peer's close frame is of interest now
		}
		if err := alive(); err != nil {
			return err
		}
		s.receive(typ, data)
	}
}

// receive handles one message of the client.
func (s *session) receive(frame int, data []byte) {
	if !s.limit.Allow() {
		s.srv.metrics.cuts.WithLabelValues(cutFlood).Inc()
		s.fatal("", consult.Errorf(consult.RateLimitExceeded, consult.ReasonTooFast, "Too many messages."))
		return
	}
	if frame != websocket.TextMessage {
		s.refuse("", badMessage("Messages are text frames."))
		return
	}
	m, typ, id, err := s.srv.decoder.decode(data)
	s.srv.metrics.received.WithLabelValues(typ).Inc()
	if err != nil {
		s.refuse(id, err)
		return
	}
	m.handle(s, id)
}

// count notes why a connection ended that the client did not end itself.
func (s *session) count(err error) {
	var timeout net.Error
	switch {
	case errors.Is(err, websocket.ErrReadLimit):
		s.srv.metrics.cuts.WithLabelValues(cutTooLarge).Inc()
	case errors.As(err, &timeout) && timeout.Timeout():
		if _, _, closing := s.out.closed(); !closing {
			s.srv.metrics.cuts.WithLabelValues(cutSilent).Inc()
		}
	}
}

// linger reads what the client still sends, so that closing the socket with
// unread bytes does not reset it before the close frame has been read.
func (s *session) linger() {
	raw := s.conn.NetConn()
	if raw.SetReadDeadline(time.Now().Add(s.srv.cfg.Limits.CloseWithin)) == nil {
		_, _ = io.CopyN(io.Discard, raw, 4*s.srv.cfg.Limits.MessageBytes)
	}
}

// write is the only goroutine that writes messages. It ends with the close
// frame, a failed write or the end of the reader.
func (s *session) write(gone <-chan struct{}) {
	l := s.srv.cfg.Limits
	ping := time.NewTicker(l.PingEvery)
	defer ping.Stop()
	for {
		select {
		case <-gone:
			return
		case <-ping.C:
			if s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(l.WriteWithin)) != nil {
				s.drop()
				return
			}
			continue
		case <-s.out.wake:
		}
		if !s.flush() {
			s.drop()
			return
		}
		if code, text, closing := s.out.closed(); closing {
			deadline := time.Now().Add(l.CloseWithin)
			if s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text), deadline) != nil ||
				s.conn.SetReadDeadline(deadline) != nil {
				s.drop()
			}
			return
		}
	}
}

// flush writes everything queued and reports whether that worked.
func (s *session) flush() bool {
	for {
		m, ok := s.out.pop()
		if !ok {
			return true
		}
		if s.conn.SetWriteDeadline(time.Now().Add(s.srv.cfg.Limits.WriteWithin)) != nil ||
			s.conn.WriteMessage(websocket.TextMessage, m.data) != nil {
			return false
		}
		s.srv.metrics.sent.WithLabelValues(m.typ).Inc()
	}
}

// send queues a message. A client that reads too slowly is cut.
func (s *session) send(m message) { s.queue(m, "") }

// push queues a state that supersedes an older one of the same type.
func (s *session) push(m message) { s.queue(m, m.kind()) }

func (s *session) queue(m message, key string) {
	if !s.out.push(outgoing{key: key, typ: m.kind(), data: encode(m)}) {
		s.cut(cutSlow, websocket.CloseTryAgainLater, "too slow")
	}
}

// cut ends the connection without what is still queued. A write in progress and
// the closing handshake get CloseWithin, no more.
func (s *session) cut(reason string, code int, text string) {
	if !s.out.close(code, text, true) {
		return
	}
	s.srv.metrics.cuts.WithLabelValues(reason).Inc()
	s.log.Info("connection cut", "reason", reason)
	deadline := time.Now().Add(s.srv.cfg.Limits.CloseWithin)
	raw := s.conn.NetConn()
	if raw.SetWriteDeadline(deadline) != nil || raw.SetReadDeadline(deadline) != nil {
		s.drop()
	}
}

// close ends the connection after what is queued.
func (s *session) close(code int, text string) { s.out.close(code, text, false) }

// drop closes the socket, which ends reader and writer.
func (s *session) drop() { _ = s.conn.Close() }

// decided notes that the connection has its purpose: someone is in, or watches.
func (s *session) decided() { s.undecided.Stop() }

// call returns a context for one call on behalf of this connection.
func (s *session) call() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.srv.ctx, callTimeout)
}
