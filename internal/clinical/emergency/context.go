package emergency

// cue marks what a token says about the signs near it.
type cue uint32

const (
	cueNegation     cue = 1 << iota
	cueFill             // words that a negation or a cue reaches across
	cueOr               // or, nor: a negation reaches the whole list
	cueBut              // ends every reach
	cueNow              // makes what is near it present
	cueHistory          // "history of", before a sign
	cueAgo              // "two years ago", after a sign or before
	cueOther            // "my father died of"
	cueAsk              // "what are the symptoms of"
	cueAskAfter         // "is it dangerous"
	cueFiction          // in a film, in a dream
	cuePersonal         // I have, my chest: what follows is somebody's, now
	cueIdiom            // said of no illness
	cuePseudo           // "not only": no negation
	cueCovered          // part of a sign
	cueNegatedAfter     // "negative", "absent"
	cueQuestion         // opens a question in general
	cueSomebody         // somebody is meant, or help is asked for
	cueFineAfter        // "fine", "as usual": what it is said of is no complaint
	cueNone             // no, without: what follows is a list of things that are not there
)

// cueClasses are the classes of words/context.yaml, which the engine needs.
var cueClasses = []struct {
	name string
	flag cue
}{
	{"not_a_negation", cuePseudo},
	{"negation", cueNegation},
	{"filler", cueFill},
	{"or_list", cueOr},
	{"but", cueBut},
	{"now", cueNow},
	{"history_before", cueHistory},
	{"long_ago", cueAgo},
	{"other_person_past", cueOther},
	{"asks_before", cueAsk},
	{"asks_after", cueAskAfter},
	{"fiction", cueFiction},
	{"personal", cuePersonal},
	{"idiom", cueIdiom},
	{"negation_after", cueNegatedAfter},
	{"question", cueQuestion},
	{"somebody", cueSomebody},
	{"fine_after", cueFineAfter},
	{"none_of", cueNone},
}

// status says why a sign doesn't count, or that it does.
type status uint8

const (
	present status = iota
	negated
	past
	others
	asked
	idiom
)

// mark sets the flags of the cues that were found.
func (m *matcher) mark(ids []classID) {
	for i, c := range cueClasses {
		for _, s := range m.at[ids[i]] {
			for t := s.from; t < s.to; t++ {
				if c.flag == cueNegation && t > s.from { // no sign of: the first word denies
					m.flags[t] |= cueFill
					continue
				}
				m.flags[t] |= c.flag
			}
		}
	}
	for t := range m.flags {
		if m.flags[t]&cuePseudo != 0 {
			m.flags[t] &^= cueNegation | cueNone
		}
	}
}

// cover marks the tokens of signs, which lists step across.
func (m *matcher) cover(id classID) {
	for _, s := range m.at[id] {
		if s.to-s.from > 7 {
			continue
		}
		for t := s.from; t < s.to; t++ {
			m.flags[t] |= cueCovered
		}
	}
}

// judge says whether a sign counts. Every doubt is decided for counting: a cue
// reaches across words of known kinds only, never across the end of a sentence,
// and to the next sign only unless a list with "or" goes on.
func (m *matcher) judge(s span) status {
	if s.negated || m.headed(s) || m.framed(s) {
		return negated
	}
	if m.idiomatic(s) {
		return idiom
	}
	if st := m.before(s); st != present {
		return st
	}
	if st := m.after(s); st != present {
		return st
	}
	if m.fictional(s) || m.generalQuestion(s) {
		return asked
	}
	return present
}

func (m *matcher) idiomatic(s span) bool {
	for t := s.from; t < s.to; t++ {
		if m.flags[t]&cueIdiom != 0 {
			return true
		}
	}
	return false
}

// before walks back from a sign to a cue in front of it.
func (m *matcher) before(s span) status {
	unknown, commas, crossed, personal := 0, 0, false, false
	or := m.listGoesOn(s)
	for t := s.from - 1; t >= 0 && s.from-t <= 12; t-- {
		f := m.flags[t]
		switch {
		case m.tokens[t+1].Break || f&(cueBut|cueNow) != 0:
			return present
		case f&cueNegation != 0:
			if unknown == 0 && (!crossed || or) {
				return negated
			}
			if f&cueNone != 0 && !personal && (unknown <= 1 && !crossed && commas == 0 || unknown == 0 && commas > 0 && m.listed(s, commas)) {
				return negated
			}
			return present
		case f&cueAsk != 0 && !personal && unknown <= 2 && (!crossed || or):
			return asked
		case f&cueHistory != 0 && unknown <= 1 && (!crossed || or):
			return past
		case f&cueOther != 0 && unknown <= 3 && !crossed:
			return others
		case f&cueAgo != 0 && unknown <= 2 && !crossed && !m.recent(s):
			return past
		case f&cueOr != 0:
			or = true
		case f&cueCovered != 0 && f&cueFill == 0:
			crossed = true
		case f&cueFill != 0:
		default:
			unknown++
		}
		if f&cuePersonal != 0 {
			personal = true
		}
		if m.tokens[t].Soft {
			commas++
		}
	}
	return present
}

// listed: a sign that a negation reaches across commas is one of three things
// at least: "no fever, cough, weight loss". In a list of two, "no fever, chest
// pain", the second may well be there.
func (m *matcher) listed(s span, commas int) bool {
	if int(s.to) < len(m.tokens) && !m.tokens[s.to].Soft {
		return false
	}
	for t := int(s.to); commas < 2 && t < len(m.tokens) && t < int(s.to)+6 && !m.tokens[t].Break; t++ {
		switch f := m.flags[t]; {
		case t > int(s.to) && m.tokens[t].Soft:
			commas++
		case f&(cueBut|cueNow|cuePersonal|cueNegation) != 0 || f&(cueCovered|cueFill) == 0:
			return false
		case t == len(m.tokens)-1 || m.tokens[t+1].Break:
			commas++
		}
	}
	return commas >= 2
}

// framed: a verb between ne and pas.
func (m *matcher) framed(s span) bool {
	t := int(s.to)
	if s.from == 0 || t >= len(m.tokens) || m.tokens[s.from-1].Form != "ne" || m.tokens[t].Soft {
		return false
	}
	return m.tokens[t].Form == "pas" || m.tokens[t].Form == "jamais"
}

// headed: the sign stands in a list that a denial heads: "Not: rash, joint pain".
func (m *matcher) headed(s span) bool {
	for t := int(s.from); t > 0 && int(s.from)-t < 40; t-- {
		switch {
		case m.tokens[t].Colon:
			for k := t - 1; k >= 0 && t-k <= 3; k-- {
				if m.flags[k]&(cueNegation|cueNone) != 0 {
					return true
				}
				if m.flags[k]&cueFill == 0 || m.tokens[k].Break {
					break
				}
			}
			return false
		case m.tokens[t].Break || m.flags[t]&(cueBut|cueNow|cuePersonal) != 0:
			return false
		}
	}
	return false
}

// listGoesOn: after the sign comes a list that ends in or, as in "no fever,
// rash or headache".
func (m *matcher) listGoesOn(s span) bool {
	for t := int(s.to); t < len(m.tokens) && t < int(s.to)+10; t++ {
		f := m.flags[t]
		switch {
		case m.tokens[t].Break || f&(cueBut|cueNow|cueNegation|cuePersonal) != 0:
			return false
		case f&cueOr != 0:
			return true
		case f&(cueCovered|cueFill) == 0:
			return false
		}
	}
	return false
}

// after walks on from a sign to a cue behind it.
func (m *matcher) after(s span) status {
	unknown := 0
	for t := int(s.to); t < len(m.tokens) && t < int(s.to)+8; t++ {
		f := m.flags[t]
		switch {
		case m.tokens[t].Break || f&(cueBut|cueNow) != 0:
			return present
		case (f&cueNegatedAfter != 0 || f&cueFineAfter != 0 && t-int(s.to) <= 3) && unknown == 0 && !m.tokens[t].Soft:
			return negated
		case unknown == 0 && t+1 < len(m.tokens) && m.atAge(t):
			return past
		case f&cueAskAfter != 0 && unknown <= 1:
			return asked
		case f&cueAgo != 0 && unknown <= 3 && !m.recent(s):
			return past
		case f&cueCovered != 0:
			return present
		case f&cueFill == 0:
			unknown++
		}
	}
	return present
}

// atAge: "at 61", how old somebody was when it happened.
func (m *matcher) atAge(t int) bool {
	n := &m.tokens[t+1]
	if !n.Numeric || n.Break || n.Number < 18 || n.Number > 99 || t+2 < len(m.tokens) && !m.tokens[t+2].Soft && m.tokens[t+2].Form != "so" && m.tokens[t+2].Form != "and" {
		return false
	}
	return m.tokens[t].Form == "at" || m.tokens[t].Form == "aged"
}

// recent: the sentence says that it is now, too.
func (m *matcher) recent(s span) bool {
	for t := int(s.to); t < len(m.tokens) && t < int(s.to)+15 && !m.tokens[t].Break; t++ {
		if m.flags[t]&cueNow != 0 {
			return true
		}
	}
	for t := s.from - 1; t >= 0 && s.from-t < 15; t-- {
		if m.flags[t]&cueNow != 0 {
			return true
		}
		if m.tokens[t].Break {
			break
		}
	}
	return false
}

// longestQuestion is how many words a question in general has at most.
const longestQuestion = 16

// generalQuestion: its sentence opens like a question and speaks of nobody: "are
// floaters normal?". Who asks what to do, or says that it is now, is not asking
// in general.
func (m *matcher) generalQuestion(s span) bool {
	from := s.from
	for from > 0 && !m.tokens[from].Break {
		from--
	}
	if m.flags[from]&cueQuestion == 0 {
		return false
	}
	for t := from; t < int32(len(m.tokens)); t++ { //nolint:gosec // bounded text
		if t > from && m.tokens[t].Break {
			break
		}
		if t-from > longestQuestion || m.flags[t]&(cuePersonal|cueSomebody|cueNow) != 0 {
			return false
		}
	}
	return true
}

// fictional: its sentence speaks of a film, a book, a dream.
func (m *matcher) fictional(s span) bool {
	for t := int(s.to); t < len(m.tokens) && t < int(s.to)+14 && !m.tokens[t].Break; t++ {
		if m.flags[t]&cueFiction != 0 {
			return true
		}
		if m.flags[t]&(cueBut|cueNow) != 0 {
			break
		}
	}
	for t := s.from - 1; t >= 0 && s.from-t < 14 && !m.tokens[t+1].Break; t-- {
		if m.flags[t]&cueFiction != 0 {
			return true
		}
		if m.flags[t]&(cueBut|cueNow) != 0 {
			break
		}
	}
	return false
}
