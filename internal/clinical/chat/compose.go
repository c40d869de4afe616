package chat

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/chatmed/chatmed/internal/clinical/chat/search"
)

// compose chooses what kind of answer a message gets, the most urgent first.
func (a *answering) compose() Answer {
	switch {
	case a.harms():
		a.crisis()
	case a.level.Red() && !a.onlyBefore():
		a.emergency()
	case a.symptoms():
		a.intake()
	case a.r.Has("injection"):
		a.talk(KindRefusal, "injection")
	case a.r.Has("prescribe"):
		a.refuse("prescribe")
	case a.r.Has("diagnose"):
		a.refuse("diagnose")
	case a.r.Has("insult"):
		a.talk(KindTalk, "insult")
	default:
		a.other()
	}
	if a.minor() {
		a.say("minor")
	}
	if a.s.Urgency.Red() && a.out.Kind != KindEmergency && a.out.Kind != KindCrisis {
		a.say("still_red", "number", a.in.Help.Number)
	}
	a.out.Text = strings.Join(a.parts, "\n\n")
	return a.out
}

// onlyBefore: what is red was told before, and this message adds nothing to it.
func (a *answering) onlyBefore() bool {
	return a.s.Urgency.Rank() >= a.level.Rank() && (a.r.General() || len(a.r.Present) == 0 && len(a.r.Complaints) == 0 && !a.r.Reply)
}

// symptoms: the person tells of what they have, or answers what was asked.
func (a *answering) symptoms() bool {
	switch {
	case a.r.Has("prescribe"), a.r.Has("diagnose") && len(a.r.Complaints) == 0, a.r.Has("injection"):
		return false
	case a.r.Reply:
		return true
	case a.r.General():
		return false
	case len(a.r.Complaints) > 0:
		return true
	}
	return len(a.r.Present) > 0 && (a.r.Has("personal") || a.s.Intake.Complaint() != "")
}

func (a *answering) other() {
	t := a.sure()
	switch {
	case t != nil:
		a.topic(t)
		if !a.r.Has("asking") && a.r.Words >= account && a.in.Screen.Urgency == Moderate {
			a.level = a.level.AtLeast(Moderate)
			a.say("level_moderate")
		}
	case a.r.Has("identity"):
		a.talk(KindTalk, "identity")
	case a.r.Has("thanks"):
		a.talk(KindTalk, "thanks")
	case a.r.Has("bye"):
		a.talk(KindTalk, "bye")
	case a.r.Has("greeting") && a.r.Words <= 6:
		a.talk(KindTalk, "greeting")
	case a.facetOfLast():
	case a.in.Screen.Urgency == Moderate && !a.r.General() && (a.r.Has("personal") || a.signs()):
		a.out.Kind = KindUnknown
		a.say("not_understood")
		a.level = a.level.AtLeast(Moderate)
		a.ask(1)
	default:
		a.out.Kind = KindUnknown
		a.say("unknown")
	}
}

// signs: the screen named something that is there.
func (a *answering) signs() bool {
	return slices.ContainsFunc(a.in.Screen.Concepts, func(c Concept) bool { return !c.Denied })
}

// account is from how many words a text without a question is taken for somebody's
// own story.
const account = 12

// facetOfLast answers "and the causes?" from the topic before.
func (a *answering) facetOfLast() bool {
	t := a.base.Topic(a.s.Topic)
	facet := search.FacetOf(a.r.Language, a.in.Message)
	if t == nil || facet == search.What || a.r.Words > 8 || len(a.hits) > 0 {
		return false
	}
	a.topic(t)
	return true
}

func (a *answering) talk(k Kind, text string) {
	a.out.Kind = k
	a.say(text)
}

// refuse says what it doesn't do, and what it can say instead.
func (a *answering) refuse(text string) {
	a.out.Kind = KindRefusal
	a.say(text)
	if t := a.sure(); t != nil {
		e := t.In(a.in.Language)
		a.parts = append(a.parts, e.Name+". "+e.What)
		a.say("seek", "what", e.SeekCare)
		a.cite(t)
	}
	if len(a.s.Intake.Complaints) > 0 {
		a.ask(2)
	}
}

// topic answers a general question: what it asks for first, then when to seek
// care.
func (a *answering) topic(t *Topic) {
	a.out.Kind = KindTopic
	e := t.In(a.in.Language)
	facet := search.FacetOf(a.r.Language, a.in.Message)
	if facet == search.What {
		a.parts = append(a.parts, e.Name+". "+e.What, e.Symptoms)
	} else {
		a.parts = append(a.parts, e.Name+". "+e.Part(facet))
	}
	if facet == search.SelfCare {
		a.say("medicine_safety")
	}
	if facet != search.SeekCare {
		a.say("seek", "what", e.SeekCare)
	}
	if facet != search.RedFlags {
		a.say("watch", "what", e.RedFlags)
	}
	a.cite(t)
	a.s.Topic = t.ID
	var see []string
	for _, id := range t.See {
		if o := a.base.Topic(id); o != nil {
			see = append(see, o.In(a.in.Language).Name)
		}
	}
	if len(see) > 0 {
		a.say("see_also", "what", a.list(see))
	}
}

// intake answers what somebody tells of their symptoms.
func (a *answering) intake() {
	a.out.Kind = KindSymptoms
	c := a.rules.ComplaintOf(a.s.Intake.Complaint())
	if what := a.heard(); what != "" {
		a.say("heard", "what", what)
	} else {
		a.say("noted")
	}
	if a.r.YesToAll {
		a.say("yes_all")
	}
	if c != nil && (len(a.r.Complaints) > 0 || a.s.Messages == 1 || len(a.s.Turns) == 0) {
		a.advice(c.Topics)
	} else {
		a.say("general")
	}
	if a.s.Intake.Child {
		a.say("child")
	}
	switch level := a.s.Urgency.AtLeast(a.level); {
	case level.Red(): // said by still_red
	case level == Moderate:
		a.say("level_moderate")
	default:
		a.say("level_low")
	}
	a.reasons()
	a.ask(3)
}

// advice is read out of the topics of a complaint.
func (a *answering) advice(ids []string) {
	var names []string
	var first *Topic
	for _, id := range ids {
		t := a.base.Topic(id)
		if t == nil {
			continue
		}
		if first == nil {
			first = t
		}
		names = append(names, t.In(a.in.Language).Name)
		a.cite(t)
	}
	if first == nil {
		a.say("general")
		return
	}
	a.say("may_be", "what", a.list(names))
	e := first.In(a.in.Language)
	a.say("what_helps", "what", e.SelfCare)
	if a.s.Intake.Pregnant != nil && *a.s.Intake.Pregnant || len(a.s.Intake.Allergies) > 0 || len(a.s.Intake.Medicines) > 0 {
		a.say("medicine_safety")
	}
	a.say("seek", "what", e.SeekCare)
	a.say("watch", "what", e.RedFlags)
	a.s.Topic = first.ID
}

// reasons cites the rules that the urgency rests on.
func (a *answering) reasons() {
	for i, w := range a.why {
		if i == 3 || w.Level == Low && i > 0 {
			break
		}
		title := w.ID
		if q := a.rules.QuestionOf(w.ID); q != nil {
			title = q.Name.In(a.in.Language)
		} else if c := a.rules.ComplaintOf(strings.TrimSuffix(w.ID, ":long")); c != nil {
			title = c.Name.In(a.in.Language)
		}
		a.out.Sources = append(a.out.Sources, Source{ID: "rule:" + w.ID, Title: title, Reference: w.Source})
	}
}

// heard is what was understood: the complaints, how long, and what is with them.
func (a *answering) heard() string {
	var out []string
	for _, id := range slices.Backward(a.s.Intake.Complaints) {
		if c := a.rules.ComplaintOf(id); c != nil && (slices.Contains(a.r.Complaints, id) || id == a.s.Intake.Complaint()) {
			out = append(out, c.Name.In(a.in.Language))
		}
	}
	if len(out) > 0 {
		if d, ok := a.s.Intake.Days(a.in.Now); ok && d >= 1 {
			out[0] += " " + a.rules.Text("for_days", a.in.Language, "n", strconv.Itoa(int(math.Round(d))))
		}
	}
	for _, id := range a.r.Present {
		if q := a.rules.QuestionOf(id); q != nil && !slices.Contains(out, q.Name.In(a.in.Language)) {
			out = append(out, q.Name.In(a.in.Language))
		}
	}
	return a.list(slices.Compact(out))
}

func (a *answering) list(items []string) string {
	if a.in.Language == "ar" {
		return strings.Join(items, "، ")
	}
	return strings.Join(items, ", ")
}

// emergency answers what is red: the number first.
func (a *answering) emergency() {
	a.out.Kind = KindEmergency
	level := a.s.Urgency.AtLeast(a.level)
	a.say("level_"+string(level), "number", a.in.Help.Number)
	if len(a.in.Screen.Actions) > 0 {
		a.say("actions", "what", strings.Join(a.in.Screen.Actions, " "))
	}
	if what := a.heard(); what != "" {
		a.say("heard", "what", what)
	}
	if c := a.rules.ComplaintOf(a.s.Intake.Complaint()); c != nil {
		for _, id := range c.Topics[:1] {
			a.cite(a.base.Topic(id))
		}
	}
	for _, f := range a.in.Screen.Flags {
		if len(a.out.Sources) < 5 && f.Level.Red() {
			a.out.Sources = append(a.out.Sources, Source{ID: "rule:" + f.Rule, Title: f.Condition, Reference: f.Guideline})
		}
	}
	a.reasons()
	if t := a.sure(); t != nil && !a.r.Has("personal") {
		// It may have been a question only: it is answered too.
		e := t.In(a.in.Language)
		a.parts = append(a.parts, e.Name+". "+e.Part(search.FacetOf(a.r.Language, a.in.Message)))
		a.cite(t)
	}
	if level == High {
		a.ask(1)
	}
}

// crisis answers thoughts of self-harm.
func (a *answering) crisis() {
	a.out.Kind, a.out.Crisis = KindCrisis, true
	line := ""
	if a.in.Help.CrisisCall != "" {
		line = a.rules.Text("crisis_line", a.in.Language, "name", a.in.Help.CrisisName, "phone", a.in.Help.CrisisCall)
	}
	a.say("crisis", "line", line, "number", a.in.Help.Number)
	a.out.Sources = append(a.out.Sources, Source{ID: "rule:harm_self", Title: a.rules.QuestionOf("harm_self").Name.In(a.in.Language), Reference: a.rules.QuestionOf("harm_self").Source})
}

// adult is from when nobody is told to speak to an adult.
const adult = 16

func (a *answering) minor() bool {
	in := &a.s.Intake
	return !in.Child && (a.r.Has("minor") || in.AgeYears != nil && *in.AgeYears < adult && *in.AgeYears >= 6 && len(a.s.Turns) < 2)
}
