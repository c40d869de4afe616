package chat

import (
	"slices"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/clinical/chat/dialogue"
	"github.com/chatmed/chatmed/internal/clinical/chat/search"
)

// Engine answers by rules and topics. Immutable, and safe for concurrent use.
type Engine struct {
	base  *Base
	rules *dialogue.Rules
}

// New loads the embedded rules and topics.
func New() (*Engine, error) {
	base, err := LoadBase()
	if err != nil {
		return nil, err
	}
	rules, err := dialogue.Load()
	if err != nil {
		return nil, err
	}
	return &Engine{base: base, rules: rules}, nil
}

// Base is the knowledge base.
func (e *Engine) Base() *Base { return e.base }

// ToScreen are the texts that the emergency screen must see before the answer: the
// message, and everything that was told with it.
func (e *Engine) ToScreen(s *Session, message string, now time.Time) []string {
	c := s.Clone()
	c.begin(now)
	e.take(c, message, nil, now)
	out := []string{message}
	if whole := strings.Join(c.Told, ".\n"); len(c.Told) > 0 && whole != message {
		out = append(out, whole)
	}
	return out
}

// take reads a message into the session.
func (e *Engine) take(s *Session, message string, concepts []Concept, now time.Time) dialogue.Reading {
	r := e.rules.Read(&s.Intake, message, concepts, now)
	for _, id := range r.Answered {
		s.tell(e.rules.Statement(id, r.Language))
	}
	if !r.Bare && !r.General() {
		s.tell(message)
	}
	return r
}

// Answer answers a message, and changes the session to what is known after it.
func (e *Engine) Answer(s *Session, in Input) Answer {
	if !slices.Contains(dialogue.Languages(), in.Language) {
		in.Language = "en"
	}
	in.Message = clip(in.Message, 4*MaxMessage)
	s.begin(in.Now)
	s.Language = in.Language
	s.Messages++
	s.know(in.Profile)
	r := e.take(s, in.Message, in.Screen.Concepts, in.Now)
	judged, why := e.rules.Judge(&s.Intake, in.Now)
	a := &answering{Engine: e, s: s, in: in, r: r, why: why, hits: e.base.Find(in.Message, 3)}
	a.level = a.judge(judged)
	out := a.compose()
	s.Urgency = Low.AtLeast(s.Urgency).AtLeast(a.level)
	out.Urgency, out.Language, out.Engine = s.Urgency, in.Language, EngineName
	out.Disclaimer = e.rules.Text("disclaimer", in.Language)
	out.Flags = slices.Clone(s.Flags)
	if out.Questions == nil {
		out.Questions = []string{}
	}
	s.turn(Turn{At: in.Now.UTC(), Message: clip(in.Message, 2000), Answer: clip(out.Text, 2000), Urgency: out.Urgency})
	return out
}

// know takes in what the profile says, once.
func (s *Session) know(p Profile) {
	if s.Intake.AgeYears == nil {
		s.Intake.AgeYears = p.AgeYears
	}
	if s.Intake.Pregnant == nil {
		s.Intake.Pregnant = p.Pregnant
	}
	for _, m := range p.Medications {
		if !slices.Contains(s.Intake.Medicines, m) && len(s.Intake.Medicines) < maxFlags {
			s.Intake.Medicines = append(s.Intake.Medicines, m)
		}
	}
	for _, m := range p.Allergies {
		if !slices.Contains(s.Intake.Allergies, m) && len(s.Intake.Allergies) < maxFlags {
			s.Intake.Allergies = append(s.Intake.Allergies, m)
		}
	}
}

// answering is one answer under way.
type answering struct {
	*Engine
	s     *Session
	in    Input
	r     dialogue.Reading
	why   []dialogue.Reason
	hits  []search.Hit
	level Urgency
	out   Answer
	parts []string
}

// judge joins the levels: the screen's where a rule of it holds, and the
// dialogue's.
func (a *answering) judge(judged Urgency) Urgency {
	level := judged
	if len(a.in.Screen.Flags) > 0 || a.in.Screen.Urgency.Red() {
		level = level.AtLeast(a.in.Screen.Urgency)
		a.s.flag(a.in.Screen.Flags)
	}
	if a.harms() {
		level = level.AtLeast(High)
	}
	for _, w := range a.why {
		if q := a.rules.QuestionOf(w.ID); q != nil && w.Level.Red() {
			a.s.flag([]Flag{{Rule: "chat_" + w.ID, Condition: w.ID, Level: w.Level, Guideline: w.Source}})
		}
	}
	return level
}

// harms: thoughts of harming oneself were told.
func (a *answering) harms() bool {
	return a.in.Screen.Crisis && a.in.Screen.Urgency.Red() || slices.Contains(a.r.Present, "harm_self") && !a.r.General()
}

func (a *answering) say(name string, pairs ...string) {
	a.parts = append(a.parts, a.rules.Text(name, a.in.Language, pairs...))
}

// sure is the topic to answer from, nil when nothing found is good enough.
func (a *answering) sure() *Topic {
	if len(a.hits) == 0 || !a.hits[0].Sure() {
		return nil
	}
	return a.base.Topic(a.hits[0].ID)
}

func (a *answering) cite(t *Topic) {
	if t == nil || slices.ContainsFunc(a.out.Sources, func(s Source) bool { return s.ID == t.ID }) {
		return
	}
	a.out.Sources = append(a.out.Sources, Source{ID: t.ID, Title: t.In(a.in.Language).Name, Reference: t.Source})
	a.out.Topics = append(a.out.Topics, t.ID)
}

func (a *answering) ask(limit int) {
	for _, id := range a.rules.Ask(&a.s.Intake, a.s.Urgency.AtLeast(a.level), limit) {
		a.out.Questions = append(a.out.Questions, a.rules.Wording(id, a.in.Language))
	}
}
