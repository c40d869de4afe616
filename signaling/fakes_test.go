package signaling

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu"
)

// patience is how long a test waits for something that must come.
const patience = 10 * time.Second

// signalled is embedded in fakes whose state tests wait for.
type signalled struct {
	mu      sync.Mutex
	changed chan struct{}
}

// noteLocked wakes whoever waits for a condition.
func (s *signalled) noteLocked() {
	if s.changed != nil {
		close(s.changed)
	}
	s.changed = make(chan struct{})
}

// until waits for a condition, which is looked at with the lock held.
func (s *signalled) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		s.mu.Lock()
		if ok() {
			s.mu.Unlock()
			return
		}
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// fakeClock stands still until a test advances it.
type fakeClock struct {
	signalled
	now    time.Time
	timers []*fakeTimer
}

type fakeTimer struct {
	at time.Time
	d  time.Duration
	f  func()
}

func newFakeClock() *fakeClock {
	return &fakeClock{now: time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)}
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) AfterFunc(d time.Duration, f func()) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &fakeTimer{at: c.now.Add(d), d: d, f: f}
	c.timers = append(c.timers, t)
	c.noteLocked()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.timers = slices.DeleteFunc(c.timers, func(o *fakeTimer) bool { return o == t })
		c.noteLocked()
	}
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	var due []*fakeTimer
	c.timers = slices.DeleteFunc(c.timers, func(t *fakeTimer) bool {
		if t.at.After(c.now) {
			return false
		}
		due = append(due, t)
		return true
	})
	c.noteLocked()
	c.mu.Unlock()
	for _, t := range due {
		t.f()
	}
}

// armed waits until n timers of duration d run.
func (c *fakeClock) armed(t *testing.T, d time.Duration, n int) {
	t.Helper()
	c.until(t, fmt.Sprintf("%d timers of %v", n, d), func() bool {
		found := 0
		for _, o := range c.timers {
			if o.d == d {
				found++
			}
		}
		return found == n
	})
}

// fakeTokens hands out opaque tokens.
type fakeTokens struct {
	mu      sync.Mutex
	claims  map[string]auth.Claims
	refused map[string]error
	issued  []auth.Claims
}

func newFakeTokens() *fakeTokens {
	return &fakeTokens{claims: map[string]auth.Claims{}, refused: map[string]error{}}
}

func (f *fakeTokens) Verify(_ context.Context, raw string) (*auth.Claims, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refused[raw]; err != nil {
		return nil, err
	}
	c, ok := f.claims[raw]
	if !ok {
		return nil, consult.Errorf(consult.Unauthorized, consult.ReasonTokenMalformed, "malformed")
	}
	return &c, nil
}

func (f *fakeTokens) Read(raw string) (*auth.Claims, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := f.claims[raw]
	if !ok {
		return nil, consult.Errorf(consult.Unauthorized, consult.ReasonTokenMalformed, "malformed")
	}
	return &c, nil
}

func (f *fakeTokens) Issue(c auth.Claims) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.issued = append(f.issued, c)
	raw := fmt.Sprintf("issued-%d", len(f.issued))
	f.claims[raw] = c
	return raw, nil
}

func (f *fakeTokens) put(raw string, c auth.Claims) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.claims[raw] = c
	return raw
}

func (f *fakeTokens) refuse(raw string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused[raw] = err
}

type fakeLinks struct{}

func (fakeLinks) Join(sessionID string, role consult.Role, token string) string {
	return "http://rooms.test/room/" + sessionID + "?role=" + string(role) + "#token=" + token
}

// fakeMedia answers "answer to <offer>", refuses the offer "bad", and holds the
// offer "held" until gate is closed.
type fakeMedia struct {
	signalled
	legs []*fakeLeg
	gate chan struct{}
	// holding counts the joins that wait for the gate.
	holding int
	// joining is called at each join, if set.
	joining func(r sfu.JoinRequest)
}

func (m *fakeMedia) Join(ctx context.Context, r sfu.JoinRequest) (Leg, sfu.Answer, error) {
	m.mu.Lock()
	joining := m.joining
	m.mu.Unlock()
	if joining != nil {
		joining(r)
	}
	switch r.OfferSDP {
	case "bad":
		return nil, sfu.Answer{}, consult.Errorf(consult.BadRequest, consult.ReasonBadOffer, "bad offer")
	case "held":
		m.mu.Lock()
		m.holding++
		m.noteLocked()
		m.mu.Unlock()
		select {
		case <-m.gate:
		case <-ctx.Done():
			return nil, sfu.Answer{}, ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &fakeLeg{media: m, request: r, muted: map[string]bool{}}
	m.legs = append(m.legs, l)
	m.noteLocked()
	return l, sfu.Answer{SDP: "answer to " + r.OfferSDP, Slots: l.slots()}, nil
}

// of returns the newest leg of a participant, or nil. Call it with m.mu held.
func (m *fakeMedia) of(participant string) *fakeLeg {
	for i := len(m.legs) - 1; i >= 0; i-- {
		if m.legs[i].request.ParticipantID == participant {
			return m.legs[i]
		}
	}
	return nil
}

func (m *fakeMedia) count() (all, open int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.legs {
		if !l.closed {
			open++
		}
	}
	return len(m.legs), open
}

// fakeLeg is connected as soon as it is ready. Guarded by media.mu.
type fakeLeg struct {
	media    *fakeMedia
	request  sfu.JoinRequest
	ready    bool
	closed   bool
	offers   []string
	replaced bool
	intents  []sfu.Intent
	muted    map[string]bool
	views    []sfu.View
	stats    []sfu.SlotStats
	report   sfu.Report
	source   string // the participant in slot 0
}

func (l *fakeLeg) slots() []sfu.Slot {
	s := sfu.Slot{Index: 0, AudioMid: "2", VideoMid: "3"}
	if l.source != "" {
		s.ParticipantID, s.Source = l.source, consult.SourceCamera
	}
	return []sfu.Slot{s}
}

func (l *fakeLeg) Ready() {
	l.media.mu.Lock()
	l.ready = true
	l.media.noteLocked()
	l.media.mu.Unlock()
	l.request.Observer.MediaChanged("connected")
}

func (l *fakeLeg) Offer(ctx context.Context, sdp string, intents []sfu.Intent, replace bool) (sfu.Answer, error) {
	if sdp == "bad" {
		return sfu.Answer{}, consult.Errorf(consult.BadRequest, consult.ReasonBadOffer, "bad offer")
	}
	if sdp == "held" {
		select {
		case <-l.media.gate:
		case <-ctx.Done():
			return sfu.Answer{}, ctx.Err()
		}
	}
	l.media.mu.Lock()
	defer l.media.mu.Unlock()
	l.offers, l.intents, l.replaced = append(l.offers, sdp), intents, replace
	l.media.noteLocked()
	return sfu.Answer{SDP: "answer to " + sdp, Slots: l.slots()}, nil
}

func (l *fakeLeg) SetMuted(source string, muted bool) {
	l.media.mu.Lock()
	defer l.media.mu.Unlock()
	l.muted[source] = muted
	l.media.noteLocked()
}

func (l *fakeLeg) SetViews(views []sfu.View) {
	l.media.mu.Lock()
	defer l.media.mu.Unlock()
	l.views = views
	l.media.noteLocked()
}

func (l *fakeLeg) SetStats(stats []sfu.SlotStats) {
	l.media.mu.Lock()
	defer l.media.mu.Unlock()
	l.stats = stats
	l.media.noteLocked()
}

func (l *fakeLeg) Report() sfu.Report {
	l.media.mu.Lock()
	defer l.media.mu.Unlock()
	return l.report
}

func (l *fakeLeg) Slots() []sfu.Slot {
	l.media.mu.Lock()
	defer l.media.mu.Unlock()
	return l.slots()
}

func (l *fakeLeg) Close() {
	l.media.mu.Lock()
	defer l.media.mu.Unlock()
	l.closed = true
	l.media.noteLocked()
}

// show puts a participant into slot 0.
func (l *fakeLeg) show(participant string) {
	l.media.mu.Lock()
	l.source = participant
	slots := l.slots()
	l.media.mu.Unlock()
	l.request.Observer.SlotsChanged(slots)
}
