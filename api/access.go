package api

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/chatmed/chatmed/internal/consult"
)

// releaseTimeout bounds giving a concurrency slot back; it would end by its
// lease otherwise.
const releaseTimeout = time.Second

// authenticate asks for the API key. Only the header is looked at: a key in a
// URL would stand in logs. An address that has sent too many wrong keys is
// refused before its key is looked up, unless the same key has lately been
// right from there: one broken device must not lock its clinic out.
func (s *server) authenticate(c *gin.Context) {
	if s.authenticateToken(c) {
		return
	}
	ctx := c.Request.Context()
	from, err := netip.ParseAddr(c.ClientIP())
	if err != nil {
		from = netip.Addr{} // no address a limit could be kept for
	}
	from = from.Unmap().WithZone("")
	secret := ""
	if v := c.Request.Header.Values("X-API-Key"); len(v) == 1 {
		secret = v[0]
	}
	if allowed, wait := s.Limits.Failed(ctx, from); !allowed && !s.known.has(secret, from) {
		retryAfter(c, wait)
		s.fail(c, consult.Errorf(consult.RateLimitExceeded, consult.ReasonFailedKeys,
			"Too many requests with a wrong API key from this address."))
		return
	}
	key, err := s.Keys.Authenticate(ctx, secret, from)
	if err != nil {
		if e := consult.AsError(err); e.Code == consult.Unauthorized && e.Reason != consult.ReasonKeyMissing {
			s.Limits.NoteFailure(ctx, from)
		}
		s.fail(c, err)
		return
	}
	s.known.note(secret, from)
	s.corsOfKey(c, key)
	requestOf(c).key = key
}

// permit asks whether the key and its plan may use the operation.
func (s *server) permit(c *gin.Context) {
	r := requestOf(c)
	if r.claims == nil && r.op.scope != "" && !r.key.Has(r.op.scope) {
		s.fail(c, consult.Errorf(consult.Forbidden, consult.ReasonScope, "This API key does not have the scope %s.", r.op.scope))
		return
	}
	if err := s.planHas(r.key, r.op.planGroup); err != nil {
		s.fail(c, err)
	}
}

// planHas refuses what the key's plan lacks. The emergency screen is in no
// group, so nothing can deny it.
func (s *server) planHas(key *consult.APIKey, group string) error {
	if p, _ := s.Limits.Plan(key.Plan); !p.Allows(group) {
		return consult.Errorf(consult.Forbidden, consult.ReasonPlan, "Your plan does not have access to this endpoint.")
	}
	return nil
}

// limit takes the request off the key's quota and holds one of its concurrency
// slots until the request is over, however it ends.
func (s *server) limit(c *gin.Context) {
	ctx, key := c.Request.Context(), requestOf(c).key
	if requestOf(c).claims != nil {
		return // people in a call do not use up the key's quota
	}
	permit, d, err := s.Limits.Acquire(ctx, key.ID, key.Plan)
	if err != nil {
		s.fail(c, err)
		return
	}
	d.Header(c.Writer.Header())
	if !d.Allowed {
		s.fail(c, consult.Errorf(consult.RateLimitExceeded, d.Reason, "%s", tooMany(d.Reason)))
		return
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		permit.Release(ctx)
	}()
	c.Next()
}

func tooMany(reason string) string {
	if reason == consult.ReasonConcurrency {
		return "Too many requests at the same time."
	}
	return "Too many requests. Check X-RateLimit-Reset header."
}

// retryAfter sets Retry-After, in whole seconds and never early.
func retryAfter(c *gin.Context, d time.Duration) {
	c.Header("Retry-After", strconv.FormatInt(max(wholeSeconds(d), 1), 10))
}

// knownKeys remembers which key was right from which address lately, as hashes
// and for as long as it takes to mend a broken device. Bounded.
type knownKeys struct {
	mu   sync.Mutex
	seen map[[sha256.Size]byte]time.Time // monotonic
}

const (
	knownFor = 15 * time.Minute
	maxKnown = 10_000
)

func newKnownKeys() *knownKeys { return &knownKeys{seen: map[[sha256.Size]byte]time.Time{}} }

func knownName(secret string, from netip.Addr) [sha256.Size]byte {
	return sha256.Sum256([]byte(from.String() + " " + secret))
}

func (k *knownKeys) has(secret string, from netip.Addr) bool {
	if secret == "" {
		return false
	}
	name := knownName(secret, from)
	k.mu.Lock()
	defer k.mu.Unlock()
	at, ok := k.seen[name]
	return ok && time.Since(at) < knownFor
}

func (k *knownKeys) note(secret string, from netip.Addr) {
	name, now := knownName(secret, from), time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.seen[name]; !ok && len(k.seen) >= maxKnown {
		for old, at := range k.seen { // the expired, or else any one: they only spare a wait
			if now.Sub(at) >= knownFor {
				delete(k.seen, old)
			}
		}
		for old := range k.seen {
			if len(k.seen) < maxKnown {
				break
			}
			delete(k.seen, old)
		}
	}
	k.seen[name] = now
}
