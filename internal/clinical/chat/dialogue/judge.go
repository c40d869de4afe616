package dialogue

import (
	"cmp"
	"slices"
	"time"
)

// Reason is why something is as urgent as it is.
type Reason struct {
	ID     string
	Level  Urgency
	Source string
}

// What makes anything more urgent, whatever the complaint.
const (
	severeFrom  = 8
	elderlyFrom = 75
	infantUntil = 1
)

// Judge tells how urgent what was told is. What somebody wrote in their own words
// is the emergency screen's to judge above moderate; what they answered yes to is
// our question's. More that is present never makes it less urgent.
func (r *Rules) Judge(in *Intake, now time.Time) (Urgency, []Reason) {
	level, why := Low, []Reason(nil)
	add := func(id string, u Urgency, source string) {
		level = level.AtLeast(u)
		why = append(why, Reason{id, u, source})
	}
	d, lasted := in.Days(now)
	for _, id := range in.Complaints {
		c := r.complaints[id]
		if c == nil {
			continue
		}
		add(id, c.Level, c.Source)
		if lasted && c.Long > 0 && d >= c.Long {
			add(id+":long", Moderate, c.Source)
		}
	}
	for _, q := range r.facts {
		switch in.Facts[q.ID] {
		case Yes:
			add(q.ID, q.Level, q.Source)
		case Said:
			if q.Level != Low {
				add(q.ID, Moderate, q.Source)
			}
		}
	}
	if len(in.Complaints) > 0 {
		if in.Severity != nil && *in.Severity >= severeFrom {
			add("severe", Moderate, "NHS 111 guidance")
		}
		if in.AgeYears != nil && (*in.AgeYears >= elderlyFrom || *in.AgeYears < infantUntil) {
			add("age", Moderate, "NICE NG253; NICE NG143")
		}
		if in.Pregnant != nil && *in.Pregnant {
			add("pregnant", Moderate, "NICE NG201")
		}
	}
	slices.SortStableFunc(why, func(a, b Reason) int { return cmp.Compare(b.Level.Rank(), a.Level.Rank()) })
	return level, why
}

// Ask chooses what to ask next: at most limit questions, those first whose yes
// would raise the urgency most, none that was asked or is known. They are noted as
// asked.
func (r *Rules) Ask(in *Intake, current Urgency, limit int) []string {
	if current == Critical || len(in.Complaints) == 0 && len(in.Facts) == 0 {
		if current != Critical && !slices.Contains(in.Asked, AskProblem) {
			in.asked(AskProblem)
			return []string{AskProblem}
		}
		return nil
	}
	type candidate struct {
		id    string
		gain  int
		order int
	}
	var all []candidate
	seen := map[string]bool{}
	consider := func(id string, gain int) {
		if !seen[id] && !slices.Contains(in.Asked, id) && in.Facts[id] == Unknown {
			seen[id] = true
			all = append(all, candidate{id, gain, len(all)})
		}
	}
	main := r.complaints[in.Complaint()]
	if main != nil {
		for _, id := range main.Ask {
			consider(id, r.questions[id].Level.Rank()-current.Rank())
		}
	}
	general := 0
	if current == Low {
		general = 1
	}
	if in.Onset == nil {
		consider(AskSince, general)
	}
	if in.Severity == nil {
		consider(AskSeverity, general)
	}
	if in.AgeYears == nil {
		consider(AskAge, general)
	}
	if main != nil && in.Pregnant == nil && slices.Contains([]string{"belly_pain", "vomiting", "urinary", "period", "dizziness"}, main.ID) && !in.Child {
		consider(AskPregnant, general)
	}
	if len(in.Medicines) == 0 && !in.NoMedicines {
		consider(AskMedicines, 0)
	}
	if len(in.Allergies) == 0 && !in.NoAllergies {
		consider(AskAllergies, 0)
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Compare(max(b.gain, 0), max(a.gain, 0))
	})
	var out []string
	for _, c := range all[:min(limit, len(all))] {
		in.asked(c.id)
		out = append(out, c.id)
	}
	return out
}

func (in *Intake) asked(id string) {
	in.Asked = append(in.Asked, id)
	in.Pending = append(in.Pending, id)
}

// Wording is a question in a language.
func (r *Rules) Wording(id, language string) string {
	if q := r.questions[id]; q != nil {
		return q.Ask.In(language)
	}
	return r.Text(id, language)
}

// Statement is a fact as the person would say it.
func (r *Rules) Statement(id, language string) string {
	q := r.questions[id]
	if q == nil {
		return ""
	}
	return map[string]string{"en": "I have ", "fr": "J'ai ", "ar": "عندي "}[language] + q.Name.In(language)
}
