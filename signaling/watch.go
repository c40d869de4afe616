package signaling

import (
	"context"
	"sync/atomic"
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
	// Admitted are the patients whose call has not begun.
	Admitted []admittedView `json:"admitted"`
	doctorView
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
		s: s, token: m.token, tokenID: claims.ID, keyID: claims.KeyID, scope: claims.Scope, doctorID: claims.DoctorID,
		changed: make(chan struct{}, 1), doubted: make(chan struct{}, 1), done: make(chan struct{}),
	}
	b.ctx, b.cancel = context.WithCancel(s.srv.ctx)
	// Watching begins before the first look, so that no change falls between.
	b.unwatch = s.srv.deps.Queue.Watch(b.scope, b.doctorID, b.notice)
	b.absent = s.srv.deps.Queue.Attend(ctx, b.scope, b.doctorID)
	// So does the revocation of the key that issued the token.
	b.unkey = s.srv.deps.Bus.Subscribe(consult.KeyTopic(claims.KeyID), func([]byte) { b.recheck() })
	seen, err := b.look(ctx)
	if err != nil {
		b.detach()
		s.fatal(id, err)
		return
	}
	s.board = b
	s.decided()
	b.told, b.toldDoctor = seen.told(), seen.doctor
	s.send(watchingMessage{
		Type: "watching", ID: id, DoctorID: b.doctorID, DoctorName: claims.Name,
		Tickets: seen.tickets, Admitted: seen.admitted, doctorView: seen.doctor,
	})
	s.srv.shown(ctx, b.scope, seen.places)
	s.srv.addBoard(b)
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
	tokenID  string
	keyID    string
	scope    consult.Scope
	doctorID string
	ctx      context.Context
	cancel   context.CancelFunc
	unwatch  func()
	absent   func() // ends the doctor's attendance
	unkey    func()
	changed  chan struct{} // holds a token while the queue is to be read
	doubted  chan struct{} // holds a token while the dashboard's own token is to be checked
	done     chan struct{} // closed when run has ended

	// Owned by watch's handler, then by run.
	told       string
	toldDoctor doctorView

	unbegun atomic.Bool // somebody was admitted whose call has not begun
}

// recheck looks at the token again soon. It never blocks.
func (b *dashboard) recheck() {
	select {
	case b.doubted <- struct{}{}:
	default:
	}
}

// detach ends what feeds the dashboard.
func (b *dashboard) detach() {
	b.unwatch()
	b.unkey()
	b.absent()
	b.cancel()
}

// deskView is everything a dashboard shows.
type deskView struct {
	places   []consult.QueuePlace
	tickets  []ticketView
	admitted []admittedView
	doctor   doctorView
}

func (v *deskView) told() string { return string(encode(v.tickets)) + string(encode(v.admitted)) }

func (b *dashboard) look(ctx context.Context) (*deskView, error) {
	q := b.s.srv.deps.Queue
	places, err := q.List(ctx, b.scope, b.doctorID)
	if err != nil {
		return nil, err
	}
	admitted, err := q.Admitted(ctx, b.scope, b.doctorID)
	if err != nil {
		return nil, err
	}
	p, err := q.Presence(ctx, b.scope, b.doctorID)
	if err != nil {
		return nil, err
	}
	b.unbegun.Store(len(admitted) > 0)
	return &deskView{
		places: places, tickets: ticketViews(places), admitted: admittedViews(admitted),
		doctor: doctorView{Presence: p.Presence, Online: p.Online},
	}, nil
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
	b.s.srv.removeBoard(b)
	b.detach()
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
		case <-b.doubted:
			if !b.stillHeld() {
				return
			}
			continue
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
	seen, err := b.look(ctx)
	if err != nil {
		return err
	}
	if told := seen.told(); told != b.told {
		b.told = told
		b.s.push(queueMessage{Type: "queue", Tickets: seen.tickets, Admitted: &seen.admitted})
	}
	if seen.doctor != b.toldDoctor {
		b.toldDoctor = seen.doctor
		b.s.push(presenceMessage{Type: "presence", doctorView: seen.doctor})
	}
	b.s.srv.shown(ctx, b.scope, seen.places)
	return nil
}

// stillHeld reports whether the token counts; if not, the dashboard is told.
func (b *dashboard) stillHeld() bool {
	ctx, cancel := context.WithTimeout(b.ctx, callTimeout)
	defer cancel()
	_, err := b.s.dashboardClaims(ctx, b.token)
	if consult.HasCode(err, consult.Unauthorized) {
		b.s.fatal("", err)
		return false
	}
	return true // a store that does not answer takes nothing away
}

// presenceMessage says that the doctor's presence changed.
type presenceMessage struct {
	Type string `json:"type"`
	doctorView
}

func (presenceMessage) kind() string { return "presence" }

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
	q, err := deps.Queue.Get(ctx, b.scope, ticketID)
	if consult.HasCode(err, consult.NotFound) || err == nil && q.Ticket.DoctorID != b.doctorID {
		return "", noTicket()
	}
	if err != nil {
		return "", err
	}
	sessionID := q.Ticket.SessionID
	if !q.Ticket.Status.Open() { // admitted, and the doctor comes back before it began?
		c, err := deps.Consultations.Get(ctx, b.scope, sessionID)
		if err != nil {
			return "", err
		}
		if q.Ticket.Status != consult.TicketAdmitted || c.Status != consult.Waiting || c.AdmittedAt == nil {
			return "", noTicket()
		}
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
		Language: c.Language, IssuedAt: deps.Clock.Now(), ExpiresAt: c.ExpiresAt.Add(consult.TokenLifeAfterClose),
	})
	if err != nil {
		return "", err
	}
	return deps.Links.Join(sessionID, consult.Doctor, token), nil
}
