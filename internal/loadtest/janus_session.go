package loadtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// keepaliveEvery stays below the minute after which Janus ends a session.
const keepaliveEvery = 25 * time.Second

// janusMessage is what Janus sends: an answer, or an event of a handle.
type janusMessage struct {
	Janus       string `json:"janus"`
	Transaction string `json:"transaction"`
	Sender      uint64 `json:"sender"`
	Data        struct {
		ID uint64 `json:"id"`
	} `json:"data"`
	Error *struct {
		Code   int    `json:"code"`
		Reason string `json:"reason"`
	} `json:"error"`
	Plugin struct {
		Data janusEvent `json:"data"`
	} `json:"plugindata"`
	JSEP *jsep `json:"jsep"`
}

// janusEvent is what the videoroom says.
type janusEvent struct {
	VideoRoom  string `json:"videoroom"`
	PrivateID  uint64 `json:"private_id"`
	Publishers []struct {
		ID uint64 `json:"id"`
	} `json:"publishers"`
	ErrorCode int    `json:"error_code"`
	Error     string `json:"error"`
}

// jsep is an offer or answer. All candidates are in it: there is no trickle.
type jsep struct {
	Type    string `json:"type"`
	SDP     string `json:"sdp"`
	Trickle bool   `json:"trickle"`
}

// janusSession is one session over one WebSocket. events, if any, gets what
// answers no request, on the reader's goroutine; it must not block.
type janusSession struct {
	conn   *websocket.Conn
	id     uint64
	events func(janusMessage)
	done   sync.WaitGroup
	cancel context.CancelFunc

	writing sync.Mutex // held over a write, which has a deadline

	mu      sync.Mutex
	closed  bool
	asked   int
	waiting map[string]chan janusMessage
}

func dialJanus(ctx context.Context, url string, events func(janusMessage)) (*janusSession, error) {
	d := websocket.Dialer{Subprotocols: []string{"janus-protocol"}, HandshakeTimeout: requestTimeout}
	conn, resp, err := d.DialContext(ctx, url, nil)
	if err != nil {
		return nil, fmt.Errorf("janus: %w", err)
	}
	_ = resp.Body.Close() // empty after an upgrade
	s := &janusSession{conn: conn, events: events, waiting: map[string]chan janusMessage{}}
	alive, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.done.Go(s.read)
	s.done.Go(func() { s.keepAlive(alive) })
	m, err := s.ask(ctx, map[string]any{"janus": "create"})
	if err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	s.id = m.Data.ID
	return s, nil
}

// attach makes a handle of the videoroom.
func (s *janusSession) attach(ctx context.Context) (uint64, error) {
	m, err := s.ask(ctx, map[string]any{"janus": "attach", "plugin": "janus.plugin.videoroom"})
	return m.Data.ID, err
}

// message asks the videoroom; offer or answer may go along.
func (s *janusSession) message(ctx context.Context, handle uint64, body map[string]any, jsepType string, sdp ...string) (janusMessage, error) {
	m := map[string]any{"janus": "message", "handle_id": handle, "body": body}
	if jsepType != "" {
		m["jsep"] = jsep{Type: jsepType, SDP: sdp[0]}
	}
	got, err := s.ask(ctx, m)
	if e := got.Plugin.Data; err == nil && e.ErrorCode != 0 {
		err = fmt.Errorf("videoroom: %s (%d)", e.Error, e.ErrorCode)
	}
	return got, err
}

// ask sends a request and waits for what answers it: of a message to a plugin
// not its acknowledgement but its event.
func (s *janusSession) ask(ctx context.Context, m map[string]any) (janusMessage, error) {
	answer := make(chan janusMessage, 1)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return janusMessage{}, errors.New("janus has closed the connection")
	}
	s.asked++
	id := strconv.Itoa(s.asked)
	s.waiting[id] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.waiting, id)
	}()
	m["transaction"] = id
	if s.id != 0 {
		m["session_id"] = s.id
	}
	if err := s.write(m); err != nil {
		return janusMessage{}, err
	}
	select {
	case got, ok := <-answer:
		if !ok {
			return got, errors.New("janus has closed the connection")
		}
		if got.Error != nil {
			return got, fmt.Errorf("janus: %s (%d)", got.Error.Reason, got.Error.Code)
		}
		return got, nil
	case <-ctx.Done():
		return janusMessage{}, fmt.Errorf("janus does not answer %v: %w", m["janus"], ctx.Err())
	}
}

func (s *janusSession) write(m any) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return s.conn.WriteMessage(websocket.TextMessage, b)
}

// read takes messages until the connection is closed.
func (s *janusSession) read() {
	defer s.drop()
	for {
		var m janusMessage
		if err := s.conn.ReadJSON(&m); err != nil {
			return
		}
		if m.Janus == "ack" {
			continue
		}
		s.mu.Lock()
		answer := s.waiting[m.Transaction]
		delete(s.waiting, m.Transaction)
		s.mu.Unlock()
		switch {
		case answer != nil:
			answer <- m
		case s.events != nil:
			s.events(m)
		}
	}
}

// drop tells those who wait that nothing comes any more.
func (s *janusSession) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for id, answer := range s.waiting {
		close(answer)
		delete(s.waiting, id)
	}
}

func (s *janusSession) keepAlive(ctx context.Context) {
	t := time.NewTicker(keepaliveEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if err := s.write(map[string]any{"janus": "keepalive", "session_id": s.id, "transaction": "keepalive"}); err != nil {
			return
		}
	}
}

// close ends the session, which ends its handles.
func (s *janusSession) close(ctx context.Context) error {
	s.cancel()
	var err error
	if s.id != 0 {
		_, err = s.ask(ctx, map[string]any{"janus": "destroy"})
	}
	_ = s.conn.Close()
	s.done.Wait()
	return err
}
