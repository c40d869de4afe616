package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/chatmed/chatmed/internal/consult"
)

// message is every message of the server, as docs/signaling.md describes them.
type message struct {
	Type          string `json:"type"`
	ID            string `json:"id"`
	ParticipantID string `json:"participant_id"`
	Secret        string `json:"secret"`
	State         string `json:"state"`
	Answer        string `json:"answer"`
	Reason        string `json:"reason"`
	Session       struct {
		Status consult.Status `json:"status"`
	} `json:"session"`
	Waiting struct {
		Why      string `json:"why"`
		TicketID string `json:"ticket_id"`
		Position int    `json:"position"`
	} `json:"waiting"`
	Participants []struct {
		ID    string       `json:"id"`
		Role  consult.Role `json:"role"`
		State string       `json:"state"`
	} `json:"participants"`
	Queue []queued `json:"queue"`
	// Recording is in joined, admitted and resumed; a push has its fields itself.
	Recording struct {
		State    string `json:"state"`
		Wordings []struct {
			ID       string `json:"id"`
			Language string `json:"language"`
			Text     string `json:"text"`
		} `json:"wordings"`
	} `json:"recording"`
	RecordingID string `json:"recording_id"`
	// Tickets is the queue on its own.
	Tickets []queued `json:"tickets"`
	// Chat is the history; Message is one message of chat, or an error's text.
	Chat    []said          `json:"chat"`
	Message json.RawMessage `json:"message"`
}

type queued struct {
	TicketID    string `json:"ticket_id"`
	SessionID   string `json:"session_id"`
	PatientID   string `json:"patient_id"`
	PatientName string `json:"patient_name"`
	Position    int    `json:"position"`
}

type said struct {
	Role consult.Role `json:"role"`
	Text string       `json:"text"`
}

// person plays a browser that has opened a join link. Its methods but receive
// belong to the test's goroutine.
type person struct {
	t       *testing.T
	srv     *server
	role    string
	token   string
	session string
	call    *call // nil: chat only

	conn   *websocket.Conn
	closed chan struct{} // when conn's reader has ended
	code   int           // of the close frame, once closed
	asked  int           // messages with an id

	participantID, secret string

	mu    sync.Mutex
	inbox []message // not yet awaited
	news  chan struct{}
}

// visitor opens a join link as the page does: the token is in the fragment.
func (s *server) visitor(link string) *person {
	s.t.Helper()
	u, err := url.Parse(link)
	must(s.t, err)
	fragment, err := url.ParseQuery(u.Fragment)
	must(s.t, err)
	p := &person{
		t: s.t, srv: s, role: u.Query().Get("role"), token: fragment.Get("token"),
		session: strings.TrimPrefix(u.Path, "/room/"), news: make(chan struct{}, 1),
	}
	s.t.Cleanup(p.leave)
	return p
}

// withMedia gives the person a camera and a microphone that say name.
func (p *person) withMedia(name string) *person {
	p.call = newCall(p.t, name)
	return p
}

// withoutMedia hangs up, if there is anything to hang up.
func (p *person) withoutMedia() *person {
	if p.call != nil {
		p.call.close()
		p.call = nil
	}
	return p
}

// dial connects, without a word yet.
func (p *person) dial() {
	p.t.Helper()
	conn, resp, err := websocket.DefaultDialer.DialContext(p.t.Context(), "ws://"+p.srv.addr()+"/signal/v1", nil)
	if resp != nil {
		_ = resp.Body.Close()
	}
	must(p.t, err)
	p.conn, p.closed, p.inbox = conn, make(chan struct{}), nil
	go p.receive(conn, p.closed)
}

func (p *person) receive(conn *websocket.Conn, closed chan struct{}) {
	defer close(closed)
	for {
		_, data, err := conn.ReadMessage()
		var end *websocket.CloseError
		if errors.As(err, &end) {
			p.code = end.Code
		}
		if err != nil {
			return
		}
		var m message
		if err := json.Unmarshal(data, &m); err != nil {
			p.t.Errorf("%s got %v", p.role, err)
			return
		}
		p.mu.Lock()
		p.inbox = append(p.inbox, m)
		p.mu.Unlock()
		select {
		case p.news <- struct{}{}:
		default:
		}
	}
}

func (p *person) send(m map[string]any) {
	p.t.Helper()
	must(p.t, p.conn.WriteJSON(m))
}

// ask sends a message with an id and returns the reply.
func (p *person) ask(m map[string]any) message {
	p.t.Helper()
	p.asked++
	id := fmt.Sprint("q", p.asked)
	m["id"] = id
	p.send(m)
	return p.await("a reply to "+m["type"].(string), func(m message) bool { return m.ID == id })
}

// await takes the first message that ok holds for, of those not awaited yet.
func (p *person) await(what string, ok func(message) bool) message {
	p.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for over := false; ; {
		p.mu.Lock()
		for i, m := range p.inbox {
			if ok(m) {
				p.inbox = append(p.inbox[:i:i], p.inbox[i+1:]...)
				p.mu.Unlock()
				return m
			}
		}
		left := fmt.Sprintf("%+v", p.inbox)
		p.mu.Unlock()
		if over {
			p.t.Fatalf("%s waited in vain for %s; unread: %s", p.role, what, left)
		}
		select {
		case <-p.news:
		case <-p.closed: // look once more: the last message may just have come
			over = true
		case <-limit.C:
			over = true
		}
	}
}

func (p *person) awaitType(typ string) message {
	p.t.Helper()
	return p.await(typ, func(m message) bool { return m.Type == typ })
}

// join is the first message of a page. It returns joined, waiting or error.
func (p *person) join() message {
	p.t.Helper()
	if p.conn == nil || isClosed(p.closed) {
		p.dial()
	}
	m := map[string]any{
		"type": "join", "protocol": 1, "token": p.token, "session_id": p.session,
		"instance": "page-of-" + p.role, "take_over": true,
	}
	if p.call != nil {
		m["offer"], m["publications"] = p.call.offer()
	}
	reply := p.ask(m)
	p.participantID, p.secret = reply.ParticipantID, reply.Secret
	if reply.Answer != "" {
		p.apply(reply)
	}
	return reply
}

// mustJoin is join of someone who is let in at once.
func (p *person) mustJoin() message {
	p.t.Helper()
	m := p.join()
	if m.Type != "joined" {
		p.t.Fatalf("%s is not in: %+v", p.role, m)
	}
	return m
}

// mustWait is join of someone who has to wait.
func (p *person) mustWait() message {
	p.t.Helper()
	m := p.join()
	if m.Type != "waiting" {
		p.t.Fatalf("%s need not wait: %+v", p.role, m)
	}
	return m
}

// apply takes the server's answer and lets media flow.
func (p *person) apply(m message) {
	p.t.Helper()
	p.call.apply(m.Answer)
	p.send(map[string]any{"type": "ready"})
}

// awaitAdmitted waits to be let in.
func (p *person) awaitAdmitted() message {
	p.t.Helper()
	m := p.awaitType("admitted")
	if p.call != nil {
		p.apply(m)
	}
	return m
}

// cut breaks the connection as a lost network does, without a word.
func (p *person) cut() {
	p.t.Helper()
	must(p.t, p.conn.NetConn().Close())
	<-p.closed
}

// resume takes up what was cut.
func (p *person) resume() message {
	p.t.Helper()
	p.dial()
	return p.ask(map[string]any{"type": "resume", "protocol": 1, "participant_id": p.participantID, "secret": p.secret})
}

// awaitClose waits for the end of the connection and returns its code.
func (p *person) awaitClose() int {
	p.t.Helper()
	eventually(p.t, p.role+"'s connection is closed", func() bool { return isClosed(p.closed) })
	_ = p.conn.Close() // what the server has closed already
	return p.code
}

// leave says goodbye, if there is anybody to say it to, and hangs up.
func (p *person) leave() {
	if p.conn != nil && !isClosed(p.closed) {
		_ = p.conn.WriteJSON(map[string]any{"type": "leave"}) // unless it is being closed
		select {
		case <-p.closed:
		case <-time.After(patience):
			p.t.Errorf("%s's connection is not closed after leave", p.role)
		}
	}
	p.hangUp()
}

// hangUp ends what is left of the connection and the call.
func (p *person) hangUp() {
	if p.conn != nil {
		_ = p.conn.Close() // it may be closed already
		<-p.closed
		p.conn = nil
	}
	p.withoutMedia()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// said is the message of a chat.
func (m message) said(t *testing.T) (s said) {
	t.Helper()
	must(t, json.Unmarshal(m.Message, &s))
	return s
}

// has reports whether somebody of role is in that state.
func (m message) has(role consult.Role, state string) bool {
	for _, p := range m.Participants {
		if p.Role == role && p.State == state {
			return true
		}
	}
	return false
}
