package limits

import (
	"reflect"
	"strings"
	"testing"
)

func TestDocumentedPlans(t *testing.T) {
	want := Plans{
		"starter": {Name: "starter", PerMinute: 60, PerDay: 1000, Concurrent: 5,
			Deny: []string{GroupRecording, GroupImaging, GroupWebhooks}},
		"professional": {Name: "professional", PerMinute: 300, PerDay: 50000, Concurrent: 25},
		"enterprise":   {Name: "enterprise"},
	}
	got := documented(t)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got["starter"].Allows(GroupImaging) || !got["starter"].Allows("") || !got["professional"].Allows(GroupImaging) {
		t.Error("groups of endpoints")
	}
	if !got["enterprise"].Unlimited() || got["starter"].Unlimited() {
		t.Error("unlimited")
	}
}

func TestBadPlansFiles(t *testing.T) {
	good := string(plansFile)
	for name, tt := range map[string]struct{ file, says string }{
		"empty":           {"", "is empty"},
		"no YAML":         {"plans: [", "plans: "},
		"unknown field":   {strings.Replace(good, "per_day: 1000", "per_dya: 1000", 1), "per_dya"},
		"unknown at top":  {good + "\nversion: 2\n", "version"},
		"plan missing":    {strings.Replace(good, "  professional:", "  profesional:", 1), "professional is missing"},
		"unknown plan":    {strings.Replace(good, "  professional:", "  profesional:", 1), `no key can have the plan "profesional"`},
		"limit missing":   {strings.Replace(good, "    concurrent: 5\n", "", 1), "starter has no concurrent"},
		"zero":            {strings.Replace(good, "concurrent: 5", "concurrent: 0", 1), "no limit"},
		"negative":        {strings.Replace(good, "per_minute: 60", "per_minute: -1", 1), "no limit"},
		"fraction":        {strings.Replace(good, "per_minute: 60", "per_minute: 1.5", 1), "no limit"},
		"other word":      {strings.Replace(good, "per_minute: 60", "per_minute: none", 1), "no limit"},
		"list":            {strings.Replace(good, "per_minute: 60", "per_minute: [60]", 1), "no limit"},
		"too many":        {strings.Replace(good, "per_minute: 60", "per_minute: 100001", 1), "more than 100000"},
		"unknown group":   {strings.Replace(good, "webhooks]", "webhook]", 1), `"webhook", which is no group`},
		"twice":           {strings.Replace(good, "per_day: 1000", "per_day: 1000\n    per_day: 2", 1), "already"},
		"two documents":   {good + "---\n" + good, "more than one document"},
		"larger than all": {good + strings.Repeat("#", maxPlansFile), "larger"},
	} {
		if _, err := LoadPlans([]byte(tt.file)); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}

func FuzzLoadPlans(f *testing.F) {
	f.Add(plansFile)
	f.Add([]byte("plans:\n  starter: {per_minute: unlimited, per_day: &a 1, concurrent: *a, deny: [imaging]}\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		plans, err := LoadPlans(raw)
		if err != nil {
			return
		}
		if len(plans) != len(planNames) {
			t.Errorf("%d plans", len(plans))
		}
		for _, p := range plans {
			if p.PerMinute < 0 || p.PerDay < 0 || p.Concurrent < 0 || p.PerMinute > maxPerMinute {
				t.Errorf("%+v", p)
			}
		}
	})
}
