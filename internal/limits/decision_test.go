package limits

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

func TestDecide(t *testing.T) {
	now := start.UnixMicro()
	plan := Plan{PerMinute: 60, PerDay: 1000, Concurrent: 5}
	next := now + 12_300_000
	for name, tt := range map[string]struct {
		plan      Plan
		r         reply
		reason    string
		limit     int
		remaining int
		reset     time.Time
		retry     time.Duration
		field     string
	}{
		"the minute is tighter": {plan, reply{0, now, 1, next, 1, dayOf(now), 1}, "", 60, 59, time.UnixMicro(next), 0,
			`"minute";r=59;t=13, "day";r=999;t=50400, "concurrent";r=4`},
		"the day is tighter": {plan, reply{0, now, 1, next, 990, dayOf(now), 1}, "", 1000, 10, start.Add(14 * time.Hour), 0,
			`"minute";r=59;t=13, "day";r=10;t=50400, "concurrent";r=4`},
		"minute used up": {plan, reply{refusedMinute, now, 60, next, 90, dayOf(now), 0}, consult.ReasonRateMinute, 60, 0,
			time.UnixMicro(next), 13 * time.Second, `"minute";r=0;t=13, "day";r=910;t=50400, "concurrent";r=5`},
		"day used up": {plan, reply{refusedDay, now, 60, next, 1000, dayOf(now), 0}, consult.ReasonRateDay, 1000, 0,
			start.Add(14 * time.Hour), 14 * time.Hour, `"minute";r=0;t=13, "day";r=0;t=50400, "concurrent";r=5`},
		"slots taken": {plan, reply{refusedConcurrency, now, 5, next, 5, dayOf(now), 5}, consult.ReasonConcurrency, 60, 55,
			time.UnixMicro(next), time.Second, `"minute";r=55;t=13, "day";r=995;t=50400, "concurrent";r=0`},
		"more used than the limit": {plan, reply{refusedMinute, now, 90, now + 1, 1200, dayOf(now), 9}, consult.ReasonRateMinute, 60, 0,
			time.UnixMicro(now + 1), time.Second, `"minute";r=0;t=1, "day";r=0;t=50400, "concurrent";r=0`},
		"slots only": {Plan{Concurrent: 2}, reply{refusedConcurrency, now, 0, next, 5, dayOf(now), 2}, consult.ReasonConcurrency, 0, 0,
			time.Time{}, time.Second, `"concurrent";r=0`},
		"day only": {Plan{PerDay: 9}, reply{0, now, 0, next, 5, dayOf(now), 0}, "", 9, 4, start.Add(14 * time.Hour), 0,
			`"day";r=4;t=50400`},
	} {
		d := decide(tt.plan, tt.r)
		if d.Allowed != (tt.reason == "") || d.Reason != tt.reason || d.Limit != tt.limit || d.Remaining != tt.remaining ||
			!d.Reset.Equal(tt.reset) || d.RetryAfter != tt.retry {
			t.Errorf("%s: %+v", name, d)
		}
		d.policy = policyField(tt.plan)
		h := http.Header{}
		d.Header(h)
		if got := h.Get("RateLimit"); got != tt.field {
			t.Errorf("%s: RateLimit %s, want %s", name, got, tt.field)
		}
		if got := h.Get("X-RateLimit-Limit"); (got != "") != (tt.limit > 0) {
			t.Errorf("%s: X-RateLimit-Limit %q", name, got)
		}
		if tt.limit > 0 {
			reset, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
			if err != nil || time.Unix(reset, 0).Before(tt.reset) || time.Unix(reset-1, 0).After(tt.reset) {
				t.Errorf("%s: X-RateLimit-Reset %d, %v", name, reset, err)
			}
		}
		if got := h.Get("Retry-After"); (got != "") != (tt.retry > 0) {
			t.Errorf("%s: Retry-After %q", name, got)
		}
	}
}

func TestPolicyField(t *testing.T) {
	for want, p := range map[string]Plan{
		`"minute";q=60;w=60, "day";q=1000;w=86400, "concurrent";q=5;qu="concurrent-requests"`: {PerMinute: 60, PerDay: 1000, Concurrent: 5},
		`"day";q=7;w=86400`: {PerDay: 7},
		"":                  {},
	} {
		if got := policyField(p); got != want {
			t.Errorf("%+v: %s, want %s", p, got, want)
		}
	}
}

func TestUnlimitedHasNoFields(t *testing.T) {
	l := New(nil, documented(t), time.Now, quiet)
	_, d, err := l.Acquire(t.Context(), "k", consult.PlanEnterprise)
	if err != nil || !d.Allowed {
		t.Fatal(d, err)
	}
	h := http.Header{}
	d.Header(h)
	if len(h) != 0 {
		t.Errorf("fields: %v", h)
	}
}
