package api

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/wording"
)

// decide appends a decision as the room does.
func (w *world) decide(session string, role consult.Role, subject string, d consult.ConsentDecision) consult.Consent {
	w.t.Helper()
	text := wording.For("fr", "Clinique du Parc", 30)
	c := consult.Consent{
		Scope: w.apiKey.Scope, SessionID: session, ParticipantID: "prt_" + string(role), Role: role, Subject: subject, Decision: d,
		WordingID: text.ID, WordingHash: text.Hash, Language: text.Language, Text: text.Text, At: w.clock.now(),
	}
	must(w.t, w.store.AppendConsent(w.t.Context(), &c, nil))
	w.clock.advance(1500 * time.Millisecond)
	return c
}

func TestConsentsOfAConsultation(t *testing.T) { onDatabases(t, consentsOfAConsultation) }

func consentsOfAConsultation(t *testing.T, w *world) {
	t.Helper()
	must(t, w.store.SignConsents(t.Context(), [][]byte{[]byte("a key of the tests, of 32 bytes.")}))
	session := w.create().str("session_id")
	path := videoPath + session + "/consents"
	if a := w.call("GET", path, nil); string(a.raw) != `{"data":[],"has_more":false,"next_cursor":null}`+"\n" {
		t.Errorf("of nobody: %s", a.raw)
	}
	made := []consult.Consent{
		w.decide(session, consult.Doctor, "doc_1", consult.ConsentGranted),
		w.decide(session, consult.Patient, "pat_1", consult.ConsentGranted),
		w.decide(session, consult.Patient, "pat_1", consult.ConsentWithdrawn),
	}
	a := w.call("GET", path, nil)
	a.ok()
	if got := a.ids("decision"); got != "granted granted withdrawn" {
		t.Errorf("%s", got)
	}
	data, _ := a.body["data"].([]any)
	for i, item := range data {
		m, _ := item.(map[string]any)
		text, _ := m["wording"].(map[string]any)
		if m["hash"] != made[i].Hash || hashOf(t, m) != made[i].Hash || text["text"] != made[i].Text || m["signature"] != made[i].Signature {
			t.Errorf("record %d: %v", i+1, m)
		}
	}
	if v := a.header.Get("Vary"); !strings.Contains(v, "Accept") {
		t.Errorf("Vary: %s", v)
	}
	// Pages.
	first := w.call("GET", path+"?limit=2", nil)
	second := w.call("GET", path+"?limit=2&cursor="+first.str("next_cursor"), nil)
	if got := first.ids("seq") + " " + second.ids("seq"); got != "1 2 3" || second.body["has_more"] != false {
		t.Errorf("pages %s", got)
	}
	w.call("GET", path, nil, withKey(w.otherKey)).refused(404, "")
	w.call("GET", path+"?format=xml", nil).refused(400, "")
	w.call("GET", path+"?cursor="+flip(first.str("next_cursor")), nil).refused(400, consult.ReasonCursor)
}

// hashOf computes a record's hash from the answer alone, as docs/data.md says.
func hashOf(t *testing.T, m map[string]any) string {
	t.Helper()
	var b []byte
	number := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) }
	text := func(v any) {
		s, _ := v.(string)
		number(int64(len(s)))
		b = append(b, s...)
	}
	shown, _ := m["wording"].(map[string]any)
	seq, err := m["seq"].(json.Number).Int64()
	must(t, err)
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(m["at"]))
	must(t, err)
	text("chatmed-consent-1")
	text(m["account_id"])
	text(m["mode"])
	text(m["session_id"])
	number(seq)
	for _, v := range []any{m["consent_id"], m["participant_id"], m["role"], m["alias"], m["decision"], shown["id"], shown["hash"], shown["language"]} {
		text(v)
	}
	number(at.UnixMicro())
	text(m["previous_hash"])
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// bundle reads an answer as FHIR.
func (a *reply) bundle() (b struct {
	ResourceType, Type string
	Total              int
	Link               []struct{ Relation, URL string }
	Entry              []struct {
		Resource struct {
			ResourceType, ID, Status string
			Organization             []struct{ Display string }
			Provision                struct{ Type string }
		}
	}
},
) {
	a.t.Helper()
	if got := a.header.Get("Content-Type"); a.status != 200 || got != "application/fhir+json" {
		a.t.Fatalf("%s: %d %s %s", a.what, a.status, got, a.raw)
	}
	must(a.t, json.Unmarshal(a.raw, &b))
	return b
}

func TestConsentsAsFHIR(t *testing.T) {
	w := newWorld(t)
	session := w.create().str("session_id")
	path := videoPath + session + "/consents"
	asFHIR := withHeader("Accept", "application/fhir+json")
	if b := w.call("GET", path, nil, asFHIR).bundle(); b.Total != 0 || len(b.Entry) != 0 || b.Type != "searchset" {
		t.Errorf("of nobody: %+v", b)
	}
	w.decide(session, consult.Patient, "pat_1", consult.ConsentDeclined)
	w.decide(session, consult.Patient, "pat_1", consult.ConsentGranted)
	w.decide(session, consult.Guest, "usr_1", consult.ConsentGranted)
	w.decide(session, consult.Guest, "usr_1", consult.ConsentWithdrawn)
	for name, a := range map[string]*reply{
		"Accept":          w.call("GET", path, nil, asFHIR),
		"format":          w.call("GET", path+"?format=fhir", nil),
		"format, not so":  w.call("GET", path+"?format=fhir", nil, withHeader("Accept", "application/json")),
		"Accept, weighed": w.call("GET", path, nil, withHeader("Accept", "application/json;q=0.1, application/fhir+json")),
	} {
		b := a.bundle()
		var states []string
		for _, e := range b.Entry {
			states = append(states, e.Resource.Status+" "+e.Resource.Provision.Type)
			if e.Resource.ResourceType != "Consent" || e.Resource.Organization[0].Display != "Clinique du Parc" {
				t.Errorf("%s: %+v", name, e)
			}
		}
		if got := strings.Join(states, ", "); got != "rejected deny, active permit, inactive permit, inactive deny" || b.Total != 4 {
			t.Errorf("%s: %s of %d", name, got, b.Total)
		}
	}
	for name, a := range map[string]*reply{
		"anything":        w.call("GET", path, nil, withHeader("Accept", "*/*")),
		"JSON liked more": w.call("GET", path, nil, withHeader("Accept", "application/json, application/fhir+json;q=0.5")),
		"format":          w.call("GET", path+"?format=json", nil, asFHIR),
	} {
		if a.ok()["data"] == nil {
			t.Errorf("%s: %s", name, a.raw)
		}
	}
	// Links lead from page to page, without Accept too, and the pages know the
	// whole chain.
	var got []string
	for next := path + "?limit=3"; next != ""; {
		b := w.call("GET", next, nil, asFHIR).bundle()
		again := w.call("GET", b.Link[0].URL, nil).bundle()
		if next = ""; len(b.Link) > 1 {
			next = b.Link[1].URL
		}
		if len(again.Entry) != len(b.Entry) || again.Entry[0].Resource.ID != b.Entry[0].Resource.ID {
			t.Errorf("self leads to %+v", again)
		}
		for _, e := range b.Entry {
			got = append(got, e.Resource.Status)
		}
	}
	if fmt.Sprint(got) != "[rejected active inactive inactive]" {
		t.Errorf("page by page: %v", got)
	}
}

const settingsPath = "/api/v1/recordings/settings"

func TestRecordingSettings(t *testing.T) { onDatabases(t, recordingSettings) }

func recordingSettings(t *testing.T, w *world) {
	t.Helper()
	const key, name = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p", "kept_by"
	a := w.call("GET", settingsPath, nil)
	if a.ok(); a.body["keeper"] != nil || a.str(name) != "Clinique du Parc" || a.body["updated_at"] != nil || a.body["recipient"] != nil {
		t.Errorf("never set: %s", a.raw)
	}
	if shown, _ := a.body["wordings"].([]any); len(shown) != 3 {
		t.Errorf("%d wordings", len(shown))
	}
	a = w.call("PUT", settingsPath, map[string]any{"keeper": " CHU de Rabat ", "retention_days": 90, "recipient": " " + key + "\n"})
	a.ok()
	if a.str(name) != "CHU de Rabat" || a.str("recipient") != key || len(a.str("recipient_fingerprint")) != 16 ||
		fmt.Sprint(a.body["retention_days"]) != "90" || !strings.Contains(string(a.raw), "90 jours") || a.str("updated_at") == "" {
		t.Errorf("set: %s", a.raw)
	}
	if got := w.call("GET", settingsPath, nil); string(got.raw) != string(a.raw) {
		t.Errorf("read %s", got.raw)
	}
	for _, other := range []string{w.otherKey, w.testKey} {
		if got := w.call("GET", settingsPath, nil, withKey(other)); got.ok()["recipient"] != nil {
			t.Errorf("another's: %s", got.raw)
		}
	}
	for field, value := range map[string]any{
		"keeper": "two\nlines", "retention_days": 36526, "recipient": "AGE-SECRET-KEY-1QQQQ",
	} {
		body := map[string]any{"keeper": nil, "retention_days": 1, "recipient": nil}
		body[field] = value
		a := w.call("PUT", settingsPath, body)
		if a.refused(422, ""); a.fields()[field] == "" || strings.Contains(string(a.raw), fmt.Sprint(value)) {
			t.Errorf("%s: %s", field, a.raw)
		}
		delete(body, field)
		if a := w.call("PUT", settingsPath, body); a.status != 422 || a.fields()[field] == "" {
			t.Errorf("without %s: %d %s", field, a.status, a.raw)
		}
	}
	for _, keeper := range []string{"\u202etnemelttes", "a\u2028b", strings.Repeat("é", 121)} {
		w.call("PUT", settingsPath, map[string]any{"keeper": keeper, "retention_days": 0, "recipient": ""}).refused(422, "")
	}
	a = w.call("PUT", settingsPath, map[string]any{"keeper": "", "retention_days": 0, "recipient": nil})
	if a.ok(); a.str(name) != "Clinique du Parc" || a.body["recipient"] != nil {
		t.Errorf("back: %s", a.raw)
	}
	entries, err := w.store.Audit(t.Context(), w.apiKey.Scope, "")
	must(t, err)
	var changes []string
	for _, e := range entries {
		if e.Event.Type == consult.EventRecordingsSettings {
			changes = append(changes, string(e.Event.Data))
		}
	}
	if len(changes) != 2 || strings.Contains(changes[0], "Rabat") || strings.Contains(changes[0], "age1") || !strings.Contains(changes[0], `"retention_days":90`) {
		t.Errorf("audit log: %v", changes)
	}
	starter, _ := w.makeKey("Small", consult.Live, consult.PlanStarter)
	w.call("GET", settingsPath, nil, withKey(starter)).refused(403, consult.ReasonPlan)
}

// Erasing a patient deletes recordings, unless one is held; the records of
// consent stay, under the pseudonym.
func TestErasureAndLegalHold(t *testing.T) {
	w := newWorld(t)
	session := w.create().str("session_id")
	w.decide(session, consult.Patient, "pat_1", consult.ConsentGranted)
	w.call("POST", videoPath+session+"/cancel", nil).ok()
	rec := &consult.Recording{
		ID: consult.NewID(consult.PrefixRecording), Scope: w.apiKey.Scope, SessionID: session, DoctorID: "doc_1", PatientID: "pat_1",
		State: consult.RecordingStored, StartedAt: w.clock.now(), LegalHold: true,
	}
	must(t, w.store.CreateRecording(t.Context(), rec, nil))
	w.call("POST", "/api/v1/patients/pat_1/erase", nil).refused(409, consult.ReasonRecordingHeld)
	_, err := w.store.ChangeRecording(t.Context(), rec.Scope, rec.ID, func(r *consult.Recording) ([]consult.Event, error) {
		r.LegalHold = false
		return []consult.Event{{ID: consult.NewID(consult.PrefixEvent), Type: consult.EventRecordingReleased, Actor: consult.System, At: w.clock.now()}}, nil
	})
	must(t, err)
	export := w.call("GET", "/api/v1/patients/pat_1/export", nil)
	if tables, _ := export.ok()["tables"].(map[string]any); tables["consents"] == nil || tables["recordings"] == nil {
		t.Errorf("export %s", export.raw)
	}
	pseudonym := w.call("POST", "/api/v1/patients/pat_1/erase", nil).str("pseudonym")
	a := w.call("GET", videoPath+session+"/consents", nil)
	if a.ids("subject") != pseudonym || a.ids("alias") != pseudonym || strings.Contains(string(a.raw), "pat_1\"") {
		t.Errorf("left %s", a.raw)
	}
	if b := w.call("GET", videoPath+session+"/consents?format=fhir", nil); strings.Contains(string(b.raw), "pat_1\"") {
		t.Errorf("left %s", b.raw)
	}
	got, err := w.store.Recording(t.Context(), rec.Scope, rec.ID)
	must(t, err)
	if got.State != consult.RecordingDeleted || got.PatientID != pseudonym {
		t.Errorf("%+v", got)
	}
}
