package api

import (
	"slices"
	"strings"

	"github.com/chatmed/chatmed/internal/clinical/emergency/places"
)

// Lines are who to ring in a country.
type Lines struct {
	// Country is whose numbers these are; "" where none are known, and they are
	// those that reach somebody in most places.
	Country string
	// Numbers reach an ambulance, the one to dial first before the others.
	Numbers []string
	// Crisis and Poison are nil where none is known.
	Crisis, Poison *places.Line
	// Advice says what to do with numbers that may be wrong; "" in a country.
	Advice string
}

// EmergencyLines are the numbers of a country, the crisis and the poison line
// that speak the language before others. A country of which nothing is known
// has those of nowhere in particular.
func EmergencyLines(country, language string) Lines {
	n, ok := places.Numbers(country)
	if !ok {
		f := places.Unknown()
		return Lines{Numbers: f.Numbers, Advice: f.In(language)}
	}
	first, others := n.Medical()
	return Lines{
		Country: country, Numbers: append([]string{first}, others...),
		Crisis: lineIn(n.Crisis, language), Poison: lineIn(n.Poison, language),
	}
}

// lineIn is the first line that speaks a language, or else the first.
func lineIn(lines []places.Line, language string) *places.Line {
	if len(lines) == 0 {
		return nil
	}
	base, _, _ := strings.Cut(strings.ToLower(language), "-")
	i := slices.IndexFunc(lines, func(l places.Line) bool { return slices.Contains(l.Languages, base) })
	return &lines[max(i, 0)]
}

// lineBody is a line in an answer.
type lineBody struct {
	Name   string  `json:"name"`
	Number string  `json:"number"`
	Hours  *string `json:"hours"`
	URL    *string `json:"url"`
}

// lineOf shows a line where it belongs into the answer.
func lineOf(l *places.Line, belongs bool) *lineBody {
	if l == nil || !belongs {
		return nil
	}
	return &lineBody{Name: l.Name, Number: l.Number, Hours: optional(l.Hours), URL: optional(l.URL)}
}
