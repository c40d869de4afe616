package signaling

import (
	"context"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
)

// watchRequest opens a doctor's dashboard.
type watchRequest struct {
	protocol int
	token    string
}

func readWatch(o object) watchRequest {
	return watchRequest{protocol: o.integer("protocol"), token: o.str("token")}
}

// watchingMessage is the reply to watch.
type watchingMessage struct {
	Type       string       `json:"type"`
	ID         string       `json:"id,omitempty"`
	DoctorID   string       `json:"doctor_id"`
	DoctorName string       `json:"doctor_name"`
	Tickets    []ticketView `json:"tickets"`
}

func (watchingMessage) kind() string { return "watching" }

func (m watchRequest) handle(s *session, id string) {
	if s.room != nil || s.board != nil {
		s.refuse(id, badMessage("This connection has joined already."))
		return
	}
	if m.protocol != protocolVersion {
		s.fatal(id, wrongProtocol())
		return
	}
	ctx, cancel := s.call()
	defer cancel()
	claims, err := s.dashboardClaims(ctx, m.token)
	if err != nil {
		s.fatal(id, err)
		return
	}
	b := &dashboard{
		s: s, token: m.token, scope: claims.Scope, doctorID: claims.DoctorID,
		changed: make(chan struct{}, 1), done: make(chan struct{}),
	}
	b.ctx, b.cancel = context.WithCancel(s.srv.ctx)
	// Watching begins before the first look, so that no change falls between.
	b.unwatch = s.srv.deps.Queue.Watch(b.scope, b.doctorID, b.notice)
	places, err := s.srv.deps.Queue.List(ctx, b.scope, b.doctorID)
	if err != nil {
		b.unwatch()
		b.cancel()
		s.fatal(id, err)
		return
	}
	s.board = b
	s.decided()
	tickets := ticketViews(places)
	b.told = string(encode(tickets))
	s.send(watchingMessage{Type: "watching", ID: id, DoctorID: b.doctorID, DoctorName: claims.Name, Tickets: tickets})
	s.srv.shown(ctx, b.scope, places)
	go b.run(claims.ExpiresAt.Sub(s.srv.deps.Clock.Now()))
}

// dashboardClaims checks a dashboard token.
func (s *session) dashboardClaims(ctx context.Context, token string) (*auth.Claims, error) {
	claims, err := s.srv.deps.Tokens.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	if claims.Kind != auth.KindDashboard {
		return nil, wrongRole("This token does not open a dashboard.")
	}
	return claims, nil
}

// dashboard is a connection that watches a doctor's whole queue.
type dashboard struct {
	s        *session
	token    string // checked again before each admission: it may have been revoked
	scope    consult.Scope
	doctorID string
	ctx      context.Context
	cancel   context.CancelFunc
	unwatch  func()
	changed  chan struct{} // holds a token while the queue is to be read
	done     chan struct{} // closed when run has ended

	// Owned by watch's handler, then by run.
	told string
}

// notice never blocks.
func (b *dashboard) notice() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// stop ends run and awaits it.
func (b *dashboard) stop() {
	b.unwatch()
	b.cancel()
	<-b.done
}

// run sends the queue at every change, until stop or the end of the token.
func (b *dashboard) run(life time.Duration) {
	defer close(b.done)
	expired := make(chan struct{})
	defer b.s.srv.deps.Clock.AfterFunc(life, func() { close(expired) })()
	var again <-chan time.Time // after a failure
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-expired:
			b.s.fatal("", consult.Errorf(consult.Unauthorized, consult.ReasonTokenExpired, "Open the dashboard again."))
			return
		case <-again:
		case <-b.changed:
		}
		again = nil
		if err := b.tell(); err != nil && b.ctx.Err() == nil {
			b.s.log.Error("queue not read", "err", err)
			again = time.After(retryAfter)
		}
	}
}

// tell sends the queue if it has changed.
func (b *dashboard) tell() error {
	ctx, cancel := context.WithTimeout(b.ctx, callTimeout)
	defer cancel()
	places, err := b.s.srv.deps.Queue.List(ctx, b.scope, b.doctorID)
	if err != nil {
		return err
	}
	tickets := ticketViews(places)
	if told := string(encode(tickets)); told != b.told {
		b.told = told
		b.s.push(queueMessage{Type: "queue", Tickets: tickets})
	}
	b.s.srv.shown(ctx, b.scope, places)
	return nil
}

// admit lets one of the doctor's patients in and answers with the doctor's own
// way into that room.
func (b *dashboard) admit(ticketID, id string) {
	ctx, cancel := context.WithTimeout(b.ctx, callTimeout)
	defer cancel()
	claims, err := b.s.dashboardClaims(ctx, b.token)
	if err != nil {
		b.s.fatal(id, err)
		return
	}
	link, err := b.admitAs(ctx, claims, ticketID)
	if err != nil {
		b.s.refuse(id, err)
		return
	}
	b.s.send(ackMessage{Type: "ack", ID: id, DoctorJoinURL: link})
}

func (b *dashboard) admitAs(ctx context.Context, claims *auth.Claims, ticketID string) (link string, err error) {
	deps := &b.s.srv.deps
	places, err := deps.Queue.List(ctx, b.scope, b.doctorID)
	if err != nil {
		return "", err
	}
	sessionID := ""
	for i := range places {
		if places[i].Ticket.ID == ticketID {
			sessionID = places[i].Ticket.SessionID
		}
	}
	if sessionID == "" {
		return "", noTicket()
	}
	if _, err := deps.Queue.Admit(ctx, b.scope, claims.Actor(), ticketID); err != nil {
		return "", err
	}
	c, err := deps.Consultations.Get(ctx, b.scope, sessionID)
	if err != nil {
		return "", err
	}
	token, err := deps.Tokens.Issue(auth.Claims{
		Kind: auth.KindRoom, Scope: b.scope, KeyID: claims.KeyID,
		SessionID: sessionID, DoctorID: b.doctorID, Role: consult.Doctor, Subject: b.doctorID,
		Name: first(claims.Name, c.DoctorName), Grants: consult.DefaultGrants(consult.Doctor), Epoch: c.TokenEpoch,
		Language: c.Language, ExpiresAt: c.ExpiresAt.Add(consult.TokenLifeAfterClose),
	})
	if err != nil {
		return "", err
	}
	return deps.Links.Join(sessionID, consult.Doctor, token), nil
}
