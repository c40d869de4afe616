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

// reread keeps the rules from reassuring where the learned model reads an
// emergency: low becomes moderate, with a warning and the questions that would
// tell. It raises nothing further: it was learned from short texts that are
// mostly urgent, and finds urgent what a narrative tells of an ordinary illness
// (docs/clinical/emergency.md has the figures). parts are the windows of the text.
func (e *Engine) reread(in Input, parts []Span, r Result) Result {
	if r.Urgency != Low {
		return r
	}
	s := e.rereadings.Get().(*rereading)
	defer e.rereadings.Put(s)
	for _, p := range parts {
		s.tokens = text.Tokens(in.Text[p.Start:p.End], s.tokens[:0])
		if o := e.second.Read(s.tokens, &s.scratch); o.Urgent {
			return e.doubted(r, e.flagOf(in.Text, p.Start, s.tokens, o))
		}
	}
	return r
}

// flagOf names the words that weighed most.
func (e *Engine) flagOf(src string, start int, tokens []text.Token, o learned.Opinion) RedFlag {
	flag := RedFlag{Rule: secondRule, Level: Moderate, Guideline: secondBasis}
	for _, i := range o.Words {
		at := Span{start + tokens[i].Start, start + tokens[i].End}
		flag.Words, flag.Spans = append(flag.Words, src[at.Start:at.End]), append(flag.Spans, at)
	}
	return flag
}

// doubted is a reassuring answer that does not reassure any more.
func (e *Engine) doubted(r Result, flag RedFlag) Result {
	say := func(name string) string { return e.set.messages[name].in(r.Language) }
	r.Urgency, r.Engine, r.Name = Moderate, "rules+second", say("not_determined")
	r.Confidence = e.set.calibration.Other["unclear"]
	r.RedFlags = append(r.RedFlags, flag)
	r.Warnings = append(r.Warnings, say("warn_second"))
	r.Actions = []string{say("do_moderate")}
	r.Questions = append(r.Questions, say("ask_worse"), say("ask_since"))
	return r
}
