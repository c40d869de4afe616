package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	// MaxTokenSize bounds a token, in bytes.
	MaxTokenSize = 8 << 10
	// leeway is how far the clocks of our nodes may differ.
	leeway      = 5 * time.Second
	readTimeout = 2 * time.Second
)

// RevocationStore knows which tokens no longer count.
type RevocationStore interface {
	// TokenEpoch is the consultation's current epoch.
	TokenEpoch(ctx context.Context, sc consult.Scope, sessionID string) (int, error)
	RevokeToken(ctx context.Context, sc consult.Scope, jti string, expires time.Time, ev []consult.Event) error
	TokenRevoked(ctx context.Context, sc consult.Scope, jti string) (bool, error)
}

// KeyLookup finds the API key that issued a token; Keys implements it.
type KeyLookup interface {
	KeyByID(ctx context.Context, sc consult.Scope, id string) (*consult.APIKey, error)
}

// Tokens issues and verifies room and dashboard tokens: JWTs signed by
// HMAC-SHA-256 under a key named in their header. Safe for concurrent use.
type Tokens struct {
	kid    string            // of the current key
	keys   map[string][]byte // by kid: the current and the previous key
	store  RevocationStore
	lookup KeyLookup
	now    consult.Clock
	parser *jwt.Parser
}

// NewTokens returns Tokens under the secrets' keys. Tokens signed under the
// previous secret still verify.
func NewTokens(secrets *Secrets, store RevocationStore, keys KeyLookup, now consult.Clock) (*Tokens, error) {
	derived, err := secrets.Derive(PurposeToken)
	if err != nil {
		return nil, err
	}
	t := &Tokens{
		keys: make(map[string][]byte), store: store, lookup: keys, now: now,
		// Times are checked below, against our clock and with reasons.
		parser: jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
			jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding()),
	}
	for i, key := range derived {
		kid := keyID(key)
		if i == 0 {
			t.kid = kid
		}
		t.keys[kid] = key
	}
	return t, nil
}

// Issue signs c. An empty ID, IssuedAt or NotBefore is filled in; ExpiresAt and
// the Epoch of a room token are the caller's.
func (t *Tokens) Issue(c Claims) (string, error) {
	if c.ID == "" {
		c.ID = consult.NewID(consult.PrefixToken)
	}
	if c.IssuedAt.IsZero() {
		c.IssuedAt = t.now()
	}
	if c.NotBefore.IsZero() {
		c.NotBefore = c.IssuedAt
	}
	if !c.sound() {
		return "", errors.New("the claims of a token are incomplete or do not fit its kind")
	}
	tok := jwt.NewWithClaims(jwt.SigningMethodHS256, c.wire())
	tok.Header["kid"] = t.kid
	raw, err := tok.SignedString(t.keys[t.kid])
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	if len(raw) > MaxTokenSize {
		return "", fmt.Errorf("a token of %d bytes is larger than %d", len(raw), MaxTokenSize)
	}
	return raw, nil
}

// Verify returns the claims of a token that counts now. A refusal is
// Unauthorized with the reason token_missing, token_malformed, token_signature,
// token_expired, token_not_yet_valid or token_revoked.
func (t *Tokens) Verify(ctx context.Context, raw string) (*Claims, error) {
	c, err := t.Read(raw)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	revoked, err := t.revoked(ctx, c)
	if err != nil {
		return nil, unavailable(err)
	}
	if revoked {
		return nil, refuse(consult.ReasonTokenRevoked, "The token has been revoked.")
	}
	return c, nil
}

// Read checks signature and times but not revocation. It serves to tell the
// holder of a revoked token what became of the consultation, and nothing else:
// only Verify lets anybody in.
func (t *Tokens) Read(raw string) (*Claims, error) {
	if raw == "" {
		return nil, refuse(consult.ReasonTokenMissing, "A token is needed.")
	}
	malformed := refuse(consult.ReasonTokenMalformed, "The token is not one of ours.")
	// Go's base64 skips line breaks even when strict: one token would have many
	// spellings.
	if len(raw) > MaxTokenSize || strings.ContainsAny(raw, "\r\n") {
		return nil, malformed
	}
	var w wire
	// The library's errors may quote parts of the token, so none is passed on.
	if _, err := t.parser.ParseWithClaims(raw, &w, t.key); err != nil {
		if errors.Is(err, jwt.ErrTokenSignatureInvalid) || errors.Is(err, jwt.ErrTokenUnverifiable) {
			return nil, refuse(consult.ReasonTokenSignature, "The token's signature is not valid.")
		}
		return nil, malformed
	}
	c := w.claims()
	if !c.sound() {
		return nil, malformed
	}
	now := t.now()
	if !now.Before(c.ExpiresAt.Add(leeway)) {
		return nil, refuse(consult.ReasonTokenExpired, "The token has expired.")
	}
	if now.Before(c.NotBefore.Add(-leeway)) {
		return nil, refuse(consult.ReasonTokenNotYetValid, "The token is not valid yet.")
	}
	return c, nil
}

func (t *Tokens) key(tok *jwt.Token) (any, error) {
	kid, ok := tok.Header["kid"].(string)
	key, known := t.keys[kid]
	if !ok || !known {
		return nil, errors.New("unknown kid")
	}
	return key, nil
}

// revoked asks for the three ways a token can stop counting: by itself, with
// its consultation's epoch, with the key that issued it.
func (t *Tokens) revoked(ctx context.Context, c *Claims) (bool, error) {
	key, err := t.lookup.KeyByID(ctx, c.Scope, c.KeyID)
	if consult.HasCode(err, consult.NotFound) || err == nil && key.RevokedAt != nil {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if c.Kind == KindRoom {
		epoch, err := t.store.TokenEpoch(ctx, c.Scope, c.SessionID)
		if consult.HasCode(err, consult.NotFound) || err == nil && c.Epoch < epoch {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return t.store.TokenRevoked(ctx, c.Scope, c.ID)
}

// Revoke ends one token. The store may forget it once it would have expired
// anyway.
func (t *Tokens) Revoke(ctx context.Context, c *Claims, actor consult.Actor) error {
	data, err := json.Marshal(map[string]string{"token_id": c.ID, "role": string(c.Role)})
	if err != nil {
		return fmt.Errorf("token event: %w", err)
	}
	ev := consult.Event{
		ID: consult.NewID(consult.PrefixEvent), Type: consult.EventTokensRevoked, Scope: c.Scope, Actor: actor,
		SessionID: c.SessionID, DoctorID: c.DoctorID, At: t.now().UTC(), Data: data,
	}
	return t.store.RevokeToken(ctx, c.Scope, c.ID, c.ExpiresAt.Add(leeway), []consult.Event{ev})
}

func refuse(reason, message string) error {
	return consult.Errorf(consult.Unauthorized, reason, "%s", message)
}
