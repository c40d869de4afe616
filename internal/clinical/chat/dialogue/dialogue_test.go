package dialogue

import (
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2025, 1, 15, 12, 0, 0, 0, time.UTC)

func TestReading(t *testing.T) {
	r, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text, complaint string
		present, denied []string
		days            float64
	}{
		{"I have had a headache for 3 days with sensitivity to light.", "headache", []string{"photophobia"}, nil, 3},
		{"headache since yesterday, no fever, nausea or confusion", "headache", nil, []string{"fever", "nausea", "confusion"}, 1},
		{"I don't have a fever but I feel sick and my stomach hurts", "belly_pain", []string{"nausea"}, []string{"fever"}, 0},
		{"J'ai mal au ventre depuis deux semaines, pas de fièvre, j'ai des nausées", "belly_pain", []string{"nausea"}, []string{"fever"}, 14},
		{"عندي سعال منذ يومين بدون حرارة", "cough", nil, []string{"fever"}, 2},
		{"my son is 3 years old and has an earache", "ear", nil, nil, 0},
	} {
		in := Intake{}
		got := r.Read(&in, c.text, nil, noon)
		d, _ := in.Days(noon)
		if in.Complaint() != c.complaint || d != c.days {
			t.Errorf("%s: %+v, %v days", c.text, in.Complaints, d)
		}
		for _, id := range c.present {
			if !slices.Contains(got.Present, id) {
				t.Errorf("%s: %s is not present", c.text, id)
			}
		}
		for _, id := range c.denied {
			if !slices.Contains(got.Denied, id) {
				t.Errorf("%s: %s is not denied: %+v", c.text, id, got)
			}
		}
	}
}

// What would change the urgency most is asked first, and only once.
func TestAsking(t *testing.T) {
	r, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Complaints() {
		in := Intake{Complaints: []string{c.ID}}
		seen, last := map[string]bool{}, 4
		for range 20 {
			for _, id := range r.Ask(&in, Low, 3) {
				if seen[id] {
					t.Errorf("%s: %s twice", c.ID, id)
				}
				seen[id] = true
				if q := r.QuestionOf(id); q != nil {
					if q.Level.Rank() > last {
						t.Errorf("%s: %s comes late", c.ID, id)
					}
					last = q.Level.Rank()
				}
			}
		}
		for _, id := range c.Ask {
			if !seen[id] {
				t.Errorf("%s: %s is never asked", c.ID, id)
			}
		}
	}
}
