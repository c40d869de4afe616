package chat

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/chatmed/chatmed/internal/clinical/chat/search"
)

// Proposal is an answer that somebody else's model gave.
type Proposal struct {
	Response  string   `json:"response"`
	Urgency   Urgency  `json:"urgency_level"`
	Questions []string `json:"follow_up_questions"`
}

// The bounds of what a model may say.
const (
	MaxResponse  = 2400 // characters
	MaxQuestion  = 200
	MaxQuestions = 3
)

// Errors of a proposal that is not used.
var (
	ErrLength     = errors.New("too long, or empty")
	ErrLevel      = errors.New("no such urgency")
	ErrLanguage   = errors.New("in another language than was asked for")
	ErrPrescribes = errors.New("prescribes or gives a dose")
	ErrReassures  = errors.New("reassures where care is needed")
	ErrDiagnoses  = errors.New("diagnoses")
	ErrLeaks      = errors.New("repeats its instructions, or has links or markup")
)

var (
	dose = regexp.MustCompile(`(?i)\b\d+([.,]\d+)? ?(mg|mcg|µg|ug|ml|milligrams?|milligrammes?|tablets?|pills?|capsules?|comprim|gélule|gouttes|puffs?|iu|ui)|\d+ ?(ملغ|مغ|ملجم|حبات|حبة|مل |أقراص|قرص)|` +
		`\b(i prescribe|i am prescribing|take (one|two|a) tablets?|je vous prescris|je prescris)\b|prenez (un|deux) comprimé|أصف لك`)
	reassurance = regexp.MustCompile(`(?i)nothing to worry|no need to worry|don'?t worry|not serious|no need to (see|call|go)|nothing serious|don'?t need (a doctor|to see|to call|an ambulance)|completely (safe|harmless)|you('re| are) fine|` +
		`rien de grave|pas (la peine|besoin) d[e']? ?(consulter|appeler|voir)|ne vous inquiétez pas|sans gravité|inutile de consulter|aucun danger|` +
		`لا داعي (للقلق|للطبيب|لزيارة)|لا تقلق|ليس خطير|أمر بسيط|لا حاجة (للطبيب|إلى طبيب)`)
	verdict = regexp.MustCompile(`(?i)\byou (definitely |certainly |clearly )?have (a |an )?(migraine|cancer|diabetes|pneumonia|covid|infection|meningitis|tumou?r|depression|appendicitis)|your diagnosis is|i diagnose|vous (avez|souffrez) (certainement|sûrement|d'un cancer|d'une migraine)|votre diagnostic est|تشخيصك هو|أنت مصاب ب`)
	leak    = regexp.MustCompile("(?i)https?://|www\\.|<[a-z/!]|```|\\[[^\\]]+\\]\\(|system prompt|my instructions|mes instructions|patient_text|تعليماتي")
	// conditional sentences say what to do if something comes; they tell of nothing
	// that is there.
	conditional = regexp.MustCompile(`(?i)\b(if|unless|when|should you|in case|or if|watch for|look out|may|might|can|could|such as|for example|si|s'il|s'ils|en cas|lorsque|quand|surveillez|peut|peuvent|pourrait|par exemple)\b|إذا|اذا|في حال|عند |قد |مثل |لو `) //nolint:misspell // French
)

// Check holds a proposal against what may be said at a level, in a language.
func (p *Proposal) Check(language string, level Urgency) error {
	n := utf8.RuneCountInString(strings.TrimSpace(p.Response))
	switch {
	case n == 0 || n > MaxResponse || !utf8.ValidString(p.Response) || strings.ContainsRune(p.Response, 0) || len(p.Questions) > MaxQuestions:
		return ErrLength
	case p.Urgency != Low && p.Urgency.Rank() == 0:
		return fmt.Errorf("%w: %.20q", ErrLevel, p.Urgency)
	}
	for _, q := range p.Questions {
		if n := utf8.RuneCountInString(q); n == 0 || n > MaxQuestion || !utf8.ValidString(q) || strings.ContainsRune(q, 0) {
			return ErrLength
		}
	}
	return CheckText(strings.Join(append([]string{p.Response}, p.Questions...), "\n"), language, level)
}

// CheckText is Check of a piece of text, as it arrives.
func CheckText(text, language string, level Urgency) error {
	switch {
	case leak.MatchString(text):
		return ErrLeaks
	case dose.MatchString(text):
		return ErrPrescribes
	case verdict.MatchString(text):
		return ErrDiagnoses
	case level.Rank() >= Moderate.Rank() && reassurance.MatchString(text):
		return ErrReassures
	case utf8.RuneCountInString(text) >= 40 && search.Language(text) != language:
		return ErrLanguage
	}
	return nil
}

var sentences = regexp.MustCompile(`[^.!?؟\n]+[.!?؟\n]*`)

// Assertions are the sentences of an answer that say what is, without those that
// say what to do if something comes: those name emergencies that nobody has.
func Assertions(answer string) string {
	var out []string
	for _, s := range sentences.FindAllString(answer, -1) {
		if !conditional.MatchString(s) {
			out = append(out, strings.TrimSpace(s))
		}
	}
	return strings.Join(out, " ")
}

// Adopt puts a checked proposal into an answer of ours: the words are its, what
// they rest on, the flags and the disclaimer stay ours, and the urgency only rises.
func (e *Engine) Adopt(s *Session, a Answer, p *Proposal, engine string) Answer {
	a.Text, a.Engine = strings.TrimSpace(p.Response), engine
	a.Urgency = a.Urgency.AtLeast(p.Urgency)
	s.Urgency = s.Urgency.AtLeast(a.Urgency)
	if len(p.Questions) > 0 && len(a.Questions) == 0 {
		a.Questions = p.Questions
	}
	if n := len(s.Turns); n > 0 {
		s.Turns[n-1].Answer, s.Turns[n-1].Urgency = clip(a.Text, 2000), a.Urgency
	}
	return a
}

// Brief is what a model is told beside the conversation.
type Brief struct {
	Language string
	Level    Urgency
	Topics   []string // texts of the knowledge base
	History  []Turn
	Message  string
	// Draft is our own answer, which the model may word better.
	Draft     string
	Questions []string
}

// maxHistory is how many turns a model sees.
const maxHistory = 6

// BriefOf is what a model needs for an answer that the engine has just given.
func (e *Engine) BriefOf(s *Session, in Input, a Answer) Brief {
	b := Brief{Language: a.Language, Level: a.Urgency, Message: in.Message, Draft: a.Text, Questions: a.Questions}
	ids := a.Topics
	if len(ids) == 0 {
		for _, h := range e.base.Find(in.Message, 2) {
			ids = append(ids, h.ID)
		}
	}
	for _, id := range ids[:min(3, len(ids))] {
		if t := e.base.Topic(id); t != nil {
			x := t.In(a.Language)
			b.Topics = append(b.Topics, strings.Join([]string{x.Name + ".", x.What, x.Causes, x.Symptoms, x.SelfCare, x.SeekCare, x.RedFlags, "(" + t.Source + ")"}, " "))
		}
	}
	turns := s.Turns
	if len(turns) > 0 {
		turns = turns[:len(turns)-1] // without the one under way
	}
	b.History = turns[max(0, len(turns)-maxHistory):]
	return b
}

// Replaceable tells whether a model may word an answer: what is red, a crisis or a
// refusal is said in our own words only.
func (a *Answer) Replaceable() bool {
	return !a.Urgency.Red() && (a.Kind == KindSymptoms || a.Kind == KindTopic || a.Kind == KindUnknown)
}

// Raise makes an answer more urgent for what was found in it, and says so first.
// It never lowers.
func (e *Engine) Raise(s *Session, a Answer, level Urgency, flags []Flag, help Help) Answer {
	if level.Rank() <= a.Urgency.Rank() {
		return a
	}
	a.Urgency = level
	s.Urgency = s.Urgency.AtLeast(level)
	s.flag(flags)
	a.Flags = append([]Flag{}, s.Flags...)
	a.Text = e.rules.Text("level_"+string(level), a.Language, "number", help.Number) + "\n\n" + a.Text
	if n := len(s.Turns); n > 0 {
		s.Turns[n-1].Answer, s.Turns[n-1].Urgency = clip(a.Text, 2000), level
	}
	return a
}
