package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/clinical/emergency"
	"github.com/chatmed/chatmed/internal/clinical/emergency/places"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/waitingroom"
)

const detectPath = "/api/v1/emergency/detect"

var builtIn = sync.OnceValues(emergency.New)

func engine(t testing.TB) *emergency.Engine {
	t.Helper()
	e, err := builtIn()
	must(t, err)
	return e
}

func screener(t testing.TB) waitingroom.Screener {
	t.Helper()
	e := engine(t)
	return func(reason string) consult.Screening {
		r := e.Screen(emergency.Input{Text: reason})
		return ScreeningOf(&r)
	}
}

func hospitals(t testing.TB) *places.Hospitals {
	t.Helper()
	h, err := places.Seed()
	must(t, err)
	return h
}

// fakeEngine answers with what the test made up.
type fakeEngine struct {
	result emergency.Result
	mu     sync.Mutex
	asked  []emergency.Input
}

func (f *fakeEngine) Screen(in emergency.Input) emergency.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, in)
	r := f.result
	if r.Language == "" {
		r.Language = "en"
	}
	return r
}

// detect sends a request and returns the answer.
func (w *world) detect(body map[string]any, opts ...option) map[string]any {
	w.t.Helper()
	return w.call("POST", detectPath, body, opts...).ok()
}

func texts(v any) []string {
	var out []string
	items, _ := v.([]any)
	for _, i := range items {
		s, _ := i.(string)
		out = append(out, s)
	}
	return out
}

// amount is a number of an answer.
func amount(t *testing.T, v any) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(fmt.Sprint(v), 64)
	must(t, err)
	return n
}

var paris = map[string]any{"lat": 48.8566, "lng": 2.3522}

// The documented sample, computed.
func TestTheDocumentedEmergency(t *testing.T) {
	w := newWorld(t)
	a := w.detect(map[string]any{"symptoms": "Severe chest pain radiating to left arm, profuse sweating", "location": paris})
	if a["urgency_level"] != "critical" || a["suspected_condition"] != "Acute Myocardial Infarction" {
		t.Errorf("%v, %v", a["urgency_level"], a["suspected_condition"])
	}
	actions := texts(a["actions"])
	if len(actions) < 3 || actions[0] != "Call emergency services immediately (15/112)" ||
		!strings.Contains(strings.ToLower(actions[1]), "aspirin") || !strings.Contains(strings.Join(actions, " "), "calm") {
		t.Errorf("actions %q", actions)
	}
	nearby, _ := a["nearby_emergency"].(map[string]any)
	km := amount(t, nearby["distance_km"])
	phone, _ := nearby["phone"].(string)
	if nearby["name"] != "Hôpital Lariboisière" || km <= 0 || km > 5 || !strings.HasPrefix(phone, "+33 1") || nearby["emergency_department"] != true {
		t.Errorf("nearby %v", nearby)
	}
	if c := amount(t, a["confidence"]); c <= 0.5 || c > 1 {
		t.Errorf("confidence %v", a["confidence"])
	}
	if a["emergency_number"] != "15" || a["country"] != "FR" || !slices.Contains(texts(a["emergency_numbers"]), "112") || a["crisis_line"] != nil {
		t.Errorf("numbers %v of %v, crisis line %v", a["emergency_numbers"], a["country"], a["crisis_line"])
	}
	flags, _ := a["red_flags"].([]any)
	if len(flags) == 0 {
		t.Fatal("no red flag")
	}
	first, _ := flags[0].(map[string]any)
	if first["guideline"] == "" || len(texts(first["words"])) == 0 || a["rule_version"] == "" || a["disclaimer"] == "" || a["engine"] == "" {
		t.Errorf("red flag %v, answer %v", first, a)
	}
}

// Without a place, the numbers are those of the country that is named, of the
// server's, or those that work in most.
func TestTheEmergencyNumber(t *testing.T) {
	w := newWorld(t)
	other := newWorld(t, func(d *Deps) { d.Config.Country = "TN" })
	const text = "Severe chest pain radiating to left arm, profuse sweating"
	sea := map[string]any{"lat": 0, "lng": 0}
	for _, c := range []struct {
		name    string
		w       *world
		body    map[string]any
		country any
		numbers []string
		call    string
	}{
		{"nothing", w, map[string]any{}, nil, []string{"112", "911"}, "Call emergency services immediately (112/911)"},
		{"nulls", w, map[string]any{"location": nil, "country": nil, "profile_id": nil, "language": nil}, nil, []string{"112", "911"}, ""},
		{"the high seas", w, map[string]any{"location": sea}, nil, []string{"112", "911"}, ""},
		{"the high seas, from France", w, map[string]any{"location": sea, "country": "FR"}, "FR", nil, "(15/112)"},
		{"a country without numbers", w, map[string]any{"country": "AQ"}, nil, []string{"112", "911"}, ""},
		{"Morocco", w, map[string]any{"country": "MA"}, "MA", nil, ""},
		{"a place beats a country", w, map[string]any{"country": "MA", "location": paris}, "FR", nil, "(15/112)"},
		{"the server's", other, map[string]any{}, "TN", nil, "(190"},
		{"a country beats the server's", other, map[string]any{"country": "FR"}, "FR", nil, "(15/112)"},
		{"French", w, map[string]any{"country": "FR", "language": "fr-CA"}, "FR", nil, "Appelez immédiatement les secours (15/112)"},
		{"Arabic", w, map[string]any{"country": "FR", "language": "ar"}, "FR", nil, "اتصل بخدمات الطوارئ فورًا (15/112)"},
	} {
		c.body["symptoms"] = text
		a := c.w.detect(c.body)
		numbers := texts(a["emergency_numbers"])
		if a["country"] != c.country || a["urgency_level"] != "critical" || (c.numbers != nil && !slices.Equal(numbers, c.numbers)) ||
			a["emergency_number"] != numbers[0] || !strings.Contains(texts(a["actions"])[0], c.call) {
			t.Errorf("%s: %v %v %v", c.name, a["country"], numbers, a["actions"])
		}
		if warned := slices.ContainsFunc(texts(a["warnings"]), func(s string) bool { return strings.Contains(s, "112") }); warned != (c.country == nil) {
			t.Errorf("%s: warnings %q", c.name, a["warnings"])
		}
	}
}

func TestLinesThatBelong(t *testing.T) {
	f := &fakeEngine{result: emergency.Result{Urgency: emergency.High, Name: "Suicidal crisis", CrisisLine: true, Poison: true}}
	w := newWorld(t, func(d *Deps) { d.Emergency = f })
	a := w.detect(map[string]any{"symptoms": "x", "country": "FR"})
	crisis, _ := a["crisis_line"].(map[string]any)
	poison, _ := a["poison_line"].(map[string]any)
	if crisis["number"] != "3114" || poison["number"] == "" {
		t.Errorf("crisis %v, poison %v", crisis, poison)
	}
	if a = w.detect(map[string]any{"symptoms": "x"}); a["crisis_line"] != nil || a["poison_line"] != nil {
		t.Errorf("of no country: %v, %v", a["crisis_line"], a["poison_line"])
	}
	lines := []places.Line{{Name: "a", Languages: []string{"fr"}}, {Name: "b", Languages: []string{"en", "ar"}}}
	for language, want := range map[string]string{"ar": "b", "ar-TN": "b", "fr": "a", "de": "a", "": "a"} {
		if got := lineIn(lines, language); got.Name != want {
			t.Errorf("in %q: %s", language, got.Name)
		}
	}
}

// What the engine leaves open is never an empty answer.
func TestAnAnswerIsNeverEmpty(t *testing.T) {
	f := &fakeEngine{result: emergency.Result{Urgency: emergency.Critical}}
	w := newWorld(t, func(d *Deps) { d.Emergency, d.Hospitals = f, nil })
	a := w.detect(map[string]any{"symptoms": "x", "location": paris})
	if a["suspected_condition"] == "" || len(texts(a["actions"])) != 1 || a["nearby_emergency"] != nil || a["emergency_number"] != "15" {
		t.Errorf("%v", a)
	}
	if a = newWorld(t).detect(map[string]any{"symptoms": "   "}); a["urgency_level"] != "moderate" || len(texts(a["warnings"])) == 0 {
		t.Errorf("blanks: %v", a)
	}
}

// An emergency department that the data doesn't know of is not claimed.
func TestAnUnknownDepartmentIsNotClaimed(t *testing.T) {
	h, err := places.New([]places.Hospital{{
		ID: "x", Name: "Clinique", Lat: 48.86, Lng: 2.35, Emergency: places.EmergencyUnknown, Source: "test", Checked: "2026-11",
	}}, 50)
	must(t, err)
	w := newWorld(t, func(d *Deps) { d.Hospitals = h })
	nearby, _ := w.detect(map[string]any{"symptoms": "x", "location": paris})["nearby_emergency"].(map[string]any)
	if nearby["name"] != "Clinique" || nearby["emergency_department"] != nil || nearby["phone"] != nil {
		t.Errorf("%v", nearby)
	}
	if a := w.detect(map[string]any{"symptoms": "x", "location": map[string]any{"lat": 50.6, "lng": 3.06}}); a["nearby_emergency"] != nil {
		t.Errorf("too far: %v", a["nearby_emergency"])
	}
}

func TestBadEmergencyRequests(t *testing.T) {
	w := newWorld(t)
	for body, field := range map[string]string{
		`{}`:                               "symptoms",
		`{"symptoms":""}`:                  "symptoms",
		`{"symptoms":null}`:                "symptoms",
		`{"symptoms":"x","location":{}}`:   "location.lat",
		`{"symptoms":"x","location":[1]}`:  "location",
		`{"symptoms":"x","country":"fr"}`:  "country",
		`{"symptoms":"x","language":"??"}`: "language",
		`{"symptoms":"x","location":{"lat":90.001,"lng":0}}`:                      "location.lat",
		`{"symptoms":"x","location":{"lat":-90.001,"lng":0}}`:                     "location.lat",
		`{"symptoms":"x","location":{"lat":0,"lng":180.001}}`:                     "location.lng",
		`{"symptoms":"x","location":{"lat":0,"lng":-180.001}}`:                    "location.lng",
		`{"symptoms":"x","location":{"lat":"48","lng":2}}`:                        "location.lat",
		`{"symptoms":"x","location":{"lat":48}}`:                                  "location.lng",
		`{"symptoms":"x","location":{"lat":48,"lng":null}}`:                       "location.lng",
		`{"symptoms":"x","location":{"lat":1e300,"lng":2}}`:                       "location.lat",
		`{"symptoms":"` + strings.Repeat("a", consult.MaxSymptomsLength+1) + `"}`: "symptoms",
	} {
		a := w.call("POST", detectPath, body)
		if a.status != http.StatusUnprocessableEntity || a.fields()[field] == "" {
			t.Errorf("%.60s: %d %s", body, a.status, a.raw)
		}
	}
	w.call("POST", detectPath, `{"symptoms":"x","location":{"lat":1e400,"lng":2}}`).refused(400, "")
	w.detect(map[string]any{"symptoms": strings.Repeat("آ", consult.MaxSymptomsLength), "location": map[string]any{"lat": -90, "lng": 180}})
}

// profiles know one patient.
type profiles struct{ err error }

func (p profiles) Profile(_ context.Context, _ consult.Scope, id string) (emergency.Profile, bool, error) {
	age := 71.0
	return emergency.Profile{AgeYears: &age}, id == "prof_1" && p.err == nil, p.err
}

// A profile that nobody knows, or that can't be read, refuses nothing.
func TestProfilesOfEmergencies(t *testing.T) {
	f := &fakeEngine{result: emergency.Result{Urgency: emergency.Moderate}}
	w := newWorld(t, func(d *Deps) { d.Emergency, d.Profiles = f, profiles{} })
	broken := newWorld(t, func(d *Deps) { d.Emergency, d.Profiles = f, profiles{errors.New("no database")} })
	for _, c := range []struct {
		w       *world
		id      string
		warned  bool
		profile bool
	}{
		{w, "prof_1", false, true}, {w, "prof_2", true, false}, {w, "", false, false}, {w, "../../x y", true, false},
		{w, w.apiKey.ProfileID, false, false}, {broken, "prof_1", true, false},
		{newWorld(t), "prof_1", true, false},
	} {
		f.asked = nil
		a := c.w.detect(map[string]any{"symptoms": "x", "profile_id": c.id})
		warned := slices.ContainsFunc(texts(a["warnings"]), func(s string) bool { return strings.Contains(s, "profile is unknown") })
		if warned != c.warned || (len(f.asked) > 0 && (f.asked[0].Profile.AgeYears != nil) != c.profile) {
			t.Errorf("profile %q: warnings %q, asked %+v", c.id, a["warnings"], f.asked)
		}
	}
}

// No plan lacks it, the scope is needed, and the limits count it.
func TestWhoMayDetect(t *testing.T) {
	w := newWorld(t)
	starter, _ := w.makeKey("Small", consult.Live, consult.PlanStarter)
	a := w.call("POST", detectPath, map[string]any{"symptoms": "a cold"}, withKey(starter))
	a.ok()
	if a.header.Get("X-RateLimit-Limit") != "60" || a.header.Get("X-RateLimit-Remaining") != "59" {
		t.Errorf("limits %v", a.header)
	}
	w.call("POST", detectPath, map[string]any{"symptoms": "a cold"}, withoutKey).refused(401, "")
}

// The event has ids, the urgency and rules; what the patient wrote stands in no
// event, log, metric or audit entry.
func TestAnEmergencyIsAnEvent(t *testing.T) { onDatabases(t, anEmergencyIsAnEvent) }

func anEmergencyIsAnEvent(t *testing.T, w *world) {
	t.Helper()
	const secret = "Zanzibar"
	words := secret + ": severe chest pain radiating to left arm, profuse sweating"
	w.detect(map[string]any{"symptoms": words, "location": paris, "profile_id": "prof_" + secret})
	w.detect(map[string]any{"symptoms": secret + " a runny nose"})
	w.call("POST", roomPath+"/join", map[string]any{"doctor_id": "doc_1", "patient_id": "pat_1", "reason": words}).ok()
	w.call("POST", detectPath, map[string]any{"symptoms": words, "location": map[string]any{"lat": 99}}).refused(422, "")
	pending, err := w.store.PendingEvents(t.Context(), 100)
	must(t, err)
	var sources []string
	for _, p := range pending {
		raw, err := json.Marshal(p.Event)
		must(t, err)
		if strings.Contains(string(raw), secret) || strings.Contains(string(raw), "chest") {
			t.Errorf("event %s", raw)
		}
		if p.Event.Type != consult.EventEmergencyDetected {
			continue
		}
		var data struct {
			Urgency, Source string
			Rules           []string
			RuleVersion     string `json:"rule_version"`
		}
		must(t, json.Unmarshal(p.Event.Data, &data))
		if data.Urgency != "critical" || len(data.Rules) == 0 || data.RuleVersion == "" || p.Event.Actor.ID != w.apiKey.ID {
			t.Errorf("event %s", raw)
		}
		sources = append(sources, data.Source)
	}
	if !slices.Equal(sources, []string{"api", "waiting_room"}) {
		t.Errorf("events of %v", sources)
	}
	entries, err := w.store.Audit(t.Context(), w.apiKey.Scope, "")
	must(t, err)
	for _, e := range entries {
		if raw := fmt.Sprintf("%+v %s", e.Event, e.Event.Data); strings.Contains(raw, secret) {
			t.Errorf("audit %s", raw)
		}
	}
	if strings.Contains(w.log.String(), secret) {
		t.Errorf("log: %s", w.log.String())
	}
	families, err := w.registry.Gather()
	must(t, err)
	if strings.Contains(fmt.Sprint(families), secret) {
		t.Error("metrics have it")
	}
}

// unwritable is a store that is away.
type unwritable struct{}

func (unwritable) Record(ctx context.Context, _ consult.Scope, _ ...consult.Event) error {
	<-ctx.Done()
	return ctx.Err()
}

// An event that can't be written holds no answer back.
func TestAnEmergencyDoesNotWaitForItsEvent(t *testing.T) {
	w := newWorld(t, func(d *Deps) { d.Events = unwritable{} })
	began := time.Now()
	a := w.detect(map[string]any{"symptoms": "Severe chest pain radiating to left arm, profuse sweating"})
	if a["urgency_level"] != "critical" || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v", a["urgency_level"], time.Since(began))
	}
	if !strings.Contains(w.log.String(), "emergency not noted") {
		t.Error("nothing in the log")
	}
}

// The ticket of an emergency says so wherever it is shown, with the number.
func TestTicketsOfEmergencies(t *testing.T) {
	w := newWorld(t)
	join := func(patient, reason string, more map[string]any) *reply {
		t.Helper()
		body := map[string]any{"doctor_id": "doc_1", "patient_id": patient, "reason": reason}
		for k, v := range more {
			body[k] = v
		}
		a := w.call("POST", roomPath+"/join", body)
		a.ok()
		return a
	}
	calm := join("pat_1", "", nil)
	if calm.body["urgency"] != nil || calm.body["emergency"] != nil {
		t.Errorf("no reason: %s", calm.raw)
	}
	if calm = join("pat_1", "I have a runny nose", nil); calm.body["urgency"] == nil || calm.body["emergency"] != nil {
		t.Errorf("a cold: %s", calm.raw)
	}
	red := join("pat_2", "severe chest pain radiating to my left arm and sweating", map[string]any{"country": "FR"})
	help, _ := red.body["emergency"].(map[string]any)
	if red.body["urgency"] != "critical" || help["urgency_level"] != "critical" || help["emergency_number"] != "15" || help["country"] != "FR" {
		t.Errorf("chest pain: %s", red.raw)
	}
	if amount(t, red.body["position"]) != 2 {
		t.Errorf("place %v", red.body["position"])
	}
	// Taken back, it stays.
	red = join("pat_2", "no, it is only a cold", nil)
	if red.body["urgency"] != "critical" {
		t.Errorf("taken back: %s", red.raw)
	}
	id := red.str("ticket_id")
	for _, path := range []string{roomPath + "?doctor_id=doc_1", roomPath + "/tickets?patient_id=pat_2", roomPath + "/" + id} {
		if a := w.call("GET", path, nil); !strings.Contains(string(a.raw), `"urgency":"critical"`) {
			t.Errorf("%s: %s", path, a.raw)
		}
	}
	unknown := join("pat_3", "severe chest pain radiating to my left arm and sweating", nil)
	help, _ = unknown.body["emergency"].(map[string]any)
	if help["country"] != nil || !slices.Equal(texts(help["emergency_numbers"]), []string{"112", "911"}) {
		t.Errorf("of no country: %s", unknown.raw)
	}
}

// FuzzDetect: whatever a caller sends is answered or is the caller's fault, and
// what is answered fits the description.
func FuzzDetect(f *testing.F) {
	f.Add(`{"symptoms":"chest pain","location":{"lat":48.8566,"lng":2.3522}}`)
	f.Add(`{"symptoms":"ألم شديد في الصدر","language":"ar","country":"TN","profile_id":"p"}`)
	f.Add(`{"symptoms":"j'ai mal","location":{"lat":-0.0,"lng":180}}`)
	f.Add(`{"symptoms":"\u0000","location":null}`)
	ct, err := loadContract(openapiYAML)
	must(f, err)
	e := engine(f)
	s := &server{Deps: Deps{Emergency: e, Hospitals: hospitals(f), Now: time.Now}}
	op := ct.operation(http.MethodPost, detectPath)
	f.Fuzz(func(t *testing.T, body string) {
		v, err := decodeJSON([]byte(body))
		if err != nil || op.body.Validate(v) != nil {
			return
		}
		raw, err := json.Marshal(documented(op.body, v))
		must(t, err)
		out, err := s.detectEmergency(t.Context(), &request{op: op, body: raw, key: &consult.APIKey{}})
		must(t, err)
		a, ok := out.(screenBody)
		if !ok || a.Condition == "" || a.Number == "" || a.Confidence < 0 || a.Confidence > 1 || a.Disclaimer == "" || len(a.Actions) == 0 {
			t.Fatalf("%+v", out)
		}
	})
}
