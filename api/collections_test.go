package api

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// ids are one field of every item of a page.
func (a *reply) ids(field string) string {
	a.t.Helper()
	a.ok()
	var out []string
	data, _ := a.body["data"].([]any)
	for _, item := range data {
		m, _ := item.(map[string]any)
		out = append(out, fmt.Sprint(m[field]))
	}
	return strings.Join(out, " ")
}

func TestFiltersOfConsultations(t *testing.T) { onDatabases(t, filtersOfConsultations) }

func filtersOfConsultations(t *testing.T, w *world) {
	t.Helper()
	make := func(doctor, patient string) string {
		w.clock.advance(time.Minute)
		return w.call("POST", videoPath+"create", map[string]any{"doctor_id": doctor, "patient_id": patient}).str("session_id")
	}
	a, b, c := make("doc_1", "pat_1"), make("doc_1", "pat_2"), make("doc_2", "pat_1")
	w.call("POST", videoPath+c+"/cancel", nil).ok()
	for query, want := range map[string]string{
		"": c + " " + b + " " + a, "doctor_id=doc_1": b + " " + a, "patient_id=pat_1": c + " " + a,
		"doctor_id=doc_1&patient_id=pat_1": a, "status=cancelled": c, "status=waiting": b + " " + a, "status=ended": "",
		"doctor_id=nobody": "", "created_from=" + url.QueryEscape("2025-01-15T10:32:00.9Z"): c + " " + b,
		"created_from=2025-01-15T10:32:00Z&created_to=2025-01-15T10:33:00Z": b, "limit=1": c,
	} {
		if got := w.call("GET", "/api/v1/consultations/video?"+query, nil).ids("session_id"); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	for _, query := range []string{
		"status=open", "limit=0", "limit=101", "limit=-1", "limit=1e3", "limit=", "created_from=yesterday", "created_to=2025-01-15",
		"doctor_id=", "limit=5&limit=6", "cursor=%00",
	} {
		w.call("GET", "/api/v1/consultations/video?"+query, nil).refused(400, "")
	}
}

func TestMetadata(t *testing.T) { onDatabases(t, metadata) }

func metadata(t *testing.T, w *world) {
	t.Helper()
	a := w.call("POST", videoPath+"create", map[string]any{
		"doctor_id": "d", "patient_id": "p", "metadata": map[string]any{"appointment": "A-1", "room": "12"},
	})
	path := videoPath + a.str("session_id")
	metadata := func(a *reply) string { return fmt.Sprint(a.ok()["metadata"]) }
	if got := metadata(w.call("GET", path, nil)); got != "map[appointment:A-1 room:12]" {
		t.Errorf("created with %s", got)
	}
	if got := metadata(w.call("PATCH", path, `{"metadata":{"room":null,"appointment":"","note":"é"}}`)); got != "map[note:é]" {
		t.Errorf("merged to %s", got)
	}
	if got := metadata(w.call("PATCH", path, `{}`)); got != "map[note:é]" {
		t.Errorf("unchanged is %s", got)
	}
	many := map[string]string{}
	for i := range 51 {
		many[fmt.Sprintf("k%d", i)] = "v"
	}
	for name, m := range map[string]map[string]string{
		"too many": many, "long name": {strings.Repeat("k", 41): "v"}, "odd name": {"a b": "v"}, "empty name": {"": "v"},
		"long value": {"k": strings.Repeat("v", 501)}, "control": {"k": "a\x00b"},
	} {
		if a := w.call("PATCH", path, map[string]any{"metadata": m}); a.status != 422 || len(a.fields()) == 0 {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
		if a := w.call("POST", videoPath+"create", map[string]any{"doctor_id": "d", "patient_id": "p", "metadata": m}); a.status != 422 {
			t.Errorf("create: %s: %d %s", name, a.status, a.raw)
		}
	}
	if got := w.call("GET", "/api/v1/consultations/video", nil); !strings.Contains(string(got.raw), `"metadata":{"note":"é"}`) {
		t.Errorf("list %s", got.raw)
	}
	if b := w.create(); !strings.Contains(string(w.call("GET", videoPath+b.str("session_id"), nil).raw), `"metadata":{}`) {
		t.Error("no metadata is no empty object")
	}
}

func TestExtend(t *testing.T) {
	w := newWorld(t)
	session := w.create().str("session_id")
	path := videoPath + session + "/extend"
	if a := w.call("POST", path, map[string]any{"expires_at": "2025-01-15T15:00:00+01:00"}); a.ok()["expires_at"] != "2025-01-15T14:00:00Z" {
		t.Errorf("extended %s", a.raw)
	}
	w.clock.advance(3 * time.Hour) // it would have expired after 90 minutes
	if a := w.call("GET", videoPath+session+"/status", nil); a.ok()["status"] != "waiting" {
		t.Errorf("%s", a.raw)
	}
	for _, at := range []string{"2020-01-01T00:00:00Z", "2029-01-01T00:00:00Z"} {
		if a := w.call("POST", path, map[string]any{"expires_at": at}); a.status != 422 || a.fields()["expires_at"] == "" {
			t.Errorf("%s: %d %s", at, a.status, a.raw)
		}
	}
	w.call("POST", videoPath+session+"/cancel", nil).ok()
	w.call("POST", path, map[string]any{"expires_at": "2025-01-15T20:00:00Z"}).refused(409, consult.ReasonCancelled)
}

func TestParticipantsAndEject(t *testing.T) {
	room := &fakeRoom{}
	w := newWorld(t, func(d *Deps) { d.Room = room })
	session := w.create().str("session_id")
	var want []string
	for i := range 5 {
		p := consult.Participation{
			ID: consult.NewID(consult.PrefixParticipant), Scope: w.apiKey.Scope, SessionID: session, Role: consult.Guest,
			Subject: fmt.Sprint("s", i), Name: fmt.Sprint("Guest ", i), JoinedAt: w.clock.now().Add(time.Duration(i) * time.Second),
		}
		must(t, w.store.JoinParticipation(t.Context(), &p, nil))
		want = append(want, p.ID)
	}
	path := videoPath + session + "/participants"
	var got []string
	for cursor := ""; ; {
		a := w.call("GET", path+"?limit=2"+cursor, nil)
		got = append(got, a.ids("participant_id"))
		if a.body["has_more"] != true {
			break
		}
		cursor = "&cursor=" + a.str("next_cursor")
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %v, want %v", got, want)
	}
	w.call("POST", path+"/"+want[1]+"/eject", nil).ok()
	w.call("POST", path+"/prt_unknown/eject", nil).refused(404, "")
	w.call("POST", videoPath+w.create().str("session_id")+"/participants/"+want[1]+"/eject", nil).refused(404, "")
	if fmt.Sprint(room.ejected) != fmt.Sprint(want[1:2]) {
		t.Errorf("ejected %v", room.ejected)
	}
}

func TestTheAuditLogOfAConsultation(t *testing.T) {
	w := newWorld(t)
	session, _ := w.active()
	w.call("POST", videoPath+session+"/end", nil).ok()
	a := w.call("GET", videoPath+session+"/audit?limit=100", nil)
	types := a.ids("type")
	if !strings.HasPrefix(types, "consultation.created ") || !strings.HasSuffix(types, "consultation.ended") {
		t.Errorf("types %s", types)
	}
	if strings.Contains(string(a.raw), "pat_1\"") || strings.Contains(string(a.raw), "Headache") {
		t.Errorf("patient data: %s", a.raw)
	}
	first := w.call("GET", videoPath+session+"/audit?limit=1", nil)
	if next := w.call("GET", videoPath+session+"/audit?limit=100&cursor="+first.str("next_cursor"), nil); first.ids("type")+" "+next.ids("type") != types {
		t.Errorf("pages %s", next.raw)
	}
}
