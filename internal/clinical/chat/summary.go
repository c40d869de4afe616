package chat

import (
	"math"
	"slices"
	"time"
)

// Named is a thing with its name in a language.
type Named struct{ ID, Name string }

// Step is a line of the timeline.
type Step struct {
	At   time.Time
	Kind string
	Text string
}

// Summary is the conversation as a doctor reads it before the visit.
type Summary struct {
	Language           string
	Started, Updated   time.Time
	Messages           int
	Urgency            Urgency
	Complaint          *Named
	Others             []Named
	Onset              *time.Time
	DurationDays       *float64
	Severity           *int
	Positives          []Named
	Negatives          []Named
	Medicines          []string
	Allergies          []string
	NoMedicines        bool
	NoAllergies        bool
	AgeYears           *float64
	Pregnant           *bool
	Child              bool
	Timeline           []Step
	Flags              []Flag
	Disclaimer, Engine string
}

// Summary tells what is known of a conversation, in a language.
func (e *Engine) Summary(s *Session, language string, now time.Time) Summary {
	in := &s.Intake
	out := Summary{
		Language: language, Started: s.Started, Updated: s.Updated, Messages: s.Messages, Urgency: Low.AtLeast(s.Urgency),
		Onset: in.Onset, Severity: in.Severity, Medicines: slices.Clone(in.Medicines), Allergies: slices.Clone(in.Allergies),
		NoMedicines: in.NoMedicines, NoAllergies: in.NoAllergies, AgeYears: in.AgeYears, Pregnant: in.Pregnant, Child: in.Child,
		Flags: slices.Clone(s.Flags), Disclaimer: e.rules.Text("disclaimer", language), Engine: EngineName,
	}
	for _, id := range slices.Backward(in.Complaints) {
		c := e.rules.ComplaintOf(id)
		switch {
		case c == nil:
		case out.Complaint == nil:
			out.Complaint = &Named{id, c.Name.In(language)}
		default:
			out.Others = append(out.Others, Named{id, c.Name.In(language)})
		}
	}
	if d, ok := in.Days(now); ok {
		d = math.Round(d*10) / 10
		out.DurationDays = &d
	}
	for _, q := range e.rules.Questions() {
		switch f := in.Facts[q.ID]; {
		case f.Present():
			out.Positives = append(out.Positives, Named{q.ID, q.Name.In(language)})
		case f != "":
			out.Negatives = append(out.Negatives, Named{q.ID, q.Name.In(language)})
		}
	}
	for _, t := range in.Timeline {
		text := t.Text
		if c := e.rules.ComplaintOf(t.ID); t.Kind == "complaint" && c != nil {
			text = c.Name.In(language)
		} else if q := e.rules.QuestionOf(t.ID); q != nil {
			text = q.Name.In(language)
		}
		out.Timeline = append(out.Timeline, Step{t.At, t.Kind, text})
	}
	return out
}
