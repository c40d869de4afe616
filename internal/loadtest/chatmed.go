package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const requestTimeout = 15 * time.Second

// chatmedTarget is a ChatMed server: rooms are consultations made over REST,
// whose patients are admitted before the clock starts.
type chatmedTarget struct {
	base   *url.URL
	key    string
	http   *http.Client
	run    string // tells this run's people from others'
	video  bool
	record bool
	people int // of a room

	mu     sync.Mutex
	access [][]access // by room and index
	made   int        // consultations
}

// access is what lets one participant in.
type access struct{ session, token string }

func newChatMed(o *Options, p profile) (*chatmedTarget, error) {
	base, err := url.Parse(strings.TrimSuffix(o.URL, "/"))
	if err != nil {
		return nil, err
	}
	return &chatmedTarget{
		base: base, key: o.Key, http: &http.Client{Timeout: requestTimeout, Transport: &http.Transport{}},
		run: fmt.Sprintf("load%d", time.Now().UnixNano()), video: len(p.layers) > 0, record: o.Record,
	}, nil
}

func (t *chatmedTarget) open(ctx context.Context, rooms, participants int) error {
	t.access = make([][]access, rooms)
	t.people = participants
	for room := range rooms {
		if err := t.renew(ctx, room); err != nil {
			return fmt.Errorf("room %d: %w", room, err)
		}
	}
	return nil
}

// renew makes a consultation for a room number, in place of an ended one.
func (t *chatmedTarget) renew(ctx context.Context, room int) error {
	t.mu.Lock()
	t.made++
	number := t.made
	t.mu.Unlock()
	a, err := t.consultation(ctx, number, t.people)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.access[room] = a
	return nil
}

// consultation makes one room with an admitted patient, and tokens for all: the
// first publishes as doctor, the second is the patient, the rest are guests.
func (t *chatmedTarget) consultation(ctx context.Context, number, participants int) ([]access, error) {
	doctor, patient := fmt.Sprintf("%s_doc%d", t.run, number), fmt.Sprintf("%s_pat%d", t.run, number)
	var made struct {
		SessionID string `json:"session_id"`
	}
	if err := t.post(ctx, "/api/v1/consultations/video/create", map[string]any{
		"doctor_id": doctor, "patient_id": patient, "enable_recording": t.record,
	}, &made); err != nil {
		return nil, err
	}
	var ticket struct {
		TicketID string `json:"ticket_id"`
	}
	const waiting = "/api/v1/consultations/waiting-room/"
	if err := t.post(ctx, waiting+"join", map[string]any{"doctor_id": doctor, "patient_id": patient, "session_id": made.SessionID}, &ticket); err != nil {
		return nil, err
	}
	if err := t.post(ctx, waiting+ticket.TicketID+"/admit", nil, nil); err != nil {
		return nil, err
	}
	var all []access
	for i := range participants {
		role := "guest"
		if i < 2 {
			role = [...]string{"doctor", "patient"}[i]
		}
		var token struct {
			Token string `json:"token"`
		}
		path := "/api/v1/consultations/video/" + made.SessionID + "/tokens"
		if err := t.post(ctx, path, map[string]any{"role": role}, &token); err != nil {
			return nil, err
		}
		all = append(all, access{made.SessionID, token.Token})
	}
	return all, nil
}

// post does one request and reads its answer into out, unless that is nil.
func (t *chatmedTarget) post(ctx context.Context, path string, body, out any) error {
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.base.String()+path, send)
	if err != nil {
		return err
	}
	req.Header.Set("X-API-Key", t.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := t.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var e struct{ Error, Message string }
		_ = json.Unmarshal(b, &e) // a proxy's page is no JSON
		return fmt.Errorf("%s: %s %s %s", path, resp.Status, e.Error, e.Message)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

func (t *chatmedTarget) participant(c *client) participant {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &chatmedParticipant{t: t, c: c, access: t.access[c.room][c.index]}
}

func (t *chatmedTarget) close(context.Context) error {
	t.http.CloseIdleConnections()
	return nil
}
