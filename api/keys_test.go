package api

import (
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
)

const keysPath = "/api/v1/keys"

func TestAKeysLife(t *testing.T) {
	w := newWorld(t)
	a := w.call("POST", keysPath, map[string]any{
		"name": " Front desk ", "scopes": []string{"consultations", "admin"}, "allowed_origins": []string{"https://clinic.example"},
		"allowed_addresses": []string{"127.0.0.1", "10.1.2.3/8"}, "email": "desk@clinic.example",
	})
	a.ok()
	secret, id := a.str("secret"), a.str("id")
	if !strings.HasPrefix(secret, a.str("prefix")) || a.str("name") != "Front desk" || a.str("plan") != "enterprise" || a.str("mode") != "live" {
		t.Errorf("created %s", a.raw)
	}
	w.call("GET", me, nil, withKey(secret)).ok()
	got := w.call("GET", keysPath+"/"+id, nil)
	if got.ok(); strings.Contains(string(got.raw), secret[12:]) || !strings.Contains(string(got.raw), `"allowed_addresses":["127.0.0.1/32","10.0.0.0/8"]`) {
		t.Errorf("get %s", got.raw)
	}
	got = w.call("PATCH", keysPath+"/"+id, map[string]any{"name": "Desk", "allowed_addresses": []string{"192.0.2.0/24"}})
	if got.ok(); got.str("name") != "Desk" || !strings.Contains(string(got.raw), `"allowed_origins":["https://clinic.example"]`) {
		t.Errorf("patched %s", got.raw)
	}
	w.call("GET", me, nil, withKey(secret)).refused(403, consult.ReasonKeyAddress)
	got = w.call("PATCH", keysPath+"/"+id, map[string]any{"allowed_addresses": []string{}, "allowed_origins": []string{}})
	if got.ok(); !strings.Contains(string(got.raw), `"allowed_origins":[],"allowed_addresses":[]`) {
		t.Errorf("cleared %s", got.raw)
	}
	w.call("GET", me, nil, withKey(secret)).ok()

	rotated := w.call("POST", keysPath+"/"+id+"/rotate", map[string]any{"overlap_seconds": 3600})
	rotated.ok()
	if rotated.str("replaces") != id || rotated.str("secret") == secret || rotated.str("previous_expires_at") != "2025-01-15T11:30:00Z" {
		t.Errorf("rotated %s", rotated.raw)
	}
	w.call("GET", me, nil, withKey(secret)).ok() // they overlap
	w.call("GET", me, nil, withKey(rotated.str("secret"))).ok()
	w.call("POST", keysPath+"/"+id+"/rotate", nil).refused(409, "")
	w.clock.advance(time.Hour)
	w.call("GET", me, nil, withKey(secret)).refused(401, consult.ReasonKeyExpired)

	gone := w.call("POST", keysPath+"/"+rotated.str("id")+"/revoke", map[string]any{"end_calls": true})
	if gone.ok(); gone.body["revoked_at"] == nil {
		t.Errorf("revoked %s", gone.raw)
	}
	w.call("GET", me, nil, withKey(rotated.str("secret"))).refused(401, consult.ReasonKeyRevoked)
	w.call("POST", keysPath+"/"+rotated.str("id")+"/revoke", nil).ok()
}

func TestAKeyGivesNoMoreThanItHas(t *testing.T) {
	w := newWorld(t)
	admin, _, err := w.keys.Create(t.Context(), auth.CreateKeyRequest{
		AccountID: w.apiKey.Scope.AccountID, Name: "Admin", Plan: consult.PlanStarter, Mode: consult.Live,
		Scopes: []consult.KeyScope{consult.ScopeAdmin, consult.ScopeConsultations},
	})
	must(t, err)
	w.call("POST", keysPath, map[string]any{"name": "x", "scopes": []string{"recordings"}}, withKey(admin)).refused(403, consult.ReasonScope)
	a := w.call("POST", keysPath, map[string]any{"name": "x", "plan": "enterprise", "mode": "test"}, withKey(admin))
	if a.ok(); a.str("plan") != "starter" || a.str("mode") != "live" || !strings.Contains(string(a.raw), `"scopes":["consultations"]`) {
		t.Errorf("made %s", a.raw)
	}
	// Rotating hands a secret out, so it takes the same scopes; revoking does not.
	w.call("POST", keysPath+"/"+w.apiKey.ID+"/rotate", nil, withKey(admin)).refused(403, consult.ReasonScope)
	w.call("GET", keysPath+"/"+w.apiKey.ID, nil, withKey(admin)).ok()
	for body, field := range map[string]string{
		`{}`: "name", `{"name":" "}`: "name", `{"name":"x","scopes":[]}`: "scopes", `{"name":"x","scopes":["root"]}`: "scopes.0",
		`{"name":"x","email":"no"}`: "email", `{"name":"x","allowed_origins":["https://a/b"]}`: "allowed_origins.0",
		`{"name":"x","allowed_addresses":["999.1.1.1"]}`: "allowed_addresses", `{"name":"x","allowed_addresses":["host"]}`: "allowed_addresses.0",
	} {
		if a := w.call("POST", keysPath, body); a.status != 422 || a.fields()[field] == "" {
			t.Errorf("%s: %d %s", body, a.status, a.raw)
		}
	}
	w.call("POST", keysPath, map[string]any{"name": "x"}, withKey(w.onlyAdmin())).refused(422, "")
}

func (w *world) onlyAdmin() string {
	w.t.Helper()
	s, _, err := w.keys.Create(w.t.Context(), auth.CreateKeyRequest{
		AccountID: w.apiKey.Scope.AccountID, Name: "Only admin", Plan: consult.PlanEnterprise, Mode: consult.Live,
		Scopes: []consult.KeyScope{consult.ScopeAdmin},
	})
	must(w.t, err)
	return s
}

// The list shows one mode only, in pages that are full although the other
// mode's keys lie between.
func TestListOfKeys(t *testing.T) {
	w := newWorld(t)
	var want []string
	for range 5 {
		w.clock.advance(time.Second)
		want = append(want, w.call("POST", keysPath, map[string]any{"name": "x"}).str("id"))
		w.clock.advance(time.Second)
		w.call("POST", keysPath, map[string]any{"name": "x"}, withKey(w.testKey)).ok()
	}
	want = append([]string{w.apiKey.ID}, want...)
	var got []string
	for cursor := ""; ; {
		a := w.call("GET", keysPath+"?limit=2"+cursor, nil)
		a.ok()
		data, _ := a.body["data"].([]any)
		if len(data) != 2 {
			t.Errorf("a page of %d", len(data))
		}
		for _, item := range data {
			m, _ := item.(map[string]any)
			id, _ := m["id"].(string)
			got = append([]string{id}, got...)
		}
		if a.body["has_more"] != true {
			break
		}
		cursor = "&cursor=" + a.str("next_cursor")
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
