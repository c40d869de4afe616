package consult

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// shelf is a Store in memory, of one scope.
type shelf struct {
	mu     sync.Mutex
	rows   []Consultation
	events []Event
}

func missing() error { return Errorf(NotFound, "", "The consultation does not exist.") }

func (s *shelf) CreateConsultation(_ context.Context, c *Consultation, ev []Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows, s.events = append(s.rows, *c), append(s.events, ev...)
	return nil
}

func (s *shelf) find(id string) int {
	return slices.IndexFunc(s.rows, func(c Consultation) bool { return c.ID == id })
}

func (s *shelf) Consultation(_ context.Context, _ Scope, id string) (*Consultation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(id)
	if i < 0 {
		return nil, missing()
	}
	c := s.rows[i]
	return &c, nil
}

func (s *shelf) UpdateConsultation(_ context.Context, _ Scope, id string, change func(*Consultation) ([]Event, error)) (*Consultation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(id)
	if i < 0 {
		return nil, missing()
	}
	c := s.rows[i]
	ev, err := change(&c)
	if err != nil {
		return nil, err
	}
	if len(ev) > 0 {
		s.rows[i], s.events = c, append(s.events, ev...)
	}
	return &c, nil
}

func (s *shelf) FindOrCreateConsultation(_ context.Context, c *Consultation, now time.Time, ev []Event) (*Consultation, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, got := range s.rows {
		if got.DoctorID == c.DoctorID && got.PatientID == c.PatientID && !got.Status.Final() && !got.Expired(now) {
			return &got, false, nil
		}
	}
	s.rows, s.events = append(s.rows, *c), append(s.events, ev...)
	return c, true, nil
}

func (s *shelf) Consultations(_ context.Context, _ Scope, f ConsultationFilter, p Page) ([]Consultation, string, error) {
	_, limit, err := p.Read()
	if err != nil {
		return nil, "", err
	}
	items, next := NextCursor(slices.Clone(s.rows), limit, func(c *Consultation) Cursor { return Cursor{At: c.CreatedAt, ID: c.ID} })
	return items, next, nil
}

func (s *shelf) UnfinishedConsultations(_ context.Context, sc Scope, after string, limit int) ([]Consultation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Consultation
	for _, c := range s.rows {
		if !c.Status.Final() && c.ID > after && len(out) < limit {
			out = append(out, c)
		}
	}
	return out, nil
}

func (s *shelf) Scopes(context.Context) ([]Scope, error) { return []Scope{scope}, nil }

// bus keeps the topics of what is published.
type bus struct{ topics []string }

func (b *bus) Publish(_ context.Context, topic string, _ []byte) error {
	b.topics = append(b.topics, topic)
	return nil
}
func (b *bus) Subscribe(string, func([]byte)) func() { return func() {} }
func (b *bus) OnReconnect(func()) func()             { return func() {} }

var (
	scope = Scope{AccountID: "acc_1", Mode: Live}
	who   = Actor{Kind: ActorKey, ID: "key_1"}
)

// clock moves by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newService() (*Service, *shelf, *clock) {
	s, c := &shelf{}, &clock{at: start}
	return NewService(s, &bus{}, c.now, slog.New(slog.DiscardHandler)), s, c
}

func make1(t *testing.T, s *Service, keyID, patient string) *Consultation {
	t.Helper()
	c, err := s.Create(t.Context(), scope, who, CreateRequest{DoctorID: "doc", PatientID: patient, KeyID: keyID})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantCode fails unless err is an *Error of that code.
func wantCode(t *testing.T, err error, code Code) {
	t.Helper()
	if !HasCode(err, code) {
		t.Errorf("error is %v, want %s", err, code)
	}
}
