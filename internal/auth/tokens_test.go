package auth

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/chatmed/chatmed/internal/consult"
)

var scope = consult.Scope{AccountID: "acc_1", Mode: consult.Live}

// stocked is a store with one key and one consultation.
func stocked() *fakeStore {
	f := newStore()
	f.keys = []consult.APIKey{{ID: "key_1", Scope: scope}}
	f.epochs["vs_1"] = 3
	return f
}

func room() Claims {
	return Claims{
		Kind: KindRoom, Scope: scope, KeyID: "key_1", SessionID: "vs_1", DoctorID: "doc_1", Role: consult.Patient,
		Subject: "pat_1", Name: "Amélie", Grants: consult.DefaultGrants(consult.Patient), Epoch: 3, Language: "fr",
		ExpiresAt: start.Add(time.Hour),
	}
}

func dashboard() Claims {
	return Claims{Kind: KindDashboard, Scope: scope, KeyID: "key_1", DoctorID: "doc_1", Role: consult.Doctor,
		Subject: "doc_1", ExpiresAt: start.Add(time.Hour)}
}

func issue(tb testing.TB, t *Tokens, c Claims) string {
	tb.Helper()
	raw, err := t.Issue(c)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func TestIssueAndVerify(t *testing.T) {
	tok := newTokens(t, stocked(), secrets(t, 1), newClock().now)
	for name, c := range map[string]Claims{"room": room(), "dashboard": dashboard()} {
		t.Run(name, func(t *testing.T) {
			got, err := tok.Verify(t.Context(), issue(t, tok, c))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(got.ID, "tok_") || !got.IssuedAt.Equal(start) || !got.NotBefore.Equal(start) {
				t.Errorf("filled in: %+v", got)
			}
			c.ID, c.IssuedAt, c.NotBefore = got.ID, got.IssuedAt, got.NotBefore
			a, _ := json.Marshal(c)
			b, _ := json.Marshal(got)
			if string(a) != string(b) {
				t.Errorf("got  %s\nwant %s", b, a)
			}
		})
	}
}

func TestIssueRefusesUnsoundClaims(t *testing.T) {
	tok := newTokens(t, stocked(), secrets(t, 1), newClock().now)
	for name, spoil := range map[string]func(*Claims){
		"kind":        func(c *Claims) { c.Kind = "other" },
		"account":     func(c *Claims) { c.Scope.AccountID = "" },
		"mode":        func(c *Claims) { c.Scope.Mode = "" },
		"key":         func(c *Claims) { c.KeyID = "" },
		"session":     func(c *Claims) { c.SessionID = "" },
		"role":        func(c *Claims) { c.Role = "admin" },
		"subject":     func(c *Claims) { c.Subject = "" },
		"expiry":      func(c *Claims) { c.ExpiresAt = time.Time{} },
		"epoch":       func(c *Claims) { c.Epoch = -1 },
		"name":        func(c *Claims) { c.Name = strings.Repeat("é", 121) },
		"size":        func(c *Claims) { c.Subject = strings.Repeat("x", MaxTokenSize) },
		"dashboard 1": func(c *Claims) { *c = dashboard(); c.SessionID = "vs_1" },
		"dashboard 2": func(c *Claims) { *c = dashboard(); c.Role = consult.Patient },
		"dashboard 3": func(c *Claims) { *c = dashboard(); c.DoctorID = "" },
	} {
		c := room()
		spoil(&c)
		if _, err := tok.Issue(c); err == nil {
			t.Errorf("%s: issued", name)
		}
	}
}

// forged is a token as an attacker would make it.
func forged(t *testing.T, method jwt.SigningMethod, key any, header map[string]any, claims any) string {
	t.Helper()
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	m := jwt.MapClaims{}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	tok := jwt.NewWithClaims(method, m)
	for k, v := range header {
		tok.Header[k] = v
	}
	raw, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestVerifyRefusals(t *testing.T) {
	f := stocked()
	tok := newTokens(t, f, secrets(t, 1), newClock().now)
	c := room()
	c.ID, c.IssuedAt, c.NotBefore = "tok_1", start, start
	good := issue(t, tok, c)
	head, rest, _ := strings.Cut(good, ".")
	body, sig, _ := strings.Cut(rest, ".")
	kid := map[string]any{"kid": tok.kid}
	key := tok.keys[tok.kid]
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*Claims)) string {
		c := c
		change(&c)
		return issue(t, tok, c)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	f.revoked["tok_gone"] = start.Add(time.Hour)
	revokedAt := start
	f.keys = append(f.keys, consult.APIKey{ID: "key_revoked", Scope: scope, RevokedAt: &revokedAt})

	for name, x := range map[string]struct{ raw, reason string }{
		"nothing":          {"", consult.ReasonTokenMissing},
		"garbage":          {"hello", consult.ReasonTokenMalformed},
		"two parts":        {head + "." + body, consult.ReasonTokenMalformed},
		"four parts":       {good + ".x", consult.ReasonTokenMalformed},
		"a space":          {" " + good, consult.ReasonTokenMalformed},
		"line break":       {good[:len(good)-5] + "\n" + good[len(good)-5:], consult.ReasonTokenMalformed},
		"bad base64":       {head + "." + body + ".%%%", consult.ReasonTokenMalformed},
		"padded signature": {good + "=", consult.ReasonTokenMalformed},
		"header no JSON":   {b64([]byte("x")) + "." + rest, consult.ReasonTokenMalformed},
		"claims no JSON":   {head + "." + b64([]byte("x")) + "." + sig, consult.ReasonTokenMalformed},
		"too large":        {good + strings.Repeat("x", MaxTokenSize), consult.ReasonTokenMalformed},

		"alg none":              {forged(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, kid, c.wire()), consult.ReasonTokenSignature},
		"alg none, kept sig":    {b64([]byte(`{"alg":"none","kid":"`+tok.kid+`"}`)) + "." + rest, consult.ReasonTokenSignature},
		"alg missing":           {b64([]byte(`{"kid":"`+tok.kid+`"}`)) + "." + rest, consult.ReasonTokenSignature},
		"RS256":                 {forged(t, jwt.SigningMethodRS256, rsaKey, kid, c.wire()), consult.ReasonTokenSignature},
		"HS512 by our key":      {forged(t, jwt.SigningMethodHS512, key, kid, c.wire()), consult.ReasonTokenSignature},
		"HS256 by another key":  {forged(t, jwt.SigningMethodHS256, secretOf(9), kid, c.wire()), consult.ReasonTokenSignature},
		"unknown kid":           {forged(t, jwt.SigningMethodHS256, key, map[string]any{"kid": "00000000"}, c.wire()), consult.ReasonTokenSignature},
		"kid of another type":   {forged(t, jwt.SigningMethodHS256, key, map[string]any{"kid": 7}, c.wire()), consult.ReasonTokenSignature},
		"no kid":                {forged(t, jwt.SigningMethodHS256, key, nil, c.wire()), consult.ReasonTokenSignature},
		"other claims":          {head + "." + b64([]byte(`{"role":"doctor"}`)) + "." + sig, consult.ReasonTokenSignature},
		"signed but incomplete": {forged(t, jwt.SigningMethodHS256, key, kid, map[string]any{"kind": "room"}), consult.ReasonTokenMalformed},
		"signed, no expiry": {forged(t, jwt.SigningMethodHS256, key, kid, func() *wire {
			w := c.wire()
			w.ExpiresAt = nil
			return w
		}()), consult.ReasonTokenMalformed},

		"expired":        {with(func(c *Claims) { c.ExpiresAt = start.Add(-leeway) }), consult.ReasonTokenExpired},
		"not yet valid":  {with(func(c *Claims) { c.NotBefore = start.Add(leeway + time.Second) }), consult.ReasonTokenNotYetValid},
		"old epoch":      {with(func(c *Claims) { c.Epoch = 2 }), consult.ReasonTokenRevoked},
		"no such room":   {with(func(c *Claims) { c.SessionID = "vs_none" }), consult.ReasonTokenRevoked},
		"revoked itself": {with(func(c *Claims) { c.ID = "tok_gone" }), consult.ReasonTokenRevoked},
		"key revoked":    {with(func(c *Claims) { c.KeyID = "key_revoked" }), consult.ReasonTokenRevoked},
		"key gone":       {with(func(c *Claims) { c.KeyID = "key_none" }), consult.ReasonTokenRevoked},
		"key elsewhere":  {with(func(c *Claims) { c.Scope.Mode = consult.Test }), consult.ReasonTokenRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tok.Verify(t.Context(), x.raw)
			wantRefusal(t, err, consult.Unauthorized, x.reason)
			for part := range strings.SplitSeq(x.raw, ".") {
				if len(part) > 8 && strings.Contains(err.Error(), part) {
					t.Errorf("%v repeats the token", err)
				}
			}
		})
	}
	for name, raw := range map[string]string{
		"just expired":     with(func(c *Claims) { c.ExpiresAt = start.Add(-leeway + time.Second) }),
		"nearly valid":     with(func(c *Claims) { c.NotBefore = start.Add(leeway) }),
		"as it was issued": good,
	} {
		if _, err := tok.Verify(t.Context(), raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAStoreFailureIsNotTheHoldersFault(t *testing.T) {
	f := stocked()
	tok := newTokens(t, f, secrets(t, 1), newClock().now)
	raw := issue(t, tok, room())
	f.fail = errors.New("disk on fire")
	_, err := tok.Verify(t.Context(), raw)
	wantRefusal(t, err, consult.ServiceUnavailable, "")
}

func TestRotation(t *testing.T) {
	f, c := stocked(), newClock()
	before, during, after := newTokens(t, f, secrets(t, 1), c.now), newTokens(t, f, secrets(t, 2, 1), c.now), newTokens(t, f, secrets(t, 2), c.now)
	old, fresh := issue(t, before, room()), issue(t, during, room())
	for name, x := range map[string]struct {
		t   *Tokens
		raw string
		ok  bool
	}{
		"old token, rotating":     {during, old, true},
		"new token, rotating":     {during, fresh, true},
		"new token, rotated":      {after, fresh, true},
		"old token, rotated":      {after, old, false},
		"new token, not rotating": {before, fresh, false},
	} {
		_, err := x.t.Verify(t.Context(), x.raw)
		if x.ok && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !x.ok {
			wantRefusal(t, err, consult.Unauthorized, consult.ReasonTokenSignature)
		}
	}
}

func TestRevokeToken(t *testing.T) {
	f := stocked()
	tok := newTokens(t, f, secrets(t, 1), newClock().now)
	raw := issue(t, tok, room())
	c, err := tok.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.Revoke(t.Context(), c, consult.System); err != nil {
		t.Fatal(err)
	}
	_, err = tok.Verify(t.Context(), raw)
	wantRefusal(t, err, consult.Unauthorized, consult.ReasonTokenRevoked)
	if got, err := tok.Read(raw); err != nil || got.SessionID != "vs_1" {
		t.Errorf("Read of a revoked token: %+v, %v", got, err)
	}
	e := f.events[0]
	if e.Type != consult.EventTokensRevoked || e.SessionID != "vs_1" || e.Scope != scope || strings.Contains(string(e.Data), "Amélie") {
		t.Errorf("event %+v", e)
	}
	if f.revoked[c.ID].Before(c.ExpiresAt) {
		t.Error("forgotten before it expires")
	}
}

func TestClaimChecks(t *testing.T) {
	c, d := room(), dashboard()
	session := room()
	session.Role = consult.Integrator
	for name, x := range map[string]struct {
		err    error
		reason string // "": allowed
	}{
		"its session":              {c.ForSession("vs_1"), ""},
		"another session":          {c.ForSession("vs_2"), consult.ReasonTokenWrongSession},
		"dashboard for a session":  {d.ForSession(""), consult.ReasonTokenWrongSession},
		"its role":                 {c.Need(KindRoom, consult.Doctor, consult.Patient), ""},
		"any role":                 {c.Need(KindRoom), ""},
		"another role":             {c.Need(KindRoom, consult.Doctor), consult.ReasonTokenWrongRole},
		"another kind":             {c.Need(KindDashboard), consult.ReasonTokenWrongRole},
		"dashboard":                {d.Need(KindDashboard, consult.Doctor), ""},
		"dashboard in a room":      {d.Need(KindRoom, consult.Doctor), consult.ReasonTokenWrongRole},
		"session token as doctor":  {session.Need(KindRoom, consult.Doctor), ""},
		"session token as patient": {session.Need(KindRoom, consult.Patient), ""},
		"session token as device":  {session.Need(KindRoom, consult.Device), consult.ReasonTokenWrongRole},
	} {
		t.Run(name, func(t *testing.T) {
			if x.reason != "" {
				wantRefusal(t, x.err, consult.Forbidden, x.reason)
			} else if x.err != nil {
				t.Error(x.err)
			}
		})
	}
	if a := c.Actor(); a != (consult.Actor{Kind: consult.ActorParticipant, ID: "pat_1", Role: consult.Patient}) {
		t.Errorf("actor %+v", a)
	}
	if a := session.Actor(); a != (consult.Actor{Kind: consult.ActorKey, ID: "key_1"}) {
		t.Errorf("actor %+v", a)
	}
}

func TestLinks(t *testing.T) {
	l := Links{RoomURL: "https://meet.example", PublicURL: "https://api.example"}
	for got, want := range map[string]string{
		l.Room("vs_1", "a.b-c_d"):                 "https://meet.example/room/vs_1#token=a.b-c_d",
		l.Join("vs_1", consult.Doctor, "a.b-c_d"): "https://meet.example/room/vs_1?role=doctor#token=a.b-c_d",
		l.Dashboard("a.b-c_d"):                    "https://api.example/doctor#token=a.b-c_d",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
