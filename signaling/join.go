package signaling

import (
	"context"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu"
)

// protocolVersion is the only version there is.
const protocolVersion = 1

// joinRequest lets someone in.
type joinRequest struct {
	protocol    int
	token       string
	sessionID   string
	offer       *offered
	displayName string
	language    string
	instance    string
	takeOver    bool
	role        consult.Role
	reason      string
}

func readJoin(o object) joinRequest {
	m := joinRequest{
		protocol: o.integer("protocol"), token: o.str("token"), sessionID: o.str("session_id"),
		displayName: o.str("display_name"), language: o.str("language"), instance: o.str("instance"),
		takeOver: o.boolean("take_over"), role: consult.Role(o.str("role")),
		reason: o.str("reason"),
	}
	if sdp := o.str("offer"); sdp != "" {
		m.offer = &offered{sdp: sdp, intents: readIntents(o)}
	}
	return m
}

// readIntents reads `publications`.
func readIntents(o object) []sfu.Intent {
	list, _ := o["publications"].([]any)
	intents := make([]sfu.Intent, 0, len(list))
	for _, v := range list {
		fields, _ := v.(map[string]any)
		p := object(fields)
		intents = append(intents, sfu.Intent{Mid: p.str("mid"), Source: p.str("source"), Muted: p.boolean("muted")})
	}
	return intents
}

// inside is what someone in the call is told about it.
type inside struct {
	Answer       string            `json:"answer,omitempty"`
	Slots        []slotView        `json:"slots"`
	Participants []participantView `json:"participants"`
	Chat         []chatView        `json:"chat"`
	Queue        *[]ticketView     `json:"queue,omitempty"`
	Recording    *recordingView    `json:"recording,omitempty"`
}

// identity is what a client is told about itself.
type identity struct {
	ParticipantID string       `json:"participant_id"`
	Secret        string       `json:"secret"`
	Role          consult.Role `json:"role"`
	Session       sessionView  `json:"session"`
}

// joinedMessage is the reply to join of someone who is in at once.
type joinedMessage struct {
	Type string `json:"type"`
	ID   string `json:"id,omitempty"`
	identity
	inside
}

func (joinedMessage) kind() string { return "joined" }

// admittedMessage lets a waiting participant in.
type admittedMessage struct {
	Type string `json:"type"`
	inside
}

func (admittedMessage) kind() string { return "admitted" }

// entry is a checked join.
type entry struct {
	id       string // of the message
	role     consult.Role
	subject  string
	name     string
	language string
	reason   string
	instance string
	grants   consult.Grants
	cred     credential
	takeOver bool
	offer    *offered
}

func (m joinRequest) handle(s *session, id string) {
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
	claims, c, err := s.srv.admissible(ctx, m)
	if err != nil {
		s.fatal(id, err)
		return
	}
	e := newEntry(id, m, claims, c)
	out, err := s.srv.barred(ctx, c, e.cred, e.role, e.subject)
	if err == nil && out {
		err = withdrawn()
	}
	if err != nil {
		s.fatal(id, err)
		return
	}
	if m.offer != nil {
		if m.offer.intents, err = granted(m.offer.intents, e.grants); err != nil {
			s.refuse(id, err)
			return
		}
		e.offer = m.offer
	}
	r := s.srv.acquire(claims.Scope, c.ID)
	if r == nil {
		s.fatal(id, draining())
		return
	}
	r.do(func() { err = r.join(s, e) })
	switch {
	case s.self != nil:
		s.room = r
		return
	case consult.AsError(err).Reason == consult.ReasonAlreadyConnected:
		s.refuse(id, err)
		s.undecided.Reset(s.srv.cfg.Limits.Undecided) // a person is asked what to do
	default:
		if err == nil { // the room ended under us, which only a stopping server does
			err = draining()
		}
		s.fatal(id, err)
	}
	s.srv.release(r)
}

func wrongProtocol() *consult.Error {
	return consult.Errorf(consult.BadRequest, consult.ReasonProtocol, "This server speaks version 1 of the protocol.")
}

// admissible checks the token against the session and the role it is used for,
// and that the consultation is not over.
func (s *Server) admissible(ctx context.Context, m joinRequest) (*auth.Claims, *consult.Consultation, error) {
	claims, err := s.deps.Tokens.Verify(ctx, m.token)
	if err != nil {
		return nil, nil, s.whyRevoked(ctx, m, err)
	}
	if claims.Kind != auth.KindRoom {
		return nil, nil, wrongRole("This token does not open a room.")
	}
	if err := claims.ForSession(m.sessionID); err != nil {
		return nil, nil, err
	}
	switch {
	case claims.Role == consult.Integrator && m.role == "":
		return nil, nil, wrongRole("Say as whom you join: doctor or patient.")
	case claims.Role != consult.Integrator && m.role != "" && m.role != claims.Role:
		return nil, nil, wrongRole("This token is for another role.")
	}
	c, err := s.deps.Consultations.Get(ctx, claims.Scope, m.sessionID)
	if err != nil {
		return nil, nil, err
	}
	role := claims.Role
	if role == consult.Integrator {
		role = m.role
	}
	return claims, c, s.closedTo(ctx, c, role)
}

// closedTo is the refusal of a consultation that is over; a patient whom the
// doctor declined is told why.
func (s *Server) closedTo(ctx context.Context, c *consult.Consultation, role consult.Role) error {
	err := over(c)
	if err == nil || role != consult.Patient {
		return err
	}
	if note := s.declineNote(ctx, c); note != "" {
		return &notedError{err, note}
	}
	return err
}

// declineNote is what the doctor gave as the reason for declining c, if so.
func (s *Server) declineNote(ctx context.Context, c *consult.Consultation) string {
	if c.Status != consult.Cancelled || c.Reason != consult.CancelledByDecline {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	note, err := s.deps.Queue.DeclineReason(ctx, c.Scope, c.ID)
	if err != nil {
		s.log.Error("reason of a refusal not read", "session_id", c.ID, "err", err)
	}
	return note
}

// whyRevoked finds a better reason for a token refused with err: the end of a
// consultation revokes its tokens, and their holders may know that.
func (s *Server) whyRevoked(ctx context.Context, m joinRequest, err error) error {
	if consult.AsError(err).Reason != consult.ReasonTokenRevoked {
		return err
	}
	claims, e := s.deps.Tokens.Read(m.token)
	if e != nil || claims.ForSession(m.sessionID) != nil {
		return err
	}
	c, e := s.deps.Consultations.Get(ctx, claims.Scope, claims.SessionID)
	if e != nil || over(c) == nil {
		return err
	}
	return s.closedTo(ctx, c, claims.Role)
}

func wrongRole(msg string) *consult.Error {
	return consult.Errorf(consult.Forbidden, consult.ReasonTokenWrongRole, "%s", msg)
}

// over is the refusal of a consultation in a final state.
func over(c *consult.Consultation) error {
	switch c.Status {
	case consult.Ended:
		return consult.Errorf(consult.Conflict, consult.ReasonEnded, "The consultation has ended.")
	case consult.Cancelled:
		return consult.Errorf(consult.Conflict, consult.ReasonCancelled, "The consultation was cancelled.")
	}
	return nil
}

// newEntry says who comes in. The session token of the API acts as the
// consultation's own doctor or patient, with that role's grants. The name is
// the one the person typed, else the token's, else the consultation's.
func newEntry(id string, m joinRequest, claims *auth.Claims, c *consult.Consultation) entry {
	e := entry{
		id: id, role: claims.Role, subject: claims.Subject, grants: claims.Grants, cred: credentialOf(claims),
		language: m.language, reason: m.reason, instance: m.instance, takeOver: m.takeOver,
	}
	if claims.Role == consult.Integrator {
		e.role, e.subject, e.grants = m.role, "", consult.DefaultGrants(m.role)
	}
	var own string
	switch e.role {
	case consult.Doctor:
		e.subject, own = first(e.subject, c.DoctorID), c.DoctorName
	case consult.Patient:
		e.subject, own = first(e.subject, c.PatientID), c.PatientName
	}
	e.subject = first(e.subject, claims.ID) // a token without a subject is a person of its own
	e.language = first(e.language, claims.Language, c.Language)
	e.name = first(cleanName(m.displayName), cleanName(claims.Name), cleanName(own))
	return e
}

// first returns the first string that is not empty.
func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// join lets e in or makes it wait. It sets s.self if there is a participant now.
func (r *room) join(s *session, e entry) error {
	if r.c == nil || !r.opened {
		r.refresh()
	}
	if r.c == nil || !r.opened {
		return consult.Errorf(consult.ServiceUnavailable, "", "The consultation could not be read. Try again in a moment.")
	}
	if err := over(r.c); err != nil {
		return err
	}
	p := r.find(e.role, e.subject)
	switch {
	case p == nil:
		if r.full(e.role) {
			return consult.Errorf(consult.Conflict, consult.ReasonRoomFull, "The room is full.")
		}
		p = r.enlist(e)
	case p.conn != nil && p.instance != e.instance && !e.takeOver:
		return consult.Errorf(consult.Conflict, consult.ReasonAlreadyConnected,
			"You are connected with another device or page.")
	}
	p.secret = newSecret() // whoever was this person before cannot resume
	p.name, p.language, p.instance, p.grants, p.cred = e.name, e.language, e.instance, e.grants, e.cred
	p.reason = e.reason
	r.srv.holds(p.id, p.cred.tokenID)
	p.held = e.offer
	p.waited, p.replyTo, p.told = false, e.id, ""
	r.attach(p, s)
	s.self = p
	if why := waitReason(r.c, p.role, r.now()); why != "" {
		r.mustWait(p, why)
	} else {
		r.enter(p)
	}
	return nil
}

// find returns the participant that is this person: a role and a subject.
func (r *room) find(role consult.Role, subject string) *participant {
	for _, p := range r.people {
		if p.role == role && p.subject == subject {
			return p
		}
	}
	return nil
}

func (r *room) full(role consult.Role) bool {
	if role == consult.Doctor || role == consult.Patient {
		return false
	}
	return len(r.people) >= r.srv.cfg.MaxParticipants
}

// enlist makes a participant. Someone whose stay was still open when the server
// stopped continues it, with the same id.
func (r *room) enlist(e entry) *participant {
	p := &participant{id: consult.NewID(consult.PrefixParticipant), role: e.role, subject: e.subject}
	for i, old := range r.stale {
		if old.Role == e.role && old.Subject == e.subject {
			p.id, p.joinedAt = old.ID, old.JoinedAt
			r.stale = append(r.stale[:i], r.stale[i+1:]...)
			break
		}
	}
	r.people = append(r.people, p)
	r.srv.register(p.id, r)
	return p
}

// enter answers the offer, if there is one, and lets p into the call.
func (r *room) enter(p *participant) {
	o := p.held
	p.stage, p.held, p.ticketID, p.told = entering, nil, "", ""
	r.comes(p)
	if o == nil {
		r.closeMedia(p)
		p.media.sources = nil
		r.entered(p)
		return
	}
	r.joinMedia(p, o, func(_ sfu.Answer, err error) {
		if err != nil {
			r.eject(p, err)
			return
		}
		r.entered(p)
	})
}

// entered tells p and everyone that p is in the call.
func (r *room) entered(p *participant) {
	p.stage = inCall
	if p.joinedAt.IsZero() {
		p.joinedAt = r.now()
	}
	r.settle()
	if p.conn != nil {
		in := r.insideFor(p)
		in.Answer = p.media.answer
		if p.waited {
			p.conn.send(admittedMessage{Type: "admitted", inside: in})
		} else {
			p.conn.send(joinedMessage{Type: "joined", ID: p.replyTo, identity: r.identityOf(p), inside: in})
		}
	}
	r.tellParticipants()
}

func (r *room) identityOf(p *participant) identity {
	return identity{ParticipantID: p.id, Secret: p.secret, Role: p.role, Session: newSessionView(r.c)}
}

func (r *room) insideFor(p *participant) inside {
	in := inside{Slots: []slotView{}, Participants: r.participantViews(p), Chat: r.history()}
	if p.media.leg != nil {
		in.Slots = slotViews(p.media.leg.Slots())
	}
	in.Recording = r.recordingFor(p, true)
	if p.role == consult.Doctor {
		tickets := r.tickets()
		in.Queue = &tickets
		p.told = string(encode(tickets))
	}
	return in
}
