package emergency

import "testing"

// An account of an ordinary illness may name an emergency by the way. What is
// denied, what is fine and what goes back months outweighs it; what leaves no
// doubt is never outweighed, and neither is a text that denies nothing.
func TestBalance(t *testing.T) {
	e := newTestEngine(t)
	const calm = " No fever, no cough, no rash, no vomiting, no weight loss, no swelling. Same as every winter, blood test normal."
	for text, want := range map[string]bool{
		"He is not breathing." + calm:                                              true,
		"I have crushing chest pain going down my left arm and I am sweating.":     true,
		"My stool has been black and sticky like tar since this morning." + calm:   true,
		"Not: rash, joint pain, fits, chest pain":                                  false,
		"no fever, chest pain or headache":                                         false,
		"BP 112/70, pulse 72, 34F, well":                                           false,
		"pas de fièvre, pas de selles noires, il n'étouffe pas":                    false,
		"The throat is clean, blocked nose for three days, no blood in the phlegm": false,
	} {
		if got := e.ScreenByRules(Input{Text: text}).Urgency.AtLeast(High); got != want {
			t.Errorf("%q: urgent %v\n%s", text, got, e.Trace(Input{Text: text}))
		}
	}
	if (scales{rules: 1, past: 9, routine: 9}).outweighed() {
		t.Error("a text that denies nothing is outweighed")
	}
}
