package loadtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
)

// janusParticipant publishes over one connection and subscribes over another.
// Who comes later is added to the subscription by another offer of Janus.
type janusParticipant struct {
	t    *janusTarget
	c    *client
	room uint64

	session   *janusSession
	publisher uint64 // handle
	pub       *webrtc.PeerConnection
	offer     string

	subscriber uint64 // handle
	sub        *webrtc.PeerConnection
	private    uint64

	wake chan struct{} // one token: feeds has grown
	done chan struct{} // closed by leave
	once sync.Once
	work sync.WaitGroup

	mu     sync.Mutex
	feeds  []uint64 // all publishers known
	taken  int      // of them, subscribed to
	failed error
}

func (p *janusParticipant) prepare(ctx context.Context) (err error) {
	p.wake = make(chan struct{}, 1)
	if p.session, err = dialJanus(ctx, p.t.url, p.event); err != nil {
		return err
	}
	if p.publisher, err = p.session.attach(ctx); err != nil {
		return err
	}
	if p.subscriber, err = p.session.attach(ctx); err != nil {
		return err
	}
	if p.sub, _, err = p.c.connection(false); err != nil {
		return err
	}
	if p.c.pub == nil {
		return nil
	}
	if p.pub, _, err = p.c.connection(true); err != nil {
		return err
	}
	p.offer, err = offerOf(ctx, p.pub)
	return err
}

// join enters as publisher, also when there is nothing to publish: only so does
// one hear of the others.
func (p *janusParticipant) join(ctx context.Context) (time.Time, error) {
	body := map[string]any{"request": "join", "ptype": "publisher", "room": p.room}
	var m janusMessage
	var err error
	if p.pub != nil {
		body["request"] = "joinandconfigure"
		m, err = p.session.message(ctx, p.publisher, body, "offer", p.offer)
	} else {
		m, err = p.session.message(ctx, p.publisher, body, "")
	}
	at := time.Now()
	if err != nil {
		return at, err
	}
	p.private = m.Plugin.Data.PrivateID
	p.event(m)
	p.work.Go(p.subscribe)
	if p.pub == nil {
		return at, nil
	}
	if m.JSEP == nil {
		return at, errors.New("janus did not answer the offer")
	}
	return at, applyAnswer(p.pub, m.JSEP.SDP)
}

// event takes the list of new publishers out of whatever brings one.
func (p *janusParticipant) event(m janusMessage) {
	p.mu.Lock()
	for _, f := range m.Plugin.Data.Publishers {
		if !slices.Contains(p.feeds, f.ID) {
			p.feeds = append(p.feeds, f.ID)
		}
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// subscribe subscribes to everyone who comes, until leave.
func (p *janusParticipant) subscribe() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		select {
		case <-p.done:
			return
		case <-p.wake:
		}
		p.mu.Lock()
		fresh, first := slices.Clone(p.feeds[p.taken:]), p.taken == 0
		p.taken = len(p.feeds)
		p.mu.Unlock()
		if len(fresh) == 0 {
			continue
		}
		if err := p.subscribeTo(ctx, fresh, first); err != nil {
			p.mu.Lock()
			p.failed = err
			p.mu.Unlock()
			return
		}
	}
}

// subscribeTo asks for feeds, and answers the offer that comes back.
func (p *janusParticipant) subscribeTo(ctx context.Context, feeds []uint64, first bool) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	streams := []map[string]any{}
	for _, f := range feeds {
		streams = append(streams, map[string]any{"feed": f})
	}
	body := map[string]any{"request": "subscribe", "streams": streams}
	if first {
		body = map[string]any{
			"request": "join", "ptype": "subscriber", "room": p.room, "private_id": p.private,
			"use_msid": false, "streams": streams,
		}
	}
	m, err := p.session.message(ctx, p.subscriber, body, "")
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if m.JSEP == nil {
		return fmt.Errorf("subscribe: %s without an offer", m.Plugin.Data.VideoRoom)
	}
	answer, err := answerTo(ctx, p.sub, m.JSEP.SDP)
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if _, err := p.session.message(ctx, p.subscriber, map[string]any{"request": "start"}, "answer", answer); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return nil
}

func (p *janusParticipant) leave(ctx context.Context) error {
	p.once.Do(func() { close(p.done) })
	if p.session == nil {
		return nil
	}
	err := p.session.close(ctx)
	p.work.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(err, p.failed)
}
