package api

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// health is how a component is.
type health string

// The states of a component, from good to bad.
const (
	operational health = "operational"
	degraded    health = "degraded" // answers, but late or not always
	outage      health = "outage"
)

// rank orders states; "" is unknown and ranks lowest.
func (h health) rank() int { return slices.Index([]health{operational, degraded, outage}, h) }

const (
	// checkTimeout bounds one dependency's answer.
	checkTimeout = 2 * time.Second
	// slowAnswer is when an answer that comes is late enough to say so.
	slowAnswer = 500 * time.Millisecond
	// monitorEvery is how often Run asks; statusAge how old an answer of
	// /status may be, so that its readers cannot load the dependencies.
	monitorEvery = 15 * time.Second
	statusAge    = 5 * time.Second

	historySlot  = 15 * time.Minute
	historySlots = 96 // one day
	maxIncidents = 50

	// componentAPI is the component that answers, so it has no check: it is
	// judged by the share of requests that failed on our side.
	componentAPI   = "api"
	minFailures    = 5
	degradedShare  = 0.05
	outageShare    = 0.5
	requestsWindow = 2 // rounds of monitorEvery that the share is taken over
)

// Check is one dependency. Name is its class, such as "database" or "redis",
// and is shown to everyone; Ping must honour its context.
type Check struct {
	Name string
	Ping func(ctx context.Context) error
}

// Monitor asks the dependencies how they are and remembers a day of it, in
// memory: each node knows what it saw. Safe for concurrent use.
type Monitor struct {
	checks []Check
	now    consult.Clock
	log    *slog.Logger

	// Requests answered and failed since the last round.
	answered, failed atomic.Int64

	mu    sync.Mutex
	round *round // the one under way, or nil
	since time.Time
	// What stands below is as the last round left it, which was at `at`;
	// asked is the same instant on the monotonic clock.
	at        time.Time
	asked     time.Time
	states    []component
	incidents []incident // newest last
	counted   [requestsWindow]share
	countedAt time.Time // monotonic

	// tick is the monotonic clock.
	tick func() time.Time
}

// component is one line of the status page. Owned by Monitor.mu.
type component struct {
	name    string
	state   health
	since   time.Time
	history [historySlots]slot // by slot number modulo its length
}

// slot is the worst state of one quarter of an hour; number counts them from
// the epoch.
type slot struct {
	number int64
	worst  health
}

type incident struct {
	component string
	worst     health
	from      time.Time
	to        *time.Time // nil while it lasts
}

type share struct{ answered, failed int64 }

// round is one time of asking; done closes when its results are in.
type round struct {
	done chan struct{}
	errs []error
}

// NewMonitor returns a Monitor that has not asked yet.
func NewMonitor(checks []Check, now consult.Clock, log *slog.Logger) *Monitor {
	m := &Monitor{checks: checks, now: now, log: log, since: now().UTC(), tick: time.Now}
	m.states = append(m.states, component{name: componentAPI})
	for _, c := range checks {
		m.states = append(m.states, component{name: c.Name})
	}
	return m
}

// Run asks at once and then every quarter of a minute, until ctx ends.
func (m *Monitor) Run(ctx context.Context) {
	t := time.NewTicker(monitorEvery)
	defer t.Stop()
	for {
		m.ask(ctx)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// noteRequest counts an answer for the api component.
func (m *Monitor) noteRequest(status int) {
	m.answered.Add(1)
	if status >= 500 && status != 503 { // 503 is a dependency's, which has its own line
		m.failed.Add(1)
	}
}

// ask asks every dependency and returns their errors in the order of checks.
// Callers that come while a round runs share its result.
func (m *Monitor) ask(ctx context.Context) []error {
	m.mu.Lock()
	r := m.round
	if r == nil {
		r = &round{done: make(chan struct{}), errs: make([]error, len(m.checks))}
		m.round = r
		m.mu.Unlock()
		m.run(context.WithoutCancel(ctx), r) // others may wait for it
		return r.errs
	}
	m.mu.Unlock()
	select {
	case <-r.done:
		return r.errs
	case <-ctx.Done():
		errs := make([]error, len(m.checks))
		for i := range errs {
			errs[i] = ctx.Err()
		}
		return errs
	}
}

// run fills r and takes its results in. A check that does not honour its
// context is not waited for.
func (m *Monitor) run(ctx context.Context, r *round) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	type answer struct {
		i    int
		err  error
		took time.Duration
	}
	answers := make(chan answer, len(m.checks)) // room for all: no sender waits
	start := time.Now()
	for i, c := range m.checks {
		go func() { answers <- answer{i, ping(ctx, c), time.Since(start)} }()
	}
	for i := range r.errs {
		r.errs[i] = context.DeadlineExceeded
	}
	took := make([]time.Duration, len(m.checks))
collect:
	for range m.checks {
		select {
		case a := <-answers:
			r.errs[a.i], took[a.i] = a.err, a.took
		case <-ctx.Done():
			break collect
		}
	}
	m.record(r, took)
	close(r.done)
}

// ping keeps a check that panics from ending the process.
func ping(ctx context.Context, c Check) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the check panicked")
		}
	}()
	return c.Ping(ctx)
}

func (m *Monitor) record(r *round, took []time.Duration) {
	now := m.now().UTC()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.round = nil
	m.at, m.asked = now, m.tick()
	m.setLocked(0, m.apiLocked(), now)
	for i, err := range r.errs {
		state := operational
		switch {
		case err != nil:
			state = outage
		case took[i] > slowAnswer:
			state = degraded
		}
		if was := m.states[i+1].state; was != state && (was != "" || state != operational) {
			m.log.Warn("dependency changed", "component", m.checks[i].Name, "state", string(state), "err", err)
		}
		m.setLocked(i+1, state, now)
	}
}

// apiLocked judges the answers of the last rounds of Run; rounds that a failed
// request asked for in between count nothing.
func (m *Monitor) apiLocked() health {
	if was := m.states[0].state; was != "" && m.tick().Sub(m.countedAt) < monitorEvery*9/10 {
		return was
	}
	m.countedAt = m.tick()
	copy(m.counted[1:], m.counted[:])
	m.counted[0] = share{m.answered.Swap(0), m.failed.Swap(0)}
	var sum share
	for _, c := range m.counted {
		sum.answered += c.answered
		sum.failed += c.failed
	}
	bad := float64(sum.failed) / float64(max(sum.answered, 1))
	switch {
	case sum.failed >= minFailures && bad >= outageShare:
		return outage
	case sum.failed >= minFailures && bad >= degradedShare:
		return degraded
	}
	return operational
}

// setLocked notes a component's state, its slot, and the incident it begins or
// ends.
func (m *Monitor) setLocked(i int, state health, now time.Time) {
	c := &m.states[i]
	n := now.Unix() / int64(historySlot/time.Second)
	s := &c.history[n%historySlots]
	if s.number != n {
		*s = slot{number: n}
	}
	if state.rank() > s.worst.rank() {
		s.worst = state
	}
	if state != c.state {
		c.state, c.since = state, now
	}
	open := -1
	for j := range m.incidents {
		if m.incidents[j].component == c.name && m.incidents[j].to == nil {
			open = j
		}
	}
	switch {
	case state == operational && open >= 0:
		m.incidents[open].to = &now
	case state != operational && open >= 0:
		if state.rank() > m.incidents[open].worst.rank() {
			m.incidents[open].worst = state
		}
	case state != operational:
		m.incidents = append(m.incidents, incident{component: c.name, worst: state, from: now})
		if len(m.incidents) > maxIncidents {
			m.incidents = slices.Delete(m.incidents, 0, 1)
		}
	}
}

// down names the dependencies that do not answer now, sorted, with the error
// of the last for the log.
func (m *Monitor) down(ctx context.Context) (names []string, cause error) {
	for i, err := range m.ask(ctx) {
		if err != nil {
			names, cause = append(names, m.checks[i].Name), err
		}
	}
	slices.Sort(names)
	return names, cause
}

// snapshot is a copy of everything, at most statusAge old.
type snapshot struct {
	at, since  time.Time
	components []component
	incidents  []incident
}

func (m *Monitor) snapshot(ctx context.Context) snapshot {
	m.mu.Lock()
	stale := m.asked.IsZero() || m.tick().Sub(m.asked) > statusAge
	m.mu.Unlock()
	if stale {
		m.ask(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return snapshot{at: m.at, since: m.since, components: slices.Clone(m.states), incidents: slices.Clone(m.incidents)}
}

// overall is the worst that a reader must know: an outage of one part degrades
// the whole, an outage of the api or of every dependency is one of the whole.
func (s snapshot) overall() health {
	worst, down := operational, 0
	for _, c := range s.components[1:] {
		if c.state.rank() > operational.rank() {
			worst = degraded
		}
		if c.state == outage {
			down++
		}
	}
	api := s.components[0].state
	switch {
	case api == outage, down > 0 && down == len(s.components)-1:
		return outage
	case api == degraded:
		return degraded
	}
	return worst
}

// slots are the component's history up to at, oldest first; "" where nothing
// was seen.
func (c *component) slots(at time.Time) []slot {
	last := at.Unix() / int64(historySlot/time.Second)
	out := make([]slot, 0, historySlots)
	for n := last - historySlots + 1; n <= last; n++ {
		s := c.history[((n%historySlots)+historySlots)%historySlots]
		if s.number != n {
			s = slot{number: n}
		}
		out = append(out, s)
	}
	return out
}
