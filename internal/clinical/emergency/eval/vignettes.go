package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/chatmed/chatmed/internal/clinical/emergency"
)

// vignette is a case of the development set with our label.
type vignette struct {
	number      int
	label       emergency.Urgency
	rules, both emergency.Result
}

var ageOf = regexp.MustCompile(`(\d+)[ -]*(year|month|week|day)`)

// readVignettes screens the cases as a person would tell them: the complaint
// and the presentation, with age and sex beside. Without the folder there is a
// note instead.
func readVignettes(engine *emergency.Engine, file, labels string) ([]*vignette, string, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "The folder with the vignettes is not there, so they were skipped.", nil
	} else if err != nil {
		return nil, "", err
	}
	defer func() { _ = f.Close() }()
	b, err := os.ReadFile(labels)
	if err != nil {
		return nil, "", err
	}
	var list []struct {
		Case    int               `yaml:"case"`
		Urgency emergency.Urgency `yaml:"urgency"`
	}
	if err := yaml.Unmarshal(b, &list); err != nil {
		return nil, "", err
	}
	label := map[int]emergency.Urgency{}
	for _, l := range list {
		label[l.Case] = l.Urgency
	}
	var out []*vignette
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
		if label[n] == "" {
			continue
		}
		in := emergency.Input{Text: c.Complaints + ". " + c.Presentation, Profile: patient(c.Demographics)}
		out = append(out, &vignette{number: n, label: label[n], rules: engine.ScreenByRules(in), both: engine.Screen(in)})
	}
	return out, "", lines.Err()
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

func asSamples(list []*vignette) (out []*sample) {
	for _, v := range list {
		s := &sample{urgent: v.label.AtLeast(emergency.High), result: v.rules, both: v.both}
		s.Level, s.AtMost = v.label, v.label
		out = append(out, s)
	}
	return out
}

var levels = []emergency.Urgency{emergency.Critical, emergency.High, emergency.Moderate, emergency.Low}

// confusion is a table of labels against answers.
func confusion(list []*vignette, of func(*vignette) emergency.Result) string {
	var b strings.Builder
	b.WriteString("| Label | critical | high | moderate | low |\n|---|---|---|---|---|\n")
	var urgent, over count
	for _, l := range levels {
		fmt.Fprintf(&b, "| %s |", l)
		for _, a := range levels {
			n := 0
			for _, v := range list {
				if v.label == l && of(v).Urgency == a {
					n++
				}
			}
			fmt.Fprintf(&b, " %d |", n)
		}
		b.WriteByte('\n')
	}
	for _, v := range list {
		answered := of(v).Urgency.AtLeast(emergency.High)
		if v.label.AtLeast(emergency.High) {
			urgent.add(answered)
		} else {
			over.add(answered)
		}
	}
	fmt.Fprintf(&b, "\nHigh or critical by label and answered so: %s. Neither by label and answered so (over-triage): %s.\n", urgent, over)
	return b.String()
}

func (r report) vignetteTable() string {
	if r.note != "" {
		return "\n" + r.note + "\n"
	}
	return "\nVignettes, rules alone:\n\n" + confusion(r.vignettes, func(v *vignette) emergency.Result { return v.rules }) +
		"\nVignettes, with the second reading:\n\n" + confusion(r.vignettes, func(v *vignette) emergency.Result { return v.both })
}
