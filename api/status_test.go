package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// watched is a Monitor over one dependency and clocks that the test moves.
func watched(t *testing.T, c *clock) (m *Monitor, fail *atomic.Bool) {
	t.Helper()
	fail = &atomic.Bool{}
	m = NewMonitor([]Check{
		{"database", func(context.Context) error {
			if fail.Load() {
				return errors.New("dial tcp 10.0.0.7: secret")
			}
			return nil
		}},
		{"redis", func(context.Context) error { return nil }},
	}, c.now, slog.New(slog.DiscardHandler))
	m.tick = c.now
	return m, fail
}

func TestTheStatusPageAsJSON(t *testing.T) {
	var fail *atomic.Bool
	w := newWorld(t, func(d *Deps) {
		d.Monitor, fail = watched(t, &clock{at: d.Now()})
		d.Monitor.now, d.Monitor.tick = d.Now, d.Now
	})
	at := func(want string) map[string]any {
		t.Helper()
		a := w.call("GET", "/status", nil, withoutKey)
		if a.ok()["status"] != want {
			t.Fatalf("%s, want %s", a.raw, want)
		}
		if strings.Contains(string(a.raw), "10.0.0.7") || strings.Contains(string(a.raw), "secret") {
			t.Fatalf("internals: %s", a.raw)
		}
		return a.body
	}
	at("operational")
	fail.Store(true)
	at("operational") // at most five seconds old
	w.clock.advance(6 * time.Second)
	at("degraded")
	w.clock.advance(20 * time.Minute)
	body := at("degraded")
	if in := fmt.Sprint(body["incidents"]); in != "[map[component:database ended_at:<nil> started_at:2025-01-15T10:30:06Z status:outage]]" {
		t.Errorf("incidents %s", in)
	}
	fail.Store(false)
	w.clock.advance(6 * time.Second)
	body = at("operational")
	if in := fmt.Sprint(body["incidents"]); !strings.Contains(in, "ended_at:2025-01-15T10:50:12Z") {
		t.Errorf("incidents %s", in)
	}
	components, _ := body["components"].([]any)
	database, _ := components[1].(map[string]any)
	history := fmt.Sprint(database["history"])
	if want := "[map[from:2025-01-15T10:30:00Z status:outage] map[from:2025-01-15T10:45:00Z status:outage]]"; history != want {
		t.Errorf("history %s, want %s", history, want)
	}
}

func TestTheStatusPageForPeople(t *testing.T) {
	w := newWorld(t)
	browser := withHeader("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	for accept, want := range map[string][]string{
		"":                        {`lang="en" dir="ltr"`, "Everything works", "of 1 quarter hours"},
		"fr-CA,fr;q=0.9,en;q=0.8": {`lang="fr" dir="ltr"`, "Tout fonctionne"},
		"de, ar;q=0.5, en;q=0.4":  {`lang="ar" dir="rtl"`, "كل شيء يعمل"},
		"xx;q=1, fr;q=0":          {`lang="en"`},
	} {
		a := w.call("GET", "/status", nil, withoutKey, browser, withHeader("Accept-Language", accept))
		for _, text := range want {
			if a.status != 200 || !strings.Contains(string(a.raw), text) {
				t.Errorf("%q: no %q in %d %.300s", accept, text, a.status, a.raw)
			}
		}
		page := string(a.raw)
		if regexp.MustCompile(`(?i)<script|https?://|<img|<link|url\(|style="|\son\w+="`).MatchString(page) {
			t.Errorf("%q: the page reaches out: %s", accept, page)
		}
		csp := a.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("policy %q", csp)
		}
		if !strings.Contains(page, "<style>"+statusStyle+"</style>") {
			t.Error("the style is not the one the policy allows")
		}
		if v := a.header.Get("Vary"); !strings.Contains(v, "Accept-Language") {
			t.Errorf("Vary %q", v)
		}
	}
}

func TestEveryLanguageSaysEverything(t *testing.T) {
	for lang, words := range statusWords {
		for key := range statusWords["en"] {
			if words[key] == "" {
				t.Errorf("%s has no %s", lang, key)
			}
		}
	}
}

func TestHistoryAndIncidentsAreBounded(t *testing.T) {
	c := &clock{at: time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)}
	m, fail := watched(t, c)
	for i := range 400 {
		fail.Store(i%2 == 0)
		c.advance(historySlot)
		m.ask(t.Context())
	}
	snap := m.snapshot(t.Context())
	if len(snap.incidents) != maxIncidents {
		t.Errorf("%d incidents", len(snap.incidents))
	}
	seen := 0
	for _, sl := range snap.components[1].slots(snap.at) {
		if sl.worst != "" {
			seen++
		}
	}
	if seen != historySlots {
		t.Errorf("%d slots", seen)
	}
}

func TestTheApiIsJudgedByItsAnswers(t *testing.T) {
	c := &clock{at: time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)}
	for _, tc := range []struct {
		answered, failed int
		want             health
	}{{100, 0, operational}, {100, 4, operational}, {100, 5, degraded}, {10, 6, outage}, {4, 4, operational}} {
		m, _ := watched(t, c)
		m.ask(t.Context())
		for i := range tc.answered {
			status := 200
			if i < tc.failed {
				status = 500
			}
			m.noteRequest(status)
		}
		c.advance(monitorEvery)
		m.ask(t.Context())
		if got := m.snapshot(t.Context()).components[0].state; got != tc.want {
			t.Errorf("%d of %d: %s, want %s", tc.failed, tc.answered, got, tc.want)
		}
	}
}

func TestACheckThatHangsOrPanicsIsAnOutage(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	m := NewMonitor([]Check{
		{"hangs", func(context.Context) error { <-hang; return nil }},
		{"panics", func(context.Context) error { panic("secret") }},
		{"works", func(context.Context) error { return nil }},
	}, time.Now, slog.New(slog.DiscardHandler))
	names, _ := m.down(t.Context())
	if strings.Join(names, " ") != "hangs panics" {
		t.Errorf("down: %v", names)
	}
}
