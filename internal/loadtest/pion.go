package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/chatmed/chatmed/internal/loadtest/pionsfu"
)

// pionTarget is a pionsfu.Server.
type pionTarget struct {
	url   string
	http  *http.Client
	video bool
}

func newPion(o *Options, p profile) *pionTarget {
	return &pionTarget{url: o.URL, http: &http.Client{Timeout: requestTimeout, Transport: &http.Transport{}}, video: len(p.layers) > 0}
}

func (t *pionTarget) open(context.Context, int, int) error { return nil }

func (t *pionTarget) participant(c *client) participant { return &pionParticipant{t: t, c: c} }

func (t *pionTarget) close(context.Context) error {
	t.http.CloseIdleConnections()
	return nil
}

type pionParticipant struct {
	t     *pionTarget
	c     *client
	pc    *webrtc.PeerConnection
	offer string
}

func (p *pionParticipant) prepare(ctx context.Context) (err error) {
	if p.pc, _, err = p.c.connection(p.c.pub != nil); err != nil {
		return err
	}
	if err = p.c.receiveLines(p.pc, p.t.video); err != nil {
		return err
	}
	p.offer, err = offerOf(ctx, p.pc)
	return err
}

func (p *pionParticipant) join(ctx context.Context) (time.Time, error) {
	body, err := json.Marshal(pionsfu.JoinRequest{Room: p.c.room, Offer: p.offer})
	if err != nil {
		return time.Time{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.t.url+pionsfu.JoinPath, bytes.NewReader(body))
	if err != nil {
		return time.Time{}, err
	}
	resp, err := p.t.http.Do(req)
	if err != nil {
		return time.Time{}, err
	}
	at := time.Now()
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return at, err
	}
	if resp.StatusCode != http.StatusOK {
		return at, fmt.Errorf("join: %s %s", resp.Status, b)
	}
	var a pionsfu.JoinAnswer
	if err := json.Unmarshal(b, &a); err != nil {
		return at, err
	}
	return at, applyAnswer(p.pc, a.Answer)
}

func (p *pionParticipant) leave(context.Context) error { return nil }
