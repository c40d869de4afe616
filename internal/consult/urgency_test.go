package consult

import (
	"slices"
	"testing"
)

func TestAScreeningOnlyRises(t *testing.T) {
	t.Parallel()
	levels := []Urgency{"", UrgencyLow, UrgencyModerate, UrgencyHigh, UrgencyCritical}
	for i, from := range levels {
		for j, to := range levels {
			s := Screening{Urgency: from, Rules: []string{"old"}}
			changed := s.Raise(Screening{Urgency: to, Rules: []string{"new"}})
			if want := levels[max(i, j)]; s.Urgency != want || changed != (j > i) || (s.Rules[0] == "new") != (j > i) {
				t.Errorf("%q raised by %q: %+v, %v", from, to, s, changed)
			}
		}
	}
	s := Screening{Urgency: UrgencyCritical, Crisis: true}
	if s.Raise(Screening{Urgency: UrgencyLow}) || !s.Crisis {
		t.Errorf("the crisis line was taken away: %+v", s)
	}
	s = Screening{Urgency: UrgencyHigh}
	if !s.Raise(Screening{Urgency: UrgencyModerate, Crisis: true}) || s.Urgency != UrgencyHigh || !s.Crisis {
		t.Errorf("the crisis line was not added: %+v", s)
	}
	s.Raise(Screening{Urgency: UrgencyCritical, Rules: slices.Repeat([]string{"r"}, 99)})
	if len(s.Rules) != MaxRules || !s.Crisis {
		t.Errorf("%d rules, crisis %v", len(s.Rules), s.Crisis)
	}
}

func TestCountries(t *testing.T) {
	t.Parallel()
	for c, want := range map[string]bool{"FR": true, "XK": true, "": false, "fr": false, "FRA": false, "F1": false, "É": false} {
		if ValidCountry(c) != want {
			t.Errorf("ValidCountry(%q) is %v", c, !want)
		}
	}
}
