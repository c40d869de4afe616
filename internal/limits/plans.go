package limits

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/chatmed/chatmed/internal/consult"
)

// Groups of endpoints that a plan may deny. The emergency screen is in none.
const (
	GroupRecording = "recording"
	GroupImaging   = "imaging"
	GroupWebhooks  = "webhooks"
)

var (
	groups    = []string{GroupRecording, GroupImaging, GroupWebhooks}
	planNames = []string{consult.PlanStarter, consult.PlanProfessional, consult.PlanEnterprise}
)

// Bounds of a plan's numbers. Redis remembers the time of every request of the
// last minute, at most some twenty bytes each.
const (
	maxPerMinute  = 100_000
	maxPerDay     = 1_000_000_000
	maxConcurrent = 10_000
	maxPlansFile  = 64 << 10
)

// Plan is what the keys of one plan may do.
type Plan struct {
	Name       string
	PerMinute  int // requests in any 60 seconds; 0: unlimited
	PerDay     int // requests of one calendar day in UTC; 0: unlimited
	Concurrent int // requests in flight; 0: unlimited
	Deny       []string
}

// Plans are the plans by name.
type Plans map[string]Plan

//go:embed plans.yaml
var plansFile []byte

// DefaultPlans are the documented ones.
func DefaultPlans() (Plans, error) { return LoadPlans(plansFile) }

// Unlimited reports whether nothing of the plan needs counting.
func (p Plan) Unlimited() bool { return p.PerMinute == 0 && p.PerDay == 0 && p.Concurrent == 0 }

// Allows reports whether the plan has a group of endpoints; "" is in every plan.
func (p Plan) Allows(group string) bool { return !slices.Contains(p.Deny, group) }

// limit is a number or the word unlimited. A limit left out is a mistake, not
// an unlimited plan.
type limit struct {
	n   int
	set bool
}

const unlimited = "unlimited"

// UnmarshalYAML reads one limit.
func (l *limit) UnmarshalYAML(n *yaml.Node) error {
	l.set = true
	if n.Kind == yaml.ScalarNode && n.Value == unlimited {
		return nil
	}
	v, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || v < 1 {
		return fmt.Errorf("line %d: %q is no limit; give a number of at least 1, or %s", n.Line, n.Value, unlimited)
	}
	l.n = v
	return nil
}

// LoadPlans reads a plans file, in the form of the embedded plans.yaml. It must
// give every plan that a key can have, all three limits of each, and nothing
// that it does not know. The error says how to mend the file.
func LoadPlans(raw []byte) (Plans, error) {
	if len(raw) > maxPlansFile {
		return nil, fmt.Errorf("plans: the file is larger than %d bytes", maxPlansFile)
	}
	var doc struct {
		Plans map[string]struct {
			PerMinute  limit    `yaml:"per_minute"`
			PerDay     limit    `yaml:"per_day"`
			Concurrent limit    `yaml:"concurrent"`
			Deny       []string `yaml:"deny"`
		} `yaml:"plans"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, errors.New("plans: the file is empty; start from the plans.yaml of the documentation")
	} else if err != nil {
		return nil, fmt.Errorf("plans: %w", err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("plans: the file holds more than one document; keep one")
	}
	out := make(Plans)
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf("plans: "+format, args...)) }
	for _, name := range planNames {
		if _, ok := doc.Plans[name]; !ok {
			say("%s is missing; a key may have it", name)
		}
	}
	for name, p := range doc.Plans {
		if !slices.Contains(planNames, name) {
			say("no key can have the plan %q; give %s", name, strings.Join(planNames, ", "))
		}
		for _, f := range []struct {
			name string
			l    limit
			most int
		}{{"per_minute", p.PerMinute, maxPerMinute}, {"per_day", p.PerDay, maxPerDay}, {"concurrent", p.Concurrent, maxConcurrent}} {
			if !f.l.set {
				say("%s has no %s; give a number of at least 1, or %s", name, f.name, unlimited)
			} else if f.l.n > f.most {
				say("%s: %s is more than %d; lower it, or give %s", name, f.name, f.most, unlimited)
			}
		}
		for _, g := range p.Deny {
			if !slices.Contains(groups, g) {
				say("%s denies %q, which is no group; give %s", name, g, strings.Join(groups, ", "))
			}
		}
		out[name] = Plan{Name: name, PerMinute: p.PerMinute.n, PerDay: p.PerDay.n, Concurrent: p.Concurrent.n, Deny: p.Deny}
	}
	return out, errors.Join(errs...)
}
