package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/clinical/emergency"
	"github.com/chatmed/chatmed/internal/clinical/emergency/places"
	"github.com/chatmed/chatmed/internal/consult"
)

// Emergency screens texts for emergencies (emergency.Engine).
type Emergency interface {
	Screen(in emergency.Input) emergency.Result
}

// Hospitals finds the nearest hospital to name (places.Hospitals). Its error is
// a *places.CoordinateError.
type Hospitals interface {
	Nearest(lat, lng float64) (found places.Found, ok bool, err error)
}

// Profiles are what is known of patients beside what they write.
type Profiles interface {
	// Profile is what matters in an emergency; ok is false for a profile that
	// the account and mode do not have.
	Profile(ctx context.Context, sc consult.Scope, id string) (p emergency.Profile, ok bool, err error)
}

// Events writes events of no row into audit log and outbox (the store).
type Events interface {
	Record(ctx context.Context, sc consult.Scope, events ...consult.Event) error
}

// Bounds of what an answer waits for beside the screen itself: somebody may be
// dying, and neither decides.
const (
	profileWithin = 500 * time.Millisecond
	recordWithin  = 500 * time.Millisecond
)

func (s *server) emergencyRoutes() []route {
	return []route{{http.MethodPost, "/api/v1/emergency/detect", s.detectEmergency}}
}

type detectBody struct {
	Symptoms string `json:"symptoms"`
	Location *struct {
		Lat float64 `json:"lat"`
		Lng float64 `json:"lng"`
	} `json:"location"`
	ProfileID string `json:"profile_id"`
	Language  string `json:"language"`
	Country   string `json:"country"`
}

type nearbyBody struct {
	Name       string  `json:"name"`
	DistanceKm float64 `json:"distance_km"`
	Phone      *string `json:"phone"`
	// EmergencyDepartment is true, or null where the data doesn't say.
	EmergencyDepartment *bool `json:"emergency_department"`
}

type redFlagBody struct {
	Rule      string            `json:"rule"`
	Condition string            `json:"condition"`
	Urgency   emergency.Urgency `json:"urgency_level"`
	Guideline string            `json:"guideline"`
	Words     []string          `json:"words"`
}

type screenBody struct {
	Urgency     emergency.Urgency `json:"urgency_level"`
	Condition   string            `json:"suspected_condition"`
	Confidence  float64           `json:"confidence"`
	Actions     []string          `json:"actions"`
	Nearby      *nearbyBody       `json:"nearby_emergency"`
	Country     *string           `json:"country"`
	Number      string            `json:"emergency_number"`
	Numbers     []string          `json:"emergency_numbers"`
	CrisisLine  *lineBody         `json:"crisis_line"`
	PoisonLine  *lineBody         `json:"poison_line"`
	RedFlags    []redFlagBody     `json:"red_flags"`
	Questions   []string          `json:"questions"`
	Engine      string            `json:"engine"`
	RuleVersion string            `json:"rule_version"`
	Language    string            `json:"language"`
	Disclaimer  string            `json:"disclaimer"`
	Warnings    []string          `json:"warnings"`
	Timestamp   string            `json:"timestamp"`
}

// detectEmergency screens a text. Only the caller's own mistake refuses it:
// whatever else fails is left out of the answer.
func (s *server) detectEmergency(ctx context.Context, r *request) (any, error) {
	var b detectBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	country, nearby, err := s.around(&b)
	if err != nil {
		return nil, err
	}
	base, _, _ := strings.Cut(strings.ToLower(b.Language), "-")
	in := emergency.Input{Text: b.Symptoms, Language: base}
	known := true
	if b.ProfileID != "" {
		in.Profile, known = s.profile(ctx, r, b.ProfileID)
	}
	found := s.Emergency.Screen(in)
	out := screenOf(&found, EmergencyLines(country, found.Language))
	out.Nearby, out.Timestamp = nearby, rfc3339(s.Now())
	if !known {
		out.Warnings = append(out.Warnings, words(found.Language).unknownProfile)
	}
	s.noteEmergency(ctx, r, &found)
	return out, nil
}

// around is what the coordinates say: the country, or else the one that is
// named, or else the server's; and the hospital to go to.
func (s *server) around(b *detectBody) (country string, nearby *nearbyBody, err error) {
	country = b.Country
	if country == "" {
		country = s.Config.Country
	}
	if b.Location == nil {
		return country, nil, nil
	}
	at, ok, err := places.At(b.Location.Lat, b.Location.Lng)
	if err != nil {
		return "", nil, &consult.Error{
			Code: consult.ValidationError, Message: messageInvalid,
			Fields: []consult.FieldError{{Field: "location", Message: "must be a latitude and a longitude"}},
		}
	}
	if ok {
		country = at
	}
	if s.Hospitals == nil {
		return country, nil, nil
	}
	h, ok, err := s.Hospitals.Nearest(b.Location.Lat, b.Location.Lng)
	if err != nil || !ok {
		return country, nil, err
	}
	nearby = &nearbyBody{Name: h.Name, DistanceKm: h.DistanceKm, Phone: optional(h.Phone)}
	if yes := h.Emergency == places.EmergencyYes; yes {
		nearby.EmergencyDepartment = &yes
	}
	return country, nearby, nil
}

// profile reads what is known of a patient. The key's own profile is known and
// holds nothing. One that can't be read is as one that is unknown.
func (s *server) profile(ctx context.Context, r *request, id string) (emergency.Profile, bool) {
	if s.Profiles != nil {
		ctx, cancel := context.WithTimeout(ctx, profileWithin)
		defer cancel()
		p, ok, err := s.Profiles.Profile(ctx, r.key.Scope, id)
		if err != nil {
			s.Log.WarnContext(ctx, "emergency screened without the profile", "err", err)
		} else if ok {
			return p, true
		}
	}
	return emergency.Profile{}, id == r.key.ProfileID
}

// screenOf is what the engine found, as it is answered.
func screenOf(f *emergency.Result, lines Lines) screenBody {
	b := screenBody{
		Urgency: f.Urgency, Condition: f.Name, Confidence: f.Confidence, Actions: actionsWith(f, lines),
		Country: optional(lines.Country), Number: lines.Numbers[0], Numbers: lines.Numbers,
		CrisisLine: lineOf(lines.Crisis, f.CrisisLine), PoisonLine: lineOf(lines.Poison, f.Poison),
		RedFlags: make([]redFlagBody, 0, len(f.RedFlags)), Questions: list(f.Questions), Engine: f.Engine,
		RuleVersion: f.RuleVersion, Language: f.Language, Disclaimer: f.Disclaimer, Warnings: list(f.Warnings),
	}
	for _, flag := range f.RedFlags {
		b.RedFlags = append(b.RedFlags, redFlagBody{
			Rule: flag.Rule, Condition: flag.Condition, Urgency: flag.Level, Guideline: flag.Guideline, Words: list(flag.Words),
		})
	}
	if b.Condition == "" {
		b.Condition = words(f.Language).undetermined
	}
	if lines.Country == "" && consult.Urgency(f.Urgency).Emergency() {
		b.Warnings = append(b.Warnings, lines.Advice)
	}
	return b
}

// list is never null in an answer, and a copy of ours.
func list(of []string) []string { return append([]string{}, of...) }

// screenWords are what the API adds to the engine's own words.
type screenWords struct {
	call           string // of the number: two at most
	theNumber      string // how the engine names a number that it does not know
	undetermined   string
	unknownProfile string
}

// words are those of a language that the engine answers in.
func words(language string) screenWords {
	switch language {
	case "fr":
		return screenWords{
			"Appelez immédiatement les secours (%s)", "numéro d'urgence", "Indéterminé",
			"Le profil est inconnu : le texte a été analysé sans antécédents.",
		}
	case "ar":
		return screenWords{
			"اتصل بخدمات الطوارئ فورًا (%s)", "رقم الطوارئ", "غير محدد",
			"الملف الطبي غير معروف: تم فحص النص دون السوابق المرضية.",
		}
	}
	return screenWords{
		"Call emergency services immediately (%s)", "emergency number", "Not determined",
		"The profile is unknown: the text was screened without a medical history.",
	}
}

// actionsWith are the engine's, with the number to dial where they say to dial
// it. What is critical always begins with it.
func actionsWith(f *emergency.Result, lines Lines) []string {
	if !consult.Urgency(f.Urgency).Emergency() {
		return list(f.Actions)
	}
	w := words(f.Language)
	call := fmt.Sprintf(w.call, strings.Join(lines.Numbers[:min(2, len(lines.Numbers))], "/"))
	out := make([]string, 0, len(f.Actions)+1)
	if f.Urgency == emergency.Critical || len(f.Actions) == 0 {
		out = append(out, call)
	}
	for _, a := range f.Actions {
		if strings.Contains(a, w.theNumber) {
			a = call
		}
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// ScreeningOf is what is kept of a finding: nothing of the text.
func ScreeningOf(f *emergency.Result) consult.Screening {
	out := consult.Screening{Urgency: consult.Urgency(f.Urgency), RuleVersion: f.RuleVersion, Crisis: f.CrisisLine}
	for _, flag := range f.RedFlags {
		if len(out.Rules) < consult.MaxRules && !slices.Contains(out.Rules, flag.Rule) {
			out.Rules = append(out.Rules, flag.Rule)
		}
	}
	return out
}

// noteEmergency writes the event of what was found to be an emergency. The
// answer does not hang on it.
func (s *server) noteEmergency(ctx context.Context, r *request, f *emergency.Result) {
	found := ScreeningOf(f)
	if !found.Urgency.Emergency() || s.Events == nil {
		return
	}
	data, err := json.Marshal(map[string]any{
		"urgency": found.Urgency, "rules": list(found.Rules), "rule_version": found.RuleVersion, "source": "api",
	})
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
		defer cancel()
		err = s.Events.Record(ctx, r.key.Scope, consult.Event{
			ID: consult.NewID(consult.PrefixEvent), Type: consult.EventEmergencyDetected, Scope: r.key.Scope,
			Actor: r.actor(), At: s.Now().UTC(), Data: data,
		})
	}
	if err != nil {
		s.Log.WarnContext(ctx, "emergency not noted", "key_id", r.key.ID, "err", err)
	}
}

// helpBody is what a patient whose reason is an emergency must see.
type helpBody struct {
	Urgency    consult.Urgency `json:"urgency_level"`
	Country    *string         `json:"country"`
	Number     string          `json:"emergency_number"`
	Numbers    []string        `json:"emergency_numbers"`
	CrisisLine *lineBody       `json:"crisis_line"`
}

// helpFor is nil unless the ticket is an emergency.
func (s *server) helpFor(t *consult.Ticket) *helpBody {
	if !t.Screening.Urgency.Emergency() {
		return nil
	}
	country := t.Country
	if country == "" {
		country = s.Config.Country
	}
	l := EmergencyLines(country, t.Language)
	return &helpBody{
		Urgency: t.Screening.Urgency, Country: optional(l.Country), Number: l.Numbers[0], Numbers: l.Numbers,
		CrisisLine: lineOf(l.Crisis, t.Screening.Crisis),
	}
}
