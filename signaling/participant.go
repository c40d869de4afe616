package signaling

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu"
)

// stage is how far a participant has come.
type stage int

const (
	waits    stage = iota // no media path
	entering              // the held offer is being answered
	inCall
)

// participant is one person in a room. Its fields are owned by the room's loop,
// but for id, which never changes.
type participant struct {
	id       string
	secret   string // proves the right to resume; a new one at each join
	role     consult.Role
	subject  string
	name     string
	language string
	instance string // the page's
	grants   consult.Grants
	cred     credential

	conn  *session // nil while away
	grace *timer   // runs while away
	stage stage
	// joinedAt is when the stay began; saved says that the store has it.
	joinedAt time.Time
	saved    bool

	// While waiting.
	why      string
	ticketID string
	// reason was given with the join, for the ticket that is still to be taken.
	reason string
	// waited says that the join has been answered with `waiting`.
	waited bool
	// held is the offer to be answered once they may come in; nil: chat only.
	held *offered

	// replyTo is the id of the join message.
	replyTo string
	// told is what the client was told last about the queue, encoded.
	told string

	media mediaState

	// present says that the recording counts the participant as here; going, that
	// it is told otherwise once the media is closed.
	present, going bool
	// heard is what the client was told last about the recording, encoded.
	heard string
}

// offered is an offer and what its m-lines carry.
type offered struct {
	sdp     string
	intents []sfu.Intent
}

// actor is the participant in an audit entry.
func (p *participant) actor() consult.Actor {
	return consult.Actor{Kind: consult.ActorParticipant, ID: p.id, Role: p.role}
}

// push sends a state that supersedes an older one of the same type.
func (p *participant) push(m message) {
	if p.conn != nil {
		p.conn.push(m)
	}
}

// participation is the stored form.
func (p *participant) participation(sc consult.Scope, sessionID string) consult.Participation {
	return consult.Participation{
		ID: p.id, Scope: sc, SessionID: sessionID, Role: p.role, Subject: p.subject, Name: p.name, JoinedAt: p.joinedAt,
	}
}

// knows reports in constant time whether secret is the participant's.
func (p *participant) knows(secret string) bool {
	return subtle.ConstantTimeCompare([]byte(p.secret), []byte(secret)) == 1
}

// newSecret returns 256 random bits. crypto/rand.Read never fails.
func newSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// cleanName makes a name fit to show: no control or format characters, which
// could reorder the text around it, single spaces, a bounded length.
func cleanName(name string) string {
	name = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError, unicode.IsControl(r):
			return -1
		case unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d': // joiners are letters' own in Persian and Indic names
			return -1
		}
		return r
	}, name)), " ")
	for utf8.RuneCountInString(name) > consult.MaxNameLength {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	return name
}

// attach makes s the participant's connection; the one before gets `moved`.
func (r *room) attach(p *participant, s *session) {
	p.grace.stop()
	p.grace = nil
	if old := p.conn; old != nil && old != s {
		r.srv.metrics.cuts.WithLabelValues(cutMoved).Inc()
		old.send(movedMessage{Type: "moved"})
		old.close(closeMoved, "moved")
	}
	p.conn = s
	s.decided()
}

// dropped notes that a connection is over. The participant stays, away, for a
// grace period. While the server stops nothing is changed: the restart sorts it out.
func (r *room) dropped(s *session) {
	p := s.self
	if p == nil || p.conn != s {
		return // taken over, ejected or ended before
	}
	p.conn = nil
	if r.srv.isDraining() {
		return
	}
	grace := r.srv.cfg.ResumeGrace
	if p.stage == waits {
		grace = r.srv.cfg.WaitingGrace
	}
	r.setAway(p)
	p.grace = r.after(grace, func() { r.remove(p) })
	r.tellParticipants()
	r.settle()
}

// remove ends a stay.
func (r *room) remove(p *participant) {
	for i := range r.people {
		if r.people[i] == p {
			r.people = append(r.people[:i], r.people[i+1:]...)
			break
		}
	}
	p.grace.stop()
	r.srv.unregister(p.id)
	r.goes(p)
	if p.stage == inCall {
		if p.saved {
			r.gone = append(r.gone, leaving{p.participation(r.scope, r.id), r.now()})
		}
		r.tellParticipants()
	}
	r.settle()
}

// eject ends a stay against the participant's will, with a reason.
func (r *room) eject(p *participant, err error) {
	if p.conn != nil {
		id := p.replyTo
		if p.waited || p.stage == inCall {
			id = "" // the join has been answered
		}
		p.conn.fatal(id, err)
		p.conn = nil
	}
	r.remove(p)
}
