package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
)

// keyRoutes manage the keys of the caller's account, in the caller's mode: a
// sandbox key never reaches live ones.
func (s *server) keyRoutes() []route {
	const all = "/api/v1/keys"
	const key = all + "/{key_id}"
	return []route{
		{http.MethodGet, all, s.listKeys},
		{http.MethodPost, all, s.createKey},
		{http.MethodGet, key, s.getKey},
		{http.MethodPatch, key, s.updateKey},
		{http.MethodPost, key + "/rotate", s.rotateKey},
		{http.MethodPost, key + "/revoke", s.revokeKey},
	}
}

type keyBody struct {
	ID               string             `json:"id"`
	Name             string             `json:"name"`
	Email            *string            `json:"email"`
	Prefix           string             `json:"prefix"`
	Plan             string             `json:"plan"`
	Mode             consult.Mode       `json:"mode"`
	Scopes           []consult.KeyScope `json:"scopes"`
	AllowedOrigins   []string           `json:"allowed_origins"`
	AllowedAddresses []string           `json:"allowed_addresses"`
	CreatedAt        string             `json:"created_at"`
	LastUsedAt       *string            `json:"last_used_at"`
	ExpiresAt        *string            `json:"expires_at"`
	RotatedTo        *string            `json:"rotated_to"`
	RevokedAt        *string            `json:"revoked_at"`
}

// secretBody is a key with its secret: the only answer that ever shows it.
type secretBody struct {
	keyBody
	Secret string `json:"secret"`
}

func keyOf(k *consult.APIKey) keyBody {
	b := keyBody{
		ID: k.ID, Name: k.Name, Email: optional(k.Email), Prefix: k.Prefix, Plan: k.Plan, Mode: k.Scope.Mode,
		Scopes: scopesOf(k), AllowedOrigins: append([]string{}, k.AllowedOrigins...), AllowedAddresses: []string{},
		CreatedAt: rfc3339(k.CreatedAt), LastUsedAt: optionalTime(k.LastUsedAt), ExpiresAt: optionalTime(k.ExpiresAt),
		RotatedTo: optional(k.RotatedTo), RevokedAt: optionalTime(k.RevokedAt),
	}
	for _, p := range k.AllowedAddresses {
		b.AllowedAddresses = append(b.AllowedAddresses, p.String())
	}
	return b
}

// scopesOf are the scopes a key has; the oldest rows say it by an empty list.
func scopesOf(k *consult.APIKey) []consult.KeyScope {
	if len(k.Scopes) == 0 {
		return consult.DefaultKeyScopes()
	}
	return k.Scopes
}

// mayGive refuses scopes that the caller lacks: no key makes one that can do
// more than itself.
func (r *request) mayGive(scopes []consult.KeyScope) error {
	for _, sc := range scopes {
		if !r.key.Has(sc) {
			return consult.Errorf(consult.Forbidden, consult.ReasonScope, "This API key cannot give the scope %s, which it does not have.", sc)
		}
	}
	return nil
}

func (s *server) listKeys(ctx context.Context, r *request) (any, error) {
	p, err := s.page(r)
	if err != nil {
		return nil, err
	}
	var items []consult.APIKey
	next := ""
	// The account's keys come in both modes; one more than the page tells
	// whether any of this mode are left.
	for {
		found, more, err := s.KeyAdmin.ListScope(ctx, r.key.Scope.AccountID, consult.Page{After: p.After, Limit: consult.MaxPageLimit})
		if err != nil {
			return nil, err
		}
		for _, k := range found {
			if k.Scope.Mode == r.key.Scope.Mode {
				items = append(items, k)
			}
		}
		if len(items) > p.Limit {
			items = items[:p.Limit]
			last := items[p.Limit-1]
			next = consult.Cursor{At: last.CreatedAt, ID: last.ID}.String()
			break
		}
		if more == "" {
			break
		}
		p.After = more
	}
	return pageOf(s, r, items, next, keyOf), nil
}

type createKeyBody struct {
	Name             string             `json:"name"`
	Email            string             `json:"email"`
	Scopes           []consult.KeyScope `json:"scopes"`
	AllowedOrigins   []string           `json:"allowed_origins"`
	AllowedAddresses []string           `json:"allowed_addresses"`
}

// createKey makes a key of the caller's account, mode and plan.
func (s *server) createKey(ctx context.Context, r *request) (any, error) {
	var b createKeyBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	if len(b.Scopes) == 0 { // all of the caller's but admin, which must be asked for
		for _, sc := range scopesOf(r.key) {
			if sc != consult.ScopeAdmin {
				b.Scopes = append(b.Scopes, sc)
			}
		}
	}
	if len(b.Scopes) == 0 {
		return nil, invalidField("scopes", "is required, since this API key has only admin to give")
	}
	if err := r.mayGive(b.Scopes); err != nil {
		return nil, err
	}
	addresses, err := auth.ParseAddresses(b.AllowedAddresses)
	if err != nil {
		return nil, err
	}
	secret, key, err := s.KeyAdmin.Create(ctx, auth.CreateKeyRequest{
		AccountID: r.key.Scope.AccountID, Name: b.Name, Email: b.Email, Plan: r.key.Plan, Mode: r.key.Scope.Mode,
		Scopes: b.Scopes, AllowedOrigins: b.AllowedOrigins, AllowedAddresses: addresses, Actor: r.actor(),
	})
	if err != nil {
		return nil, err
	}
	return secretBody{keyOf(key), secret}, nil
}

func invalidField(field, message string) error {
	return &consult.Error{
		Code: consult.ValidationError, Message: messageInvalid, Fields: []consult.FieldError{{Field: field, Message: message}},
	}
}

// keyInPath is the key of the path, of the caller's account and mode.
func (s *server) keyInPath(ctx context.Context, r *request) (*consult.APIKey, error) {
	return s.KeyAdmin.KeyByID(ctx, r.key.Scope, r.params["key_id"])
}

func (s *server) getKey(ctx context.Context, r *request) (any, error) {
	k, err := s.keyInPath(ctx, r)
	if err != nil {
		return nil, err
	}
	return keyOf(k), nil
}

type updateKeyBody struct {
	Name             *string  `json:"name"`
	AllowedOrigins   []string `json:"allowed_origins"` // nil: not given
	AllowedAddresses []string `json:"allowed_addresses"`
}

func (s *server) updateKey(ctx context.Context, r *request) (any, error) {
	var b updateKeyBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	k, err := s.keyInPath(ctx, r)
	if err != nil {
		return nil, err
	}
	if b.Name == nil && b.AllowedOrigins == nil && b.AllowedAddresses == nil {
		return keyOf(k), nil
	}
	patch := auth.KeyPatch{Name: b.Name, AllowedOrigins: b.AllowedOrigins}
	if b.AllowedAddresses != nil {
		if patch.AllowedAddresses, err = auth.ParseAddresses(b.AllowedAddresses); err != nil {
			return nil, err
		}
		patch.AllowedAddresses = slices.Grow(patch.AllowedAddresses, 1) // an empty list clears, nil does not
	}
	k, err = s.KeyAdmin.Update(ctx, r.key.Scope.AccountID, k.ID, r.actor(), patch)
	if err != nil {
		return nil, err
	}
	return keyOf(k), nil
}

type rotateKeyBody struct {
	OverlapSeconds *int64 `json:"overlap_seconds"`
}

// defaultOverlap is how long a rotated key goes on unless the caller says.
const defaultOverlap = 24 * time.Hour

type rotatedBody struct {
	secretBody
	Replaces          string `json:"replaces"`
	PreviousExpiresAt string `json:"previous_expires_at"`
}

func (s *server) rotateKey(ctx context.Context, r *request) (any, error) {
	var b rotateKeyBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	old, err := s.keyInPath(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := r.mayGive(scopesOf(old)); err != nil {
		return nil, err // the answer holds a secret with these scopes
	}
	overlap := defaultOverlap
	if b.OverlapSeconds != nil {
		overlap = time.Duration(*b.OverlapSeconds) * time.Second
	}
	secret, key, err := s.KeyAdmin.Rotate(ctx, r.key.Scope.AccountID, old.ID, overlap, r.actor())
	if err != nil {
		return nil, err
	}
	return rotatedBody{secretBody{keyOf(key), secret}, old.ID, rfc3339(key.CreatedAt.Add(overlap))}, nil
}

type revokeKeyBody struct {
	EndCalls bool `json:"end_calls"`
}

func (s *server) revokeKey(ctx context.Context, r *request) (any, error) {
	var b revokeKeyBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	k, err := s.keyInPath(ctx, r)
	if err != nil {
		return nil, err
	}
	k, err = s.KeyAdmin.RevokeIn(ctx, r.key.Scope.AccountID, k.ID, r.actor(), b.EndCalls)
	if err != nil {
		return nil, err
	}
	return keyOf(k), nil
}
