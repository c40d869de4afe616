package emergency

import (
	"slices"
)

// neededMessages are the entries of messages.yaml that the engine asks for.
var neededMessages = []string{
	"disclaimer", "ask_problem", "ask_since", "ask_severity", "ask_age", "ask_who", "ask_worse",
	"warn_short", "warn_unclear", "warn_cut", "warn_none", "not_determined", "information",
	"do_critical", "do_high", "do_moderate", "do_low", "do_information", "warn_second", "warn_doubt",
	"group_abdomen_vascular", "group_breathing", "group_cardiac", "group_child", "group_eye", "group_infection_metabolic",
	"group_mental", "group_neuro", "group_obstetric", "group_other", "group_poisoning", "group_trauma",
}

// answer words a finding.
func (e *Engine) answer(in Input, f finding, whole bool) Result {
	lang := in.Language
	if !slices.Contains(languages, lang) {
		lang = f.language
	}
	say := func(name string) string { return e.set.messages[name].in(lang) }
	r := Result{
		Language: lang, RuleVersion: e.set.version, Engine: "rules", Disclaimer: say("disclaimer"),
		Actions: []string{}, RedFlags: []RedFlag{}, Questions: []string{}, Warnings: []string{},
	}
	slices.SortStableFunc(f.hits, compareHits)
	if !whole {
		r.Warnings = append(r.Warnings, say("warn_cut"))
	}
	if len(f.hits) == 0 {
		e.withoutFlags(&r, f, in, say)
		return r
	}
	top := f.hits[0]
	r.Urgency = top.rule.Level
	r.Condition = top.rule.condition.ID
	r.Name = top.rule.condition.Names.in(lang)
	for _, h := range f.hits {
		flag := RedFlag{Rule: h.rule.ID, Condition: h.rule.condition.ID, Level: h.rule.Level, Guideline: h.rule.Guideline, Spans: h.spans}
		for _, s := range h.spans {
			flag.Words = append(flag.Words, in.Text[s.Start:s.End])
		}
		r.RedFlags = append(r.RedFlags, flag)
		if h.rule.Level.AtLeast(High) {
			r.CrisisLine = r.CrisisLine || h.rule.condition.Crisis
			r.Poison = r.Poison || h.rule.condition.Poison
		}
	}
	r.Score = score(f.hits)
	r.Confidence = e.set.calibration.urgent(r.Score)
	if r.Urgency == Moderate {
		r.Confidence = e.set.calibration.Other["recognised"]
	}
	for _, a := range actionsOf(f.hits, r.Urgency) {
		r.Actions = append(r.Actions, e.set.actions[a].in(lang))
	}
	if r.Urgency == High || r.Urgency == Moderate {
		r.Questions = append(r.Questions, say("ask_worse"))
	}
	if len(r.Actions) == 0 {
		r.Actions = append(r.Actions, say("do_"+string(r.Urgency)))
	}
	return r
}

// actionsOf takes the actions of the first condition, and those of others that
// are as urgent while there are few.
func actionsOf(hits []hit, level Urgency) []string {
	var out []string
	for _, h := range hits {
		if h.rule.Level != level {
			continue
		}
		if len(out) >= 4 && h.rule.condition != hits[0].rule.condition {
			break
		}
		if h.rule.condition != hits[0].rule.condition && h.rule.Strength < 3 {
			continue
		}
		for _, a := range h.rule.condition.Actions {
			if !slices.Contains(out, a) && len(out) < 6 {
				out = append(out, a)
			}
		}
	}
	return out
}

// compareHits puts the most urgent first, then the surest, then the one with
// more signs.
func compareHits(a, b hit) int {
	if d := b.rule.Level.rank() - a.rule.Level.rank(); d != 0 {
		return d
	}
	if d := b.rule.Strength - a.rule.Strength; d != 0 {
		return d
	}
	return b.signs - a.signs
}

// withoutFlags answers a text in which no rule holds. It reassures only when
// every sentence was understood and what was recognised is mild.
func (e *Engine) withoutFlags(r *Result, f finding, in Input, say func(string) string) {
	other := e.set.calibration.Other
	r.Name = say("not_determined")
	r.Urgency = Moderate
	switch {
	case f.empty:
		r.Warnings = append(r.Warnings, say("warn_short"))
		r.Confidence = other["empty"]
	case f.signs == 0 && !f.unclear && f.past == 0 && f.mild == 0 && f.asked > 0:
		r.Urgency, r.Name, r.Confidence = Low, say("information"), other["information"]
		r.Actions = append(r.Actions, say("do_information"))
		return
	case f.signs == 0 && !f.unclear && f.past == 0 && f.mild > 0:
		r.Urgency, r.Confidence = Low, other["mild"]
		r.Actions = append(r.Actions, say("do_low"))
		return
	case f.signs == 0 && f.mild == 0:
		r.Warnings = append(r.Warnings, say("warn_unclear"))
		r.Confidence = other["unclear"]
	default:
		r.Warnings = append(r.Warnings, say("warn_none"))
		r.Confidence = other["recognised"]
	}
	r.Actions = append(r.Actions, say("do_moderate"))
	if f.signs == 0 {
		r.Questions = append(r.Questions, say("ask_problem"))
	}
	r.Questions = append(r.Questions, say("ask_since"), say("ask_severity"))
	if in.Profile.AgeYears == nil {
		r.Questions = append(r.Questions, say("ask_age"))
	}
	r.Questions = append(r.Questions, say("ask_who"))
}

// score is what calibration.yaml is keyed by: how sure the best rule is, and
// how many signs and other rules speak for it.
func score(hits []hit) int {
	top := hits[0]
	n := top.rule.Strength * 2
	n += min(top.signs, 3)
	for _, h := range hits[1:] {
		if h.rule.Level.AtLeast(High) && h.rule.condition != top.rule.condition {
			n++
			break
		}
	}
	if len(hits) > 1 && hits[1].rule.condition == top.rule.condition {
		n++
	}
	return n
}

func (c calibration) urgent(s int) float64 {
	p := 0.5
	for _, b := range c.Urgent {
		if s >= b.Score {
			p = b.Probability
		}
	}
	return p
}

// language is the text's own: of its letters, then of its small words.
func (s *screening) language() string {
	var arabic, french, english int
	for i := range s.m.tokens {
		t := &s.m.tokens[i]
		switch {
		case t.Arabic:
			arabic++
		case frenchWords[t.Form]:
			french++
		case englishWords[t.Form]:
			english++
		default:
			if a, ok := s.engine.set.lex.aliases[t.Form]; ok && a[0][0] >= 0xd8 {
				arabic++
			}
		}
	}
	switch {
	case arabic > 0 && arabic >= french && arabic >= english:
		return "ar"
	case french > english:
		return "fr"
	}
	return "en"
}

func wordSet(list ...string) map[string]bool {
	m := make(map[string]bool, len(list))
	for _, w := range list {
		m[w] = true
	}
	return m
}

var frenchWords = wordSet("je", "jai", "ai", "mon", "ma", "mes", "le", "la", "les", "un", "une", "des", "du", "de", "et", "est", "pas", "mal",
	"il", "elle", "qui", "que", "dans", "depuis", "avec", "au", "aux", "fievre", "douleur", "enceinte", "bebe", "fils", "fille", "mari", "femme",
	"tres", "plus", "ne", "ca", "cest", "sang", "tete", "ventre", "coeur", "enfant", "bonjour", "suis", "sur", "pour", "se", "sa", "son", "en", "y",
	"nous", "vous", "quand", "comme", "trop", "peux", "arrive", "poitrine", "pere", "mere", "jour", "jours", "ans", "mois")

var englishWords = wordSet("i", "im", "ive", "my", "the", "a", "and", "is", "has", "have", "not", "of", "in", "with", "since", "for", "he", "she",
	"his", "her", "its", "it", "was", "to", "that", "this", "pain", "can", "cant", "wont", "feel", "feels", "when", "what", "baby", "from", "been",
	"are", "you", "they", "very", "after", "chest", "head", "blood", "hes", "shes", "me", "just", "mum", "mom", "dad", "old", "help", "but", "on", "at")
