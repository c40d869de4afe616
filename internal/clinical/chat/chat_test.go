package chat

import (
	"sync"
	"testing"
	"time"
)

var loaded = sync.OnceValues(New)

func engine(t testing.TB) *Engine {
	t.Helper()
	e, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var noon = time.Date(2025, 1, 15, 12, 0, 0, 0, time.UTC)

func say(t testing.TB, s *Session, text string) Answer {
	t.Helper()
	return engine(t).Answer(s, Input{Message: text, Language: "en", Now: noon, Help: Help{Number: "112"}})
}

func TestPrint(t *testing.T) {
	s := &Session{}
	for _, m := range []string{"I have had a headache for 3 days with sensitivity to light.", "no", "yes, nausea", "I take paracetamol and I'm allergic to penicillin"} {
		a := say(t, s, m)
		t.Logf("> %s\n%s [%s] %q %v", m, a.Text, a.Urgency, a.Questions, a.Sources)
	}
	for _, m := range []string{"What are symptoms of hypertension?", "hipertension causes", "capital of France?", "hello", "prescribe me amoxicillin", "you idiot", "do i have cancer?"} {
		a := say(t, &Session{}, m)
		t.Logf("> %s\n%s [%s %s] %q", m, a.Text, a.Kind, a.Urgency, a.Questions)
	}
}
