package emergency

import (
	"github.com/chatmed/chatmed/internal/clinical/emergency/learned"
	"github.com/chatmed/chatmed/internal/clinical/emergency/text"
)

// secondRule is what the second reading is called in the answer.
const secondRule = "second_reading"

// secondBasis is where it comes from, as a rule names its guideline.
const secondBasis = "Learned from phrases labelled by guideline; see docs/clinical/emergency.md"

// rereading is the memory of one second reading.
type rereading struct {
	tokens  []text.Token
	scratch learned.Scratch
}

// reread has the learned model read what the rules have answered. It can only
// raise the urgency. parts are the windows of the text.
func (e *Engine) reread(in Input, parts []Span, r Result) Result {
	if r.Urgency == Critical {
		return r
	}
	s := e.rereadings.Get().(*rereading)
	defer e.rereadings.Put(s)
	level, flag := r.Urgency, RedFlag{Rule: secondRule, Guideline: secondBasis}
	for _, p := range parts {
		s.tokens = text.Tokens(in.Text[p.Start:p.End], s.tokens[:0])
		o := e.second.Read(s.tokens, &s.scratch)
		found := Moderate
		switch {
		case o.Critical:
			found = Critical
		case o.Urgent:
			found = High
		}
		if level.AtLeast(found) {
			continue
		}
		level, flag.Level, flag.Words, flag.Spans = found, found, nil, nil
		for _, i := range o.Words {
			t := s.tokens[i]
			flag.Words = append(flag.Words, in.Text[p.Start+t.Start:p.Start+t.End])
			flag.Spans = append(flag.Spans, Span{p.Start + t.Start, p.Start + t.End})
		}
	}
	if level == r.Urgency {
		return r
	}
	return e.raised(r, level, flag)
}

// raised is an answer of the rules with the level of the second reading.
func (e *Engine) raised(r Result, level Urgency, flag RedFlag) Result {
	say := func(name string) string { return e.set.messages[name].in(r.Language) }
	if !r.Urgency.AtLeast(High) { // what the rules said of a harmless text does not hold
		r.Condition, r.Name, r.Actions, r.Warnings = "", say("possible_emergency"), nil, nil
	}
	r.Urgency, r.Engine = level, "rules+second"
	r.RedFlags = append(r.RedFlags, flag)
	r.Warnings = append(r.Warnings, say("warn_second"))
	r.Confidence = e.set.calibration.Other[secondRule+"_"+string(level)]
	r.Actions = append([]string{say("do_" + string(level))}, r.Actions...)
	if len(r.Questions) == 0 {
		r.Questions = append(r.Questions, say("ask_worse"))
	}
	return r
}
