package consult

import "slices"

// Urgency is how soon somebody must act on what a patient has written; "" where
// nothing was screened.
type Urgency string

// The levels of the emergency screen, from the most urgent.
const (
	UrgencyCritical Urgency = "critical" // an ambulance now
	UrgencyHigh     Urgency = "high"     // an emergency department today
	UrgencyModerate Urgency = "moderate"
	UrgencyLow      Urgency = "low"
)

// rank orders the levels; what was not screened, and what is no level, is the
// lowest.
func (u Urgency) rank() int {
	return slices.Index([]Urgency{UrgencyLow, UrgencyModerate, UrgencyHigh, UrgencyCritical}, u)
}

// Above reports whether u is more urgent than other.
func (u Urgency) Above(other Urgency) bool { return u.rank() > other.rank() }

// Emergency reports whether the patient must see the emergency number, and the
// doctor the patient.
func (u Urgency) Emergency() bool { return u == UrgencyCritical || u == UrgencyHigh }

// Screening is what the emergency screen found in a text. It names rules and
// holds nothing of the text.
type Screening struct {
	Urgency Urgency
	// RuleVersion is that of the rules that decided; "" where none has.
	RuleVersion string
	// Rules are the ids of the red flags, at most MaxRules; nil without any.
	Rules []string
	// Crisis says that a crisis line belongs beside the emergency number.
	Crisis bool
}

// MaxRules bounds the red flags that are kept of a screening.
const MaxRules = 16

// Raise takes over what a further screening found, and reports whether that
// changed anything. It never lowers: a patient who takes back what she wrote is
// still the one who wrote it.
func (s *Screening) Raise(by Screening) bool {
	crisis := s.Crisis || by.Crisis
	switch {
	case by.Urgency.Above(s.Urgency):
		*s = by
		if len(s.Rules) > MaxRules {
			s.Rules = s.Rules[:MaxRules:MaxRules]
		}
		s.Crisis = crisis
		return true
	case crisis != s.Crisis:
		s.Crisis = crisis
		return true
	}
	return false
}

// MaxSymptomsLength bounds what the emergency screen is asked about, in
// characters.
const MaxSymptomsLength = 20_000

// ValidCountry reports whether c has the form of an ISO 3166-1 alpha-2 code.
func ValidCountry(c string) bool {
	return len(c) == 2 && c[0] >= 'A' && c[0] <= 'Z' && c[1] >= 'A' && c[1] <= 'Z'
}
