package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/chatmed/chatmed/internal/clinical/chat"
	"github.com/chatmed/chatmed/internal/clinical/chat/search"
	"github.com/chatmed/chatmed/internal/clinical/emergency"
)

var languages = []string{"en", "fr", "ar"}

// world is the chat with the screen beside it.
type world struct {
	engine *chat.Engine
	screen *emergency.Engine
}

// say answers a message as the API does.
func (w *world) say(s *chat.Session, message, language string, p emergency.Profile, now time.Time) chat.Answer {
	in := chat.Input{Message: message, Language: language, Now: now, Help: chat.Help{Number: "112"}, Profile: chat.Profile{AgeYears: p.AgeYears}}
	for i, text := range w.engine.ToScreen(s, message, now) {
		f := w.screen.Screen(emergency.Input{Text: text, Language: language, Profile: p})
		in.Screen.Urgency = in.Screen.Urgency.AtLeast(chat.Urgency(f.Urgency))
		in.Screen.Crisis = in.Screen.Crisis || f.CrisisLine
		for _, r := range f.RedFlags {
			in.Screen.Flags = append(in.Screen.Flags, chat.Flag{Rule: r.Rule, Level: chat.Urgency(r.Level)})
		}
		if i > 0 {
			continue
		}
		for _, c := range w.screen.Concepts(emergency.Input{Text: text, Profile: p}) {
			in.Screen.Concepts = append(in.Screen.Concepts, chat.Concept{ID: c.ID, Denied: c.Denied})
		}
	}
	return w.engine.Answer(s, in)
}

type question struct {
	Topic string `yaml:"topic"`
	Q     string `yaml:"q"`
}

func readQuestions(path string) ([]question, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var out []question
	if err := yaml.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

// found counts what search found.
type found struct {
	language                  string
	asked, first, three, sure int
	absent                    int // of topics that are not there
	red                       int // answered as an emergency
}

func (w *world) find(language string, questions []question, misses io.Writer) found {
	f := found{language: language}
	for _, q := range questions {
		if w.engine.Base().Topic(q.Topic) == nil {
			f.absent++
			continue
		}
		f.asked++
		hits := w.engine.Base().Find(q.Q, 3)
		at := slices.IndexFunc(hits, func(h search.Hit) bool { return h.ID == q.Topic })
		if at == 0 {
			f.first++
		}
		if at >= 0 {
			f.three++
		}
		if len(hits) > 0 && hits[0].Sure() {
			f.sure++
		}
		red := w.screen.Screen(emergency.Input{Text: q.Q}).Urgency.AtLeast(emergency.High)
		if red {
			f.red++
		}
		if at != 0 || red || !hits[0].Sure() {
			var got []string
			for _, h := range hits {
				got = append(got, fmt.Sprintf("%s %.1f/%.2f/%v", h.ID, h.Score, h.Covered, h.Named))
			}
			fmt.Fprintf(misses, "%s want %s (at %d, red %v): %s\n   %s\n", language, q.Topic, at, red, q.Q, strings.Join(got, ", "))
		}
	}
	return f
}

// strangers are questions that no topic answers.
type strangers struct{ asked, unknown int }

func (w *world) strangers(path string, show bool, out io.Writer) (strangers, error) {
	var s strangers
	raw, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	var list map[string][]string
	if err := yaml.Unmarshal(raw, &list); err != nil {
		return s, err
	}
	for _, l := range languages {
		for _, q := range list[l] {
			s.asked++
			a := w.say(&chat.Session{}, q, l, emergency.Profile{}, noon)
			if a.Kind != chat.KindTopic && a.Kind != chat.KindSymptoms && !a.Urgency.Red() {
				s.unknown++
			} else if show {
				fmt.Fprintf(out, "%s answered %s %v: %s\n", l, a.Kind, a.Topics, q)
			}
		}
	}
	return s, nil
}

var noon = time.Date(2025, 1, 15, 12, 0, 0, 0, time.UTC)

type dialogue struct {
	ID       string       `yaml:"id"`
	Language string       `yaml:"language"`
	Turns    []string     `yaml:"turns"`
	Level    chat.Urgency `yaml:"level"`
	Source   string       `yaml:"source"`
}

// judged counts levels that were given, by the level that is right.
type judged map[chat.Urgency]map[chat.Urgency]int

func (j judged) add(want, got chat.Urgency) {
	if j[want] == nil {
		j[want] = map[chat.Urgency]int{}
	}
	j[want][got]++
}

func (w *world) dialogues(path string, show bool, out io.Writer) (judged, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []dialogue
	if err := yaml.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	j := judged{}
	for _, d := range list {
		s := &chat.Session{}
		var a chat.Answer
		for i, turn := range d.Turns {
			a = w.say(s, turn, d.Language, emergency.Profile{}, noon.Add(time.Duration(i)*time.Minute))
		}
		j.add(d.Level, a.Urgency)
		if show && a.Urgency != d.Level {
			fmt.Fprintf(out, "dialogue %s: want %s, got %s %v\n", d.ID, d.Level, a.Urgency, a.Flags)
		}
	}
	return j, nil
}

var ageOf = regexp.MustCompile(`(\d+)[ -]*(year|month|week|day)`)

func (w *world) vignettes(file, labels string, show bool, out io.Writer) (judged, string, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "The folder with the vignettes is not there, so they were skipped.", nil
	} else if err != nil {
		return nil, "", err
	}
	defer func() { _ = f.Close() }()
	raw, err := os.ReadFile(labels)
	if err != nil {
		return nil, "", err
	}
	var list []struct {
		Case    int          `yaml:"case"`
		Urgency chat.Urgency `yaml:"urgency"`
	}
	if err := yaml.Unmarshal(raw, &list); err != nil {
		return nil, "", err
	}
	want := map[int]chat.Urgency{}
	for _, l := range list {
		want[l.Case] = l.Urgency
	}
	j := judged{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var c struct {
			Demographics string `json:"demographics"`
			Complaints   string `json:"chief_complaints"`
			Presentation string `json:"presentation"`
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return nil, "", fmt.Errorf("case %d: %w", n, err)
		}
		if want[n] == "" {
			continue
		}
		a := w.say(&chat.Session{}, c.Complaints+". "+c.Presentation, "en", patient(c.Demographics), noon)
		j.add(want[n], a.Urgency)
		if show && a.Urgency.Rank() < want[n].Rank() {
			fmt.Fprintf(out, "vignette %d: want %s, got %s (%s): %s\n", n, want[n], a.Urgency, a.Kind, c.Complaints)
		}
	}
	return j, "", lines.Err()
}

func patient(demographics string) (p emergency.Profile) {
	d := strings.ToLower(demographics)
	if m := ageOf.FindStringSubmatch(d); m != nil {
		if v, err := strconv.ParseFloat(m[1], 64); err == nil {
			v /= map[string]float64{"year": 1, "month": 12, "week": 52.18, "day": 365.25}[m[2]]
			p.AgeYears = &v
		}
	}
	switch {
	case strings.Contains(d, "female"):
		p.Sex = "female"
	case strings.Contains(d, "male"):
		p.Sex = "male"
	}
	return p
}

// speed is how long a message takes, screen and all.
type speed struct{ p50, p99 time.Duration }

func (w *world) speed() speed {
	texts := []string{
		"I have had a headache for 3 days with sensitivity to light.", "What are symptoms of hypertension?", "no, but I feel sick and my neck hurts since yesterday",
		"J'ai mal au ventre depuis deux jours et de la fièvre, je prends du paracétamol", "ما هي أعراض ارتفاع ضغط الدم؟", "عندي صداع منذ ثلاثة أيام مع غثيان",
	}
	var took []time.Duration
	for i := range 1200 {
		s := &chat.Session{}
		for k := range 3 {
			at := time.Now()
			w.say(s, texts[(i+k)%len(texts)], "en", emergency.Profile{}, noon)
			took = append(took, time.Since(at))
		}
	}
	slices.Sort(took)
	return speed{took[len(took)/2], took[len(took)*99/100]}
}
