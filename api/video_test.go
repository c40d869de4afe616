package api

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
)

// claimsOf verifies the token in a link's fragment, or a bare token.
func (w *world) claimsOf(link string) *auth.Claims {
	w.t.Helper()
	if u, err := url.Parse(link); err == nil && u.Fragment != "" {
		if strings.Contains(u.RawQuery, "token") {
			w.t.Fatalf("a token in the query of %s", u.Path)
		}
		link = strings.TrimPrefix(u.Fragment, "token=")
	}
	c, err := w.tokens.Verify(w.t.Context(), link)
	must(w.t, err)
	return c
}

// refusedToken is the reason for which a token is refused, "" if it is not.
func (w *world) refusedToken(raw string) string {
	_, err := w.tokens.Verify(w.t.Context(), raw)
	if err == nil {
		return ""
	}
	return consult.AsError(err).Reason
}

func TestCreateAnswersAsDocumented(t *testing.T) {
	w := newWorld(t)
	a := w.create()
	id := a.str("session_id")
	if len(a.body) != 7 || a.str("status") != "waiting" || a.str("expires_at") != "2025-01-15T12:00:00Z" {
		t.Errorf("created: %s", a.raw)
	}
	room := "https://meet.example/room/" + id
	for field, prefix := range map[string]string{
		"room_url": room + "#token=", "doctor_join_url": room + "?role=doctor#token=",
		"patient_join_url": room + "?role=patient#token=",
	} {
		if !strings.HasPrefix(a.str(field), prefix) {
			t.Errorf("%s is %s", field, a.str(field))
		}
	}
	closes := w.clock.now().Add(consult.DefaultLifetime + consult.TokenLifeAfterClose).Truncate(time.Second)
	for field, want := range map[string]auth.Claims{
		"token":            {Role: consult.Integrator},
		"room_url":         {Role: consult.Patient, Subject: "pat_1", Name: "Amina Benali"},
		"patient_join_url": {Role: consult.Patient, Subject: "pat_1", Name: "Amina Benali"},
		"doctor_join_url":  {Role: consult.Doctor, Subject: "doc_1", Name: "Dr. Martin"},
	} {
		c := w.claimsOf(a.str(field))
		if c.Kind != auth.KindRoom || c.SessionID != id || c.Scope != w.apiKey.Scope || c.KeyID != w.apiKey.ID ||
			c.DoctorID != "doc_1" || c.Language != "en" || !c.ExpiresAt.Equal(closes) {
			t.Errorf("%s: claims %+v", field, c)
		}
		if c.Role != want.Role || c.Name != want.Name || want.Subject != "" && c.Subject != want.Subject {
			t.Errorf("%s is of %s %q %q", field, c.Role, c.Subject, c.Name)
		}
	}
}

func TestStatusAndDetails(t *testing.T) {
	w := newWorld(t)
	a := w.call("POST", videoPath+"create", `{"doctor_id":"d","patient_id":"p","patient_name":" Amina ",
		"scheduled_at":"2025-02-01T10:00:00+01:00","language":"pt-BR","enable_recording":true,"unknown":{"a":[1]}}`)
	a.ok()
	id := a.str("session_id")
	st := w.call("GET", videoPath+id+"/status", nil)
	if st.ok(); st.str("scheduled_at") != "2025-02-01T09:00:00Z" || st.str("expires_at") != "2025-02-01T10:30:00Z" ||
		st.str("created_at") != "2025-01-15T10:30:00Z" || st.body["reason"] != nil || st.body["started_at"] != nil {
		t.Errorf("status: %s", st.raw)
	}
	d := w.call("GET", videoPath+id, nil)
	if d.ok(); d.str("patient_name") != "Amina" || d.body["doctor_name"] != nil || d.str("language") != "pt-BR" ||
		d.body["enable_recording"] != true || d.str("opens_at") != "2025-02-01T08:45:00Z" {
		t.Errorf("details: %s", d.raw)
	}
}

func TestParticipants(t *testing.T) {
	w := newWorld(t)
	id := w.create().str("session_id")
	for i, p := range []consult.Participation{
		{ID: "prt_1", Role: consult.Doctor, Subject: "doc_1", Name: "Dr. Martin"},
		{ID: "prt_2", Role: consult.Patient, Subject: "pat_1", Name: "Amina"},
	} {
		p.Scope, p.SessionID, p.JoinedAt = w.apiKey.Scope, id, w.clock.now().Add(time.Duration(i)*time.Second)
		must(t, w.store.JoinParticipation(t.Context(), &p, nil))
	}
	must(t, w.store.LeaveParticipation(t.Context(), w.apiKey.Scope, "prt_1", w.clock.now().Add(time.Minute), nil))
	names := func(path string) string {
		list, _ := w.call("GET", path, nil).ok()["participants"].([]any)
		var out []string
		for _, p := range list {
			m, _ := p.(map[string]any)
			role, _ := m["role"].(string)
			out = append(out, role)
		}
		return strings.Join(out, " ")
	}
	if got := names(videoPath + id + "/status"); got != "patient" {
		t.Errorf("present: %s", got)
	}
	if got := names(videoPath + id); got != "doctor patient" {
		t.Errorf("all: %s", got)
	}
}

func TestScheduledAt(t *testing.T) {
	w := newWorld(t)
	for at, ok := range map[string]bool{
		"2025-01-15T10:30:00Z":             true,
		"2025-01-15T11:00:00.123456+00:00": true,
		"2025-01-15T12:00+01:00":           true,
		"2025-01-15T12:00:00+0100":         true,
		"2025-01-15t12:00:00z":             true,
		"2026-01-15T10:30:00Z":             true,
		"2025-01-15T10:00:00Z":             false, // past
		"2026-01-17T10:30:00Z":             false, // more than a year
		"2025-01-15T12:00:00":              false, // no offset
		"2025-02-30T12:00:00Z":             false,
		"2025-01-16":                       false,
		"tomorrow":                         false,
		"":                                 false,
	} {
		a := w.call("POST", videoPath+"create", map[string]any{"doctor_id": "d", "patient_id": "p", "scheduled_at": at})
		if ok {
			a.ok()
			continue
		}
		a.refused(422, "")
		if f := a.fields(); len(f) != 1 || f["scheduled_at"] == "" {
			t.Errorf("%q: fields %v", at, f)
		}
	}
}

func TestEndAndCancel(t *testing.T) {
	w := newWorld(t)
	c := w.create()
	id := c.str("session_id")
	w.call("POST", videoPath+id+"/end", nil).refused(409, consult.ReasonNotActive)
	a := w.call("POST", videoPath+id+"/cancel", nil)
	if a.ok(); a.str("status") != "cancelled" || a.str("reason") != "cancelled" || a.str("ended_at") != "2025-01-15T10:30:00Z" {
		t.Errorf("cancelled: %s", a.raw)
	}
	w.call("POST", videoPath+id+"/cancel", nil).ok() // again changes nothing
	w.call("POST", videoPath+id+"/end", nil).refused(409, consult.ReasonCancelled)
	w.call("POST", videoPath+id+"/tokens", map[string]any{"role": "guest"}).refused(409, consult.ReasonCancelled)
	for _, field := range []string{"token", "doctor_join_url", "patient_join_url", "room_url"} {
		raw := c.str(field)
		if _, fragment, ok := strings.Cut(raw, "#token="); ok {
			raw = fragment
		}
		if got := w.refusedToken(raw); got != consult.ReasonTokenRevoked {
			t.Errorf("%s of a cancelled consultation: %q", field, got)
		}
	}

	id, _ = w.active()
	if st := w.call("GET", videoPath+id+"/status", nil); st.ok()["status"] != "active" {
		t.Errorf("status: %s", st.raw)
	}
	w.call("POST", videoPath+id+"/cancel", nil).refused(409, consult.ReasonNotWaiting)
	a = w.call("POST", videoPath+id+"/end", nil)
	if a.ok(); a.str("status") != "ended" || a.str("reason") != "api" {
		t.Errorf("ended: %s", a.raw)
	}
	w.call("POST", videoPath+id+"/end", nil).ok()
	w.call("POST", videoPath+id+"/tokens", map[string]any{"role": "doctor"}).refused(409, consult.ReasonEnded)
}

func TestAnExpiredConsultationIsCancelled(t *testing.T) {
	w := newWorld(t)
	running, _ := w.active()
	id := w.create().str("session_id")
	w.clock.advance(consult.DefaultLifetime)
	a := w.call("GET", videoPath+id+"/status", nil)
	if a.ok(); a.str("status") != "cancelled" || a.str("reason") != "expired" {
		t.Errorf("status: %s", a.raw)
	}
	other := w.create().str("session_id")
	w.clock.advance(consult.DefaultLifetime)
	w.call("POST", videoPath+other+"/tokens", map[string]any{"role": "guest"}).refused(409, consult.ReasonCancelled)
	// A running call is never cut, however long it lasts.
	w.clock.advance(24 * time.Hour)
	if st := w.call("GET", videoPath+running+"/status", nil); st.ok()["status"] != "active" {
		t.Errorf("status: %s", st.raw)
	}
	w.claimsOf(w.call("POST", videoPath+running+"/tokens", map[string]any{"role": "patient"}).str("token"))
}

func TestRoomTokens(t *testing.T) {
	w := newWorld(t)
	id := w.create().str("session_id")
	issue := func(body map[string]any) (*reply, *auth.Claims) {
		t.Helper()
		a := w.call("POST", videoPath+id+"/tokens", body)
		a.ok()
		c := w.claimsOf(a.str("token"))
		if in := w.claimsOf(a.str("join_url")); in.ID != c.ID || string(c.Role) != a.str("role") || c.SessionID != id {
			t.Errorf("answer %s with claims %+v", a.raw, c)
		}
		if got := rfc3339(c.ExpiresAt); got != a.str("expires_at") {
			t.Errorf("expires_at %s, the token says %s", a.str("expires_at"), got)
		}
		return a, c
	}
	for role, want := range map[string]string{"doctor": "doc_1", "patient": "pat_1"} {
		if _, c := issue(map[string]any{"role": role}); c.Subject != want || c.Name == "" {
			t.Errorf("%s: subject %q name %q", role, c.Subject, c.Name)
		}
	}
	_, first := issue(map[string]any{"role": "interpreter", "name": " Lena K. "})
	_, second := issue(map[string]any{"role": "interpreter"})
	if first.Subject == "" || first.Subject == second.Subject || first.Name != "Lena K." {
		t.Errorf("interpreters %q %q, name %q", first.Subject, second.Subject, first.Name)
	}
	if _, c := issue(map[string]any{"role": "observer", "subject": "stu_9"}); c.Subject != "stu_9" || len(c.Grants.Publish) != 0 {
		t.Errorf("observer: %+v", c)
	}
	a, _ := issue(map[string]any{"role": "guest", "ttl_seconds": 60})
	if a.str("expires_at") != "2025-01-15T10:31:00Z" || !strings.Contains(a.str("join_url"), "?role=guest#token=") {
		t.Errorf("guest: %s", a.raw)
	}
	if a, _ = issue(map[string]any{"role": "device", "ttl_seconds": 34300800}); a.str("expires_at") != "2025-01-16T00:00:00Z" {
		t.Errorf("a token outlives its consultation: %s", a.raw)
	}
	issue(map[string]any{"role": "patient", "subject": "pat_1"})
	f := w.call("POST", videoPath+id+"/tokens", map[string]any{"role": "patient", "subject": "pat_2"})
	if f.refused(422, ""); f.fields()["subject"] == "" {
		t.Errorf("another patient: %s", f.raw)
	}
	w.call("POST", videoPath+id+"/tokens", map[string]any{"role": "integrator"}).refused(422, "")

	audit, err := w.store.Audit(t.Context(), w.apiKey.Scope, id)
	must(t, err)
	issued := 0
	for _, e := range audit {
		if e.Event.Type == consult.EventTokenIssued {
			issued++
		}
	}
	if issued != 8 {
		t.Errorf("%d tokens in the audit log, 8 were issued", issued)
	}
}

func TestDashboardLink(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		body    any
		expires string
		name    string
	}{
		{nil, "2025-01-15T22:30:00Z", ""},
		{"{}", "2025-01-15T22:30:00Z", ""},
		{map[string]any{"name": "Dr. Martin", "ttl_seconds": 60.0}, "2025-01-15T10:31:00Z", "Dr. Martin"},
	} {
		a := w.call("POST", "/api/v1/doctors/doc_1/dashboard", tc.body)
		a.ok()
		c := w.claimsOf(a.str("dashboard_url"))
		if !strings.HasPrefix(a.str("dashboard_url"), "https://api.example/doctor#token=") || a.str("expires_at") != tc.expires ||
			c.Kind != auth.KindDashboard || c.DoctorID != "doc_1" || c.Name != tc.name || c.SessionID != "" ||
			w.claimsOf(a.str("token")).ID != c.ID {
			t.Errorf("%s with claims %+v", a.raw, c)
		}
	}
	w.call("POST", "/api/v1/doctors/doc_1/dashboard", `{"ttl_seconds":86401}`).refused(422, "")
	w.call("POST", "/api/v1/doctors/doc%201/dashboard", nil).refused(400, "")
}

func TestMe(t *testing.T) {
	w := newWorld(t)
	starter, _ := w.makeKey("Small Clinic", consult.Live, consult.PlanStarter)
	professional, _ := w.makeKey("Small Clinic", consult.Test, consult.PlanProfessional)
	for key, want := range map[string]string{
		starter:      `"plan":"starter","mode":"live"`,
		professional: `"requests_per_minute":300,"requests_per_day":50000,"concurrent":25`,
		w.testKey:    `"plan":"enterprise","mode":"test"`,
		w.otherKey:   `"requests_per_minute":null,"requests_per_day":null,"concurrent":null`,
	} {
		a := w.call("GET", "/api/v1/users/me", nil, withKey(key))
		if a.ok(); !strings.Contains(string(a.raw), want) || !strings.HasPrefix(a.str("id"), "usr_") ||
			!strings.HasPrefix(a.str("profile_id"), "prof_") || a.str("email") != "it@clinic.example" {
			t.Errorf("me: %s, want %s", a.raw, want)
		}
	}
}
