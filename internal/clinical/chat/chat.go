// Package chat answers what people ask about health and what they tell of their
// symptoms, in English, French and Arabic, without any service. General questions
// are answered from embedded topics, found by search; symptoms are taken in over
// turns, judged by rules, and met with what would help, when to seek care and what
// to ask next. It never diagnoses and never prescribes, says when it doesn't know,
// and what a screen for emergencies found only makes it more urgent.
package chat

import (
	"time"

	"github.com/chatmed/chatmed/internal/clinical/chat/dialogue"
)

// Urgency is how soon somebody must act.
type Urgency = dialogue.Urgency

// The levels, from the most urgent.
const (
	Critical = dialogue.Critical
	High     = dialogue.High
	Moderate = dialogue.Moderate
	Low      = dialogue.Low
)

// Concept is a sign that the emergency screen named.
type Concept = dialogue.Concept

// Flag is a rule of the screen, or of ours, that what was told met.
type Flag struct {
	Rule      string   `json:"rule"`
	Condition string   `json:"condition"`
	Level     Urgency  `json:"level"`
	Guideline string   `json:"guideline"`
	Words     []string `json:"words,omitempty"`
}

// Screen is what the emergency screen found, in the message or in all that was
// said.
type Screen struct {
	Urgency  Urgency
	Flags    []Flag
	Concepts []Concept
	Actions  []string // what to do, in the language of the answer
	Crisis   bool     // a crisis line belongs into the answer
}

// Help is whom to call.
type Help struct {
	Number                 string
	CrisisName, CrisisCall string // "" where none is known
}

// Profile is what is known of the patient beside the conversation.
type Profile struct {
	AgeYears    *float64
	Pregnant    *bool
	Medications []string
	Allergies   []string
}

// Input is one message.
type Input struct {
	Message  string
	Language string // of the answer: "en", "fr", "ar"
	Screen   Screen
	Help     Help
	Profile  Profile
	Now      time.Time
}

// Source is what an answer rests on.
type Source struct {
	ID        string // of the topic, or of the rule
	Title     string
	Reference string
}

// Kind says what an answer is.
type Kind string

// The kinds of answers.
const (
	KindEmergency Kind = "emergency"
	KindCrisis    Kind = "crisis"
	KindSymptoms  Kind = "symptoms"
	KindTopic     Kind = "topic"
	KindRefusal   Kind = "refusal"
	KindTalk      Kind = "talk"
	KindUnknown   Kind = "unknown"
)

// Answer is what is said.
type Answer struct {
	Kind       Kind
	Text       string
	Urgency    Urgency
	Flags      []Flag
	Questions  []string
	Sources    []Source
	Disclaimer string
	Language   string
	Engine     string
	Crisis     bool
	// Topics were found for the message, best first.
	Topics []string
}

// EngineName is what answers of this package say gave them.
const EngineName = "rules"

// MaxMessage bounds a message, in characters.
const MaxMessage = 4000
