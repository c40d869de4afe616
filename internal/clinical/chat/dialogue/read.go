package dialogue

import (
	"slices"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/clinical/chat/search"
)

// The questions that are not about a sign.
const (
	AskProblem   = "ask_problem"
	AskSince     = "ask_since"
	AskSeverity  = "ask_severity"
	AskAge       = "ask_age"
	AskPregnant  = "ask_pregnant"
	AskMedicines = "ask_medicines"
	AskAllergies = "ask_allergies"
)

// Reading is what one message said.
type Reading struct {
	Language string
	Intents  map[string]bool
	// Complaints, Present and Denied are what this message said, by id.
	Complaints, Present, Denied []string
	// Answered are facts to which it says yes, in answer to our questions.
	Answered []string
	// Reply: it answers what was asked, or adds to what was told.
	Reply bool
	// Bare: it is a yes or a no and nothing else.
	Bare bool
	// YesToAll: one yes to several questions.
	YesToAll bool
	Words    int
}

// Has tells whether something was said.
func (r *Reading) Has(intent string) bool { return r.Intents[intent] }

// Read takes in a message: in is changed to what is known after it. concepts are
// what the emergency screen found in it.
func (r *Rules) Read(in *Intake, message string, concepts []Concept, now time.Time) Reading {
	language := search.Language(message)
	out := Reading{Language: language, Intents: map[string]bool{}}
	ts := tokens(language, message)
	out.Words = len(ts)
	found := r.lexicons[language].find(ts)
	if language != "ar" { // short answers are the same in both
		other := map[string]string{"en": "fr", "fr": "en"}[language]
		if !slices.ContainsFunc(found, func(m match) bool { return m.kind != ofIntent }) {
			ts2 := tokens(other, message)
			found = append(found, r.lexicons[other].find(ts2)...)
		}
	}
	for _, m := range found {
		if m.kind == ofIntent {
			out.Intents[m.id] = true
		}
	}
	r.readAnswers(in, &out, ts, found)
	r.readFacts(in, &out, found, concepts, now)
	r.readMeasures(in, &out, message, now)
	r.readLists(in, &out, message, ts, found, now)
	if len(in.Pending) > 0 {
		out.Reply = out.Reply || len(out.Answered) > 0 || len(out.Present) > 0 || len(out.Denied) > 0
	}
	in.Pending = nil
	return out
}

// readAnswers takes a yes or a no for the questions that were asked.
func (r *Rules) readAnswers(in *Intake, out *Reading, ts []token, found []match) {
	if len(ts) == 0 || len(in.Pending) == 0 {
		return
	}
	yes, no := false, false
	longest := 0
	for _, m := range found {
		if m.kind == ofIntent && m.from == 0 && (m.id == "yes" || m.id == "no") {
			yes, no = yes || m.id == "yes", no || m.id == "no"
			longest = max(longest, m.to)
		}
	}
	if yes == no {
		return
	}
	out.Bare = longest >= len(ts)-1
	var signs []string
	for _, id := range in.Pending {
		if r.questions[id] != nil {
			signs = append(signs, id)
		}
	}
	named := func(id string) bool {
		return slices.ContainsFunc(found, func(m match) bool { return m.kind == ofFact && m.id == id })
	}
	anyNamed := slices.ContainsFunc(found, func(m match) bool { return m.kind == ofFact })
	out.Reply = true
	switch {
	case yes && (len(signs) == 1 || !anyNamed):
		out.Answered = append(out.Answered, signs...)
		out.YesToAll = len(signs) > 1
	case yes:
		for _, id := range signs {
			if named(id) && slices.ContainsFunc(found, func(m match) bool { return m.kind == ofFact && m.id == id && !m.negated }) {
				out.Answered = append(out.Answered, id)
			}
		}
	case no && slices.ContainsFunc(found, func(m match) bool { return m.kind == ofFact && m.from == longest }):
		// "no fever" is of the fever alone.
	case no:
		for _, id := range signs {
			if !named(id) || out.Bare {
				out.Denied = append(out.Denied, id)
			}
		}
	}
	if slices.Contains(in.Pending, AskPregnant) && len(in.Pending) == 1 || out.Bare && slices.Contains(in.Pending, AskPregnant) && no {
		in.Pregnant = &yes
	}
	if out.Bare && no {
		in.NoMedicines = in.NoMedicines || slices.Contains(in.Pending, AskMedicines)
		in.NoAllergies = in.NoAllergies || slices.Contains(in.Pending, AskAllergies)
	}
}

func (r *Rules) readFacts(in *Intake, out *Reading, found []match, concepts []Concept, now time.Time) {
	present, denied := map[string]bool{}, map[string]bool{}
	complaints := map[string]bool{}
	var order []string
	for _, m := range found {
		switch {
		case m.kind == ofComplaint && !m.negated:
			if !complaints[m.id] {
				complaints[m.id] = true
				order = append(order, m.id)
			}
		case m.kind == ofFact && m.negated:
			denied[m.id] = true
		case m.kind == ofFact:
			present[m.id] = true
		}
	}
	for _, c := range concepts {
		for _, id := range r.ofConcept[c.ID] {
			if c.Denied {
				denied[id] = true
			} else {
				present[id] = true
			}
		}
		for _, id := range r.about[c.ID] {
			if !c.Denied && !complaints[id] {
				complaints[id] = true
				order = append(order, id)
			}
		}
	}
	// What is a detail of another complaint that was said comes after it.
	slices.SortStableFunc(order, func(a, b string) int { return r.detail(a, order) - r.detail(b, order) })
	for _, q := range r.facts {
		id := q.ID
		switch {
		case slices.Contains(out.Answered, id):
			in.set(now, id, Yes)
			out.Present = append(out.Present, id)
		case present[id]:
			in.set(now, id, Said)
			out.Present = append(out.Present, id)
		case denied[id] || slices.Contains(out.Denied, id):
			in.set(now, id, Denied)
			if !slices.Contains(out.Denied, id) {
				out.Denied = append(out.Denied, id)
			}
		}
	}
	out.Complaints = order
	if len(order) > 0 && !out.general() {
		for i := len(order) - 1; i >= 0; i-- { // the first is the main one: it ends up newest
			if in.Complaint() == "" || !slices.Contains(in.Complaints, order[i]) {
				in.Complaints = append(in.Complaints, order[i])
				in.note(now, "complaint", order[i], "")
			}
		}
		if len(in.Complaints) > maxList {
			in.Complaints = in.Complaints[len(in.Complaints)-maxList:]
		}
	}
	if out.Has("pregnant") {
		yes := !slices.ContainsFunc(found, func(m match) bool { return m.kind == ofIntent && m.id == "pregnant" && m.negated })
		in.Pregnant = &yes
	}
	in.Child = in.Child || out.Has("child")
}

// detail is 1 for a complaint that another of the list asks about anyway, such as
// fever with a cough.
func (r *Rules) detail(id string, all []string) int {
	for _, o := range all {
		if o != id && slices.Contains(r.complaints[o].Ask, id) && !slices.Contains(r.complaints[id].Ask, o) {
			return 1
		}
	}
	return 0
}

// general tells a question about an illness from what somebody has.
func (r *Reading) general() bool { return r.Has("asking") && !r.Has("personal") }

// General tells a question about an illness from what somebody has.
func (r *Reading) General() bool { return r.general() }

func (r *Rules) readMeasures(in *Intake, out *Reading, message string, now time.Time) {
	folded := strings.Join(strings.Fields(strings.Map(func(c rune) rune {
		if strings.ContainsRune("'’-,!?؟()", c) {
			return ' '
		}
		return c
	}, search.Fold(message))), " ")
	if out.general() {
		return
	}
	if v, ok := age(folded); ok {
		in.AgeYears = &v
	}
	if d, ok := days(folded); ok {
		at := now.Add(-time.Duration(d * 24 * float64(time.Hour))).UTC()
		if in.Onset == nil || slices.Contains(in.Pending, AskSince) {
			in.note(now, "onset", "", at.Format(time.RFC3339))
			in.Onset = &at
		}
		out.Reply = out.Reply || in.Complaint() != ""
	}
	level, ok := severity(folded)
	if !ok {
		if n, is := aNumber(folded); is && n <= 10 && slices.Contains(in.Pending, AskSeverity) {
			level, ok = n, true
		} else if is && n <= 120 && slices.Contains(in.Pending, AskAge) {
			years := float64(n)
			in.AgeYears = &years
			out.Reply = true
		}
	}
	if !ok {
		for i, w := range []string{"mild", "medium", "severe"} {
			if out.Has(w) {
				level, ok = []int{2, 5, 8}[i], true
			}
		}
		if in.Severity != nil && *in.Severity >= level {
			ok = false
		}
	}
	if ok {
		in.Severity = &level
		in.note(now, "severity", "", "")
		out.Reply = out.Reply || in.Complaint() != ""
	}
}

// readLists takes medicines and allergies: what follows the words that announce
// them, or the whole answer to the question.
func (r *Rules) readLists(in *Intake, out *Reading, message string, ts []token, found []match, now time.Time) {
	add := func(list *[]string, kind string, text string) {
		if text = trimmed(text); text == "" || len(*list) >= maxList || slices.Contains(*list, text) {
			return
		}
		*list = append(*list, text)
		in.note(now, kind, "", text)
		out.Reply = true
	}
	for _, m := range found {
		if m.kind != ofIntent || m.id != "takes" && m.id != "allergic" {
			continue
		}
		var words []string
		for j := m.to; j < len(ts) && !ts[j].brk && len(words) < 6; j++ {
			if l := r.lexicons[out.Language]; l.but[ts[j].word] || l.subject[ts[j].word] || ts[j].word == "for" || ts[j].word == "pour" || ts[j].word == "depuis" || ts[j].word == "since" {
				break
			}
			words = append(words, ts[j].word)
		}
		for n := len(words); n > 0 && slices.Contains([]string{"and", "et", "و"}, words[n-1]); n-- {
			words = words[:n-1]
		}
		denied := r.lexicons[out.Language].denied(ts, m.from)
		switch {
		case m.id == "takes" && !denied:
			add(&in.Medicines, "medicine", strings.Join(words, " "))
		case m.id == "takes":
			in.NoMedicines = true
		case !denied:
			add(&in.Allergies, "allergy", strings.Join(words, " "))
		default:
			in.NoAllergies = true
		}
	}
	if out.Bare || out.Has("asking") || len(found) > 0 && !out.Has("none_of") && (len(out.Complaints) > 0 || len(out.Present) > 0) {
		return
	}
	single := len(in.Pending) == 1
	for id, into := range map[string]*[]string{AskMedicines: &in.Medicines, AskAllergies: &in.Allergies} {
		if !single || in.Pending[0] != id || len(*into) > 0 || len(ts) > 12 || len(ts) == 0 {
			continue
		}
		if out.Has("none_of") || out.Has("no") {
			in.NoMedicines, in.NoAllergies = in.NoMedicines || id == AskMedicines, in.NoAllergies || id == AskAllergies
			continue
		}
		add(into, map[string]string{AskMedicines: "medicine", AskAllergies: "allergy"}[id], message)
	}
}

func trimmed(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxText {
		s = string(r[:maxText])
	}
	return s
}
