// Package emergency screens what a person writes for signs of a
// life-threatening condition, in English, French and Arabic, within a
// millisecond and without any service. It decides by red-flag rules that stand
// in rules/ for a doctor to read, each with its guideline. When in doubt it
// answers the more urgent level.
package emergency

// Urgency is how soon somebody must act.
type Urgency string

// The levels, from the most urgent.
const (
	Critical Urgency = "critical" // an ambulance now
	High     Urgency = "high"     // an emergency department today
	Moderate Urgency = "moderate" // a doctor soon, or not enough was said
	Low      Urgency = "low"      // something mild was recognised, and nothing else
)

// rank orders the levels.
func (u Urgency) rank() int {
	switch u {
	case Critical:
		return 3
	case High:
		return 2
	case Moderate:
		return 1
	}
	return 0
}

// AtLeast tells whether a level is as urgent as another or more.
func (u Urgency) AtLeast(other Urgency) bool { return u.rank() >= other.rank() }

// Profile is what is known of the patient beside the text. Nothing in it is
// needed.
type Profile struct {
	AgeYears        *float64
	Sex             string // "female", "male", or ""
	PregnantWeeks   *int
	PostpartumWeeks *int
	Conditions      []string
	Medications     []string
	Allergies       []string
}

// Input is one text to screen.
type Input struct {
	Text     string
	Language string // of the answer: "en", "fr", "ar"; "" is the text's
	Profile  Profile
}

// RedFlag is a rule that the text met.
type RedFlag struct {
	Rule      string
	Condition string
	Level     Urgency
	Guideline string
	Words     []string // as they stand in the text
	Spans     []Span   // where they stand
}

// Span is a place in the text, in bytes.
type Span struct{ Start, End int }

// Result is the answer.
type Result struct {
	Urgency     Urgency
	Condition   string // id of the suspected condition, "" when none is
	Name        string // its name in the language of the answer
	Confidence  float64
	Score       int // what the confidence was read from; 0 when no rule holds
	Actions     []string
	RedFlags    []RedFlag
	Questions   []string // what could not be told from the text
	Warnings    []string
	Language    string
	RuleVersion string
	Engine      string
	CrisisLine  bool // a crisis line belongs into the answer
	Poison      bool // a poison centre belongs into the answer
	Disclaimer  string
}
