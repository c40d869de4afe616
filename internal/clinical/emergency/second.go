package emergency

import (
	"hash/fnv"
	"io/fs"
	"slices"

	"github.com/chatmed/chatmed/internal/clinical/emergency/learned"
)

// secondRule is what the second reading is called in the answer.
const secondRule = "second_reading"

// secondBasis is where it comes from, as a rule names its guideline.
const secondBasis = "Learned from texts labelled by guideline; see docs/clinical/emergency.md"

var statusNames = [...]string{present: "", negated: "negated", past: "past", others: "others", asked: "asked", idiom: "idiom"}

// conceptFeatures are what the model calls each concept, by what is said of it.
func conceptFeatures(s *set) [][len(statusNames)]uint32 {
	out := make([][len(statusNames)]uint32, len(s.kinds))
	for id, k := range s.kinds {
		if k == kindWord {
			continue
		}
		for st, name := range statusNames {
			out[id][st] = learned.ConceptFeature(s.lex.names[id], name)
		}
	}
	return out
}

// denialReach is how many words a negation is taken to reach for the model.
const denialReach = 6

// reading is what the model reads of the window that was screened last. It is
// valid until the next.
func (s *screening) reading() *learned.Text {
	m, t := &s.m, &s.text
	t.Tokens, t.Denied, t.Concepts = m.tokens, t.Denied[:0], t.Concepts[:0]
	reach := 0
	for i := range m.tokens {
		if m.tokens[i].Break || m.flags[i]&cueBut != 0 {
			reach = 0
		}
		t.Denied = append(t.Denied, reach > 0)
		if reach > 0 {
			reach--
		}
		if m.flags[i]&cueNegation != 0 {
			reach = denialReach
		}
	}
	for _, id := range m.touched {
		if s.engine.set.kinds[id] == kindWord {
			continue
		}
		for _, at := range m.at[id] {
			t.Concepts = append(t.Concepts, learned.Concept{Token: int(at.from), Feature: s.engine.features[id][m.judge(at)]})
		}
	}
	t.Signs = s.spoken()
	return t
}

// spoken counts the tokens of sentences in which a sign is spoken of.
func (s *screening) spoken() int {
	m := &s.m
	said := make([]bool, len(m.tokens))
	for _, id := range m.touched {
		if k := s.engine.set.kinds[id]; k == kindSign || k == kindMild {
			for _, at := range m.at[id] {
				said[at.from] = true
			}
		}
	}
	total, n, any := 0, 0, false
	for i := range m.tokens {
		if m.tokens[i].Break {
			n, any = 0, false
		}
		if n++; said[i] && !any {
			any, total = true, total+n
		} else if any {
			total++
		}
	}
	return total
}

// opinion is the second reading of a whole text.
type opinion struct {
	learned.Opinion
	spans []Span // of the words that weighed most
}

// reread reads the window that was screened last a second time. What is more
// urgent than o takes its place.
func (s *screening) reread(o opinion, offset int) opinion {
	t := s.reading()
	next := opinion{Opinion: s.engine.second.Read(t, &s.scratch)}
	next.Signs += o.Signs
	if offset > 0 {
		next.Critical = max(next.Critical, o.Critical)
	}
	if offset > 0 && next.Score <= o.Score {
		o.Critical, o.Signs = next.Critical, next.Signs
		return o
	}
	for _, i := range next.Words {
		next.spans = append(next.spans, Span{offset + t.Tokens[i].Start, offset + t.Tokens[i].End})
	}
	return next
}

// Found is what the rules find before anything is weighed against it: for the
// trainer.
func (e *Engine) Found(in Input) Result {
	s := e.pool.Get().(*screening)
	defer e.pool.Put(s)
	s.profile(in.Profile)
	return e.answer(in, s.screen(in.Text, 0), true)
}

// Reading is what the model reads of a text: for the trainer.
func (e *Engine) Reading(in Input) *learned.Text {
	s := &screening{engine: e}
	s.profile(in.Profile)
	s.screen(in.Text, 0)
	return s.reading()
}

// Source is the fingerprint of the vocabulary, which the model must have been
// learned with.
func (e *Engine) Source() uint64 { return e.source }

// sourceOf is FNV-1a over the files whose concepts the model reads.
func sourceOf(files fs.FS) (uint64, error) {
	h := fnv.New64a()
	for _, pattern := range []string{"words/*.yaml", "concepts/*.yaml", "dialects/*.yaml", "measures.yaml", "spelling.yaml", "common.txt"} {
		names, err := fs.Glob(files, pattern)
		if err != nil {
			return 0, err
		}
		for _, name := range names {
			b, err := fs.ReadFile(files, name)
			if err != nil {
				return 0, err
			}
			_, _ = h.Write(b)
		}
	}
	return h.Sum64(), nil
}

// weigh puts the rules' answer and the second reading together into one
// probability. The second reading raises what no rule found. What rules found
// stands, unless all of them leave doubt and the text reads like no emergency:
// then it is moderate, and the answer says why. The probability never falls by
// what is added to a text, but by how much is said of signs.
func (e *Engine) weigh(in Input, f finding, r Result, o opinion) Result {
	found, score := r.Urgency.AtLeast(High), 0
	if found {
		score = r.Score
	}
	p, limits := e.second.Probability(o.Opinion, score, found), e.second.Limits()
	level := High
	if e.second.CriticalProbability(o.Opinion, score, r.Urgency == Critical) >= limits.Critical {
		level = Critical
	}
	switch {
	case p >= limits.Raise && !r.Urgency.AtLeast(level):
		r = e.raised(in, r, o, level)
	case found && p < limits.Keep && !slices.ContainsFunc(f.hits, certain):
		r = e.doubted(r)
	}
	if r.Confidence = p; !r.Urgency.AtLeast(High) {
		r.Confidence = 1 - p
	}
	return r
}

func certain(h hit) bool { return h.rule.Level.AtLeast(High) && h.rule.Always }

// raised is an answer that the second reading made more urgent.
func (e *Engine) raised(in Input, r Result, o opinion, level Urgency) Result {
	say := func(name string) string { return e.set.messages[name].in(r.Language) }
	flag := RedFlag{Rule: secondRule, Level: level, Guideline: secondBasis, Spans: tidy(o.spans)}
	for _, s := range flag.Spans {
		flag.Words = append(flag.Words, in.Text[s.Start:s.End])
	}
	if !r.Urgency.AtLeast(High) {
		r.Condition, r.Name = "", say("group_"+o.Group)
	}
	r.Urgency, r.Engine = level, "rules+second"
	r.CrisisLine = r.CrisisLine || o.Group == "mental"
	r.Poison = r.Poison || o.Group == "poisoning"
	r.RedFlags = append([]RedFlag{flag}, r.RedFlags...)
	r.Warnings = append(r.Warnings, say("warn_second"))
	r.Actions = append([]string{say("do_" + string(level))}, r.Actions...)
	if !slices.Contains(r.Questions, say("ask_worse")) {
		r.Questions = append(r.Questions, say("ask_worse"))
	}
	return r
}

// doubted is an answer of weak rules that nothing else in the text speaks for.
func (e *Engine) doubted(r Result) Result {
	say := func(name string) string { return e.set.messages[name].in(r.Language) }
	r.Urgency, r.Engine = Moderate, "rules+second"
	r.Condition, r.Name, r.CrisisLine, r.Poison = "", say("not_determined"), false, false
	r.Warnings = append(r.Warnings, say("warn_doubt"))
	r.Actions = []string{say("do_moderate")}
	if !slices.Contains(r.Questions, say("ask_worse")) {
		r.Questions = append(r.Questions, say("ask_worse"))
	}
	r.Questions = append(r.Questions, say("ask_since"))
	return r
}
