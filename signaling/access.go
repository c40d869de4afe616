package signaling

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
)

// A token that let somebody in may stop counting while they are in: by itself
// (Tokens.Revoke), with the consultation's epoch (its end), with the person
// (ejected), with the doctor (the patient was handed on), or with the API key
// that issued it. The first four put people out; the key ends calls only if its
// revocation says so. Nodes hear of it on the bus and look every PollEvery, so
// that a message that got lost is made good.

// Access is where the store keeps what takes tokens away.
type Access interface {
	// RevokePerson ends the person's tokens for that consultation issued at
	// issuedBefore or earlier.
	RevokePerson(ctx context.Context, sc consult.Scope, sessionID string, role consult.Role, subject string,
		issuedBefore time.Time, ev []consult.Event) error
	// PersonRevoked is the issuedBefore of the last such call; zero: none.
	PersonRevoked(ctx context.Context, sc consult.Scope, sessionID string, role consult.Role, subject string) (time.Time, error)
	// TokensRevoked returns which of those tokens were revoked by themselves.
	TokensRevoked(ctx context.Context, sc consult.Scope, ids []string) ([]string, error)
	// SessionStamps returns a text per consultation that differs after every
	// change that a room must act on.
	SessionStamps(ctx context.Context, sc consult.Scope, ids []string) (map[string]string, error)
	KeyByID(ctx context.Context, sc consult.Scope, id string) (*consult.APIKey, error)
}

// credential is what a token said of itself.
type credential struct {
	tokenID  string
	issuedAt time.Time
	epoch    int
	// doctorID is whose consultation it was when a doctor's token was issued.
	doctorID string
}

func credentialOf(c *auth.Claims) credential {
	out := credential{tokenID: c.ID, issuedAt: c.IssuedAt, epoch: c.Epoch}
	if c.Role == consult.Doctor {
		out.doctorID = c.DoctorID
	}
	return out
}

func withdrawn() *consult.Error {
	return consult.Errorf(consult.Unauthorized, consult.ReasonTokenRevoked, "Your access was withdrawn.")
}

// barred reports whether a credential of that person does not count any more,
// but for the revocation of the single token. The session token of the API
// acts as whoever is the doctor now, but as no one who was ejected.
func (s *Server) barred(ctx context.Context, c *consult.Consultation, cr credential, role consult.Role, subject string) (bool, error) {
	if cr.epoch < c.TokenEpoch || (cr.doctorID != "" && cr.doctorID != c.DoctorID) {
		return true, nil
	}
	until, err := s.deps.Store.PersonRevoked(ctx, c.Scope, c.ID, role, subject)
	return err == nil && !until.IsZero() && !cr.issuedAt.After(until), err
}

// expelBarred puts out everyone whose token does not count any more.
func (r *room) expelBarred() {
	ctx, cancel := r.call()
	defer cancel()
	ids := make([]string, 0, len(r.people))
	for _, p := range r.people {
		if p.cred.tokenID != "" {
			ids = append(ids, p.cred.tokenID)
		}
	}
	revoked, err := r.srv.deps.Store.TokensRevoked(ctx, r.scope, ids)
	if err != nil {
		r.log.Error("revocations not read", "err", err)
		r.retry()
	}
	for _, p := range r.everyone() {
		out, err := r.srv.barred(ctx, r.c, p.cred, p.role, p.subject)
		if err != nil {
			r.log.Error("revocations not read", "err", err)
			r.retry()
		}
		if out || slices.Contains(revoked, p.cred.tokenID) {
			r.expel(p)
		}
	}
}

// expel ends the stay of somebody whose access was withdrawn. A patient who
// waits gives up the place with it.
func (r *room) expel(p *participant) {
	if p.stage == waits && p.ticketID != "" {
		ctx, cancel := r.call()
		defer cancel()
		_, err := r.srv.deps.Tickets.Leave(ctx, r.scope, p.actor(), p.ticketID)
		if err != nil && !consult.HasCode(err, consult.Conflict) {
			r.log.Error("ticket not given up", "ticket_id", p.ticketID, "err", err)
			r.setAway(p)
		}
	}
	r.eject(p, withdrawn())
}

// followKey listens for the revocation of the key that made the consultation.
func (r *room) followKey() {
	if r.unkey != nil || r.c.KeyID == "" {
		return
	}
	r.unkey = r.srv.deps.Bus.Subscribe(consult.KeyTopic(r.c.KeyID), func(payload []byte) {
		var k consult.KeyRevoked
		if json.Unmarshal(payload, &k) == nil && k.EndCalls {
			r.post(r.endWithKey)
		}
	})
}

// endWithKey ends the consultation of a key that was revoked with its calls.
func (r *room) endWithKey() {
	if r.c == nil || r.c.Status.Final() {
		return
	}
	ctx, cancel := r.call()
	defer cancel()
	var err error
	if r.c.Status == consult.Active {
		_, err = r.srv.deps.Consultations.End(ctx, r.scope, r.id, consult.System, consult.EndedByAPI)
	} else {
		_, err = r.srv.deps.Consultations.Cancel(ctx, r.scope, r.id, consult.System, consult.CancelledByCaller)
	}
	if err != nil && !consult.HasCode(err, consult.Conflict) {
		r.log.Error("consultation of a revoked key not ended", "err", err)
	}
	r.refresh()
}

// watchedAccess is what a look at the store compares with; owned by Run.
type watchedAccess struct {
	stamps map[string]string // by consultation
}

// poll looks for what the bus may have lost: consultations that changed, tokens
// and keys that were revoked. One query each for a few hundred rooms.
func (s *Server) poll(ctx context.Context, w *watchedAccess) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	type work struct {
		sessions, tokens []string
		keys             map[string][]*room
	}
	byScope := map[consult.Scope]*work{}
	of := func(sc consult.Scope) *work {
		if byScope[sc] == nil {
			byScope[sc] = &work{keys: map[string][]*room{}}
		}
		return byScope[sc]
	}
	s.mu.Lock()
	rooms := make(map[string]*room, len(s.rooms))
	for id, r := range s.rooms {
		rooms[id] = r
		of(r.scope).sessions = append(of(r.scope).sessions, id)
		if r.keyID != "" {
			of(r.scope).keys[r.keyID] = append(of(r.scope).keys[r.keyID], r)
		}
	}
	holders := map[string]*room{} // by token
	for id, p := range s.tokens {
		if r := s.people[id]; r != nil && p != "" {
			holders[p] = r
			of(r.scope).tokens = append(of(r.scope).tokens, p)
		}
	}
	boards := make([]*dashboard, 0, len(s.boards))
	for b := range s.boards {
		boards = append(boards, b)
	}
	s.mu.Unlock()

	seen := make(map[string]string, len(rooms))
	for sc, do := range byScope {
		stamps, err := s.deps.Store.SessionStamps(ctx, sc, do.sessions)
		if err == nil {
			for id, stamp := range stamps {
				seen[id] = stamp
				if w.stamps[id] != stamp {
					rooms[id].refreshSoon() //nolint:contextcheck // rooms work under the server's own context, until Shutdown
					rooms[id].queueSoon()   //nolint:contextcheck // as above
				}
			}
			var revoked []string
			revoked, err = s.deps.Store.TokensRevoked(ctx, sc, do.tokens)
			for _, id := range revoked {
				holders[id].refreshSoon() //nolint:contextcheck // as above
			}
		}
		for id, its := range do.keys {
			key, e := s.deps.Store.KeyByID(ctx, sc, id)
			if e == nil && key.RevokedAt != nil && key.EndCalls {
				for _, r := range its {
					r.post(r.endWithKey) //nolint:contextcheck // as above
				}
			}
		}
		if err != nil {
			if ctx.Err() == nil {
				s.log.Warn("revocations not looked for, tried again soon", "err", err)
			}
			return
		}
	}
	w.stamps = seen
	for _, b := range boards {
		b.recheck()
	}
}
