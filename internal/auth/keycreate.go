package auth

import (
	"context"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	maxOrigins   = 50
	maxAddresses = 100
)

// Operator is the actor of the command line.
var Operator = consult.Actor{Kind: consult.ActorOperator, ID: "cli"}

// CreateKeyRequest describes a new key.
type CreateKeyRequest struct {
	// AccountID is the existing account that the key is for; NotFound if there is
	// none. Empty means the account named AccountName.
	AccountID string
	// AccountName is the organisation, created on first use; empty means Name.
	AccountName string
	Name        string // what the key is for, 1 to 120 characters
	Email       string // of the key's user; may be empty
	Plan        string // one of consult's plans
	Mode        consult.Mode
	// AllowedOrigins may embed the room, each scheme://host[:port].
	AllowedOrigins []string
	// Scopes are what the key may use; none is all but admin.
	Scopes []consult.KeyScope
	// AllowedAddresses are where its requests may come from; none is anywhere.
	AllowedAddresses []netip.Prefix
	// Actor is who makes it; the zero value is the command line.
	Actor consult.Actor
}

// Create makes a key and returns its secret, which is stored nowhere and shown
// this once.
func (k *Keys) Create(ctx context.Context, r CreateKeyRequest) (secret string, key *consult.APIKey, err error) {
	if err := r.validate(); err != nil {
		return "", nil, err
	}
	now := k.now().UTC()
	secret = newSecret(r.Mode)
	for range 2 { // again when someone else has just made the account
		if key, err = k.insert(ctx, r, secret, now); !consult.HasCode(err, consult.Conflict) {
			break
		}
	}
	if err != nil {
		return "", nil, err
	}
	return secret, key, nil
}

func (k *Keys) insert(ctx context.Context, r CreateKeyRequest, secret string, now time.Time) (*consult.APIKey, error) {
	acc, err := k.account(ctx, r, now)
	if err != nil {
		return nil, err
	}
	key := &consult.APIKey{
		ID: consult.NewID(consult.PrefixKey), Scope: consult.Scope{AccountID: acc.ID, Mode: r.Mode},
		UserID: consult.NewID(consult.PrefixUser), ProfileID: consult.NewID(consult.PrefixProfile),
		Name: r.Name, Email: r.Email, Plan: r.Plan, Prefix: secret[:shownLength], Hash: digest(k.macs[0], secret),
		AllowedOrigins: r.AllowedOrigins, Scopes: r.Scopes, AllowedAddresses: r.AllowedAddresses, CreatedAt: now,
	}
	if err := k.store.CreateKey(ctx, acc, key, []consult.Event{keyEvent(key, consult.EventKeyCreated, r.Actor, now)}); err != nil {
		return nil, err
	}
	return key, nil
}

func (k *Keys) account(ctx context.Context, r CreateKeyRequest, now time.Time) (*consult.Account, error) {
	if r.AccountID != "" {
		return k.store.Account(ctx, r.AccountID)
	}
	acc, err := k.store.AccountByName(ctx, r.AccountName)
	if consult.HasCode(err, consult.NotFound) {
		return &consult.Account{ID: consult.NewID(consult.PrefixAccount), Name: r.AccountName, Email: r.Email, CreatedAt: now}, nil
	}
	return acc, err
}

// complaints collects what is wrong with a request.
type complaints struct{ fields []consult.FieldError }

func (c *complaints) add(field, msg string) {
	c.fields = append(c.fields, consult.FieldError{Field: field, Message: msg})
}

func (c *complaints) err(message string) error {
	if len(c.fields) == 0 {
		return nil
	}
	return &consult.Error{Code: consult.ValidationError, Message: message, Fields: c.fields}
}

func (c *complaints) name(field, v string) {
	if v == "" || !utf8.ValidString(v) || utf8.RuneCountInString(v) > consult.MaxNameLength {
		c.add(field, "must be 1 to 120 characters")
	}
}

func (c *complaints) origins(list []string) {
	if len(list) > maxOrigins || slices.ContainsFunc(list, func(o string) bool { return !validOrigin(o) }) {
		c.add("allowed_origins", "must be at most 50 of the form https://host")
	}
}

// addresses checks the list and returns it as it is stored: each prefix without
// host bits, IPv4 as IPv4.
func (c *complaints) addresses(list []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		if !p.IsValid() || p.Addr().Is4In6() {
			c.add("allowed_addresses", "must be addresses or networks such as 192.0.2.0/24")
			return nil
		}
		out = append(out, p.Masked())
	}
	if len(out) > maxAddresses {
		c.add("allowed_addresses", "must be at most 100")
	}
	return out
}

func (r *CreateKeyRequest) validate() error {
	var c complaints
	r.Name, r.AccountName = strings.TrimSpace(r.Name), strings.TrimSpace(r.AccountName)
	if r.AccountName == "" {
		r.AccountName = r.Name
	}
	c.name("name", r.Name)
	if r.AccountName != r.Name {
		c.name("account", r.AccountName)
	}
	if r.Email != "" {
		if a, err := mail.ParseAddress(r.Email); err != nil || a.Address != r.Email {
			c.add("email", "must be an e-mail address")
		}
	}
	if !consult.ValidPlan(r.Plan) {
		c.add("plan", "must be starter, professional or enterprise")
	}
	if !r.Mode.Valid() {
		c.add("mode", "must be live or test")
	}
	c.origins(r.AllowedOrigins)
	if len(r.Scopes) == 0 {
		r.Scopes = consult.DefaultKeyScopes()
	}
	r.Scopes = slices.Compact(slices.Sorted(slices.Values(r.Scopes)))
	if slices.ContainsFunc(r.Scopes, func(s consult.KeyScope) bool { return !s.Valid() }) {
		c.add("scopes", "must be some of consultations, clinical, recordings and admin")
	}
	r.AllowedAddresses = c.addresses(r.AllowedAddresses)
	if r.Actor == (consult.Actor{}) {
		r.Actor = Operator
	}
	return c.err("The key cannot be made as described.")
}

// validOrigin reports whether o is an origin as browsers serialise it (RFC 6454
// section 6.2), which makes it safe to copy into a Content-Security-Policy.
func validOrigin(o string) bool {
	u, err := url.Parse(o)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" &&
		o == u.Scheme+"://"+u.Host && !strings.ContainsAny(o, " ;,'\"*")
}

// ParseAddresses reads addresses and networks as people write them: an address
// alone is a network of one.
func ParseAddresses(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, aerr := netip.ParseAddr(s)
			if aerr != nil || a.Zone() != "" {
				var c complaints
				c.add("allowed_addresses", "must be addresses or networks such as 192.0.2.0/24")
				return nil, c.err("The addresses cannot be read.")
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p)
	}
	return out, nil
}
