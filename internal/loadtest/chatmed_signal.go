package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/webrtc/v4"
)

const (
	signalPath   = "/signal/v1"
	writeTimeout = 10 * time.Second
)

// serverMessage is what the load test reads of the server's messages.
type serverMessage struct {
	Type    string `json:"type"`
	Answer  string `json:"answer"`
	Reason  string `json:"reason"`
	Message any    `json:"message"`

	Recording struct {
		Wordings []struct {
			ID       string `json:"id"`
			Language string `json:"language"`
		} `json:"wordings"`
	} `json:"recording"`
}

// publication is one line of an offer.
type publication struct {
	Mid    string `json:"mid"`
	Source string `json:"source"`
}

// joinMessage is the first message of a page (docs/signaling.md).
type joinMessage struct {
	Type         string        `json:"type"`
	Protocol     int           `json:"protocol"`
	Token        string        `json:"token"`
	SessionID    string        `json:"session_id"`
	Instance     string        `json:"instance"`
	TakeOver     bool          `json:"take_over"`
	Offer        string        `json:"offer"`
	Publications []publication `json:"publications"`
}

// chatmedParticipant joins by docs/signaling.md.
type chatmedParticipant struct {
	t      *chatmedTarget
	c      *client
	access access

	conn    *websocket.Conn
	pc      *webrtc.PeerConnection
	hello   joinMessage
	answers chan serverMessage // joined, admitted or error; closed with the connection
	reader  sync.WaitGroup
}

func (p *chatmedParticipant) prepare(ctx context.Context) error {
	u := *p.t.base
	u.Scheme = map[string]string{"http": "ws", "https": "wss"}[u.Scheme]
	conn, resp, err := websocket.DefaultDialer.DialContext(ctx, u.String()+signalPath, nil)
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // empty after an upgrade
	p.conn, p.answers = conn, make(chan serverMessage, 4)
	p.reader.Go(p.read)
	pc, mids, err := p.c.connection(p.c.pub != nil)
	if err != nil {
		return err
	}
	p.pc = pc
	if err := p.c.receiveLines(pc, p.t.video); err != nil {
		return err
	}
	p.hello = joinMessage{
		Type: "join", Protocol: 1, Token: p.access.token, SessionID: p.access.session,
		Instance: fmt.Sprintf("load-%x", rand.Uint64()), TakeOver: true, Publications: []publication{},
	}
	if p.hello.Offer, err = offerOf(ctx, pc); err != nil {
		return err
	}
	if mids != nil {
		audio, video := mids()
		p.hello.Publications = append(p.hello.Publications, publication{audio, "microphone"})
		if video != "" {
			p.hello.Publications = append(p.hello.Publications, publication{video, "camera"})
		}
	}
	return nil
}

func (p *chatmedParticipant) join(ctx context.Context) (time.Time, error) {
	if err := p.send(p.hello); err != nil {
		return time.Time{}, err
	}
	for {
		select {
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("no answer to join: %w", ctx.Err())
		case m, ok := <-p.answers:
			at := time.Now()
			switch {
			case !ok:
				return at, errors.New("closed before an answer to join")
			case m.Type == "error":
				return at, fmt.Errorf("join refused: %s (%v)", m.Reason, m.Message)
			case m.Answer == "":
				return at, fmt.Errorf("%s without an answer: is the room full?", m.Type)
			}
			if err := applyAnswer(p.pc, m.Answer); err != nil {
				return at, err
			}
			if err := p.send(map[string]string{"type": "ready"}); err != nil || !p.t.record {
				return at, err
			}
			return at, p.agree(m)
		}
	}
}

// agree consents to being recorded; the doctor, who is the first of a room,
// starts it.
func (p *chatmedParticipant) agree(joined serverMessage) error {
	if len(joined.Recording.Wordings) == 0 {
		return errors.New("the server asks for no consent: does the key's plan have recording?")
	}
	w := joined.Recording.Wordings[0]
	err := p.send(map[string]string{"type": "consent", "decision": "granted", "wording_id": w.ID, "language": w.Language})
	if err != nil || p.c.index != 0 {
		return err
	}
	return p.send(map[string]any{"type": "record", "on": true})
}

// send writes one message. Only one goroutine at a time calls it.
func (p *chatmedParticipant) send(m any) error {
	if err := p.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return p.conn.WriteJSON(m)
}

// read takes messages until the connection is closed.
func (p *chatmedParticipant) read() {
	defer close(p.answers)
	for {
		var m serverMessage
		if err := p.conn.ReadJSON(&m); err != nil {
			return
		}
		switch m.Type {
		case "joined", "admitted", "error":
			select {
			case p.answers <- m:
			default: // nobody waits for a fifth
			}
		}
	}
}

func (p *chatmedParticipant) leave(context.Context) error {
	if p.conn == nil {
		return nil
	}
	err := p.send(map[string]string{"type": "leave"})
	// The server closes; its deadline is ours too.
	_ = p.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	p.reader.Wait()
	_ = p.conn.Close()
	return err
}
