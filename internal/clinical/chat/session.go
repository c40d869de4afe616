package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/chatmed/chatmed/internal/clinical/chat/dialogue"
)

// Session is what is kept of a conversation between messages.
type Session struct {
	Version  int             `json:"v"`
	Language string          `json:"language,omitempty"`
	Started  time.Time       `json:"started"`
	Updated  time.Time       `json:"updated"`
	Messages int             `json:"messages"`
	Intake   dialogue.Intake `json:"intake"`
	// Urgency is the highest of the conversation; it only rises until the
	// conversation has rested for a day.
	Urgency Urgency `json:"urgency,omitempty"`
	Flags   []Flag  `json:"flags,omitempty"`
	Turns   []Turn  `json:"turns,omitempty"`
	// Told is what the person said, to be screened as a whole: their words, and
	// our questions they said yes to as statements.
	Told  []string `json:"told,omitempty"`
	Topic string   `json:"topic,omitempty"` // the last that was answered from
}

// Turn is a message and its answer.
type Turn struct {
	At      time.Time `json:"at"`
	Message string    `json:"message"`
	Answer  string    `json:"answer"`
	Urgency Urgency   `json:"urgency"`
}

const (
	sessionVersion = 1
	maxTurns       = 40
	maxFlags       = 30
	maxTold        = 3000 // bytes
	// rest is after how long a conversation is taken for a new complaint.
	rest = 24 * time.Hour
)

// Encode is the form that is stored.
func (s *Session) Encode() ([]byte, error) { return json.Marshal(s) }

// DecodeSession reads the stored form.
func DecodeSession(raw []byte) (*Session, error) {
	s := &Session{}
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("chat session: %w", err)
	}
	if s.Version != sessionVersion {
		return nil, errors.New("chat session: of another version")
	}
	if s.Urgency != "" && s.Urgency != Low && s.Urgency.Rank() == 0 {
		return nil, errors.New("chat session: unknown urgency")
	}
	return s, nil
}

// Clone is a copy that shares nothing that changes.
func (s *Session) Clone() *Session {
	out := *s
	out.Intake = s.Intake.Clone()
	out.Flags = append([]Flag(nil), s.Flags...)
	out.Turns = append([]Turn(nil), s.Turns...)
	out.Told = append([]string(nil), s.Told...)
	return &out
}

// begin readies a session for a message: a conversation that has rested starts
// anew, but what stays true of a person is kept.
func (s *Session) begin(now time.Time) {
	if s.Version == 0 {
		s.Version, s.Started = sessionVersion, now.UTC()
	}
	if !s.Updated.IsZero() && now.Sub(s.Updated) > rest {
		old := s.Intake
		s.Intake = dialogue.Intake{
			Medicines: old.Medicines, Allergies: old.Allergies, NoMedicines: old.NoMedicines, NoAllergies: old.NoAllergies,
			AgeYears: old.AgeYears, Child: old.Child, Timeline: old.Timeline,
		}
		s.Urgency, s.Flags, s.Told, s.Topic = "", nil, nil, ""
	}
	s.Updated = now.UTC()
}

func (s *Session) tell(text string) {
	text = strings.TrimSpace(text)
	if text == "" {
		return
	}
	s.Told = append(s.Told, clip(text, maxTold))
	for total(s.Told) > maxTold && len(s.Told) > 1 {
		s.Told = s.Told[1:]
	}
}

func total(list []string) (n int) {
	for _, s := range list {
		n += len(s) + 2
	}
	return n
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

func (s *Session) flag(flags []Flag) {
	for _, f := range flags {
		known := false
		for _, k := range s.Flags {
			known = known || k.Rule == f.Rule
		}
		if !known && len(s.Flags) < maxFlags {
			s.Flags = append(s.Flags, f)
		}
	}
}

func (s *Session) turn(t Turn) {
	s.Turns = append(s.Turns, t)
	if len(s.Turns) > maxTurns {
		s.Turns = s.Turns[len(s.Turns)-maxTurns:]
	}
}
