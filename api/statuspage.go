package api

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

func (s *server) statusRoutes() []route {
	return []route{{http.MethodGet, "/status", s.statusPage}}
}

type serviceStatus struct {
	Status        health          `json:"status"`
	UpdatedAt     string          `json:"updated_at"`
	ObservedSince string          `json:"observed_since"`
	Components    []componentBody `json:"components"`
	Incidents     []incidentBody  `json:"incidents"`
}

type componentBody struct {
	Name    string     `json:"name"`
	Status  health     `json:"status"`
	Since   string     `json:"since"`
	History []slotBody `json:"history"`
}

// slotBody is a quarter of an hour and the worst that was seen in it.
type slotBody struct {
	From   string `json:"from"`
	Status health `json:"status"`
}

type incidentBody struct {
	Component string  `json:"component"`
	Status    health  `json:"status"`
	StartedAt string  `json:"started_at"`
	EndedAt   *string `json:"ended_at"`
}

// statusPage tells everyone how the server is: JSON, or a page for people. It
// names classes of components and nothing else, and answers 200 whatever the
// state: the state is the content.
func (s *server) statusPage(ctx context.Context, r *request) (any, error) {
	snap := s.Monitor.snapshot(ctx)
	vary := map[string]string{"Vary": "Accept, Accept-Language"}
	if prefers(r.header, "text/html", "application/json") {
		return statusHTML(snap, languageOf(r.header), vary), nil
	}
	data, err := encode(serviceStatusOf(snap))
	return document{contentType: contentTypeJSON, data: data, header: vary}, err
}

func serviceStatusOf(snap snapshot) serviceStatus {
	b := serviceStatus{
		Status: snap.overall(), UpdatedAt: rfc3339(snap.at), ObservedSince: rfc3339(snap.since), Incidents: []incidentBody{},
	}
	for i := range snap.components {
		c := &snap.components[i]
		body := componentBody{Name: c.name, Status: c.state, Since: rfc3339(c.since), History: []slotBody{}}
		for _, sl := range c.slots(snap.at) {
			if sl.worst != "" {
				body.History = append(body.History, slotBody{rfc3339(sl.from()), sl.worst})
			}
		}
		b.Components = append(b.Components, body)
	}
	for i := len(snap.incidents) - 1; i >= 0; i-- { // newest first
		in := snap.incidents[i]
		b.Incidents = append(b.Incidents, incidentBody{in.component, in.worst, rfc3339(in.from), optionalTime(in.to)})
	}
	return b
}

func (sl slot) from() time.Time {
	return time.Unix(sl.number*int64(historySlot/time.Second), 0).UTC()
}

//go:embed statuspage.css
var statusStyle string

// statusPolicy lets the page have its own style and nothing else.
var statusPolicy = func() string {
	sum := sha256.Sum256([]byte(statusStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// readable is an RFC 3339 time as people of any language read it.
func readable(at string) string {
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return at
	}
	return t.Format("2006-01-02 15:04 UTC")
}

// languageOf is the first language of Accept-Language, by weight, that the page
// speaks; English without one.
func languageOf(h http.Header) string {
	best, bestQ := "en", 0.0
	for _, line := range h.Values("Accept-Language") {
		for part := range strings.SplitSeq(line, ",") {
			tag, params, _ := strings.Cut(part, ";")
			lang, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
			if q := qualityOf(params); q > bestQ && statusWords[lang] != nil {
				best, bestQ = lang, q
			}
		}
	}
	return best
}

func statusHTML(snap snapshot, lang string, header map[string]string) document {
	words := statusWords[lang]
	b := serviceStatusOf(snap)
	view := statusView{
		lang: lang, dir: "ltr", words: words, state: b.Status, headline: words["overall_"+string(b.Status)],
		updated: b.UpdatedAt, since: b.ObservedSince,
	}
	if lang == "ar" {
		view.dir = "rtl"
	}
	for i := range snap.components {
		c := &snap.components[i]
		row := statusRow{name: nameIn(words, c.name), state: c.state, word: words[string(c.state)]}
		good, seen := 0, 0
		for x, sl := range c.slots(snap.at) {
			if sl.worst == "" {
				continue
			}
			row.slots = append(row.slots, statusSlot{sl.worst, x * slotWidth})
			seen++
			if sl.worst == operational {
				good++
			}
		}
		row.summary = summary(words, good, seen)
		view.components = append(view.components, row)
	}
	for _, in := range b.Incidents {
		row := statusRow{name: nameIn(words, in.Component), state: in.Status, word: words[string(in.Status)], from: in.StartedAt}
		if in.EndedAt != nil {
			row.to = *in.EndedAt
		}
		view.trouble = append(view.trouble, row)
	}
	header["Content-Security-Policy"] = statusPolicy
	header["Content-Language"] = lang
	return document{contentType: "text/html; charset=utf-8", data: view.html(), header: header}
}

// slotWidth is how wide a slot's bar is, in units of the drawing.
const slotWidth = 6

// nameIn is a component's name in words, or as it stands.
func nameIn(words map[string]string, name string) string {
	if w := words["component_"+name]; w != "" {
		return w
	}
	return name
}
