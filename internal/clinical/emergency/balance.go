package emergency

import "math"

// What speaks for an emergency is weighed against what speaks for an ordinary
// illness: an account that denies one sign after another, goes back months and
// asks for a prescription names an emergency by the way mostly. The weights
// are the coefficients of a logistic regression on the development texts,
// rounded. A text that denies nothing and tells of nothing long past is never
// outweighed.
const (
	perRule     = 1.4  // times the logarithm of one more than the rules that hold
	perNow      = 0.75 // since this morning, an hour ago
	perFever    = 1.0  // measured
	perDenial   = -0.6 // no, without, never, in front of anything
	perFine     = -0.9 // normal, as usual
	perLasting  = -0.6 // for months, for years
	perPast     = -0.5 // a sign of long ago, or of another person
	perRoutine  = -0.9 // a prescription, a blood test, a referral
	leastWeight = -1.75
)

// scales is what a text is weighed by.
type scales struct {
	rules, now, fever, denials, fine, lasting, past, routine int
}

// weight of the evidence; below leastWeight it is outweighed.
func (w scales) weight() float64 {
	n := func(count, most int) float64 { return float64(min(count, most)) }
	return perRule*math.Log(1+float64(w.rules)) + perNow*n(w.now, 3) + perFever*n(w.fever, 1) +
		perDenial*n(w.denials, 9) + perFine*n(w.fine, 2) + perLasting*n(w.lasting, 2) + perPast*n(w.past, 2) +
		perRoutine*n(w.routine, 3)
}

func (w scales) outweighed() bool {
	return w.denials+w.lasting+w.fine > 0 && w.weight() < leastWeight
}

// weigh reads the scales of a window in which rules hold.
func (s *screening) weigh(hits []hit) scales {
	var w scales
	for i := range hits {
		if hits[i].rule.Level.AtLeast(High) {
			w.rules++
		}
	}
	w.past = s.last[past] + s.last[others]
	for _, f := range s.facts {
		switch {
		case f.what == measureTemperature && f.value >= 37.95:
			w.fever++
		case f.what == measureDuration && f.value >= 28:
			w.lasting++
		}
	}
	before := cue(0)
	for t := range s.m.flags {
		f := s.m.flags[t]
		began := f &^ before
		switch {
		case f&(cueNegation|cueNone) != 0 && f&cueCovered == 0:
			w.denials++
		case began&cueNow != 0:
			w.now++
		case began&cueFineAfter != 0:
			w.fine++
		case began&cueLasting != 0:
			w.lasting++
		case began&cueRoutine != 0:
			w.routine++
		}
		before = f
	}
	return w
}
