// Package dialogue keeps what a person has told over turns, judges how urgent it
// is by rules that stand in rules/, and chooses what to ask next.
package dialogue

import (
	"slices"
	"time"
)

// Urgency is how soon somebody must act.
type Urgency string

// The levels, from the most urgent.
const (
	Critical Urgency = "critical"
	High     Urgency = "high"
	Moderate Urgency = "moderate"
	Low      Urgency = "low"
)

// Rank orders the levels.
func (u Urgency) Rank() int {
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

// AtLeast is the more urgent of two levels.
func (u Urgency) AtLeast(v Urgency) Urgency {
	if v.Rank() > u.Rank() {
		return v
	}
	return u
}

// Red tells whether the emergency number belongs into the answer.
func (u Urgency) Red() bool { return u.Rank() >= High.Rank() }

// Concept is a sign that somebody else's reading of the text named.
type Concept struct {
	ID     string
	Denied bool
}

// Fact is what is known of one thing that can be asked.
type Fact string

// The values of a fact.
const (
	Said    Fact = "said"   // written by the person
	Yes     Fact = "yes"    // answered to our question
	Denied  Fact = "denied" // either
	Unknown Fact = ""
)

// Present tells whether it is there.
func (f Fact) Present() bool { return f == Said || f == Yes }

// Entry is a step of the timeline.
type Entry struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"` // complaint, present, denied, onset, severity, medicine, allergy, red_flag
	ID   string    `json:"id,omitempty"`
	Text string    `json:"text,omitempty"`
}

// Intake is what has been told. Its zero value is an empty one. It is stored as
// JSON.
type Intake struct {
	Complaints []string        `json:"complaints,omitempty"` // the newest last
	Onset      *time.Time      `json:"onset,omitempty"`
	Severity   *int            `json:"severity,omitempty"` // 0 to 10
	Facts      map[string]Fact `json:"facts,omitempty"`
	Medicines  []string        `json:"medicines,omitempty"`
	Allergies  []string        `json:"allergies,omitempty"`
	// NoMedicines and NoAllergies: it was said that there are none.
	NoMedicines bool     `json:"no_medicines,omitempty"`
	NoAllergies bool     `json:"no_allergies,omitempty"`
	AgeYears    *float64 `json:"age_years,omitempty"`
	Pregnant    *bool    `json:"pregnant,omitempty"`
	Child       bool     `json:"child,omitempty"`
	Asked       []string `json:"asked,omitempty"`   // never again
	Pending     []string `json:"pending,omitempty"` // asked with the last answer
	Timeline    []Entry  `json:"timeline,omitempty"`
}

// Bounds of what is kept.
const (
	maxTimeline = 200
	maxList     = 30
	maxText     = 120 // characters of a medicine or an allergy
)

// Clone is a copy that shares nothing.
func (in *Intake) Clone() Intake {
	out := *in
	out.Complaints, out.Asked, out.Pending = slices.Clone(in.Complaints), slices.Clone(in.Asked), slices.Clone(in.Pending)
	out.Medicines, out.Allergies, out.Timeline = slices.Clone(in.Medicines), slices.Clone(in.Allergies), slices.Clone(in.Timeline)
	if in.Facts != nil {
		out.Facts = make(map[string]Fact, len(in.Facts))
		for k, v := range in.Facts {
			out.Facts[k] = v
		}
	}
	return out
}

// Complaint is the newest one, "" before any.
func (in *Intake) Complaint() string {
	if len(in.Complaints) == 0 {
		return ""
	}
	return in.Complaints[len(in.Complaints)-1]
}

// Days is how long it has lasted; ok is false when that was not said.
func (in *Intake) Days(now time.Time) (float64, bool) {
	if in.Onset == nil {
		return 0, false
	}
	return max(now.Sub(*in.Onset).Hours()/24, 0), true
}

func (in *Intake) note(at time.Time, kind, id, text string) {
	if len(in.Timeline) < maxTimeline {
		in.Timeline = append(in.Timeline, Entry{At: at.UTC(), Kind: kind, ID: id, Text: text})
	}
}

// set keeps a fact. What is present stays so: it is only ever taken back by a
// doctor.
func (in *Intake) set(at time.Time, id string, v Fact) {
	old := in.Facts[id]
	if old == v || old == Yes || old == Said && v == Denied {
		return
	}
	if in.Facts == nil {
		in.Facts = map[string]Fact{}
	}
	in.Facts[id] = v
	kind := "present"
	if v == Denied {
		kind = "denied"
	}
	if !old.Present() {
		in.note(at, kind, id, "")
	}
}
