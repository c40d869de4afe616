package signaling

import (
	"context"
	"encoding/json"
	"maps"
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
	// LastEvent numbers the newest event recorded. Each of the changes above
	// records one.
	LastEvent(ctx context.Context) (int64, error)
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
	event  int64             // the newest at the last whole look
	quiet  int               // looks since then that found no newer one
}

// maxQuiet looks in a row are left at whether there is a new event. Then comes a
// whole one all the same, because on PostgreSQL an event may become visible
// after a newer one.
const maxQuiet = 10

// held is everything of one scope that the store may take away.
type held struct {
	rooms  map[string]*room  // by consultation
	tokens map[string]func() // what to do when the token of that id is revoked
	// keys are those of rooms and dashboards, with what to do when the key is
	// revoked; calls says that it was revoked with its calls.
	keys map[string][]func(calls bool)
	// unbegun are dashboards with a list that changes without the queue.
	unbegun []*dashboard
}

// holdings lists what this node holds, by scope.
func (s *Server) holdings() map[consult.Scope]*held {
	out := map[consult.Scope]*held{}
	of := func(sc consult.Scope) *held {
		if out[sc] == nil {
			out[sc] = &held{rooms: map[string]*room{}, tokens: map[string]func(){}, keys: map[string][]func(bool){}}
		}
		return out[sc]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range s.rooms {
		h := of(r.scope)
		h.rooms[id] = r
		if r.keyID != "" {
			h.keys[r.keyID] = append(h.keys[r.keyID], func(calls bool) {
				if calls {
					r.post(r.endWithKey)
				}
			})
		}
	}
	for participant, token := range s.tokens {
		if r := s.people[participant]; r != nil && token != "" {
			of(r.scope).tokens[token] = r.refreshSoon
		}
	}
	for b := range s.boards {
		h := of(b.scope)
		h.tokens[b.tokenID] = b.recheck
		h.keys[b.keyID] = append(h.keys[b.keyID], func(bool) { b.recheck() })
		if b.unbegun.Load() {
			h.unbegun = append(h.unbegun, b)
		}
	}
	return out
}

// poll looks for what the bus may have lost: consultations that changed, tokens
// and keys that were revoked. It is one query while nothing happens anywhere,
// and a few for some hundred rooms otherwise.
func (s *Server) poll(ctx context.Context, w *watchedAccess) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	event, err := s.deps.Store.LastEvent(ctx)
	if err == nil && event == w.event && w.quiet < maxQuiet {
		w.quiet++
		return
	}
	seen := map[string]string{}
	for sc, h := range s.holdings() { //nolint:contextcheck // rooms work under the server's own context, until Shutdown
		if err := s.pollScope(ctx, sc, h, w.stamps, seen); err != nil {
			if ctx.Err() == nil {
				s.log.Warn("revocations not looked for, tried again soon", "err", err)
			}
			return
		}
	}
	if err == nil {
		w.event, w.quiet = event, 0
	}
	w.stamps = seen
}

func (s *Server) pollScope(ctx context.Context, sc consult.Scope, h *held, was, seen map[string]string) error {
	for _, b := range h.unbegun {
		b.notice()
	}
	stamps, err := s.deps.Store.SessionStamps(ctx, sc, slices.Collect(maps.Keys(h.rooms)))
	if err != nil {
		return err
	}
	for id, stamp := range stamps {
		seen[id] = stamp
		if was[id] != stamp {
			h.rooms[id].refreshSoon() //nolint:contextcheck // rooms work under the server's own context, until Shutdown
			h.rooms[id].queueSoon()   //nolint:contextcheck // as above
		}
	}
	revoked, err := s.deps.Store.TokensRevoked(ctx, sc, slices.Collect(maps.Keys(h.tokens)))
	if err != nil {
		return err
	}
	for _, id := range revoked {
		h.tokens[id]()
	}
	for id, tell := range h.keys {
		key, err := s.deps.Store.KeyByID(ctx, sc, id)
		if err != nil && !consult.HasCode(err, consult.NotFound) {
			return err
		}
		if key != nil && key.RevokedAt == nil {
			continue
		}
		for _, fn := range tell {
			fn(key != nil && key.EndCalls)
		}
	}
	return nil
}
