package emergency

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/chatmed/chatmed/internal/clinical/emergency/learned"
	"github.com/chatmed/chatmed/internal/clinical/emergency/text"
)

// Engine screens texts. It is safe for concurrent use.
type Engine struct {
	set  *set
	pool sync.Pool

	second   *learned.Model
	features [][len(statusNames)]uint32 // by class
	source   uint64

	male, female, pregnant, postpartum classID
}

const (
	window  = 20_000      // bytes that are screened at once
	overlap = 500         // bytes that two windows share
	longest = 10 * window // of a text; what is longer is screened at both ends
)

// New reads the rules and the model that are built in.
func New() (*Engine, error) {
	e, err := NewRules()
	if err != nil {
		return nil, err
	}
	if e.second, err = learned.Load(); err != nil {
		return nil, err
	}
	return e, nil
}

// NewRules is an engine without the second reading, which the trainer makes.
func NewRules() (*Engine, error) {
	files, err := fs.Sub(embedded, "rules")
	if err != nil {
		return nil, err
	}
	return newEngine(files)
}

func newEngine(files fs.FS) (*Engine, error) {
	s, err := load(files)
	if err != nil {
		return nil, fmt.Errorf("emergency rules: %w", err)
	}
	e := &Engine{set: s}
	e.features = conceptFeatures(s)
	if e.source, err = sourceOf(files); err != nil {
		return nil, err
	}
	for name, into := range map[string]*classID{"male": &e.male, "female": &e.female, "pregnant": &e.pregnant, "postpartum": &e.postpartum} {
		id, ok := s.ids[name]
		if !ok {
			return nil, fmt.Errorf("emergency rules: the concept %s is missing", name)
		}
		*into = id
	}
	e.pool.New = func() any { return &screening{engine: e} }
	return e, nil
}

// Conditions lists the ids that the rules can suspect.
func (e *Engine) Conditions() []string {
	var out []string
	for _, c := range e.set.conditions {
		out = append(out, c.ID)
	}
	return out
}

// Version names the rules.
func (e *Engine) Version() string { return e.set.version }

// Screen answers how urgent a text is.
func (e *Engine) Screen(in Input) Result { return e.read(in, e.second != nil) }

// ScreenByRules answers by the rules alone, without the second reading. The
// second reading was learned from the development texts, so that what it finds
// among them measures nothing: the rules are measured by this.
func (e *Engine) ScreenByRules(in Input) Result { return e.read(in, false) }

func (e *Engine) read(in Input, twice bool) Result {
	s := e.pool.Get().(*screening)
	defer e.pool.Put(s)
	s.profile(in.Profile)
	parts, whole := windows(in.Text)
	var best finding
	var o opinion
	for i, p := range parts {
		f := s.screen(in.Text[p.Start:p.End], p.Start)
		if i == 0 {
			best = f
		} else {
			best = best.merge(f)
		}
		if twice {
			o = s.reread(o, p.Start)
		}
	}
	if twice && !best.empty {
		return e.weigh(in, best, e.answer(in, best, whole), o)
	}
	return e.answer(in, best, whole)
}

// windows cuts a long text at spaces into windows that overlap. whole is false
// when the middle of an endless one is left out.
func windows(s string) (parts []Span, whole bool) {
	whole = true
	if len(s) <= window {
		return []Span{{0, len(s)}}, true
	}
	for from := 0; from < len(s); {
		if from > longest-window && from < len(s)-window {
			from, whole = boundary(s, len(s)-window), false
		}
		to := len(s)
		if from+window < to {
			to = boundary(s, from+window)
		}
		parts = append(parts, Span{from, to})
		if to == len(s) {
			break
		}
		from = boundary(s, to-overlap)
	}
	return parts, whole
}

// boundary finds a space at i or up to 100 bytes before, or at least the
// beginning of a letter.
func boundary(s string, i int) int {
	if k := strings.LastIndexAny(s[i-100:i], " \n"); k >= 0 {
		return i - 100 + k
	}
	for i > 0 && !utf8.RuneStart(s[i]) {
		i--
	}
	return i
}

// screening is the memory of one call.
type screening struct {
	engine *Engine
	m      matcher
	facts  []fact
	about  []classID // what the profile says of the patient
	found  []classID // concepts that count, in this window
	where  []span    // parallel to found
	isOn   []bool    // by class
	last   map[status]int

	text    learned.Text // what the second reading reads
	scratch learned.Scratch
}

// hit is a rule that holds, with its words.
type hit struct {
	rule  *rule
	spans []Span
	signs int
}

// finding is what a window came to.
type finding struct {
	hits     []hit
	signs    int  // concepts of illness that count
	mild     int  // mild ones
	asked    int  // signs that are only asked about
	past     int  // what is past, or of others
	unclear  bool // a sentence about which nothing was understood
	empty    bool
	language string
	children bool
	tokens   int
}

func (f finding) merge(g finding) finding {
	f.hits = append(f.hits, g.hits...)
	f.signs += g.signs
	f.mild += g.mild
	f.asked += g.asked
	f.past += g.past
	f.unclear = f.unclear || g.unclear
	f.empty = f.empty && g.empty
	f.tokens += g.tokens
	f.children = f.children || g.children
	return f
}

func (s *screening) screen(src string, offset int) finding {
	set := s.engine.set
	m := &s.m
	m.reset(set.lex)
	m.tokens = text.Tokens(src, m.tokens)
	s.facts = facts(m.tokens, s.facts)
	m.run(s.measured, func() { m.mark(set.cues) })
	s.collect()
	f := s.decide(offset)
	s.sentences(&f)
	f.language = s.language()
	for _, id := range s.found {
		s.isOn[id] = false
	}
	return f
}

// measured puts the quantities that reach a threshold where phrases find them.
func (s *screening) measured() {
	for _, f := range s.facts {
		for i := range s.engine.set.thresholds {
			t := &s.engine.set.thresholds[i]
			if t.what == f.what && t.meets(f.value) {
				s.m.put(t.class, span{f.from, f.to, false})
				slices.SortFunc(s.m.at[t.class], compareSpans)
			}
		}
	}
}

// collect judges every place of every concept. A concept counts when one of its
// places does.
func (s *screening) collect() {
	m, kinds := &s.m, s.engine.set.kinds
	if len(s.isOn) != len(kinds) {
		s.isOn = make([]bool, len(kinds))
	}
	s.found, s.where = s.found[:0], s.where[:0]
	for _, id := range m.touched {
		if kinds[id] == kindSign || kinds[id] == kindMild {
			m.cover(id)
		}
	}
	s.last = map[status]int{}
	for _, id := range m.touched {
		k := kinds[id]
		if k == kindWord {
			continue
		}
		for i, at := range m.at[id] {
			if i > 64 {
				break
			}
			st := m.judge(at)
			if st == present || k == kindModifier && (st == past || st == asked) {
				if st == past {
					s.last[st]++
				}
				s.turnOn(id, at)
				break
			}
			s.last[st]++
		}
	}
	for _, id := range s.about {
		s.turnOn(id, span{-1, -1, false})
	}
}

func (s *screening) turnOn(id classID, at span) {
	if !s.isOn[id] {
		s.isOn[id] = true
		s.found = append(s.found, id)
		s.where = append(s.where, at)
	}
}

func (s *screening) has(id classID) bool { return s.isOn[id] }

// decide finds the rules that hold.
func (s *screening) decide(offset int) finding {
	set := s.engine.set
	f := finding{tokens: len(s.m.tokens), empty: len(s.m.tokens) == 0}
	for _, id := range s.found {
		switch set.kinds[id] {
		case kindSign:
			f.signs++
		case kindMild, kindBenign:
			f.mild++
		}
	}
	f.asked = s.last[asked] + s.last[idiom]
	f.past = s.last[past] + s.last[others]
	for _, r := range set.rules {
		if !r.expr.holds(s.has) {
			continue
		}
		h := hit{rule: r}
		r.expr.evidence(s.has, func(id classID) {
			at := s.where[slices.Index(s.found, id)]
			if set.kinds[id] != kindModifier {
				h.signs++
			}
			if at.from < 0 {
				return
			}
			h.spans = append(h.spans, Span{offset + s.m.tokens[at.from].Start, offset + s.m.tokens[at.to-1].End})
		})
		h.spans = tidy(h.spans)
		f.hits = append(f.hits, h)
	}
	return f
}

// tidy sorts spans and drops those inside others.
func tidy(spans []Span) []Span {
	slices.SortFunc(spans, func(a, b Span) int {
		if a.Start != b.Start {
			return a.Start - b.Start
		}
		return b.End - a.End
	})
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && s.End <= out[n-1].End {
			continue
		}
		out = append(out, s)
	}
	return out
}

// sentences finds out whether every sentence was understood. Only then may the
// answer be low.
func (s *screening) sentences(f *finding) {
	m := &s.m
	known := make([]bool, len(m.tokens))
	for _, id := range m.touched {
		k := s.engine.set.kinds[id]
		if k == kindWord {
			continue
		}
		for _, at := range m.at[id] {
			for t := at.from; t < at.to; t++ {
				known[t] = true
			}
		}
	}
	understood, content := false, 0
	closeSentence := func() {
		if content > 0 && !understood {
			f.unclear = true
		}
		understood, content = false, 0
	}
	for t := range m.tokens {
		if m.tokens[t].Break {
			closeSentence()
		}
		small := m.flags[t]&(cueFill|cuePersonal) != 0
		if known[t] && !small || m.flags[t]&(cueAsk|cueIdiom|cueFiction|cueAskAfter) != 0 {
			understood = true
		}
		if m.flags[t]&(cueFill|cuePersonal|cueNow|cueBut|cueOr|cueNegation) == 0 {
			content++
		}
		if m.flags[t]&cueAsk != 0 {
			f.asked++
		}
		if m.flags[t]&(cueIdiom|cueFiction) != 0 {
			f.asked++
		}
	}
	closeSentence()
}

// profile turns what is known of the patient into concepts.
func (s *screening) profile(p Profile) {
	s.about = s.about[:0]
	e := s.engine
	switch strings.ToLower(p.Sex) {
	case "male", "m":
		s.about = append(s.about, e.male)
	case "female", "f":
		s.about = append(s.about, e.female)
	}
	add := func(what measure, v float64) {
		for i := range e.set.thresholds {
			if t := &e.set.thresholds[i]; t.what == what && t.meets(v) {
				s.about = append(s.about, t.class)
			}
		}
	}
	if p.AgeYears != nil {
		add(measureAge, *p.AgeYears)
	}
	if p.PregnantWeeks != nil {
		s.about = append(s.about, e.pregnant)
		add(measureGestation, float64(*p.PregnantWeeks))
	}
	if p.PostpartumWeeks != nil && *p.PostpartumWeeks <= 52 {
		s.about = append(s.about, e.postpartum)
	}
	if len(p.Conditions)+len(p.Medications) == 0 {
		s.about = e.closed(s.about)
		return
	}
	known := strings.Join(slices.Concat(p.Conditions, p.Medications), ". ")
	s.m.reset(e.set.lex)
	s.m.tokens = text.Tokens(known[:boundaryAt(known, 2000)], s.m.tokens)
	s.m.run(func() {}, func() { s.m.mark(e.set.cues) })
	for _, id := range s.m.touched {
		if e.set.kinds[id] == kindModifier {
			s.about = append(s.about, id)
		}
	}
	s.about = e.closed(s.about)
}

// closed adds the modifiers that contain another by itself, such as child,
// which every age below 16 is.
func (e *Engine) closed(ids []classID) []classID {
	for changed := true; changed; {
		changed = false
		for _, o := range e.set.lex.order {
			if e.set.kinds[o.class] != kindModifier || slices.Contains(ids, o.class) {
				continue
			}
			for _, p := range o.patterns {
				if len(p.parts) == 1 && slices.Contains(ids, p.parts[0]) {
					ids, changed = append(ids, o.class), true
					break
				}
			}
		}
	}
	return ids
}

func boundaryAt(s string, most int) int {
	if len(s) <= most {
		return len(s)
	}
	return boundary(s, most)
}
